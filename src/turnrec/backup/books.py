"""Reads from a ledger what a backup must hold: which recordings, what their files must be, which
are deleted; it changes nothing.

One walk over all entries, which checks their chain as well: what the tables of calls and recordings
say doesn't count here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from turnrec.core.entry import EntryKind
from turnrec.core.monitor import side_parts
from turnrec.ledger.chain import ChainReport, Walk
from turnrec.ledger.engine import parse_url, place, reader_engine
from turnrec.ledger.errors import explain
from turnrec.ledger.queries import all_entries
from turnrec.recordings.disk import day_of
from turnrec.recordings.export import map_path
from turnrec.recordings.join import RECORDING_ID
from turnrec.recordings.removing import DAY
from turnrec.recordings.stereo import SUFFIX as STEREO
from turnrec.recordings.transcript_file import SUFFIX as TRANSCRIPT

_KINDS: Final = frozenset(
    kind.value
    for kind in (
        EntryKind.RECORDING_OPENED,
        EntryKind.RECORDING_CLOSED,
        EntryKind.LEGAL_HOLD,
        EntryKind.HOLD_RELEASED,
        EntryKind.DELETED,
    )
)
_BUSY_TIMEOUT_MS: Final = 30_000


@dataclass(slots=True)
class Known:
    """What the ledger says of one recording."""

    id: str
    opened_us: int
    is_closed: bool = False
    is_deleted: bool = False
    is_held: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What was entered when it was closed."""

    @property
    def day(self) -> str:
        """The folder of its files."""
        file = self.detail.get("file")
        day = Path(file).parent.name if isinstance(file, str) else ""
        return day if DAY.fullmatch(day) else day_of(self.opened_us)

    @property
    def is_wanted(self) -> bool:
        """Whether a backup must hold it: it is closed, and nobody has deleted it.

        A tombstone on a recording under a legal hold is none that turnrec has written.
        """
        return self.is_closed and (not self.is_deleted or self.is_held)

    def files(self) -> Iterator[tuple[str, str | None, bool]]:
        """Its files in its day's folder: name, SHA-256 as entered, whether it must be there."""
        detail = self.detail
        if isinstance(detail.get("file"), str):
            yield f"{self.id}.wav", _text(detail.get("sha256")), True
        if isinstance(detail.get("manifest"), str):
            yield f"{self.id}.json", _text(detail.get("manifest_sha256")), True
        stereo = detail.get("stereo")
        if isinstance(stereo, dict) and isinstance(stereo.get("file"), str):
            yield f"{self.id}{STEREO}", _text(stereo.get("sha256")), True
        yield map_path(Path(f"{self.id}.wav")).name, None, False
        yield f"{self.id}{TRANSCRIPT}", None, False

    def parts(self) -> Iterator[tuple[str, str | None]]:
        """The parts that it was made of and what lies beside them: name, SHA-256 as entered."""
        parts = self.detail.get("parts")
        for part in parts if isinstance(parts, list) else ():
            name = part.get("name") if isinstance(part, dict) else None
            if isinstance(name, str) and name.startswith(f"{self.id}-"):
                yield name, _text(part.get("sha256"))
                yield from ((side, None) for side in side_parts(name))

    @property
    def keeps_parts(self) -> bool:
        """Whether it rests on its parts: it could not be made whole, or has no manifest."""
        return self.detail.get("status") != "done" or "manifest" not in self.detail


@dataclass(frozen=True, slots=True)
class Books:
    """A ledger, read through."""

    ledger_id: str | None
    """The hash of its first entry; None: it has none."""
    chain: ChainReport
    hashes: Mapping[int, str]
    """Of the entries that were asked for, as far as there are any."""
    recordings: Mapping[str, Known]


def read_books(url: str, wanted: Collection[int] = ()) -> Books:
    """Read a ledger through.

    Args:
        url: the database's; or an SQLite file's path.
        wanted: the numbers of entries whose hashes are asked for.

    Raises:
        LedgerError: it can't be read.
    """
    parsed = parse_url(url if "://" in url else f"sqlite:///{Path(url).absolute()}")
    engine = reader_engine(parsed, busy_timeout_ms=_BUSY_TIMEOUT_MS)
    walk, first = Walk(), None
    hashes: dict[int, str] = {}
    known: dict[str, Known] = {}
    try:
        with engine.connect() as connection:
            for rows in all_entries(connection):
                walk.over(rows)
                for row in rows:
                    first = first or str(row["hash"])
                    if row["seq"] in wanted:
                        hashes[int(row["seq"])] = str(row["hash"])
                    if row["kind"] in _KINDS and row["recording_id"] is not None:
                        _note(known, row)
                connection.rollback()
    except Exception as error:
        raise explain(error, place(parsed)) from error
    finally:
        engine.dispose()
    return Books(first, walk.report(), hashes, known)


def _note(known: dict[str, Known], row: Mapping[str, Any]) -> None:
    recording_id, kind = str(row["recording_id"]), EntryKind(row["kind"])
    if RECORDING_ID.fullmatch(recording_id) is None:
        return
    one = known.setdefault(recording_id, Known(recording_id, int(row["at_us"])))
    if kind is EntryKind.RECORDING_CLOSED and not one.is_closed:
        detail = json.loads(row["detail"])
        one.is_closed, one.detail = True, detail
        # A redacted recording is as old as the one that it was made of.
        opened_us = detail.get("opened_us")
        one.opened_us = opened_us if isinstance(opened_us, int) else one.opened_us
    elif kind in (EntryKind.LEGAL_HOLD, EntryKind.HOLD_RELEASED):
        one.is_held = kind is EntryKind.LEGAL_HOLD
    elif kind is EntryKind.DELETED:
        one.is_closed = one.is_deleted = True


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
