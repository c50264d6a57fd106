"""What the API asks of recordings, put to the ledger and the disks; it changes neither.

A key that is limited to some bots hears of no others' recordings. Whoever gets to hear or read one
is in the ledger first (`turnrec.listening`).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from turnrec.core.entry import JSON, Entry, EntryKind, Origin
from turnrec.core.errors import RefusedError, UnknownRecordingError
from turnrec.core.policy import PauseBehavior
from turnrec.core.transcript_text import TranscriptFormat, TranscriptTime
from turnrec.describe import describe_recording, instant
from turnrec.ledger.entries import WrittenEntry
from turnrec.ledger.search import RecordingSearch
from turnrec.ledger.store import Ledger
from turnrec.ledger.views import RecordingRecord, RecordingStatus
from turnrec.listening import AccessBook
from turnrec.recordings.copies import Copies
from turnrec.recordings.disk import day_of
from turnrec.recordings.export import Source
from turnrec.recordings.inside import open_inside, path_inside
from turnrec.recordings.peaks import peaks_of
from turnrec.recordings.sound import (
    SoundChangedError,
    SoundFormat,
    SoundUnreadableError,
    hash_descriptor,
)
from turnrec.recordings.transcript_file import transcript_path
from turnrec.redaction import source_of
from turnrec.transcript_export import TranscriptExport
from turnrec.verify.service import Verifier
from turnrec.web.access import Access
from turnrec.web.ranges import OpenFile
from turnrec.web.recordings import Wanted, WantedAudio

MEDIA_TYPES: Final = {
    SoundFormat.WAV: "audio/wav",
    SoundFormat.FLAC: "audio/flac",
    SoundFormat.OPUS: "audio/ogg; codecs=opus",
}
_NAME: Final = 64
_MOST_PEAKS: Final = 64
_MOST_HASHES: Final = 1_000


class RecordingNotClosedError(RefusedError):
    """It is still being recorded, or joined: there is no file yet."""

    id = "recording-not-closed"

    def __init__(self, record: RecordingRecord) -> None:
        super().__init__(
            f"recording {record.recording_id} is not closed yet ({record.status}); there is a file"
            " when it is"
        )


class RecordingDeletedError(RefusedError):
    """Its files are gone; the ledger keeps what it was."""

    id = "recording-deleted"

    def __init__(self, record: RecordingRecord) -> None:
        super().__init__(f"recording {record.recording_id} is deleted; its tombstone is kept")


class NoSoundError(RefusedError):
    """It was paused throughout, or nothing could be joined; or it has no two channels."""

    id = "no-sound"


class NoManifestError(RefusedError):
    """No manifest was made for it."""

    id = "no-manifest"

    def __init__(self, record: RecordingRecord) -> None:
        super().__init__(f"recording {record.recording_id} has no manifest")


@dataclass(frozen=True, slots=True)
class _Found:
    record: RecordingRecord
    entries: tuple[WrittenEntry, ...]

    @property
    def closed(self) -> Mapping[str, Any]:
        """What was entered when it was closed; empty while it isn't."""
        return next(self.details(EntryKind.RECORDING_CLOSED), {})

    def details(self, kind: EntryKind) -> Iterator[Mapping[str, Any]]:
        return (one.entry.detail for one in self.entries if one.entry.kind is kind)


