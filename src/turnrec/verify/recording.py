"""Checks one recording: manifest, sound, and what the ledger says of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from turnrec.core.entry import EntryKind
from turnrec.core.policy import PauseMethod
from turnrec.recordings.manifest import GapSpan, Manifest, SegmentSpan
from turnrec.recordings.manifest_file import (
    ManifestError,
    ManifestMissingError,
    ManifestVersionError,
    read_manifest,
)
from turnrec.recordings.manifest_history import History, Numbered, read_history
from turnrec.recordings.manifest_make import describe_spans
from turnrec.verify.audio import Stretch, check_audio, name_of
from turnrec.verify.findings import Report
from turnrec.verify.ledgers import CheckedLedger
from turnrec.verify.order import OrderFound, check_order

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


def check_recording(loaded: Loaded, ledger: CheckedLedger | None, parts_dir: Path | None) -> Report:
    """Check a recording against its sound, its parts where they were kept, and the ledger."""
    report, manifest = loaded.report, loaded.manifest
    if manifest is None:
        if ledger is not None:
            _blame_for_missing(loaded, ledger)
        return report
    check_audio(report, manifest, loaded.path.parent, parts_dir)
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
    _check_against(report, loaded, manifest, ledger)
    report.not_proven.append(LIMITS)
    return report


def check_ledger_only(recording_id: str, ledger: CheckedLedger) -> Report:
    """Check the order of one recording's entries, without any file."""
    report = Report(recording_id)
    entries = _entries_of(report, ledger, recording_id)
    closed = _closing(entries)
    if closed is None:
        if any(one.entry.kind is EntryKind.RECORDING_OPENED for one in entries):
            report.not_proven.append("the recording is not closed yet")
        check_order(report, entries, (), PauseMethod.SEGMENT)
        return report
    history = read_history(entries, recording_id)
    spans = _spans(report, closed, history, {})
    method = _method(closed)
    found = check_order(report, entries, spans, method)
    _say_order(report, found, method)
    _check_signed(report, ledger, closed.seq)
    return report


def _blame_for_missing(loaded: Loaded, ledger: CheckedLedger) -> None:
    """A manifest that the ledger names, and that can't be used, is more than not there."""
    found = _closing(_entries_of(loaded.report, ledger, loaded.path.stem))
    if found is not None and found.entry.detail.get("manifest") == loaded.path.name:
        loaded.report.wrong(
            "manifest-hash",
            f"entry {found.seq} names the manifest {loaded.path.name} by its hash, and no such"
            " one is there",
        )


# ------------------------------------------------------------------ against the ledger


def _check_against(
    report: Report, loaded: Loaded, manifest: Manifest, ledger: CheckedLedger
) -> None:
    if ledger.report.findings and not ledger.report.proven:
        report.unproven("ledger-error", "the ledger itself is broken: see there")
    said = manifest.ledger
    if said.id != ledger.id:
        report.wrong("ledger-other", "the manifest was made with another ledger than this one")
        return
    recording_id = manifest.recording.id
    entries = _entries_of(report, ledger, recording_id)
    if not entries:
        report.wrong("recording-unknown", f"the ledger knows no recording {recording_id}")
        return
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
    closed = _closing(entries)
    if closed is None:
        report.wrong("recording-not-closed", "the ledger has no entry that closes the recording")
        return
    _check_named(report, loaded, closed)
    call = _numbered(report, ledger, ledger.ledger.of_call(manifest.call.id))
    _compare(report, manifest, closed, [one for one in call if one.seq <= said.head.seq])
    sounds = {
        span.start_sample: span.audio_sha256
        for span in manifest.spans
        if isinstance(span, SegmentSpan) and span.audio_sha256 is not None
    }
    spans = _spans(report, closed, read_history(call, recording_id), sounds)
    order = check_order(report, entries, spans, _method(closed))
    _say_order(report, order, _method(closed))
    _check_signed(report, ledger, closed.seq)


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


def _compare(report: Report, manifest: Manifest, closed: Numbered, call: list[Numbered]) -> None:
    """What the manifest says is what the ledger says."""
    detail: Mapping[str, Any] = closed.entry.detail
    history = read_history(call, manifest.recording.id)
    sounds = {
        span.start_sample: span.audio_sha256 or ""
        for span in manifest.spans
        if isinstance(span, SegmentSpan)
    }
    spans = _spans(report, closed, history, sounds)
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


def _say_order(report: Report, found: OrderFound, method: PauseMethod) -> None:
    if any(one.id.startswith(("order-", "gap-")) for one in report.findings) or not found.gaps:
        return
    how = "muted" if method is PauseMethod.MUTE and found.muted else "seen gone"
    guard = ""
    if found.least_guard_us is not None:
        guard = f", and at least {found.least_guard_us / 1000:.0f} ms passed before the next began"
    gaps = "the one gap" if found.gaps == 1 else f"each of {found.gaps} gaps"
    report.proven.append(
        f"for {gaps} the ledger's order holds: the stop was asked, the monitor {how}, then the"
        f" turn let on{guard}"
    )


# ------------------------------------------------------------------ reading the ledger


def _entries_of(report: Report, ledger: CheckedLedger, recording_id: str) -> list[Numbered]:
    return _numbered(report, ledger, ledger.ledger.of_recording(recording_id))


def _numbered(report: Report, _ledger: CheckedLedger, found: Iterable[Any]) -> list[Numbered]:
    numbered: list[Numbered] = []
    for one in found:
        if one.entry is not None:
            numbered.append(Numbered(one.seq, one.entry))
            continue
        sentence = f"entry {one.seq} holds what turnrec never writes"
        if sentence not in {finding.sentence for finding in report.findings}:
            report.wrong("entry-unreadable", sentence)
    return numbered


def _closing(entries: Iterable[Numbered]) -> Numbered | None:
    closings = (one for one in entries if one.entry.kind is EntryKind.RECORDING_CLOSED)
    return next(closings, None)


def _method(closed: Numbered) -> PauseMethod:
    word = closed.entry.detail.get("method")
    return PauseMethod(word) if word in set(PauseMethod) else PauseMethod.SEGMENT


def _spans(
    report: Report, closed: Numbered, history: History, sounds: Mapping[int, str]
) -> list[Stretch]:
    """What the ledger itself says of the joined file."""
    spans: Any = closed.entry.detail.get("spans", ())
    try:
        return list(describe_spans(spans, history, sounds))
    except (KeyError, TypeError, ValueError, AttributeError):
        sentence = f"entry {closed.seq} holds what turnrec never writes"
        if sentence not in {finding.sentence for finding in report.findings}:
            report.wrong("entry-unreadable", sentence)
        return []


__all__ = ["GapSpan", "Loaded", "check_ledger_only", "check_recording", "load"]
