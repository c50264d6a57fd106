"""The leak detector sees every leak, wherever it lies, and nothing where there is none."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pbx.tones import (
    BETWEEN_CALLER_HZ,
    NOMINAL_AMPLITUDE,
    OPEN_BOT_HZ,
    OPEN_CALLER_HZ,
    OPEN_HZ,
    PAUSED_HZ,
    analyse,
    leaks,
    presence,
    read_wav,
)
from turnrec.pbx.g711 import Codec

RATE_HZ = 8000
MS = RATE_HZ // 1000
WINDOW = 10 * MS
LENGTH = 100 * MS
LEAK_AT = 40 * MS

Signal = npt.NDArray[np.float64]


def tone(hz: int, length: int = LENGTH, *, phase: float = 0.0, share: float = 1.0) -> Signal:
    turns: Signal = 2 * np.pi * hz * np.arange(length) / RATE_HZ + phase
    sine: Signal = share * NOMINAL_AMPLITUDE * np.sin(turns)
    return sine


def only(signal: Signal, start: int, end: int) -> Signal:
    cut = np.zeros_like(signal)
    cut[start:end] = signal[start:end]
    return cut


def coded(signal: Signal, codec: Codec = Codec.PCMU) -> Signal:
    """Through the codec and back, as every party's audio is."""
    whole = np.clip(np.rint(signal), -32768, 32767).astype(np.int16)
    return codec.decode(codec.encode(whole)).astype(np.float64)


def as_recorded(*parties: Signal, codec: Codec = Codec.PCMU) -> npt.NDArray[np.int16]:
    """Each party coded on the wire, mixed with saturation, as MixMonitor does."""
    mixed = np.sum([coded(party, codec) for party in parties], axis=0)
    recorded: npt.NDArray[np.int16] = np.clip(mixed, -32768, 32767).astype(np.int16)
    return recorded


def open_tones(phase: float = 0.0) -> list[Signal]:
    return [tone(OPEN_BOT_HZ, phase=phase), tone(OPEN_CALLER_HZ, phase=2.1 * phase)]


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("hz", PAUSED_HZ)
@pytest.mark.parametrize("length_ms", [10, 20])
@pytest.mark.parametrize("is_mixed", [False, True])
def test_a_leak_is_seen_at_every_alignment(
    codec: Codec, hz: int, length_ms: int, is_mixed: bool
) -> None:
    for offset in range(WINDOW):
        start = LEAK_AT + offset
        leaked = only(tone(hz, phase=0.1 * offset), start, start + length_ms * MS)
        parties = [*open_tones(0.3 * offset), leaked] if is_mixed else [leaked]
        found = leaks(as_recorded(*parties, codec=codec))
        assert [leak.hz for leak in found] == [hz], offset
        assert found[0].start_s <= start / RATE_HZ + 0.003
        assert found[0].end_s >= start / RATE_HZ + length_ms / 1000 - 0.003


@given(
    offset=st.integers(0, WINDOW - 1),
    phases=st.tuples(*[st.floats(0, 2 * np.pi)] * 3),
    open_before=st.booleans(),
    open_after=st.booleans(),
)
def test_a_leak_between_open_turns_that_start_and_stop_around_it_is_seen(
    offset: int, phases: tuple[float, float, float], open_before: bool, open_after: bool
) -> None:
    start, end = LEAK_AT + offset, LEAK_AT + offset + 20 * MS
    around = tone(OPEN_BOT_HZ, phase=phases[0]) + tone(OPEN_CALLER_HZ, phase=phases[1])
    around[start:end] = 0
    if not open_before:
        around[:start] = 0
    if not open_after:
        around[end:] = 0
    leaked = only(tone(1000, phase=phases[2]), start, end)
    assert any(leak.hz == 1000 for leak in leaks(as_recorded(around, leaked)))


@pytest.mark.parametrize("hz", PAUSED_HZ)
@pytest.mark.parametrize("is_mixed", [False, True])
def test_a_faint_leak_at_minus_20_db_is_seen_once_it_lasts(hz: int, is_mixed: bool) -> None:
    for offset in range(WINDOW):
        start = LEAK_AT + offset
        leaked = only(tone(hz, phase=0.1 * offset, share=0.1), start, start + 40 * MS)
        parties = [*open_tones(0.3 * offset), leaked] if is_mixed else [leaked]
        assert [leak.hz for leak in leaks(as_recorded(*parties))] == [hz], offset


@pytest.mark.parametrize("cut", [slice(0, 10 * MS), slice(-10 * MS, None)])
def test_a_leak_at_the_very_edge_of_a_file_is_seen(cut: slice) -> None:
    leaked = np.zeros(LENGTH)
    leaked[cut] = tone(1300)[cut]
    assert [leak.hz for leak in leaks(as_recorded(leaked))] == [1300]


