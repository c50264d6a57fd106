"""What the demo looks for in its recording: whose voice is in it, and whose is not.

A voice that is known to the sample is looked for by correlation: 1.0 is the very clip, and speech
that isn't there stays far below. It reads the finished file and nothing of turnrec's own.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

PRESENT: Final = 0.7
"""u-law coding and the other party's voice on top leave a clip that is there above this."""
ABSENT: Final = 0.4
"""Different words of the same voice stay below this."""
_SLICE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """How surely a clip is in a recording."""

    clip: str
    likeness: float
    wanted: bool

    @property
    def as_wanted(self) -> bool:
        """Whether it is there if it should be, and not if it shouldn't."""
        return self.likeness >= PRESENT if self.wanted else self.likeness <= ABSENT


def read(path: Path) -> Samples:
    """The samples of a mono 16-bit WAV."""
    with wave.open(str(path), "rb") as file:
        frames = file.readframes(file.getnframes())
    return np.frombuffer(frames, dtype="<i2").astype(np.float64)


def look_for(clip: Path, recording: Samples, rate_hz: int, *, wanted: bool) -> Found:
    """Look for a clip in a recording, second by second.

    A clip that should be there must be there throughout: its likeness is its least like second.
    For one that shouldn't, every second counts: it is the most like one.
    """
    said = read(clip)
    length = round(_SLICE_S * rate_hz)
    slices = [said[at : at + length] for at in range(0, len(said) - length // 2, length)]
    likenesses = [_likeness(one, recording) for one in slices if len(one) > length // 2]
    choose = min if wanted else max
    return Found(clip.stem, choose(likenesses), wanted)


def _likeness(said: Samples, recording: Samples) -> float:
    """The highest normalised correlation of `said` with any place of `recording`."""
    # The file may end a packet before the clip does.
    recording = np.pad(recording, (0, len(said)))
    size = 1 << (len(recording) + len(said) - 1).bit_length()
    spectrum = np.fft.rfft(recording, size) * np.conj(np.fft.rfft(said, size))
    overlap = np.fft.irfft(spectrum, size)[: len(recording) - len(said) + 1]
    squares = np.concatenate(([0.0], np.cumsum(recording**2)))
    energy = squares[len(said) :] - squares[: -len(said)]
    norm = np.sqrt(np.maximum(energy, 1.0) * np.sum(said**2))
    return float(np.max(np.abs(overlap) / norm))
