"""The leak suite for bots that use the API: no window of a paused turn, and no word without a 200.

As in `test_leaks`, but no turn comes through the dialplan: the sample bot speaks AudioSocket and
asks over HTTP, and turnrec reaches its channel by AMI alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.pbx.http_bots import AUDIOSOCKET, WAITING, Talk, bots_over_http
from tests.pbx.rig import WAIT_S, Rig, rig
from tests.pbx.test_leaks import (
    CALL_S,
    FLOW,
    OPEN_S,
    PAUSED_S,
    PRESENT_SHARE,
    TURNS_A_CALL,
    _HastyWays,
    heard,
    leaks_in,
    tones_in,
)
from tests.pbx.tones import (
    BETWEEN_CALLER_HZ,
    OPEN_BOT_HZ,
    OPEN_CALLER_HZ,
    PAUSED_BOT_HZ,
    PAUSED_CALLER_HZ,
)
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation, Release
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone

pytestmark = pytest.mark.pbx

CALLS_A_METHOD = 15


async def call(here: Rig, phone: Phone, talk: Talk) -> None:
    """Call the bot, and talk to it without a pause until it hangs up."""
    media = MediaOptions(source=talk.caller.mouth.tone(BETWEEN_CALLER_HZ), keep_chunks=10)
    call = await phone.dial(f"sip:{talk.extension}@{here.sip}", media, timeout_s=WAIT_S)
    talk.caller.call.set_result(call)
    await call.wait_ended(timeout_s=CALL_S)


async def test_no_window_of_a_turn_that_is_begun_over_http_is_recorded_and_open_turns_are(
    asterisk: Installation, tmp_path: Path
) -> None:
    counts = {"segment": CALLS_A_METHOD, "mute": CALLS_A_METHOD, "skip": 2}
    has_audiosocket = asterisk.release is Release.V22
    dialplan = AUDIOSOCKET if has_audiosocket else WAITING
    async with (
        rig(asterisk, tmp_path, FLOW, dialplan) as here,
        bots_over_http(here, here.service.api_port) as bots,
        Phone(clock=MediaClock()) as phone,
    ):
        tones_in(tmp_path / "sounds")
        talks = [
            bots.talk(f"leak-{bot}-{100 * kind + number:03d}")
            for kind, bot in enumerate(counts)
            for number in range(counts[bot])
        ]
        if not has_audiosocket:
            here.marks |= {one.extension: bots.ask_for for one in talks}
        await asyncio.gather(*(call(here, phone, one) for one in talks))
        recordings = await here.recordings(sum(counts.values()))

        assert [one.refused for one in talks] == [[]] * len(talks)
        assert {len(one.begun) for one in talks} == {2 * TURNS_A_CALL + 1}
        assert len(recordings) == sum(counts.values())
        assert all(one.status == "done" for one in recordings)
        assert [leak for one in recordings for leak in leaks_in(here, one)] == []
        for talk in talks:
            assert talk.voice.said_s(PAUSED_BOT_HZ) == pytest.approx(TURNS_A_CALL * PAUSED_S)
            assert talk.caller.mouth.said_s(PAUSED_CALLER_HZ) > PAUSED_S
        for bot in counts:
            of_bot = [one for one in recordings if one.bot == bot]
            theirs = [one for one in talks if one.bot == bot]
            print(f"{bot}: {len(theirs)} calls, {open_audio_is_there(here, theirs, of_bot)}")


def open_audio_is_there(
    here: Rig, talks: Sequence[Talk], recordings: Sequence[RecordingRecord]
) -> dict[str, float]:
    """Hold what one bot's recordings have of the open turns against what was said in them."""
    voices, mouths = [one.voice for one in talks], [one.caller.mouth for one in talks]
    said = {
        OPEN_BOT_HZ: sum(one.said_s(OPEN_BOT_HZ) for one in voices),
        OPEN_CALLER_HZ: sum(one.said_s(OPEN_CALLER_HZ) for one in mouths),
    }
    late_s = {
        OPEN_BOT_HZ: sum(one.late_s(OPEN_BOT_HZ) for one in voices),
        OPEN_CALLER_HZ: sum(one.late_s(OPEN_CALLER_HZ) for one in mouths),
    }
    assert said[OPEN_BOT_HZ] >= len(talks) * (TURNS_A_CALL + 1) * OPEN_S - 0.01
    parts = heard([part for one in recordings for part in here.parts(one)])
    joined = heard([here.file(one) for one in recordings])
    # A muted part isn't re-anchored: see test_leaks.
    unanchored_s = 0.0
    if recordings[0].bot == "mute":
        unanchored_s = sum(one.stalled_s for one in mouths) * (TURNS_A_CALL + 1)
    # A direction that stalls makes MixMonitor drop of the other, too, to keep them in step.
    lost_s = sum(late_s.values())
    shares = {f"{hz} late": late_s[hz] / said[hz] for hz in said}
    for hz, said_s in said.items():
        shares |= {f"{hz} in parts": parts[hz] / said_s, f"{hz} joined": joined[hz] / said_s}
        assert parts[hz] >= PRESENT_SHARE * (said_s - lost_s), (hz, shares)
        assert joined[hz] >= PRESENT_SHARE * (said_s - lost_s) - unanchored_s, (hz, shares)
    return {name: round(share, 4) for name, share in shares.items()}


async def test_a_200_before_asterisk_has_stopped_is_seen_as_a_leak(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, AUDIOSOCKET, make_ways=_HastyWays) as here,
        bots_over_http(here, here.service.api_port) as bots,
        Phone(clock=MediaClock()) as phone,
    ):
        tones_in(tmp_path / "sounds")
        talk = bots.talk("leak-segment-000")
        _HastyWays.caller, _HastyWays.late = talk.caller, []
        await call(here, phone, talk)
        (recording,) = await here.recordings(1)
        await asyncio.gather(*_HastyWays.late)
        leaked = {leak.hz for _, leak in leaks_in(here, recording)}
    assert talk.caller.paused_turns == TURNS_A_CALL
    assert leaked == {PAUSED_BOT_HZ, PAUSED_CALLER_HZ}
