"""Entries cannot be changed or removed, not even by who opens the file by other means."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from tests.unit.ledger.helpers import entry
from turnrec.core.entry import EntryKind
from turnrec.ledger import Ledger
from turnrec.ledger.schema import SCHEMA_VERSION, metadata


@pytest.fixture
async def foreign(ledger: Ledger, file: Path) -> sqlite3.Connection:
    """A plain connection to a ledger of three entries, closed with `closing`."""
    for number in range(3):
        ledger.append(entry(at_us=number))
    await ledger.flush()
    return sqlite3.connect(file)


COLUMNS = "at_us, kind, holds, result, detail, prev_hash, hash"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET node = 'other' WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 3",
        "DELETE FROM entries",
        f"REPLACE INTO entries (seq, {COLUMNS}) VALUES (2, 0, 'alarm', '', 'ok', '{{}}', '', '')",
        f"INSERT INTO entries (seq, {COLUMNS}) VALUES (5, 0, 'alarm', '', 'ok', '{{}}', '', '')",
        f"INSERT INTO entries ({COLUMNS}) VALUES (0, 'alarm', '', 'ok', '{{}}', '', '')",
    ],
)
def test_entries_are_append_only_and_without_gaps(
    foreign: sqlite3.Connection, statement: str
) -> None:
    with closing(foreign):
        before = foreign.execute("SELECT * FROM entries").fetchall()
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            foreign.execute(statement)
        assert foreign.execute("SELECT * FROM entries").fetchall() == before


def test_the_version_is_in_the_database(foreign: sqlite3.Connection) -> None:
    with closing(foreign):
        assert foreign.execute("SELECT version FROM ledger_version").fetchall() == [
            (SCHEMA_VERSION,)
        ]


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_the_tables_are_portable(table: object) -> None:
    ddl = str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[arg-type, no-untyped-call]

    assert " INTEGER" not in ddl or "ledger_version" in ddl


KINDS_SINCE = {
    1: "server_started server_stopped call_started turn_begun action_asked action_done"
    " action_refused action_failed recording_opened segment_began segment_ended recording_closed"
    " monitor_lost call_ended alarm entry_lost",
    2: "agent_announced party_came party_left window_measured other_recorder redacted legal_hold"
    " hold_released deleted recorder_changed recording_stopped transcription_halted"
    " transcription_resumed accessed access_refused key_changed",
}
"""What each version's turnrec can read. A released version's line never changes."""


def test_a_kind_of_entry_that_no_version_knows_needs_a_new_one() -> None:
    known = {kind for kinds in KINDS_SINCE.values() for kind in kinds.split()}
    assert max(KINDS_SINCE) == SCHEMA_VERSION
    assert {kind.value for kind in EntryKind} <= known
