"""What becomes of recordings afterwards: redacted, held, kept for their days, deleted.

Every change is in the ledger before it is on the disk: a tombstone is durable before the first
file goes, and whatever a crash left lying then goes at the next look (`turnrec.retention`).
Nothing under a legal hold and nothing that is still being made is deleted by anybody.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnrec import __version__
from turnrec.core.entry import JSON, REASON, REASON_LETTERS, Entry, EntryKind, Origin
from turnrec.core.errors import (
    LedgerUnavailableError,
    NotAllowedError,
    RefusedError,
    UnknownRecordingError,
)
from turnrec.describe import describe_recording
from turnrec.ledger.store import Ledger
from turnrec.ledger.views import RecordingRecord, RecordingStatus
from turnrec.notes import Notes
from turnrec.ports import Journal
from turnrec.recordings.manifest_history import Numbered
from turnrec.recordings.manifest_make import Circumstances
from turnrec.recordings.redact import Stretch, new_cuts, redacted_layout
from turnrec.recordings.removing import Doomed, files_of, look_at, remove
from turnrec.redaction import make_redacted, source_of

logger = logging.getLogger(__name__)


class ReasonMissingError(RefusedError):
    """No reason, or one that is no sentence: whoever reads the ledger later has only that."""

    id = "reason-missing"

    def __init__(self) -> None:
        super().__init__(f"give a reason of 1 to {REASON_LETTERS} letters, on one line")


def check_reason(reason: str) -> None:
    """Return if it can be a reason.

    Raises:
        ReasonMissingError: it is blank, too long, or not on one line.
    """
    if len(reason) > REASON_LETTERS or re.fullmatch(REASON, reason) is None:
        raise ReasonMissingError


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants it, where from, and why."""

    reason: str
    actor: str | None
    origin: Origin

    def __post_init__(self) -> None:
        check_reason(self.reason)


@dataclass(frozen=True, slots=True)
class _Found:
    record: RecordingRecord
    closed: Mapping[str, Any]
    """What was entered when it was closed; empty while it isn't."""
    uniqueid: str | None


