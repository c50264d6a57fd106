"""The part files that Asterisk would write, in sound: a tone where it hears, zeros where muted.

Turnrec looks at these files and joins them; they are as long as the simulated time that passed.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from turnrec.recordings.wav_writer import HEADER

RATE_HZ: Final = 8_000
MIX, CALLER, OTHERS = 1_000, 600, 400
"""How loud each file of a monitor is: the directions add up to the mix, and are no silence."""
_BLOCK_SAMPLES: Final = 1 << 20
_SECOND_US: Final = 1_000_000


@dataclass(slots=True)
class SimulatedMonitor:
    """One MixMonitor and its files: the mix, and the two directions where they are asked for."""

    id: str
    file: str
    """As Asterisk was told."""
    paths: dict[Path, int]
    """Each with its loudness."""
    began_us: int
    muted: bool = False
    _changes: list[tuple[int, bool]] = field(default_factory=list)

    def open(self) -> None:
        """Write what a running monitor has written: a header without sizes."""
        for path in self.paths:
            path.write_bytes(bytes(HEADER.size))

    def mute(self, at_us: int, *, muted: bool) -> None:
        """Write zeros from now on, or what is heard."""
        if muted != self.muted:
            self.muted = muted
            self._changes.append((at_us, muted))

    def close(self, at_us: int) -> None:
        """Write the files out."""
        for path, loudness in self.paths.items():
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
                for samples, is_muted in self._stretches(at_us):
                    for size in _blocks(samples):
                        block = np.full(size, 0 if is_muted else loudness, "<i2")
                        file.writeframesraw(block.tobytes())

    def _stretches(self, at_us: int) -> Iterator[tuple[int, bool]]:
        """How many samples are heard or muted, in turn."""
        position, is_muted = 0, False
        for change_us, becomes_muted in (*self._changes, (at_us, False)):
            end = round((change_us - self.began_us) * RATE_HZ / _SECOND_US)
            yield end - position, is_muted
            position, is_muted = end, becomes_muted


def _blocks(samples: int) -> Iterator[int]:
    while samples > 0:
        yield min(samples, _BLOCK_SAMPLES)
        samples -= _BLOCK_SAMPLES
