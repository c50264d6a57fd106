"""Holds a joined file against its manifest, to the sample; it knows no ledger.

Memory doesn't grow with the length: sound is read block by block.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from turnrec.core.policy import PauseBehavior, PauseMethod
from turnrec.core.timeline import CLOCK_SKEW_PPM, MARGIN_US, TOLERANCE_US
from turnrec.recordings.manifest import (
    Audio,
    GapSpan,
    Manifest,
    PartFacts,
    RedactedSpan,
    SegmentSpan,
    ShortfallSpan,
)
from turnrec.recordings.manifest_make import part_header
from turnrec.recordings.wav import (
    Part,
    PartEmptyError,
    PartError,
    PartForeignError,
    PartMissingError,
    PartUnreadableError,
    read_part,
)
from turnrec.verify.findings import Report

_PLACES: Final[dict[type[PartError], str]] = {
    PartMissingError: "audio-missing",
    PartEmptyError: "audio-empty",
    PartForeignError: "audio-foreign",
    PartUnreadableError: "audio-unreadable",
}
Stretch = SegmentSpan | ShortfallSpan | RedactedSpan | GapSpan


@dataclass(frozen=True, slots=True)
class Heard:
    """What was found of a recording's file."""

    file: Part | None = None
    """None: there is none that could be looked at span by span."""
    rebuilt: frozenset[int] = frozenset()
    """The first samples of the segments that are, to the byte, the part that Asterisk wrote."""


def check_audio(report: Report, manifest: Manifest, folder: Path, parts_dir: Path | None) -> Heard:
    """Check the file that the manifest names, in `folder`, and the parts where they were kept."""
    check_spans(report, manifest)
    _check_kept_parts(report, manifest, parts_dir)
    audio = manifest.audio
    if audio is None:
        stray = folder / f"{manifest.recording.id}.wav"
        if stray.exists():
            report.wrong("audio-length", f"{stray.name} is there, and the manifest says of none")
        else:
            report.proven.append("nothing audible was recorded, and there is no file")
        return Heard()
    # By its last name only: a manifest may come from anybody, and leads nowhere else.
    file = _read(report, folder / Path(audio.file).name)
    if file is None or not _is_the_file(report, audio, file):
        return Heard()
    return Heard(file, _check_sound(report, manifest, file))


def check_spans(report: Report, manifest: Manifest) -> None:
    """Check that segments and gaps follow one another, from the beginning to the end."""
    samples = 0 if manifest.audio is None else manifest.audio.samples
    rate_hz = 8000 if manifest.audio is None else manifest.audio.rate_hz
    one_sample_us = 1_000_000 // rate_hz + 1
    spans, recording = manifest.spans, manifest.recording
    keeps_time = recording.behavior is PauseBehavior.SILENCE
    position, moment = 0, recording.opened
    for span in spans:
        name = name_of(span, manifest)
        if manifest.audio is not None and span.start_sample != position:
            report.wrong(
                "spans-broken",
                f"{name} begins at sample {span.start_sample}, and not at {position}",
            )
        if span.end.us < span.begin.us:
            report.wrong("spans-broken", f"{name} ends before it begins")
        lead_us = MARGIN_US if recording.method is PauseMethod.MUTE else 0
        if abs(span.begin.us - moment.us) > one_sample_us + lead_us:
            report.wrong(
                "spans-broken",
                f"{name} begins at {span.begin.utc}, what is before it ends at {moment.utc}",
            )
        length_us = span.samples * 1_000_000 // rate_hz
        if (keeps_time or span.kind == "segment") and abs(
            length_us - (span.end.us - span.begin.us)
        ) > 2 * one_sample_us:
            report.wrong(
                "spans-broken", f"{name} has {span.samples} samples, which is not its time"
            )
        position, moment = span.start_sample + span.samples, span.end
    if spans and moment.us < recording.closed.us - one_sample_us:
        report.wrong("spans-broken", f"nothing is said of the time after {moment.utc}")
    if manifest.audio is not None and position != samples:
        report.wrong("spans-broken", f"the spans are {position} samples long, the file {samples}")
    _check_segments(report, manifest, rate_hz)


