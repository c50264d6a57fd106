"""Holds what is left in a redacted file against what it was made of, where that still lies there.

The original's file, its manifest, the parts: whichever is there and is what the ledger says it is.
Where none is, it says what rests on the ledger alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from turnrec.recordings.manifest import Manifest, RedactedSpan, SegmentSpan
from turnrec.recordings.manifest_file import ManifestError, read_manifest
from turnrec.recordings.wav import Part, PartError, PartMissingError, Samples, read_part
from turnrec.verify.audio import Heard, count, name_of
from turnrec.verify.findings import Report
from turnrec.verify.redacted import Lineage, Step


@dataclass(frozen=True, slots=True)
class _Place:
    """Where files may lie."""

    folder: Path
    parts_dir: Path | None


def check_originals(
    report: Report,
    manifest: Manifest,
    heard: Heard,
    lineage: Lineage,
    folder: Path,
    parts_dir: Path | None,
) -> None:
    """Check that nothing but the cuts differs, as far as anything is there to tell.

    Args:
        report: what is found goes there.
        manifest: the redacted recording's.
        heard: what was found of its file.
        lineage: what it was made of.
        folder: where its file lies.
        parts_dir: a folder with parts, where they were kept.
    """
    file = heard.file
    if file is None or not lineage.is_redacted:
        return
    segments = [
        span
        for span in manifest.spans
        if isinstance(span, SegmentSpan)
        and span.part_samples
        and span.start_sample + span.samples <= file.samples
    ]
    for step in lineage.steps:
        if _compare_files(report, manifest, file, segments, step, folder):
            return
    rest = [span for span in segments if span.start_sample not in heard.rebuilt]
    rest = _without_those_in_manifests(report, manifest, rest, lineage, folder)
    rest = _without_those_in_parts(report, manifest, file, rest, parts_dir)
    if rest:
        _say_rest(report, manifest, rest, lineage)


def _compare_files(
    report: Report,
    manifest: Manifest,
    file: Part,
    segments: Sequence[SegmentSpan],
    step: Step,
    folder: Path,
) -> bool:
    """Compare with an older file, which is as long; whether there was one."""
    named = step.older_closed.entry.detail.get("file")
    try:
        older = read_part(folder / Path(str(named)).name)
    except PartMissingError:
        return False
    except PartError as error:
        report.unproven("original-differs", f"{step.older_id} can't be compared: {error.reason}")
        return True
    if older.sha256 != step.older_closed.entry.detail.get("sha256"):
        report.wrong(
            "original-differs",
            f"{older.path.name} lies there, and is not the file that entry"
            f" {step.older_closed.seq} closed",
        )
        return True
    is_same = True
    for span in segments:
        sample = _first_difference(
            file.blocks(span.start_sample, span.samples),
            older.blocks(span.start_sample, span.samples),
        )
        if sample is not None:
            is_same = False
            report.wrong(
                "piece-differs",
                f"{name_of(span, manifest)}: sample {span.start_sample + sample} is not the one of"
                f" {older.path.name}, from which it was not cut out",
            )
    if is_same:
        cuts = [span for span in manifest.spans if isinstance(span, RedactedSpan)]
        loud = sum(any(block.any() for block in _of(older, span)) for span in cuts)
        report.proven.append(
            f"outside of its cuts the file is, sample by sample, {older.path.name}, the file that"
            f" entry {step.older_closed.seq} closed; of what was cut out, {loud} of"
            f" {count(len(cuts), 'stretch', 'stretches')} can be heard there"
        )
    return True


def _of(older: Part, span: RedactedSpan) -> Iterator[Samples]:
    return older.blocks(span.start_sample, span.samples)


def _first_difference(ours: Iterator[Samples], theirs: Iterator[Samples]) -> int | None:
    position = 0
    for one, other in zip(ours, theirs, strict=True):
        if one.shape != other.shape:
            return position
        differs = one != other
        if differs.any():
            return position + int(differs.reshape(len(one), -1).any(axis=1).argmax())
        position += len(one)
    return None


def _without_those_in_manifests(
    report: Report,
    manifest: Manifest,
    segments: Sequence[SegmentSpan],
    lineage: Lineage,
    folder: Path,
) -> list[SegmentSpan]:
    """Those whose sound no older manifest names, of the manifests that the ledger names."""
    rest = list(segments)
    for step in lineage.steps:
        try:
            older, sha256 = read_manifest(folder / f"{step.older_id}.json")
        except ManifestError:
            continue
        if sha256 != step.older_closed.entry.detail.get("manifest_sha256"):
            continue
        sounds = {
            (span.start_sample, span.part_samples): span.audio_sha256
            for span in older.spans
            if isinstance(span, SegmentSpan)
        }
        for span in list(rest):
            said = sounds.get((span.start_sample, span.part_samples))
            if said is None:
                continue
            rest.remove(span)
            if said != span.audio_sha256:
                report.wrong(
                    "piece-differs",
                    f"{name_of(span, manifest)} is not the sound that the manifest of"
                    f" {step.older_id} names",
                )
    if held := len(segments) - len(rest):
        report.proven.append(
            f"{count(held, 'segment')} that nothing was cut out of are as an older manifest, which"
            " the ledger names, has them"
        )
    return rest


def _without_those_in_parts(
    report: Report,
    manifest: Manifest,
    file: Part,
    segments: Sequence[SegmentSpan],
    parts_dir: Path | None,
) -> list[SegmentSpan]:
    """Those whose part was not kept."""
    hashes = {part.name: part.sha256 for part in manifest.parts}
    rest: list[SegmentSpan] = []
    for span in segments:
        part = _kept(parts_dir, span.part, hashes)
        if part is None:
            rest.append(span)
            continue
        ours = file.blocks(span.start_sample, span.part_samples)
        theirs = part.blocks(span.part_start_sample, span.part_samples)
        sample = _first_difference(ours, theirs)
        if sample is not None:
            report.wrong(
                "piece-differs",
                f"{name_of(span, manifest)}: sample {span.start_sample + sample} is not the one of"
                f" part {span.part}, from which it was not cut out",
            )
    if held := len(segments) - len(rest):
        report.proven.append(
            f"{count(held, 'piece')} of segments are, sample by sample, of the parts that Asterisk"
            " wrote and that were kept"
        )
    return rest


def _kept(parts_dir: Path | None, name: str, hashes: dict[str, str]) -> Part | None:
    if parts_dir is None:
        return None
    try:
        part = read_part(parts_dir / Path(name).name)
    except PartError:
        return None
    return part if part.sha256 == hashes.get(name) else None


def _say_rest(
    report: Report, manifest: Manifest, rest: Sequence[SegmentSpan], lineage: Lineage
) -> None:
    names = ", ".join(dict.fromkeys(name_of(span, manifest) for span in rest))
    gone = []
    for step in lineage.steps:
        if step.deleted is None:
            gone.append(f"{step.older_id} is not here to be compared")
        else:
            reason = step.deleted.entry.detail.get("reason")
            gone.append(
                f"{step.older_id} was deleted afterwards (entry {step.deleted.seq}: {reason})"
            )
    entries = " and ".join(str(step.redacted.seq) for step in lineage.steps)
    what = "entry" if len(lineage.steps) == 1 else "entries"
    report.not_proven.append(
        f"that what is left of {names} is its sound as it was recorded rests on the ledger alone,"
        f" where {what} {entries} say{'s' * (len(lineage.steps) == 1)} that the files were compared"
        f" when it was cut: {'; '.join(gone)}"
    )
