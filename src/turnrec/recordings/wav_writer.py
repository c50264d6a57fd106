"""Writes one WAV so that it is there whole or not at all; it never replaces a file.

RecordingError                a file that could not be made
├── RecordingExistsError          recording-exists
├── RecordingNotWrittenError      recording-not-written
└── (join) RecordingNotVerifiedError, UnsafeNameError
"""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from turnrec.core.errors import TurnrecError
from turnrec.recordings.disk import sync_folder
from turnrec.recordings.wav import BLOCK_FRAMES, PCM, SAMPLE_BYTES, Samples

HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
"""The same 44 bytes that Asterisk writes."""
MODE: Final = 0o640
MAX_DATA_BYTES: Final = 0xFFFFFFFF - HEADER.size
"""What a WAV's 32-bit sizes can say: 74 hours of mono at 8 kHz."""


class RecordingError(TurnrecError):
    """A file that could not be made. Nothing of it is left under its name."""

    id = "recording-error"


class RecordingExistsError(RecordingError):
    """Something lies at the target already; it is left as it is."""

    id = "recording-exists"

    def __init__(self, target: Path) -> None:
        super().__init__(f"{target.name} exists already and is never overwritten")


class RecordingNotWrittenError(RecordingError):
    """The disk is full, the folder is gone, the rights are missing, or it is too long."""

    id = "recording-not-written"

    def __init__(self, target: Path, reason: str) -> None:
        super().__init__(f"{target.name} could not be written: {reason}")


Link = Callable[[Path, Path], None]
"""Gives a file a second name and raises FileExistsError where that is taken, as `os.link` does."""


class WavWriter:
    """One file under a temporary name, which gets its own once it is complete.

    `write` and `write_silence`, then `seal`: from then on it can be read at `path`. `publish`
    gives it the target's name. Leaving the block takes away whatever was not published; after a
    crash of ours a hidden `.{name}.{16 hex digits}.tmp` may be left beside the target.
    """

    def __init__(
        self, target: Path, rate_hz: int, channels: int = 1, *, link: Link = os.link
    ) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        self._rate_hz = rate_hz
        self._frame_bytes = channels * SAMPLE_BYTES
        self._channels = channels
        self._data_bytes = 0
        self._link = link
        with self._disk_errors():
            self._file = self._create()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # a full disk says so once more when the buffer is flushed
            self._file.close()
        self.path.unlink(missing_ok=True)

    def write(self, block: Samples) -> None:
        """Append audio."""
        self._append(block.astype("<i2", copy=False).tobytes())

    def write_silence(self, frames: int) -> None:
        """Append digital silence."""
        zeros = bytes(min(frames, BLOCK_FRAMES) * self._frame_bytes)
        while frames > 0:
            self._append(zeros[: frames * self._frame_bytes])
            frames -= BLOCK_FRAMES

    def seal(self) -> None:
        """Write the header and put everything on the disk. Nothing can be appended any more."""
        with self._disk_errors():
            self._file.seek(0)
            self._file.write(self._header())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def publish(self) -> None:
        """Give the sealed file the target's name, and put that on the disk too.

        Raises:
            RecordingExistsError: the name is taken.
        """
        if not self._file.closed:
            raise ValueError("only a sealed file can be published")
        with self._disk_errors():
            try:
                self._link(self.path, self.target)
            except FileExistsError:
                raise
            except OSError:
                self._rename()
            try:
                sync_folder(self.target.parent)
            except OSError:
                self.target.unlink()
                raise

    def _rename(self) -> None:
        """For file systems without hard links: take the name first, exclusively, then fill it.

        A crash in between leaves an empty file there, never half a recording.
        """
        os.close(os.open(self.target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, MODE))
        try:
            self.path.replace(self.target)
        except OSError:
            self.target.unlink()
            raise

    def _create(self) -> IO[bytes]:
        if os.path.lexists(self.target):
            raise FileExistsError
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, MODE)
        os.fchmod(descriptor, MODE)  # whatever the umask took away
        file = os.fdopen(descriptor, "wb")
        file.write(bytes(HEADER.size))
        return file

    def _append(self, data: bytes) -> None:
        self._data_bytes += len(data)
        if self._data_bytes > MAX_DATA_BYTES:
            raise RecordingNotWrittenError(self.target, "a WAV cannot be longer than 4 GiB")
        with self._disk_errors():
            self._file.write(data)

    def _header(self) -> bytes:
        return wav_header(self._rate_hz, self._channels, self._data_bytes // self._frame_bytes)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError as error:
            raise RecordingExistsError(self.target) from error
        except OSError as error:
            raise RecordingNotWrittenError(self.target, str(error.strerror)) from error


def wav_header(rate_hz: int, channels: int, samples: int) -> bytes:
    """The 44 bytes before so many samples a channel, as turnrec and Asterisk write them."""
    frame_bytes = channels * SAMPLE_BYTES
    data_bytes = samples * frame_bytes
    return HEADER.pack(
        b"RIFF",
        HEADER.size - 8 + data_bytes,
        b"WAVE",
        b"fmt ",
        16,
        PCM,
        channels,
        rate_hz,
        rate_hz * frame_bytes,
        frame_bytes,
        8 * SAMPLE_BYTES,
        b"data",
        data_bytes,
    )