class RecordingDesk:
    """Finds recordings, and what belongs to them."""

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        book: AccessBook,
        copies: Copies,
        transcripts: TranscriptExport,
        verifier: Verifier,
    ) -> None:
        self._ledger = ledger
        self._folder = folder
        self._book = book
        self._copies = copies
        self._transcripts = transcripts
        self._verifier = verifier
        self._peaks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._hashes: OrderedDict[tuple[int, ...], str] = OrderedDict()

    def entered(self, entry: Entry) -> None:
        """Be told of an entry: of a recording that is deleted no copy stays."""
        if entry.kind is EntryKind.DELETED and entry.recording_id is not None:
            self._copies.forget(entry.recording_id)

    # -------------------------------------------------------------- looking

    async def list_recordings(
        self, access: Access, wanted: Wanted, *, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, JSON]], str | None]:
        """Recordings, the newest first, and the next page's cursor."""
        search = RecordingSearch(
            bots=access.bots_among(wanted.bot),
            status=None if wanted.status is None else RecordingStatus(wanted.status),
            from_us=wanted.from_us,
            to_us=wanted.to_us,
            call=wanted.call,
            prefix=wanted.prefix,
        )
        await self._ledger.flush()
        found = await self._ledger.search_recordings(search, limit=limit + 1, before=cursor)
        shown = [self._describe(access, record) for record in found[:limit]]
        return shown, found[limit - 1].recording_id if len(found) > limit else None

    async def show_recording(self, access: Access, recording_id: str) -> dict[str, JSON]:
        """One recording, with all that was found when it was closed.

        Raises:
            UnknownRecordingError: there is none, or it isn't theirs to see.
        """
        found = await self._find(access, recording_id)
        record, closed = found.record, found.closed
        transcript = transcript_path(self._folder, record.recording_id, record.opened_us)
        redacted = found.details(EntryKind.REDACTED)
        return self._describe(access, record) | {
            "spans": [_describe_span(span) for span in closed.get("spans") or ()],
            "one_sided": closed.get("one_sided") or [],
            "stereo": _stereo_of(closed) is not None,
            "transcript": await asyncio.to_thread(transcript.is_file),
            "problems": closed.get("problems") or [],
            "redacts": closed.get("redacts"),
            "redacted_into": [detail["into"] for detail in redacted if "into" in detail],
            "closed_detail": dict(closed),
        }

    def _describe(self, access: Access, record: RecordingRecord) -> dict[str, JSON]:
        shown = describe_recording(record, self._folder)
        return shown if access.origin is Origin.CLI else shown | {"path": None}

    # -------------------------------------------------------------- hearing

    async def listen(
        self, access: Access, recording_id: str, wanted: WantedAudio, *, head_only: bool
    ) -> OpenFile:
        """Open the file itself, or a copy of it as it is wanted.

        Raises:
            RecordingNotClosedError, RecordingDeletedError, NoSoundError: there is nothing to hear.
            RecordingError: the file isn't the one that the ledger knows, or can't be read.
            LedgerUnavailableError: that it was heard could not be entered.
        """
        found = await self._find(access, recording_id)
        source = self._source(found, stereo=wanted.stereo)
        form = SoundFormat(wanted.form)
        behavior = wanted.behavior or source.layout.behavior
        if form is SoundFormat.WAV and behavior is source.layout.behavior:
            file, size = await asyncio.to_thread(self._open, source)
            sha256 = source.sha256
        else:
            copy = await self._copies.open(source, behavior, form)
            file, size, sha256 = copy.file, copy.size, copy.sha256
        try:
            await self._check_still_there(found.record)
            if not head_only:
                await self._book.enter(access, found.record, "audio")
        except BaseException:
            file.close()
            raise
        words = [recording_id, *(["stereo"] if wanted.stereo else [])]
        if behavior is not source.layout.behavior:
            words.append(behavior.value)
        return OpenFile(file, size, sha256, MEDIA_TYPES[form], ".".join([*words, form.value]))

    async def peaks(self, access: Access, recording_id: str, points: int) -> bytes:
        """The outline of a recording's file, as JSON.

        Raises:
            RefusedError: there is nothing to draw.
            RecordingError: the file isn't the one that the ledger knows, or can't be read.
        """
        source = self._source(await self._find(access, recording_id), stereo=False)
        key = (source.sha256, points)
        known = self._peaks.pop(key, None)
        if known is None:
            peaks = await asyncio.to_thread(peaks_of, source.path, source.sha256, points)
            shown = {
                "rate_hz": peaks.rate_hz,
                "samples": peaks.samples,
                "points": peaks.points(),
            }
            known = json.dumps(shown, separators=(",", ":")).encode()
        _remember(self._peaks, key, known, _MOST_PEAKS)
        return known

    # -------------------------------------------------------------- reading

    async def manifest(self, access: Access, recording_id: str) -> bytes:
        """A recording's manifest as it lies on the disk.

        Raises:
            RefusedError: there is none.
            RecordingError: it can't be read.
            LedgerUnavailableError: that it was read could not be entered.
        """
        found = await self._find(access, recording_id)
        _check_closed(found.record)
        try:
            body = await asyncio.to_thread(self._read, _manifest_name(found.record))
        except FileNotFoundError:
            raise NoManifestError(found.record) from None
        await self._book.enter(access, found.record, "manifest")
        return body

    async def transcript(
        self,
        access: Access,
        recording_id: str,
        form: TranscriptFormat,
        time: TranscriptTime,
        behavior: PauseBehavior | None,
    ) -> str:
        """What was said while it was recorded.

        Raises:
            RefusedError: there is none, or not in this time.
            LedgerUnavailableError: that it was read could not be entered.
        """
        found = await self._find(access, recording_id)
        if found.record.status is RecordingStatus.DELETED:
            raise RecordingDeletedError(found.record)
        return await self._transcripts(access, recording_id, form, time, behavior)

    async def verification(self, access: Access, recording_id: str) -> dict[str, Any]:
        """What a verification of it finds now.

        Raises:
            RefusedError: there is nothing to verify.
        """
        found = await self._find(access, recording_id)
        _check_closed(found.record)
        name = _manifest_name(found.record)
        return await self._verifier.verify(path_inside(self._folder, name))

    # -------------------------------------------------------------- finding

    async def _find(self, access: Access, recording_id: str) -> _Found:
        await self._ledger.flush()
        unknown = UnknownRecordingError(recording_id[:_NAME])
        record = await self._ledger.recording(recording_id)
        if record is None:
            raise unknown
        access.check_sees(record.bot, unknown)
        entries = await self._ledger.entries(recording_id=recording_id, limit=None)
        return _Found(record, entries)

    async def _check_still_there(self, record: RecordingRecord) -> None:
        """A deletion that came since it was found must not leave a copy behind."""
        now = await self._ledger.recording(record.recording_id)
        if now is None or now.status is RecordingStatus.DELETED:
            self._copies.forget(record.recording_id)
            raise RecordingDeletedError(record)

    def _source(self, found: _Found, *, stereo: bool) -> Source:
        """The sound that is meant, as the ledger knows it."""
        record, closed = found.record, found.closed
        _check_closed(record)
        if record.file is None:
            raise NoSoundError(f"recording {record.recording_id} has no sound: {_why(record)}")
        file = record.file
        if stereo:
            two = _stereo_of(closed)
            if two is None:
                reason = (closed.get("stereo") or {}).get("reason") or "`dual_channel` was off"
                raise NoSoundError(f"recording {record.recording_id} has no two channels: {reason}")
            file, closed = str(two["file"]), {**closed, "sha256": two.get("sha256")}
        path_inside(self._folder, file)
        return source_of(self._folder, record, file, closed)

    def _open(self, source: Source) -> tuple[BinaryIO, int]:
        """Open a file, and see that it is the one that is known: hashed once as it lies there."""
        file = open_inside(self._folder, str(source.path.relative_to(self._folder)))
        try:
            found = os.fstat(file.fileno())
            sha256 = self._hash(file, found)
        except OSError as error:
            file.close()
            raise SoundUnreadableError(source.path, str(error.strerror)) from error
        if sha256 != source.sha256:
            file.close()
            raise SoundChangedError(source.path, source.known_by)
        return file, found.st_size

    def _hash(self, file: BinaryIO, found: os.stat_result) -> str:
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        sha256 = self._hashes.pop(key, None) or hash_descriptor(file.fileno())
        _remember(self._hashes, key, sha256, _MOST_HASHES)
        return sha256

    def _read(self, name: str) -> bytes:
        if not os.path.lexists(path_inside(self._folder, name)):
            raise FileNotFoundError(name)
        with open_inside(self._folder, name) as file:
            return file.read()


