"""What a restart, the command line and the API ask of a ledger."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql

from tests.unit.ledger.helpers import CALL, RECORDING, T0_US, entry
from turnrec.core.entry import EntryKind
from turnrec.core.recorder import Source, State
from turnrec.ledger import Ledger, search
from turnrec.ledger.schema import recordings
from turnrec.ledger.search import RecordingSearch
from turnrec.ledger.views import RecordingStatus


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


async def fill(ledger: Ledger) -> None:
    """Nine recordings of three bots, the third of each failed; the newest is still open."""
    for number in range(9):
        call_id, recording_id = f"call-{number}", f"rec-{number}"
        bot = f"bot-{number % 3}"
        ledger.append(
            entry(
                EntryKind.CALL_STARTED,
                number * 10,
                call_id=call_id,
                bot=bot,
                external_id=f"ext-{number % 4}%",
            )
        )
        ledger.append(
            entry(
                EntryKind.RECORDING_OPENED, number * 10, call_id=call_id, recording_id=recording_id
            )
        )
        if number < 8:
            status = "done" if number < 6 else "failed"
            ledger.append(
                entry(
                    EntryKind.RECORDING_CLOSED,
                    number * 10 + 5,
                    call_id=call_id,
                    recording_id=recording_id,
                    status=status,
                )
            )
    await ledger.flush()


BOTS = frozenset({"bot-0", "bot-1", "unknown"})


def told(value: object) -> str:
    """A test's id: the same in each process, whatever order a set has there."""
    if not isinstance(value, RecordingSearch):
        return str(value)
    bots = "all bots" if value.bots is None else f"{len(value.bots)} bots"
    times = f"{value.from_us}..{value.to_us}"
    return f"{bots} {value.status} {times} {value.call} {value.prefix}"


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (RecordingSearch(), "876543210"),
        (RecordingSearch(bots=frozenset({"bot-0"})), "630"),
        (RecordingSearch(bots=BOTS), "764310"),
        (RecordingSearch(bots=frozenset()), ""),
        (RecordingSearch(status=RecordingStatus.FAILED), "76"),
        (RecordingSearch(status=RecordingStatus.PAUSED), "8"),
        (RecordingSearch(bots=BOTS, status=RecordingStatus.DONE), "4310"),
        (RecordingSearch(from_us=T0_US + 70), "87"),
        (RecordingSearch(to_us=T0_US + 20), "10"),
        (RecordingSearch(from_us=T0_US + 20, to_us=T0_US + 60, bots=BOTS), "43"),
        (RecordingSearch(call="call-5"), "5"),
        (RecordingSearch(call="ext-3%"), "73"),
        (RecordingSearch(call="ext-3"), ""),
        (RecordingSearch(call="pbx-1700000000.7"), "876543210"),
        (RecordingSearch(call="ext-1%", bots=BOTS, status=RecordingStatus.DONE), "1"),
        (RecordingSearch(prefix="rec-4"), "4"),
        (RecordingSearch(prefix="call-4"), "4"),
        (RecordingSearch(prefix="ext-1"), "51"),
        (RecordingSearch(prefix="ext-"), "876543210"),
        (RecordingSearch(prefix="ext-1", bots=BOTS), "1"),
        (RecordingSearch(prefix="pbx-17"), "876543210"),
        (RecordingSearch(prefix="REC"), ""),
        (RecordingSearch(prefix="ext%1"), ""),
        (RecordingSearch(prefix="e_t"), ""),
    ],
    ids=told,
)
@pytest.mark.parametrize("few", [1_000, 1], ids=["looked up", "met on the way"])
async def test_recordings_are_found_by_what_they_are_whatever_the_plan(
    ledger: Ledger,
    wanted: RecordingSearch,
    numbers: str,
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "_FEW", few)
    await fill(ledger)
    found = await ledger.search_recordings(wanted)
    assert "".join(one.recording_id[-1] for one in found) == numbers


@pytest.mark.parametrize(
    "wanted",
    [RecordingSearch(), RecordingSearch(bots=BOTS), RecordingSearch(prefix="ext-")],
    ids=told,
)
async def test_pages_of_what_is_found_are_full_and_leave_nothing_out(
    ledger: Ledger, wanted: RecordingSearch
) -> None:
    await fill(ledger)
    whole = [one.recording_id for one in await ledger.search_recordings(wanted)]
    paged: list[str] = []
    while len(paged) < len(whole):
        before = paged[-1] if paged else None
        page = await ledger.search_recordings(wanted, limit=2, before=before)
        assert len(page) == min(2, len(whole) - len(paged))
        paged += [one.recording_id for one in page]
    assert paged == whole
    assert await ledger.search_recordings(wanted, before=whole[-1]) == ()
    assert await ledger.search_recordings(wanted, before="nothing") == ()


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (RecordingSearch(bots=frozenset({"bot-0"})), "recordings_by_bot"),
        (RecordingSearch(status=RecordingStatus.FAILED), "recordings_by_status"),
        (RecordingSearch(from_us=1, to_us=2), "recordings_by_opening"),
        (RecordingSearch(call="x", bots=BOTS), "recordings_by_call"),
        (RecordingSearch(prefix="x", bots=BOTS), "calls_by_external_id"),
    ],
    ids=told,
)
async def test_a_search_walks_an_index_and_sorts_no_bots_recordings(
    ledger: Ledger, wanted: RecordingSearch, index: str, file: Path
) -> None:
    with ledger._reading.connect() as connection:
        condition = search.newest(connection, wanted, (), 50)
    statement = str(condition.compile(compile_kwargs={"literal_binds": True}))
    with closing(sqlite3.connect(file)) as plain:
        plan = plain.execute(f"EXPLAIN QUERY PLAN SELECT * FROM recordings WHERE {statement}")
        steps = [str(row[3]) for row in plan]
    assert any(index in step for step in steps), steps
    assert not any(step.startswith("SCAN recordings") for step in steps), steps


def test_a_prefix_is_taken_by_the_letter_in_postgresql_too() -> None:
    condition = search._begins(recordings.c.recording_id, "a%", "postgresql")
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    compiled = condition.compile(dialect=dialect)
    assert "LIKE" in str(compiled)
    assert "ESCAPE '/'" in str(compiled)
    assert list(compiled.params.values()) == ["a/%"]


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
