"""The webhooks' own small database: endpoints, what waits for them, and their dead letters.

SQLite, readable by the service's user alone, for it holds the secrets. It is written by the server
(endpoints) and by its courier (deliveries); each call is one short transaction, and blocks.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from turnrec.core.event import EventType
from turnrec.feed.told import Told
from turnrec.webhooks.endpoint import Delivery, Endpoint, message_id

FILE_NAME: Final = "webhooks.db"
_MODE: Final = 0o600
_BUSY_TIMEOUT_S: Final = 10.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS ledger (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS endpoints (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    secret TEXT NOT NULL,
    types TEXT,
    bots TEXT,
    created_us INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    disabled TEXT
);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint_id TEXT NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    message_id TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_us INTEGER NOT NULL,
    last_status INTEGER,
    last_error TEXT,
    dead_us INTEGER,
    UNIQUE (endpoint_id, message_id)
);
CREATE INDEX IF NOT EXISTS deliveries_waiting
    ON deliveries (endpoint_id, next_us, id) WHERE dead_us IS NULL;
CREATE INDEX IF NOT EXISTS deliveries_dead
    ON deliveries (endpoint_id, id) WHERE dead_us IS NOT NULL;
"""


@dataclass(frozen=True, slots=True)
class Later:
    """A delivery that failed, and when it is tried again; None: never."""

    delivery: Delivery
    next_us: int | None


