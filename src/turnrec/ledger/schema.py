"""The tables, and the triggers that make `entries` append-only; it opens no connection.

`entries` is the truth. `calls` and `recordings` are what the entries come to, and can be made anew
from them at any time (`turnrec.ledger.projections`).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    event,
    insert,
    inspect,
    select,
    update,
)

from turnrec.ledger.errors import LedgerForeignError, LedgerVersionError

SCHEMA_VERSION: Final = 2
"""1: the kinds of entries of the main path. 2: more kinds in the same tables, and indexes to search
recordings by. A turnrec that knows fewer kinds than a ledger may hold must not read it: it would
leave out what it doesn't know."""

metadata: Final = MetaData()

# In SQLite only INTEGER can be the row's own number, and it holds 64 bits anyway.
_Int64: Final = BigInteger().with_variant(Integer(), "sqlite")

ledger_version: Final = Table(
    "ledger_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

entries: Final = Table(
    "entries",
    metadata,
    Column("seq", _Int64, primary_key=True, autoincrement=False),
    Column("at_us", _Int64, nullable=False),
    Column("kind", Text, nullable=False),
    Column("call_id", Text),
    Column("uniqueid", Text),
    Column("recording_id", Text),
    Column("source", Text),
    Column("actor", Text),
    Column("origin", Text),
    Column("action", Text),
    Column("node", Text),
    Column("turn", _Int64),
    Column("state", Text),
    Column("holds", Text, nullable=False),
    Column("result", Text, nullable=False),
    # JSON as text: a JSON type could spell it anew, and the hash is over this very spelling.
    Column("detail", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("entries_by_call", "call_id", "seq"),
    Index("entries_by_recording", "recording_id", "seq"),
)

calls: Final = Table(
    "calls",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("first_seq", _Int64, nullable=False, unique=True),
    Column("uniqueid", Text),
    Column("bot", Text),
    Column("external_id", Text),
    Column("channel", Text),
    Column("started_us", _Int64, nullable=False),
    Column("ended_us", _Int64),
    Column("state", Text),
    Column("holds", Text, nullable=False),
    Column("node", Text),
    Column("turn", _Int64),
    Index("calls_by_uniqueid", "uniqueid", "first_seq"),
    Index("calls_by_external_id", "external_id", "first_seq"),
    Index("calls_by_end", "ended_us", "first_seq"),
)

recordings: Final = Table(
    "recordings",
    metadata,
    Column("recording_id", Text, primary_key=True),
    Column("first_seq", _Int64, nullable=False, unique=True),
    Column("call_id", Text),
    Column("bot", Text),
    Column("opened_us", _Int64, nullable=False),
    Column("closed_us", _Int64),
    Column("status", Text, nullable=False),
    Column("file", Text),
    Column("samples", _Int64),
    Column("rate_hz", _Int64),
    Column("sha256", Text),
    Index("recordings_by_call", "call_id", "first_seq"),
    Index("recordings_by_bot", "bot", "first_seq"),
    Index("recordings_by_status", "status", "first_seq"),
    Index("recordings_by_bot_and_status", "bot", "status", "first_seq"),
    Index("recordings_by_opening", "opened_us", "first_seq"),
)

# PostgreSQL's usual indexes find no prefix, unless the database's collation is C.
for _column in (recordings.c.recording_id, calls.c.call_id, calls.c.uniqueid, calls.c.external_id):
    Index(
        f"{_column.table.name}_by_{_column.name}_prefix",
        _column,
        postgresql_ops={_column.name: "text_pattern_ops"},
    ).ddl_if(dialect="postgresql")

# ------------------------------------------------------------------ append-only

# The first one also keeps REPLACE out, which deletes without asking the DELETE trigger.
_SQLITE_TRIGGERS: Final = (
    """
    CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entries)
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only and without gaps'); END
    """,
    """
    CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
    """
    CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
)

_POSTGRESQL_TRIGGERS: Final = (
    """
    CREATE FUNCTION turnrec_entries_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM entries) THEN
            RAISE EXCEPTION 'the ledger is append-only and without gaps';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE FUNCTION turnrec_entries_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the ledger is append-only';
    END $$
    """,
    """
    CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
    FOR EACH ROW EXECUTE FUNCTION turnrec_entries_in_order()
    """,
    """
    CREATE TRIGGER entries_no_change BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION turnrec_entries_append_only()
    """,
    """
    CREATE TRIGGER entries_no_truncate BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION turnrec_entries_append_only()
    """,
)

for _dialect, _triggers in (
    ("sqlite", _SQLITE_TRIGGERS),
    ("postgresql", _POSTGRESQL_TRIGGERS),
):
    for _trigger in _triggers:
        _ddl = DDL(_trigger)  # type: ignore[no-untyped-call]
        event.listen(entries, "after_create", _ddl.execute_if(dialect=_dialect))


def migrate(connection: Connection, where: str) -> int:
    """Bring a database to `SCHEMA_VERSION`, in the caller's transaction.

    Returns:
        Which version it had; `SCHEMA_VERSION` where it is new.

    Raises:
        LedgerForeignError: it has tables, and none of them is turnrec's.
        LedgerVersionError: a newer turnrec wrote it.
    """
    present = set(inspect(connection).get_table_names())
    if ledger_version.name not in present:
        # A PostgreSQL database may be shared, as long as our names are free; a file may not.
        in_the_way = present & set(metadata.tables)
        if in_the_way or (present and connection.dialect.name == "sqlite"):
            raise LedgerForeignError(where)
        metadata.create_all(connection, checkfirst=False)
        connection.execute(insert(ledger_version).values(version=SCHEMA_VERSION))
        return SCHEMA_VERSION
    found = int(connection.execute(select(ledger_version.c.version)).scalar_one())
    if found > SCHEMA_VERSION:
        raise LedgerVersionError(where, found, SCHEMA_VERSION)
    # The tables are the same; no entry is touched, and their chain goes on. An index may be missing
    # in version 2, too, where one of the first turnrecs of that version has made it.
    for table in metadata.sorted_tables:
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    if found < SCHEMA_VERSION:
        connection.execute(update(ledger_version).values(version=SCHEMA_VERSION))
    return found
