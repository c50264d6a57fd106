"""Recorders that are not ours, and hands on ours: what others do while a call may not be recorded.

Open turns sound 400 Hz (bot) and 500 Hz (caller), paused ones 1000 and 1300 Hz, as in the leak
suite; the other recorder writes files of its own, and they are looked into too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.pbx.rig import OPEN_PROMPT, PAUSED_PROMPT, WAIT_S, Rig, rig, until, write_tones
from tests.pbx.tones import leaks, presence, read_wav
from turnrec.core.call import Call
from turnrec.core.entry import EntryKind
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import Call as PhoneCall
from turnrec.pbx.phone import MediaOptions, Phone, Tone

pytestmark = pytest.mark.pbx

FLOW = """
version: 1
bots:
  kyc: {nodes: {open: resume, ask: pause}}
  stops: {others: stop, nodes: {open: resume, ask: pause}}
  lets: {others: ignore, nodes: {open: resume, ask: pause}}
  mutes: {pause_method: mute, nodes: {open: resume, ask: pause}}
  alerts: {max_pause_s: 1, nodes: {open: resume, ask: pause}}
  ends: {max_pause_s: 1, max_pause_action: stop, nodes: {open: resume, ask: pause}}
  goes: {max_pause_s: 1, max_pause_action: resume, nodes: {open: resume, ask: pause}}
"""

# other-BOT-WHEN: the other recorder starts before the paused turn, in it, or never.
DIALPLAN = f"""
[turnrec-tests](+)
exten => _other-.,1,Answer()
 same => n,Set(WHEN=${{CUT(EXTEN,-,3)}})
 same => n,Set(THEIRS=${{SOUNDS}}/../theirs-${{EXTEN}}.wav)
 same => n,Gosub(turnrec-start,s,1(${{CUT(EXTEN,-,2)}}))
 same => n,ExecIf($["${{WHEN}}" = "before"]?MixMonitor(${{THEIRS}}))
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,AGI(${{MARK}}/mark,open)
 same => n,Playback(${{SOUNDS}}/{OPEN_PROMPT})
 same => n,AGI(${{MARK}}/mark,asking)
 same => n,Gosub(turnrec-turn,s,1(ask))
 same => n,AGI(${{MARK}}/mark,paused)
 same => n,ExecIf($["${{WHEN}}" = "within"]?MixMonitor(${{THEIRS}}))
 same => n,Playback(${{SOUNDS}}/{PAUSED_PROMPT})
 same => n,AGI(${{MARK}}/mark,resuming)
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,AGI(${{MARK}}/mark,open)
 same => n,Playback(${{SOUNDS}}/{OPEN_PROMPT})
 same => n,Hangup()
