"""Checks one recording: manifest, sound, and what the ledger says of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from turnrec.core.entry import EntryKind
from turnrec.core.policy import PauseMethod
from turnrec.core.timeline import Layout, Span, SpanKind
from turnrec.recordings.manifest import GapSpan, Manifest, SegmentSpan
from turnrec.recordings.manifest_file import (
    ManifestError,
    ManifestMissingError,
    ManifestVersionError,
    read_manifest,
)
from turnrec.recordings.manifest_history import History, Numbered, read_history
from turnrec.verify.audio import check_audio, name_of
from turnrec.verify.entries import closing, entries_of, method_of, numbered, spans_of
from turnrec.verify.findings import Report
from turnrec.verify.ledgers import CheckedLedger
from turnrec.verify.order import OrderFound, check_order
from turnrec.verify.originals import check_originals
from turnrec.verify.redacted import Lineage, follow, say_redactions
from turnrec.verify.stereo import check_stereo

_UNPROVEN: Final = frozenset({ManifestVersionError, ManifestMissingError})
LIMITS: Final = (
    "that Asterisk did what it answered, and that turnrec's server wrote what it saw, rests on"
    " that machine; what was recorded by anything that is no MixMonitor (ARI, snoops, Record, a"
    " carrier) is seen by no turnrec"
)
_MOST_DIFFERENCES: Final = 10


@dataclass(frozen=True, slots=True)
class Loaded:
    """A recording's manifest as it was found, or why there is none."""

    path: Path
    """The manifest's, be it there or not."""
    manifest: Manifest | None
    sha256: str
    report: Report


def load(path: Path) -> Loaded:
    """Read the manifest of a recording, named by its file or its manifest."""
    manifest_path = path.with_suffix(".json")
    report = Report(manifest_path.stem)
    try:
        manifest, sha256 = read_manifest(manifest_path)
    except ManifestError as error:
        say = report.unproven if type(error) in _UNPROVEN else report.wrong
        say(error.id, str(error))
        return Loaded(manifest_path, None, "", report)
    if manifest.recording.id != manifest_path.stem:
        report.wrong(
            "manifest-misplaced",
            f"{manifest_path.name} is the manifest of recording {manifest.recording.id}",
        )
    return Loaded(manifest_path, manifest, sha256, report)


def layout_of_manifest(manifest: Manifest) -> Layout | None:
    """A manifest's spans as a file's layout; None where there is no file."""
    audio = manifest.audio
    if audio is None:
        return None
    spans = tuple(
        Span(
            SpanKind(span.kind),
            span.start_sample,
            span.samples,
            span.begin.us,
            span.end.us,
            segment=None if isinstance(span, GapSpan) else span.segment,
            part=None if isinstance(span, GapSpan) else span.part,
            part_start_sample=span.part_start_sample if isinstance(span, SegmentSpan) else 0,
            part_samples=span.part_samples if isinstance(span, SegmentSpan) else 0,
            excess_samples=span.excess_samples if isinstance(span, SegmentSpan) else 0,
            sources=tuple(span.sources) if isinstance(span, GapSpan) else (),
            node=span.node if isinstance(span, GapSpan) else None,
            uncertainty_us=span.uncertainty_us,
        )
        for span in manifest.spans
    )
    return Layout(audio.rate_hz, manifest.recording.behavior, spans, audio.samples)


def check_recording(loaded: Loaded, ledger: CheckedLedger | None, parts_dir: Path | None) -> Report:
    """Check a recording against its sound, its parts where they were kept, and the ledger."""
    report, manifest = loaded.report, loaded.manifest
    if manifest is None:
        if ledger is not None:
            _blame_for_missing(loaded, ledger)
        return report
    folder = loaded.path.parent
    heard = check_audio(report, manifest, folder, parts_dir)
    check_stereo(report, manifest, heard, folder)
    report.not_proven += [
        f"that all is there that was said: {problem}" for problem in manifest.recording.problems
    ]
    if ledger is None:
        report.unproven(
            "ledger-not-given",
            "no ledger that can be read was given: the file may be the manifest's, but nothing"
            " shows that nothing was recorded in its gaps",
        )
        return report
    lineage = check_against(report, loaded, manifest, ledger)
    if lineage is not None:
        check_originals(report, manifest, heard, lineage, folder, parts_dir)
    report.not_proven.append(LIMITS)
    return report


def check_ledger_only(recording_id: str, ledger: CheckedLedger) -> Report:
    """Check the order of one recording's entries, without any file."""
    report = Report(recording_id)
    check_entries(report, recording_id, ledger)
    return report