def _manifest_name(record: RecordingRecord) -> str:
    return f"{day_of(record.opened_us)}/{record.recording_id}.json"


def _check_closed(record: RecordingRecord) -> None:
    if record.status is RecordingStatus.DELETED:
        raise RecordingDeletedError(record)
    if not record.status.closed:
        raise RecordingNotClosedError(record)


def _why(record: RecordingRecord) -> str:
    if record.status is RecordingStatus.FAILED:
        return "it could not be joined"
    return "nothing audible was recorded; it was paused throughout"


def _stereo_of(closed: Mapping[str, Any]) -> Mapping[str, Any] | None:
    stereo = closed.get("stereo")
    return stereo if isinstance(stereo, Mapping) and stereo.get("file") else None


def _describe_span(span: Mapping[str, Any]) -> dict[str, JSON]:
    return {
        "kind": span["kind"],
        "begin": instant(span["begin_us"]),
        "end": instant(span["end_us"]),
        "begin_us": span["begin_us"],
        "end_us": span["end_us"],
        "start_sample": span["start_sample"],
        "samples": span["samples"],
        "segment": span.get("segment"),
        "sources": span.get("sources") or [],
        "node": span.get("node"),
        "uncertainty_us": span.get("uncertainty_us") or 0,
    }


def _remember(memory: OrderedDict[Any, Any], key: object, value: object, most: int) -> None:
    memory[key] = value
    while len(memory) > most:
        memory.popitem(last=False)