class Keeper:
    """Redacts, holds and deletes recordings, one thing at a time."""

    def __init__(
        self,
        ledger: Ledger,
        journal: Journal,
        notes: Notes,
        folder: Path,
        spool: Path,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self.ledger = ledger
        self.folder = folder
        self.spool = spool
        self._journal = journal
        self._notes = notes
        self._clock = clock
        self._new_id = new_id
        # A hold must not come between a deletion's look at the holds and its tombstone.
        self._lock = asyncio.Lock()

    async def show(self, recording_id: str) -> dict[str, JSON]:
        """One recording, with all that was entered when it was closed.

        Raises:
            UnknownRecordingError: there is none.
        """
        found = await self._find(recording_id)
        return describe_recording(found.record, self.folder) | {"closed_detail": dict(found.closed)}

    # -------------------------------------------------------------- legal hold

    async def hold(self, recording_id: str, asked: Asked) -> dict[str, JSON]:
        """Forbid that a recording be deleted.

        Raises:
            UnknownRecordingError, NotAllowedError: there is none, or it is deleted already.
        """
        async with self._lock:
            found = await self._find(recording_id)
            _check_there(found.record)
            await self._enter(EntryKind.LEGAL_HOLD, found, asked)
            return await self.show(recording_id)

    async def release(self, recording_id: str, asked: Asked) -> dict[str, JSON]:
        """Allow again that a recording be deleted.

        Raises:
            UnknownRecordingError, NotAllowedError: there is none, or nothing holds it.
        """
        async with self._lock:
            found = await self._find(recording_id)
            if found.record.legal_hold is None:
                raise NotAllowedError(f"recording {recording_id} is under no legal hold")
            await self._enter(EntryKind.HOLD_RELEASED, found, asked)
            return await self.show(recording_id)

    # -------------------------------------------------------------- deleting

    async def delete(self, recording_id: str, asked: Asked) -> dict[str, JSON]:
        """Delete a recording and everything beside it; its tombstone stays.

        Returns:
            The recording, and under `deleted_files` what went; `left_files` are those that would
            not go: they are tried again, and there is an alarm.

        Raises:
            UnknownRecordingError: there is none.
            NotAllowedError: it is held, still being made, or deleted already.
            LedgerUnavailableError: the tombstone could not be made durable; nothing was deleted.
        """
        async with self._lock:
            return await self._delete(await self._find(recording_id), asked)

    async def _delete(self, found: _Found, asked: Asked) -> dict[str, JSON]:
        record = found.record
        _check_deletable(record)
        paths = self.files_of(record)
        doomed = await asyncio.to_thread(look_at, paths)
        detail: dict[str, JSON] = {
            "file": record.file,
            "sha256": record.sha256,
            "files": [_describe_doomed(one) for one in doomed],
        }
        await self._enter(EntryKind.DELETED, found, asked, detail)
        left = await self.remove(record)
        shown = await self.show(record.recording_id)
        return shown | {"deleted_files": len(paths) - len(left), "left_files": list(map(str, left))}

    def files_of(self, record: RecordingRecord) -> tuple[Path, ...]:
        """Everything on the disk that belongs to a recording."""
        return files_of(record.recording_id, record.opened_us, record.file, self.folder, self.spool)

    async def remove(self, record: RecordingRecord) -> tuple[Path, ...]:
        """Take away the files of a recording that has a tombstone; return those that won't go."""
        known = await self.ledger.recording(record.recording_id)
        if known is None or known.status is not RecordingStatus.DELETED:
            # The ledger counts an entry as lost where its memory is full.
            raise LedgerUnavailableError("the tombstone isn't in the ledger: nothing was deleted")
        left = await asyncio.to_thread(remove, self.files_of(record))
        if left:
            names = ", ".join(path.name for path in left)
            sentence = f"recording {record.recording_id} is deleted, but not from the disk: {names}"
            self._notes.alarm(None, "deletion-incomplete", sentence)
        else:
            logger.info("recording %s deleted", record.recording_id)
        return left

    # -------------------------------------------------------------- redacting

    async def redact(
        self, recording_id: str, stretch: Stretch, asked: Asked, *, delete_original: bool
    ) -> dict[str, JSON]:
        """Cut a stretch out of a recording, into a new one; the old one stays as it is.

        Args:
            recording_id: the old one.
            stretch: what to cut out.
            asked: by whom, and why.
            delete_original: delete the old one afterwards, with a tombstone.

        Returns:
            The new recording, and under `cuts` what was cut out of it.

        Raises:
            UnknownRecordingError, NotAllowedError, InvalidTimeError: it can't be.
            RecordingError: the old file isn't what the ledger says, or nothing could be written.
            LedgerUnavailableError: it was made, but the ledger doesn't hold it yet.
        """
        if not self._journal.vouches():
            raise LedgerUnavailableError("the ledger takes no entries: nothing was redacted")
        async with self._lock:
            found = await self._find(recording_id)
            _check_there(found.record)
            if found.record.file is None:
                raise NotAllowedError(f"recording {recording_id} has no file")
            if delete_original:
                _check_deletable(found.record)
            old = source_of(self.folder, found.record, found.record.file, found.closed)
            layout = redacted_layout(old.layout, stretch)
            cuts = new_cuts(old.layout, layout)
            new_id = self._new_id()
            made = await asyncio.to_thread(
                make_redacted,
                self.folder,
                found.record,
                found.closed,
                layout,
                cuts,
                new_id,
                *await self._gather(found),
            )
            told: list[JSON] = [
                {
                    "begin_us": span.begin_us,
                    "end_us": span.end_us,
                    "start_sample": span.start_sample,
                    "samples": span.samples,
                }
                for span in cuts
            ]
            detail = {
                "into": new_id,
                "old_sha256": old.sha256,
                "new_sha256": made["sha256"],
                "cuts": told,
            }
            self._append(EntryKind.REDACTED, found, asked, detail)
            self._append(EntryKind.RECORDING_CLOSED, found, asked, made, recording_id=new_id)
            await self._make_durable()
            shown = await self.show(new_id) | {"cuts": told, "deleted_original": delete_original}
            if delete_original:
                gone = await self._delete(found, asked)
                shown |= {"left_files": gone["left_files"]}
            return shown

    async def _gather(self, found: _Found) -> tuple[list[Numbered], Circumstances]:
        """What the ledger says now of the call, for the new manifest."""
        head, ledger_id = await self.ledger.head(), await self.ledger.ledger_id()
        entries = await self.ledger.entries(call_id=found.record.call_id, limit=None)
        return [Numbered(one.seq, one.entry) for one in entries if one.seq <= head.seq], (
            Circumstances(
                made_us=self._clock(),
                made_by=f"turnrec {__version__}",
                asterisk_version=None,
                ledger_id=ledger_id or "",
                head_seq=head.seq,
                head_hash=head.hash,
            )
        )

    # -------------------------------------------------------------- the ledger

    async def _find(self, recording_id: str) -> _Found:
        await self.ledger.flush()
        record = await self.ledger.recording(recording_id)
        if record is None:
            raise UnknownRecordingError(recording_id[:64])
        entries = await self.ledger.entries(recording_id=recording_id, limit=None)
        kind = EntryKind.RECORDING_CLOSED
        closed = next((one.entry.detail for one in entries if one.entry.kind is kind), {})
        uniqueid = next((one.entry.uniqueid for one in entries if one.entry.uniqueid), None)
        return _Found(record, closed, uniqueid)

    async def _enter(
        self,
        kind: EntryKind,
        found: _Found,
        asked: Asked,
        detail: Mapping[str, JSON] | None = None,
    ) -> None:
        if not self._journal.vouches():
            raise LedgerUnavailableError("the ledger takes no entries: nothing was done")
        self._append(kind, found, asked, detail or {})
        await self._make_durable()

    def _append(
        self,
        kind: EntryKind,
        found: _Found,
        asked: Asked,
        detail: Mapping[str, JSON],
        recording_id: str | None = None,
    ) -> None:
        self._journal.append(
            Entry(
                kind=kind,
                at_us=self._clock(),
                call_id=found.record.call_id,
                uniqueid=found.uniqueid,
                recording_id=recording_id or found.record.recording_id,
                actor=asked.actor,
                origin=asked.origin,
                detail={**detail, "reason": asked.reason},
            )
        )

    async def _make_durable(self) -> None:
        if not await self._journal.make_durable():
            raise LedgerUnavailableError("the ledger is behind: it isn't known to be entered yet")


def _check_there(record: RecordingRecord) -> None:
    if record.status is RecordingStatus.DELETED:
        raise NotAllowedError(f"recording {record.recording_id} is deleted")


def _check_deletable(record: RecordingRecord) -> None:
    _check_there(record)
    if not record.status.closed:
        raise NotAllowedError(
            f"recording {record.recording_id} is still being made; stop it, or end its call, first"
        )
    if record.legal_hold is not None:
        raise NotAllowedError(
            f"recording {record.recording_id} is under a legal hold ({record.legal_hold});"
            " `turnrec release` it first"
        )


def _describe_doomed(one: Doomed) -> JSON:
    return {"name": one.path.name, "bytes": one.bytes, "sha256": one.sha256}
