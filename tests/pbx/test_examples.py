"""The examples (examples/), their very files, on a real Asterisk: not one window of a paused turn.

Every bot asks the same: a welcome (400 Hz), which a key ends; the paused question for a code
(1000 Hz), which four keys end; a thank-you (400 Hz), in which the caller hangs up. The caller hears
each, says 500 or 1300 Hz into it, falls back to 2700 Hz, and only then keys: nothing depends on how
fast the machine is.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.pbx.http_bots import make_key
from tests.pbx.mouth import Mouth
from tests.pbx.process import free_port
from tests.pbx.rig import WAIT_S, Rig, rig, write_tones
from tests.pbx.tones import (
    BETWEEN_CALLER_HZ,
    OPEN_BOT_HZ,
    OPEN_CALLER_HZ,
    PAUSED_BOT_HZ,
    PAUSED_CALLER_HZ,
    leaks,
    presence,
    read_wav,
)
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation, Release
from turnrec.pbx.phone import CallEndedError, MediaClock, MediaOptions, OutgoingCall, Phone
from turnrec.pbx.phone.sources import PACKET_MS
from turnrec.web.access import Right

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DIALPLANS = (
    "dialplan/extensions.conf",
    "pyst2/extensions.conf",
    "agi-script/extensions.conf",
    "audiosocket/extensions.conf",
    "freepbx/freepbx-stand-in.conf",
    "freepbx/extensions_custom.conf",
)
PROMPTS = {"welcome": OPEN_BOT_HZ, "ask-otp": PAUSED_BOT_HZ, "thank-you": OPEN_BOT_HZ}
PROMPT_S = 20.0
"""Longer than anybody listens."""
SAID_PACKETS = 50
"""1 s: how long the caller says something in each turn."""
SETTLED_PACKETS = 5
PRESENT_SHARE = 0.95
DIALPLAN = "7001"
PYST2 = "7002"
AGI_SCRIPT = "7003"
AUDIOSOCKET = "7004"
FREEPBX_ROUTE = "7005"
FREEPBX_QUEUE = "7006"
BARE = "7010"
"""Not an example: the AGI script alone, with nothing in the dialplan that guards it."""
FORGETFUL = "7009"
"""Not an example: the pyst2 bot with an SDK that says OK to every turn and asks for none."""

QUEUES = "[7400]\nstrategy = ringall\njoinempty = yes\n"
FORGETS = """
from turnrec.bots import agi
from turnrec.bots.turn import Turn
agi.AgiCall.turn = lambda self, node: Turn("recording", "", node)
"""


def dialplan(folder: Path) -> str:
    """The examples' files, and what their readers have of their own."""
    includes = [f'#include "{EXAMPLES / name}"' for name in DIALPLANS]
    contexts = ("dialplan", "pyst2", "agi-script", "audiosocket")
    return "\n".join(
        [
            "[globals]",
            f"MIXMON_DIR = {folder}/monitor/",
            "MIXMON_FORMAT = wav",
            *includes,
            "[turnrec-tests](+)",
            *(f"include => bank-{name}" for name in contexts),
            "include => ext-did-0002",
            f"exten => {FORGETFUL},1,Answer()",
            " same => n,AGI(forgetful.py,${SOUNDS})",
            " same => n,Hangup()",
            f"exten => {BARE},1,Answer()",
            " same => n,AGI(turnrec-agi,start,bank)",
            " same => n,AGI(turnrec-turn.py,welcome)",
            " same => n,Read(CHOICE,${SOUNDS}/welcome,1,,1,20)",
            " same => n,AGI(turnrec-turn.py,ask_otp)",
            " same => n,Read(OTP,${SOUNDS}/ask-otp,4,,1,20)",
            " same => n,AGI(turnrec-turn.py,thank_you)",
            " same => n,Playback(${SOUNDS}/thank-you)",
            " same => n,Hangup()",
        ]
    )


