"""Reads the ledger, each read in a thread and a transaction of its own; it never writes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import URL, ColumnElement, Connection, Table, exists, func, or_, select

from turnrec.core.entry import Entry, EntryKind
from turnrec.ledger.chain import ChainReport, Head, Walk
from turnrec.ledger.engine import READERS, parse_url, place, reader_engine
from turnrec.ledger.entries import WrittenEntry, from_columns
from turnrec.ledger.errors import explain
from turnrec.ledger.projections import call_from_row, recording_from_row
from turnrec.ledger.queries import all_entries, fetch, read_head
from turnrec.ledger.schema import calls, entries, recordings
from turnrec.ledger.search import RecordingSearch, newest
from turnrec.ledger.views import (
    HOLD_KINDS,
    TIMELINE_KINDS,
    CallRecord,
    RecordingRecord,
    RecordingStatus,
    closed_behavior,
    legal_hold,
    timeline,
)

_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")
_IDS_A_QUERY: Final = 500


class LedgerReader:
    """Answers from what is committed when a question is asked.

    Every method raises LedgerError where the database can't be read.
    """

    def __init__(self, url: str | URL, *, busy_timeout_ms: int = 1000) -> None:
        """Read the ledger at `url`, be it open for writing elsewhere or not."""
        parsed = parse_url(url)
        self._where = place(parsed)
        self._reading = reader_engine(parsed, busy_timeout_ms=busy_timeout_ms)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="ledger-reader")

    async def close(self) -> None:
        """Let running reads end, and close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._reading.dispose()

    async def call(self, call_id: str) -> CallRecord | None:
        """Return the call with this id of ours."""
        found = await self._in_thread(_calls, [calls.c.call_id == call_id], 1)
        return found[0] if found else None

    async def calls(
        self,
        *,
        live: bool | None = None,
        bots: frozenset[str] | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> tuple[CallRecord, ...]:
        """Return calls, the newest first; `before` is the last call_id of the page before."""
        where: list[ColumnElement[bool]] = []
        if bots is not None:
            where.append(calls.c.bot.in_(bots))
        if live is not None:
            where.append(calls.c.ended_us.is_(None) if live else calls.c.ended_us.is_not(None))
        if before is not None:
            where.append(_older(calls, calls.c.call_id, before))
        return await self._in_thread(_calls, where, limit)

    async def find_call(self, name: str) -> CallRecord | None:
        """Return the call with this id of ours, or else the newest with this uniqueid or external
        id.
        """
        by_id = await self.call(name)
        if by_id is not None:
            return by_id
        named = or_(calls.c.uniqueid == name, calls.c.external_id == name)
        found = await self._in_thread(_calls, [named], 1)
        return found[0] if found else None

    async def recording(self, recording_id: str) -> RecordingRecord | None:
        """Return the recording with this id, with its segments and gaps."""
        is_it = recordings.c.recording_id == recording_id
        found = await self._in_thread(_recordings, [is_it], 1)
        return found[0] if found else None

    async def recordings(
        self,
        *,
        call_id: str | None = None,
        bot: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> tuple[RecordingRecord, ...]:
        """Return recordings, the newest first; `before` is the page before's last recording_id."""
        where: list[ColumnElement[bool]] = []
        if call_id is not None:
            where.append(recordings.c.call_id == call_id)
        if bot is not None:
            where.append(recordings.c.bot == bot)
        if before is not None:
            where.append(_older(recordings, recordings.c.recording_id, before))
        return await self._in_thread(_recordings, where, limit)

    async def search_recordings(
        self, search: RecordingSearch, *, limit: int = 50, before: str | None = None
    ) -> tuple[RecordingRecord, ...]:
        """Return the recordings that match, the newest first, paged like `recordings`."""
        return await self._in_thread(_search, search, limit, before)

    async def expired_recordings(
        self, bot: str, opened_before_us: int, *, after_seq: int = 0, limit: int = 100
    ) -> tuple[RecordingRecord, ...]:
        """Return a bot's closed recordings that were opened before an instant and aren't deleted.

        The newest first of the `limit` oldest ones whose first entry comes after `after_seq`.
        """
        where = [
            recordings.c.bot == bot,
            recordings.c.opened_us < opened_before_us,
            recordings.c.status.in_([RecordingStatus.DONE.value, RecordingStatus.FAILED.value]),
        ]
        oldest = (
            select(recordings.c.first_seq)
            .where(*where, recordings.c.first_seq > after_seq)
            .order_by(recordings.c.first_seq)
            .limit(limit)
        )
        return await self._in_thread(_recordings, [recordings.c.first_seq.in_(oldest)], None)

    async def deleted_recordings(self, among: Collection[str]) -> tuple[RecordingRecord, ...]:
        """Return those of some recordings that have a tombstone."""
        # Not by status in the query: there are many tombstones, and few of them among these.
        deleted = await self._in_thread(_deleted, tuple(among))
        found: list[RecordingRecord] = []
        for ids in _in_portions(deleted):
            found += await self._in_thread(_recordings, [recordings.c.recording_id.in_(ids)], None)
        return tuple(found)

    async def unclosed_recordings(self) -> tuple[RecordingRecord, ...]:
        """Return the recordings that no entry has closed, the newest first."""
        return await self._in_thread(_recordings, [recordings.c.closed_us.is_(None)], None)

    async def known_recordings(self, recording_ids: Collection[str]) -> frozenset[str]:
        """Return those of some ids that any entry names as its recording."""
        return await self._in_thread(_known, tuple(recording_ids))

    async def entries(
        self,
        *,
        call_id: str | None = None,
        recording_id: str | None = None,
        after_seq: int = 0,
        limit: int | None = 1000,
    ) -> tuple[WrittenEntry, ...]:
        """Return entries in order, from the one after `after_seq` on."""
        where = [entries.c.seq > after_seq]
        if call_id is not None:
            where.append(entries.c.call_id == call_id)
        if recording_id is not None:
            where.append(entries.c.recording_id == recording_id)
        return await self._in_thread(_entries, where, limit)

    async def told(
        self,
        kinds: Collection[EntryKind],
        *,
        after_seq: int,
        limit: int,
        call_id: str | None = None,
    ) -> tuple[tuple[tuple[WrittenEntry, str | None], ...], int]:
        """Return entries of some kinds in order, each with its call's or recording's bot.

        Returns:
            At most `limit` of them after `after_seq`, and up to which seq there are no more.
        """
        return await self._in_thread(_told, kinds, after_seq, limit, call_id)

    async def open_history(self, call_id: str) -> tuple[WrittenEntry, ...]:
        """Return all entries of a call that has not ended; none if it has, or isn't known."""
        return await self._in_thread(_open_history, call_id)

    async def head(self) -> Head:
        """Return the newest durable entry's place in the chain."""
        return await self._in_thread(read_head)

    async def ledger_id(self) -> str | None:
        """Return what tells this ledger from all others: its first entry's hash; None without."""
        return await self._in_thread(_first_hash)

    async def verify_chain(self) -> ChainReport:
        """Walk all entries and report whether they are chained as they were written.

        What is appended meanwhile is walked too. It says nothing of the time before a chain was
        written anew as a whole: that takes a head that was kept elsewhere.
        """
        return await self._in_thread(_verify)

    async def _in_thread(
        self,
        read: Callable[Concatenate[Connection, _Arguments], _Result],
        *arguments: _Arguments.args,
        **options: _Arguments.kwargs,
    ) -> _Result:
        def run() -> _Result:
            try:
                with self._reading.connect() as connection:
                    return read(connection, *arguments, **options)
            except Exception as error:
                raise explain(error, self._where) from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)


# ------------------------------------------------------------------ what runs in the threads


def _older(table: Table, key: ColumnElement[str], before: str) -> ColumnElement[bool]:
    cursor = select(table.c.first_seq).where(key == before).scalar_subquery()
    return table.c.first_seq < cursor


def _calls(
    connection: Connection, where: Iterable[ColumnElement[bool]], limit: int
) -> tuple[CallRecord, ...]:
    query = select(calls).where(*where).order_by(calls.c.first_seq.desc()).limit(limit)
    return tuple(call_from_row(row) for row in fetch(connection, query))


def _recordings(
    connection: Connection, where: Iterable[ColumnElement[bool]], limit: int | None
) -> tuple[RecordingRecord, ...]:
    query = select(recordings).where(*where).order_by(recordings.c.first_seq.desc()).limit(limit)
    found = [recording_from_row(row) for row in fetch(connection, query)]
    histories: defaultdict[str | None, list[Entry]] = defaultdict(list)
    their_timelines = (
        select(entries)
        .where(
            entries.c.recording_id.in_(record.recording_id for record in found),
            entries.c.kind.in_(kind.value for kind in (*TIMELINE_KINDS, *HOLD_KINDS)),
        )
        .order_by(entries.c.seq)
    )
    for row in fetch(connection, their_timelines):
        entry = from_columns(row)
        histories[entry.recording_id].append(entry)
    return tuple(_with_timeline(record, histories[record.recording_id]) for record in found)


def _search(
    connection: Connection, search: RecordingSearch, limit: int, before: str | None
) -> tuple[RecordingRecord, ...]:
    older = [] if before is None else [_older(recordings, recordings.c.recording_id, before)]
    return _recordings(connection, [newest(connection, search, older, limit)], limit)


def _with_timeline(record: RecordingRecord, history: list[Entry]) -> RecordingRecord:
    segments, gaps = timeline(history)
    return replace(
        record,
        segments=segments,
        gaps=gaps,
        legal_hold=legal_hold(history),
        behavior=closed_behavior(history),
    )


def _entries(
    connection: Connection, where: Iterable[ColumnElement[bool]], limit: int | None
) -> tuple[WrittenEntry, ...]:
    query = select(entries).where(*where).order_by(entries.c.seq).limit(limit)
    return tuple(
        WrittenEntry(row["seq"], from_columns(row), row["prev_hash"], row["hash"])
        for row in fetch(connection, query)
    )


def _told(
    connection: Connection,
    kinds: Collection[EntryKind],
    after_seq: int,
    limit: int,
    call_id: str | None,
) -> tuple[tuple[tuple[WrittenEntry, str | None], ...], int]:
    head = read_head(connection)
    where = [
        entries.c.seq > after_seq,
        entries.c.seq <= head.seq,
        entries.c.kind.in_([kind.value for kind in kinds]),
    ]
    if call_id is not None:
        where.append(entries.c.call_id == call_id)
    query = (
        select(entries, func.coalesce(calls.c.bot, recordings.c.bot).label("bot"))
        .outerjoin(calls, calls.c.call_id == entries.c.call_id)
        .outerjoin(recordings, recordings.c.recording_id == entries.c.recording_id)
        .where(*where)
        .order_by(entries.c.seq)
        .limit(limit)
    )
    found = tuple(
        (WrittenEntry(row["seq"], from_columns(row), row["prev_hash"], row["hash"]), row["bot"])
        for row in fetch(connection, query)
    )
    return found, found[-1][0].seq if len(found) == limit else max(head.seq, after_seq)


def _in_portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _IDS_A_QUERY):
        yield ids[start : start + _IDS_A_QUERY]


