"""Keeps the tables `calls` and `recordings` at what the entries come to; decides nothing itself.

`apply` runs in the transaction that adds the entries, `rebuild` goes over all entries again. Both
read the entries in their stored form, so that they can't come to different results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from turnrec.core.recorder import State
from turnrec.ledger.entries import Columns, from_columns, join_holds, split_holds
from turnrec.ledger.queries import Row, all_entries, fetch
from turnrec.ledger.reducer import reduce_call, reduce_recording
from turnrec.ledger.schema import calls, recordings
from turnrec.ledger.views import CallRecord, RecordingRecord, RecordingStatus


def call_from_row(row: Row) -> CallRecord:
    """Read a row of `calls`."""
    state = None if row["state"] is None else State(row["state"])
    return CallRecord(**{**row, "state": state, "holds": split_holds(row["holds"])})


def _call_to_row(record: CallRecord) -> Columns:
    row = {field.name: getattr(record, field.name) for field in fields(record)}
    return row | {
        "state": None if record.state is None else record.state.value,
        "holds": join_holds(record.holds),
    }


def recording_from_row(row: Row) -> RecordingRecord:
    """Read a row of `recordings`; its segments and gaps are not in it."""
    return RecordingRecord(**{**row, "status": RecordingStatus(row["status"])})


def _recording_to_row(record: RecordingRecord) -> Columns:
    row = {column: getattr(record, column) for column in recordings.c.keys()}  # noqa: SIM118
    return row | {"status": record.status.value}


_Record = TypeVar("_Record", CallRecord, RecordingRecord)


class _Projection(Generic[_Record]):
    """One table of records. Its statements are made once: making them costs more than running."""

    def __init__(
        self,
        table: Table,
        key: str,
        from_row: Callable[[Row], _Record],
        to_row: Callable[[_Record], Columns],
    ) -> None:
        self._key = key
        self._from_row: Callable[[Row], _Record] = from_row
        self._to_row: Callable[[_Record], Columns] = to_row
        column = table.c[key]
        self._select = select(table).where(column.in_(bindparam("keys", expanding=True)))
        self._insert = insert(table)
        self._update = update(table).where(column == bindparam("old_key"))

    def load(self, connection: Connection, keys: Iterable[object]) -> dict[str, _Record]:
        """Return the records of those of `keys` that have one."""
        wanted = {key for key in keys if key is not None}
        if not wanted:
            return {}
        rows = fetch(connection, self._select, {"keys": list(wanted)})
        return {row[self._key]: self._from_row(row) for row in rows}

    def save(
        self, connection: Connection, before: dict[str, _Record], after: dict[str, _Record]
    ) -> None:
        """Write those of `after` that are new or differ from `before`."""
        new, old = [], []
        for key, record in after.items():
            known = before.get(key)
            if known is None:
                new.append(self._to_row(record))
            elif known != record:
                old.append(self._to_row(record) | {"old_key": key})
        if new:
            connection.execute(self._insert, new)
        if old:
            connection.execute(self._update, old)


_CALLS: Final = _Projection(calls, "call_id", call_from_row, _call_to_row)
_RECORDINGS: Final = _Projection(recordings, "recording_id", recording_from_row, _recording_to_row)


def apply(connection: Connection, rows: Sequence[Row]) -> None:
    """Bring both tables up to date with entries that follow those already applied."""
    calls_before = _CALLS.load(connection, (row["call_id"] for row in rows))
    recordings_before = _RECORDINGS.load(connection, (row["recording_id"] for row in rows))
    calls_after, recordings_after = calls_before.copy(), recordings_before.copy()
    for row in rows:
        seq, entry = row["seq"], from_columns(row)
        call = None
        if entry.call_id is not None:
            call = reduce_call(calls_after.get(entry.call_id), seq, entry)
            calls_after[entry.call_id] = call
        if entry.recording_id is not None:
            recording = recordings_after.get(entry.recording_id)
            recordings_after[entry.recording_id] = reduce_recording(recording, seq, entry, call)
    _CALLS.save(connection, calls_before, calls_after)
    _RECORDINGS.save(connection, recordings_before, recordings_after)


def rebuild(connection: Connection) -> None:
    """Make both tables anew from all entries, in the caller's transaction."""
    connection.execute(delete(calls))
    connection.execute(delete(recordings))
    for rows in all_entries(connection):
        apply(connection, rows)
