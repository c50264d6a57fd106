"""Copies files whole or not at all, hashing what is read; it follows no link, decides nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from turnrec.recordings.disk import sync_folder

MODE: Final = 0o640
FOLDER_MODE: Final = 0o750
PASSING: Final = ".passing"
"""What a file's name ends with while it is being written."""
_CHUNK_BYTES: Final = 2**20


_SAME_NS: Final = 2_000_000_000
"""How far two times of change may be apart and still be one: some file systems keep no more."""


@dataclass(frozen=True, slots=True)
class Look:
    """What tells a file from a changed one, without reading it."""

    bytes: int
    modified_ns: int

    def is_like(self, other: Look) -> bool:
        """Whether both are one file and its copy, as far as can be told without reading."""
        apart_ns = abs(self.modified_ns - other.modified_ns)
        return self.bytes == other.bytes and apart_ns <= _SAME_NS


class UnreadableError(OSError):
    """A file that was to be read can't be, or is a link, a pipe, a folder."""


def look(path: Path) -> Look | None:
    """Look at a file; None where there is none.

    Raises:
        UnreadableError: it can't be looked at, or is no regular file.
    """
    with _reading(path):
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return Look(found.st_size, found.st_mtime_ns)


def hash_of(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        UnreadableError: it can't be read, or is no regular file.
    """
    digest = hashlib.sha256()
    with _opened(path) as file:
        for chunk in _chunks(path, file):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def passing_copy(source: Path, target: Path, mode: int = MODE) -> Iterator[tuple[Path, str]]:
    """Copy a file beside its target, and give the copy and its SHA-256; `place` puts it there.

    A copy that wasn't placed is taken away again.

    Raises:
        UnreadableError: it can't be read, or is no regular file.
        OSError: the copy can't be written.
    """
    passing = target.with_name(f".{target.name}{PASSING}")
    flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    digest = hashlib.sha256()
    try:
        with _opened(source) as reading, os.fdopen(os.open(passing, flags, mode), "wb") as writing:
            os.fchmod(writing.fileno(), mode)  # whatever the umask took away
            for chunk in _chunks(source, reading):
                digest.update(chunk)
                writing.write(chunk)
            writing.flush()
            found = os.fstat(reading.fileno())
            os.utime(writing.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(writing.fileno())
        yield passing, digest.hexdigest()
    finally:
        with suppress(OSError):
            passing.unlink(missing_ok=True)


def copy_file(source: Path, target: Path, mode: int = MODE) -> str:
    """Copy a file in the place of another; return its SHA-256.

    Raises:
        UnreadableError: it can't be read, or is no regular file.
        OSError: the copy can't be written.
    """
    with passing_copy(source, target, mode) as (passing, sha256):
        passing.replace(target)
    return sha256


def write_file(path: Path, data: bytes, mode: int = MODE) -> None:
    """Write a file in the place of another, on the disk when this returns.

    Raises:
        OSError: the disk or the rights say no.
    """
    passing = path.with_name(f".{path.name}{PASSING}")
    flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(passing, flags, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        passing.replace(path)
    finally:
        with suppress(OSError):
            passing.unlink(missing_ok=True)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, for the service and its group.

    Raises:
        OSError: it can't be made.
    """
    for each in (*reversed(folder.absolute().parents), folder):
        if not each.exists():
            each.mkdir(FOLDER_MODE, exist_ok=True)


def give_to_owner(root: Path, folder: Path) -> None:
    """Where root has made something in a folder, give it to the folder's owner."""
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    for at, _, names in os.walk(root):
        for path in (Path(at), *(Path(at) / name for name in names)):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    if not root.is_dir():
        os.chown(root, owner.st_uid, owner.st_gid, follow_symlinks=False)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with _reading(path):
        # Without O_NONBLOCK a pipe of that name would be waited for, for ever.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.fdopen(os.open(path, flags), "rb")
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UnreadableError(errno.EINVAL, "it is no regular file", str(path))
        yield file


def _chunks(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    while True:
        with _reading(path):
            chunk = file.read(_CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tell a failure to read from one to write."""
    try:
        yield
    except OSError as error:
        raise UnreadableError(error.errno, error.strerror, str(path)) from error
