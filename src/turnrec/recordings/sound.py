"""Sound files of the formats that turnrec hands out, read and written block by block; no calls.

WAV and FLAC hold the very samples. Opus holds what an ear needs of them, at the same place: its
delay is taken out again when it is read. Nothing is ever resampled.
"""

from __future__ import annotations

import enum
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import soundfile

from turnrec.recordings.wav import BLOCK_FRAMES, Samples
from turnrec.recordings.wav_writer import (
    RecordingError,
    RecordingNotWrittenError,
    WavWriter,
)

_HASH_BYTES: Final = 1 << 20
_MAGIC: Final = frozenset({b"RIFF", b"fLaC", b"OggS"})


class SoundFormat(enum.StrEnum):
    """What a file is written as."""

    WAV = "wav"
    FLAC = "flac"
    OPUS = "opus"

    @property
    def is_lossless(self) -> bool:
        """Whether the very samples can be read back."""
        return self is not SoundFormat.OPUS


FORMAT_BY_SUFFIX: Final = {
    ".wav": SoundFormat.WAV,
    ".flac": SoundFormat.FLAC,
    ".opus": SoundFormat.OPUS,
    ".ogg": SoundFormat.OPUS,
}
_CODED: Final = {SoundFormat.FLAC: ("FLAC", "PCM_16"), SoundFormat.OPUS: ("OGG", "OPUS")}
_FORMS: Final = {
    ("WAV", "PCM_16"): SoundFormat.WAV,
    **{names: form for form, names in _CODED.items()},
}
_OPUS_RATES_HZ: Final = (8_000, 12_000, 16_000, 24_000, 48_000)


class SoundUnreadableError(RecordingError):
    """A file that is missing, empty, truncated or no sound at all."""

    id = "sound-unreadable"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path.name}: {reason}")


class SoundChangedError(RecordingError):
    """A file that isn't the one that was entered or mapped: nothing is made of it."""

    id = "recording-changed"

    def __init__(self, path: Path, by: str) -> None:
        super().__init__(
            f"{path.name} is not the file that {by} names: its SHA-256 differs, so it was changed,"
            " cut short or exchanged; nothing was made of it"
        )


class SoundReader:
    """One open sound file, hashed first and then read from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        """Open and hash it. Symbolic links are not followed.

        Raises:
            SoundUnreadableError: it is no sound that can be read.
        """
        self.path = path
        self._descriptor = _open(path)
        try:
            self.sha256 = hash_descriptor(self._descriptor)
            if os.pread(self._descriptor, 4, 0) not in _MAGIC:
                raise OSError("none of ours")  # noqa: TRY301 - libsndfile would try thirty others
            self._sound: Any = soundfile.SoundFile(self._descriptor, "r", closefd=False)
        except (soundfile.LibsndfileError, OSError) as error:
            os.close(self._descriptor)
            raise SoundUnreadableError(path, "it is no sound file that can be read") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sound.close()
        os.close(self._descriptor)

    @property
    def rate_hz(self) -> int:
        """Samples a second."""
        return int(self._sound.samplerate)

    @property
    def channels(self) -> int:
        """1, or 2."""
        return int(self._sound.channels)

    @property
    def samples(self) -> int:
        """Per channel."""
        return int(self._sound.frames)

    @property
    def form(self) -> SoundFormat | None:
        """What it is; None: nothing that turnrec writes."""
        return _FORMS.get((self._sound.format, self._sound.subtype))

    def blocks(self, count: int) -> Iterator[Samples]:
        """The next `count` samples, block by block.

        Raises:
            SoundUnreadableError: it ends before.
        """
        while count > 0:
            try:
                block = self._sound.read(min(count, BLOCK_FRAMES), dtype="int16")
            except soundfile.LibsndfileError as error:
                raise SoundUnreadableError(self.path, "its sound is damaged") from error
            if len(block) == 0:
                raise SoundUnreadableError(self.path, f"it ends {count} samples too early")
            yield np.asarray(block, dtype=np.int16)
            count -= len(block)

    def skip(self, count: int) -> None:
        """Leave the next `count` samples out."""
        for _ in self.blocks(count):
            pass


class CodedWriter(WavWriter):
    """A FLAC or Ogg Opus file under a temporary name: written, sealed and published like a WAV."""

    def __init__(self, target: Path, rate_hz: int, channels: int = 1, *, form: SoundFormat) -> None:
        if form is SoundFormat.OPUS and rate_hz not in _OPUS_RATES_HZ:
            raise RecordingNotWrittenError(target, f"Opus has no {rate_hz} samples a second")
        super().__init__(target, rate_hz, channels)
        self._file.flush()
        self._file.truncate(0)
        container, codec = _CODED[form]
        try:
            self._sound: Any = soundfile.SoundFile(
                self._file.fileno(),
                "w",
                rate_hz,
                channels,
                codec,
                format=container,
                closefd=False,
            )
        except soundfile.LibsndfileError as error:
            super().__exit__(None, None, None)
            raise RecordingNotWrittenError(target, str(error)) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(soundfile.LibsndfileError):  # a full disk says so when it is flushed
            self._sound.close()
        super().__exit__(kind, error, traceback)

    def seal(self) -> None:
        """End the stream and put everything on the disk."""
        try:
            self._sound.close()
        except soundfile.LibsndfileError as error:
            raise RecordingNotWrittenError(self.target, str(error)) from error
        with self._disk_errors():
            os.fsync(self._file.fileno())
            self._file.close()

    def _append(self, data: bytes) -> None:
        try:
            self._sound.buffer_write(data, dtype="int16")
        except soundfile.LibsndfileError as error:
            raise RecordingNotWrittenError(self.target, str(error)) from error


def sound_writer(target: Path, rate_hz: int, channels: int, form: SoundFormat) -> WavWriter:
    """Begin a file; see `WavWriter` for how it is written, sealed and published.

    Raises:
        RecordingError: something lies at the target already, or nothing can be written there.
    """
    if form is SoundFormat.WAV:
        return WavWriter(target, rate_hz, channels)
    return CodedWriter(target, rate_hz, channels, form=form)


def hash_file(path: Path) -> str:
    """The SHA-256 of a file as it lies on the disk. Symbolic links are not followed.

    Raises:
        SoundUnreadableError: it can't be read.
    """
    descriptor = _open(path)
    try:
        return hash_descriptor(descriptor)
    except OSError as error:
        raise SoundUnreadableError(path, str(error.strerror)) from error
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    # Without O_NONBLOCK a pipe would be waited for, for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise SoundUnreadableError(path, "it is missing") from error
    except ValueError as error:  # a NUL, which only somebody else can have written
        raise SoundUnreadableError(path, "no file has such a name") from error
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else str(error.strerror)
        raise SoundUnreadableError(path, reason) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SoundUnreadableError(path, "it is not a regular file")
    return descriptor


def hash_descriptor(descriptor: int) -> str:
    """SHA-256 of an open file, from where it stands; it is at its beginning afterwards."""
    digest = hashlib.sha256()
    while data := os.read(descriptor, _HASH_BYTES):
        digest.update(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return digest.hexdigest()
