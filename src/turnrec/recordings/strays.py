"""Finds files in the recordings' folder that may be of no recording, and puts them aside.

What a crash leaves between making files and entering them lies there under names like any other's.
Whether a name is a recording's is the ledger's to say; here nothing is deleted that nobody named.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from turnrec.recordings.disk import sync_folder
from turnrec.recordings.export import map_path, read_map
from turnrec.recordings.join import RECORDING_ID
from turnrec.recordings.manifest import Manifest
from turnrec.recordings.manifest_file import ManifestError, read_manifest
from turnrec.recordings.removing import DAY
from turnrec.recordings.spans import SpanMapError

logger = logging.getLogger(__name__)

ASIDE: Final = "strays"
"""The folder, beside the days, for what is put aside."""
SUFFIX: Final = ".stray"
"""What such a file's name ends with: nothing takes it for a recording any more."""

_SOUND: Final = r"(\.stereo)?\.wav(\.[0-9a-f]{16}\.tmp)?"
_BESIDE: Final = r"\.json(\.[0-9a-f]{16}\.tmp)?|\.wav\.map\.json"
_TRANSCRIPT: Final = r"\.transcript\.jsonl(\.new)?"
_OWN: Final = re.compile(
    rf"\.?(?P<id>{RECORDING_ID.pattern})(?:(?P<made>{_SOUND}|{_BESIDE})|{_TRANSCRIPT})"
)


@dataclass(frozen=True, slots=True)
class Files:
    """All files of one name in one day's folder."""

    recording_id: str
    folder: Path
    paths: tuple[Path, ...]

    @property
    def written_us(self) -> int:
        """When the newest of them was written."""
        times = [0]
        for path in self.paths:
            with suppress(OSError):
                times.append(path.lstat().st_mtime_ns // 1000)
        return max(times)

    def manifest(self) -> Manifest | None:
        """The manifest among them, if it is one."""
        try:
            return read_manifest(self.folder / f"{self.recording_id}.json")[0]
        except ManifestError:
            return None

    def copy_of(self) -> str | None:
        """The recording's file that they were made of, by their manifest or map; None: none."""
        manifest = self.manifest()
        if manifest is not None:
            redacts = manifest.redacts
            return None if redacts is None else f"{redacts.recording}.wav"
        try:
            source = read_map(map_path(self.folder / f"{self.recording_id}.wav")).get("source")
        except (SpanMapError, OSError):
            return None
        file = source.get("file") if isinstance(source, Mapping) else None
        return file if isinstance(file, str) else None


def files_by_recording(folder: Path) -> list[Files]:
    """The joined files below a folder, with what lies beside them, by their names.

    A transcript alone is left out: it is written while its recording runs.
    """
    found: list[Files] = []
    for day in sorted(_days(folder)):
        named: dict[str, list[Path]] = defaultdict(list)
        made: set[str] = set()
        for path in sorted(_inside(day)):
            match = _OWN.fullmatch(path.name)
            if match is None:
                continue
            named[match["id"]].append(path)
            if match["made"] is not None:
                made.add(match["id"])
        found += [Files(one, day, tuple(named[one])) for one in sorted(made)]
    return found


def _days(folder: Path) -> list[Path]:
    return [path for path in _inside(folder) if DAY.fullmatch(path.name) and path.is_dir()]


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        logger.warning("%s can't be looked through: %s", folder, error.strerror)
        return []


def put_aside(folder: Path, paths: Sequence[Path]) -> tuple[Path, ...]:
    """Move files of one day into the folder for strays; return those that would not go."""
    left: list[Path] = []
    aside = folder / ASIDE
    for path in paths:
        target = aside / path.parent.name / f"{path.name.lstrip('.')}{SUFFIX}"
        try:
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            path.rename(target)
        except OSError:
            left.append(path)
    for place in {path.parent for path in paths} | {aside / path.parent.name for path in paths}:
        with suppress(OSError):
            sync_folder(place)
    return tuple(left)
