"""Announced agents: Dial's U() and Queue's gosub, each policy, on real calls.

The bot sounds 400 Hz, the caller 500, the agent 1700. What a policy keeps out is in no file: the
agent's voice, and the caller's while they talk.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.pbx.rig import Rig, rig, write_tones
from tests.pbx.tones import leaks, presence, read_wav
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaOptions, Phone, Tone

pytestmark = pytest.mark.pbx

AGENT_HZ, CALLER_HZ, CALLER_TO_AGENT_HZ, BOT_HZ = 1700, 500, 1300, 400
BOT_S, TALK_S = 1.0, 2.0

FLOW = """
version: 1
bots:
  kyc: {nodes: {open: resume, ask: pause}}
  private: {agent: never, nodes: {open: resume, ask: pause}}
  kept: {agent_off: pause, nodes: {open: resume, ask: pause}}
"""

# talk-HOW-BOT-POLICY-NODE-PORT: the agent's phone listens on PORT. The policy is announced once,
# before the transfer; where nothing is (HOW is "announced"), it comes with the agent's leg.
# Queue's gosub is argument 7 on 22 and 8 on 16.
DIALPLAN = """
[turnrec-tests](+)
exten => _talk-.,1,Answer()
 same => n,Set(HOW=${CUT(EXTEN,-,2)})
 same => n,Set(POLICY=${CUT(EXTEN,-,4)})
 same => n,Set(AGENT=PJSIP/tester/sip:agent@127.0.0.1:${CUT(EXTEN,-,6)})
 same => n,Gosub(turnrec-start,s,1(${CUT(EXTEN,-,3)}))
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,Playback(${SOUNDS}/bot400)
 same => n,Gosub(turnrec-turn,s,1(${CUT(EXTEN,-,5)}))
 same => n,GotoIf($["${HOW}" = "leg"]?leg)
 same => n,Gosub(turnrec-agent-pre,s,1(${POLICY}))
 same => n,AGI(${MARK}/mark,announced)
 same => n,GotoIf($["${HOW}" = "queue"]?queue)
 same => n,Dial(${AGENT},30,gU(turnrec-agent))
 same => n,Goto(back)
 same => n(leg),Dial(${AGENT},30,gU(turnrec-agent^${POLICY}))
 same => n,Goto(back)
 same => n(queue),AddQueueMember(${CUT(EXTEN,-,1-5)},${AGENT},,,agent,PJSIP/tester)
 same => n,GotoIf($["${RELEASE}" = "16"]?sixteen)
 same => n,Queue(${CUT(EXTEN,-,1-5)},c,,,20,,turnrec-agent)
 same => n,Goto(back)
 same => n(sixteen),Queue(${CUT(EXTEN,-,1-5)},c,,,20,,,turnrec-agent)
 same => n(back),AGI(${MARK}/mark,back)
 same => n,Gosub(turnrec-bot,s,1)
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,Playback(${SOUNDS}/bot400)
 same => n,Hangup()
"""


async def talk_to_an_agent(here: Rig, extension: str) -> str:
    """Call, be put through, talk for TALK_S, go back to the bot; return the call's id."""
    async with Phone() as caller, Phone(user="agent") as agent:
        dialled = f"{extension}-{agent.port}"

        async def on_mark(_extension: str, word: str) -> None:
            call.source = Tone(CALLER_TO_AGENT_HZ if word == "announced" else CALLER_HZ)
            if word != "announced":
                # What was said to the agent must be over for longer than any guard, by packets.
                await call.wait_sent(packets=10, timeout_s=30)

        here.marks[dialled] = on_mark
        call = await caller.dial(f"sip:{dialled}@{here.sip}", MediaOptions(source=Tone(CALLER_HZ)))
        leg = await agent.incoming(30)
        await leg.answer(Tone(AGENT_HZ))
        if "-leg-" in extension:
            # Until the agent's leg is confirmed, the bot's rules hold for the wait.
            await leg.wait_heard(CALLER_HZ, timeout_s=30)
            call.source = Tone(CALLER_TO_AGENT_HZ)
        await leg.wait_heard(CALLER_TO_AGENT_HZ, timeout_s=30)
        await call.wait_heard(AGENT_HZ, timeout_s=30)
        await leg.wait_sent(round(TALK_S * 50), timeout_s=30)
        await leg.hang_up()
        await call.wait_ended(timeout_s=30)
    return dialled


