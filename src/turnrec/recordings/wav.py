"""Reads the WAV files that Asterisk leaves, whole or broken; it never writes and knows no call.

    PartError                     a part that gives no audio
    ├── PartMissingError              part-missing
    ├── PartEmptyError                part-empty      0 bytes, or it ends inside its header
    ├── PartForeignError              part-foreign    not a file of ours, or not 16-bit PCM
    ├── PartFormatError               part-format     another rate or number of channels
    └── PartUnreadableError           part-unreadable the disk or the rights say no

**Never read a live file.** While a monitor runs, its header says 0 and its size moves in steps of
32 KiB: it would be taken for one that a crash left, and mended. The caller knows that every
monitor has ended. Files are read, not mapped: one that is truncated while mapped kills the process.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from turnrec.core.errors import TurnrecError

Samples: TypeAlias = npt.NDArray[np.int16]
"""Mono: one axis. Stereo: one row a frame."""

BLOCK_FRAMES: Final = 1 << 16
"""How much audio is in memory at a time (8 s at 8 kHz)."""
PCM: Final = 1
SAMPLE_BYTES: Final = 2
MAX_RATE_HZ: Final = 192_000
"""A sample is longer than the microsecond that call times are rounded to, so none is lost."""
_MAX_FILE_BYTES: Final = 1 << 32
"""No WAV can say that it is longer: 74 hours of mono at 8 kHz."""
_MAX_CHUNKS: Final = 1_000


class PartError(TurnrecError):
    """A part that gives no audio. Its name and the reason are in the message."""

    id = "part-error"

    def __init__(self, path: Path, reason: str) -> None:
        self.name = path.name
        self.reason = reason
        super().__init__(f"part {path.name}: {reason}")


class PartMissingError(PartError):
    """There is no such file."""

    id = "part-missing"


class PartEmptyError(PartError):
    """The disk was full when Asterisk opened it, or it was cut inside the header."""

    id = "part-empty"


class PartForeignError(PartError):
    """Not a regular file, or not a 16-bit PCM WAV."""

    id = "part-foreign"


class PartFormatError(PartError):
    """A good WAV, of another rate or number of channels than the recording."""

    id = "part-format"


class PartUnreadableError(PartError):
    """The operating system refuses to read it."""

    id = "part-unreadable"


@dataclass(frozen=True, slots=True)
class Part:
    """A WAV file whose writer has finished with it, as it was when it was hashed."""

    path: Path
    samples: int
    """Per channel."""
    rate_hz: int
    channels: int
    bytes: int
    sha256: str
    """Of the whole file as it lies on the disk, header included."""
    mended: bool
    """The header's size was wrong (Asterisk died), and the file's own was taken."""
    data_offset: int

    def blocks(self, start: int = 0, count: int | None = None) -> Iterator[Samples]:
        """The samples from `start`, block by block, so that an hour needs no more than a second.

        Raises:
            PartError: the file is no longer there, or shorter than it was.
        """
        left = self.samples - start if count is None else count
        frame_bytes = self.channels * SAMPLE_BYTES
        with _open_part(self.path) as file:
            file.seek(self.data_offset + start * frame_bytes)
            while left > 0:
                data = _read(file, self.path, min(left, BLOCK_FRAMES) * frame_bytes)
                if len(data) < min(left, BLOCK_FRAMES) * frame_bytes:
                    raise PartUnreadableError(self.path, "it has become shorter meanwhile")
                block = np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False)
                yield block if self.channels == 1 else block.reshape(-1, self.channels)
                left -= min(left, BLOCK_FRAMES)


def read_part(path: Path) -> Part:
    """Find a finished part's audio and hash the file. Symbolic links are not followed.

    Raises:
        PartError: it gives no audio; its subclass and id say why.
    """
    with _open_part(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise PartEmptyError(path, "it has 0 bytes (was the disk full?)")
        if size > _MAX_FILE_BYTES:
            raise PartForeignError(path, "it is longer than any WAV")
        rate_hz, channels, data_offset, declared = _find_data(file, path)
        data_bytes, mended = _measure(file, path, size, data_offset, declared)
        file.seek(0)
        sha256 = hashlib.sha256()
        while data := _read(file, path, BLOCK_FRAMES):
            sha256.update(data)
    samples = data_bytes // (channels * SAMPLE_BYTES)
    return Part(path, samples, rate_hz, channels, size, sha256.hexdigest(), mended, data_offset)


def _open_part(path: Path) -> IO[bytes]:
    # Without O_NONBLOCK a pipe laid into the spool would be waited for, for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise PartMissingError(path, "it is missing") from error
    except ValueError as error:  # a NUL, which only somebody else can have written
        raise PartForeignError(path, "no file has such a name") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise PartForeignError(path, "it is not a regular file") from error
        raise PartUnreadableError(path, str(error.strerror)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PartForeignError(path, "it is not a regular file")
    return os.fdopen(descriptor, "rb")


def _read(file: IO[bytes], path: Path, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise PartUnreadableError(path, str(error.strerror)) from error


def _find_data(file: IO[bytes], path: Path) -> tuple[int, int, int, int]:
    """Rate, channels, where the data chunk's bytes begin, and how many its header declares."""
    truncated = PartEmptyError(path, "it ends inside its header")
    riff = _read(file, path, 12)
    if not b"RIFF".startswith(riff[:4]) or not b"WAVE".startswith(riff[8:]):
        raise PartForeignError(path, "it is not a WAV file")
    form: tuple[int, int] | None = None
    for _ in range(_MAX_CHUNKS):
        header = _read(file, path, 8)
        if len(header) < 8:
            raise truncated
        name, size = struct.unpack("<4sI", header)
        if name == b"data" and form is not None:
            return (*form, file.tell(), size)
        if name == b"fmt ":
            body = _read(file, path, 16)
            if len(body) < 16:
                raise truncated
            form = _format(body, path)
            size -= 16
        if size < 0 or name == b"data":
            raise PartForeignError(path, "its chunks are in disorder")
        file.seek(size + size % 2, os.SEEK_CUR)
    raise PartForeignError(path, "its chunks are in disorder")


def _format(body: bytes, path: Path) -> tuple[int, int]:
    codec, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", body)
    if codec != PCM or bits != 8 * SAMPLE_BYTES:
        raise PartForeignError(path, f"it is not 16-bit PCM (codec {codec}, {bits} bits)")
    is_rate = 0 < rate_hz <= MAX_RATE_HZ
    if channels not in (1, 2) or frame_bytes != channels * SAMPLE_BYTES or not is_rate:
        raise PartForeignError(path, f"it has {channels} channels at {rate_hz} Hz")
    return rate_hz, channels


def _measure(
    file: IO[bytes], path: Path, size: int, data_offset: int, declared: int
) -> tuple[int, bool]:
    """How many bytes of audio there are, and whether the header was wrong about it."""
    present = size - data_offset
    if declared >= present:
        return present, declared > present
    file.seek(4)
    (riff_bytes,) = struct.unpack("<I", _read(file, path, 4))
    file.seek(data_offset + declared + declared % 2)
    trailer = _read(file, path, 8)
    if riff_bytes + 8 == size or _is_chunk(trailer, size - file.tell()):
        return declared, False
    return present, True


def _is_chunk(header: bytes, following: int) -> bool:
    if len(header) < 8:
        return False
    name, size = struct.unpack("<4sI", header)
    return all(32 <= byte < 127 for byte in name) and bool(size + size % 2 == following)
