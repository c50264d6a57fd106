"""The leak suite: paused turns sound 1000 and 1300 Hz, and neither may be in any file.

The caller talks across every boundary: 1300 Hz from the instant the pause is confirmed to the
instant the next turn is asked for, 500 Hz from the instant that one is confirmed until the bot has
said its prompt, 2700 Hz between the two. What was said is counted in packets on the wire, not in
seconds of anybody's clock: a slow machine changes how much is said, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.pbx.mouth import Mouth
from tests.pbx.rig import OPEN_PROMPT, PAUSED_PROMPT, WAIT_S, Rig, rig, until, write_tones
from tests.pbx.tones import (
    BETWEEN_CALLER_HZ,
    OPEN_BOT_HZ,
    OPEN_CALLER_HZ,
    PAUSED_BOT_HZ,
    PAUSED_CALLER_HZ,
    Leak,
    leaks,
    presence,
    read_wav,
)
from turnrec.asterisk.channel import AmiChannel, Channel
from turnrec.asterisk.mixmonitor import MuteDriver, SegmentDriver
from turnrec.asterisk.paths import Ways
from turnrec.core.monitor import Ended, Monitor
from turnrec.core.policy import PauseMethod
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, OutgoingCall, Phone

pytestmark = pytest.mark.pbx

OPEN_S, PAUSED_S, PROCESSING_S = 3.0, 1.2, 0.6
TURNS_A_CALL = 5
CALLS_A_METHOD = 21
PRESENT_SHARE = 0.99
CALL_S = 180.0
"""How long a call may take before the test fails."""

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


ARRIVED_PACKETS = 3
"""Once so many later ones are on the wire, an open turn's packets have long been Asterisk's."""


@dataclass
class Caller:
    """A caller whose tone follows the bot's turns."""

    call: asyncio.Future[OutgoingCall]
    mouth: Mouth = field(default_factory=Mouth)
    paused_turns: int = 0
    problems: list[str] = field(default_factory=list)

    async def on_mark(self, _extension: str, word: str) -> None:
        """Say what the bot's turn asks for."""
        call = await asyncio.shield(self.call)
        name, _, status = word.partition(":")
        if status and status != "OK":
            self.problems.append(word)
        if name == "open":
            call.source = self.mouth.tone(OPEN_CALLER_HZ)
        elif name == "paused":
            self.paused_turns += 1
            call.source = self.mouth.tone(PAUSED_CALLER_HZ)
        else:
            call.source = self.mouth.tone(BETWEEN_CALLER_HZ)
        if name == "asking":
            # The pause is asked for when all that was said in the open turn is with Asterisk.
            await call.wait_sent(ARRIVED_PACKETS, timeout_s=WAIT_S)


def make_caller() -> Caller:
    return Caller(asyncio.get_running_loop().create_future())


async def talk(here: Rig, phone: Phone, extension: str, caller: Caller) -> None:
    """Call the bot and talk to it without a pause until it hangs up."""
    here.marks[extension] = caller.on_mark
    media = MediaOptions(source=caller.mouth.tone(BETWEEN_CALLER_HZ), keep_chunks=10)
    call = await phone.dial(f"sip:{extension}@{here.sip}", media, timeout_s=WAIT_S)
    caller.call.set_result(call)
    await call.wait_ended(timeout_s=CALL_S)


async def call_all(here: Rig, bots: dict[str, int]) -> dict[str, list[Caller]]:
    """Have many callers talk to each bot at once."""
    callers = {bot: [make_caller() for _ in range(count)] for bot, count in bots.items()}
    async with Phone(clock=MediaClock()) as phone:
        await asyncio.gather(
            *(
                talk(here, phone, f"leak-{bot}-{number:02d}", caller)
                for bot, theirs in callers.items()
                for number, caller in enumerate(theirs)
            )
        )
    return callers


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

        problems = [one.problems for theirs in callers.values() for one in theirs]
        assert problems == [[]] * sum(bots.values())
        assert len(recordings) == sum(bots.values())
        assert all(one.status == "done" for one in recordings)
        found = [leak for one in recordings for leak in leaks_in(here, one)]
        assert found == []
        for bot, theirs in callers.items():
            spoken = {one.said_s(PAUSED_CALLER_HZ) > PAUSED_S for one in mouths(theirs)}
            assert spoken == {True}, "nobody spoke in the paused turns"
            turns = sum(caller.paused_turns for caller in theirs)
            assert turns == bots[bot] * TURNS_A_CALL
            of_bot = [one for one in recordings if one.bot == bot]
            print(f"{bot}: {turns} paused turns, {open_audio_is_there(here, theirs, of_bot)}")


def mouths(callers: list[Caller]) -> list[Mouth]:
    return [caller.mouth for caller in callers]