async def talk(
    installation: Installation, folder: Path, extensions: list[str], recordings: int
) -> AsyncIterator[tuple[Rig, str, list[RecordingRecord]]]:
    """Have all these calls at once; give each with its recordings."""
    queues = "\n".join(
        f"[{extension}]\nstrategy = ringall\njoinempty = yes\nretry = 1\n"
        for extension in extensions
        if "-queue-" in extension
    )
    async with rig(installation, folder, FLOW, DIALPLAN, queues=queues) as here:
        write_tones(here.folder / "sounds", {BOT_HZ: BOT_S})
        await here.rx(f"dialplan set global RELEASE {here.pbx.release.value}")
        channels = await asyncio.gather(*(talk_to_an_agent(here, one) for one in extensions))
        closed = await here.recordings(recordings * len(extensions))
        by_call = defaultdict(list)
        for one in closed:
            by_call[one.call_id].append(one)
        assert len(by_call) == len(channels)
        for found in by_call.values():
            yield here, str(found[0].call_id), found


def seconds(here: Rig, recordings: list[RecordingRecord], hz: int) -> float:
    """How long a tone sounds in all of a call's files."""
    files = [here.file(one) for one in recordings if one.file]
    return sum(presence(read_wav(file).channels[0], tones_hz=(hz,))[hz] for file in files)


def leaked(here: Rig, recordings: list[RecordingRecord]) -> list[object]:
    """Every window of the talk in any file or part."""
    files = [here.file(one) for one in recordings if one.file]
    files += [part for one in recordings for part in here.parts(one)]
    tones = (AGENT_HZ, CALLER_TO_AGENT_HZ)
    return [leak for file in files for leak in leaks(read_wav(file).channels[0], tones_hz=tones)]


def dialled(bot: str, policy: str) -> list[str]:
    """Each way to an agent, from an open and from a paused turn."""
    return [
        f"talk-{how}-{bot}-{policy}-{node}"
        for how in ("leg", "pre", "queue")
        for node in ("open", "ask")
    ]


async def test_an_agent_whose_talk_is_not_to_be_recorded_is_in_no_file(
    asterisk: Installation, tmp_path: Path
) -> None:
    async for here, call, found in talk(asterisk, tmp_path, dialled("kyc", "off"), 2):
        assert leaked(here, found) == [], call
        assert seconds(here, found, BOT_HZ) == pytest.approx(2 * BOT_S, abs=0.3), call
        assert [one.status for one in found] == ["done", "done"], call


async def test_an_agent_whose_talk_is_to_be_recorded_is_in_the_one_file(
    asterisk: Installation, tmp_path: Path
) -> None:
    async for here, call, found in talk(asterisk, tmp_path, dialled("kyc", "on"), 1):
        # The settling time of a new party is not recorded (test_talks.py judges the rest of it).
        assert seconds(here, found, AGENT_HZ) >= TALK_S * 0.75, call
        assert seconds(here, found, BOT_HZ) == pytest.approx(2 * BOT_S, abs=0.3), call


async def test_never_is_lifted_by_no_override(asterisk_22: Installation, tmp_path: Path) -> None:
    async for here, call, found in talk(asterisk_22, tmp_path, dialled("private", "on"), 2):
        assert leaked(here, found) == [], call


async def test_off_with_pause_keeps_one_recording(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async for here, call, found in talk(asterisk_22, tmp_path, dialled("kept", "off"), 1):
        assert leaked(here, found) == [], call
        assert seconds(here, found, BOT_HZ) == pytest.approx(2 * BOT_S, abs=0.3), call
