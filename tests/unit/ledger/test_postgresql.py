"""The same ledger in PostgreSQL: `make test-postgresql TURNREC_TEST_POSTGRESQL=URL`.

The database is emptied. Left out of `make test`, which starts no database server.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.unit.ledger.helpers import CALL, QUICK, RECORDING, Errors, entry, stored
from turnrec.core.entry import EntryKind
from turnrec.ledger import Ledger, LedgerForeignError, LedgerLockedError

URL = os.environ.get("TURNREC_TEST_POSTGRESQL", "")
pytestmark = pytest.mark.postgresql


def _empty(connection: Connection) -> None:
    connection.execute(text("DROP SCHEMA public CASCADE"))
    connection.execute(text("CREATE SCHEMA public"))


@pytest.fixture
def engine() -> Iterator[Engine]:
    assert URL, "set TURNREC_TEST_POSTGRESQL to the URL of an empty database"
    engine = create_engine(URL)
    with engine.begin() as connection:
        _empty(connection)
    yield engine
    engine.dispose()


@pytest.fixture
async def ledger(engine: Engine, errors: Errors) -> AsyncIterator[Ledger]:
    ledger = Ledger.open(URL, limits=QUICK, on_error=errors)
    yield ledger
    await ledger.close()


async def test_entries_are_written_read_and_chained(ledger: Ledger) -> None:
    given = [entry(at_us=number, node=f"n{number}", turn=number) for number in range(700)]
    opened = entry(EntryKind.RECORDING_OPENED, 701, recording_id=RECORDING)
    for each in (*given, opened):
        ledger.append(each)
    await ledger.flush()
    live = await ledger.call(CALL), await ledger.recording(RECORDING)
    await ledger.rebuild()

    assert await stored(ledger) == [*given, opened]
    assert (await ledger.call(CALL), await ledger.recording(RECORDING)) == live
    assert (await ledger.verify_chain()).intact


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET node = 'other'",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "INSERT INTO entries SELECT seq + 7, at_us, kind, call_id, uniqueid, recording_id, source,"
        " actor, origin, action, node, turn, state, holds, result, detail, prev_hash, hash"
        " FROM entries",
    ],
)
async def test_entries_are_append_only(ledger: Ledger, engine: Engine, statement: str) -> None:
    ledger.append(entry())
    await ledger.flush()

    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    assert await stored(ledger) == [entry()]


async def test_a_second_writer_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerLockedError, match=f"held by turnrec {os.getpid()} on"):
        Ledger.open(URL)


async def test_a_lost_connection_loses_no_entry(
    ledger: Ledger, engine: Engine, errors: Errors
) -> None:
    ledger.append(entry(at_us=1))
    await ledger.flush()
    assert await stored(ledger) == [entry(at_us=1)]
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    ledger.append(entry(at_us=2))
    await ledger.flush()

    assert await stored(ledger) == [entry(at_us=1), entry(at_us=2)]
    assert (await ledger.verify_chain()).intact


async def test_tables_of_another_that_bear_our_names_are_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE calls (theirs int)"))

    with pytest.raises(LedgerForeignError):
        Ledger.open(URL)
