"""compose.yaml and what its services run, without an engine: `make test` has no time for one.

test_docker_pbx.py builds and runs the very files.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnrec.pbx import packages
from turnrec.pbx.configuration import PHONE_USER
from turnrec.pbx.container import DEMO_USER, Folders, Passwords, Place, write_configuration
from turnrec.pbx.errors import PbxStartError
from turnrec.pbx.phone import (
    CallRejectedError,
    Credentials,
    MediaOptions,
    Phone,
    RegistrationFailedError,
    Tone,
)

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "asterisk-conf" / "pbx" / "docker"
WAIT_S = 60.0
PASSWORDS = Passwords(ami="for-ami", phone="for-phone", demo="for-demo", api_key="trk_x_y")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    return found


def by_default(text: str) -> str:
    """A setting as it is where nothing is set."""
    return _VARIABLE.sub(lambda match: match[2] or "", text)


# ------------------------------------------------------------------ the files


def test_no_service_may_more_than_it_must(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service) == set()
        assert service.get("user", "nobody") in {"nobody", "turnrec", "asterisk"}
    assert "\nUSER nobody\n" in (DOCKER / "Dockerfile").read_text("utf-8")


def test_everything_is_published_on_loopback_by_default(compose: dict[str, Any]) -> None:
    published = [
        by_default(port)
        for service in compose["services"].values()
        for port in service.get("ports", ())
    ]
    assert published == [
        "127.0.0.1:8077:8077/tcp",
        "127.0.0.1:5060:5060/udp",
        "127.0.0.1:10000-10019:10000-10019/udp",
    ]


def test_joined_recordings_and_passwords_are_in_a_volume_of_turnrecs_alone(
    compose: dict[str, Any],
) -> None:
    has_it = [
        name
        for name, service in compose["services"].items()
        if any(volume.startswith("data:") for volume in service.get("volumes", ()))
    ]
    assert has_it == ["turnrec"]


def test_turnrec_is_first_up_and_so_last_down(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["asterisk"]["depends_on"] == {"turnrec": {"condition": "service_healthy"}}
    assert {services[name]["network_mode"] for name in ("turnrec", "asterisk")} == {"service:net"}


def test_what_the_image_is_made_of_is_there_and_not_ignored() -> None:
    text = (DOCKER / "Dockerfile").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    sources = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
        for source in [word for word in line.split() if not word.startswith("--")][:-1]
    ]
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["force-include"], project["project"]["readme"], "src"}
    assert needed | {"pyproject.toml", *project["project"]["license-files"]} <= set(sources)
    let_in = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    ]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, one) or source.startswith(f"{one}/") for one in let_in), source


def test_no_password_and_no_registry_is_in_the_files() -> None:
    texts = {path: path.read_text("utf-8") for path in (*DOCKER.iterdir(), ROOT / "compose.yaml")}
    for path, text in texts.items():
        assert re.findall(r"(?mi)^\s*(?:password|secret|ami_secret)\s*=\s*(?!@)\S", text) == [], (
            path
        )
        assert re.findall(r"(?i)\b[a-z0-9-]+\.(?:io|com|org|net)/", text) == [], path


# ------------------------------------------------------------------ what can be set


@pytest.mark.parametrize(
    "environ",
    [
        {"PBX_ADDRESS": "0.0.0.0"},
        {"PBX_ADDRESS": "pbx.example"},
        {"PBX_ADDRESS": "1.2.3.4\nx"},
        {"PBX_RTP_PORTS": "10000"},
        {"PBX_RTP_PORTS": "10019-10000"},
        {"PBX_RTP_PORTS": "1-10"},
        {"PBX_SIP_PORT": "80"},
        {"PBX_SIP_PORT": "x"},
        {"TURNREC_API__PORT": "0"},
    ],
)
def test_what_can_be_no_place_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(PbxStartError):
        Place.read(environ)


def test_the_defaults_are_those_of_the_compose_file(compose: dict[str, Any]) -> None:
    given = compose["services"]["turnrec"]["environment"]
    assert Place.read({}) == Place.read({name: by_default(text) for name, text in given.items()})


def test_passwords_are_kept_for_their_owner_alone_and_new_ones_differ(tmp_path: Path) -> None:
    path = tmp_path / "access.json"
    assert Passwords.read(path) is None
    made = Passwords.made(lambda: "trk_a_b")
    made.keep(path)
    assert Passwords.read(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    other = Passwords.made(lambda: "trk_a_b")
    assert len({made.ami, made.phone, made.demo, other.ami, other.phone, other.demo}) == 6
    path.write_text(json.dumps({"ami": "x"}))
    with pytest.raises(PbxStartError, match="can't be read"):
        Passwords.read(path)


# ------------------------------------------------------------------ Asterisk on these files


@dataclass(frozen=True)
class Running:
    """An Asterisk of the service `asterisk`, in plain folders."""

    process: subprocess.Popen[str]
    folders: Folders
    place: Place
    command: tuple[str, ...]

    def rx(self, command: str) -> str:
        conf = str(self.folders.etc / "asterisk.conf")
        argv = (*self.command, "-C", conf, "-rx", command)
        return subprocess.run(argv, capture_output=True, text=True, timeout=WAIT_S).stdout

    def at(self, extension: str) -> str:
        return f"sip:{extension}@127.0.0.1:{self.place.sip_port}"


def _free(kind: socket.SocketKind) -> int:
    with socket.socket(type=kind) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    installation = packages.ensure(packages.Release.V22)
    home = tmp_path_factory.mktemp("b")  # a socket's path is short
    folders = Folders(*(home / name for name in ("etc", "spool", "run", "scratch", "bots")))
    for folder in (folders.etc, folders.spool / "turnrec", folders.run, folders.bots):
        folder.mkdir(parents=True)
    (folders.bots / "own.conf").write_text(
        "[turnrec-tests](+)\nexten => 3000,1,Answer()\n same => n,PlayTones(1000)\n"
        " same => n,Wait(60)\n"
    )
    sip, rtp = _free(socket.SOCK_DGRAM), _free(socket.SOCK_DGRAM) & ~1
    place = Place("127.0.0.1", sip, rtp, min(rtp + 39, 65_535), 8077, _free(socket.SOCK_STREAM))
    write_configuration(installation, place, PASSWORDS, folders)
    command = (str(installation.executable),)
    (folders.scratch / "keys").mkdir(parents=True)
    process = subprocess.Popen(
        (*command, "-C", str(folders.etc / "asterisk.conf"), "-f"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HOME": str(home)},
    )
    here = Running(process, folders, place, command)
    try:
        while "fully booted" not in here.rx("core waitfullybooted"):
            assert process.poll() is None, process.stdout and process.stdout.read()
        yield here
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_S)


@pytest.mark.pbx
@pytest.mark.spare
async def test_asterisk_takes_calls_with_a_password_and_hangs_up_before_it_ends(
    running: Running,
) -> None:
    registrar = f"sip:127.0.0.1:{running.place.sip_port}"
    good = Credentials(PHONE_USER, PASSWORDS.phone)
    demo = Credentials(DEMO_USER, PASSWORDS.demo)
    for user, wrong in ((PHONE_USER, "no"), ("tester", "no"), (DEMO_USER, PASSWORDS.phone)):
        async with Phone(user=user, credentials=Credentials(user, wrong)) as phone:
            with pytest.raises(CallRejectedError):
                await phone.dial(running.at("600"))
            with pytest.raises(RegistrationFailedError):
                await phone.register(registrar)
    async with Phone(user=PHONE_USER, credentials=good) as phone:
        await phone.register(registrar)
        call = await phone.dial(running.at("600"), MediaOptions(Tone(500)))
        await call.wait_heard(500, timeout_s=WAIT_S)
        await call.hang_up()
    async with Phone(user=DEMO_USER, credentials=demo) as phone:
        call = await phone.dial(running.at("3000"))  # somebody's own dialplan
        await call.wait_heard(1000, timeout_s=WAIT_S)
        running.process.send_signal(signal.SIGTERM)
        await call.wait_ended(timeout_s=WAIT_S)
    said, _ = running.process.communicate(timeout=WAIT_S)
    assert running.process.returncode == 0
    assert "ERROR[" not in said
