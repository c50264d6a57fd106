"""What is measured: how many calls, how they talk, and for how long; it runs nothing."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

GUARD_MS: Final = 80
"""The same for both arms; turnrec's default."""
MEDIAN_AIM: Final = 1.15
P99_AIM: Final = 1.3
DEFAULT_CALLS: Final = (1, 50, 100, 200)


class Arm(enum.StrEnum):
    """Who handles a call's turns."""

    BARE = "bare"
    TURNREC = "turnrec"


class Turn(enum.StrEnum):
    """What a turn does."""

    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Level:
    """One number of concurrent calls.

    A call alternates between a pause and a resume, `talk_s` apart, and is followed by another of
    the same arm when it has done `pairs` of them: calls begin and end all the time, as they do.
    """

    calls: int
    talk_s: float
    pairs: int
    ramp_s: float
    window_s: float

    @classmethod
    def of(cls, calls: int, *, quick: bool, window_s: float | None = None) -> Level:
        """Give the level for a number of calls.

        Few calls would have few turns: they talk for a shorter time.
        """
        if calls < 10:
            return cls(calls, 0.15, 10, 1.0, window_s or (8 if quick else 30))
        return cls(calls, 4.9, 6, 5.0, window_s or (7 if quick else 45))
