"""Appending never waits; a failing database loses no entry, no order, and says so."""

# ruff: noqa: ASYNC240 - a test's event loop has nothing else to do

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from tests.unit.ledger.helpers import QUICK, Errors, entry, stored, url_of
from turnrec.core.entry import EntryKind
from turnrec.ledger import Ledger, LedgerDivergedError, LedgerError, LedgerStalledError, Limits


@contextmanager
def writing(name: str, listener: Callable[..., None]) -> Iterator[None]:
    """Have `listener` called at an engine event, in the writer's thread only."""

    def in_writer(*arguments: object) -> None:
        if threading.current_thread().name == "ledger-writer":
            listener(*arguments)

    event.listen(Engine, name, in_writer)
    try:
        yield
    finally:
        event.remove(Engine, name, in_writer)


@contextmanager
def locked(file: Path) -> Iterator[sqlite3.Connection]:
    """Another process's write lock on the database, as far as SQLite can tell."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


async def test_appending_does_not_wait_for_a_locked_database(
    ledger: Ledger, file: Path, errors: Errors
) -> None:
    given = [entry(at_us=number) for number in range(200)]
    with locked(file):
        for each in given:
            ledger.append(each)
        error = await errors.first()
        assert not ledger.healthy
        assert ledger.backlog == 200
        assert await stored(ledger) == []

    await ledger.flush()

    assert "database is locked" in str(error)
    assert await stored(ledger) == given
    assert ledger.healthy
    assert ledger.last_error is None
    assert ledger.backlog == 0


async def test_flush_says_why_it_cannot_and_the_entries_stay(ledger: Ledger, file: Path) -> None:
    with locked(file):
        ledger.append(entry())
        with pytest.raises(LedgerError, match="1 entries are not durable after"):
            await ledger.flush(timeout_s=0.05)
    await ledger.flush()

    assert await stored(ledger) == [entry()]


async def test_flush_on_an_idle_ledger_returns(ledger: Ledger) -> None:
    await ledger.flush(timeout_s=60)


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO entries", "INSERT INTO calls"])
async def test_a_failure_at_any_statement_writes_nothing_twice(
    ledger: Ledger, errors: Errors, statement: str
) -> None:
    failures = iter([True, True, False])

    def fail(_connection: Connection, _cursor: object, sql: str, *_rest: object) -> None:
        if sql.startswith(statement) and next(failures, False):
            raise sqlite3.OperationalError("disk I/O error")

    given = [entry(at_us=number) for number in range(5)]
    with writing("before_cursor_execute", fail):
        for each in given:
            ledger.append(each)
        await ledger.flush()

    assert await stored(ledger) == given
    assert (await ledger.verify_chain()).intact
    assert [str(error).partition(": ")[2] for error in errors.seen] == ["disk I/O error"]


@pytest.mark.parametrize("committed", [False, True])
async def test_a_commit_with_unknown_outcome_is_looked_up_and_not_repeated(
    ledger: Ledger, errors: Errors, committed: bool
) -> None:
    failures = iter([True])

    def fail(connection: Connection) -> None:
        if next(failures, False):
            if committed:
                connection.connection.commit()
            raise sqlite3.OperationalError("connection lost while committing")

    with writing("commit", fail):
        ledger.append(entry(at_us=1))
        await ledger.flush()
    ledger.append(entry(at_us=2))
    await ledger.flush()

    assert len(errors.seen) == 1
    assert await stored(ledger) == [entry(at_us=1), entry(at_us=2)]
    assert (await ledger.verify_chain()).intact


async def test_an_unforeseen_error_does_not_end_the_writer(ledger: Ledger, errors: Errors) -> None:
    failures = iter([True])

    def fail(*_arguments: object) -> None:
        if next(failures, False):
            raise ZeroDivisionError("a mistake of ours")

    with writing("before_cursor_execute", fail):
        ledger.append(entry())
        await ledger.flush()

    assert "a mistake of ours" in str(errors.seen[0])
    assert await stored(ledger) == [entry()]


async def test_a_callback_that_fails_does_not_end_the_writer(file: Path) -> None:
    failed = threading.Event()

    def on_error(_error: LedgerError) -> None:
        failed.set()
        raise RuntimeError("a mistake of the caller's")

    ledger = Ledger.open(url_of(file), limits=QUICK, on_error=on_error)
    with locked(file):
        ledger.append(entry())
        assert await asyncio.to_thread(failed.wait, 30)
    await ledger.close()


async def test_a_deleted_ledger_is_noticed_and_not_made_anew(
    ledger: Ledger, file: Path, errors: Errors, tmp_path: Path
) -> None:
    ledger.append(entry(at_us=1))
    await ledger.flush()
    # With its WAL, as an operator would move it.
    parts = [file.with_name(file.name + end) for end in ("", "-wal", "-shm")]
    for part in parts:
        part.rename(tmp_path / f"moved-{part.name}")
    ledger.append(entry(at_us=2))

    assert "unable to open database file" in str(await errors.first())
    assert not file.exists()

    for part in reversed(parts):
        (tmp_path / f"moved-{part.name}").rename(part)
    await ledger.flush()
    assert await stored(ledger) == [entry(at_us=1), entry(at_us=2)]


async def test_an_exchanged_ledger_is_not_continued(
    ledger: Ledger, file: Path, errors: Errors, tmp_path: Path
) -> None:
    ledger.append(entry(at_us=1))
    await ledger.flush()
    other = Ledger.open(url_of(tmp_path / "other.sqlite"))
    await other.close()
    for end in ("-wal", "-shm"):
        file.with_name(file.name + end).rename(tmp_path / f"moved{end}")
    file.rename(tmp_path / "moved")
    (tmp_path / "other.sqlite").rename(file)
    ledger.append(entry(at_us=2))

    error = await errors.first()

    assert isinstance(error, LedgerDivergedError)
    assert "ends with entry 0 and not with the entry 1" in str(error)
    with pytest.raises(LedgerError, match="1 entries are not durable"):
        await ledger.close(timeout_s=0.05)


async def test_a_stalled_ledger_refuses_and_later_says_what_is_missing(
    file: Path, errors: Errors
) -> None:
    limits = Limits(
        gather_ms=0, busy_timeout_ms=20, retry_first_ms=1, retry_most_ms=4, backlog_bytes=10_000
    )
    ledger = Ledger.open(url_of(file), limits=limits, on_error=errors)
    with locked(file):
        for number in range(4):
            ledger.append(entry(at_us=number))
        with pytest.raises(LedgerStalledError):
            ledger.append(entry(at_us=4))
        assert not ledger.healthy
    await ledger.flush()
    ledger.append(entry(at_us=1000))
    await ledger.flush()

    written = await stored(ledger)
    assert ledger.healthy
    assert written[4].kind is EntryKind.ENTRY_LOST
    assert written[4].detail["count"] == 1
    assert [*written[:4], *written[5:]] == [entry(at_us=at_us) for at_us in (0, 1, 2, 3, 1000)]
    await ledger.close()


async def test_closing_with_a_failing_database_says_how_much_is_lost(file: Path) -> None:
    ledger = Ledger.open(url_of(file), limits=QUICK)
    with locked(file):
        ledger.append(entry())
        with pytest.raises(LedgerError, match=r"1 entries are not durable after 0\.05 s"):
            await ledger.close(timeout_s=0.05)

    reopened = Ledger.open(url_of(file))
    assert await stored(reopened) == []
    await reopened.close()


async def test_closing_writes_what_is_queued(file: Path) -> None:
    ledger = Ledger.open(url_of(file), limits=Limits(gather_ms=3_600_000))
    ledger.append(entry())
    await ledger.close()

    reopened = Ledger.open(url_of(file))
    assert await stored(reopened) == [entry()]
    await reopened.close()


async def test_entries_of_many_threads_are_all_written_each_in_its_own_order(
    ledger: Ledger,
) -> None:
    def append(thread: int) -> None:
        for number in range(50):
            ledger.append(entry(at_us=number, call_id=f"call-{thread}"))

    await asyncio.gather(*(asyncio.to_thread(append, thread) for thread in range(4)))
    await ledger.flush()

    for thread in range(4):
        mine = await ledger.entries(call_id=f"call-{thread}")
        assert [written.entry for written in mine] == [
            entry(at_us=number, call_id=f"call-{thread}") for number in range(50)
        ]
    assert [each.seq for each in await ledger.entries()] == list(range(1, 201))


async def test_a_reader_is_told_when_the_database_fails(ledger: Ledger, file: Path) -> None:
    file.rename(file.with_suffix(".away"))
    with pytest.raises(LedgerError, match="unable to open database file"):
        await ledger.calls()
    file.with_suffix(".away").rename(file)
