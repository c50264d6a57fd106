"""The leak suite: paused turns sound 1000 and 1300 Hz, and neither may be in any file.

The caller talks across every boundary: 1300 Hz from the instant the pause is confirmed to the
instant the next turn is asked for, 500 Hz the rest of the time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.pbx.rig import OPEN_PROMPT, PAUSED_PROMPT, Rig, rig, write_tones
from tests.pbx.tones import OPEN_BOT_HZ, OPEN_CALLER_HZ, Leak, leaks, presence, read_wav
from turnrec.asterisk.channel import AmiChannel, Channel
from turnrec.asterisk.mixmonitor import MuteDriver, SegmentDriver
from turnrec.asterisk.paths import Ways
from turnrec.core.monitor import Ended, Monitor
from turnrec.core.policy import PauseMethod
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone, Tone

pytestmark = pytest.mark.pbx

OPEN_S, PAUSED_S, PROCESSING_S = 3.0, 1.2, 0.6
TURNS_A_CALL = 5
CALLS_A_METHOD = 21
PRESENT_SHARE = 0.99

FLOW = """
version: 1
defaults: {guard_ms: 80}
bots:
  segment:
    nodes: {open: resume, ask: pause}
  mute:
    pause_method: mute
    nodes: {open: resume, ask: pause}
  skip:
    pause_behavior: skip
    nodes: {open: resume, ask: pause}
"""

DIALPLAN = f"""
[turnrec-tests](+)
exten => _leak-.,1,Answer()
 same => n,Set(BOT=${{CUT(EXTEN,-,2)}})
 same => n,Set(LEFT={TURNS_A_CALL})
 same => n,Gosub(turnrec-start,s,1(${{BOT}}))
 same => n(open),Gosub(turnrec-turn,s,1(open))
 same => n,AGI(${{MARK}}/mark,open:${{TURNREC_STATUS}})
 same => n,Playback(${{SOUNDS}}/{OPEN_PROMPT})
 same => n,AGI(${{MARK}}/mark,asking)
 same => n,GotoIf($[${{LEFT}} = 0]?end)
 same => n,Gosub(turnrec-turn,s,1(ask))
 same => n,AGI(${{MARK}}/mark,paused:${{TURNREC_STATUS}})
 same => n,Playback(${{SOUNDS}}/{PAUSED_PROMPT})
 same => n,Wait({PROCESSING_S})
 same => n,Set(LEFT=$[${{LEFT}} - 1])
 same => n,AGI(${{MARK}}/mark,resuming)
 same => n,Goto(open)
 same => n(end),Hangup()
"""


@dataclass
class Caller:
    """A caller whose tone follows the bot's turns, and the time he was to be heard."""

    open_s: float = 0.0
    paused_turns: int = 0
    problems: list[str] = field(default_factory=list)


async def talk(here: Rig, phone: Phone, extension: str) -> Caller:
    """Call the bot and talk to it without a pause until it hangs up."""
    caller = Caller()
    clock = asyncio.get_running_loop().time
    opened_at: list[float] = []

    async def on_mark(_extension: str, word: str) -> None:
        name, _, status = word.partition(":")
        if status and status != "OK":
            caller.problems.append(word)
        if name == "open":
            opened_at.append(clock())
        elif name == "asking":
            caller.open_s += clock() - opened_at.pop()
        elif name == "paused":
            caller.paused_turns += 1
            call.source = Tone(1300)
        else:
            call.source = Tone(500)

    here.marks[extension] = on_mark
    media = MediaOptions(source=Tone(500), keep_chunks=10)
    call = await phone.dial(f"sip:{extension}@{here.sip}", media)
    await call.wait_ended(timeout_s=120)
    return caller


async def call_all(here: Rig, bots: dict[str, int]) -> list[Caller]:
    """Have many callers talk to each bot at once."""
    async with Phone(clock=MediaClock()) as phone:
        extensions = [f"leak-{bot}-{n:02d}" for bot, count in bots.items() for n in range(count)]
        return list(
            await asyncio.gather(*(talk(here, phone, extension) for extension in extensions))
        )


