"""What entries make of calls and recordings, for any entry at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ledger.helpers import CALL, RECORDING, T0_US, entry
from tests.unit.ledger.test_entries import entries
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.recorder import Source, State
from turnrec.ledger import CallRecord, RecordingRecord, RecordingStatus
from turnrec.ledger.reducer import reduce_call, reduce_recording


def call_of(*history: Entry) -> CallRecord:
    record = None
    for seq, each in enumerate(history, start=1):
        record = reduce_call(record, seq, each)
    assert record is not None
    return record


def recording_of(*history: Entry) -> RecordingRecord:
    record = None
    for seq, each in enumerate(history, start=1):
        record = reduce_recording(record, seq, each, None)
    assert record is not None
    return record


def of_recording(kind: EntryKind, at_us: int, **options: object) -> Entry:
    return entry(kind, at_us, recording_id=RECORDING, **options)  # type: ignore[arg-type]


STARTED = entry(
    EntryKind.CALL_STARTED, 0, state=State.RECORDING,
    bot="kyc", external_id="ext-1", channel="PJSIP/100-1",
)  # fmt: skip
OPENED = of_recording(EntryKind.RECORDING_OPENED, 1, bot="kyc", rate_hz=8000)
BEGAN = of_recording(EntryKind.SEGMENT_BEGAN, 2, part="x-001.wav")
ENDED = of_recording(EntryKind.SEGMENT_ENDED, 9)


def test_a_call_is_known_from_its_start() -> None:
    assert call_of(STARTED) == CallRecord(
        CALL, 1, T0_US, "pbx-1700000000.7", "kyc", "ext-1", "PJSIP/100-1", state=State.RECORDING
    )


def test_a_call_takes_node_turn_state_and_holds_from_its_entries() -> None:
    paused = entry(
        EntryKind.ACTION_DONE, 5, node="ask_aadhaar", turn=2,
        state=State.PAUSED, holds=(Source.TURN,),
    )  # fmt: skip
    record = call_of(STARTED, paused, entry(EntryKind.ALARM, 6))

    assert (record.node, record.turn) == ("ask_aadhaar", 2)
    assert (record.state, record.holds) == (State.PAUSED, (Source.TURN,))


def test_an_ended_call_stays_ended() -> None:
    late = entry(EntryKind.ACTION_FAILED, 30, state=State.PAUSED)
    again = entry(EntryKind.CALL_ENDED, 40)
    record = call_of(STARTED, entry(EntryKind.CALL_ENDED, 20), late, again)

    assert (record.live, record.ended_us, record.state) == (False, T0_US + 20, State.ENDED)


def test_a_call_whose_start_was_lost_is_found_even_so() -> None:
    record = call_of(entry(EntryKind.TURN_BEGUN, 5, node="greet", turn=1))

    assert (record.bot, record.started_us, record.node) == (None, T0_US + 5, "greet")


def test_a_recording_is_paused_until_its_first_segment_begins() -> None:
    assert recording_of(OPENED).status is RecordingStatus.PAUSED
    assert recording_of(OPENED, BEGAN).status is RecordingStatus.RECORDING


@pytest.mark.parametrize(
    "kind", [EntryKind.SEGMENT_ENDED, EntryKind.MONITOR_LOST, EntryKind.CALL_ENDED]
)
def test_a_recording_without_a_monitor_is_paused(kind: EntryKind) -> None:
    assert recording_of(OPENED, BEGAN, of_recording(kind, 5)).status is RecordingStatus.PAUSED


def test_a_muted_recording_is_paused_though_its_segment_goes_on() -> None:
    muted = of_recording(EntryKind.ACTION_DONE, 5, state=State.PAUSED, holds=(Source.TURN,))
    unmuted = of_recording(EntryKind.ACTION_DONE, 6, state=State.RECORDING)

    assert recording_of(OPENED, BEGAN, muted).status is RecordingStatus.PAUSED
    assert recording_of(OPENED, BEGAN, muted, unmuted).status is RecordingStatus.RECORDING


def test_a_closed_recording_has_what_its_closing_says_and_stays_closed() -> None:
    closed = of_recording(
        EntryKind.RECORDING_CLOSED, 20, status="done", file="a.wav", samples=800, sha256="ab"
    )
    record = recording_of(OPENED, BEGAN, ENDED, closed, BEGAN)

    assert record == RecordingRecord(
        RECORDING, 1, T0_US + 1, CALL, "kyc", T0_US + 20,
        RecordingStatus.DONE, "a.wav", 800, 8000, "ab",
    )  # fmt: skip


@pytest.mark.parametrize("status", ["failed", "", None, 7])
def test_a_closing_that_does_not_say_done_is_a_failure(status: str | int | None) -> None:
    closed = of_recording(EntryKind.RECORDING_CLOSED, 20, status=status)

    assert recording_of(OPENED, closed).status is RecordingStatus.FAILED


def test_a_recording_takes_its_bot_from_the_call() -> None:
    call = call_of(STARTED)

    assert reduce_recording(None, 2, BEGAN, call).bot == "kyc"


@given(st.lists(entries, min_size=1, max_size=6))
def test_any_entries_at_all_make_a_record(history: list[Entry]) -> None:
    call = recording = None
    for seq, each in enumerate(history, start=1):
        if each.call_id is not None:
            call = reduce_call(call, seq, each)
        if each.recording_id is not None:
            recording = reduce_recording(recording, seq, each, call)
    if call is not None:
        assert call.live == (call.ended_us is None)
    if recording is not None:
        assert recording.status.closed == (recording.closed_us is not None)
