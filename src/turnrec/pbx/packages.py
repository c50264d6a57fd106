"""Owns where an Asterisk of a release comes from: the PATH, the cache, or Debian's packages.

It never installs anything into the machine: packages are unpacked below the cache folder.
"""

import enum
import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from turnrec.pbx import apt, mirrors
from turnrec.pbx.errors import PbxInstallError

MIRROR_VARIABLE = "TURNREC_DEBIAN_MIRROR"
CACHE_VARIABLE = "TURNREC_CACHE"

# Raise it when the layout below a cached installation changes, and old ones are fetched anew.
_LAYOUT = 1
_NEEDED_MODULES = ("app_mixmonitor.so", "chan_pjsip.so", "res_agi.so")
_NOT_RUN = ("doc", "doc-base", "info", "lintian", "locale", "man", "perl", "perl5", "zoneinfo")


class Release(enum.StrEnum):
    """A release of Asterisk that turnrec is tested against."""

    V22 = "22"
    V16 = "16"

    @property
    def suites(self) -> tuple[str, ...]:
        """Debian's suites that carry it, to be tried in this order."""
        return {Release.V22: ("sid", "forky"), Release.V16: ("bullseye",)}[self]


@dataclass(frozen=True)
class Installation:
    """An Asterisk that can be run: where it is, and what it is."""

    release: Release
    version: str  # as the package or the binary calls it: "22.10.1~dfsg+..."
    executable: Path
    modules_dir: Path
    data_dir: Path
    prefix: Path | None = None  # None: installed in the machine

    @property
    def version_tuple(self) -> tuple[int, ...]:
        """The version's numbers, to be compared: (22, 10, 1)."""
        return version_numbers(self.version)

    def argv(self, conf: Path) -> tuple[str, ...]:
        """Give the command that runs it on this asterisk.conf."""
        return (str(self.executable), "-C", str(conf))


