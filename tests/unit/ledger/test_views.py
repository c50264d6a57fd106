"""Segments and gaps divide a recording's time, with every boundary drawn against us."""

from __future__ import annotations

import pytest

from tests.unit.ledger.helpers import RECORDING, T0_US, entry
from turnrec.core.entry import JSON, Entry, EntryKind
from turnrec.core.recorder import Source
from turnrec.ledger import Gap, Segment
from turnrec.ledger.views import timeline


def opened(at_us: int, *holds: Source) -> Entry:
    return entry(EntryKind.RECORDING_OPENED, at_us, recording_id=RECORDING, holds=holds)


def began(asked_us: int, answered_us: int, number: int) -> Entry:
    return entry(
        EntryKind.SEGMENT_BEGAN, answered_us + 1, recording_id=RECORDING,
        number=number, part=f"r-{number:03}", asked_us=T0_US + asked_us,
        answered_us=T0_US + answered_us,
    )  # fmt: skip


def ended(asked_us: int, answered_us: int, *holds: Source, node: str | None = None) -> Entry:
    return entry(
        EntryKind.SEGMENT_ENDED, answered_us + 1, recording_id=RECORDING, holds=holds, node=node,
        turn=2, asked_us=T0_US + asked_us, answered_us=T0_US + answered_us,
    )  # fmt: skip


def closed(at_us: int, spans: JSON = None) -> Entry:
    return entry(EntryKind.RECORDING_CLOSED, at_us, recording_id=RECORDING, spans=spans)


def segment(number: int, began_us: int, ended_us: int | None, offset_us: int) -> Segment:
    end_us = None if ended_us is None else T0_US + ended_us
    return Segment(number, f"r-{number:03}", T0_US + began_us, end_us, offset_us)


def gap(began_us: int, ended_us: int | None, *holds: Source, node: str | None = None) -> Gap:
    end_us = None if ended_us is None else T0_US + ended_us
    return Gap(T0_US + began_us, end_us, holds, node, 2 if node else None)


def test_a_pause_is_a_gap_from_the_proven_stop_to_the_next_start_asked() -> None:
    segments, gaps = timeline(
        [
            opened(0),
            began(0, 2, 1),
            ended(100, 103, Source.TURN, node="ask_aadhaar"),
            began(500, 580, 2),
            ended(900, 904, node="bye"),
            closed(904),
        ]
    )

    assert segments == (segment(1, 0, 103, 0), segment(2, 500, 904, 500))
    assert gaps == (gap(103, 500, Source.TURN, node="ask_aadhaar"),)


def held(kind: EntryKind, at_us: int, *holds: Source) -> Entry:
    return entry(kind, at_us, recording_id=RECORDING, holds=holds)


def test_a_gap_is_explained_by_the_action_that_its_stop_belongs_to() -> None:
    done = held(EntryKind.ACTION_DONE, 105, Source.TURN)

    gaps = timeline([opened(0), began(0, 2, 1), ended(100, 103, node="otp"), done])[1]

    assert gaps == (gap(103, None, Source.TURN, node="otp"),)


@pytest.mark.parametrize(
    "later",
    [
        [(EntryKind.ACTION_DONE, {Source.TURN, Source.OPERATOR})],
        [(EntryKind.ACTION_DONE, {Source.TURN, Source.OPERATOR}), (EntryKind.ACTION_DONE, set())],
        [(EntryKind.ACTION_FAILED, {Source.TURN, Source.OPERATOR})],
        [(EntryKind.ACTION_ASKED, {Source.OPERATOR})],
        [(EntryKind.MONITOR_LOST, {Source.OPERATOR})],
        [(EntryKind.ACTION_DONE, {Source.OPERATOR}), (EntryKind.ACTION_DONE, {Source.TURN})],
    ],
)
def test_a_gap_names_everybody_who_held_during_it_whoever_began_it(
    later: list[tuple[EntryKind, set[Source]]],
) -> None:
    history = [
        opened(0),
        began(0, 2, 1),
        ended(100, 103, node="otp"),
        held(EntryKind.ACTION_DONE, 105, Source.TURN),
        *(held(kind, 200 + n, *holds) for n, (kind, holds) in enumerate(later)),
    ]
    assert timeline(history)[1] == (gap(103, None, Source.TURN, Source.OPERATOR, node="otp"),)
    history += [began(300, 302, 2), held(EntryKind.ACTION_DONE, 303)]
    assert timeline(history)[1] == (gap(103, 300, Source.TURN, Source.OPERATOR, node="otp"),)


def test_who_holds_after_a_gap_has_no_part_in_it() -> None:
    history = [opened(0), began(0, 2, 1), ended(100, 103, Source.TURN), began(200, 202, 2)]
    history += [held(EntryKind.ACTION_DONE, 210), held(EntryKind.ACTION_FAILED, 250, Source.FAULT)]

    assert [one.holds for one in timeline(history)[1]] == [(Source.TURN,)]


def test_the_time_that_joining_takes_is_no_gap() -> None:
    gaps = timeline([opened(0), began(0, 2, 1), ended(100, 103, node="bye"), closed(5_000)])[1]

    assert gaps == ()


@pytest.mark.parametrize("spans", [None, [], "gap", [None], [{"end_us": "x"}]])
def test_a_gap_that_lasts_to_the_end_ends_with_the_recording(spans: JSON) -> None:
    paused = [opened(0), began(0, 2, 1), ended(100, 103, Source.TURN, node="otp")]
    whole: JSON = [{"end_us": T0_US + 103}, {"end_us": T0_US + 900}]

    assert timeline([*paused, closed(5_000, whole)])[1] == (gap(103, 900, Source.TURN, node="otp"),)
    assert timeline([*paused, closed(5_000, spans)])[1] == (
        gap(103, 5_000, Source.TURN, node="otp"),
    )


def test_what_goes_on_has_no_end() -> None:
    assert timeline([opened(0), began(0, 2, 1)]) == ((segment(1, 0, None, 0),), ())
    paused = [opened(0), began(0, 2, 1), ended(5, 6, Source.OPERATOR, node="n")]
    assert timeline(paused)[1] == (gap(6, None, Source.OPERATOR, node="n"),)


def test_a_recording_that_opens_held_begins_with_a_gap() -> None:
    segments, gaps = timeline([opened(0, Source.TURN), began(50, 60, 1)])

    assert gaps == (gap(0, 50, Source.TURN),)
    assert segments[0].offset_us == 0


def test_a_lost_monitor_ends_the_segment() -> None:
    lost = entry(EntryKind.MONITOR_LOST, 30, recording_id=RECORDING, holds=(Source.FAULT,))

    segments, gaps = timeline([opened(0), began(0, 2, 1), lost])

    assert segments == (segment(1, 0, 30, 0),)
    assert gaps == (gap(30, None, Source.FAULT),)


def test_a_segment_whose_end_nobody_noted_ends_with_the_next_or_the_close() -> None:
    segments, gaps = timeline([opened(0), began(0, 2, 1), began(50, 52, 2), closed(90)])

    assert segments == (segment(1, 0, 50, 0), segment(2, 50, 90, 50))
    assert gaps == ()


def test_an_end_without_a_segment_says_nothing() -> None:
    assert timeline([ended(1, 2), closed(5)]) == ((), ())