def check_entries(report: Report, recording_id: str, ledger: CheckedLedger) -> None:
    """The same, into a report that there is already."""
    entries = entries_of(report, ledger, recording_id)
    closed = closing(entries)
    if closed is None:
        if any(one.entry.kind is EntryKind.RECORDING_OPENED for one in entries):
            report.not_proven.append("the recording is not closed yet")
        check_order(report, entries, (), PauseMethod.SEGMENT)
        return
    lineage = follow(report, ledger, recording_id, entries)
    if lineage is None:
        return
    say_redactions(report, lineage, closed)
    _check_origin(report, lineage, read_history(lineage.origin_entries, lineage.origin_id))
    _check_signed(report, ledger, closed.seq)


def _blame_for_missing(loaded: Loaded, ledger: CheckedLedger) -> None:
    """A manifest that the ledger names, and that can't be used, is more than not there."""
    found = closing(entries_of(loaded.report, ledger, loaded.path.stem))
    if found is not None and found.entry.detail.get("manifest") == loaded.path.name:
        loaded.report.wrong(
            "manifest-hash",
            f"entry {found.seq} names the manifest {loaded.path.name} by its hash, and no such"
            " one is there",
        )


# ------------------------------------------------------------------ against the ledger


def check_against(
    report: Report, loaded: Loaded, manifest: Manifest, ledger: CheckedLedger
) -> Lineage | None:
    """Hold a manifest against the ledger, and check the order that its gaps rest on.

    Returns:
        What the recording was made of; None where the ledger doesn't say.
    """
    if ledger.report.findings and not ledger.report.proven:
        report.unproven("ledger-error", "the ledger itself is broken: see there")
    said = manifest.ledger
    if said.id != ledger.id:
        report.wrong("ledger-other", "the manifest was made with another ledger than this one")
        return None
    recording_id = manifest.recording.id
    entries = entries_of(report, ledger, recording_id)
    if not entries:
        report.wrong("recording-unknown", f"the ledger knows no recording {recording_id}")
        return None
    found = ledger.hashes.get(said.head.seq)
    if found is None:
        report.wrong(
            "head-missing",
            f"the manifest was made at entry {said.head.seq}, the ledger ends at {ledger.head}",
        )
    elif found != said.head.hash:
        report.wrong(
            "head-differs", f"entry {said.head.seq} is not the one that the manifest was made at"
        )
    closed = closing(entries)
    if closed is None:
        report.wrong("recording-not-closed", "the ledger has no entry that closes the recording")
        return None
    _check_named(report, loaded, closed)
    lineage = follow(report, ledger, recording_id, entries)
    if lineage is None:
        return None
    call = numbered(report, ledger.ledger.of_call(manifest.call.id))
    _compare(report, manifest, closed, lineage, [one for one in call if one.seq <= said.head.seq])
    say_redactions(report, lineage, closed)
    _check_origin(report, lineage, read_history(call, lineage.origin_id))
    _check_signed(report, ledger, closed.seq)
    return lineage


def _check_origin(report: Report, lineage: Lineage, history: History) -> None:
    """Check the order of the recording that ran: a redacted copy has its gaps."""
    closed = lineage.origin_closed
    spans, method = spans_of(report, closed, history, {}), method_of(closed)
    order = check_order(report, lineage.origin_entries, spans, method)
    _say_order(report, order, method, lineage)


def _check_named(report: Report, loaded: Loaded, closed: Numbered) -> None:
    named = closed.entry.detail.get("manifest_sha256")
    if named is None:
        report.unproven(
            "manifest-not-entered", f"entry {closed.seq} closes the recording without a manifest"
        )
    elif named != loaded.sha256:
        report.wrong(
            "manifest-hash",
            f"{loaded.path.name} has SHA-256 {loaded.sha256}, entry {closed.seq} says {named}",
        )
    else:
        report.proven.append(f"the ledger's entry {closed.seq} names this manifest by its hash")


