"""A sound's outline for a drawing, block by block: its memory doesn't grow with the length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from turnrec.recordings.sound import SoundChangedError, SoundReader

_FULL_SCALE = 1 << 15


@dataclass(frozen=True, slots=True)
class Peaks:
    """The lowest and the highest of equally many samples each."""

    rate_hz: int
    samples: int
    lowest: npt.NDArray[np.int16]
    highest: npt.NDArray[np.int16]

    def points(self) -> list[list[float]]:
        """In -1 to 1, to four digits: finer than any screen."""
        pairs = np.stack((self.lowest, self.highest), axis=1) / _FULL_SCALE
        found: list[list[float]] = np.round(pairs, 4).tolist()
        return found


def peaks_of(path: Path, sha256: str, points: int) -> Peaks:
    """Find a file's outline; fewer points where it has fewer samples. It blocks.

    Args:
        path: a file of one channel; of several, all count.
        sha256: what it must be.
        points: how many at most, from 1 on.

    Raises:
        SoundChangedError: it is another file.
        SoundUnreadableError: it is no sound that can be read.
    """
    with SoundReader(path) as reader:
        if reader.sha256 != sha256:
            raise SoundChangedError(path, "the ledger")
        count = min(points, reader.samples)
        lowest = np.full(count, np.iinfo(np.int16).max, np.int16)
        highest = np.full(count, np.iinfo(np.int16).min, np.int16)
        # Point n begins at the first sample that isn't before its share.
        begins = -(-np.arange(count, dtype=np.int64) * reader.samples // max(count, 1))
        at = 0
        for block in reader.blocks(reader.samples):
            end = at + len(block)
            first = int(np.searchsorted(begins, at, "right")) - 1
            behind = int(np.searchsorted(begins, end, "left"))
            cuts = np.maximum(begins[first:behind] - at, 0)
            low = np.minimum.reduceat(block, cuts).reshape(behind - first, -1).min(axis=1)
            high = np.maximum.reduceat(block, cuts).reshape(behind - first, -1).max(axis=1)
            np.minimum(lowest[first:behind], low, out=lowest[first:behind])
            np.maximum(highest[first:behind], high, out=highest[first:behind])
            at = end
        return Peaks(reader.rate_hz, reader.samples, lowest, highest)
