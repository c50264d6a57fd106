"""Where the sound of a muted part lies: by the clock, or by the mutes that are found in it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.unit.core.timelines import (
    GAP,
    MS,
    OPENED_US,
    SEGMENT,
    SHORTFALL,
    Call,
    S,
    call,
    gap,
    segment,
    shape,
)
from turnrec.core.policy import PauseBehavior, PauseMethod
from turnrec.core.timeline import (
    BACKLOG_US,
    MARGIN_US,
    PLACEMENT_US,
    TOLERANCE_US,
    Layout,
    Span,
    Zeros,
)


def muted(
    behavior: PauseBehavior = PauseBehavior.SILENCE, zeros: dict[int, Zeros] | None = None
) -> Layout:
    segments = (
        segment(1, 0, 2 * S, "r-001.wav", 0),
        segment(2, 5 * S, 8 * S, "r-001.wav", 5 * S),
    )
    return replace(
        call(10, [], [], [gap(2 * S, 5 * S), gap(8 * S, 10 * S)]),
        segments=segments,
        part_samples={"r-001.wav": 80_000},
        method=PauseMethod.MUTE,
        zeros=zeros,
    ).lay_out(behavior)


def test_a_muted_part_is_taken_where_it_is_audible_and_40_ms_around() -> None:
    layout = muted()
    margin = MARGIN_US * 8 // 1000
    assert shape(layout) == [
        (SEGMENT, 0, 16_000 + margin),
        (GAP, 16_000 + margin, 24_000 - 2 * margin),
        (SEGMENT, 40_000 - margin, 24_000 + 2 * margin),
        (GAP, 64_000 + margin, 16_000 - margin),
    ]
    assert [span.part_start_sample for span in layout.spans if span.part] == [0, 40_000 - margin]


def test_a_muted_part_is_skipped_by_the_same_margins() -> None:
    layout = muted(PauseBehavior.SKIP)
    assert layout.samples == 16_000 + 24_000 + 3 * 320
    assert layout.samples == muted().audible_samples


@pytest.mark.parametrize("behavior", PauseBehavior)
def test_a_mutes_own_zeros_are_no_part_of_a_stretch(behavior: PauseBehavior) -> None:
    """Sound ends 10 ms before the mute's answer, and begins 5 ms after the unmute's."""
    layout = muted(behavior, {1: Zeros(0, 400), 2: Zeros(360, 320)})
    first, pause, second = layout.spans[:3]
    assert (first.samples, first.part_samples) == (16_000, 15_920)
    assert (pause.begin_us, pause.end_us) == (OPENED_US + 2 * S, OPENED_US + 5 * S + 5 * MS)
    assert (second.part_start_sample, second.part_samples) == (40_040, 24_000 - 40)
    assert layout.spans[3].begin_us == OPENED_US + 8 * S


@pytest.mark.parametrize(
    ("zeros", "audio"),
    [
        ({1: Zeros(0, 801), 2: Zeros(801, 801)}, [range(16_000), range(40_000, 64_000)]),
        ({1: Zeros(16_320, 801), 2: Zeros(24_640, 801)}, [range(16_000), range(40_000, 64_000)]),
        ({1: Zeros(300, 0), 2: Zeros(0, 0)}, [range(16_320), range(39_680, 64_320)]),
    ],
    ids=["somebody was silent", "nothing else", "a monitor's begin is no mute's end"],
)
def test_silence_that_was_recorded_is_told_from_a_mutes(
    zeros: dict[int, Zeros], audio: list[range]
) -> None:
    spans = [span for span in muted(zeros=zeros).spans if span.kind is SEGMENT]
    found = [
        range(one.part_start_sample, one.part_start_sample + one.part_samples) for one in spans
    ]
    assert found == audio


def test_a_muted_part_that_stood_still_makes_all_of_it_uncertain() -> None:
    """3 s without RTP, somewhere: each stretch may be off by them."""
    segments = (segment(1, 0, 2 * S, "r-001.wav"), segment(2, 5 * S, 8 * S, "r-001.wav", 5 * S))
    later = segment(3, 12 * S, 14 * S, "r-002.wav")
    layout = replace(
        call(14, [], []),
        segments=(*segments, later),
        part_samples={"r-001.wav": (12 - 3) * 8_000, "r-002.wav": 16_000},
        method=PauseMethod.MUTE,
    ).lay_out()
    unsure_us = [span.uncertainty_us for span in layout.spans if span.kind is SEGMENT]
    assert [us - PLACEMENT_US - MARGIN_US for us in unsure_us] == [3 * S, 3 * S, 0]
    assert layout.spans[-1].begin_us == OPENED_US + 12 * S


def stood_still(silences: list[range]) -> Layout:
    """A second of the first stretch is not in the part: what follows lies earlier in it."""
    segments = (
        segment(1, 0, 3 * S, "r-001.wav"),
        segment(2, 5 * S, 8 * S, "r-001.wav", 5 * S),
        segment(3, 9 * S, 10 * S, "r-001.wav", 9 * S),
    )
    return replace(
        call(10, [], [], [gap(3 * S, 5 * S), gap(8 * S, 9 * S)]),
        segments=segments,
        part_samples={"r-001.wav": 9 * 8_000},
        method=PauseMethod.MUTE,
        silences={"r-001.wav": silences},
    ).lay_out()


def test_mutes_that_are_found_put_what_follows_a_standstill_back_in_its_place() -> None:
    """What an unmute may uncover is left out, as far as the clock would have it in the guard."""
    layout = stood_still([range(16_000, 32_000), range(56_000, 64_000)])
    uncovered = (BACKLOG_US - MARGIN_US) * 8 // 1000
    assert shape(layout) == [
        (SEGMENT, 0, 16_000),
        (SHORTFALL, 16_000, 8_000),
        (GAP, 24_000, 16_000 + uncovered),
        (SEGMENT, 40_000 + uncovered, 24_000 - uncovered),
        (GAP, 64_000, 8_000 + uncovered),
        (SEGMENT, 72_000 + uncovered, 8_000 - uncovered),
    ]
    placed = [span for span in layout.spans if span.part_samples]
    starts = [span.part_start_sample for span in placed]
    assert starts == [0, 32_000 + uncovered, 64_000 + uncovered]
    known_us = PLACEMENT_US + MARGIN_US + BACKLOG_US
    assert [span.uncertainty_us - known_us for span in placed] == [S + TOLERANCE_US, 0, 0]


def in_part(*times_s: tuple[float, float], held_s: float, silences_s: list[list[float]]) -> Call:
    """A recording of one muted part, from its first segment to its last one's end."""
    times = [(round(begin * S), round(end * S)) for begin, end in times_s]
    segments = [
        segment(number, begin, end, "r-001.wav", begin)
        for number, (begin, end) in enumerate(times, 1)
    ]
    gaps = [gap(before[1], after[0]) for before, after in pairwise(times)]
    return replace(
        call(times_s[-1][1], [], [], gaps),
        segments=tuple(segments),
        part_samples={"r-001.wav": round(held_s * 8000)},
        method=PauseMethod.MUTE,
        silences={"r-001.wav": [range(*(round(at * 8000) for at in one)) for one in silences_s]},
    )


