"""Makes a copy of a recording for somebody else: other behavior, other format, with its offset map.

The recording itself is only read. Beside the copy lies `COPY.map.json`, which says where each
instant of the call is in it, and by which the copy can be turned back: from `skip` to `silence`
every span is at its exact sample again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from turnrec.core.entry import JSON
from turnrec.core.policy import PauseBehavior
from turnrec.core.timeline import Layout, Span, SpanKind
from turnrec.recordings.sound import (
    SoundChangedError,
    SoundFormat,
    SoundReader,
    SoundUnreadableError,
    sound_writer,
)
from turnrec.recordings.spans import SpanMapError, laid_out_as, layout_from_json, span_to_json
from turnrec.recordings.wav import Samples
from turnrec.recordings.wav_writer import MODE, RecordingError, RecordingExistsError

MAP_SUFFIX: Final = ".map.json"
MAP_VERSION: Final = 1
_MAX_MAP_BYTES: Final = 256 << 20


class NotExportedError(RecordingError):
    """What was written is not what the source and the map say; nothing is left of it."""

    id = "export-not-verified"


@dataclass(frozen=True, slots=True)
class Source:
    """A sound file, and what is known of it."""

    recording_id: str
    path: Path
    sha256: str
    layout: Layout
    known_by: str
    """Who names its hash, in words for a message: `the ledger`."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A copy that was written and read back."""

    path: Path
    map_path: Path
    sha256: str
    layout: Layout


def source_from(
    path: Path, known: Mapping[str, object], known_by: str, sha256_key: str = "sha256"
) -> Source:
    """What a ledger's entry, a manifest or an offset map knows of a file.

    Raises:
        SpanMapError: it is none of these.
    """
    sha256, recording_id = known.get(sha256_key), known.get("recording")
    if not isinstance(sha256, str):
        raise SpanMapError(f"{known_by} names no hash for {path.name}")
    layout = layout_from_json(known.get("spans"), known.get("rate_hz"), known.get("behavior"))
    name = recording_id if isinstance(recording_id, str) else path.stem
    return Source(name, path, sha256, layout, known_by)


def read_map(path: Path) -> Mapping[str, object]:
    """Read an offset map, or a manifest, as it is.

    Raises:
        SpanMapError: it is no JSON object, or absurdly large.
        OSError: it can't be read.
    """
    if path.stat().st_size > _MAX_MAP_BYTES:
        raise SpanMapError(f"{path.name} is too large for an offset map")
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise SpanMapError(f"{path.name} is no JSON") from None
    if not isinstance(value, dict):
        raise SpanMapError(f"{path.name} is no offset map")
    return value


def map_path(sound: Path) -> Path:
    """Where a copy's offset map lies."""
    return sound.with_name(sound.name + MAP_SUFFIX)


def export(source: Source, behavior: PauseBehavior, form: SoundFormat, target: Path) -> Exported:
    """Write the copy and its map, and read it back. It blocks, and overwrites nothing.

    Raises:
        SoundChangedError: the source isn't the file that is known.
        RecordingExistsError: something lies at the target, or at the map's place.
        RecordingError: no copy was made; its id says why.
    """
    beside = map_path(target)
    if os.path.lexists(beside):
        raise RecordingExistsError(beside)
    layout = laid_out_as(source.layout, behavior)
    with SoundReader(source.path) as reader:
        check_source(source, reader)
        with sound_writer(target, reader.rate_hz, reader.channels, form) as writer:
            for old, new in zip(source.layout.spans, layout.spans, strict=True):
                if old.kind is SpanKind.SEGMENT:
                    for block in reader.blocks(old.samples):
                        writer.write(block)
                else:
                    reader.skip(old.samples)
                    writer.write_silence(new.samples)
            writer.seal()
            sha256 = _read_back(source, writer.path, layout, form)
            writer.publish()
        channels = reader.channels
    try:
        write_map(beside, offset_map(source, target, sha256, layout, form, channels))
    except OSError:
        target.unlink()
        raise
    return Exported(target, beside, sha256, layout)


def check_source(source: Source, reader: SoundReader) -> None:
    """Refuse a file that isn't the one that is known, before anything is made of it.

    Raises:
        SoundChangedError, SpanMapError: its hash, or its length, is another.
    """
    if reader.sha256 != source.sha256:
        raise SoundChangedError(source.path, source.known_by)
    if (reader.samples, reader.rate_hz) != (source.layout.samples, source.layout.rate_hz):
        raise SpanMapError(
            f"{source.path.name} has {reader.samples} samples at {reader.rate_hz} Hz,"
            f" {source.known_by} speaks of {source.layout.samples} at {source.layout.rate_hz} Hz"
        )


def _read_back(source: Source, written: Path, layout: Layout, form: SoundFormat) -> str:
    """Compare the copy with its source, sample by sample where the format keeps them."""
    with SoundReader(source.path) as reader, SoundReader(written) as copy:
        if (copy.samples, copy.rate_hz, copy.channels) != (
            layout.samples,
            reader.rate_hz,
            reader.channels,
        ):
            raise NotExportedError(
                f"{copy.samples} samples were written, not {layout.samples}: is the disk full?"
            )
        if form.is_lossless:
            for old, new in zip(source.layout.spans, layout.spans, strict=True):
                _compare(reader, old, copy, new)
        return copy.sha256


def _compare(reader: SoundReader, old: Span, copy: SoundReader, new: Span) -> None:
    if old.kind is not SpanKind.SEGMENT:
        reader.skip(old.samples)
        if any(_is_loud(block) for block in copy.blocks(new.samples)):
            raise NotExportedError(f"the {new.kind} at sample {new.start_sample} is not silent")
        return
    for ours, theirs in zip(reader.blocks(old.samples), copy.blocks(new.samples), strict=True):
        if (ours != theirs).any():
            raise NotExportedError(f"segment {old.segment} is not what {reader.path.name} holds")


def _is_loud(block: Samples) -> bool:
    return bool(block.any())


def offset_map(
    source: Source, target: Path, sha256: str, layout: Layout, form: SoundFormat, channels: int
) -> dict[str, JSON]:
    """What lies beside a copy, by which it can be read and turned back."""
    return {
        "turnrec_offset_map": MAP_VERSION,
        "recording": source.recording_id,
        "source": {
            "file": source.path.name,
            "sha256": source.sha256,
            "behavior": source.layout.behavior.value,
        },
        "file": target.name,
        "sha256": sha256,
        "format": form.value,
        "behavior": layout.behavior.value,
        "rate_hz": layout.rate_hz,
        "channels": channels,
        "samples": layout.samples,
        "spans": [span_to_json(span) for span in layout.spans],
    }


def write_map(path: Path, content: Mapping[str, JSON]) -> None:
    """Write an offset map where nothing lies yet.

    Raises:
        OSError: something does, or it can't be written; nothing of it is left.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()
        raise


def source_beside(path: Path) -> Source:
    """What the offset map beside a file knows of it.

    Raises:
        SoundUnreadableError: there is no map beside it.
        SpanMapError: the map is none, or of another version.
    """
    beside = map_path(path)
    try:
        known = read_map(beside)
    except FileNotFoundError as error:
        raise SoundUnreadableError(path, f"no {beside.name} lies beside it") from error
    if known.get("turnrec_offset_map") != MAP_VERSION:
        raise SpanMapError(f"{beside.name} is no offset map of version {MAP_VERSION}")
    return source_from(path, known, beside.name)
