"""What a reader gets to see of calls and recordings, as values; it reads no database.

Segments and gaps are worked out from a recording's entries, and divide its time without a rest.
Each boundary is drawn against us: a segment reaches from when its start was asked to when its end
was proven, so a gap is only what was certainly not captured.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from turnrec.core.entry import INT64_MAX, Entry, EntryKind
from turnrec.core.recorder import Source, State
from turnrec.ledger.entries import storable


class RecordingStatus(enum.StrEnum):
    """Where a recording is."""

    RECORDING = "recording"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    DELETED = "deleted"
    """Its files are gone; the ledger keeps what it was, when it went and why."""

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self not in (RecordingStatus.RECORDING, RecordingStatus.PAUSED)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, as its entries have left it."""

    call_id: str
    first_seq: int
    """The number of the entry that first named it: what calls are ordered by."""
    started_us: int
    uniqueid: str | None = None
    bot: str | None = None
    external_id: str | None = None
    channel: str | None = None
    ended_us: int | None = None
    state: State | None = None
    holds: tuple[Source, ...] = ()
    node: str | None = None
    turn: int | None = None

    @property
    def live(self) -> bool:
        """Whether no end of it has been seen."""
        return self.ended_us is None


@dataclass(frozen=True, slots=True)
class Segment:
    """An audible stretch: one monitor's life, one part file."""

    number: int
    part: str | None
    began_us: int
    """When its start was asked."""
    ended_us: int | None
    """When its end was proven; None while it runs."""
    offset_us: int
    """`began_us`, from the first segment's on."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch that was not recorded, and why."""

    began_us: int
    ended_us: int | None
    """None while it lasts."""
    holds: tuple[Source, ...]
    """Everybody who held the recorder during it, in the order in which they came; nobody where
    only the party changed."""
    node: str | None
    """Where it began."""
    turn: int | None


@dataclass(frozen=True, slots=True)
class RecordingRecord:
    """One recording, as its entries have left it."""

    recording_id: str
    first_seq: int
    """The number of the entry that first named it: what recordings are ordered by."""
    opened_us: int
    call_id: str | None = None
    bot: str | None = None
    closed_us: int | None = None
    status: RecordingStatus = RecordingStatus.PAUSED
    file: str | None = None
    samples: int | None = None
    rate_hz: int | None = None
    sha256: str | None = None
    segments: tuple[Segment, ...] = ()
    gaps: tuple[Gap, ...] = ()
    legal_hold: str | None = None
    """Why it must not be deleted; None where nothing forbids it."""
    behavior: str | None = None
    """What pauses are in its file (`silence` or `skip`); None while there is none."""


# ------------------------------------------------------------------ reading details


def detail_text(entry: Entry, key: str) -> str | None:
    """Return a text of `entry.detail` as a database can hold it; None if there is none."""
    value = entry.detail.get(key)
    return storable(value) if isinstance(value, str) else None


def detail_int(entry: Entry, key: str) -> int | None:
    """Return a number of `entry.detail` that a database can hold; None if there is none."""
    value = entry.detail.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT64_MAX:
        return value
    return None


# ------------------------------------------------------------------ segments and gaps

TIMELINE_KINDS: Final = (
    EntryKind.RECORDING_OPENED,
    EntryKind.SEGMENT_BEGAN,
    EntryKind.SEGMENT_ENDED,
    EntryKind.MONITOR_LOST,
    EntryKind.ACTION_ASKED,
    EntryKind.ACTION_DONE,
    EntryKind.ACTION_FAILED,
    EntryKind.RECORDING_CLOSED,
)
"""The kinds that `timeline` reads."""
HOLD_KINDS: Final = (EntryKind.LEGAL_HOLD, EntryKind.HOLD_RELEASED)
"""The kinds that `legal_hold` reads."""


def legal_hold(entries: Iterable[Entry]) -> str | None:
    """Return why one recording, by its entries in order, must not be deleted; None if it may."""
    reason: str | None = None
    for entry in entries:
        if entry.kind is EntryKind.LEGAL_HOLD:
            reason = detail_text(entry, "reason") or "no reason given"
        elif entry.kind is EntryKind.HOLD_RELEASED:
            reason = None
    return reason


def closed_behavior(entries: Iterable[Entry]) -> str | None:
    """Return what pauses are in one recording's file, by its entries; None if none says so."""
    closed = (one for one in entries if one.kind is EntryKind.RECORDING_CLOSED)
    return next((detail_text(one, "behavior") for one in closed), None)


def timeline(entries: Iterable[Entry]) -> tuple[tuple[Segment, ...], tuple[Gap, ...]]:
    """Return the segments and gaps that one recording's entries, in order, come to."""
    walk = _Timeline()
    for entry in entries:
        walk.over(entry)
    return tuple(walk.segments), tuple(walk.gaps)


