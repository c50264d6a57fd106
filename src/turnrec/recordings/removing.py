"""Takes a recording's files away, all of them; whether that may be is decided by others.

Everything that begins with the recording's id goes: sound, manifest, two channels, transcript,
exports beside it, and parts that are still in the spool. Nothing is overwritten first: on
journaling file systems, snapshots and flash that would promise more than it does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from turnrec.recordings.disk import day_of, sync_folder
from turnrec.recordings.join import RECORDING_ID, UnsafeNameError
from turnrec.recordings.sound import SoundUnreadableError, hash_file

DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Doomed:
    """A file that is to go, as it was found."""

    path: Path
    bytes: int
    sha256: str | None
    """None: it could not be read."""


def files_of(
    recording_id: str, opened_us: int, file: str | None, folder: Path, spool: Path
) -> tuple[Path, ...]:
    """Everything that belongs to a recording, sorted.

    Raises:
        UnsafeNameError: the id could name something else.
    """
    if RECORDING_ID.fullmatch(recording_id) is None:
        raise UnsafeNameError("the recording's id is none that turnrec gives")
    days = {day_of(opened_us)}
    if file is not None and DAY.fullmatch(Path(file).parent.name):
        days.add(Path(file).parent.name)
    places = [*(folder / day for day in sorted(days)), spool]
    return tuple(path for place in places for path in _own(place, recording_id))


def _own(folder: Path, recording_id: str) -> Iterator[Path]:
    own = re.compile(rf"\.?{re.escape(recording_id)}[.-].+")
    try:
        with os.scandir(folder) as files:  # a day may have very many
            found = [
                one.name
                for one in files
                if own.fullmatch(one.name) and (one.is_symlink() or not one.is_dir())
            ]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in sorted(found):
        yield folder / name


def names_below(folder: Path) -> Iterator[str]:
    """The names of all files below a folder, read one by one: there may be millions.

    What can't be read is left out.
    """
    folders = [folder]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as found:
            for one in found:
                if one.is_dir(follow_symlinks=False):
                    folders.append(Path(one.path))
                else:
                    yield one.name


def look_at(paths: Sequence[Path]) -> tuple[Doomed, ...]:
    """Say what the files are, for the tombstone."""
    return tuple(_look(path) for path in paths)


def _look(path: Path) -> Doomed:
    try:
        return Doomed(path, path.lstat().st_size, hash_file(path))
    except (SoundUnreadableError, OSError):
        return Doomed(path, 0, None)


def remove(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Take files away, and put that on the disk; return those that would not go."""
    left = []
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            left.append(path)
    for folder in {path.parent for path in paths}:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            sync_folder(folder)
    return tuple(left)
