"""A caller whose number holds line ends: Asterisk writes it into AMI as it came, and nobody's call
is ended, shown or recorded otherwise by what he adds.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.pbx.callers import FLOW, Caller, connect, dialplan, leaks_of, write_prompts
from tests.pbx.rig import WAIT_S, Rig, rig, until
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone, Silence

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

SEEN = "a row of a list was cut by a forged line end"
WAITS = "\n[turnrec-tests](+)\nexten => waits,1,Answer()\n same => n,Wait(600)\n"


def numbers(victim: str, channel: str) -> dict[str, str]:
    """Numbers that add lines, and whole events, about another's call."""
    return {
        "line": f"x\r\nUniqueid: {victim}",
        "lines": f"x\r\nUniqueid: {victim}\r\nLinkedid: {victim}\r\nChannel: {channel}",
        "event": f"x\r\n\r\nEvent: Hangup\r\nUniqueid: {victim}\r\nChannel: {channel}",
        "odd": f"x\r\nUniqueid: {victim}\r\n\r\n\x01\r\n\r\nEvent: Hangup\r\nUniqueid: {victim}",
        "row": "x\r\n\r\nEvent: CoreShowChannelsComplete\r\nActionID: action/1/1/1\r\nA: b",
    }


async def test_a_caller_with_line_ends_in_his_number_ends_nobodys_call(
    asterisk: Installation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    steps = dialplan("start", "open", "ask", "Gosub(bot,wait,1)", "open", "ask").replace(
        "[bot]\n", "[bot]\nexten => wait,1,AGI(${MARK}/mark?waiting&${WHO})\n same => n,Return()\n"
    )
    async with rig(asterisk, tmp_path, FLOW, steps + WAITS) as here:
        write_prompts(here)
        async with Phone(clock=MediaClock()) as phone:
            victim = Caller(here, "test-segment")
            victim.hold_at("waiting")
            await connect(here, phone, victim)
            await victim.reached("waiting")
            (call,) = here.service.calls.live()
            forged = numbers(call.uniqueid, call.channel)
            for user in forged.values():
                await calls_and_leaves(here, user)
            # Rows of lists, which no filter holds back, show the same numbers.
            async with Phone(clock=MediaClock(), user=quote(forged["event"], safe="")) as evil:
                talk = await evil.dial(f"sip:waits@{here.sip}", MediaOptions(source=Silence()))
                before = caplog.text.count(SEEN)
                await until(lambda: caplog.text.count(SEEN) > before + 1, "two sweeps")
                await talk.hang_up(WAIT_S)
            assert here.service.calls.find(call.uniqueid) is call
            victim.let_on()
            await victim.reaches_the_end()
        await here.recordings(1)
        assert victim.statuses("start", "open", "ask") == ["OK"] * 5
        assert leaks_of(here) == []


async def calls_and_leaves(here: Rig, user: str) -> None:
    """Call with such a number; wait until Asterisk has said that the caller is gone."""
    async with Phone(clock=MediaClock(), user=quote(user, safe="")) as phone:
        talk = await phone.dial(f"sip:waits@{here.sip}", MediaOptions(source=Silence()))
        await talk.hang_up(WAIT_S)
