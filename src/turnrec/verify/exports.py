"""Holds an exported copy against its offset map, and the map against the recording's manifest.

The manifest may lie beside it or among the recordings; without one the ledger's closing entry will
do. What is in the sound is `turnrec.verify.export_sound`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from turnrec.core.timeline import Layout, Span, SpanKind
from turnrec.recordings.export import MAP_SUFFIX, MAP_VERSION, map_path, read_map
from turnrec.recordings.join import RECORDING_ID
from turnrec.recordings.manifest import Manifest
from turnrec.recordings.sound import SoundReader, SoundUnreadableError
from turnrec.recordings.spans import SpanMapError, laid_out_as, layout_from_json
from turnrec.recordings.stereo import SUFFIX as STEREO
from turnrec.recordings.wav import SAMPLE_BYTES
from turnrec.recordings.wav_writer import MAX_DATA_BYTES
from turnrec.verify.entries import closing, entries_of
from turnrec.verify.export_sound import Known, check_opus, name_of_span, turn_back
from turnrec.verify.findings import Report
from turnrec.verify.ledgers import CheckedLedger
from turnrec.verify.recording import (
    LIMITS,
    Loaded,
    check_against,
    check_entries,
    layout_of_manifest,
    load,
)
from turnrec.verify.redacted import layout_of

_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Export:
    """An exported copy as it was found, with the recording's manifest where that is there."""

    path: Path
    report: Report
    known: Mapping[str, object] | None = None
    """What its map says; None: there is none that can be used."""
    layout: Layout | None = None
    recording: Loaded | None = None


def is_export(path: Path) -> bool:
    """Whether it is an exported copy, or the map of one; a recording's own file isn't.

    A redacted recording has a map too, which is checked with it.
    """
    sound = _sound_of(path)
    is_own = sound.suffix == ".wav" and sound.with_suffix(".json").exists()
    return not is_own and (path != sound or map_path(sound).exists())


def load_export(path: Path, *recordings: Path | None) -> Export:
    """Read an export's map and find its recording's manifest: beside it, or among the recordings.

    Args:
        path: the copy, or its map.
        recordings: the folders in which, or in whose days, recordings lie.
    """
    path = _sound_of(path)
    report = Report(path.name)
    beside = map_path(path)
    try:
        known = read_map(beside)
        version = known.get("turnrec_offset_map")
        if version is not None and version != MAP_VERSION:
            report.unproven(
                "map-version", f"{beside.name} has version {str(version)[:20]}, not {MAP_VERSION}"
            )
            return Export(path, report)
        if version is None:
            raise SpanMapError(f"{beside.name} is no offset map")  # noqa: TRY301 - one way out
        layout = layout_from_json(known.get("spans"), known.get("rate_hz"), known.get("behavior"))
    except FileNotFoundError:
        report.unproven("map-missing", f"no {beside.name} lies beside {path.name}")
        return Export(path, report)
    except (SpanMapError, OSError) as error:
        report.wrong("map-unreadable", f"{beside.name}: {error}")
        return Export(path, report)
    recording_id = known.get("recording")
    if not isinstance(recording_id, str) or RECORDING_ID.fullmatch(recording_id) is None:
        report.wrong("map-unreadable", f"{beside.name} names no recording")
        return Export(path, report)
    found = _manifest_of(recording_id, path.parent, recordings)
    return Export(path, report, known, layout, None if found is None else load(found))


def _sound_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(MAP_SUFFIX))


def _manifest_of(recording_id: str, beside: Path, recordings: Iterable[Path | None]) -> Path | None:
    name = f"{recording_id}.json"
    places = [beside / name]
    for folder in recordings:
        if folder is not None:
            places += [folder / name, *sorted(folder.glob(f"*/{name}"))]
    return next((one for one in places if one.exists()), None)


