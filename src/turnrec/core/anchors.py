"""Where in a muted part its mutes lie, by the silence that they left; it never reads audio.

With method mute one part runs through all pauses, and Asterisk writes zeros in them. Where the part
stood still (no RTP came) all that follows lies earlier in it than the clock says. The clock looks
for it too late, which never finds a pause, but misses open audio. The mutes' zeros say where it is.

They are believed only where everything agrees: the part is silent for long exactly as often as it
was muted, in order, each time as long as that mute, and what it lacks only ever grows. Where a
caller was silent for long, the part is left to the clock; so is, by its caller, one that somebody
else may have unmuted: its silences needn't be our mutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from turnrec.core.timeline_input import Segment

LEAST_SILENCE_US: Final = 200_000
"""Shorter silences are between words."""
_LEAST_MUTE_US: Final = 360_000
_SHORTER_US: Final = 40_000
_LONGER_US: Final = 120_000
"""How much longer or shorter than its mute a silence is. What MixMonitor has not read yet is muted
as well (65 ms at 44 calls at once), and what it has not read when the mute ends is not: a silence
that is much shorter may end in a pause."""
_JITTER_US: Final = 60_000

Silences = Mapping[str, Sequence[range]]
"""By part: where it holds nothing but zeros for `LEAST_SILENCE_US` or longer, in samples."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Which of a part's samples lie between the mutes around one segment."""

    first: int | None
    """Where the mute before it ends; None: it is the part's first."""
    last: int | None
    """Where the mute after it begins; None: it is the part's last."""


def find_sounds(
    segments: Sequence[Segment],
    silences: Sequence[range],
    *,
    held: int,
    lacks_us: int,
    rate_hz: int,
) -> dict[int, Sound]:
    """Find the sound of each segment of one part between that part's mutes.

    Args:
        segments: all of the part's, in order, each with its offset by the clock.
        silences: where the part is silent.
        held: how many samples it has.
        lacks_us: what it lacks of its monitor's time.
        rate_hz: samples a second.

    Returns:
        By the segment's number; nothing at all where anything disagrees.
    """
    found = [one for one in silences if one.stop < held]  # it may end muted
    mutes = list(pairwise(segments))
    if not mutes or len(found) != len(mutes):
        return {}
    lacked_us = 0
    for (before, after), silence in zip(mutes, found, strict=True):
        if before.ended_us is None:
            return {}
        begin_us = before.offset_us + before.ended_us - before.began_us
        lasts_us = after.offset_us - begin_us
        longer_us = _us(len(silence), rate_hz) - lasts_us
        lacks_then_us = begin_us - _us(silence.start, rate_hz)
        lacks_after_us = after.offset_us - _us(silence.stop, rate_hz)
        agrees = (
            lasts_us >= _LEAST_MUTE_US
            and -_SHORTER_US <= longer_us <= _LONGER_US
            and lacked_us - _JITTER_US <= min(lacks_then_us, lacks_after_us)
            and max(lacks_then_us - _LONGER_US, lacks_after_us) <= lacks_us + _SHORTER_US
        )
        if not agrees:
            return {}
        lacked_us = max(lacked_us, lacks_after_us)
    edges = [None, *found, None]
    return {
        segment.number: Sound(
            None if left is None else left.stop, None if right is None else right.start
        )
        for segment, (left, right) in zip(segments, pairwise(edges), strict=True)
    }


def _us(samples: int, rate_hz: int) -> int:
    return samples * 1_000_000 // rate_hz
