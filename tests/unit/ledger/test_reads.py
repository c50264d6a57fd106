"""What a restart, the command line and the API ask of a ledger."""

from __future__ import annotations

import pytest

from tests.unit.ledger.helpers import CALL, RECORDING, T0_US, entry
from turnrec.core.entry import EntryKind
from turnrec.core.recorder import Source, State
from turnrec.ledger import Ledger


async def start_calls(ledger: Ledger, *call_ids: str) -> None:
    for at_us, call_id in enumerate(call_ids):
        ledger.append(
            entry(EntryKind.CALL_STARTED, at_us, call_id=call_id, external_id=f"ext-{call_id}")
        )
    await ledger.flush()


async def test_what_is_flushed_can_be_read(ledger: Ledger) -> None:
    for number in range(20):
        ledger.append(entry(at_us=number, node=f"n{number}", turn=number))
        await ledger.flush()
        call = await ledger.call(CALL)
        assert call is not None
        assert call.node == f"n{number}"


async def test_what_is_unknown_is_none(ledger: Ledger) -> None:
    assert await ledger.call("nobody") is None
    assert await ledger.recording("nothing") is None
    assert await ledger.find_call("nobody") is None
    assert await ledger.calls(before="nobody") == ()


async def test_calls_come_newest_first_and_in_pages(ledger: Ledger) -> None:
    # Ids that don't sort by time: a clock that jumps must not lose a call between two pages.
    await start_calls(ledger, "c", "a", "d", "b")

    first = await ledger.calls(limit=3)
    second = await ledger.calls(limit=3, before=first[-1].call_id)

    assert [call.call_id for call in (*first, *second)] == ["b", "d", "a", "c"]


async def test_live_calls_are_those_without_an_end(ledger: Ledger) -> None:
    await start_calls(ledger, "a", "b")
    ledger.append(entry(EntryKind.CALL_ENDED, 9, call_id="a"))
    await ledger.flush()

    assert [call.call_id for call in await ledger.calls(live=True)] == ["b"]
    assert [call.call_id for call in await ledger.calls(live=False)] == ["a"]


@pytest.mark.parametrize("name", ["ext-b", "pbx-1700000000.7"])
async def test_a_call_is_found_by_uniqueid_and_by_external_id(ledger: Ledger, name: str) -> None:
    await start_calls(ledger, "a", "b")

    found = await ledger.find_call(name)

    assert found is not None
    assert found.call_id == "b"


async def test_a_recording_comes_with_its_segments_and_gaps(ledger: Ledger) -> None:
    history = [
        entry(EntryKind.CALL_STARTED, 0, bot="kyc"),
        entry(EntryKind.RECORDING_OPENED, 1, recording_id=RECORDING, rate_hz=8000),
        entry(EntryKind.SEGMENT_BEGAN, 1, recording_id=RECORDING, part="p-001"),
        entry(EntryKind.SEGMENT_ENDED, 5, recording_id=RECORDING, holds=(Source.TURN,)),
    ]
    for each in history:
        ledger.append(each)
    await ledger.flush()

    recording = await ledger.recording(RECORDING)

    assert recording is not None
    assert (recording.bot, recording.status) == ("kyc", "paused")
    assert [segment.part for segment in recording.segments] == ["p-001"]
    assert [gap.began_us for gap in recording.gaps] == [T0_US + 5]


async def test_recordings_are_filtered_and_paged(ledger: Ledger) -> None:
    for number in range(4):
        ledger.append(
            entry(
                EntryKind.RECORDING_OPENED,
                number,
                call_id=f"call-{number % 2}",
                recording_id=f"rec-{number}",
            )
        )
    ledger.append(entry(EntryKind.CALL_STARTED, 5, call_id="call-9", bot="other"))
    ledger.append(entry(EntryKind.RECORDING_OPENED, 6, call_id="call-9", recording_id="rec-9"))
    await ledger.flush()

    of_call = await ledger.recordings(call_id="call-1")
    of_bot = await ledger.recordings(bot="other")
    page = await ledger.recordings(limit=2, before="rec-3")

    assert [recording.recording_id for recording in of_call] == ["rec-3", "rec-1"]
    assert [recording.recording_id for recording in of_bot] == ["rec-9"]
    assert [recording.recording_id for recording in page] == ["rec-2", "rec-1"]


async def test_entries_can_be_followed(ledger: Ledger) -> None:
    for number in range(5):
        ledger.append(entry(at_us=number, recording_id=RECORDING if number % 2 else None))
    await ledger.flush()

    assert [each.seq for each in await ledger.entries(after_seq=2, limit=2)] == [3, 4]
    assert [each.seq for each in await ledger.entries(recording_id=RECORDING)] == [2, 4]


async def test_the_history_of_a_live_call_is_whole_and_of_an_ended_one_empty(
    ledger: Ledger,
) -> None:
    await start_calls(ledger, "other")
    for number in range(1500):
        ledger.append(entry(at_us=number, state=State.RECORDING))
    await ledger.flush()
    live = await ledger.open_history(CALL)
    ledger.append(entry(EntryKind.CALL_ENDED, 2000))
    await ledger.flush()

    assert len(live) == 1500
    assert live[0].seq == 2
    assert await ledger.open_history(CALL) == ()
