"""compose.yaml, as somebody uses it: built, started, called, stopped. `make docker-test`.

It takes minutes, so it isn't part of `make test`: there test_docker_files.py looks at the files.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.docker import engine as engines
from tests.docker.engine import Engine
from turnrec.pbx.phone import (
    Chunk,
    Credentials,
    MediaOptions,
    Phone,
    RegistrationFailedError,
    Tone,
)

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
WAIT_S = 120.0
BUILD_S = 1800.0
DOCS = (ROOT / "docs" / "docker.md").read_text("utf-8")
SPEECH_RMS = 300.0


@dataclass
class Box:
    """The services of one clone."""

    engine: Engine
    clone: Path
    project: str
    settings: dict[str, str]

    @property
    def sip_port(self) -> int:
        return int(self.settings["PBX_SIP_PORT"])

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.settings['PBX_PAGE_PORT']}"

    def compose(self, *words: str, check: bool = True, bots: Path | None = None) -> str:
        own = {} if bots is None else {"PBX_BOTS": str(bots)}
        engine = Engine(self.engine.docker, {**self.engine.environment, **self.settings, **own})
        done = engine.run("compose", *words, cwd=self.clone, timeout_s=BUILD_S, check=check)
        return done.stdout

    def turnrec(self, *words: str, check: bool = True) -> str:
        return self.compose("exec", "-T", "turnrec", "turnrec", *words, check=check)

    def up(self, bots: Path | None = None) -> None:
        self.compose("up", "--detach", "--wait", "--wait-timeout", "600", bots=bots)
        # The services are healthy by themselves; this is that they have found each other.
        self.compose("exec", "-T", "turnrec", "sh", "-c", "until turnrec ready; do sleep 0.5; done")

    def access(self) -> dict[str, str]:
        """What `turnrec docker access` prints: the page's key, the softphone's password."""
        words = self.turnrec("docker", "access").split()
        return {
            "key": words[words.index("key") + 1],
            "password": words[words.index("password") + 1],
            "user": words[words.index("user") + 1],
        }

    def credentials(self) -> Credentials:
        found = self.access()
        return Credentials(found["user"], found["password"])

    def recordings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.turnrec("recordings", "--json"))
        return found

    def wait_another(self, known: set[str]) -> None:
        """Wait until there is a recording beside the known ones."""
        deadline = time.monotonic() + WAIT_S
        while {one["id"] for one in self.recordings()} <= known:
            assert time.monotonic() < deadline, "nothing is recorded"

    def proven(self) -> str:
        public = "/var/lib/turnrec/signing.key.pub"
        folder = "/var/lib/turnrec/recordings"
        return self.turnrec("verify", folder, "--public-key", public, check=False)


def _is_speech(chunk: Chunk) -> bool:
    samples = chunk.samples.astype(np.float64)
    return len(samples) > 0 and float(np.sqrt(np.mean(samples**2))) > SPEECH_RMS


def _free_ports(kind: socket.SocketKind, count: int) -> int:
    """The first of so many free ports in a row."""
    for first in range(21_000, 31_000, 50):
        held = []
        try:
            for port in range(first, first + count):
                one = socket.socket(type=kind)
                held.append(one)
                one.bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return first
        finally:
            for one in held:
                one.close()
    raise AssertionError("no free ports")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    clone = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    udp = _free_ports(socket.SOCK_DGRAM, 11)
    project = f"turnrec-test-{os.getpid()}"
    settings = {
        "COMPOSE_PROJECT_NAME": project,
        "PBX_SIP_PORT": str(udp),
        "PBX_RTP_PORTS": f"{udp + 1}-{udp + 10}",
        "PBX_PAGE_PORT": str(_free_ports(socket.SOCK_STREAM, 1)),
    }
    with engines.running() as engine:
        made = Box(engine, clone, project, settings)
        try:
            made.compose("build", "--quiet")
            made.up()
            yield made
        finally:
            logs = made.compose("logs", check=False)
            made.compose("down", "--volumes", "--rmi", "all", check=False)
            print(logs)


@pytest.fixture
def own_bots(tmp_path: Path) -> Path:
    """The page's own example."""
    (flow,) = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    (dialplan,) = re.findall(r"```ini\n(.*?)```", DOCS, re.DOTALL)
    (tmp_path / "flow.yaml").write_text(flow)
    (tmp_path / "mine.conf").write_text(dialplan)
    tmp_path.chmod(0o755)  # the services are other users
    return tmp_path


def test_the_first_call_needs_no_other_step(box: Box) -> None:
    # On a machine that is short of time prompts come in pieces, and a piece of one isn't known
    # again. What may not be there is not there on any machine.
    said = box.turnrec("docker", "call", check=False).splitlines()
    looked_at = [line for line in said if "✔" in line or "✘" in line]
    missed = [line for line in looked_at if "✘" in line and "is in the recording" not in line]
    assert len(looked_at) == 10, said
    assert missed == []
    assert any("✔" in line and "is in the recording" in line for line in looked_at)
    assert "PROVEN" in box.proven()


def test_it_says_by_itself_how_to_get_in(box: Box) -> None:
    assert box.turnrec("docker", "access") in box.compose("logs", "--no-log-prefix", "turnrec")


