"""Makes one text of a call's or a recording's transcripts; the sound and its files stay alone."""

from __future__ import annotations

from collections.abc import Sequence

from turnrec.core.errors import RefusedError
from turnrec.core.policy import PauseBehavior
from turnrec.core.transcript_text import (
    Scale,
    Shown,
    TranscriptFormat,
    TranscriptTime,
    call_scale,
    file_scale,
    to_json,
    to_vtt,
)
from turnrec.recordings.spans import laid_out_as
from turnrec.recordings.transcript_file import Transcript


class NoTranscriptError(RefusedError):
    """Nothing was said that may be shown, or nobody posted it."""

    id = "no-transcript"


class NoFileTimeError(RefusedError):
    """There is no one file whose time could be shown."""

    id = "no-file-time"


def export_transcripts(
    transcripts: Sequence[Transcript],
    *,
    started_us: int,
    form: TranscriptFormat,
    time: TranscriptTime,
    behavior: PauseBehavior | None = None,
) -> str:
    """Write the transcripts of one call, or of one of its recordings.

    Args:
        transcripts: in the order of their recordings.
        started_us: when the call began: call time's zero.
        form: how it is written.
        time: what its times count from.
        behavior: of the file that file time is of; None: as it was joined.

    Raises:
        NoTranscriptError: there are none.
        NoFileTimeError: file time was asked for, of several files or of one that isn't joined.
    """
    if not transcripts:
        raise NoTranscriptError("there is no transcript: no utterances were posted for it")
    shown = [Shown(one.recording_id, said) for one in transcripts for said in one.utterances]
    shown += [Shown(one.recording_id, gap) for one in transcripts for gap in one.gaps]
    scale = (
        call_scale(started_us)
        if time is TranscriptTime.CALL
        else _file_scale(transcripts, behavior)
    )
    write = to_json if form is TranscriptFormat.JSON else to_vtt
    return write(transcripts[0].call_id, shown, scale)


def _file_scale(transcripts: Sequence[Transcript], behavior: PauseBehavior | None) -> Scale:
    if len(transcripts) > 1:
        names = ", ".join(one.recording_id for one in transcripts)
        raise NoFileTimeError(f"this call has several recordings, name one: {names}")
    layout = transcripts[0].layout
    if layout is None:
        raise NoFileTimeError("this recording isn't closed and joined: it has no file time yet")
    return file_scale(layout if behavior is None else laid_out_as(layout, behavior))
