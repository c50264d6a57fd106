"""How entries are chained by hashes, and what breaks a chain; it reads and writes no database.

An entry's hash is SHA-256 over one line of ASCII: a JSON object of all of its columns as they are
stored (`detail` is the stored text, as one string), `seq` and `prev_hash` included, `hash` left
out, keys sorted, no spaces, every character above ASCII as a `\\u` escape. `prev_hash` is the
hash of the entry before, 64 zeros for the first. So nobody can change, remove, insert or reorder
an entry without every later hash changing; only a signed head can tell that the end was cut off
or that all of it was written anew.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from turnrec.ledger.entries import Columns


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a chain, which stands for all before it."""

    seq: int
    hash: str


EMPTY: Final = Head(0, "0" * 64)


class BreakKind(enum.StrEnum):
    """What is wrong at one place of a chain."""

    MISSING = "missing"
    """The entries before this one, back to the one that is there, are gone."""
    UNLINKED = "unlinked"
    """Its prev_hash is not the hash of the entry before."""
    EDITED = "edited"
    """Its hash is not the hash of its columns."""


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """One place where a chain does not hold."""

    seq: int
    kind: BreakKind


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What walking a chain found."""

    head: Head
    entries: int
    breaks: tuple[ChainBreak, ...] = ()
    """At most the first `MAX_BREAKS`."""

    @property
    def intact(self) -> bool:
        """Whether the chain holds from its first entry to its head."""
        return not self.breaks


MAX_BREAKS: Final = 1000


def entry_hash(columns: Mapping[str, object]) -> str:
    """Return the hash of an entry's columns; a `hash` among them is left out."""
    hashed = {name: value for name, value in columns.items() if name != "hash"}
    line = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(line.encode("ascii")).hexdigest()


def link(head: Head, batch: Iterable[Columns]) -> Sequence[Columns]:
    """Return `batch` as rows that continue the chain after `head`."""
    rows: list[Columns] = []
    for columns in batch:
        row: Columns = {**columns, "seq": head.seq + 1, "prev_hash": head.hash}
        head = Head(head.seq + 1, entry_hash(row))
        row["hash"] = head.hash
        rows.append(row)
    return rows


class Walk:
    """Walks a chain in order of seq, in as many pieces as it comes, in little memory."""

    def __init__(self) -> None:
        self._head = EMPTY
        self._entries = 0
        self._breaks: list[ChainBreak] = []

    def over(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Walk on over `rows`, each with all of its columns."""
        for row in rows:
            seq, stored_hash = int(str(row["seq"])), str(row["hash"])
            for kind in self._broken(row, seq, stored_hash):
                if len(self._breaks) < MAX_BREAKS:
                    self._breaks.append(ChainBreak(seq, kind))
            self._head = Head(seq, stored_hash)
            self._entries += 1

    def report(self) -> ChainReport:
        """Return what has been found so far."""
        return ChainReport(self._head, self._entries, tuple(self._breaks))

    def _broken(self, row: Mapping[str, object], seq: int, stored_hash: str) -> Iterator[BreakKind]:
        if seq != self._head.seq + 1:
            yield BreakKind.MISSING
        if row["prev_hash"] != self._head.hash:
            yield BreakKind.UNLINKED
        if entry_hash(row) != stored_hash:
            yield BreakKind.EDITED
