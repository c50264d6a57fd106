"""Segments and gaps divide a recording's time, with every boundary drawn against us."""

from __future__ import annotations

from tests.unit.ledger.helpers import RECORDING, T0_US, entry
from turnrec.core.entry import Entry, EntryKind
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


def closed(at_us: int) -> Entry:
    return entry(EntryKind.RECORDING_CLOSED, at_us, recording_id=RECORDING)


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


def test_a_gap_is_explained_by_the_action_that_its_stop_belongs_to() -> None:
    done = entry(EntryKind.ACTION_DONE, 105, recording_id=RECORDING, holds=(Source.TURN,))
    later = entry(EntryKind.ACTION_DONE, 200, recording_id=RECORDING, holds=(Source.OPERATOR,))

    gaps = timeline([opened(0), began(0, 2, 1), ended(100, 103, node="otp"), done, later])[1]

    assert gaps == (gap(103, None, Source.TURN, node="otp"),)


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
