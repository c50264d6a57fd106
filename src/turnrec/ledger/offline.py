"""Reads a ledger that nobody need vouch for: whole, edited or cut; it writes and locks nothing.

For `turnrec verify`. It blocks, needs no server, and takes what it finds in the rows as text to be
judged: an entry that can't be read is a finding, not an exception.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, inspect, select
from sqlalchemy.pool import NullPool

from turnrec.core.entry import Entry, EntryKind
from turnrec.ledger.chain import ChainReport, Walk
from turnrec.ledger.engine import parse_url, place, reader_engine, sqlite_file
from turnrec.ledger.entries import from_columns
from turnrec.ledger.errors import (
    LedgerDamagedError,
    LedgerError,
    LedgerForeignError,
    LedgerVersionError,
    explain,
)
from turnrec.ledger.queries import all_entries, fetch
from turnrec.ledger.schema import SCHEMA_VERSION, entries, ledger_version

_COLUMNS: Final = frozenset(column.name for column in entries.columns)


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry by its number; `entry` is None where the row can't be read as one."""

    seq: int
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Walked:
    """What one walk over the whole chain found."""

    report: ChainReport
    ledger_id: str | None
    """The hash of the first entry."""
    hashes: Mapping[int, str]
    """The hashes of the entries that were asked for, as far as there are any."""
    after_stop: tuple[int, ...]
    """Entries that follow the server's end and don't tell of its next start."""
    last_at_us: int | None


class OfflineLedger:
    """A ledger as it lies in a file or a database."""

    def __init__(self, url: str) -> None:
        """Name it by its URL, or by the path of an SQLite file.

        Raises:
            LedgerError: the URL names none.
        """
        parsed = parse_url(url if "://" in url else f"sqlite:///{Path(url).absolute()}")
        self.where = place(parsed)
        self.file = sqlite_file(parsed)
        self._engine = (
            reader_engine(parsed, busy_timeout_ms=5000)
            if self.file is None
            else _read_only(self.file)
        )

    def close(self) -> None:
        """Let go of it."""
        self._engine.dispose()

    def check(self) -> None:
        """Return if it is a ledger that this turnrec can read.

        Raises:
            LedgerForeignError, LedgerVersionError, LedgerDamagedError, LedgerError: it isn't.
        """
        with self._connection() as connection:
            present = set(inspect(connection).get_table_names())
            if not {ledger_version.name, entries.name} <= present:
                raise LedgerForeignError(self.where)
            columns = {column["name"] for column in inspect(connection).get_columns(entries.name)}
            if not columns >= _COLUMNS:
                raise LedgerForeignError(self.where)
            version = connection.execute(select(ledger_version.c.version)).scalar()
            if not isinstance(version, int) or version > SCHEMA_VERSION:
                found = version if isinstance(version, int) else -1
                raise LedgerVersionError(self.where, found, SCHEMA_VERSION)

    def walk(self, wanted: Collection[int]) -> Walked:
        """Walk the whole chain, in little memory, and keep the hashes of the entries `wanted`.

        Raises:
            LedgerError: the database can't be read to its end.
        """
        walk, hashes, after_stop = Walk(), {}, []
        ledger_id: str | None = None
        stopped = False
        last_at_us: int | None = None
        with self._connection() as connection:
            for rows in all_entries(connection):
                plain = [_plain(row) for row in rows]
                walk.over(plain)
                for row in plain:
                    seq = int(row["seq"])
                    if ledger_id is None:
                        ledger_id = str(row["hash"])
                    if seq in wanted:
                        hashes[seq] = str(row["hash"])
                    if stopped and row["kind"] != EntryKind.SERVER_STARTED:
                        after_stop.append(seq)
                    stopped = row["kind"] == EntryKind.SERVER_STOPPED
                    if isinstance(row["at_us"], int):
                        last_at_us = row["at_us"]
                connection.rollback()
        return Walked(walk.report(), ledger_id, hashes, tuple(after_stop), last_at_us)

    def version(self) -> int:
        """The version of its tables; `check` says whether it can be read.

        Raises:
            LedgerError: the database can't be read.
        """
        with self._connection() as connection:
            return int(connection.execute(select(ledger_version.c.version)).scalar_one())

    def newest(self) -> FoundEntry | None:
        """The last entry; None where there is none.

        Raises:
            LedgerError: the database can't be read.
        """
        with self._connection() as connection:
            rows = fetch(connection, select(entries).order_by(entries.c.seq.desc()).limit(1))
        return next(map(_found_entry, rows), None)

    def recording_ids(self) -> list[str]:
        """The recordings that the ledger names, in its order.

        Raises:
            LedgerError: the database can't be read.
        """
        query = (
            select(entries.c.recording_id, entries.c.seq)
            .where(entries.c.recording_id.is_not(None))
            .order_by(entries.c.seq)
        )
        with self._connection() as connection:
            found = connection.execution_options(stream_results=True).execute(query)
            return list(dict.fromkeys(str(row[0]) for row in found))

    def of_call(self, call_id: str) -> list[FoundEntry]:
        """All entries of a call, in order.

        Raises:
            LedgerError: the database can't be read.
        """
        return self._found(entries.c.call_id == call_id)

    def of_recording(self, recording_id: str) -> list[FoundEntry]:
        """All entries of a recording, in order.

        Raises:
            LedgerError: the database can't be read.
        """
        return self._found(entries.c.recording_id == recording_id)

    def _found(self, where: Any) -> list[FoundEntry]:
        with self._connection() as connection:
            rows = fetch(connection, select(entries).where(where).order_by(entries.c.seq))
        return [_found_entry(row) for row in rows]

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except LedgerError:
            raise
        except (UnicodeDecodeError, OverflowError) as error:
            raise LedgerDamagedError(self.where, "a row can't be read as text") from error
        except Exception as error:
            raise explain(error, self.where) from error


def _found_entry(row: Mapping[str, Any]) -> FoundEntry:
    try:
        return FoundEntry(int(row["seq"]), from_columns(row))
    except (ValueError, TypeError, RecursionError):
        return FoundEntry(int(row["seq"]), None)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it can be hashed. Bytes, which no ledger of ours holds, are spelt otherwise."""
    return {
        name: value if value is None or isinstance(value, int | str) else f"not ours: {value!r}"
        for name, value in row.items()
    }


def _read_only(path: Path) -> Engine:
    """An engine on a file that is not touched in any way, nor the files beside it.

    A database in WAL mode whose -wal is there is read through it (a server may be running);
    without one nothing is to be read but the file itself, also from a folder of evidence that
    can't be written.
    """

    def connect() -> sqlite3.Connection:
        wal = path.with_name(path.name + "-wal")
        mode = "mode=ro" if wal.exists() and wal.stat().st_size else "mode=ro&immutable=1"
        return sqlite3.connect(
            f"file:{quote(str(path))}?{mode}", uri=True, isolation_level=None, timeout=5
        )

    return create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