@pytest.mark.parametrize(
    "made",
    [
        in_part(
            (0, 10), (15, 25), (28, 30), held_s=29.483, silences_s=[[10, 14.8], [24.483, 27.483]]
        ),
        in_part(
            (0, 10), (12, 22), (24, 30), held_s=29.9, silences_s=[[9.935, 11.9], [21.935, 23.9]]
        ),
        in_part((0, 10), (12, 22), (24, 30), held_s=30, silences_s=[[10, 11.885], [22, 24]]),
        in_part((0, 10), (12, 22), held_s=16, silences_s=[[6, 8], [10, 10.8], [11.3, 12]]),
        in_part((0, 20), (21, 26), (29, 35), held_s=20, silences_s=[[4.5, 6], [11, 14]]),
        in_part((0, 10), (11, 16), (19, 25), held_s=17, silences_s=[[1.5, 3], [8, 11]]),
        in_part(
            (0, 10), (12, 22), (25, 40), held_s=35, silences_s=[[6, 8], [9.5, 12], [22, 25]]
        ),
        in_part(
            (0, 10), (10.3, 15), (18, 25), held_s=24.483,
            silences_s=[[9.483, 9.783], [14.483, 17.483]],
        ),
        in_part((0, 10), (12, 22), (25, 30), held_s=26, silences_s=[[6, 8], [9.5, 12], [18, 21]]),
    ],
    ids=[
        "a stranger unmuted at the end of a pause",
        "an unmute uncovered 100 ms",
        "an unmute uncovered 115 ms, and nothing is lacking",
        "a stranger unmuted in a pause, and a caller was silent as long elsewhere",
        "a caller's silence is a mute's",
        "both silences are too long",
        "a caller was silent before a mute as long as another",
        "a short mute after a standstill",
        "a caller's silence is exactly a mute's",
    ],
)  # fmt: skip
def test_a_silence_that_may_be_another_moves_nothing(made: Call) -> None:
    without = replace(made, silences=None).lay_out()
    for found, clock in zip(heard_in(made.lay_out()), heard_in(without), strict=True):
        assert (found.start_sample, found.part_start_sample) == (
            clock.start_sample,
            clock.part_start_sample,
        )
        assert found.part_samples <= clock.part_samples


def heard_in(layout: Layout) -> list[Span]:
    return [span for span in layout.spans if span.part_samples]


def test_a_muted_pause_shorter_than_a_margin_is_still_listed_and_uses_no_sample_twice() -> None:
    later = S + 30 * MS
    segments = (segment(1, 0, S, "r-001.wav"), segment(2, later, 2 * S, "r-001.wav", later))
    layout = replace(
        call(2, [], [], [gap(S, later)]),
        segments=segments,
        part_samples={"r-001.wav": 16_000},
        method=PauseMethod.MUTE,
    ).lay_out()
    assert shape(layout) == [(SEGMENT, 0, 8_240), (GAP, 8_240, 0), (SEGMENT, 8_240, 7_760)]
    assert [span.part_start_sample for span in layout.spans if span.part] == [0, 8_240]


def test_a_stretch_that_lies_behind_its_muted_parts_end_is_a_shortfall() -> None:
    segments = (segment(1, 0, S, "r-001.wav"), segment(2, 3 * S, 4 * S, "r-001.wav", 3 * S))
    layout = replace(
        call(4, [], []),
        segments=segments,
        part_samples={"r-001.wav": 9_000},
        method=PauseMethod.MUTE,
    ).lay_out()
    assert shape(layout)[-1] == (SHORTFALL, 24_000, 8_000)