def install_scripts(here: Rig) -> Path:
    """Put into agi-bin what an operator puts there; return the folder."""
    folder = here.pbx.run_dir / "agi-bin"
    bot = f"import runpy\nrunpy.run_path({str(EXAMPLES / 'pyst2/bot.py')!r}, run_name='__main__')\n"
    script = "import sys\nfrom turnrec.bots.agi_script import main\nsys.exit(main())\n"
    for name, text in {
        "bank-bot.py": bot,
        "forgetful.py": FORGETS + bot,
        "turnrec-agi": script,
    }.items():
        (folder / name).write_text(f"#!{sys.executable}\n{text}", "utf-8")
        (folder / name).chmod(0o755)
    (folder / "turnrec-turn.py").symlink_to("turnrec-agi")
    return folder


@asynccontextmanager
async def house(installation: Installation, folder: Path) -> AsyncIterator[Rig]:
    """A PBX with all examples, and turnrec."""
    flow = (EXAMPLES / "flow.yaml").read_text("utf-8")
    async with rig(installation, folder, flow, dialplan(folder), queues=QUEUES) as here:
        sounds = folder / "sounds"
        write_tones(sounds, {OPEN_BOT_HZ: PROMPT_S, PAUSED_BOT_HZ: PROMPT_S})
        for name, hz in PROMPTS.items():
            (sounds / f"{name}.wav").hardlink_to(sounds / f"bot{hz}.wav")
        install_scripts(here)
        yield here


@asynccontextmanager
async def audiosocket_bot(here: Rig) -> AsyncIterator[None]:
    """Have the example's bot listen, as its README says."""
    address = f"127.0.0.1:{free_port()}"
    bot = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / "audiosocket/bot.py"),
        address,
        f"http://127.0.0.1:{here.service.api_port}",
        str(here.folder / "sounds"),
        env={**os.environ, "TURNREC_KEY": make_key(here, Right.BOT, bots=frozenset({"bank"}))},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert bot.stderr is not None
        assert await bot.stderr.readline() == f"AudioSocket on {address}\n".encode()
        await here.rx(f"dialplan set global BOT_ADDRESS {address}")
        yield
    finally:
        bot.terminate()
        await bot.wait()


async def nothing() -> None:
    """Do nothing between the welcome and the question."""


@dataclass
class Visit:
    """One caller's call."""

    here: Rig
    extension: str
    before_the_question: Callable[[], Awaitable[None]] = nothing
    mouth: Mouth = field(default_factory=Mouth)
    heard: list[int] = field(default_factory=list)
    """The bot's prompts, in order."""

    async def talk(self, phone: Phone) -> None:
        """Call the bot, answer what it asks, and hang up in its last word."""
        media = MediaOptions(source=self.mouth.tone(BETWEEN_CALLER_HZ), keep_chunks=10)
        call = await phone.dial(f"sip:{self.extension}@{self.here.sip}", media, timeout_s=WAIT_S)
        await self._hears(call, OPEN_BOT_HZ)
        await self._says(call, OPEN_CALLER_HZ)
        await self.before_the_question()
        try:
            await call.send_digits("1")
            await self._hears(call, PAUSED_BOT_HZ)
        except CallEndedError:
            return  # a bot that may not ask hangs up
        await self._says(call, PAUSED_CALLER_HZ)
        await call.send_digits("4711")
        await self._hears(call, OPEN_BOT_HZ)
        await self._says(call, OPEN_CALLER_HZ)
        await call.hang_up(WAIT_S)

    async def _hears(self, call: OutgoingCall, hz: int) -> None:
        await call.wait_heard(hz, timeout_s=WAIT_S)
        self.heard.append(hz)

    async def _says(self, call: OutgoingCall, hz: int) -> None:
        call.source = self.mouth.tone(hz)
        await call.wait_sent(SAID_PACKETS, timeout_s=WAIT_S)
        call.source = self.mouth.tone(BETWEEN_CALLER_HZ)
        await call.wait_sent(SETTLED_PACKETS, timeout_s=WAIT_S)


async def talk_all(visits: list[Visit]) -> None:
    """Have all of them talk at once."""
    async with Phone(clock=MediaClock()) as phone:
        await asyncio.gather(*(one.talk(phone) for one in visits))


def leaks_of(here: Rig, recording: RecordingRecord) -> set[int]:
    """The paused tones in a recording's file and parts."""
    files = [here.file(recording), *here.parts(recording)]
    return {one.hz for file in files for one in leaks(read_wav(file).channels[0])}


