"""What a timeline is made of, and what makes it contradict itself; it never places anything."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from turnrec.core.policy import PauseMethod


class TimelineError(ValueError):
    """Segments, gaps and parts that contradict each other; the message names which."""


@dataclass(frozen=True, slots=True)
class Segment:
    """An audible stretch as Asterisk's answers bounded it. Instants are UTC microseconds."""

    number: int
    part: str
    """The part's file name in the spool."""
    began_us: int
    """The instant of the answer to its start."""
    ended_us: int | None
    """The instant of the answer to its end. None: never seen (a crash)."""
    offset_us: int = 0
    """Method mute: where in the shared part this stretch begins."""
    took_us: int = 0
    """How long the answer to its start took: it may have begun as much before `began_us`."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch deliberately not recorded, and why.

    It may overlap the edge of a segment, whose bounds then count: a gap begins with its request,
    and ending a monitor takes as long as Asterisk's disk blocks.
    """

    began_us: int
    ended_us: int
    sources: tuple[str, ...] = ()
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Segments and gaps that agree with each other."""

    ends_us: tuple[int, ...]
    """Every segment's end: the one that was seen, or the next thing known."""
    gaps_by_hole: tuple[tuple[Gap, ...], ...]
    """The gaps before each segment, and at last those after the last one."""


def check(
    opened_us: int,
    closed_us: int,
    segments: Sequence[Segment],
    gaps: Sequence[Gap],
    part_samples: Mapping[str, int],
    method: PauseMethod,
) -> Bounds:
    """Find out whether the input can be laid out.

    Raises:
        TimelineError: it cannot; the first contradiction is named.
    """
    _check_frame(opened_us, closed_us, gaps)
    ends_us = _ends_us(segments, gaps, closed_us)
    _check_segments(segments, ends_us, opened_us, closed_us)
    _check_parts(segments, part_samples, method)
    begans_us = [*(segment.began_us for segment in segments), closed_us]
    holes: list[list[Gap]] = [[] for _ in begans_us]
    for gap in gaps:
        holes[_hole_of(gap, begans_us, ends_us, opened_us)].append(gap)
    return Bounds(ends_us, tuple(tuple(hole) for hole in holes))


def _check_frame(opened_us: int, closed_us: int, gaps: Sequence[Gap]) -> None:
    if opened_us < 0 or closed_us < opened_us:
        raise TimelineError(f"a recording cannot last from {opened_us} to {closed_us}")
    for gap in gaps:
        if gap.ended_us < gap.began_us:
            raise TimelineError(f"{_name(gap)} ends before it begins")
    for gap, following in pairwise(gaps):
        if following.began_us < gap.ended_us:
            raise TimelineError(f"{_name(following)} begins before {_name(gap)} has ended")


def _ends_us(segments: Sequence[Segment], gaps: Sequence[Gap], closed_us: int) -> tuple[int, ...]:
    gap_begans_us = [gap.began_us for gap in gaps]
    ends_us = []
    for index, segment in enumerate(segments):
        ended_us = segment.ended_us
        if ended_us is None:
            ended_us = closed_us
            if index + 1 < len(segments):
                ended_us = min(ended_us, segments[index + 1].began_us)
            next_gap = bisect_left(gap_begans_us, segment.began_us)
            if next_gap < len(gaps):
                ended_us = min(ended_us, gap_begans_us[next_gap])
        ends_us.append(ended_us)
    return tuple(ends_us)


def _check_segments(
    segments: Sequence[Segment], ends_us: Sequence[int], opened_us: int, closed_us: int
) -> None:
    for segment, following in pairwise(segments):
        if following.number <= segment.number or following.began_us < segment.began_us:
            raise TimelineError(f"segment {following.number} is listed after {segment.number}")
    for segment, ended_us in zip(segments, ends_us, strict=True):
        if segment.began_us < opened_us:
            raise TimelineError(f"segment {segment.number} begins before the recording")
        if ended_us < segment.began_us:
            raise TimelineError(f"segment {segment.number} ends before it begins")
        if ended_us > closed_us:
            raise TimelineError(f"segment {segment.number} ends after the recording")
    for ended_us, (segment, following) in zip(ends_us[:-1], pairwise(segments), strict=True):
        if following.began_us < ended_us:
            raise TimelineError(
                f"segment {following.number} begins before segment {segment.number} has ended"
            )


def _check_parts(
    segments: Sequence[Segment], part_samples: Mapping[str, int], method: PauseMethod
) -> None:
    last: dict[str, Segment] = {}
    previous: Segment | None = None
    for segment in segments:
        name = f"segment {segment.number}"
        if part_samples.get(segment.part, -1) < 0:
            raise TimelineError(f"{name} has a part of unknown length, {segment.part!r}")
        if segment.offset_us < 0:
            raise TimelineError(f"{name} has a negative offset")
        shares = last.get(segment.part)
        if method is PauseMethod.SEGMENT and (shares or segment.offset_us):
            raise TimelineError(f"{name} has no part of its own, which method mute alone allows")
        if shares is not None and shares is not previous:
            raise TimelineError(f"{name} goes back to part {segment.part!r}, which had ended")
        if shares is not None and segment.offset_us < shares.offset_us:
            raise TimelineError(
                f"{name} lies before segment {shares.number} in part {segment.part!r}"
            )
        last[segment.part] = previous = segment


def _hole_of(gap: Gap, begans_us: Sequence[int], ends_us: Sequence[int], opened_us: int) -> int:
    """Which hole a gap lies in: the number of segments before it.

    `begans_us` are where the holes end, the close included. A gap without a hole means that a
    segment was recorded during a pause, which no file may be made from.
    """
    segments = len(ends_us)
    hole = bisect_left(begans_us, gap.ended_us, hi=segments)
    if hole and gap.ended_us < ends_us[hole - 1]:
        hole -= 1
    if hole and gap.began_us < begans_us[hole - 1]:
        raise TimelineError(f"a segment was recorded during {_name(gap)}")
    begin_us = max(gap.began_us, ends_us[hole - 1] if hole else opened_us)
    end_us = min(gap.ended_us, begans_us[hole])
    if end_us < begin_us or (end_us == begin_us and gap.began_us < gap.ended_us):
        raise TimelineError(f"{_name(gap)} lies inside a segment, or outside the recording")
    return hole


def _name(gap: Gap) -> str:
    why = "+".join(gap.sources) or "nobody"
    return f"the gap of {why} at {gap.began_us}"
