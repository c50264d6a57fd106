"""The same ledger in PostgreSQL: `make test-postgresql TURNREC_TEST_POSTGRESQL=URL`.

The database is emptied. Left out of `make test`, which starts no database server.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from tests.unit.ledger.helpers import CALL, QUICK, RECORDING, Errors, entry, stored
from tests.unit.verify.house import House, build, redact
from turnrec.core.entry import EntryKind
from turnrec.ledger import Ledger, LedgerError, LedgerForeignError, LedgerLockedError
from turnrec.ledger.offline import OfflineLedger
from turnrec.ledger.schema import SCHEMA_VERSION
from turnrec.verify.cli import as_page
from turnrec.verify.findings import Status
from turnrec.verify.run import verify

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


# ---------------------------------------------------------------- turnrec verify


def lay_hands_on(engine: Engine, *statements: str) -> None:
    """Change the ledger as whoever owns the database can."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE entries DISABLE TRIGGER USER"))
        for statement in statements:
            connection.execute(text(statement))


@pytest.fixture
async def house(engine: Engine, tmp_path: Path) -> House:
    return await build(tmp_path / "house", ledger_url=URL)


async def test_a_recording_whose_ledger_is_here_is_verified(house: House) -> None:
    for given in (house.wav, house.folder):
        outcome = await asyncio.to_thread(house.verify, given)
        assert outcome.status is Status.PROVEN, outcome.reports
    outcome = await asyncio.to_thread(verify, URL, house.evidence())
    assert outcome.status is Status.PROVEN, outcome.reports
    assert [one.subject for one in outcome.recordings] == ["R1"]
    redacted = await redact(house, "0.25", "0.5", delete_original=True)
    outcome = await asyncio.to_thread(redacted.verify)
    assert outcome.status is Status.PROVEN, outcome.reports


async def test_verifying_needs_no_right_but_to_read_and_no_lock(
    house: House, engine: Engine
) -> None:
    role = f"auditor_{os.getpid()}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'looks only'"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {role}"))
        connection.execute(text(f"GRANT SELECT ON entries, ledger_version TO {role}"))
    url = make_url(URL).set(username=role, password="looks only")
    writer = Ledger.open(URL)  # a server that runs
    try:
        seen = url.render_as_string(hide_password=False)
        outcome = await asyncio.to_thread(house.verify, None, ledger=seen)
        assert outcome.status is Status.PROVEN, outcome.reports
        assert outcome.ledger is not None
        assert "looks only" not in outcome.ledger.subject
    finally:
        await writer.close()
        with engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))


async def test_verifying_writes_nothing(house: House, engine: Engine) -> None:
    offline = OfflineLedger(URL)
    try:
        with pytest.raises(LedgerError, match="read-only"), offline._connection() as connection:
            connection.execute(text("CREATE TABLE mine (x int)"))
    finally:
        offline.close()
    with engine.begin() as connection:
        before = connection.execute(text("SELECT * FROM entries ORDER BY seq")).fetchall()
    await asyncio.to_thread(house.verify)
    with engine.begin() as connection:
        after = connection.execute(text("SELECT * FROM entries ORDER BY seq")).fetchall()
    assert after == before


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE entries SET actor = 'other' WHERE seq = 5", "chain-edited"),
        ("DELETE FROM entries WHERE seq = 5", "chain-missing"),
        ("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)", "checkpoint-head-miss"),
        ("UPDATE entries SET detail = 'no JSON' WHERE kind = 'segment_ended'", "entry-unreadable"),
        ("UPDATE ledger_version SET version = 99", "ledger-version"),
        ("ALTER TABLE entries DROP COLUMN node", "ledger-foreign"),
        ("DELETE FROM entries", "ledger-empty"),
        ("DROP TABLE entries", "ledger-foreign"),
    ],
)
async def test_what_was_changed_in_the_database_is_found(
    house: House, engine: Engine, statement: str, expected: str
) -> None:
    lay_hands_on(engine, statement)
    found = await asyncio.to_thread(house.found)
    assert any(one.startswith(expected) for one in found), found


async def test_a_database_that_is_not_there_is_named_without_its_password(house: House) -> None:
    nowhere = make_url(URL).set(port=1, username="auditor", password="secret")
    given = nowhere.render_as_string(hide_password=False)
    outcome = await asyncio.to_thread(house.verify, None, ledger=given)
    assert outcome.ledger is not None
    assert outcome.ledger.ids() == {"ledger-error"}
    assert outcome.status is Status.UNPROVEN
    assert "secret" not in as_page(outcome)


async def test_an_older_ledger_is_raised_to_this_version(engine: Engine) -> None:
    await Ledger.open(URL).close()
    with engine.begin() as connection:
        connection.execute(text("UPDATE ledger_version SET version = 1"))
    await Ledger.open(URL).close()
    with engine.begin() as connection:
        found = connection.execute(text("SELECT version FROM ledger_version")).scalar_one()
    assert found == SCHEMA_VERSION


async def test_an_older_ledger_is_upgraded_in_one_transaction(engine: Engine) -> None:
    first = Ledger.open(URL)
    first.append(entry(at_us=1, recording_id=RECORDING))
    await first.close()
    with engine.begin() as connection:
        connection.execute(text("UPDATE ledger_version SET version = 1"))
        connection.execute(text("DROP INDEX recordings_by_opening"))
    second = Ledger.open(URL)
    assert await stored(second) == [entry(at_us=1, recording_id=RECORDING)]
    assert (await second.verify_chain()).intact
    await second.close()
    with engine.connect() as connection:
        found = connection.execute(text("SELECT version FROM ledger_version")).scalar_one()
        assert found == SCHEMA_VERSION
        index = text("SELECT 1 FROM pg_indexes WHERE indexname = 'recordings_by_opening'")
        assert connection.execute(index).scalar_one() == 1
