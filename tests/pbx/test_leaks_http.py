"""The leak suite for bots that use the API: no window of a paused turn, and no word without a 200.

As in `test_leaks`, but no turn comes through the dialplan: the sample bot speaks AudioSocket and
asks over HTTP, and turnrec reaches its channel by AMI alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.pbx.callers import leaks_of, monitored_files
from tests.pbx.http_bots import AUDIOSOCKET, WAITING, Talk, bots_over_http, call_bot
from tests.pbx.process import free_port, ledger_of, serving
from tests.pbx.relay import ami_relay
from tests.pbx.rig import WAIT_S, Rig, rig, until
from tests.pbx.test_leaks import (
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
    OPEN_BOT_HZ,
    OPEN_CALLER_HZ,
    PAUSED_BOT_HZ,
    PAUSED_CALLER_HZ,
)
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation, Release
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = pytest.mark.pbx

CALLS_A_METHOD = 15


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
        await asyncio.gather(*(call_bot(here, phone, one) for one in talks))
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
        await call_bot(here, phone, talk)
        (recording,) = await here.recordings(1)
        await asyncio.gather(*_HastyWays.late)
        leaked = {leak.hz for _, leak in leaks_in(here, recording)}
    assert talk.caller.paused_turns == TURNS_A_CALL
    assert leaked == {PAUSED_BOT_HZ, PAUSED_CALLER_HZ}


# ------------------------------------------------------------------ no 200


async def all_until(talks: Sequence[Talk], condition: Callable[[Talk], bool], what: str) -> None:
    """Wait until it is so of each of them."""
    await until(lambda: all(condition(one) for one in talks), what)


def is_waiting(talk: Talk) -> bool:
    return bool(talk.waiting_at)


def is_in_mid_question(turn: int, talk: Talk) -> bool:
    return talk.voice.said_s(PAUSED_BOT_HZ) > PAUSED_S * (turn // 2 - 0.5)


def has_asked_after(turn: int, talk: Talk) -> bool:
    return len(talk.asked) > turn


def is_ended(here: Rig, talk: Talk) -> bool:
    """Whether nothing of ours may still run on its channel."""
    call = here.service.calls.search(talk.call)
    return call is not None and call.monitor is None and not call.suspects


def has_asked_in_vain(talk: Talk) -> bool:
    return len(talk.refused) > 1


async def test_with_ami_down_a_turn_is_refused_and_its_bot_stays_silent_until_it_is_back(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, AUDIOSOCKET, start=False) as here,
        ami_relay(here.pbx.ports.ami_tcp) as relay,
        Phone(clock=MediaClock()) as phone,
    ):
        tones_in(tmp_path / "sounds")
        here.configure({"asterisk": {"ami_port": str(relay.port), "ami_timeout_ms": "5000"}})
        await here.start_service()
        async with bots_over_http(here, here.service.api_port) as bots:
            recording = [bots.talk("leak-segment-001"), bots.talk("leak-mute-002")]
            paused = [bots.talk("leak-segment-003"), bots.talk("leak-mute-004")]
            for talk in recording:
                talk.hold_at("asks:2")
            for talk in paused:
                talk.hold_at("asks:3")
            talks = [*recording, *paused]
            calls = [asyncio.create_task(call_bot(here, phone, one)) for one in talks]
            await all_until(talks, is_waiting, "every bot waits")
            before = await monitored_files(here)
            spoken = [len(one.voice.prompts) for one in talks]
            recording[0].hold_at("refused:2")
            await relay.cut()
            await until(lambda: not here.service.ami.ready, "AMI is lost")
            for talk in talks:
                talk.let_on()
            await all_until(talks, has_asked_in_vain, "every bot has asked in vain")
            assert [set(one.refused) for one in talks] == [{"asterisk-unreachable"}] * len(talks)
            assert [len(one.voice.prompts) for one in talks] == spoken
            assert await monitored_files(here) == before, "what runs is what ran before"
            for talk in talks:
                # A pause that can't be sent is wanted all the same.
                call_of = here.service.calls.search(talk.call)
                assert call_of is not None
                assert call_of.recorder.is_paused
            relay.mend()
            await all_until(recording[:1], partial(is_ended, here), "it is paused without a turn")
            assert recording[0].waiting_at == "refused:2"
            recording[0].let_on()
            await asyncio.gather(*calls)
            await recorded_without_a_leak(here, talks, await here.recordings(len(talks)))


async def test_a_pause_that_asterisk_does_not_confirm_gets_no_200_and_no_word_of_it_is_recorded(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, AUDIOSOCKET, start=False) as here,
        ami_relay(here.pbx.ports.ami_tcp) as relay,
        Phone(clock=MediaClock()) as phone,
    ):
        tones_in(tmp_path / "sounds")
        here.configure({"asterisk": {"ami_port": str(relay.port), "ami_timeout_ms": "1000"}})
        await here.start_service()
        async with bots_over_http(here, here.service.api_port) as bots:
            talks = [bots.talk("leak-segment-001"), bots.talk("leak-mute-002")]
            for talk, action in zip(talks, ("StopMixMonitor", "MixMonitorMute"), strict=True):
                talk.hold_at("asks:2")
                talked = asyncio.create_task(call_bot(here, phone, talk))
                await all_until([talk], is_waiting, "the bot waits")
                relay.hold_answers_after(action)
                talk.let_on()
                await all_until([talk], lambda one: bool(one.refused), "no 200")
                assert talk.refused[0] == "command-unanswered"
                assert talk.voice.said_s(PAUSED_BOT_HZ) == 0
                (live,) = here.service.calls.live()
                assert live.recorder.is_paused
                relay.let_on()
                await talked
            await recorded_without_a_leak(here, talks, await here.recordings(len(talks)))


async def recorded_without_a_leak(
    here: Rig, talks: Sequence[Talk], recordings: Sequence[RecordingRecord]
) -> None:
    """Every turn was spoken in the end, and nothing paused is in any file."""
    assert [one.begun for one in talks] == [list(one.turns) for one in talks]
    assert len(recordings) == len(talks)
    assert {str(one.status) for one in recordings} == {"done"}
    assert leaks_of(here) == []
    for talk in talks:
        paused = sum(node == "ask" for node in talk.turns)
        assert talk.voice.said_s(PAUSED_BOT_HZ) == pytest.approx(paused * PAUSED_S)
        assert talk.caller.mouth.said[PAUSED_CALLER_HZ] > 0


async def test_turnrec_killed_in_a_paused_turn_leaves_it_paused_and_its_bot_silent(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    ports = {
        "server": {"agi_port": str(free_port())},
        "api": {"port": str(free_port())},
    }
    async with (
        rig(asterisk_22, tmp_path, FLOW, AUDIOSOCKET, start=False, toml=ports) as here,
        Phone(clock=MediaClock()) as phone,
        serving(here) as server,
        ledger_of(here) as ledger,
        bots_over_http(here, here.settings.api.port) as bots,
    ):
        tones_in(tmp_path / "sounds")
        turns = ("open", "ask", "open", "ask", "open")
        recording = [bots.talk("leak-segment-001", turns), bots.talk("leak-mute-002", turns)]
        paused = [bots.talk("leak-segment-003", turns), bots.talk("leak-mute-004", turns)]
        talks = [*recording, *paused]
        for talk in talks:
            talk.hold_at("asks:2" if talk in recording else "says:2")
        calls = [asyncio.create_task(call_bot(here, phone, one)) for one in talks]
        await all_until(talks, is_waiting, "every bot waits")
        for talk in paused:
            talk.let_on()
        await all_until(paused, lambda one: one.voice.said_s(PAUSED_BOT_HZ) > 0.2, "they speak")
        before = await monitored_files(here)
        await server.kill()
        for talk in recording:
            talk.let_on()
        await all_until(talks, has_asked_in_vain, "every bot has asked in vain")
        assert [set(one.refused) for one in talks] == [{"not-confirmed"}] * len(talks)
        assert [len(one.voice.prompts) for one in talks] == [1, 1, 2, 2]
        assert await monitored_files(here) == before, "what runs is what ran before"
        await server.start()
        await asyncio.gather(*calls)
        for talk in talks:
            # Until AMI has answered it can't be known whether the call is still there.
            assert set(talk.refused) <= {"not-confirmed", "asterisk-unreachable"}
        await recorded_without_a_leak(here, talks, await ledger.closed_recordings(len(talks)))


async def test_a_pbx_that_stands_still_over_a_resume_does_not_uncover_what_it_has_not_read(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, AUDIOSOCKET) as here,
        bots_over_http(here, here.service.api_port) as bots,
        Phone(clock=MediaClock()) as phone,
    ):
        tones_in(tmp_path / "sounds")
        turns = ("open", "ask", "open", "ask", "open", "ask", "open")
        talks = [
            bots.talk(f"leak-{bot}-{kind}{n:02d}", turns)
            for kind, bot in enumerate(("segment", "mute"))
            for n in range(6)
        ]
        for talk in talks:
            for turn in (2, 4, 6):
                talk.hold_at(f"says:{turn}")
        calls = [asyncio.create_task(call_bot(here, phone, one)) for one in talks]
        for turn in (2, 4, 6):
            await all_until(talks, is_waiting, "every bot is in its turn")
            for talk in talks:
                talk.let_on()
            await all_until(talks, partial(is_in_mid_question, turn), "every bot speaks")
            here.pbx.freeze()
            await all_until(talks, partial(has_asked_after, turn), "every bot asks")
            # Not read yet: half of the question, the answer, and a little of what came after it.
            await (await talks[0].caller.call).wait_sent(10, timeout_s=WAIT_S)
            here.pbx.thaw()
        await asyncio.gather(*calls)
        assert [one.refused for one in talks] == [[]] * len(talks)
        await recorded_without_a_leak(here, talks, await here.recordings(len(talks)))