class Store:
    """The database."""

    def __init__(self, path: Path) -> None:
        """Open it, and make it where there is none.

        Raises:
            OSError, sqlite3.Error: it can't be had.
        """
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        # SQLite gives its -wal and -shm files the rights of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, _MODE))
        path.chmod(_MODE)
        self._connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        # What a power cut takes of the last moments is sent again, under the same id.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    # -------------------------------------------------------------- endpoints

    def endpoints(self) -> list[Endpoint]:
        """All webhooks, the oldest first."""
        rows = self._connection.execute("SELECT * FROM endpoints ORDER BY id")
        return [_endpoint(row) for row in rows]

    def add(self, endpoint: Endpoint) -> None:
        """Add a webhook."""
        with self._changing() as connection:
            connection.execute(
                "INSERT INTO endpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    endpoint.id,
                    endpoint.url,
                    endpoint.secret,
                    _joined(endpoint.types),
                    _joined(endpoint.bots),
                    endpoint.created_us,
                    endpoint.cursor,
                    endpoint.disabled,
                ),
            )

    def remove(self, endpoint_id: str) -> bool:
        """Delete a webhook and all that waits for it; return whether there was one."""
        with self._changing() as connection:
            found = connection.execute("DELETE FROM endpoints WHERE id = ?", (endpoint_id,))
            return found.rowcount > 0

    def disable(self, endpoint_id: str, why: str, at_us: int) -> None:
        """Send a webhook nothing more; what waits for it becomes dead letters."""
        with self._changing() as connection:
            connection.execute("UPDATE endpoints SET disabled = ? WHERE id = ?", (why, endpoint_id))
            connection.execute(
                "UPDATE deliveries SET dead_us = ? WHERE endpoint_id = ? AND dead_us IS NULL",
                (at_us, endpoint_id),
            )

    def follow_ledger(self, ledger_id: str, head_seq: int) -> bool:
        """Note whose entries the cursors count; return False if it was another ledger.

        Then they begin at this one's end: its numbers have nothing to do with the old ones.
        """
        with self._changing() as connection:
            row = connection.execute("SELECT id FROM ledger").fetchone()
            if row is not None and row["id"] == ledger_id:
                return True
            connection.execute("DELETE FROM ledger")
            connection.execute("INSERT INTO ledger VALUES (?)", (ledger_id,))
            if row is None:
                return True
            connection.execute("UPDATE endpoints SET cursor = ?", (head_seq,))
            return False

    # -------------------------------------------------------------- deliveries

    def take_over(self, endpoint_id: str, told: Iterable[Told], cursor: int, now_us: int) -> None:
        """Have events wait for a webhook, and move its cursor, both or neither."""
        rows = [
            (
                endpoint_id,
                one.event.seq,
                one.event.type.value,
                message_id(endpoint_id, one.key),
                one.text,
                now_us,
            )
            for one in told
        ]
        with self._changing() as connection:
            moved = connection.execute(
                "UPDATE endpoints SET cursor = ? WHERE id = ?", (cursor, endpoint_id)
            )
            if moved.rowcount:  # it may have been deleted meanwhile
                connection.executemany(
                    "INSERT OR IGNORE INTO deliveries"
                    " (endpoint_id, seq, type, message_id, body, next_us)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    rows,
                )

    def waiting(self, endpoint_id: str) -> int:
        """How many events wait for a webhook."""
        return self._count("dead_us IS NULL", endpoint_id)

    def due(
        self, endpoint_id: str, now_us: int, limit: int, busy: Collection[int]
    ) -> tuple[list[Delivery], int | None]:
        """What is to be sent now, and when something is next, where nothing of it is left now."""
        rows = self._connection.execute(
            "SELECT * FROM deliveries WHERE endpoint_id = ? AND dead_us IS NULL"
            " ORDER BY next_us, id LIMIT ?",
            (endpoint_id, limit + len(busy) + 1),
        )
        waiting = [one for one in map(_delivery, rows) if one.id not in busy]
        due = [one for one in waiting if one.next_us <= now_us][:limit]
        later = [one.next_us for one in waiting if one.next_us > now_us]
        return due, min(later, default=None)

    def settle(self, taken: Collection[Delivery], failed: Iterable[Later], now_us: int) -> None:
        """Forget what was taken; have what failed wait, or make it a dead letter."""
        with self._changing() as connection:
            connection.executemany(
                "DELETE FROM deliveries WHERE id = ?", [(one.id,) for one in taken]
            )
            connection.executemany(
                "UPDATE deliveries SET attempts = ?, next_us = ?, last_status = ?,"
                " last_error = ?, dead_us = ? WHERE id = ?",
                [
                    (
                        one.delivery.attempts,
                        now_us if one.next_us is None else one.next_us,
                        one.delivery.last_status,
                        one.delivery.last_error,
                        now_us if one.next_us is None else None,
                        one.delivery.id,
                    )
                    for one in failed
                ],
            )

    # -------------------------------------------------------------- dead letters

    def dead_letters(self, endpoint_id: str, before: int | None, limit: int) -> list[Delivery]:
        """A webhook's dead letters, the newest first."""
        rows = self._connection.execute(
            "SELECT * FROM deliveries WHERE endpoint_id = ? AND dead_us IS NOT NULL AND id < ?"
            " ORDER BY id DESC LIMIT ?",
            (endpoint_id, 2**63 - 1 if before is None else before, limit),
        )
        return [_delivery(row) for row in rows]

    def count_dead(self, endpoint_id: str) -> int:
        """How many dead letters a webhook has."""
        return self._count("dead_us IS NOT NULL", endpoint_id)

    def thin_out(self, endpoint_id: str, keep: int) -> int:
        """Delete the oldest dead letters of a webhook beyond `keep`; return how many."""
        with self._changing() as connection:
            found = connection.execute(
                "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE endpoint_id"
                " = ? AND dead_us IS NOT NULL ORDER BY id DESC LIMIT -1 OFFSET ?)",
                (endpoint_id, keep),
            )
            return found.rowcount

    def revive(self, endpoint_id: str, delivery_id: int, now_us: int) -> Delivery | None:
        """Have a dead letter sent anew, with all its tries before it; None: there is none."""
        with self._changing() as connection:
            row = connection.execute(
                "UPDATE deliveries SET attempts = 0, next_us = ?, dead_us = NULL"
                " WHERE endpoint_id = ? AND id = ? AND dead_us IS NOT NULL RETURNING *",
                (now_us, endpoint_id, delivery_id),
            ).fetchone()
            return None if row is None else _delivery(row)

    # -------------------------------------------------------------- inside

    def _count(self, which: str, endpoint_id: str) -> int:
        query = f"SELECT count(*) FROM deliveries WHERE endpoint_id = ? AND {which}"  # noqa: S608  # nosec B608
        return int(self._connection.execute(query, (endpoint_id,)).fetchone()[0])

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _joined(words: Collection[str] | None) -> str | None:
    return None if words is None else ",".join(sorted(words))


def _split(text: str | None) -> Sequence[str] | None:
    return None if text is None else text.split(",")


def _endpoint(row: sqlite3.Row) -> Endpoint:
    types, bots = _split(row["types"]), _split(row["bots"])
    known = set(EventType)
    return Endpoint(
        id=row["id"],
        url=row["url"],
        secret=row["secret"],
        # A type that a newer turnrec knew is heard again by that one.
        types=None if types is None else frozenset(EventType(one) for one in types if one in known),
        bots=None if bots is None else frozenset(bots),
        created_us=row["created_us"],
        cursor=row["cursor"],
        disabled=row["disabled"],
    )


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(**{key: row[key] for key in row.keys()})  # noqa: SIM118 - a Row has no items
