"""A container engine for the tests: the machine's own, or Debian's, started for them alone.

It builds and runs nothing of turnrec's. The machine's own images and containers stay untouched.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from turnrec.pbx import apt, mirrors, packages

BASE = "debian:sid-slim"
_PACKAGES = (
    "containerd",
    "docker-buildx",
    "docker-cli",
    "docker-compose",
    "docker.io",
    "tini-static",
)
_INSTALLED = {"runc": "runc", "iptables": "iptables", "mmdebstrap": "mmdebstrap"}
"""What has to be the machine's own, by the command that shows it."""
_UP_S = 60.0
_PULL_S = 60.0
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_CURE = "install a Docker engine with `docker compose`, or run this as root on Debian"


class NoEngineError(Exception):
    """There is no engine, and none can be had; it says what to do."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that runs."""

    docker: Path
    environment: dict[str, str]

    def run(
        self, *arguments: str, cwd: Path | None = None, timeout_s: float = 600, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker ARGUMENTS`; what failed says why."""
        done = subprocess.run(
            (str(self.docker), *arguments),
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode != 0:
            words = " ".join(arguments)
            raise AssertionError(f"docker {words}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done


@contextlib.contextmanager
def running() -> Iterator[Engine]:
    """Have an engine with `docker compose`: the machine's, or else one of the tests' own.

    Raises:
        NoEngineError: neither is to be had here.
    """
    own = shutil.which("docker")
    if own is not None:
        engine = Engine(Path(own), dict(os.environ))
        if all(
            engine.run(*asked, check=False, timeout_s=60).returncode == 0
            for asked in (("info",), ("compose", "version"))
        ):
            yield engine
            return
    with _private() as engine:
        _have_base(engine)
        yield engine


# ------------------------------------------------------------------ one of the tests' own


@contextlib.contextmanager
def _private() -> Iterator[Engine]:
    root = _fetched()
    _install()
    home = packages.default_cache_dir() / "docker-data"
    programs = f"{root}/usr/bin:{root}/usr/sbin:/usr/sbin:/sbin"
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "DOCKER_CONFIG": str(root / "config"),
    }
    had_bridge = Path("/sys/class/net/docker0").exists()
    # A socket's path is short, and the cache's may be long.
    with tempfile.TemporaryDirectory(prefix="turnrec-docker-") as short:
        environment["DOCKER_HOST"] = f"unix://{short}/sock"
        argv = (
            *(f"{root}/usr/sbin/dockerd", "--data-root", str(home), "--exec-root", f"{short}/exec"),
            *("--pidfile", f"{short}/pid", "--host", environment["DOCKER_HOST"]),
            *("--exec-opt", "native.cgroupdriver=cgroupfs"),
        )
        log = Path(short) / "log"
        with log.open("wb") as out:
            daemon = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        try:
            engine = Engine(root / "usr/bin/docker", environment)
            deadline = time.monotonic() + _UP_S
            while engine.run("info", check=False).returncode != 0:
                if daemon.poll() is not None or time.monotonic() > deadline:
                    raise NoEngineError(
                        f"Debian's Docker engine does not run here: {_CURE}\n{_tail(log)}"
                    )
                time.sleep(0.2)
            yield engine
        finally:
            daemon.terminate()
            daemon.wait(60)
            if not had_bridge:
                subprocess.run(("ip", "link", "delete", "docker0"), capture_output=True)


def _fetched() -> Path:
    """Debian's engine, unpacked into the cache."""
    home = packages.default_cache_dir() / "docker-layout1"
    root = home / "root"
    if root.is_dir():
        return root
    if os.geteuid() != 0 or not apt.KEYRING.exists() or shutil.which("dpkg-deb") is None:
        raise NoEngineError(f"no Docker engine answers here: {_CURE}")
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as work:
        source = apt.Apt(
            Path(work), mirror=_mirror(), suite="sid", architecture=apt.native_architecture()
        )
        source.update()
        planned = [one for name in _PACKAGES for one in source.plan(name) if one.name == name]
        fresh = Path(work) / "root"
        for deb in source.download(tuple(planned)):
            subprocess.run(("dpkg-deb", "-x", str(deb), str(fresh)), check=True)
        plugins = fresh / "config" / "cli-plugins"
        plugins.mkdir(parents=True)
        for plugin in (fresh / "usr/libexec/docker/cli-plugins").iterdir():
            (plugins / plugin.name).symlink_to(
                root / "usr/libexec/docker/cli-plugins" / plugin.name
            )
        fresh.rename(root)
    return root


def _install() -> None:
    """Install what has to be the machine's own."""
    missing = [name for command, name in _INSTALLED.items() if shutil.which(command) is None]
    if not missing:
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (("update", "-q"), ("install", "-q", "-y", "--no-install-recommends", *missing)):
        done = subprocess.run(("apt-get", *words), env=quiet, capture_output=True, text=True)
        if done.returncode != 0:
            raise NoEngineError(f"apt-get install {' '.join(missing)}: {done.stderr}")


def _mirror() -> str:
    named = os.environ.get(packages.MIRROR_VARIABLE)
    found = (named,) if named else mirrors.debian_mirrors(mirrors.machine_sources())
    if not found:
        raise NoEngineError(f"no Debian mirror: set {packages.MIRROR_VARIABLE} to one, or {_CURE}")
    return found[0]


# ------------------------------------------------------------------ the base image


def _have_base(engine: Engine) -> None:
    """The base image: pulled, or where no registry answers made from Debian's packages."""
    if engine.run("image", "inspect", BASE, check=False).returncode == 0:
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        if engine.run("pull", "-q", BASE, check=False, timeout_s=_PULL_S).returncode == 0:
            return
    with tempfile.TemporaryDirectory(prefix="turnrec-base-") as work:
        tar = Path(work) / "base.tar"
        line = f"deb [signed-by={apt.KEYRING}] {_mirror()} sid main"
        # A mirror may be a snapshot: the suite's index is then older than it says it may be.
        lasting = '--aptopt=Acquire::Check-Valid-Until "false"'
        argv = ("mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", lasting)
        made = subprocess.run((*argv, "sid", str(tar), line), capture_output=True, text=True)
        if made.returncode != 0:
            raise NoEngineError(f"mmdebstrap: {made.stderr}")
        _add_certificates(tar)
        engine.run("import", str(tar), BASE)


def _add_certificates(tar: Path) -> None:
    """Have the base trust whom this machine trusts beyond its distribution: a proxy, say."""
    everybody = Path("/etc/ssl/certs/ca-certificates.crt")
    if not everybody.exists():
        return
    shipped = {
        pem
        for path in Path("/usr/share/ca-certificates").rglob("*.crt")
        for pem in _PEM.findall(path.read_text("utf-8"))
    }
    own = [pem for pem in _PEM.findall(everybody.read_text("utf-8")) if pem not in shipped]
    with tarfile.open(tar, "a") as archive:
        for number, pem in enumerate(own):
            body = f"{pem}\n".encode()
            entry = tarfile.TarInfo(f"./usr/local/share/ca-certificates/machine-{number}.crt")
            entry.size, entry.mode = len(body), 0o644
            archive.addfile(entry, BytesIO(body))


def _tail(path: Path) -> str:
    return "\n".join(path.read_text("utf-8", errors="replace").splitlines()[-20:])


def rendered(engine: Engine, folder: Path) -> dict[str, object]:
    """What `docker compose` reads in a folder's compose.yaml."""
    found: dict[str, object] = json.loads(
        engine.run("compose", "config", "--format", "json", cwd=folder).stdout
    )
    return found