def _compare(
    report: Report,
    manifest: Manifest,
    closed: Numbered,
    lineage: Lineage,
    call: list[Numbered],
) -> None:
    """What the manifest says is what the ledger says."""
    detail: Mapping[str, Any] = closed.entry.detail
    history = read_history(call, lineage.origin_id)
    sounds = {
        span.start_sample: span.audio_sha256 or ""
        for span in manifest.spans
        if isinstance(span, SegmentSpan)
    }
    spans = spans_of(report, closed, history, sounds)
    audio = manifest.audio
    file = detail.get("file")
    started = next((e.entry.detail for e in call if e.entry.kind is EntryKind.CALL_STARTED), {})
    pairs: list[tuple[str, object, object]] = [
        ("status", manifest.recording.status, detail.get("status")),
        ("behavior", manifest.recording.behavior.value, detail.get("behavior")),
        ("method", manifest.recording.method.value, detail.get("method")),
        ("problems", list(manifest.recording.problems), detail.get("problems")),
        ("file", audio and audio.file, Path(file).name if isinstance(file, str) else None),
        ("sha256", audio and audio.sha256, detail.get("sha256")),
        ("two-channel file", _stereo_said(manifest), _stereo_entered(detail)),
        ("original", _original_said(manifest), _original_entered(lineage)),
        ("samples", audio.samples if audio else 0, detail.get("samples", 0)),
        ("uniqueid", manifest.call.uniqueid, closed.entry.uniqueid or manifest.call.uniqueid),
        ("call", manifest.call.id, closed.entry.call_id),
        ("channel", manifest.call.channel, started.get("channel")),
        ("external id", manifest.call.external_id, started.get("external_id")),
        ("parts", _parts_said(manifest), _parts_entered(detail)),
        ("parties", manifest.parties, history.parties),
        ("windows", manifest.windows, history.windows),
        ("other recorders", manifest.other_recorders, history.other_recorders),
        ("number of segments and gaps", len(manifest.spans), len(spans)),
    ]
    if audio is not None:
        pairs.append(("rate", audio.rate_hz, detail.get("rate_hz")))
    differences = [
        f"its {what} is not the ledger's" for what, ours, theirs in pairs if ours != theirs
    ]
    for ours, theirs in zip(manifest.spans, spans, strict=False):
        if ours == theirs:
            continue
        said, entered = ours.model_dump(), theirs.model_dump()
        names = sorted(name for name in said if said[name] != entered.get(name))
        differences.append(f"{name_of(ours, manifest)}: its {', '.join(names)} is not the ledger's")
    for difference in differences[:_MOST_DIFFERENCES]:
        report.wrong("ledger-differs", difference)
    if not differences:
        report.proven.append("every segment, gap, part and party is as the ledger has it")


def _stereo_said(manifest: Manifest) -> tuple[object, ...] | None:
    stereo = manifest.stereo
    return None if stereo is None else (stereo.file, stereo.sha256)


def _stereo_entered(detail: Mapping[str, Any]) -> tuple[object, ...] | None:
    stereo = detail.get("stereo")
    if not isinstance(stereo, Mapping) or stereo.get("file") is None:
        return None
    return Path(str(stereo["file"])).name, stereo.get("sha256")


def _original_said(manifest: Manifest) -> tuple[object, ...] | None:
    redacts = manifest.redacts
    return None if redacts is None else (redacts.recording, redacts.sha256)


def _original_entered(lineage: Lineage) -> tuple[object, ...] | None:
    if not lineage.steps:
        return None
    step = lineage.steps[0]
    return step.older_id, step.older_closed.entry.detail.get("sha256")


def _parts_said(manifest: Manifest) -> list[tuple[object, ...]]:
    return [
        (part.name, part.sha256, part.bytes, part.samples, part.mended) for part in manifest.parts
    ]


def _parts_entered(detail: Mapping[str, Any]) -> list[tuple[object, ...]]:
    parts = detail.get("parts")
    names = ("name", "sha256", "bytes", "samples", "mended")
    return [
        tuple(part.get(name) for name in names)
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, Mapping)
    ]


def _check_signed(report: Report, ledger: CheckedLedger, closed_seq: int) -> None:
    if ledger.signed_to >= closed_seq and ledger.wants_signatures:
        report.proven.append(
            f"all of its entries lie before entry {ledger.signed_to}, which was signed"
        )
    elif ledger.wants_signatures:
        report.unproven(
            "not-signed-yet",
            f"the recording was closed by entry {closed_seq}; the newest checkpoint that holds"
            f" reaches to entry {ledger.signed_to}",
        )


def _say_order(report: Report, found: OrderFound, method: PauseMethod, lineage: Lineage) -> None:
    if any(one.id.startswith(("order-", "gap-")) for one in report.findings) or not found.gaps:
        return
    how = "muted" if method is PauseMethod.MUTE and found.muted else "seen gone"
    guard = ""
    if found.least_guard_us is not None:
        guard = f", and at least {found.least_guard_us / 1000:.0f} ms passed before the next began"
    gaps = "the one gap" if found.gaps == 1 else f"each of {found.gaps} gaps"
    of = f" of {lineage.origin_id}, which ran," if lineage.is_redacted else ""
    report.proven.append(
        f"for {gaps}{of} the ledger's order holds: the stop was asked, the monitor {how}, then the"
        f" turn let on{guard}"
    )


__all__ = [
    "Loaded",
    "check_against",
    "check_entries",
    "check_ledger_only",
    "check_recording",
    "layout_of_manifest",
    "load",
]
