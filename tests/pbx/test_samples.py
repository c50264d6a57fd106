"""Every command and API sample of the README and the API's page, run as it stands there.

A real Asterisk, a real call, a shell. Lines that a call can't be the place for are named with the
test that runs them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.pbx.rig import WAIT_S, Rig, rig, until
from turnrec.ledger.keys import make_key
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone, Silence, Tone
from turnrec.web.access import Right

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/api.md",
    "docs/dialplan.md",
    "docs/events.md",
    "docs/doctor.md",
    "docs/first-call.md",
    "docs/manifest.md",
    "docs/page.md",
)
ELSEWHERE = {
    "make demo": ("tests/pbx/test_samples.py", "turnrec demo --dir"),
    "make test": (".ci/run", "make test"),
    "turnrec key new": ("tests/unit/verify/test_cli.py", '"key", "new"'),
    "turnrec verify recordings/ --ledger postgresql": (
        "tests/unit/ledger/test_postgresql.py",
        "verify, given",
    ),
    "sudo -u turnrec turnrec doctor": ("tests/pbx/test_doctor.py", "examine("),
}
"""What is run by another test, by how it begins; and how that test says so."""

FLOW = """
version: 1
bots:
  kyc:
    nodes: {greeting: , ask_aadhaar: pause, confirm: resume, goodbye: }
  bank:
    nodes: {welcome: , ask_otp: pause, thank_you: resume}
"""
DIALPLAN = """
[turnrec-tests](+)
exten => waits,1,Answer()
 same => n,Gosub(turnrec-start,s,1(kyc,visit-1))
 same => n,Gosub(turnrec-turn,s,1(greeting))
 same => n,Wait(600)
"""


def samples(page: str) -> list[str]:
    """The commands of a page's console blocks."""
    text = (ROOT / page).read_text("utf-8")
    blocks = re.findall(r"^ *```console\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def run_elsewhere(command: str) -> str | None:
    """The test that runs a command, if it isn't this one."""
    return next((test for begin, (test, _) in ELSEWHERE.items() if command.startswith(begin)), None)


def test_what_is_run_elsewhere_is_run_there() -> None:
    for begin, (test, words) in ELSEWHERE.items():
        assert words in (ROOT / test).read_text("utf-8"), f"{test} doesn't run {begin!r}"


async def test_the_demo_finds_its_voices_and_no_other(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    assert "turnrec demo --dir" in (ROOT / "Makefile").read_text("utf-8")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    status, out = await shell("turnrec demo --dir demo", tmp_path, {**os.environ, "PATH": path})
    assert status == 0, out
    assert out.count("✔") == 10, out


@pytest.mark.parametrize("page", PAGES)
async def test_every_sample_does_what_it_says(
    asterisk_22: Installation, tmp_path: Path, page: str
) -> None:
    commands = [one for one in samples(page) if run_elsewhere(one) is None]
    folder = tmp_path / "rig"
    folder.mkdir()
    make_key(folder / "turnrec.key")
    (folder / "turnrec.key.pub").rename(folder / "turnrec.pub")
    toml = {"ledger": {"signing_key_file": '"turnrec.key"'}}
    async with (
        rig(asterisk_22, folder, FLOW, DIALPLAN, toml=toml) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        first = await phone.dial(f"sip:waits@{here.sip}", MediaOptions(source=Tone(500)))
        await until(lambda: len(here.service.calls.live()) == 1, "a call")
        await first.wait_sent(packets=100, timeout_s=WAIT_S)
        await first.hang_up(WAIT_S)
        (recording,) = await here.recordings(1)
        talk = await phone.dial(f"sip:waits@{here.sip}", MediaOptions(source=Silence()))
        await until(lambda: here.service.calls.search("visit-1") is not None, "another call")
        await signed(here, recording.recording_id)
        environment = surroundings(here, recording.recording_id)
        made = "turnrec export $RECORDING --format flac --out copy.flac"
        status, out = await shell(made, here.folder, environment)
        assert status == 0, out
        names = {
            "2026-11-21/01J.wav": f"recordings/{recording.file}",
            " checkpoints.jsonl": " recordings/checkpoints.jsonl",
        }
        for sample in commands:
            command = sample
            for shown, name in names.items():
                command = command.replace(shown, name)
            status, out = await shell(command, here.folder, environment)
            assert status == 0, f"{page}: {command}\n{out}"
            assert '"type":"turnrec:' not in out, f"{page}: {command}\n{out}"
        await talk.hang_up(WAIT_S)


async def signed(here: Rig, recording_id: str) -> None:
    """Wait until a checkpoint covers the recording's close."""
    entries = await here.service.ledger.entries(recording_id=recording_id, limit=None)
    path = here.service.recordings_dir / "checkpoints.jsonl"

    def reaches() -> int:
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return max((json.loads(line)["seq"] for line in lines), default=0)

    await until(lambda: reaches() >= entries[-1].seq, "a checkpoint of the recording")


def surroundings(here: Rig, recording_id: str) -> dict[str, str]:
    """What the samples take for granted: the commands, a server's address, a key, names."""
    key = here.service.keys.make("samples", frozenset(Right), None, here.service.clock())
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TURNREC_CONFIG": str(here.folder / "turnrec.toml"),
        "API": f"http://127.0.0.1:{here.service.api_port}",
        "KEY": key,
        "CALL": "visit-1",
        "RECORDING": recording_id,
    }


async def shell(command: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode("utf-8", "replace")
