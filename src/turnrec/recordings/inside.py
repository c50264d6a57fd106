"""Opens files of the recordings' folder, and never one outside of it; it writes nothing.

Names come from the ledger and from ids that were looked up there, and are held to the folder all
the same: no step of a name is a link, and none leads up.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from turnrec.recordings.join import UnsafeNameError
from turnrec.recordings.sound import SoundUnreadableError

# Without O_NONBLOCK a pipe of that name would be waited for, for ever.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_inside(folder: Path, name: str) -> BinaryIO:
    """Open a file by its name in a folder.

    Raises:
        UnsafeNameError: the name, or a link on its way, leads out of the folder.
        SoundUnreadableError: it is missing, no regular file, or refused by the system.
    """
    steps = _steps(name)
    path = folder.joinpath(*steps)
    try:
        descriptor = os.open(folder, _FOLDER)
        for step in steps[:-1]:
            try:
                inner = os.open(step, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = inner
        try:
            found = os.open(steps[-1], _FILE, dir_fd=descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise SoundUnreadableError(path, "it is missing") from error
    except OSError as error:
        if _has_link(folder, steps):
            raise UnsafeNameError(
                "a link is in the recording's way, and is not followed"
            ) from error
        raise SoundUnreadableError(path, str(error.strerror)) from error
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise SoundUnreadableError(path, "it is not a regular file")
    return os.fdopen(found, "rb", buffering=0)


def path_inside(folder: Path, name: str) -> Path:
    """Where a file of a folder lies, for what opens it by its path and follows no link itself.

    Raises:
        UnsafeNameError: the name, or a link on its way, leads out of the folder.
    """
    steps = _steps(name)
    if _has_link(folder, steps):
        raise UnsafeNameError("a link is in the recording's way, and is not followed")
    return folder.joinpath(*steps)


def _steps(name: str) -> tuple[str, ...]:
    steps = PurePosixPath(name).parts
    if not steps or "\0" in name or any(step in ("/", "//", "..") for step in steps):
        raise UnsafeNameError("the recording's file is not named as turnrec names files")
    return steps


def _has_link(folder: Path, steps: tuple[str, ...]) -> bool:
    ways = (folder.joinpath(*steps[: length + 1]) for length in range(len(steps)))
    return any(way.is_symlink() for way in ways)
