"""Recordings by what is known of them, in SQL that stays quick over a million; it only asks.

A database that knows little of its rows chooses badly between two indexes: SQLite walks a bot's
million recordings to find the one of a call. So the index that mustn't be taken is hidden from it,
and each bot's newest are picked apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    exists,
    func,
    literal,
    or_,
    select,
    union_all,
)

from turnrec.ledger.schema import calls, recordings
from turnrec.ledger.views import RecordingStatus

_FEW: Final = 1_000
"""Up to so many matches of a prefix are looked up; more are met on the way from the newest on."""
_MOST_BOTS: Final = 100
_AFTER_ALL: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class RecordingSearch:
    """What a recording must be to be found. None: whatever it is."""

    bots: frozenset[str] | None = None
    """One of these bots'."""
    status: RecordingStatus | None = None
    from_us: int | None = None
    """Opened then or later."""
    to_us: int | None = None
    """Opened before."""
    call: str | None = None
    """Of the calls with this id, uniqueid or external id."""
    prefix: str | None = None
    """Its id, its call's id, uniqueid or external id begins so."""


def newest(
    connection: Connection,
    search: RecordingSearch,
    also: Iterable[ColumnElement[bool]],
    limit: int,
) -> ColumnElement[bool]:
    """A condition that the newest `limit` matches meet, and few others; indexes alone find them."""
    where = [*also, *_times(search)]
    bot: ColumnElement[Any] = recordings.c.bot
    status: ColumnElement[Any] = recordings.c.status
    is_selective = search.call is not None or search.prefix is not None
    if search.call is not None:
        where.append(_of_call(search.call))
    if search.prefix is not None:
        where.append(_with_prefix(connection, search.prefix))
    if is_selective:
        # One call has few recordings, a bot may have a million: no index of these is to be taken.
        bot, status = func.coalesce(bot, ""), func.coalesce(status, "")
    if search.status is not None:
        where.append(status == search.status.value)
    if search.bots is None:
        return recordings.c.first_seq.in_(_pick(where, limit))
    bots = sorted(search.bots)
    if is_selective or not 1 < len(bots) <= _MOST_BOTS:
        return recordings.c.first_seq.in_(_pick([*where, bot.in_(bots)], limit))
    # Each bot's newest lie in order in an index, those of several bots don't.
    of_each = (_pick([*where, bot == one], limit).subquery() for one in bots)
    return recordings.c.first_seq.in_(union_all(*(select(one.c.first_seq) for one in of_each)))


def _pick(where: Iterable[ColumnElement[bool]], limit: int) -> Select[tuple[int]]:
    column = recordings.c.first_seq
    return select(column).where(*where).order_by(column.desc()).limit(limit)


def _times(search: RecordingSearch) -> Iterator[ColumnElement[bool]]:
    if search.from_us is not None:
        yield recordings.c.opened_us >= search.from_us
    if search.to_us is not None:
        yield recordings.c.opened_us < search.to_us


def _of_call(name: str) -> ColumnElement[bool]:
    named = or_(calls.c.call_id == name, calls.c.uniqueid == name, calls.c.external_id == name)
    return recordings.c.call_id.in_(select(calls.c.call_id).where(named))


def _with_prefix(connection: Connection, prefix: str) -> ColumnElement[bool]:
    dialect = connection.dialect.name
    begins = [_begins(one, prefix, dialect) for one in (calls.c.uniqueid, calls.c.external_id)]
    of_calls = or_(_begins(calls.c.call_id, prefix, dialect), *begins)
    by_itself = _begins(recordings.c.recording_id, prefix, dialect)
    some_calls = select(calls.c.call_id).where(of_calls)
    some = select(recordings.c.recording_id).where(by_itself)
    if _count(connection, some_calls) < _FEW and _count(connection, some) < _FEW:
        return or_(by_itself, recordings.c.call_id.in_(some_calls))
    its_call = exists().where(calls.c.call_id == recordings.c.call_id, of_calls)
    return or_(_begins(func.coalesce(recordings.c.recording_id, ""), prefix, dialect), its_call)


def _count(connection: Connection, ids: Select[Any]) -> int:
    """How many, as far as it matters."""
    found = ids.limit(_FEW).subquery()
    return int(connection.execute(select(func.count()).select_from(found)).scalar_one())


def _begins(column: ColumnElement[Any], prefix: str, dialect: str) -> ColumnElement[bool]:
    if dialect == "sqlite":
        # Its LIKE ignores case, and then uses no index.
        return and_(column >= prefix, column < literal(prefix + _AFTER_ALL))
    return column.startswith(prefix, autoescape=True)
