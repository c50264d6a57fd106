"""Makes one checked file of a recording's parts; it never touches a part, and knows no Asterisk.

`join` writes under a hidden name, reads back what it wrote and compares it with the parts sample by
sample. Only then does the file get its name: a `Joined` with a path is one that was verified. A
call that was paused throughout gets no file: one of silence alone proves nothing and looks like a
recording. Everything here blocks; run it in a thread, after every monitor has ended.
"""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from turnrec.core.anchors import LEAST_SILENCE_US, Silences
from turnrec.core.monitor import name_part, side_parts
from turnrec.core.policy import PauseBehavior, PauseMethod
from turnrec.core.timeline import (
    MARGIN_US,
    TOLERANCE_US,
    Gap,
    Layout,
    Segment,
    Span,
    SpanKind,
    Zeros,
    lay_out,
)
from turnrec.recordings.wav import Part, PartError, PartFormatError, Samples, read_part
from turnrec.recordings.wav_writer import RecordingError, WavWriter

RECORDING_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PART: Final = re.compile(RECORDING_ID.pattern + r"-[0-9]{3,9}\.wav")
_PART_ENDING: Final = re.compile(r"-[0-9]{3,9}\.wav")
_TARGET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}\.wav")


class UnsafeNameError(RecordingError):
    """A name that could lead out of its folder. It is not repeated: it may hold anything."""

    id = "unsafe-name"


class RecordingNotVerifiedError(RecordingError):
    """What was written is not what the parts and the layout say. The parts are untouched."""

    id = "recording-not-verified"


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """What to join, and where."""

    recording_id: str
    spool: Path
    """Where Asterisk left the parts."""
    target: Path
    """The file to make, in a folder that is there and is turnrec's own."""
    opened_us: int
    closed_us: int
    segments: tuple[Segment, ...]
    gaps: tuple[Gap, ...] = ()
    behavior: PauseBehavior = PauseBehavior.SILENCE
    method: PauseMethod = PauseMethod.SEGMENT
    rate_hz: int = 8000
    parts: int = 0
    """How many parts were named; those of the segments are known without it."""
    unwatched_parts: frozenset[str] = frozenset()
    """Parts whose silences needn't be our mutes (`FinishedRecording`)."""


@dataclass(frozen=True, slots=True)
class JoinedPart:
    """A part as it was read; the hash is of the file as Asterisk left it."""

    name: str
    sha256: str
    bytes: int
    samples: int
    mended: bool


class JoinStatus(enum.StrEnum):
    """Whether there is a file."""

    WRITTEN = "written"
    NO_AUDIO = "no_audio"
    """Nothing audible: paused throughout, or no part gave any audio (then `problems` says so)."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of it. Without audio there is no file: `path` and `sha256` are None."""

    path: Path | None
    sha256: str | None
    layout: Layout
    parts: tuple[JoinedPart, ...] = ()
    problems: tuple[str, ...] = ()
    """What went wrong with the parts, in plain sentences."""

    @property
    def status(self) -> JoinStatus:
        """Whether there is a file."""
        return JoinStatus.NO_AUDIO if self.path is None else JoinStatus.WRITTEN

    @property
    def samples(self) -> int:
        """The file's length; 0 without one."""
        return 0 if self.path is None else self.layout.samples

    @property
    def rate_hz(self) -> int:
        """The file's samples in a second."""
        return self.layout.rate_hz

    @property
    def spans(self) -> tuple[Span, ...]:
        """What lies where in the file."""
        return self.layout.spans


def join(plan: JoinPlan) -> Joined:
    """Join a recording's parts into one file and verify it.

    A part that cannot be read costs its own stretch only: that becomes a shortfall, and a problem.

    Raises:
        RecordingError: no file was made; its subclass and id say why.
        PartError: a part changed while it was being joined.
        TimelineError: the segments and gaps contradict each other.
    """
    _check_names(plan)
    parts, problems = _read_parts(plan)
    silences = _silences(plan, parts)
    layout = _lay_out(plan, parts, silences)
    if plan.method is PauseMethod.MUTE:
        layout = _lay_out(plan, parts, silences, _zeros(layout, parts))
        problems += _displaced(layout)
    problems += _problems_of(layout, parts)
    problems += _strays(plan)
    path, sha256 = None, None
    if layout.audible_samples:
        path, sha256 = plan.target, _write(plan.target, layout, parts)
    return Joined(
        path=path,
        sha256=sha256,
        layout=layout,
        parts=tuple(
            JoinedPart(name, part.sha256, part.bytes, part.samples, part.mended)
            for name, part in parts.items()
        ),
        problems=tuple(problems),
    )


