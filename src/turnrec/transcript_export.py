"""Finds the transcripts of a call or a recording, by what the ledger knows, and has them written.

The ledger says when a call began and which recordings it has; what was said is in their files
alone.
"""

from __future__ import annotations

from dataclasses import replace

from turnrec.core.errors import RefusedError
from turnrec.core.policy import PauseBehavior
from turnrec.core.transcript import GapMark
from turnrec.core.transcript_text import TranscriptFormat, TranscriptTime
from turnrec.ledger.store import Ledger
from turnrec.ledger.views import CallRecord, RecordingRecord
from turnrec.listening import AccessBook
from turnrec.recordings.transcript_export import NoTranscriptError, export_transcripts
from turnrec.recordings.transcript_file import Transcript, TranscriptFiles
from turnrec.web.access import Access

_MOST_OF_A_CALL = 1_000


class UnknownRecordingOrCallError(RefusedError):
    """The ledger knows no call and no recording of this name."""

    id = "unknown-name"

    def __init__(self, name: str) -> None:
        super().__init__(f"the ledger knows no call and no recording {name!r}")


class TranscriptExport:
    """Writes transcripts."""

    def __init__(self, ledger: Ledger, files: TranscriptFiles, book: AccessBook) -> None:
        self._ledger = ledger
        self._files = files
        self._book = book

    async def __call__(
        self,
        access: Access,
        name: str,
        form: TranscriptFormat,
        time: TranscriptTime,
        behavior: PauseBehavior | None = None,
    ) -> str:
        """Write the transcript of a recording, or of a call by its id, uniqueid or external id.

        A call's shows a redacted copy instead of what it is a copy of. Who reads it is in the
        ledger when this returns.

        Raises:
            TurnrecError: there is none, or not in this time.
        """
        await self._ledger.flush()
        call, recordings = await self._find(name)
        if access.bots is not None:
            recordings = [one for one in recordings if access.may_see(one.bot)]
            if not recordings:
                raise UnknownRecordingOrCallError(name[:64])
        found = [await self._read(one) for one in recordings]
        redacted = {one.redacts for one in found if one is not None}
        transcripts = [one for one in found if one is not None and one.recording_id not in redacted]
        if not transcripts:
            raise NoTranscriptError("there is no transcript: no utterances were posted for it")
        started_us = transcripts[0].opened_us if call is None else call.started_us
        text = export_transcripts(
            transcripts, started_us=started_us, form=form, time=time, behavior=behavior
        )
        shown = {one.recording_id for one in transcripts}
        for record in recordings:
            if record.recording_id in shown:
                await self._book.enter(access, record, "transcript")
        return text

    async def _find(self, name: str) -> tuple[CallRecord | None, list[RecordingRecord]]:
        recording = await self._ledger.recording(name)
        if recording is not None:
            call = await self._ledger.call(recording.call_id or "")
            return call, [recording]
        call = await self._ledger.find_call(name)
        if call is None:
            raise UnknownRecordingOrCallError(name[:64])
        of_call = await self._ledger.recordings(call_id=call.call_id, limit=_MOST_OF_A_CALL)
        return call, list(reversed(of_call))

    async def _read(self, record: RecordingRecord) -> Transcript | None:
        transcript = await self._files.read(record.recording_id, record.opened_us)
        if transcript is None or transcript.is_closed:
            return transcript
        # It goes on: the ledger knows of the gaps so far.
        gaps = tuple(
            GapMark(gap.began_us, gap.ended_us, tuple(hold.value for hold in gap.holds), gap.node)
            for gap in record.gaps
            if gap.ended_us is not None
        )
        return replace(transcript, gaps=gaps)