class _Timeline:
    """Goes through one recording's entries; at most one segment or gap is open at a time."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.gaps: list[Gap] = []

    def over(self, entry: Entry) -> None:
        match entry.kind:
            case EntryKind.RECORDING_OPENED:
                self._open_gap(entry.at_us, entry)
            case EntryKind.SEGMENT_BEGAN:
                self._begin_segment(entry)
            case EntryKind.SEGMENT_ENDED | EntryKind.MONITOR_LOST:
                self._end_segment(entry)
                self._add_holds(entry)
            case EntryKind.ACTION_ASKED | EntryKind.ACTION_DONE | EntryKind.ACTION_FAILED:
                self._add_holds(entry)
            case EntryKind.RECORDING_CLOSED if "redacts" in entry.detail:
                self._take_spans(entry)
            case EntryKind.RECORDING_CLOSED:
                self._end_segment(entry)
                self._close(entry)

    def _begin_segment(self, entry: Entry) -> None:
        began_us = detail_int(entry, "asked_us") or entry.at_us
        # A segment whose end nobody noted ended at the latest when the next one began.
        self._end_segment(entry, began_us)
        self._close_gap(began_us)
        first_us = self.segments[0].began_us if self.segments else began_us
        self.segments.append(
            Segment(
                number=detail_int(entry, "number") or len(self.segments) + 1,
                part=detail_text(entry, "part"),
                began_us=began_us,
                ended_us=None,
                offset_us=began_us - first_us,
            )
        )

    def _end_segment(self, entry: Entry, ended_us: int | None = None) -> None:
        if not self.segments or self.segments[-1].ended_us is not None:
            return
        if ended_us is None:
            ended_us = detail_int(entry, "answered_us") or entry.at_us
        self.segments[-1] = replace(self.segments[-1], ended_us=ended_us)
        self._open_gap(ended_us, entry)

    def _open_gap(self, began_us: int, entry: Entry) -> None:
        self.gaps.append(Gap(began_us, None, entry.holds, entry.node, entry.turn))

    def _add_holds(self, entry: Entry) -> None:
        # The recorder changes only once its segment's end is proven: the holds come afterwards.
        if self.gaps and self.gaps[-1].ended_us is None:
            gap = self.gaps[-1]
            later = tuple(hold for hold in entry.holds if hold not in gap.holds)
            self.gaps[-1] = replace(gap, holds=gap.holds + later)

    def _close(self, entry: Entry) -> None:
        if self.gaps and self.gaps[-1].ended_us is None and not self.gaps[-1].holds:
            # Nobody held it: with its last segment the recording was over, and then it was joined.
            self.gaps.pop()
        self._close_gap(_joined_up_to_us(entry))

    def _take_spans(self, closed: Entry) -> None:
        """A redacted recording never ran: its one entry tells all."""
        spans = closed.detail.get("spans")
        for span in spans if isinstance(spans, list) else ():
            if not isinstance(span, dict):
                continue
            begin_us, end_us = span.get("begin_us"), span.get("end_us")
            if not isinstance(begin_us, int) or not isinstance(end_us, int) or begin_us >= end_us:
                continue
            if span.get("kind") == "segment":
                first_us = self.segments[0].began_us if self.segments else begin_us
                number, part = span.get("segment"), span.get("part")
                self.segments.append(
                    Segment(
                        number=number if isinstance(number, int) else len(self.segments) + 1,
                        part=part if isinstance(part, str) else None,
                        began_us=begin_us,
                        ended_us=end_us,
                        offset_us=begin_us - first_us,
                    )
                )
                continue
            words, node = span.get("sources"), span.get("node")
            holds = words if isinstance(words, list) else []
            self.gaps.append(
                Gap(
                    begin_us,
                    end_us,
                    tuple(Source(word) for word in map(str, holds) if word in set(Source)),
                    node if isinstance(node, str) else None,
                    None,
                )
            )

    def _close_gap(self, ended_us: int) -> None:
        if not self.gaps or self.gaps[-1].ended_us is not None:
            return
        gap = self.gaps.pop()
        if gap.began_us < ended_us:
            self.gaps.append(replace(gap, ended_us=ended_us))


def _joined_up_to_us(closed: Entry) -> int:
    """When a recording was over: joining it took a while, and its entry came after that."""
    spans = closed.detail.get("spans")
    last = spans[-1] if isinstance(spans, list) and spans else None
    ended_us = last.get("end_us") if isinstance(last, dict) else None
    return min(ended_us, closed.at_us) if isinstance(ended_us, int) else closed.at_us
