"""A prompt's last bit that waits in MixMonitor's queue is not uncovered when the next turn begins.

MixMonitor takes audio in steps of 20 ms. Where the prompt of a paused turn doesn't end on such a
step, what is left over of it stays queued while the bot is silent, however long that is, and would
be read with the next prompt's first packet. The other tests' prompts are whole steps of 20 ms.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.pbx.callers import FLOW, Caller, connect, dialplan, leaks_of
from tests.pbx.rig import rig, write_tones
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

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
