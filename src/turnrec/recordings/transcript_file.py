"""Keeps one transcript a recording, `DAY/RECORDING.transcript.jsonl`, beside its sound.

It writes what it is given and decides nothing; nothing of what was said gets into a log or an
error. Lines are JSON: a head, then utterances as they became sure. When the recording is closed
the whole file is written anew, with gap markers, the layout and the word `closed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from turnrec.core.call import ClosedRecording, FinishedRecording
from turnrec.core.entry import INT64_MAX, JSON
from turnrec.core.timeline import Layout, SpanKind
from turnrec.core.transcript import (
    GapMark,
    Speaker,
    Utterance,
    Word,
    final_stretches,
    gate,
    stretches_without_cuts,
)
from turnrec.recordings.disk import day_of, sync_folder
from turnrec.recordings.spans import SpanMapError, layout_from_json, span_to_json
from turnrec.recordings.wav_writer import RecordingError

logger = logging.getLogger(__name__)

SUFFIX: Final = ".transcript.jsonl"
VERSION: Final = 1
_MODE: Final = 0o640
_Result = TypeVar("_Result")


class TranscriptFileError(RecordingError):
    """A transcript's file that can't be read. It names the line, never what is in it."""

    id = "transcript-unreadable"


@dataclass(frozen=True, slots=True)
class Transcript:
    """One recording's transcript."""

    recording_id: str
    call_id: str
    opened_us: int
    utterances: tuple[Utterance, ...] = ()
    gaps: tuple[GapMark, ...] = ()
    layout: Layout | None = None
    """None until the recording is closed, or where it could not be joined."""
    is_closed: bool = False
    dropped: int = 0
    """How many utterances were dropped or cut, as far as this was counted before it was closed."""
    redacts: str | None = None
    """The recording that this one is a redacted copy of."""


class TranscriptFiles:
    """The transcripts of a recordings folder. One thread writes them, in order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transcripts")

    def path(self, recording_id: str, opened_us: int) -> Path:
        """Where a recording's transcript lies, if it has one."""
        return transcript_path(self._folder, recording_id, opened_us)

    def append_later(
        self, recording_id: str, call_id: str, opened_us: int, utterances: Sequence[Utterance]
    ) -> None:
        """Have utterances written, without waiting for the disk. What fails is said in the log."""
        self._thread.submit(self._append, recording_id, call_id, opened_us, tuple(utterances))

    async def read(self, recording_id: str, opened_us: int) -> Transcript | None:
        """A recording's transcript, with everything that was given before; None if it has none.

        Raises:
            TranscriptFileError: it can't be read.
        """
        return await self._in_thread(lambda: read(self.path(recording_id, opened_us)))

    async def close(
        self,
        finished: FinishedRecording,
        closed: ClosedRecording,
        pending: Sequence[Utterance],
        gaps: Sequence[GapMark],
        dropped: int,
    ) -> None:
        """Hold everything to the final stretches, and write it anew, all or nothing.

        A transcript that can't be held to them is taken away: it might say too much. Never raises.
        """
        try:
            await self._in_thread(lambda: self._close(finished, closed, pending, gaps, dropped))
        except (TranscriptFileError, OSError) as error:
            logger.error(  # noqa: TRY400 - a traceback has nothing to add
                "recording %s has no transcript any more: %s", finished.id, error
            )
            with contextlib.suppress(OSError):
                self.path(finished.id, finished.opened_us).unlink(missing_ok=True)

    def shut_down(self) -> None:
        """Write what is left, and end the thread."""
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _append(
        self, recording_id: str, call_id: str, opened_us: int, utterances: Sequence[Utterance]
    ) -> None:
        path = self.path(recording_id, opened_us)
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
            with os.fdopen(descriptor, "a+b") as file:
                size = file.tell()
                lines = [_utterance_to_json(one) for one in utterances]
                if size == 0:
                    lines.insert(0, _head(recording_id, call_id, opened_us))
                elif os.pread(descriptor, 1, size - 1) != b"\n":
                    file.write(b"\n")  # a crash, or a full disk, cut the last line short
                file.write(b"".join(map(_line, lines)))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            logger.error(  # noqa: TRY400 - a traceback has nothing to add, and might say too much
                "%d utterances of recording %s are lost: %s", len(utterances), recording_id, reason
            )

    def _close(
        self,
        finished: FinishedRecording,
        closed: ClosedRecording,
        pending: Sequence[Utterance],
        gaps: Sequence[GapMark],
        dropped: int,
    ) -> None:
        path = self.path(finished.id, finished.opened_us)
        written = read(path)
        if written is None and not pending and not dropped:
            return
        layout = _layout(closed)
        stretches = final_stretches(finished, () if layout is None else layout.spans)
        said = [*pending] if written is None else [*written.utterances, *pending]
        gated = [gate(one, stretches) for one in said]
        dropped += 0 if written is None else written.dropped
        dropped += sum(pieces != (one,) for one, pieces in zip(said, gated, strict=True))
        kept = [piece for pieces in gated for piece in pieces]
        kept.sort(key=lambda one: (one.begin_us, one.end_us))
        _replace(
            path,
            Transcript(
                finished.id,
                finished.call_id,
                finished.opened_us,
                tuple(kept),
                tuple(gaps),
                layout,
                is_closed=True,
                dropped=dropped,
            ),
        )