def uncertain_s(here: Rig, recording: RecordingRecord) -> float:
    """By how much its segments may lie off their places, together, as its manifest says."""
    manifest = json.loads(here.file(recording).with_suffix(".json").read_text("utf-8"))
    segments = [span for span in manifest["spans"] if span["kind"] == "segment"]
    return float(sum(one["uncertainty_us"] for one in segments)) / 1_000_000


def open_audio_is_there(
    here: Rig, callers: list[Caller], recordings: list[RecordingRecord]
) -> dict[str, float]:
    """Hold what one bot's recordings have of the open turns against what was said in them."""
    turns = len(callers) * (TURNS_A_CALL + 1)
    said = {
        OPEN_BOT_HZ: turns * OPEN_S,
        OPEN_CALLER_HZ: sum(one.said_s(OPEN_CALLER_HZ) for one in mouths(callers)),
    }
    late_s = sum(one.late_s(OPEN_CALLER_HZ) for one in mouths(callers))
    parts = heard([part for one in recordings for part in here.parts(one)])
    joined = heard([here.file(one) for one in recordings])
    # What a muted part lacks, up to 100 ms, could as well be what an unmute uncovers: the clock's
    # word counts, and each later turn is looked for that much too late (docs/decisions.md). The
    # manifest says of each segment by how much.
    late_in_part_s = 0.0
    if recordings[0].bot == "mute":
        late_in_part_s = sum(uncertain_s(here, one) for one in recordings)
    shares = {"late": late_s / said[OPEN_CALLER_HZ]}
    for hz, said_s in said.items():
        shares |= {f"{hz} in parts": parts[hz] / said_s, f"{hz} joined": joined[hz] / said_s}
        assert parts[hz] >= PRESENT_SHARE * (said_s - late_s), (hz, shares)
        assert joined[hz] >= PRESENT_SHARE * (said_s - late_s) - late_in_part_s, (hz, shares)
        # What Asterisk has written is in the file however late it was said.
        assert joined[hz] >= PRESENT_SHARE * parts[hz] - late_in_part_s, (hz, shares)
    return {name: round(share, 4) for name, share in shares.items()}


def heard(files: list[Path]) -> dict[int, float]:
    """How many seconds of each open tone these files hold together."""
    total = dict.fromkeys((OPEN_BOT_HZ, OPEN_CALLER_HZ), 0.0)
    for file in files:
        for hz, seconds in presence(read_wav(file).channels[0]).items():
            total[hz] += seconds
    return total


class _AnswersTooEarly(SegmentDriver):
    """The defect that the product exists to avoid: it says paused before Asterisk has done it."""

    def __init__(self, channel: Channel, ways: _HastyWays) -> None:
        super().__init__(channel, ways.spool, ways.clock)
        self._ami = AmiChannel(ways.ami, channel.name, channel.uniqueid)
        self._ways = ways

    async def end(self, monitor: Monitor) -> Ended:
        async def stop_later() -> None:
            # What an event-driven pause does: it comes when the turn has begun, but now surely so.
            await _HastyWays.until_both_sound()
            await self._ami.stop_monitor(monitor.id)

        _HastyWays.late.append(asyncio.create_task(stop_later()))
        now_us = self._ways.clock()
        return Ended(now_us, now_us, "none")


class _HastyWays(Ways):
    caller: Caller
    late: list[asyncio.Task[None]]

    def driver(self, channel: Channel, method: PauseMethod) -> SegmentDriver | MuteDriver:
        return _AnswersTooEarly(channel, self)

    @classmethod
    async def until_both_sound(cls) -> None:
        """Return once the caller's answer is on the wire, and he hears the question."""
        call, said = await cls.caller.call, cls.caller.mouth.said
        # MixMonitor drops what it hasn't written yet when it is stopped.
        enough = said[PAUSED_CALLER_HZ] + 10
        await until(lambda: said[PAUSED_CALLER_HZ] >= enough, "the caller answers")
        await call.wait_heard(PAUSED_BOT_HZ, timeout_s=WAIT_S)


async def test_answering_before_asterisk_has_is_seen_as_a_leak(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    _HastyWays.caller, _HastyWays.late = make_caller(), []
    async with rig(asterisk_22, tmp_path, FLOW, DIALPLAN, make_ways=_HastyWays) as here:
        tones_in(tmp_path / "sounds")
        async with Phone(clock=MediaClock()) as phone:
            await talk(here, phone, "leak-segment-00", _HastyWays.caller)
        (recording,) = await here.recordings(1)
        await asyncio.gather(*_HastyWays.late)
        leaked = {leak.hz for _, leak in leaks_in(here, recording)}
    assert _HastyWays.caller.paused_turns == TURNS_A_CALL
    assert leaked == {PAUSED_BOT_HZ, PAUSED_CALLER_HZ}
