"""Where call time lies in the file: the rules by example, then as properties."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from turnrec.core.policy import PauseBehavior, PauseMethod
from turnrec.core.timeline import (
    BACKLOG_US,
    MARGIN_US,
    PLACEMENT_US,
    TOLERANCE_US,
    Gap,
    Layout,
    Segment,
    Span,
    SpanKind,
    TimelineError,
    Zeros,
    lay_out,
)

OPENED_US = 1_790_000_000_123_457
MS = 1_000
S = 1_000_000
SEGMENT, GAP, SHORTFALL = SpanKind.SEGMENT, SpanKind.GAP, SpanKind.SHORTFALL


@dataclass(frozen=True)
class Call:
    """A recording's input; times in the helpers below count from its opening."""

    closed_us: int
    segments: tuple[Segment, ...]
    gaps: tuple[Gap, ...]
    part_samples: dict[str, int]
    rate_hz: int = 8000
    method: PauseMethod = PauseMethod.SEGMENT
    zeros: dict[int, Zeros] | None = None
    silences: dict[str, list[range]] | None = None

    def lay_out(self, behavior: PauseBehavior = PauseBehavior.SILENCE) -> Layout:
        return lay_out(
            opened_us=OPENED_US,
            closed_us=self.closed_us,
            segments=self.segments,
            gaps=self.gaps,
            part_samples=self.part_samples,
            rate_hz=self.rate_hz,
            behavior=behavior,
            method=self.method,
            zeros=self.zeros,
            silences=self.silences,
        )


def segment(
    number: int, began_us: int, ended_us: int | None, part: str = "", offset_us: int = 0
) -> Segment:
    ended_us = None if ended_us is None else OPENED_US + ended_us
    return Segment(number, part or f"r-{number:03d}.wav", OPENED_US + began_us, ended_us, offset_us)


def gap(began_us: int, ended_us: int, *sources: str, node: str | None = None) -> Gap:
    return Gap(OPENED_US + began_us, OPENED_US + ended_us, sources or ("turn",), node)


def call(
    seconds: float, segments: list[Segment], samples: list[int], gaps: list[Gap] | None = None
) -> Call:
    parts = dict(zip([one.part for one in segments], samples, strict=True))
    return Call(OPENED_US + round(seconds * S), tuple(segments), tuple(gaps or []), parts)


def shape(layout: Layout) -> list[tuple[SpanKind, int, int]]:
    return [(span.kind, span.start_sample, span.samples) for span in layout.spans]


# ------------------------------------------------------------------ silence


def test_a_part_is_placed_at_its_own_start_and_the_gap_is_what_no_part_fills() -> None:
    layout = call(
        5,
        [segment(1, 0, 2 * S), segment(2, 3 * S, 5 * S)],
        [16_000, 16_000],
        [gap(2 * S, 3 * S, "turn", node="ask_pan")],
    ).lay_out()
    assert shape(layout) == [(SEGMENT, 0, 16_000), (GAP, 16_000, 8_000), (SEGMENT, 24_000, 16_000)]
    hole = layout.spans[1]
    assert (hole.sources, hole.node) == (("turn",), "ask_pan")
    assert (hole.begin_us, hole.end_us) == (OPENED_US + 2 * S, OPENED_US + 3 * S)


def test_a_part_may_run_a_little_past_its_end_and_keeps_all_its_audio() -> None:
    layout = call(
        4, [segment(1, 0, S), segment(2, 3 * S, 4 * S)], [8_128, 8_100], [gap(S, 3 * S)]
    ).lay_out()
    assert shape(layout) == [(SEGMENT, 0, 8_128), (GAP, 8_128, 15_872), (SEGMENT, 24_000, 8_100)]
    assert layout.samples == 32_100


def test_a_part_is_trimmed_where_the_next_segment_begins() -> None:
    layout = call(2, [segment(1, 0, S), segment(2, S, 2 * S)], [8_128, 8_000]).lay_out()
    assert shape(layout) == [(SEGMENT, 0, 8_000), (SEGMENT, 8_000, 8_000)]
    assert layout.spans[0].excess_samples == 128


