"""Makes the files of a redacted recording, from sound to transcript; it enters nothing.

Everything here blocks on disks. What isn't complete is taken away again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from turnrec.core.call import ClosedRecording, FinishedRecording
from turnrec.core.entry import JSON, EntryKind
from turnrec.core.policy import PauseMethod
from turnrec.core.timeline import Layout, Span
from turnrec.ledger.views import RecordingRecord
from turnrec.recordings.disk import day_of
from turnrec.recordings.export import Source, map_path, offset_map, source_from, write_map
from turnrec.recordings.manifest import Redacts
from turnrec.recordings.manifest_file import write_manifest
from turnrec.recordings.manifest_history import Numbered
from turnrec.recordings.manifest_make import Circumstances, make_manifest
from turnrec.recordings.redact import redact
from turnrec.recordings.removing import remove
from turnrec.recordings.sound import SoundFormat
from turnrec.recordings.spans import span_to_json
from turnrec.recordings.stereo import stereo_path
from turnrec.recordings.transcript_file import SUFFIX, redact_transcript

_OF_THE_OLD_FILE: Final = ("manifest", "manifest_sha256", "stereo", "reason")
"""What RECORDING_CLOSED says of a file that isn't true of a redacted copy of it."""


def source_of(folder: Path, record: RecordingRecord, file: str, known: Mapping[str, Any]) -> Source:
    """A recording's file, as the ledger knows it.

    Raises:
        SpanMapError: what the ledger says isn't enough to find a place in it.
    """
    return source_from(folder / file, {**known, "recording": record.recording_id}, "the ledger")


def make_redacted(
    folder: Path,
    record: RecordingRecord,
    closed: Mapping[str, Any],
    layout: Layout,
    cuts: Sequence[Span],
    new_id: str,
    entries: Sequence[Numbered],
    around: Circumstances,
) -> dict[str, JSON]:
    """Write the new files; return what RECORDING_CLOSED says of them.

    Args:
        folder: the recordings' folder.
        record: the old recording.
        closed: what was entered when that was closed.
        layout: the old one's, with the stretch cut out.
        cuts: what was cut out now.
        new_id: the new recording's id.
        entries: the call's entries.
        around: what a manifest says beside them.

    Raises:
        RecordingError, ManifestError, PartError, OSError: nothing was made.
    """
    old = source_of(folder, record, str(record.file), closed)
    target = folder / day_of(record.opened_us) / f"{new_id}.wav"
    made = [target, map_path(target), stereo_path(target)]
    try:
        sha256 = redact(old, layout, target)
        content = offset_map(old, target, sha256, layout, SoundFormat.WAV, 1)
        write_map(map_path(target), {**content, "recording": new_id})
        detail: dict[str, JSON] = {
            **{key: one for key, one in closed.items() if key not in _OF_THE_OLD_FILE},
            **_stereo(folder, record, closed, layout, target),
            "file": str(target.relative_to(folder)),
            "sha256": sha256,
            "spans": [span_to_json(span) for span in layout.spans],
            "problems": [*closed.get("problems", ()), *_told(cuts, layout, record)],
            "redacts": record.recording_id,
            "opened_us": record.opened_us,
        }
        made.append(target.with_suffix(SUFFIX))
        redact_transcript(folder, record.recording_id, record.opened_us, new_id, layout)
        path = target.with_suffix(".json")
        made.append(path)
        finished = _finished(record, layout, detail, new_id)
        manifest = make_manifest(
            finished,
            ClosedRecording(True, detail),
            target,
            entries,
            around,
            redacts=Redacts(recording=record.recording_id, sha256=old.sha256),
            origin=origin_of(record.recording_id, entries),
        )
        return detail | {"manifest": path.name, "manifest_sha256": write_manifest(path, manifest)}
    except BaseException:
        # The id is new: whatever lies under it is of this attempt.
        remove(made)
        raise


def origin_of(recording_id: str, entries: Iterable[Numbered]) -> str:
    """The recording whose monitors made the sound: the first of those that were redacted in turn.

    Args:
        recording_id: one of them.
        entries: the call's.
    """
    closed = EntryKind.RECORDING_CLOSED
    redacts = {
        one.entry.recording_id: one.entry.detail.get("redacts")
        for one in entries
        if one.entry.kind is closed
    }
    while isinstance(older := redacts.pop(recording_id, None), str):
        recording_id = older
    return recording_id


def _told(cuts: Sequence[Span], layout: Layout, record: RecordingRecord) -> list[str]:
    return [
        f"segment {span.segment}: {span.samples / layout.rate_hz:.3f} s from sample"
        f" {span.start_sample} on were cut out of recording {record.recording_id} afterwards"
        for span in cuts
    ]


def _stereo(
    folder: Path,
    record: RecordingRecord,
    closed: Mapping[str, Any],
    layout: Layout,
    target: Path,
) -> dict[str, JSON]:
    """The two channels beside the mix are cut at the same samples."""
    stereo = closed.get("stereo")
    if not isinstance(stereo, Mapping) or not isinstance(stereo.get("file"), str):
        return {}
    known = {**closed, "sha256": stereo.get("sha256")}
    source = source_of(folder, record, stereo["file"], known)
    path = stereo_path(target)
    sha256 = redact(source, layout, path)
    return {"stereo": {"file": str(path.relative_to(folder)), "sha256": sha256}}


def _finished(
    record: RecordingRecord, layout: Layout, detail: Mapping[str, Any], new_id: str
) -> FinishedRecording:
    """The new recording as its books would have been closed."""
    method = detail.get("method")
    return FinishedRecording(
        id=new_id,
        call_id=record.call_id or "",
        bot=record.bot or "",
        opened_us=record.opened_us,
        closed_us=layout.spans[-1].end_us,
        segments=(),
        gaps=(),
        behavior=layout.behavior,
        method=PauseMethod(method) if method in tuple(PauseMethod) else PauseMethod.SEGMENT,
    )