def check_export(export: Export, ledger: CheckedLedger | None) -> Report:
    """Check a copy against its map, its recording's manifest and the ledger."""
    report = export.report
    if export.known is None or export.layout is None:
        return report
    recording = _recording(report, export, ledger)
    if recording is None:
        report.unproven(
            "recording-not-given",
            f"neither the manifest of recording {export.known.get('recording')} nor a ledger that"
            " knows it is there",
        )
    elif ledger is None:
        report.unproven(
            "ledger-not-given",
            "no ledger that can be read was given: nothing shows that nothing was recorded in the"
            " recording's gaps",
        )
    try:
        with SoundReader(export.path) as reader:
            _check_file(report, export.known, export.layout, reader, recording)
    except SoundUnreadableError as error:
        is_there = export.path.exists()
        report.wrong("export-unreadable" if is_there else "export-missing", str(error))
    if ledger is not None:
        report.not_proven.append(LIMITS)
    return report


def _recording(report: Report, export: Export, ledger: CheckedLedger | None) -> Known | None:
    """What is known of the recording, after it was checked in its turn, but for its own file."""
    loaded = export.recording
    manifest = None if loaded is None else loaded.manifest
    if loaded is not None:
        report.findings += loaded.report.findings
    if loaded is not None and manifest is not None:
        if ledger is not None:
            check_against(report, loaded, manifest, ledger)
        return _from_manifest(manifest)
    recording_id = str((export.known or {}).get("recording"))
    if ledger is None:
        return None
    closed = closing(entries_of(report, ledger, recording_id))
    if closed is None:
        report.wrong("recording-unknown", f"the ledger closes no recording {recording_id}")
        return None
    check_entries(report, recording_id, ledger)
    layout = layout_of(report, closed)
    if layout is None:
        return None
    detail = closed.entry.detail
    stereo, parts = detail.get("stereo"), detail.get("parts")
    return Known(
        recording_id,
        layout,
        _text(detail.get("sha256")),
        _text(stereo.get("sha256")) if isinstance(stereo, Mapping) else None,
        {},
        {
            str(part.get("name")): str(part.get("sha256"))
            for part in (parts if isinstance(parts, list) else ())
            if isinstance(part, Mapping)
        },
        f"the ledger's entry {closed.seq}",
    )


