"""Drives apt with state of its own in one work folder; never touches the machine's packages."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from turnrec.pbx.errors import PbxInstallError
from turnrec.pbx.mirrors import without_credentials

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FETCH_TIMEOUT_S = 600

_PLANNED = re.compile(r"^Inst (\S+) .*?\((\S+) ", re.MULTILINE)

# Read after the machine's own apt.conf.d, so that its proxies and certificates keep working.
# The #clear lines drop hooks that would clean the machine's package cache after our update.
_CONF = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::State "{work}/state";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Dir::Etc::sourcelist "{work}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
APT::Sandbox::User "";
Debug::NoLocking "true";
"""


@dataclass(frozen=True)
class Package:
    """One package of an installation plan."""

    name: str
    version: str


class Apt:
    """One suite of one mirror, seen by an apt that believes nothing is installed."""

    def __init__(self, work: Path, *, mirror: str, suite: str, architecture: str) -> None:
        self._suite, self._mirror = suite, mirror
        self._work = work
        self._conf = work / "apt.conf"
        for folder in ("state/lists/partial", "cache/archives/partial", "debs"):
            (work / folder).mkdir(parents=True, exist_ok=True)
        (work / "status").touch()
        (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {suite} main\n")
        # The URI may hold a password.
        (work / "sources.list").chmod(0o600)
        self._conf.write_text(_CONF.format(work=work, architecture=architecture))

    def update(self) -> None:
        """Fetch the suite's index and check its signature."""
        self._run("update")

    def plan(self, package: str) -> tuple[Package, ...]:
        """Give what installing the package would bring, the package itself included."""
        return parse_plan(self._run("-s", "install", package))

    def download(self, packages: tuple[Package, ...]) -> tuple[Path, ...]:
        """Fetch the packages, checked against the signed index; give the files."""
        debs = self._work / "debs"
        self._run("download", *(f"{one.name}={one.version}" for one in packages), cwd=debs)
        return tuple(sorted(debs.glob("*.deb")))

    def _run(self, *arguments: str, cwd: Path | None = None) -> str:
        argv = ("apt-get", "-c", str(self._conf), "-q", "-y", *arguments)
        try:
            done = subprocess.run(  # noqa: S603 - fixed words and names out of the signed index
                argv,
                cwd=cwd,
                env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=FETCH_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise PbxInstallError(
                f"apt-get {arguments[0]} took longer than {FETCH_TIMEOUT_S} s: "
                "check the network and apt's proxy settings, then try again"
            ) from None
        if done.returncode != 0:
            raise PbxInstallError(
                f"suite {self._suite} from {without_credentials(self._mirror)}: "
                f"apt-get {arguments[0]} failed: {complaint(done.stderr)}"
            )
        return done.stdout


def parse_plan(simulation: str) -> tuple[Package, ...]:
    """Read the packages out of `apt-get -s install`."""
    return tuple(Package(match[1], match[2]) for match in _PLANNED.finditer(simulation))


def complaint(stderr: str) -> str:
    """Give apt's error lines, or else its last line, without credentials."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "Err:"))] or lines[-1:]
    return without_credentials("; ".join(errors) or "it gave no reason")


def native_architecture() -> str:
    """Give Debian's name of this machine's architecture."""
    done = subprocess.run(
        ("dpkg", "--print-architecture"),  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()