"""
TONE_OF = {"open": 500, "asking": 500, "paused": 1300, "resuming": 500}


@dataclass
class Bot:
    """A call under way, and where its dialplan stands."""

    here: Rig
    phone: PhoneCall | None = None
    holds: set[str] = field(default_factory=set)
    """Marks at which the dialplan waits until they are taken out of here."""
    reached: list[str] = field(default_factory=list)

    async def on_mark(self, _extension: str, word: str) -> None:
        assert self.phone is not None
        self.phone.source = Tone(TONE_OF[word])
        self.reached.append(word)
        await until(lambda: word not in self.holds, f"the test lets go of {word}")

    @property
    def call(self) -> Call:
        (call,) = self.here.service.calls.live()
        return call


@asynccontextmanager
async def calling(here: Rig, extension: str, *holds: str) -> AsyncIterator[Bot]:
    """Call, and wait for the end of the call afterwards."""
    bot = Bot(here, holds=set(holds))
    here.marks[extension] = bot.on_mark
    async with Phone() as phone:
        media = MediaOptions(source=Tone(500), keep_chunks=10)
        bot.phone = await phone.start_call(f"sip:{extension}@{here.sip}", media)
        await bot.phone.wait_answered(WAIT_S)
        yield bot
        bot.holds.clear()
        await bot.phone.wait_ended(WAIT_S)


@asynccontextmanager
async def house(installation: Installation, folder: Path) -> AsyncIterator[Rig]:
    async with rig(installation, folder, FLOW, DIALPLAN) as here:
        write_tones(here.folder / "sounds", {400: 1.5, 1000: 1.5})
        yield here


def theirs(here: Rig, extension: str) -> Path:
    return here.folder / f"theirs-{extension}.wav"


async def our_leaks(here: Rig) -> list[object]:
    """Every window of a paused turn in our own files and parts."""
    recordings = await here.recordings(1)
    files = [here.file(one) for one in recordings if one.file]
    files += [part for one in recordings for part in here.parts(one)]
    return [leak for file in files for leak in leaks(read_wav(file).channels[0])]


# ------------------------------------------------------------------ recorders that aren't ours


@pytest.mark.parametrize("bot", ["kyc", "stops", "mutes"])
async def test_a_recorder_that_is_not_ours_hears_nothing_of_a_paused_turn(
    asterisk: Installation, tmp_path: Path, bot: str
) -> None:
    extension = f"other-{bot}-before"
    async with house(asterisk, tmp_path) as here:
        async with calling(here, extension):
            pass
        assert await our_leaks(here) == []
        told = await here.entries(EntryKind.OTHER_RECORDER)
        found = leaks(read_wav(theirs(here, extension)).channels[0])
        assert found == []
        heard = presence(read_wav(theirs(here, extension)).channels[0])
        assert heard[400] > 0.5, "it is only hushed while it must be"
        assert told[0].detail["done"] in {"muted", "stopped"}


async def test_a_recorder_that_starts_in_a_paused_turn_is_hushed_at_once(
    asterisk: Installation, tmp_path: Path
) -> None:
    extension = "other-kyc-within"
    async with house(asterisk, tmp_path) as here:
        async with calling(here, extension):
            pass
        assert await our_leaks(here) == []
        found = leaks(read_wav(theirs(here, extension)).channels[0])
        # Asterisk tells of it after the fact: what it caught until then is a window, no turn.
        assert sum(leak.end_s - leak.start_s for leak in found) < 1.0
        assert len(await here.entries(EntryKind.OTHER_RECORDER)) >= 1


async def test_others_ignore_leaves_them_alone_and_shows_that_the_test_can_hear(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    extension = "other-lets-before"
    async with house(asterisk_22, tmp_path) as here:
        async with calling(here, extension):
            pass
        assert {leak.hz for leak in leaks(read_wav(theirs(here, extension)).channels[0])} == {
            1000,
            1300,
        }
        assert await here.entries(EntryKind.OTHER_RECORDER) == []


# ------------------------------------------------------------------ hands on ours


@pytest.mark.parametrize("bot", ["kyc", "mutes"])
async def test_ours_is_begun_anew_when_somebody_stops_it(
    asterisk: Installation, tmp_path: Path, bot: str
) -> None:
    async with house(asterisk, tmp_path) as here:
        async with calling(here, f"other-{bot}-never", "asking") as one:
            await until(lambda: "asking" in one.reached, "the bot asks")
            was = one.call.monitor
            assert was is not None
            await here.service.ami.action("StopMixMonitor", Channel=one.call.channel)
            await until(
                lambda: one.call.recorder.is_recording and one.call.monitor not in {was, None},
                "it records again",
            )
        assert await our_leaks(here) == []
        assert "monitor-lost" in await here.alarms()


async def test_a_stop_by_somebody_else_in_a_pause_uncovers_nothing(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with house(asterisk_22, tmp_path) as here:
        async with calling(here, "other-mutes-never", "resuming") as one:
            await until(lambda: "resuming" in one.reached, "the paused turn is over")
            await here.service.ami.action("StopMixMonitor", Channel=one.call.channel)
            assert one.call.recorder.is_paused
        assert await our_leaks(here) == []


async def test_an_unmute_by_somebody_else_in_a_pause_is_put_right_and_alarmed(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with house(asterisk_22, tmp_path) as here:
        async with calling(here, "other-mutes-never", "paused") as one:
            await until(lambda: "paused" in one.reached, "the bot pauses")
            await meddle(here, one.call.channel, state="0")
            await put_right(here, "muted again")
        (recording,) = await here.recordings(1)
        assert leaks(read_wav(here.file(recording)).channels[0]) == []
        assert "monitor-meddled-with" in await here.alarms()


@pytest.mark.parametrize("bot", ["kyc", "mutes"])
async def test_a_mute_by_somebody_else_while_recording_is_left_and_alarmed(
    asterisk_22: Installation, tmp_path: Path, bot: str
) -> None:
    # It may be his own pause for a card number: undoing it would fail towards recording.
    async with house(asterisk_22, tmp_path) as here:
        async with calling(here, f"other-{bot}-never", "asking") as one:
            await until(lambda: "asking" in one.reached, "the bot asks")
            await meddle(here, one.call.channel, state="1")
            await put_right(here, "left")
        assert await our_leaks(here) == []
        assert "monitor-meddled-with" in await here.alarms()


async def meddle(here: Rig, channel: str, *, state: str) -> None:
    """What a third party's unscoped command does: turnrec's own path doesn't know of it."""
    await here.service.ami.action("MixMonitorMute", Channel=channel, Direction="both", State=state)


async def put_right(here: Rig, done: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            told = await here.entries(EntryKind.OTHER_RECORDER)
            if done in [one.detail["done"] for one in told]:
                return
            await asyncio.sleep(0.02)


# ------------------------------------------------------------------ pauses that last too long


@pytest.mark.parametrize(
    ("bot", "state"), [("alerts", "paused"), ("ends", "stopped"), ("goes", "recording")]
)
async def test_a_pause_that_lasts_too_long_ends_as_the_operator_chose(
    asterisk_22: Installation, tmp_path: Path, bot: str, state: str
) -> None:
    async with house(asterisk_22, tmp_path) as here:
        async with calling(here, f"other-{bot}-never", "resuming") as one:
            await until(lambda: "paused" in one.reached, "the bot pauses")
            await until(lambda: one.call.overlong_gap_us is not None, "it has been too long")
            await until(lambda: one.call.recorder.state.value == state, f"it is {state}")
        assert (await here.alarms()).count("pause-too-long") == 1