def transcript_path(folder: Path, recording_id: str, opened_us: int) -> Path:
    """Where a recording's transcript lies in the recordings' folder, if it has one."""
    return folder / day_of(opened_us) / f"{recording_id}{SUFFIX}"


def redact_transcript(
    folder: Path, recording_id: str, opened_us: int, new_id: str, layout: Layout
) -> Path | None:
    """Write the transcript of a redacted copy, without the words of what was cut out of it.

    Args:
        folder: the recordings' folder.
        recording_id: the old recording, whose transcript is only read.
        opened_us: when it was opened.
        new_id: the redacted copy.
        layout: the copy's.

    Returns:
        The new file; None where the old one has no transcript.

    Raises:
        TranscriptFileError: the old one can't be read.
        OSError: the new one can't be written.
    """
    old = read(transcript_path(folder, recording_id, opened_us))
    if old is None:
        return None
    stretches = stretches_without_cuts(layout.spans)
    cuts = [
        GapMark(span.begin_us, span.end_us, (SpanKind.REDACTED.value,))
        for span in layout.spans
        if span.kind is SpanKind.REDACTED
    ]
    path = transcript_path(folder, new_id, opened_us)
    _replace(
        path,
        replace(
            old,
            recording_id=new_id,
            utterances=tuple(piece for one in old.utterances for piece in gate(one, stretches)),
            gaps=tuple(sorted({*old.gaps, *cuts}, key=lambda gap: gap.begin_us)),
            layout=layout,
            is_closed=True,
            redacts=recording_id,
        ),
    )
    return path


