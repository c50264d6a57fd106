"""Tells whether one side of a talk is missing from its part; it reads audio and changes nothing.

While a caller talks to somebody, MixMonitor writes each direction beside the mix (options `r` and
`t`). A side without any sound is told: Debian's Asterisk 22.10.1 can lose a new agent's voice from
the recording while the caller still hears it (asterisk-facts.md).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from turnrec.core.monitor import side_parts
from turnrec.recordings.wav import PartError, read_part

QUIETEST_VOICE: Final = 64
"""The largest sample of a side without a voice: -54 dB of full scale. Comfort noise and the steps
of u-law around zero (8) lie below, a whispering caller (300 and more) above."""
LEAST_SECONDS: Final = 1.0
"""A shorter side isn't judged: somebody may just not have spoken yet."""


class Side(enum.StrEnum):
    """Whose voice it is: what the recorded channel sent, or what was sent to it."""

    CALLER = "caller"
    OTHERS = "others"


def silent_sides(spool: Path, part: str) -> tuple[Side, ...]:
    """The sides of a part that hold no sound; none where the sides weren't written apart."""
    names = zip(Side, side_parts(part), strict=True)
    return tuple(side for side, name in names if _is_silent(spool / name))


def discard_sides(spool: Path, parts: Iterable[str]) -> None:
    """Delete the directions' files of these parts.

    Raises:
        OSError: the disk or the rights say no.
    """
    for part in parts:
        for name in side_parts(part):
            (spool / name).unlink(missing_ok=True)


def _is_silent(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        part = read_part(path)
    except PartError:
        return False  # what can't be read isn't said to be silent
    seconds = part.samples / part.rate_hz
    loudest = max((int(np.abs(block.astype(np.int32)).max()) for block in part.blocks()), default=0)
    return seconds >= LEAST_SECONDS and loudest <= QUIETEST_VOICE