def _known(connection: Connection, recording_ids: Sequence[str]) -> frozenset[str]:
    return frozenset(_statuses(connection, recording_ids))


def _deleted(connection: Connection, recording_ids: Sequence[str]) -> tuple[str, ...]:
    statuses = _statuses(connection, recording_ids)
    return tuple(one for one, status in statuses.items() if status == RecordingStatus.DELETED.value)


def _statuses(connection: Connection, recording_ids: Sequence[str]) -> dict[str, str]:
    statuses: dict[str, str] = {}
    for some in _in_portions(recording_ids):
        query = select(recordings.c.recording_id, recordings.c.status)
        found = connection.execute(query.where(recordings.c.recording_id.in_(some)))
        statuses.update((one, status) for one, status in found)
    return statuses


def _first_hash(connection: Connection) -> str | None:
    first = select(entries.c.hash).order_by(entries.c.seq).limit(1)
    found = connection.execute(first).scalar_one_or_none()
    return None if found is None else str(found)


def _open_history(connection: Connection, call_id: str) -> tuple[WrittenEntry, ...]:
    is_live = exists().where(calls.c.call_id == call_id, calls.c.ended_us.is_(None))
    return _entries(connection, [entries.c.call_id == call_id, is_live], None)


def _verify(connection: Connection) -> ChainReport:
    walk = Walk()
    for rows in all_entries(connection):
        walk.over(rows)
        # Each chunk in a transaction of its own: a long one would keep SQLite's WAL growing.
        connection.rollback()
    return walk.report()
