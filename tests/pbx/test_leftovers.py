"""A prompt's last bit that waits in MixMonitor's queue is not uncovered when the next turn begins.

MixMonitor takes audio in steps of 20 ms. Where the prompt of a paused turn doesn't end on such a
step, what is left over of it stays queued while the bot is silent, however long that is, and would
be read with the next prompt's first packet. The other tests' prompts are whole steps of 20 ms.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.pbx.callers import (
    FLOW,
    OPEN_S,
    Caller,
    connect,
    dialplan,
    heard,
    leaks_of,
    least_s,
)
from tests.pbx.rig import WAIT_S, rig, write_tones
from tests.pbx.tones import OPEN_BOT_HZ
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone, Stopped

pytestmark = pytest.mark.pbx

BOT = dialplan("start", "open", "ask", "open", "ask", "open")


@pytest.mark.parametrize("over_ms", [4, 10, 19])
async def test_what_is_left_over_of_a_paused_prompt_is_never_heard(
    asterisk: Installation, tmp_path: Path, over_ms: int
) -> None:
    async with (
        rig(asterisk, tmp_path, FLOW, BOT) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_tones(here.folder / "sounds", {400: 0.5, 1000: 0.4 + over_ms / 1000})
        callers = [Caller(here, f"test-{bot}-{n}") for bot in ("segment", "mute") for n in range(3)]
        await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        recordings = await here.recordings(len(callers))
        found = leaks_of(here)
        assert {recording.status for recording in recordings} == {"done"}
        assert found == [], found


WIDE = """
[wide](local)
timers = no
disallow = all
allow = g722
"""
OVER_A_LEG_OF_G722 = """
exten => _wide-.,1,Answer()
 same => n,Dial(PJSIP/wide/sip:${EXTEN:5}@${CHANNEL(pjsip,local_addr)},10)
 same => n,Hangup()
"""


class QuietCaller(Caller):
    """Falls silent in the middle of each question, and speaks again once the next turn is open."""

    async def _on_mark(self, extension: str, word: str) -> None:
        await super()._on_mark(extension, word)
        match word.split(":")[0]:
            case "ask":
                await self.call.wait_sent(packets=5, timeout_s=WAIT_S)
                self.call.source = Stopped()
            case "opening":
                self.call.source = Stopped()
            case "open":
                self.call.source = self.mouth.tone(500)


async def test_what_is_left_over_of_a_caller_who_fell_silent_is_never_heard(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    # G.722's 16 kHz come down to 8 kHz in pieces that are no steps of 20 ms, either direction.
    async with (
        rig(asterisk_22, tmp_path, FLOW, BOT + OVER_A_LEG_OF_G722, pjsip=WIDE) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_tones(here.folder / "sounds", {400: OPEN_S, 1000: 0.4})
        callers = [
            QuietCaller(here, f"test-{bot}-{n}") for bot in ("segment", "mute") for n in range(3)
        ]
        for caller in callers:
            media = MediaOptions(source=caller.mouth.tone(500), keep_chunks=10)
            uri = f"sip:wide-{caller.extension}@{here.sip}"
            caller._call = await phone.dial(uri, media, timeout_s=WAIT_S)
            caller._dialled.set()
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        recordings = await here.recordings(len(callers))
        found = leaks_of(here)
        assert found == [], found
        for recording in recordings:
            # What can't be muted without a rest is ended, and its turns are there all the same.
            assert recording.status == "done"
            said = heard([here.file(recording)])[OPEN_BOT_HZ]
            assert said >= least_s(3 * OPEN_S, recording, callers), recording
