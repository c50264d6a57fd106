"""Where in a muted part its mutes lie, by the silence that they left; it never reads audio.

With method mute one part runs through all pauses, and Asterisk writes zeros in them. Wherever the
part stood still (no RTP came) or lost a packet, all that follows lies earlier in it than the clock
says. But a mute's zeros are as long as the mute was, have sound around them, and come in the mutes'
order. So mutes and silences are aligned, as many as can be; what is the same in every best
alignment has been found. A mute that a caller's own silence touches, or that is like another, is
not found, and there the clock's word counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from turnrec.core.timeline_input import Segment

_SECOND_US: Final = 1_000_000
_LEAST_MUTES: Final = 3
"""A mute of less than so many tolerances is like too many other silences."""
_MOST_PAIRS: Final = 1_000_000
"""So many take a second; a call with more of them is left to the clock."""

Silences = Mapping[str, Sequence[range]]
"""By part: where it holds nothing but zeros, in samples, in order."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Which of a part's samples are one segment's, as far as the mutes around it were found."""

    first: int | None = None
    """Where the mute before it ends; None: it wasn't found."""
    last: int | None = None
    """Where the mute after it begins; None likewise."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a mute may lie from where the clock puts it in its part."""

    early_us: int
    late_us: int


@dataclass(frozen=True, slots=True)
class _Mute:
    """A mute, where and as long as the clock has it, between two segments of one part."""

    before: Segment
    after: Segment
    begin_us: int
    lasts_us: int


def find_sounds(
    segments: Sequence[Segment],
    silences: Silences,
    reaches: Mapping[str, Reach],
    *,
    tolerance_us: int,
    rate_hz: int,
) -> dict[int, Sound]:
    """Find each segment's sound in its shared part, where the mutes around it tell.

    Args:
        segments: in order, each with its offset in its part by the clock.
        silences: where each part is silent.
        reaches: how far each part's mutes may lie from their places by the clock.
        tolerance_us: how far a mute's length may be from the clock's.
        rate_hz: samples a second.

    Returns:
        By the segment's number; those of which nothing was found are left out.
    """
    sounds: dict[int, Sound] = {}
    for part, reach in reaches.items():
        held = silences.get(part, ())
        mutes = [one for one in _mutes(segments, tolerance_us) if one.before.part == part]
        fits = [
            [_fits(mute, silence, reach, tolerance_us, rate_hz) for silence in held]
            for mute in mutes
        ]
        for row, column in _in_every_best_alignment(fits):
            mute, silence = mutes[row], held[column]
            before = sounds.get(mute.before.number, Sound())
            sounds[mute.before.number] = replace(before, last=silence.start)
            sounds[mute.after.number] = Sound(first=silence.stop)
    return sounds


def _mutes(segments: Sequence[Segment], tolerance_us: int) -> list[_Mute]:
    found = []
    for before, after in pairwise(segments):
        if before.part == after.part and before.ended_us is not None:
            begin_us = before.offset_us + before.ended_us - before.began_us
            lasts_us = after.offset_us - begin_us
            if lasts_us >= _LEAST_MUTES * tolerance_us:
                found.append(_Mute(before, after, begin_us, lasts_us))
    return found


def _fits(mute: _Mute, silence: range, reach: Reach, tolerance_us: int, rate_hz: int) -> bool:
    late_us = silence.start * _SECOND_US // rate_hz - mute.begin_us
    longer_us = len(silence) * _SECOND_US // rate_hz - mute.lasts_us
    is_near = -reach.early_us <= late_us <= reach.late_us
    return is_near and abs(longer_us) <= tolerance_us + mute.after.took_us


def _in_every_best_alignment(fits: Sequence[Sequence[bool]]) -> list[tuple[int, int]]:
    """The pairs that every longest common subsequence of rows and columns has.

    Args:
        fits: by row and column, whether the two can be a pair.

    Returns:
        The row and the column of each, in order.
    """
    rows, columns = len(fits), len(fits[0]) if fits else 0
    if not columns or rows * columns > _MOST_PAIRS:
        return []
    # The longest of the rows and columns before a point, and of those from it on.
    before = [[0] * (columns + 1) for _ in range(rows + 1)]
    for row in range(rows):
        for column in range(columns):
            paired = before[row][column] + fits[row][column]
            best = max(before[row][column + 1], before[row + 1][column], paired)
            before[row + 1][column + 1] = best
    onward = [[0] * (columns + 1) for _ in range(rows + 1)]
    for row in reversed(range(rows)):
        for column in reversed(range(columns)):
            paired = onward[row + 1][column + 1] + fits[row][column]
            best = max(onward[row + 1][column], onward[row][column + 1], paired)
            onward[row][column] = best
    most = before[rows][columns]
    sure = []
    for row in range(rows):
        without = max(before[row][at] + onward[row + 1][at] for at in range(columns + 1))
        pairs = [
            column
            for column in range(columns)
            if fits[row][column] and before[row][column] + 1 + onward[row + 1][column + 1] == most
        ]
        if without < most and len(pairs) == 1:
            sure.append((row, pairs[0]))
    return sure