def test_two_leaks_are_two() -> None:
    leaked = only(tone(1000), 200, 360) + only(tone(1000), 560, 720)
    found = leaks(as_recorded(leaked))
    assert [(round(leak.start_s, 2), round(leak.end_s, 2)) for leak in found] == [
        (0.02, 0.05),
        (0.06, 0.1),
    ]


@pytest.mark.parametrize("codec", list(Codec))
@given(
    starts=st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)),
    lengths=st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)),
    phases=st.tuples(st.floats(0, 2 * np.pi), st.floats(0, 2 * np.pi)),
)
def test_open_tones_that_start_and_stop_anywhere_are_no_leak(
    codec: Codec, starts: tuple[int, int], lengths: tuple[int, int], phases: tuple[float, float]
) -> None:
    parties = [
        only(tone(hz, phase=phase), start, start + length)
        for hz, start, length, phase in zip(OPEN_HZ, starts, lengths, phases, strict=True)
    ]
    assert leaks(as_recorded(*parties, codec=codec)) == []


@pytest.mark.parametrize("codec", list(Codec))
@given(
    switches=st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)),
    phases=st.tuples(*[st.floats(0, 2 * np.pi)] * 3),
)
def test_a_caller_between_two_turns_is_no_leak_and_not_heard_as_open(
    codec: Codec, switches: tuple[int, int], phases: tuple[float, float, float]
) -> None:
    first, last = sorted(switches)
    bot, caller, between = (
        tone(hz, phase=phase)
        for hz, phase in zip((*OPEN_HZ, BETWEEN_CALLER_HZ), phases, strict=True)
    )
    caller[first:last] = between[first:last]
    assert leaks(as_recorded(bot, caller, codec=codec)) == []
    alone = presence(as_recorded(only(between, 200, 200 + 40 * MS), codec=codec))
    assert alone == pytest.approx({400: 0.0, 500: 0.0})


def test_open_tones_with_lost_packets_are_no_leak() -> None:
    for offset in range(WINDOW):
        holed = tone(OPEN_BOT_HZ, phase=0.1 * offset) + tone(OPEN_CALLER_HZ)
        for lost in range(LEAK_AT + offset, LENGTH, 40 * MS):
            holed[lost : lost + 20 * MS] = 0
        assert leaks(as_recorded(holed)) == []


def test_the_noise_of_coded_open_tones_stays_far_below_the_faintest_threshold() -> None:
    for step in range(50):
        both = coded(np.sum([coded(party) for party in open_tones(0.13 * step)], axis=0))
        assert analyse(both, tones_hz=PAUSED_HZ, hop_ms=2.5).max() / NOMINAL_AMPLITUDE < 0.01


def test_nothing_leaks_from_silence_or_from_nothing() -> None:
    assert leaks(np.zeros(0, dtype=np.int16)) == []
    assert leaks(np.zeros(LENGTH, dtype=np.int16)) == []


def test_an_empty_recording_has_no_open_tone_either() -> None:
    assert presence(np.zeros(0, dtype=np.int16)) == {400: 0.0, 500: 0.0}
    assert presence(np.zeros(LENGTH, dtype=np.int16)) == {400: 0.0, 500: 0.0}


def test_presence_counts_each_direction_by_itself() -> None:
    heard = as_recorded(tone(400), only(tone(500), 0, 30 * MS))
    assert presence(heard) == pytest.approx({400: 0.1, 500: 0.03}, rel=0.01)


def test_what_is_there_whole_counts_whole_however_often_it_was_coded() -> None:
    said = np.concatenate([coded(tone(400)) + coded(tone(500)), np.zeros(LENGTH)])
    assert presence(coded(said)) == pytest.approx({400: 0.1, 500: 0.1}, rel=1e-6)


def test_amplitudes_are_those_that_were_put_in() -> None:
    mixed = tone(400) + tone(500, share=0.5) + tone(1300, share=0.25)
    expected = np.tile([8000.0, 4000.0, 0.0, 2000.0], (10, 1))
    assert analyse(mixed) == pytest.approx(expected, abs=1e-6)


def test_wide_band_recordings_are_analysed_too() -> None:
    sine = NOMINAL_AMPLITUDE * np.sin(2 * np.pi * 1000 * np.arange(3200) / 16000)
    sine[:1600] = 0
    (leak,) = leaks(sine, rate_hz=16000)
    assert leak.start_s == pytest.approx(0.1, abs=0.011)
    assert leak.end_s == pytest.approx(0.2)
    assert leak.peak_share == pytest.approx(1.0)


def test_a_stereo_file_is_read_as_two_channels(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    left, right = as_recorded(tone(400)), as_recorded(tone(1000))
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(2)
        wav.setsampwidth(2)
        wav.setframerate(RATE_HZ)
        wav.writeframes(np.column_stack([left, right]).astype("<i2").tobytes())
    recording = read_wav(path)
    assert recording.duration_s == 0.1
    assert leaks(recording.channels[0]) == []
    assert [leak.hz for leak in leaks(recording.channels[1])] == [1000]