def _from_manifest(manifest: Manifest) -> Known | None:
    layout, audio = layout_of_manifest(manifest), manifest.audio
    if layout is None or audio is None:
        return None
    return Known(
        manifest.recording.id,
        layout,
        audio.sha256,
        None if manifest.stereo is None else manifest.stereo.sha256,
        {span.start_sample: span.audio_sha256 for span in manifest.spans if span.kind == "segment"},
        {part.name: part.sha256 for part in manifest.parts if part.rebuildable},
        "its manifest",
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


# ------------------------------------------------------------------ the file and its map


def _check_file(
    report: Report,
    known: Mapping[str, object],
    layout: Layout,
    reader: SoundReader,
    recording: Known | None,
) -> None:
    if reader.sha256 != known.get("sha256"):
        report.wrong(
            "export-hash",
            f"{reader.path.name} has SHA-256 {reader.sha256}, its map says {known.get('sha256')}",
        )
    form = reader.form
    if form is None:
        report.wrong("export-unreadable", f"{reader.path.name} is of no format that turnrec makes")
        return
    if form.value != known.get("format"):
        report.wrong(
            "map-differs", f"the map says that it is {known.get('format')}, and it is {form}"
        )
    found = (reader.samples, reader.rate_hz, reader.channels)
    said = (known.get("samples"), known.get("rate_hz"), known.get("channels"))
    if found != said or reader.samples != layout.samples:
        report.wrong(
            "export-length",
            f"{reader.path.name} has {found[0]} samples at {found[1]} Hz, {found[2]} channel(s);"
            f" its map says {said[0]}, {said[1]} and {said[2]}, its spans {layout.samples}",
        )
        return
    if recording is None or not _check_map(report, known, layout, reader.channels, recording):
        return
    if form.is_lossless:
        turn_back(report, layout, reader, recording)
    else:
        check_opus(report, layout, reader)


def _check_map(
    report: Report,
    known: Mapping[str, object],
    layout: Layout,
    channels: int,
    recording: Known,
) -> bool:
    """The map is the one that the recording's own spans come to."""
    before = len(report.findings)
    if recording.layout.rate_hz != layout.rate_hz:
        report.wrong("map-differs", f"its rate is not that of recording {recording.id}")
        return False
    try:
        expected = _comparable(laid_out_as(_sane(recording.layout), layout.behavior))
    except SpanMapError as error:
        report.wrong("spans-broken", f"by {recording.by}: {error}")
        return False
    given = _comparable(layout)
    if len(expected) != len(given):
        report.wrong(
            "map-differs", f"it has {len(given)} spans, recording {recording.id} {len(expected)}"
        )
    for number, (ours, theirs) in enumerate(zip(given, expected, strict=False), 1):
        if ours != theirs and len(report.findings) - before < _MOST_NAMED:
            report.wrong(
                "map-differs",
                f"its span {number} ({name_of_span(ours)}) is not as {recording.by} comes to it",
            )
    source = known.get("source")
    if not isinstance(source, Mapping):
        report.wrong("map-differs", "it names no file that it was made of")
        return False
    suffix = STEREO if channels == 2 else ".wav"
    of_recording = recording.stereo_sha256 if channels == 2 else recording.sha256
    if source.get("file") != f"{recording.id}{suffix}":
        report.not_proven.append(
            f"that it was made of the recording itself: by its map it is a copy of"
            f" {str(source.get('file'))[:100]}"
        )
    elif source.get("sha256") != of_recording:
        report.wrong(
            "map-differs",
            f"it was made of a file with SHA-256 {source.get('sha256')}, {recording.by} says"
            f" {of_recording}",
        )
    elif source.get("behavior") != recording.layout.behavior.value:
        report.wrong("map-differs", "the behavior of what it was made of is not the recording's")
    if len(report.findings) == before:
        report.proven.append(
            f"its map is the one that the spans of recording {recording.id} come to, to the sample"
        )
    return given == expected


def _sane(layout: Layout) -> Layout:
    """A layout that a WAV can have: what is made again of it has an end.

    Raises:
        SpanMapError: its spans don't come to its samples, or to more than a WAV holds.
    """
    if sum(span.samples for span in layout.spans) != layout.samples:
        raise SpanMapError("the spans are not as long as the file")
    if layout.samples > MAX_DATA_BYTES // (2 * SAMPLE_BYTES):
        raise SpanMapError("no recording is that long")
    return layout


def _comparable(layout: Layout) -> list[Span]:
    """Where a cut began in its part is in the ledger and the map, and not in a manifest."""
    return [
        replace(span, part_start_sample=0) if span.kind is SpanKind.REDACTED else span
        for span in layout.spans
    ]


def check_own_map(report: Report, manifest: Manifest, folder: Path) -> None:
    """Check the map that lies beside a redacted recording: it says what the manifest says."""
    layout = layout_of_manifest(manifest)
    beside = map_path(folder / f"{manifest.recording.id}.wav")
    if layout is None or not beside.exists():
        return
    try:
        known = read_map(beside)
        said = layout_from_json(known.get("spans"), known.get("rate_hz"), known.get("behavior"))
    except (SpanMapError, OSError) as error:
        report.wrong("map-unreadable", f"{beside.name}: {error}")
        return
    audio = manifest.audio
    if _comparable(said) != _comparable(layout) or (
        audio is not None and known.get("sha256") != audio.sha256
    ):
        report.wrong("map-differs", f"{beside.name} does not say what the manifest says")


__all__ = ["Export", "check_export", "check_own_map", "is_export", "load_export"]
