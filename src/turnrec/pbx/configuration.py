"""Writes a run folder's Asterisk configuration from asterisk-conf/pbx; never starts anything."""

import array
import math
import re
import secrets
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path

from turnrec.pbx.errors import PbxStartError
from turnrec.pbx.packages import Installation
from turnrec.pbx.ports import Ports

AMI_USER = "turnrec"
TEST_USER = "test"
PHONE_USER = "phone"
MOH_TONE_HZ = 700
MOH_RATE_HZ = 8000

# A Unix socket's path has 108 bytes, and the control socket is below the run folder.
_SOCKET_PATH_MAX = 107
_PLACEHOLDER = re.compile(r"@([A-Z][A-Z_]*)@")
_UNSAFE = re.compile(r"[\r\n;@]")


@dataclass(frozen=True)
class PbxSettings:
    """What one test PBX is to be like."""

    run_dir: Path
    spool_dir: Path  # where the parts go; the dialplan global TURNREC_SPOOL
    agi_url: str | None = None  # the dialplan global TURNREC_AGI
    dialplan_globals: Mapping[str, str] = field(default_factory=dict)
    extra_dialplan: tuple[Path, ...] = ()  # included by extensions.conf, in this order
    extra_conf: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)  # "queues.conf": ...
    verbose: int = 3  # the dialplan's steps in the log; 0 for measurements


@dataclass(frozen=True)
class Secrets:
    """The passwords of one run folder."""

    ami: str
    test: str
    phone: str

    @classmethod
    def random(cls) -> "Secrets":
        """Make new ones."""
        return cls(*(secrets.token_urlsafe(18) for _ in range(3)))


def write(
    installation: Installation, settings: PbxSettings, ports: Ports, passwords: Secrets
) -> Path:
    """Write the whole configuration; give the path of asterisk.conf."""
    run = settings.run_dir.absolute()
    check_run_dir(run)
    values = {
        "RUN": str(run),
        "MODULES_DIR": str(installation.modules_dir),
        "DATA_DIR": str(installation.data_dir),
        "VERBOSE": str(settings.verbose),
        "SIP_PORT": str(ports.sip_udp),
        "AMI_PORT": str(ports.ami_tcp),
        "RTP_FIRST": str(ports.rtp_first),
        "RTP_LAST": str(ports.rtp_last),
        "AMI_USER": AMI_USER,
        "AMI_SECRET": passwords.ami,
        "TEST_USER": TEST_USER,
        "TEST_SECRET": passwords.test,
        "PHONE_USER": PHONE_USER,
        "PHONE_PASSWORD": passwords.phone,
        "GLOBALS": "\n".join(
            f"{name} = {value}" for name, value in dialplan_globals(settings).items()
        ),
    }
    run.mkdir(parents=True, exist_ok=True)
    run.chmod(0o700)  # it holds passwords and recordings
    for folder in ("etc", "lib", "lib/keys", "agi-bin", "spool", "run", "log", "moh"):
        (run / folder).mkdir(exist_ok=True)
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    write_moh(run / "moh" / "tone.wav")
    etc = run / "etc"
    home = templates_dir()
    extra = {**settings.extra_conf}
    extra["extensions.conf"] = (*settings.extra_dialplan, *extra.get("extensions.conf", ()))
    for template in sorted((home / "pbx").glob("*.conf")):
        text = fill(template.read_text("utf-8"), values)
        if template.name == "modules.conf":
            text = expand_modules(text, {path.name for path in installation.modules_dir.iterdir()})
        (etc / template.name).write_text(text + includes(extra.pop(template.name, ())), "utf-8")
    for name, files in extra.items():
        (etc / name).write_text(includes(files), "utf-8")
    operators = home / "turnrec-manager.conf"
    if operators.exists():
        account = with_secret(operators.read_text("utf-8"), passwords.ami)
        (etc / "turnrec-manager.conf").write_text(account, "utf-8")
    return etc / "asterisk.conf"


def templates_dir() -> Path:
    """Find asterisk-conf: in the installed package, or else in the source tree."""
    packaged = Path(str(resources.files("turnrec"))) / "_asterisk_conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "asterisk-conf"


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace each @NAME@; `${}` stays Asterisk's. An unknown name is a fault of ours: KeyError."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def dialplan_globals(settings: PbxSettings) -> dict[str, str]:
    """Give the dialplan's global variables; refuse what would change the file's meaning."""
    named = {"TURNREC_SPOOL": str(settings.spool_dir.absolute())}
    if settings.agi_url is not None:
        named["TURNREC_AGI"] = settings.agi_url
    named |= settings.dialplan_globals
    for name, value in named.items():
        if not re.fullmatch(r"_{0,2}[A-Za-z]\w*", name) or _UNSAFE.search(value):
            raise PbxStartError(
                f"dialplan global {name}={value!r}: use a plain name, and a value without "
                "line breaks, semicolons and @"
            )
    return named


def expand_modules(text: str, available: set[str]) -> str:
    """Write out each `load => pattern` for the modules that exist; order and comments stay."""
    barred = set(re.findall(r"^noload => (\S+)", text, re.MULTILINE))
    lines: list[str] = []
    for line in text.splitlines():
        keyword, arrow, pattern = line.partition(" => ")
        if keyword == "load" and arrow:
            names = sorted(name for name in available - barred if fnmatch(name, pattern))
            lines += (f"load => {name}" for name in names)
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def includes(files: tuple[Path, ...]) -> str:
    """Give the lines that include the files; a missing one is an error now, not in a log later."""
    for path in files:
        if not path.is_file():
            raise PbxStartError(f"{path}: no such file, but the configuration is to include it")
    return "".join(f'\n#include "{path.absolute()}"\n' for path in files)


def with_secret(text: str, secret: str) -> str:
    """Put a run's secret into the operator's AMI account, whose shipped one is a mere example."""
    filled, count = re.subn(r"(?m)^secret\s*=>?.*$", f"secret = {secret}", text)
    if count != 1:
        raise PbxStartError(
            f"turnrec-manager.conf has {count} `secret =` lines, and the test PBX needs exactly one"
        )
    return filled


def check_run_dir(run: Path) -> None:
    """Refuse a run folder whose control socket or configuration could not be."""
    if len(str(run / "run" / "asterisk.ctl").encode()) > _SOCKET_PATH_MAX:
        raise PbxStartError(f"{run}: too long a path for Asterisk's socket, choose a shorter one")
    if _UNSAFE.search(str(run)):
        raise PbxStartError(f"{run}: Asterisk can't have ';', '@' or a line break in its paths")


def write_moh(path: Path) -> None:
    """Write a second of a steady tone that runs on without a click when it is repeated."""
    step = 2 * math.pi * MOH_TONE_HZ / MOH_RATE_HZ
    samples = array.array("h", (round(6000 * math.sin(step * i)) for i in range(MOH_RATE_HZ)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MOH_RATE_HZ)
        file.writeframes(samples.tobytes())
