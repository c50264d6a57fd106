"""The few queries that the writer, the reader and the projections share; they change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Select, select

from turnrec.ledger.chain import EMPTY, Head
from turnrec.ledger.schema import entries

Row: TypeAlias = "dict[str, Any]"

_CHUNK: Final = 2000
_BEFORE_ALL: Final = -(2**63)


def fetch(
    connection: Connection, query: Select[Any], values: Mapping[str, object] | None = None
) -> list[Row]:
    """Return what `query` finds, by column name."""
    return [row._asdict() for row in connection.execute(query, values)]


def read_head(connection: Connection) -> Head:
    """Return the newest entry's place in the chain."""
    newest = select(entries.c.seq, entries.c.hash).order_by(entries.c.seq.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return EMPTY if row is None else Head(row.seq, row.hash)


def all_entries(connection: Connection) -> Iterator[list[Row]]:
    """Yield all entries in order, in chunks; what is added meanwhile comes too."""
    seq = _BEFORE_ALL
    while rows := fetch(
        connection,
        select(entries).where(entries.c.seq > seq).order_by(entries.c.seq).limit(_CHUNK),
    ):
        yield rows
        seq = rows[-1]["seq"]