def discard_parts(joined: Joined, spool: Path) -> tuple[str, ...]:
    """Delete the parts of a verified file; return the names of those deleted.

    Before anything is deleted the file is hashed once more, and so is each part: one that has
    changed since is kept. Parts that could not be read are kept, for whoever can. Where no file
    was made, only parts without any audio go.

    Raises:
        RecordingNotVerifiedError: the file is no longer the one that was verified.
        UnsafeNameError: a part's name could lead out of the spool.
    """
    if not all(_PART.fullmatch(part.name) for part in joined.parts):
        raise UnsafeNameError("a part to discard is not named like one")
    if joined.path is not None:
        try:
            intact = read_part(joined.path).sha256 == joined.sha256
        except PartError:
            intact = False
        if not intact:
            raise RecordingNotVerifiedError(f"{joined.path.name} is not the file that was verified")
    deleted = []
    for part in joined.parts:
        path = spool / part.name
        try:
            unchanged = read_part(path).sha256 == part.sha256
        except PartError:
            continue
        if unchanged and (joined.path is not None or part.samples == 0):
            path.unlink()
            deleted.append(part.name)
    return tuple(deleted)


# ------------------------------------------------------------------ before


def _is_part_of(recording_id: str, name: str) -> bool:
    """Whether a file is named as a part of this recording."""
    is_ours = name.startswith(recording_id)
    return is_ours and _PART_ENDING.fullmatch(name, len(recording_id)) is not None


def _check_names(plan: JoinPlan) -> None:
    if RECORDING_ID.fullmatch(plan.recording_id) is None:
        raise UnsafeNameError("the recording id may have letters, digits, '_' and '-' only")
    for segment in plan.segments:
        if not _is_part_of(plan.recording_id, segment.part):
            raise UnsafeNameError(
                f"the part of segment {segment.number} is not named {plan.recording_id}-NNN.wav"
            )
    if _TARGET.fullmatch(plan.target.name) is None or ".." in plan.target.parts:
        raise UnsafeNameError("the target is no plain path to a .wav file")


def _read_parts(plan: JoinPlan) -> tuple[dict[str, Part], list[str]]:
    parts: dict[str, Part] = {}
    problems: list[str] = []
    for name in dict.fromkeys(segment.part for segment in plan.segments):
        try:
            part = read_part(plan.spool / name)
            if (part.rate_hz, part.channels) != (plan.rate_hz, 1):
                raise PartFormatError(
                    part.path,
                    f"it has {part.channels} channel(s) at {part.rate_hz} Hz, the recording has"
                    f" 1 at {plan.rate_hz} Hz",
                )
        except PartError as error:
            problems.append(f"{error}; its stretch is silence")
            continue
        if part.mended:
            problems.append(
                f"part {name}: its header did not give its size, as after a crash of Asterisk;"
                f" all {part.samples} samples on the disk were taken"
            )
        parts[name] = part
    return parts, problems


def _lay_out(
    plan: JoinPlan,
    parts: Mapping[str, Part],
    silences: Silences,
    zeros: Mapping[int, Zeros] | None = None,
) -> Layout:
    return lay_out(
        opened_us=plan.opened_us,
        closed_us=plan.closed_us,
        segments=plan.segments,
        gaps=plan.gaps,
        part_samples={
            segment.part: parts[segment.part].samples if segment.part in parts else 0
            for segment in plan.segments
        },
        rate_hz=plan.rate_hz,
        behavior=plan.behavior,
        method=plan.method,
        silences=silences,
        zeros=zeros,
    )


def _silences(plan: JoinPlan, parts: Mapping[str, Part]) -> Silences:
    """Where each shared part holds nothing but zeros, for as long as a mute may have been."""
    names = Counter(segment.part for segment in plan.segments)
    readable = parts.keys() - plan.unwatched_parts
    shared = [name for name, times in names.items() if times > 1 and name in readable]
    least = plan.rate_hz * LEAST_SILENCE_US // 1_000_000
    return {name: tuple(_runs_of_zeros(parts[name], least)) for name in shared}


def _runs_of_zeros(part: Part, least: int) -> Iterator[range]:
    """The runs of at least so many zeros, in order, block by block."""
    began: int | None = None
    at = 0
    for block in part.blocks():
        is_zero = np.concatenate(([began is not None], block == 0))
        edges = np.flatnonzero(is_zero[1:] != is_zero[:-1])
        for edge in (edges + at).tolist():
            if began is None:
                began = edge
                continue
            if edge - began >= least:
                yield range(began, edge)
            began = None
        at += len(block)
    if began is not None and at - began >= least:
        yield range(began, at)