def test_a_part_that_goes_on_into_the_pause_is_cut_at_its_segments_end() -> None:
    """The monitor did not stop when Asterisk said so: what it heard was a sensitive turn."""
    layout = call(
        30,
        [segment(1, 0, 10 * S), segment(2, 20 * S, 30 * S)],
        [160_000, 80_000],
        [gap(10 * S, 20 * S)],
    ).lay_out()
    assert shape(layout)[:2] == [(SEGMENT, 0, 80_000), (GAP, 80_000, 80_000)]
    assert layout.spans[0].excess_samples == 80_000
    assert layout.spans[0].uncertainty_us == PLACEMENT_US + 10 * S + TOLERANCE_US


def test_a_slightly_short_part_is_padded() -> None:
    layout = call(1, [segment(1, 0, S)], [8_000 - TOLERANCE_US * 8 // 1000]).lay_out()
    assert shape(layout) == [(SEGMENT, 0, 8_000)]
    assert layout.spans[0].part_samples == 8_000 - 480


def test_a_stretch_without_rtp_is_a_shortfall_with_its_uncertainty_and_moves_nothing_else() -> None:
    layout = call(
        20, [segment(1, 0, 10 * S), segment(2, 11 * S, 20 * S)], [56_000, 72_000]
    ).lay_out()
    assert shape(layout) == [
        (SEGMENT, 0, 56_000),
        (SHORTFALL, 56_000, 24_000),
        (GAP, 80_000, 8_000),
        (SEGMENT, 88_000, 72_000),
    ]
    assert layout.spans[1].segment == 1
    assert layout.spans[0].uncertainty_us == PLACEMENT_US + 3 * S + TOLERANCE_US
    assert layout.spans[1].uncertainty_us == layout.spans[0].uncertainty_us
    assert layout.spans[3].uncertainty_us == PLACEMENT_US


def test_the_tolerance_grows_with_a_poor_crystal_over_an_hour() -> None:
    hour = call(3600, [segment(1, 0, 3600 * S)], [3600 * 8_000 - 3_000])
    assert [span.kind for span in hour.lay_out().spans] == [SEGMENT]
    minute = call(60, [segment(1, 0, 60 * S)], [60 * 8_000 - 3_000])
    assert [span.kind for span in minute.lay_out().spans] == [SEGMENT, SHORTFALL]


def test_a_lost_part_leaves_a_shortfall_in_its_place() -> None:
    layout = call(2, [segment(1, 0, S), segment(2, S, 2 * S)], [0, 8_000]).lay_out()
    assert shape(layout) == [(SHORTFALL, 0, 8_000), (SEGMENT, 8_000, 8_000)]


def test_a_call_that_begins_and_ends_paused_has_gaps_at_both_ends() -> None:
    layout = call(
        9, [segment(1, 3 * S, 6 * S)], [24_000], [gap(0, 3 * S, "agent"), gap(6 * S, 9 * S)]
    ).lay_out()
    assert shape(layout) == [(GAP, 0, 24_000), (SEGMENT, 24_000, 24_000), (GAP, 48_000, 24_000)]
    assert [span.sources for span in layout.spans] == [("agent",), (), ("turn",)]


def test_a_call_paused_throughout_is_one_gap() -> None:
    layout = call(4, [], [], [gap(0, 4 * S)]).lay_out()
    assert shape(layout) == [(GAP, 0, 32_000)]
    assert layout.audible_samples == 0


def test_a_seam_between_two_monitors_is_a_gap_without_a_source() -> None:
    layout = call(2, [segment(1, 0, S), segment(2, 1150 * MS, 2 * S)], [8_000, 6_800]).lay_out()
    assert shape(layout)[1] == (GAP, 8_000, 1_200)
    assert layout.spans[1].sources == ()


def test_gaps_that_follow_each_other_share_their_hole_and_take_the_guard_with_them() -> None:
    layout = call(
        5,
        [segment(1, 0, S), segment(2, 4080 * MS, 5 * S)],
        [8_000, 7_360],
        [gap(S, 2 * S, "turn", node="ask_pan"), gap(2 * S, 4 * S, "agent")],
    ).lay_out()
    assert shape(layout)[1:3] == [(GAP, 8_000, 8_000), (GAP, 16_000, 16_640)]
    assert [span.node for span in layout.spans[1:3]] == ["ask_pan", None]


def test_a_gap_that_begins_with_its_request_yields_to_the_segments_end() -> None:
    """The disk blocked: Asterisk's answer to the stop took 753 ms."""
    layout = call(
        5,
        [segment(1, 0, 1753 * MS), segment(2, 4 * S, 5 * S)],
        [14_024, 8_000],
        [gap(S, 4 * S)],
    ).lay_out()
    assert shape(layout)[:2] == [(SEGMENT, 0, 14_024), (GAP, 14_024, 17_976)]


def test_a_gap_too_short_for_a_sample_is_listed_all_the_same() -> None:
    layout = call(
        2, [segment(1, 0, S), segment(2, S + 40, 2 * S)], [8_000, 8_000], [gap(S, S + 40)]
    ).lay_out()
    assert shape(layout)[1] == (GAP, 8_000, 0)


@pytest.mark.parametrize(
    ("segments", "gaps", "kinds"),
    [
        ([segment(1, 0, None), segment(2, 5 * S, 10 * S)], [], [SEGMENT, SHORTFALL, SEGMENT]),
        ([segment(1, 0, None)], [], [SEGMENT, SHORTFALL]),
        ([segment(1, 0, None)], [gap(5 * S, 10 * S, "fault")], [SEGMENT, SHORTFALL, GAP]),
    ],
    ids=["next segment", "close", "gap"],
)
def test_an_end_never_seen_is_the_next_thing_known(
    segments: list[Segment], gaps: list[Gap], kinds: list[SpanKind]
) -> None:
    samples = [24_000, 40_000][: len(segments)]
    layout = call(10, segments, samples, gaps).lay_out()
    assert [span.kind for span in layout.spans] == kinds
    assert layout.spans[0].samples == 24_000
    assert layout.samples == 80_000


def test_many_parts_do_not_drift() -> None:
    """Sums would: each part is 16 ms too long, as measured, and each gap keeps its place."""
    segments = [segment(i + 1, i * 2 * S, i * 2 * S + S) for i in range(50)]
    layout = call(100, segments, [8_128] * 50).lay_out()
    starts = [span.start_sample for span in layout.spans if span.kind is SEGMENT]
    assert starts == [i * 16_000 for i in range(50)]
    assert layout.samples == 800_000


# ------------------------------------------------------------------ skip


def test_skip_holds_only_what_is_audible_and_folds_the_rest_to_nothing() -> None:
    layout = call(
        21,
        [segment(1, 0, 10 * S), segment(2, 11 * S, 20 * S)],
        [56_000, 72_000],
        [gap(10 * S, 11 * S), gap(20 * S, 21 * S)],
    ).lay_out(PauseBehavior.SKIP)
    assert shape(layout) == [
        (SEGMENT, 0, 56_000),
        (SHORTFALL, 56_000, 0),
        (GAP, 56_000, 0),
        (SEGMENT, 56_000, 72_000),
        (GAP, 128_000, 0),
    ]
    assert layout.samples == 128_000
    assert layout.file_time_us(OPENED_US + 11 * S) == 7 * S
    assert layout.call_time_us(56_000) == OPENED_US + 11 * S
    assert layout.call_time_us(55_999) == OPENED_US + 7 * S - 125
    assert layout.file_time_us(OPENED_US + 10_500 * MS) is None


def test_silence_has_a_file_time_in_the_gap_but_none_outside_the_recording() -> None:
    layout = call(3, [segment(1, 0, S)], [8_000], [gap(S, 3 * S)]).lay_out()
    assert layout.file_time_us(OPENED_US + 2 * S) == 2 * S
    assert layout.file_time_us(OPENED_US - 1) is None
    assert layout.file_time_us(OPENED_US + 3 * S) is None


@pytest.mark.parametrize("sample", [-1, 8_000])
def test_a_sample_that_the_file_does_not_have_has_no_call_time(sample: int) -> None:
    layout = call(1, [segment(1, 0, S)], [8_000]).lay_out()
    with pytest.raises(TimelineError, match="no sample"):
        layout.call_time_us(sample)


# ------------------------------------------------------------------ method mute


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


def test_what_an_answer_took_is_uncertain_for_its_segment_and_the_gap_before() -> None:
    late = replace(segment(2, 2 * S, 3 * S), took_us=90 * MS)
    layout = call(3, [segment(1, 0, S), late], [8_000, 8_000], [gap(S, 2 * S)]).lay_out()
    assert [span.uncertainty_us - PLACEMENT_US for span in layout.spans] == [0, 90 * MS, 90 * MS]


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


# ------------------------------------------------------------------ contradictions


@pytest.mark.parametrize(
    ("segments", "gaps", "names"),
    [
        ([segment(1, 0, 2 * S), segment(2, S, 3 * S)], [], "segment 2 begins before segment 1"),
        ([segment(2, 0, S), segment(1, 2 * S, 3 * S)], [], "segment 1 is listed after 2"),
        ([segment(1, 2 * S, 3 * S), segment(2, 0, S)], [], "segment 2 is listed after 1"),
        ([segment(1, 2 * S, S)], [], "segment 1 ends before it begins"),
        ([segment(1, -1, S)], [], "segment 1 begins before the recording"),
        ([segment(1, 0, 11 * S)], [], "segment 1 ends after the recording"),
        ([segment(1, 0, S, "x.wav")], [], "segment 1 has a part of unknown length, 'x.wav'"),
        ([segment(1, 0, S, offset_us=5)], [], "segment 1 has no part of its own"),
        ([segment(1, 0, S), segment(2, S, S, "r-001.wav")], [], "segment 2 has no part of its own"),
        ([segment(1, 0, 9 * S)], [gap(3 * S, 4 * S, node="n")], "gap of turn .* inside a segment"),
        ([segment(1, 3 * S, 4 * S)], [gap(2 * S, 5 * S)], "a segment was recorded during the gap"),
        ([], [gap(2 * S, S)], "gap of turn .* ends before it begins"),
        ([], [gap(0, 2 * S), gap(S, 3 * S)], "begins before the gap of turn"),
        ([], [gap(-3 * S, -S)], "outside the recording"),
        ([], [gap(11 * S, 12 * S)], "outside the recording"),
    ],
)
def test_a_contradiction_is_refused_by_name(
    segments: list[Segment], gaps: list[Gap], names: str
) -> None:
    parts = {"r-001.wav": 8_000, "r-002.wav": 8_000}
    with pytest.raises(TimelineError, match=names):
        Call(OPENED_US + 10 * S, tuple(segments), tuple(gaps), parts).lay_out()


@pytest.mark.parametrize(
    ("offsets", "parts", "names"),
    [
        ((0, -1), ("r-001.wav",) * 2, "segment 2 has a negative offset"),
        ((5, 4), ("r-001.wav",) * 2, "segment 2 lies before segment 1 in part"),
        ((0, 0, 5), ("r-001.wav", "r-002.wav", "r-001.wav"), "segment 3 goes back to part"),
    ],
)
def test_a_muted_part_is_read_forwards_only(
    offsets: tuple[int, ...], parts: tuple[str, ...], names: str
) -> None:
    segments = tuple(
        segment(i + 1, i * S, (i + 1) * S, part, offset)
        for i, (offset, part) in enumerate(zip(offsets, parts, strict=True))
    )
    with pytest.raises(TimelineError, match=names):
        Call(
            OPENED_US + 10 * S, segments, (), dict.fromkeys(parts, 80_000), method=PauseMethod.MUTE
        ).lay_out()


def test_a_recording_cannot_close_before_it_opens_nor_have_no_rate() -> None:
    with pytest.raises(TimelineError, match="cannot last"):
        call(-1, [], []).lay_out()
    with pytest.raises(TimelineError, match="0 samples a second"):
        replace(call(1, [], []), rate_hz=0).lay_out()


# ------------------------------------------------------------------ properties

durations_us = st.integers(0, 3 * S) | st.sampled_from([0, 1, 62, 125, 80 * MS])
rates_hz = st.sampled_from([8_000, 16_000, 11_025])


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Any call that can happen: parts short, long and lost, ends unseen, holes with many gaps."""
    method = draw(st.sampled_from(PauseMethod))
    rate_hz = draw(rates_hz)
    now = draw(durations_us)
    segments: list[Segment] = []
    gaps = [gap(0, now)] if now and draw(st.booleans()) else []
    held_us: dict[str, int] = {}
    part, part_began = "", 0
    for number in range(1, draw(st.integers(0, 6)) + 1):
        if method is PauseMethod.SEGMENT or not part or draw(st.booleans()):
            part, part_began = f"r-{number:03d}.wav", now
        ended = now + draw(durations_us)
        seen = draw(st.integers(0, 4)) > 0
        offset = now - part_began
        segments.append(segment(number, now, ended if seen else None, part, offset))
        pause = draw(durations_us)
        amiss = draw(st.integers(-50 * MS, 50 * MS) | st.integers(-3 * S, 3 * S))
        muted_tail = pause if method is PauseMethod.MUTE else 0
        held_us[part] = max(0, ended - part_began + muted_tail + amiss)
        now = ended + pause
        if pause and draw(st.booleans()):
            middle = draw(st.integers(ended, now))
            gaps += [gap(ended, middle, "turn"), gap(middle, now, "agent", "fault")]
    samples = {name: held * rate_hz // S for name, held in held_us.items()}
    return Call(OPENED_US + now, tuple(segments), tuple(gaps), samples, rate_hz, method)


@st.composite
def standstills(draw: st.DrawFn) -> Call:
    """One muted part that stood still here and there, and is silent where it was muted."""
    rate_hz = draw(rates_hz)
    now = lacked = 0
    segments: list[Segment] = []
    gaps: list[Gap] = []
    silences: list[range] = []
    for number in range(1, draw(st.integers(2, 6)) + 1):
        if segments:
            pause = draw(st.integers(360 * MS, 3 * S))
            edges = [now - lacked + draw(st.integers(-15 * MS, 15 * MS)) for _ in "be"]
            silences.append(
                range(*(max(0, us) * rate_hz // S for us in (edges[0], edges[1] + pause)))
            )
            gaps.append(gap(now, now + pause))
            now += pause
        lasts = draw(st.integers(300 * MS, 5 * S))
        segments.append(segment(number, now, now + lasts, "r-001.wav", now))
        now += lasts
        lacked += draw(st.just(0) | st.integers(0, lasts - 200 * MS))
    return Call(
        OPENED_US + now,
        tuple(segments),
        tuple(gaps),
        {"r-001.wav": (now - lacked) * rate_hz // S},
        rate_hz,
        PauseMethod.MUTE,
        silences={"r-001.wav": silences},
    )


all_calls = calls() | standstills()


def in_samples(call: Call, duration_us: int) -> int:
    return (duration_us * call.rate_hz + S // 2) // S


behaviors = st.sampled_from(PauseBehavior)
untimed = settings(deadline=None)


@untimed
@given(all_calls, behaviors)
def test_spans_tile_the_file_and_the_call(call: Call, behavior: PauseBehavior) -> None:
    layout = call.lay_out(behavior)
    assert sum(span.samples for span in layout.spans) == layout.samples
    assert all(span.samples >= span.part_samples >= 0 for span in layout.spans)
    for before, after in pairwise(layout.spans):
        assert after.start_sample == before.start_sample + before.samples
        assert after.begin_us == before.end_us >= before.begin_us
    if layout.spans:
        assert layout.spans[0].start_sample == 0
        assert layout.spans[0].begin_us == OPENED_US


@untimed
@given(all_calls, behaviors)
def test_every_sample_of_a_part_is_used_at_most_once(call: Call, behavior: PauseBehavior) -> None:
    until: dict[str, int] = {}
    for span in call.lay_out(behavior).spans:
        if span.part is not None and span.part_samples:
            assert span.part_start_sample >= until.get(span.part, 0)
            until[span.part] = span.part_start_sample + span.part_samples
            assert until[span.part] <= call.part_samples[span.part]


@untimed
@given(all_calls)
def test_silence_is_as_long_as_the_call(call: Call) -> None:
    """Longer only by what the last part ran on after the close, which is kept."""
    layout = call.lay_out()
    call_samples = in_samples(call, call.closed_us - OPENED_US)
    ran_on = layout.samples - call_samples
    skew_us = (call.closed_us - OPENED_US) // 10_000
    assert 0 <= ran_on <= in_samples(call, TOLERANCE_US + skew_us) + 1


@untimed
@given(all_calls)
def test_what_skip_leaves_out_is_exactly_the_gaps_and_shortfalls(call: Call) -> None:
    silence, skip = call.lay_out(), call.lay_out(PauseBehavior.SKIP)
    left_out = sum(span.samples for span in silence.spans if span.kind is not SEGMENT)
    assert skip.samples + left_out == silence.samples
    assert [as_in_both(span) for span in skip.spans] == [as_in_both(span) for span in silence.spans]


def as_in_both(span: Span) -> Span:
    return replace(span, start_sample=0, samples=span.samples if span.kind is SEGMENT else 0)


@untimed
@given(all_calls, behaviors, st.data())
def test_file_time_and_call_time_are_inverse_where_there_is_audio(
    call: Call, behavior: PauseBehavior, data: st.DataObject
) -> None:
    layout = call.lay_out(behavior)
    audible = [span for span in layout.spans if span.kind is SEGMENT and span.samples]
    if not audible:
        return
    span = data.draw(st.sampled_from(audible))
    sample = span.start_sample + data.draw(st.integers(0, span.samples - 1))
    call_us = layout.call_time_us(sample)
    file_us = layout.file_time_us(call_us)
    assert file_us is not None
    assert in_samples(call, file_us) == sample


@untimed
@given(all_calls, behaviors)
def test_no_audio_lies_further_than_the_tolerance_from_where_a_segment_was(
    call: Call, behavior: PauseBehavior
) -> None:
    """The promise: whatever a part holds, nothing of it is placed deep in a pause."""
    ends = {one.number: one.ended_us for one in call.segments}
    begans = {one.number: one.began_us for one in call.segments}
    for span in call.lay_out(behavior).spans:
        ended_us = ends.get(span.segment or 0)
        if span.kind is SEGMENT and ended_us is not None and span.segment is not None:
            slack_us = TOLERANCE_US + (ended_us - begans[span.segment]) // 10_000 + 200
            assert span.end_us <= ended_us + slack_us
            assert span.begin_us >= begans[span.segment] - MARGIN_US - 200


@untimed
@given(all_calls)
def test_every_named_gap_is_listed_once_and_in_order(call: Call) -> None:
    listed = [span.sources for span in call.lay_out().spans if span.sources]
    assert listed == [one.sources for one in call.gaps]


@untimed
@given(standstills())
def test_what_lies_between_mutes_that_were_found_is_not_lost_to_a_standstill(call: Call) -> None:
    """But for what an unmute may uncover, and for what the clock has within the margin."""
    layout = call.lay_out()
    assume(layout.anchored)
    silences = (call.silences or {})["r-001.wav"]
    first = 0
    for number, silence in enumerate([*silences, range(call.part_samples["r-001.wav"], 0)], 1):
        taken = sum(span.part_samples for span in layout.spans if span.segment == number)
        lost_us = (silence.start - first - taken) * S // call.rate_hz
        assert lost_us <= BACKLOG_US + 40 * MS
        first = silence.stop