def tones_in(folder: Path) -> None:
    write_tones(folder, {400: OPEN_S, 1000: PAUSED_S})


def leaks_in(here: Rig, recording: RecordingRecord) -> list[tuple[str, Leak]]:
    """Every paused tone in the joined file and in each part as Asterisk left it."""
    files = [here.file(recording), *here.parts(recording)]
    return [
        (path.name, leak)
        for path in files
        for channel in read_wav(path).channels
        for leak in leaks(channel)
    ]


async def test_no_window_of_a_paused_turn_is_recorded_and_open_turns_are(
    asterisk: Installation, tmp_path: Path
) -> None:
    bots = {"segment": CALLS_A_METHOD, "mute": CALLS_A_METHOD, "skip": 2}
    async with rig(asterisk, tmp_path, FLOW, DIALPLAN) as here:
        tones_in(tmp_path / "sounds")
        callers = await call_all(here, bots)
        recordings = await here.recordings(sum(bots.values()))

        assert [caller.problems for caller in callers] == [[]] * len(callers)
        assert len(recordings) == sum(bots.values())
        assert all(one.status == "done" for one in recordings)
        found = [leak for one in recordings for leak in leaks_in(here, one)]
        assert found == []

        per_bot: dict[str, list[RecordingRecord]] = {bot: [] for bot in bots}
        for one in recordings:
            per_bot[one.bot or ""].append(one)
        for index, bot in enumerate(bots):
            first = sum(list(bots.values())[:index])
            spoke = callers[first : first + bots[bot]]
            turns = sum(caller.paused_turns for caller in spoke)
            assert turns == bots[bot] * TURNS_A_CALL
            heard = {OPEN_BOT_HZ: 0.0, OPEN_CALLER_HZ: 0.0}
            for one in per_bot[bot]:
                for hz, seconds in presence(read_wav(here.file(one)).channels[0]).items():
                    heard[hz] += seconds
            said = {
                OPEN_BOT_HZ: bots[bot] * (TURNS_A_CALL + 1) * OPEN_S,
                OPEN_CALLER_HZ: sum(caller.open_s for caller in spoke),
            }
            shares = {hz: heard[hz] / said[hz] for hz in said}
            print(f"{bot}: {turns} paused turns, heard {shares}")
            assert all(share >= PRESENT_SHARE for share in shares.values()), (bot, shares)


class _AnswersTooEarly(SegmentDriver):
    """The defect that the product exists to avoid: it says paused before Asterisk has done it."""

    def __init__(self, channel: Channel, ways: Ways) -> None:
        super().__init__(channel, ways.spool, ways.clock)
        self._ami = AmiChannel(ways.ami, channel.name, channel.uniqueid)
        self._ways = ways

    async def end(self, monitor: Monitor) -> Ended:
        async def stop_later() -> None:
            # One packet and a half after the answer: what an event-driven pause does.
            await self._ami.pass_time(30)
            await self._ami.stop_monitor(monitor.id)

        late.append(asyncio.create_task(stop_later()))
        now_us = self._ways.clock()
        return Ended(now_us, now_us, "none")


late: list[asyncio.Task[None]] = []


class _HastyWays(Ways):
    def driver(self, channel: Channel, method: PauseMethod) -> SegmentDriver | MuteDriver:
        return _AnswersTooEarly(channel, self)


async def test_answering_before_asterisk_has_is_seen_as_a_leak(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with rig(asterisk_22, tmp_path, FLOW, DIALPLAN, make_ways=_HastyWays) as here:
        tones_in(tmp_path / "sounds")
        callers = await call_all(here, {"segment": 1})
        (recording,) = await here.recordings(1)
        await asyncio.gather(*late)
        leaked = {leak.hz for _, leak in leaks_in(here, recording)}
    assert callers[0].paused_turns == TURNS_A_CALL
    assert leaked == {1000, 1300}
