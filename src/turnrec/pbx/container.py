"""The test PBX of compose.yaml: its place, its passwords, and Asterisk's configuration.

It never talks to the container engine, and knows of turnrec only where its files lie.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from turnrec.pbx.beside import SOUNDS_DIR
from turnrec.pbx.configuration import (
    PHONE_USER,
    expand_modules,
    fill,
    includes,
    templates_dir,
    with_secret,
    write_moh,
)
from turnrec.pbx.errors import PbxStartError
from turnrec.pbx.packages import Installation

DEMO_USER: Final = "demo"
_AGI_URL: Final = "agi://127.0.0.1:4573"
_RTP_PORTS: Final = re.compile(r"(\d{1,5})-(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Folders:
    """Where things lie in the services; tests have other places."""

    etc: Path = Path("/etc/asterisk")
    spool: Path = Path("/var/spool/asterisk")
    run: Path = Path("/run/asterisk")
    """Asterisk's control socket: shared, like the two above."""
    scratch: Path = Path("/tmp/asterisk")  # noqa: S108 - a tmpfs of the container's own
    """Asterisk's alone, and gone with the container."""
    bots: Path = Path("/bots")
    """Somebody's own flow and dialplan, or empty."""


FOLDERS: Final = Folders()


@dataclass(frozen=True, slots=True)
class Place:
    """Where those outside reach the PBX, as compose.yaml publishes it."""

    address: str
    sip_port: int
    rtp_first: int
    rtp_last: int
    page_port: int
    ami_port: int = 5038
    """Not published."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Place:
        """Read it from what compose.yaml passes on.

        Raises:
            PbxStartError: it can't be a place.
        """
        address = environ.get("PBX_ADDRESS", "127.0.0.1")
        rtp = _RTP_PORTS.fullmatch(environ.get("PBX_RTP_PORTS", "10000-10019"))
        try:
            is_one = not IPv4Address(address).is_unspecified
        except ValueError:
            is_one = False
        if not is_one:
            raise PbxStartError(
                f"PBX_ADDRESS={address}: softphones are told to send their audio there, so it must"
                " be one IPv4 address of this machine, as 127.0.0.1 or its address in your network"
            )
        if rtp is None or not 1024 <= int(rtp[1]) < int(rtp[2]) <= 65_535:
            raise PbxStartError("PBX_RTP_PORTS: two ports from 1024 on, as in 10000-10019")
        return cls(
            address,
            _port(environ, "PBX_SIP_PORT", "5060"),
            int(rtp[1]),
            int(rtp[2]),
            _port(environ, "TURNREC_API__PORT", "8077"),
        )

    @property
    def page(self) -> str:
        """The page's address."""
        return f"http://{self.address}:{self.page_port}/"


@dataclass(frozen=True, slots=True)
class Passwords:
    """What is made at the first start, and kept."""

    ami: str
    phone: str
    demo: str
    api_key: str

    @classmethod
    def made(cls, make_api_key: Callable[[], str]) -> Passwords:
        """Make new ones."""
        ami, phone, demo = (secrets.token_urlsafe(18) for _ in range(3))
        return cls(ami, phone, demo, make_api_key())

    @classmethod
    def read(cls, path: Path) -> Passwords | None:
        """Read those that are kept; None: none are yet.

        Raises:
            PbxStartError: they can't be read.
        """
        try:
            kept = json.loads(path.read_text("utf-8"))
            return cls(**{field.name: str(kept[field.name]) for field in fields(cls)})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PbxStartError(
                f"{path} can't be read ({error}): `docker compose down --volumes` throws it away,"
                " with all recordings"
            ) from None

    def keep(self, path: Path) -> None:
        """Write them, for this user alone."""
        fresh = path.with_suffix(".new")
        write_private(fresh, json.dumps(asdict(self), indent=2) + "\n")
        fresh.replace(path)


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def write_configuration(
    installation: Installation, place: Place, passwords: Passwords, folders: Folders = FOLDERS
) -> None:
    """Write Asterisk's whole configuration: asterisk-conf/pbx, with what pbx/docker has instead."""
    home = templates_dir()
    etc = folders.etc
    values = {
        "RUN": str(etc),
        "ETC": str(etc),
        "SPOOL": str(folders.spool),
        "RUN_DIR": str(folders.run),
        "SCRATCH": str(folders.scratch),
        "MODULES_DIR": str(installation.modules_dir),
        "DATA_DIR": str(installation.data_dir),
        "ADDRESS": place.address,
        "SIP_PORT": str(place.sip_port),
        "AMI_PORT": str(place.ami_port),
        "RTP_FIRST": str(place.rtp_first),
        "RTP_LAST": str(place.rtp_last),
        "PHONE_USER": PHONE_USER,
        "PHONE_PASSWORD": passwords.phone,
        "DEMO_USER": DEMO_USER,
        "DEMO_PASSWORD": passwords.demo,
        "GLOBALS": "\n".join(
            f"{name} = {value}"
            for name, value in {
                "TURNREC_SPOOL": folders.spool / "turnrec",
                "TURNREC_AGI": _AGI_URL,
                "TURNREC_SOUNDS": SOUNDS_DIR,
            }.items()
        ),
    }
    templates = {path.name: path for path in (home / "pbx").glob("*.conf")}
    templates |= {path.name: path for path in (home / "pbx" / "docker").glob("*.conf")}
    templates["turnrec-manager.conf"] = home / "turnrec-manager.conf"
    (etc / "moh").mkdir(exist_ok=True)
    write_moh(etc / "moh" / "tone.wav")
    for name, template in templates.items():
        text = fill(template.read_text("utf-8"), values)
        if name == "modules.conf":
            text = expand_modules(text, {path.name for path in installation.modules_dir.iterdir()})
        elif name == "turnrec-manager.conf":
            text = with_secret(text, passwords.ami)
        elif name == "extensions.conf":
            text += includes((home / "turnrec.conf", home / "sample-bot.conf"))
            text += f'\n#tryinclude "{folders.bots}/*.conf"\n'
        (etc / name).write_text(text, "utf-8")


def _port(environ: Mapping[str, str], name: str, default: str) -> int:
    text = environ.get(name, default)
    if not text.isdecimal() or not 1024 <= int(text) <= 65_535:
        raise PbxStartError(f"{name}={text}: a port from 1024 to 65535")
    return int(text)
