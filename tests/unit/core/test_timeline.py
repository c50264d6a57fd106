"""Where call time lies in the file: the rules by example, then as properties."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

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
    Gap,
    Segment,
    Span,
    SpanKind,
    TimelineError,
)

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


def test_what_an_answer_took_is_uncertain_for_its_segment_and_the_gap_before() -> None:
    late = replace(segment(2, 2 * S, 3 * S), took_us=90 * MS)
    layout = call(3, [segment(1, 0, S), late], [8_000, 8_000], [gap(S, 2 * S)]).lay_out()
    assert [span.uncertainty_us - PLACEMENT_US for span in layout.spans] == [0, 90 * MS, 90 * MS]


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