def _replace(path: Path, transcript: Transcript) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(map(_line, _lines(transcript)))
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def read(path: Path) -> Transcript | None:
    """Read a transcript's file; None where there is none.

    A last line that was cut short is left out, and so is an empty one.

    Raises:
        TranscriptFileError: it isn't one, or is of a later version.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TranscriptFileError(f"{path.name} can't be read: {error.strerror}") from None
    if not any(lines):
        return None
    head: Mapping[str, object] = {}
    utterances, gaps, closed = [], [], None
    for number, raw in enumerate(lines, 1):
        try:
            line = json.loads(raw) if raw else {"kind": "nothing"}
            if number == 1:
                head = _checked_head(line)
            elif line["kind"] == "utterance":
                utterances.append(_utterance_from_json(line))
            elif line["kind"] == "gap":
                gaps.append(_gap_from_json(line))
            elif line["kind"] == "closed":
                closed = line
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # A crash cut a line short; what was written after it stands on lines of its own.
            if number == 1:
                raise TranscriptFileError(f"{path.name} is no transcript of turnrec's") from None
            logger.warning("%s: line %d can't be read and is left out", path.name, number)
    try:
        return _transcript(head, utterances, gaps, closed)
    except (ValueError, KeyError, TypeError, SpanMapError):
        raise TranscriptFileError(f"{path.name}: its head or its end makes no sense") from None


def _transcript(
    head: Mapping[str, object],
    utterances: Sequence[Utterance],
    gaps: Sequence[GapMark],
    closed: Mapping[str, object] | None,
) -> Transcript:
    layout = None
    if closed is not None and closed.get("spans"):
        layout = layout_from_json(closed["spans"], closed["rate_hz"], closed["behavior"])
    return Transcript(
        recording_id=_text(head, "recording"),
        call_id=_text(head, "call"),
        opened_us=_instant(head, "opened_us"),
        utterances=tuple(utterances),
        gaps=tuple(gaps),
        layout=layout,
        is_closed=closed is not None,
        dropped=0 if closed is None else _instant(closed, "dropped"),
        redacts=_text(head, "redacts") if "redacts" in head else None,
    )


def _layout(closed: ClosedRecording) -> Layout | None:
    detail = closed.detail
    try:
        return layout_from_json(detail.get("spans"), detail.get("rate_hz"), detail.get("behavior"))
    except SpanMapError:
        return None


# ------------------------------------------------------------------ lines


def _line(value: Mapping[str, JSON]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _lines(transcript: Transcript) -> Iterator[Mapping[str, JSON]]:
    head = _head(transcript.recording_id, transcript.call_id, transcript.opened_us)
    yield head if transcript.redacts is None else {**head, "redacts": transcript.redacts}
    yield from map(_utterance_to_json, transcript.utterances)
    for gap in transcript.gaps:
        yield {
            "kind": "gap",
            "begin_us": gap.begin_us,
            "end_us": gap.end_us,
            "holds": list(gap.holds),
            "node": gap.node,
        }
    if transcript.is_closed:
        layout = transcript.layout
        yield {
            "kind": "closed",
            "dropped": transcript.dropped,
            "rate_hz": None if layout is None else layout.rate_hz,
            "behavior": None if layout is None else layout.behavior.value,
            "spans": None if layout is None else [span_to_json(span) for span in layout.spans],
        }


def _head(recording_id: str, call_id: str, opened_us: int) -> dict[str, JSON]:
    return {
        "kind": "transcript",
        "version": VERSION,
        "recording": recording_id,
        "call": call_id,
        "opened_us": opened_us,
    }


def _checked_head(line: Mapping[str, object]) -> Mapping[str, object]:
    if line.get("kind") != "transcript" or line.get("version") != VERSION:
        raise ValueError
    return line


def _utterance_to_json(utterance: Utterance) -> dict[str, JSON]:
    return {
        "kind": "utterance",
        "speaker": utterance.speaker.value,
        "begin_us": utterance.begin_us,
        "end_us": utterance.end_us,
        "cut": utterance.is_cut,
        "text": utterance.text,
        "words": [[word.text, word.begin_us, word.end_us] for word in utterance.words],
    }


def _utterance_from_json(line: Mapping[str, object]) -> Utterance:
    words = line["words"]
    if not isinstance(words, list):
        raise TypeError
    return Utterance(
        Speaker(_text(line, "speaker")),
        _text(line, "text"),
        _instant(line, "begin_us"),
        _instant(line, "end_us"),
        tuple(_word(*word) for word in words),
        is_cut=bool(line["cut"]),
    )


def _word(text: object, begin_us: object, end_us: object) -> Word:
    line = {"text": text, "begin_us": begin_us, "end_us": end_us}
    return Word(_text(line, "text"), _instant(line, "begin_us"), _instant(line, "end_us"))


def _gap_from_json(line: Mapping[str, object]) -> GapMark:
    holds, node = line["holds"], line.get("node")
    if not isinstance(holds, list):
        raise TypeError
    return GapMark(
        _instant(line, "begin_us"),
        _instant(line, "end_us"),
        tuple(_text({"hold": hold}, "hold") for hold in holds),
        None if node is None else _text(line, "node"),
    )


def _text(line: Mapping[str, object], key: str) -> str:
    value = line[key]
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # a lone surrogate couldn't be written again
    return value


def _instant(line: Mapping[str, object], key: str) -> int:
    value = line[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= INT64_MAX:
        raise TypeError
    return value
