"""Part files as Asterisk leaves them: real bytes, written without any code of turnrec's."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

RATE_HZ = 8000


def tone(hz: float, samples: int, rate_hz: int = RATE_HZ) -> Samples:
    """A loud sine that is never 0 for long, so that its place is known to the sample."""
    wave = np.sin(2 * np.pi * hz * (np.arange(samples) + 0.5) / rate_hz)
    return (12_000 * wave).astype(np.int16)


def fmt(rate_hz: int = RATE_HZ, channels: int = 1, bits: int = 16, codec: int = 1) -> bytes:
    frame = channels * bits // 8
    body = struct.pack("<HHIIHH", codec, channels, rate_hz, rate_hz * frame, frame, bits)
    return chunk(b"fmt ", body)


def chunk(name: bytes, body: bytes, declared: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if declared is None else declared) + body


def riff(*chunks: bytes, declared: int | None = None) -> bytes:
    return chunk(b"RIFF", b"WAVE" + b"".join(chunks), declared)


def closed(samples: Samples, rate_hz: int = RATE_HZ, channels: int = 1) -> bytes:
    """A part whose monitor ended as it should."""
    return riff(fmt(rate_hz, channels), chunk(b"data", samples.astype("<i2").tobytes()))


def killed(samples: Samples, stray: bytes = b"") -> bytes:
    """A part whose Asterisk was killed: the sizes in the header are still 0."""
    data = samples.astype("<i2").tobytes() + stray
    return riff(fmt(), chunk(b"data", data, declared=0), declared=0)


def audio(path: Path) -> Samples:
    """The samples of a plain 44-byte-header WAV."""
    return np.frombuffer(path.read_bytes()[44:], dtype="<i2").astype(np.int16)