def name_of(span: Stretch, manifest: Manifest) -> str:
    """How sentences call a span."""
    if isinstance(span, RedactedSpan):
        return f"the cut in segment {span.segment}"
    if not isinstance(span, GapSpan):
        return f"{span.kind} {span.segment}"
    gaps = [one for one in manifest.spans if isinstance(one, GapSpan)]
    why = span.node or "+".join(span.sources) or "seam"
    return f"gap {gaps.index(span) + 1} ({why})"


def _check_segments(report: Report, manifest: Manifest, rate_hz: int) -> None:
    """Each segment lies in its monitor's time, and takes no more of its part than there is.

    What an earlier one has taken isn't there for a later one.
    """
    parts = {part.name: part for part in manifest.parts}
    taken: dict[str, int] = {}
    is_muted = manifest.recording.method is PauseMethod.MUTE
    for span in manifest.spans:
        if not isinstance(span, SegmentSpan):
            continue
        name, part = name_of(span, manifest), parts.get(span.part)
        if span.part_samples > span.samples or (
            span.part_samples
            and (part is None or span.part_start_sample + span.part_samples > part.samples)
        ):
            report.wrong("spans-broken", f"{name} takes more sound than part {span.part} has")
        if span.part_samples:
            if span.part_start_sample < taken.get(span.part, 0):
                report.wrong("spans-broken", f"{name} takes sound of {span.part} that is taken")
            taken[span.part] = span.part_start_sample + span.part_samples
        if span.start is None or span.stop is None:
            continue
        early_us = MARGIN_US if is_muted else 0
        late_us = tolerance_us(span.stop.acknowledged.us - span.start.acknowledged.us)
        if span.begin.us < span.start.acknowledged.us - early_us - 250 or (
            span.end.us > span.stop.acknowledged.us + late_us + 250
        ):
            report.wrong(
                "segment-times",
                f"{name} reaches from {span.begin.utc} to {span.end.utc}; its monitor ran from"
                f" {span.start.acknowledged.utc} to {span.stop.acknowledged.utc}",
            )
        if part is not None and not is_muted:
            _check_length(report, span, part, rate_hz)


def _check_length(report: Report, span: SegmentSpan, part: PartFacts, rate_hz: int) -> None:
    if span.start is None or span.stop is None:
        return
    ran_us = span.stop.acknowledged.us - span.start.asked.us
    held_us = part.samples * 1_000_000 // rate_hz
    if held_us > ran_us + tolerance_us(ran_us):
        report.wrong(
            "part-too-long",
            f"part {part.name} holds {held_us / 1e6:.3f} s, its monitor ran {ran_us / 1e6:.3f} s",
        )


def tolerance_us(length_us: int) -> int:
    """How far a part's clock may be from the call's, as joining allows it."""
    return TOLERANCE_US + max(0, length_us) * CLOCK_SKEW_PPM // 1_000_000


# ------------------------------------------------------------------ the file


def _read(report: Report, path: Path) -> Part | None:
    try:
        return read_part(path)
    except PartError as error:
        finding = next((_PLACES[kind] for kind in type(error).__mro__ if kind in _PLACES), None)
        say = report.unproven if finding == "audio-unreadable" else report.wrong
        say(finding or "audio-foreign", f"{path.name}: {error.reason}")
        return None


def _is_the_file(report: Report, audio: Audio, file: Part) -> bool:
    """Whether the sound can be looked at span by span."""
    if file.mended:
        report.wrong(
            "audio-truncated", f"{audio.file} has not as many bytes as its own header says"
        )
    is_same = file.sha256 == audio.sha256
    if not is_same:
        report.wrong(
            "audio-hash", f"{audio.file} has SHA-256 {file.sha256}, the manifest {audio.sha256}"
        )
    found = (file.samples, file.rate_hz, file.channels, file.bytes)
    said = (audio.samples, audio.rate_hz, audio.channels, audio.bytes)
    if found != said:
        report.wrong(
            "audio-length",
            f"{audio.file} has {found[0]} samples at {found[1]} Hz, {found[2]} channel(s) and"
            f" {found[3]} bytes; the manifest says {said[0]}, {said[1]}, {said[2]} and {said[3]}",
        )
        return False
    if is_same:
        report.proven.append(
            f"{audio.file} is the file that the manifest describes:"
            f" {audio.samples / audio.rate_hz:.3f} s, SHA-256 {audio.sha256}"
        )
    return True