def _zeros(layout: Layout, parts: Mapping[str, Part]) -> dict[int, Zeros]:
    """Count the zeros at a muted part's edges, as far as they can tell where the mute was."""
    most = (MARGIN_US + TOLERANCE_US) * layout.rate_hz // 1_000_000 + 1
    found = {}
    for span in layout.spans:
        if span.segment is None or span.part is None or not span.part_samples:
            continue
        count = min(most, span.part_samples)
        last = span.part_start_sample + span.part_samples - count
        head, tail = (
            np.concatenate(list(parts[span.part].blocks(start, count)))
            for start in (span.part_start_sample, last)
        )
        found[span.segment] = Zeros(_leading_zeros(head), _leading_zeros(tail[::-1]))
    return found


def _leading_zeros(samples: Samples) -> int:
    sounds = samples != 0
    return int(sounds.argmax()) if sounds.any() else len(samples)


def _displaced(layout: Layout) -> Iterator[str]:
    """Parts of method mute that aren't as long as their monitor ran, and no mute tells where."""
    for part, stray_us in layout.strays_us.items():
        if stray_us > TOLERANCE_US and part not in layout.anchored:
            yield (
                f"part {part}: {stray_us / 1_000_000:.3f} s lie between its length and its"
                " monitor's time (no audio arrived, or it was lost); nothing tells where, so its"
                " segments may be that much out of place, or miss as much"
            )


def _problems_of(layout: Layout, parts: Mapping[str, Part]) -> Iterator[str]:
    for span in layout.spans:
        seconds = (span.end_us - span.begin_us) / 1_000_000
        if span.kind is SpanKind.SHORTFALL and span.part in parts:
            yield (
                f"segment {span.segment}: {seconds:.3f} s are not in part {span.part}"
                " (no audio arrived, or it was lost)"
            )
        excess_s = span.excess_samples / layout.rate_hz
        if excess_s * 1_000_000 > TOLERANCE_US:
            yield (
                f"segment {span.segment}: part {span.part} goes on for {excess_s:.3f} s after"
                " its end; they were left out, as they may belong to a pause"
            )


def _strays(plan: JoinPlan) -> Iterator[str]:
    """Parts that no segment names: a start that seemed to fail may have recorded a pause."""
    parts = {segment.part for segment in plan.segments}
    named = parts.union(*(side_parts(part) for part in parts))
    # Not by listing the spool: with many calls under way, each would look at all of them.
    for number in range(1, plan.parts + 1):
        part = name_part(plan.recording_id, number)
        for name in sorted({part, *side_parts(part)} - named):
            if (plan.spool / name).exists():
                yield (
                    f"part {name} belongs to no segment; it was left out and is still in the spool"
                )


# ------------------------------------------------------------------ writing and checking


def _write(target: Path, layout: Layout, parts: Mapping[str, Part]) -> str:
    with WavWriter(target, layout.rate_hz) as writer:
        for span in layout.spans:
            if span.part_samples and span.part is not None:
                for block in parts[span.part].blocks(span.part_start_sample, span.part_samples):
                    writer.write(block)
            writer.write_silence(span.samples - span.part_samples)
        writer.seal()
        sha256 = verify(writer.path, layout, parts)
        writer.publish()
    return sha256


def verify(path: Path, layout: Layout, parts: Mapping[str, Part]) -> str:
    """Compare what lies on the disk with the layout and the parts; return the file's hash.

    Raises:
        RecordingNotVerifiedError: they differ, by as little as a sample.
        PartError: a part is no longer there.
    """
    try:
        file = read_part(path)
    except PartError as error:
        raise RecordingNotVerifiedError(f"what was written is no WAV: {error.reason}") from error
    if (file.samples, file.rate_hz, file.mended) != (layout.samples, layout.rate_hz, False):
        raise RecordingNotVerifiedError(
            f"{file.samples} samples at {file.rate_hz} Hz were written,"
            f" not {layout.samples} at {layout.rate_hz} Hz"
        )
    for span in layout.spans:
        if span.part_samples and span.part is not None:
            written = file.blocks(span.start_sample, span.part_samples)
            heard = parts[span.part].blocks(span.part_start_sample, span.part_samples)
            for ours, theirs in zip(written, heard, strict=True):
                if (ours != theirs).any():
                    raise RecordingNotVerifiedError(
                        f"segment {span.segment} is not what part {span.part} holds"
                    )
        silent_from = span.start_sample + span.part_samples
        for block in file.blocks(silent_from, span.samples - span.part_samples):
            if block.any():
                raise RecordingNotVerifiedError(
                    f"the {span.kind} at sample {silent_from} is not silent"
                )
    for name, part in parts.items():
        if read_part(part.path) != part:
            raise RecordingNotVerifiedError(f"part {name} changed while it was being joined")
    return file.sha256