def test_every_command_that_the_page_shows_can_be_given(box: Box) -> None:
    shown = re.findall(r"^\$ docker compose exec (\w+) (.*?)(?:  +#.*)?$", DOCS, re.MULTILINE)
    assert len(shown) >= 7
    if not box.recordings():  # where this test runs alone
        box.turnrec("docker", "call", check=False)
    for service, command in shown:
        if command != "turnrec docker call":  # which has been
            box.compose("exec", "-T", service, *shlex.split(command))


def test_nothing_is_published_beyond_loopback_and_ami_and_agi_are_not_published(box: Box) -> None:
    shown = box.compose("ps", "--format", "json").splitlines()
    published = [port for line in shown for port in json.loads(line)["Publishers"] or ()]
    assert {port["URL"] for port in published} == {"127.0.0.1"}
    first = box.sip_port
    rtp = {(port, "udp") for port in range(first, first + 11)}
    wanted = {(int(box.settings["PBX_PAGE_PORT"]), "tcp"), *rtp}
    assert {(port["PublishedPort"], port["Protocol"]) for port in published} == wanted


@pytest.mark.parametrize("service", ["net", "turnrec", "asterisk"])
def test_a_service_is_an_ordinary_user_who_can_change_nothing_of_the_image(
    box: Box, service: str
) -> None:
    look = (
        "id -u; grep -h -e CapEff -e CapBnd -e NoNewPrivs /proc/1/status; touch /opt/x 2>&1; true"
    )
    uid, *facts = box.compose("exec", "-T", service, "sh", "-c", look).splitlines()
    assert int(uid) >= 1000
    assert facts[:3] == ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"]
    assert "Read-only file system" in facts[3] or "Permission denied" in facts[3]


def test_asterisk_cannot_reach_the_joined_recordings(box: Box) -> None:
    look = ("exec", "-T", "asterisk", "ls", "-A", "/var/lib/turnrec")
    assert box.compose(*look, check=False) == ""


def test_the_page_answers_and_wants_its_key(box: Box) -> None:
    with httpx.Client(base_url=box.page, timeout=30) as client:
        assert "<html" in client.get("/").text
        assert client.get("/v1/recordings").status_code == 401
        bearer = {"Authorization": f"Bearer {box.access()['key']}"}
        assert client.get("/v1/recordings", headers=bearer).status_code == 200


async def test_a_softphone_registers_and_talks(box: Box) -> None:
    registrar = f"sip:127.0.0.1:{box.sip_port}"
    credentials = await asyncio.to_thread(box.credentials)
    async with Phone(user=credentials.username, credentials=credentials) as phone:
        await phone.register(registrar, timeout_s=WAIT_S)
        call = await phone.dial(f"sip:600@127.0.0.1:{box.sip_port}", MediaOptions(Tone(500)))
        await call.wait_heard(500, timeout_s=WAIT_S)
        await call.hang_up()
    wrong = Credentials(credentials.username, "another")
    async with Phone(user=credentials.username, credentials=wrong) as phone:
        with pytest.raises(RegistrationFailedError):
            await phone.register(registrar, timeout_s=WAIT_S)


async def test_a_stop_closes_what_is_recorded_and_ones_own_bot_takes_over(
    box: Box, own_bots: Path
) -> None:
    """`stop` in mid-call: the recording is whole. Then a flow and a dialplan of somebody's own."""
    credentials = await asyncio.to_thread(box.credentials)
    known = {one["id"] for one in await asyncio.to_thread(box.recordings)}
    async with Phone(user=credentials.username, credentials=credentials) as phone:
        await phone.dial(f"sip:1000@127.0.0.1:{box.sip_port}", MediaOptions(Tone(500)))
        await asyncio.to_thread(box.wait_another, known)
        await asyncio.to_thread(box.compose, "stop")
    ended = datetime.now(UTC)
    await asyncio.to_thread(box.up, own_bots)
    (stopped,) = [one for one in await asyncio.to_thread(box.recordings) if one["id"] not in known]
    assert stopped["status"] == "done"
    assert stopped["duration_s"] > 0.1
    assert datetime.fromisoformat(stopped["closed"]) < ended  # not by the next start
    assert "PROVEN" in await asyncio.to_thread(box.proven)
    look = ("exec", "-T", "turnrec", "ls", "-A", "/var/spool/asterisk/turnrec")
    assert await asyncio.to_thread(box.compose, *look) == ""
    # The passwords are those of the first start.
    assert await asyncio.to_thread(box.credentials) == credentials
    async with Phone(user=credentials.username, credentials=credentials) as phone:
        call = await phone.dial(f"sip:3000@127.0.0.1:{box.sip_port}", MediaOptions(Tone(500)))
        await call.wait_heard(predicate=_is_speech, timeout_s=WAIT_S)
        live = json.loads(await asyncio.to_thread(box.turnrec, "calls", "--json"))
        assert [(one["bot"], one["node"], one["state"]) for one in live] == [
            ("mine", "hello", "recording")
        ]
        # turnrec alone ends: nothing of its records on without it.
        monitors = ("exec", "-T", "asterisk", "asterisk", "-rx", "mixmonitor list PJSIP/phone")
        part = "/var/spool/asterisk/turnrec/"
        assert part in await asyncio.to_thread(box.compose, *monitors)
        await asyncio.to_thread(box.compose, "stop", "turnrec")
        assert part not in await asyncio.to_thread(box.compose, *monitors)
        await call.hang_up()


def test_down_leaves_nothing(box: Box) -> None:
    box.compose("down", "--volumes")
    label = f"label=com.docker.compose.project={box.project}"
    for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
        assert box.engine.run(*kind, "--quiet", "--filter", label).stdout == ""