def _check_sound(report: Report, manifest: Manifest, file: Part) -> frozenset[int]:
    said = {
        span.audio_sha256: span.segment
        for span in manifest.spans
        if isinstance(span, SegmentSpan) and span.audio_sha256 is not None
    }
    parts = {part.name: part for part in manifest.parts}
    silent = cut = sounding = 0
    rebuilt: set[int] = set()
    for span in manifest.spans:
        name = name_of(span, manifest)
        if span.start_sample + span.samples > file.samples:
            continue  # said already: the spans are broken
        audible = span.part_samples if isinstance(span, SegmentSpan) else 0
        audible = min(audible, span.samples)
        if isinstance(span, SegmentSpan) and audible:
            part = parts.get(span.part)
            sound, whole = _hashes(file, span, audible)
            sounding += 1
            if sound != span.audio_sha256:
                other = said.get(sound)
                if other is not None and other != span.segment:
                    report.wrong("segment-swapped", f"where {name} belongs lies segment {other}")
                else:
                    report.wrong("segment-audio", f"{name} is not the sound that was recorded")
            if part is not None and part.rebuildable:
                if whole == part.sha256:
                    rebuilt.add(span.start_sample)
                else:
                    report.wrong(
                        "part-differs",
                        f"{name} is not the sound of {part.name} as Asterisk left it",
                    )
        loud = _first_sound(file, span.start_sample + audible, span.samples - audible)
        if loud is not None:
            kind = "padding" if span.kind == "segment" else span.kind
            at_s = (loud - span.start_sample) / file.rate_hz
            report.wrong(
                f"{kind}-not-silent", f"{name}: sample {loud} sounds, {at_s:.3f} s after its begin"
            )
        elif span.samples:
            silent += isinstance(span, GapSpan)
            cut += isinstance(span, RedactedSpan)
    if not report.findings:
        if silent:
            report.proven.append(
                f"{count(silent, 'gap')} of the file {_hold(silent)} silence alone"
            )
        if cut:
            report.proven.append(f"{count(cut, 'cut')} of the file {_hold(cut)} silence alone")
        made = "joined" if manifest.redacts is None else "redacted"
        report.proven.append(
            f"{count(sounding, 'segment')} of the file hold the sound that was hashed when it was"
            f" {made}; {len(rebuilt)} of them are, to the byte, the part that Asterisk wrote"
        )
    return frozenset(rebuilt)


def _hold(number: int) -> str:
    return "holds digital" if number == 1 else "hold digital"


def count(number: int, what: str, many: str | None = None) -> str:
    """So many of something, for a sentence."""
    return f"{number} {what if number == 1 else many or what + 's'}"


def _hashes(file: Part, span: SegmentSpan, audible: int) -> tuple[str, str]:
    """Of a segment's sound as it lies in the file, and of a part's file that would hold it."""
    sound = hashlib.sha256()
    whole = hashlib.sha256(part_header(file.rate_hz, audible))
    for block in file.blocks(span.start_sample, audible):
        data = block.astype("<i2", copy=False).tobytes()
        sound.update(data)
        whole.update(data)
    return sound.hexdigest(), whole.hexdigest()


def _first_sound(file: Part, start: int, count: int) -> int | None:
    """The first sample that isn't zero."""
    position = start
    for block in file.blocks(start, count):
        if block.any():
            return position + int(np.flatnonzero(block.reshape(len(block), -1).any(axis=1))[0])
        position += len(block)
    return None


# ------------------------------------------------------------------ the parts


def _check_kept_parts(report: Report, manifest: Manifest, parts_dir: Path | None) -> None:
    if parts_dir is None:
        return
    same = 0
    for said in manifest.parts:
        try:
            part = read_part(parts_dir / Path(said.name).name)
        except PartMissingError:
            continue
        except PartError as error:
            report.wrong("kept-part-differs", str(error))
            continue
        found = (part.sha256, part.samples, part.bytes)
        if found == (said.sha256, said.samples, said.bytes):
            same += 1
        else:
            report.wrong("kept-part-differs", f"part {said.name} is not the one that was joined")
    if same:
        report.proven.append(f"{count(same, 'part')} that Asterisk wrote lie there unchanged")