def is_there(file: Path, visits: list[Visit], turns: int) -> None:
    """Hold what a file has of the open turns against what was said in so many of them."""
    heard = presence(read_wav(file).channels[0])
    late_s = max(one.mouth.late_s(OPEN_CALLER_HZ) + one.mouth.stalled_s for one in visits)
    said_s = turns * SAID_PACKETS * PACKET_MS / 1000
    # The bot speaks as long as the caller does, and a little longer.
    for hz in (OPEN_BOT_HZ, OPEN_CALLER_HZ):
        assert heard[hz] >= PRESENT_SHARE * said_s - 3 * late_s, (file.name, hz, heard, late_s)


async def test_no_example_records_a_window_of_a_paused_turn_and_each_records_the_open_ones(
    asterisk: Installation, tmp_path: Path
) -> None:
    is_22 = asterisk.release is Release.V22
    extensions = [DIALPLAN, PYST2, AGI_SCRIPT, FREEPBX_ROUTE, FREEPBX_QUEUE]
    async with house(asterisk, tmp_path) as here, AsyncExitStack() as stack:
        if is_22:
            extensions.append(AUDIOSOCKET)
            await stack.enter_async_context(audiosocket_bot(here))
        visits = [Visit(here, one) for one in extensions]
        await talk_all(visits)
        recordings = await here.recordings(len(visits))

        assert [one.heard for one in visits] == [[400, 1000, 400]] * len(visits)
        for visit in visits:
            assert visit.mouth.said[PAUSED_CALLER_HZ] >= SAID_PACKETS, "nobody spoke"
        assert [one.status for one in recordings] == ["done"] * len(visits)
        assert [leaks_of(here, one) for one in recordings] == [set()] * len(visits)
        for recording in recordings:
            is_there(here.file(recording), visits, turns=2)
            assert [one.node for one in recording.gaps if one.node] == ["ask_otp"]

        # What FreePBX itself has recorded, from its inbound route on and from its queue on. On 16 a
        # mute would reach one recorder of several: there it is stopped, and has the first turn.
        theirs = sorted((tmp_path / "monitor").rglob("*.wav"))
        assert [one.name.partition("-")[0] for one in theirs] == ["in", "q"]
        for file in theirs:
            assert leaks(read_wav(file).channels[0]) == []
            is_there(file, visits, turns=2 if is_22 else 1)

        assert "Traceback" not in (here.pbx.run_dir / "log" / "console").read_text("utf-8")

        # The same test, on a bot whose SDK doesn't wait for turnrec: it does hear a leak.
        forgetful = Visit(here, FORGETFUL)
        await talk_all([forgetful])
        leaky = (await here.recordings(len(visits) + 1))[-1]
        assert leaks_of(here, leaky) == {PAUSED_BOT_HZ, PAUSED_CALLER_HZ}


async def test_an_example_whose_turnrec_goes_away_in_mid_call_records_nothing_more(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with house(asterisk_22, tmp_path) as here:
        scripts = here.pbx.run_dir / "agi-bin"
        extensions = [DIALPLAN, PYST2, AGI_SCRIPT, BARE]
        together = asyncio.Barrier(len(extensions))

        async def turnrec_goes() -> None:
            await together.wait()
            # Nobody listens on the discard port. All find the door shut.
            await here.point_at(9)

        visits = [Visit(here, one, turnrec_goes) for one in extensions]
        await talk_all(visits)
        assert [one.heard for one in visits] == [
            [400, 1000, 400],  # a dialplan goes on unrecorded
            [400],  # the bot written with pyst2 prefers to hang up
            [400, 1000, 400],
            [400, 1000, 400],
        ]
        await here.recordings(len(visits))

        async def script_goes() -> None:
            (scripts / "turnrec-agi").unlink()

        await here.point_at(here.service.agi_port)
        visits.append(Visit(here, AGI_SCRIPT, script_goes))
        await talk_all(visits[-1:])
        assert visits[-1].heard == [400, 1000, 400]
        recordings = await here.recordings(len(visits))

        assert [leaks_of(here, one) for one in recordings] == [set()] * len(visits)
        for recording in recordings:
            is_there(here.file(recording), visits, turns=1)