def ensure(
    release: Release,
    *,
    cache_dir: Path | None = None,
    mirror: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Installation:
    """Give an Asterisk of the release; fetch it at the first time, then take it from the cache."""
    if installed := from_path(release):
        return installed
    cache = cache_dir or default_cache_dir()
    home = cache / f"asterisk-{release}-layout{_LAYOUT}"
    if cached := _load(home, release):
        return cached
    _require_tools(release)
    candidates = _mirrors(release, mirror)
    with _locked(cache, f"{home.name}.lock"):
        # Another process may have fetched it while this one waited for the lock.
        if cached := _load(home, release):
            return cached
        _fetch(release, home, candidates, say)
    fetched = _load(home, release)
    if fetched is None:
        raise PbxInstallError(f"{home} is incomplete after unpacking: delete it and try again")
    return fetched


def default_cache_dir() -> Path:
    """Give the cache folder: $TURNREC_CACHE, or else turnrec's place by the XDG rules."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path("~/.cache").expanduser()) / "turnrec"


def version_numbers(version: str) -> tuple[int, ...]:
    """Give the leading numbers of a version, whatever a distribution appended."""
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def from_path(release: Release, search: str | None = None) -> Installation | None:
    """Give the machine's own Asterisk if it is of this release and can record."""
    # Debian keeps it in sbin, which is not on an ordinary user's PATH.
    path = search if search is not None else f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    found = shutil.which("asterisk", path=path)
    if found is None:
        return None
    done = subprocess.run((found, "-V"), capture_output=True, text=True, timeout=10)  # noqa: S603
    version = done.stdout.strip().removeprefix("Asterisk ")
    if version_numbers(version)[:1] != (int(release),):
        return None
    usr = Path(found).resolve().parents[1]
    modules = _modules_dir(usr)
    if modules is None:
        return None
    # A build from the source keeps its data in /var/lib, Debian's below /usr/share.
    places = (usr / "share/asterisk", Path("/var/lib/asterisk"))
    data = next((place for place in places if (place / "sounds").is_dir()), places[0])
    return Installation(release, version, Path(found), modules, data)


def _modules_dir(usr: Path) -> Path | None:
    """Find the folder of the modules below a /usr; it moved from lib/ to lib/<triplet>/."""
    places = ("lib/asterisk", "lib64/asterisk", "lib/*-linux-gnu*/asterisk")
    found = (path for place in places for path in sorted(usr.glob(f"{place}/modules")))
    return next((path for path in found if all((path / m).exists() for m in _NEEDED_MODULES)), None)


def _load(home: Path, release: Release) -> Installation | None:
    """Read a complete installation from the cache; it is complete or not there at all."""
    try:
        facts = json.loads((home / "installation.json").read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    root = home / "root"
    return Installation(
        release=release,
        version=facts["version"],
        executable=home / "bin" / "asterisk",
        modules_dir=root / facts["modules"],
        data_dir=root / "usr/share/asterisk",
        prefix=root,
    )


def _require_tools(release: Release) -> None:
    missing = [tool for tool in ("apt-get", "dpkg", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise PbxInstallError(
            f"Asterisk {release} can't be fetched here, as {', '.join(missing)} is missing: "
            f"install Asterisk {release} from your distribution so that `asterisk` is on the PATH"
        )
    if not apt.KEYRING.exists():
        raise PbxInstallError(
            f"{apt.KEYRING} is missing, and without it no package can be trusted: "
            "apt-get install debian-archive-keyring"
        )


def _mirrors(release: Release, named: str | None) -> tuple[str, ...]:
    if chosen := named or os.environ.get(MIRROR_VARIABLE):
        return (chosen.rstrip("/"),)
    found = mirrors.debian_mirrors(mirrors.machine_sources())
    if not found:
        raise PbxInstallError(
            "this machine's apt sources name no Debian mirror (Ubuntu's mirrors don't carry the "
            f"suites {', '.join(release.suites)}): set {MIRROR_VARIABLE} to a Debian mirror's URI, "
            f"or install Asterisk {release} so that `asterisk` is on the PATH"
        )
    return found


@contextmanager
def _locked(cache: Path, name: str) -> Iterator[None]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / name).open("w")
    except OSError as error:
        raise PbxInstallError(
            f"the cache folder {cache} can't be written ({error.strerror}): "
            f"set {CACHE_VARIABLE} to a folder that can"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(
    release: Release, home: Path, candidates: tuple[str, ...], say: Callable[[str], None]
) -> None:
    """Try each mirror and suite until one gives the release."""
    refusals: list[str] = []
    unfinished = f".fetch-{home.name}-"
    for left in home.parent.glob(f"{unfinished}*"):  # by one that was killed: the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    for mirror in candidates:
        for suite in release.suites:
            # The work folder lies beside its goal, so that the rename is one step on one disk.
            with tempfile.TemporaryDirectory(prefix=unfinished, dir=home.parent) as work:
                try:
                    _fetch_from(release, home, Path(work), mirror, suite, say)
                except PbxInstallError as error:
                    refusals.append(str(error))
                else:
                    return
    raise PbxInstallError(
        f"no mirror gave Asterisk {release}:\n  " + "\n  ".join(refusals) + f"\nset "
        f"{MIRROR_VARIABLE} to a Debian mirror that has {' or '.join(release.suites)} (an old "
        "suite moves to Debian's archive mirror), or put `asterisk` on the PATH"
    )


def _fetch_from(
    release: Release, home: Path, work: Path, mirror: str, suite: str, say: Callable[[str], None]
) -> None:
    say(f"fetching Asterisk {release} from {mirrors.without_credentials(mirror)} {suite}")
    source = apt.Apt(work, mirror=mirror, suite=suite, architecture=apt.native_architecture())
    source.update()
    plan = source.plan("asterisk")
    version = next((one.version for one in plan if one.name == "asterisk"), "none")
    if version_numbers(version)[:1] != (int(release),):
        raise PbxInstallError(f"suite {suite} has Asterisk {version}, not {release}")
    # What Asterisk maps into its process comes in packages of libraries; the rest of the plan
    # (perl, gnupg, debconf, ...) serves installing, which doesn't happen here.
    wanted = tuple(one for one in plan if one.name.startswith(("asterisk", "lib", "zlib1g")))
    debs = source.download(wanted)
    say(f"unpacking {len(debs)} packages")
    fresh = work / "home"
    _unpack(debs, fresh / "root")
    modules = _modules_dir(fresh / "root/usr")
    if modules is None:
        raise PbxInstallError(f"suite {suite}: the packages lack {', '.join(_NEEDED_MODULES)}")
    _write_launcher(fresh)
    facts = {
        "version": version.partition(":")[2] or version,
        "suite": suite,
        "modules": str(modules.relative_to(fresh / "root")),
    }
    (fresh / "installation.json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    fresh.rename(home)


def _unpack(debs: tuple[Path, ...], root: Path) -> None:
    root.mkdir(parents=True)
    for deb in debs:
        argv = ("dpkg-deb", "-x", str(deb), str(root))
        done = subprocess.run(argv, timeout=300, capture_output=True, text=True)  # noqa: S603
        if done.returncode != 0:
            raise PbxInstallError(
                f"{deb.name} can't be unpacked into {root} (200 MB are needed): {done.stderr}"
            )
    for folder in _NOT_RUN:
        shutil.rmtree(root / "usr/share" / folder, ignore_errors=True)
    sounds = root / "usr/share/asterisk/sounds"
    if not (sounds / "en").exists():  # the package's postinst would do this
        (sounds / "en").symlink_to("en_US_f_Allison")


def _write_launcher(home: Path) -> None:
    """Write the program that runs the unpacked Asterisk on the C library it was built for.

    `core restart now` runs argv[0] again, so that has to be the launcher. A loader before glibc
    2.33 can't set it: there, with the unpacked release 16, restart by stopping and starting.
    """
    root = home / "root"
    patterns = (
        f"{lib}/{name}"
        for lib in ("lib/*", "usr/lib/*", "usr/lib", "lib")
        for name in ("ld-linux*.so.*", "ld64.so.*")
    )
    loader = next((path for one in patterns for path in sorted(root.glob(one))), None)
    if loader is None:
        raise PbxInstallError(f"no loader of the C library in {root}: report this architecture")
    triplet = loader.parent.name
    places = (f"lib/{triplet}", f"usr/lib/{triplet}", "lib", "usr/lib")
    libraries = ":".join(f"$root/{place}" for place in places)
    # The loader tells its options on --help since the same release that brought --argv0.
    told = subprocess.run((str(loader), "--help"), capture_output=True, text=True, timeout=10)  # noqa: S603
    argv0 = '--argv0 "$0" ' if "--argv0" in told.stdout else ""
    launcher = home / "bin" / "asterisk"
    launcher.parent.mkdir()
    launcher.write_text(
        f"""\
#!/bin/sh
# Written by turnrec. $0 is absolute: turnrec calls it so, and so does a lookup on the PATH.
root=${{0%/bin/asterisk}}/root
exec "$root/{loader.relative_to(root)}" --library-path "{libraries}" {argv0}\\
    "$root/usr/sbin/asterisk" "$@"
""",
        "utf-8",
    )
    launcher.chmod(0o755)
