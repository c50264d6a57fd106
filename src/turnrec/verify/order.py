"""Checks the order that the claim rests on, in one recording's ledger entries; it reads no sound.

That a file is silent in its gaps proves little, for joining wrote that silence. What proves a gap
is that its entries come in this order: the stop was asked, the monitor was seen gone, then whoever
asked was told and the turn let on; it was asked to record again, the guard passed, and only then
did the next monitor begin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from turnrec.core.entry import Entry, EntryKind
from turnrec.core.policy import Action, PauseMethod
from turnrec.core.recorder import Source, State
from turnrec.core.timeline import MARGIN_US, TOLERANCE_US
from turnrec.recordings.manifest import GapSpan, Instant, Stop
from turnrec.recordings.manifest_history import Numbered
from turnrec.verify.audio import Stretch, tolerance_us
from turnrec.verify.findings import Report

SEEN_GONE: Final = frozenset({"monitor gone, file closed", "monitor gone, it never had a file"})
"""The proofs of a stop after which no monitor of turnrec's is on the channel."""
SEEN_MUTED: Final = frozenset({"mute acknowledged, monitor present"})
_GUARD_SLACK_US: Final = 2_000
"""How much earlier than asked Asterisk's Wait may end: its clock ticks in milliseconds."""
_PLACE_US: Final = 250
"""A sample and its rounding, at 8 kHz."""
_CHANGES: Final = frozenset(
    {
        EntryKind.RECORDING_OPENED,
        EntryKind.SEGMENT_BEGAN,
        EntryKind.SEGMENT_ENDED,
        EntryKind.RECORDING_CLOSED,
        EntryKind.MONITOR_LOST,
    }
)


@dataclass(slots=True)
class OrderFound:
    """What the order proves."""

    gaps: int = 0
    """Gaps with a reason, whose order holds."""
    seams: int = 0
    least_guard_us: int | None = None
    muted: int = 0
    """How many of the gaps rest on an acknowledged mute, and not on a monitor's end."""


def check_order(
    report: Report, entries: Sequence[Numbered], spans: Sequence[Stretch], method: PauseMethod
) -> OrderFound:
    """Check one recording's entries, in the order of the chain, and the gaps that they come to.

    Args:
        report: what is found goes there.
        entries: the recording's own entries.
        spans: what the ledger itself says of the joined file (not the manifest).
        method: how pauses were made.
    """
    _check_sequence(report, entries)
    _check_times(report, entries)
    found = OrderFound()
    guards = {one.seq: one.entry.detail.get("guard_ms") for one in entries}
    for index, span in enumerate(spans):
        if not isinstance(span, GapSpan):
            continue
        if not span.sources:
            found.seams += 1
            continue
        before = spans[index - 1] if index else None
        following = spans[index + 1] if index + 1 < len(spans) else None
        name = f"the gap at {span.begin.utc} ({span.node or '+'.join(span.sources)})"
        known = len(report.findings)
        _check_edges(report, name, span, before, following, method)
        _check_stop(report, name, span)
        guard_us = _check_start(report, name, span, guards)
        if len(report.findings) > known:
            continue
        found.gaps += 1
        found.muted += span.stop is not None and span.stop.proof in SEEN_MUTED
        if guard_us is not None:
            least = found.least_guard_us
            found.least_guard_us = guard_us if least is None else min(least, guard_us)
    return found


def _check_sequence(report: Report, entries: Sequence[Numbered]) -> None:
    """No monitor begins before the one before has ended; none runs when a pause is confirmed."""
    running: int | None = None
    closed: int | None = None
    for one in entries:
        entry = one.entry
        if closed is not None and (entry.kind in _CHANGES or _confirms(entry)):
            report.wrong(
                "order-after-close",
                f"entry {one.seq} ({entry.kind}) changes a recording that entry {closed} closed",
            )
        match entry.kind:
            case EntryKind.SEGMENT_BEGAN:
                if running is not None:
                    report.wrong(
                        "order-overlap",
                        f"entry {one.seq} begins a segment; that of entry {running} has not ended",
                    )
                running = one.seq
            case EntryKind.SEGMENT_ENDED:
                running = None
            case EntryKind.RECORDING_CLOSED:
                closed = one.seq
            case EntryKind.ENTRY_LOST:
                report.unproven("entries-lost", f"entry {one.seq} says that entries were lost")
        if running is not None and _confirms(entry) and entry.state is State.PAUSED:
            report.wrong(
                "order-turn-before-stop",
                f"entry {one.seq} confirms a pause while the segment of entry {running} runs",
            )


def _confirms(entry: Entry) -> bool:
    return entry.kind in (EntryKind.ACTION_DONE, EntryKind.ACTION_FAILED)


def _check_times(report: Report, entries: Sequence[Numbered]) -> None:
    latest: Numbered | None = None
    for one in entries:
        if latest is not None and one.entry.at_us < latest.entry.at_us:
            report.wrong(
                "order-time", f"entry {one.seq} is earlier than entry {latest.seq} before it"
            )
        latest = one
        detail = one.entry.detail
        if one.entry.kind not in (EntryKind.SEGMENT_BEGAN, EntryKind.SEGMENT_ENDED):
            continue
        times = [detail.get("asked_us"), detail.get("answered_us"), one.entry.at_us]
        known = [time for time in times if isinstance(time, int)]
        if known != sorted(known):
            report.wrong("order-time", f"entry {one.seq} was answered before it was asked")


# ------------------------------------------------------------------ one gap


def _check_edges(
    report: Report,
    name: str,
    span: GapSpan,
    before: Stretch | None,
    following: Stretch | None,
    method: PauseMethod,
) -> None:
    """A gap reaches from the answer to one monitor's stop to the answer to the next one's start."""
    early_us = MARGIN_US if method is PauseMethod.MUTE else 0
    stop, start = span.stop, span.start
    if stop is not None and before is not None and not isinstance(before, GapSpan):
        ended_us = stop.acknowledged.us
        late_us = tolerance_us(ended_us - before.begin.us) + early_us
        if not ended_us - _PLACE_US <= span.begin.us <= ended_us + late_us + _PLACE_US:
            report.wrong(
                "gap-times", f"{name}: Asterisk's answer to the stop came {stop.acknowledged.utc}"
            )
    if start is not None and following is not None and not isinstance(following, GapSpan):
        began_us = start.acknowledged.us
        late_us = TOLERANCE_US if method is PauseMethod.MUTE else 0  # a mute's own zeros go on
        if not began_us - early_us - _PLACE_US <= span.end.us <= began_us + late_us + _PLACE_US:
            report.wrong(
                "gap-times",
                f"{name}: it ends {span.end.utc}, Asterisk's answer to the start came"
                f" {start.acknowledged.utc}",
            )


def _check_stop(report: Report, name: str, span: GapSpan) -> None:
    stop = span.stop
    if stop is None:
        if span.after_segment is not None:
            report.unproven("gap-unproven", f"{name}: the ledger has no end of the monitor before")
        return
    if stop.proof not in SEEN_GONE | SEEN_MUTED:
        report.unproven(
            "gap-unproven", f"{name}: the monitor was not seen gone ({stop.proof or 'no proof'})"
        )
        return
    done = span.done
    if done is None:
        if set(span.sources) != {Source.FAULT} and span.start is not None:
            report.unproven("gap-unproven", f"{name}: nobody was told that nothing is recorded")
        return
    if not _in_order(stop.asked, stop.acknowledged, done.at):
        report.wrong("order-time", f"{name}: the turn was let on before the monitor was seen gone")
    _check_wanted(report, name, span, stop)


def _check_wanted(report: Report, name: str, span: GapSpan, stop: Stop) -> None:
    """What asked for the stop comes before it."""
    asked = [one.asked for one in span.actions if one.asked and one.asked.seq < stop.seq]
    if stop.asked is not None and asked and asked[-1].at.us > stop.asked.us:
        report.wrong("order-time", f"{name}: the stop was sent before it was asked for")


def _check_start(
    report: Report, name: str, span: GapSpan, guards: Mapping[int, object]
) -> int | None:
    """The guard that passed; None where no monitor began after the gap."""
    start = span.start
    if start is None:
        if span.before_segment is not None:
            report.unproven("gap-unproven", f"{name}: the ledger has no start of the monitor after")
        return None
    wanted = [
        one
        for one in span.actions
        if one.asked is not None
        and one.asked.seq < start.seq
        and (one.outcome is None or one.outcome.seq > start.seq)
    ]
    if not wanted or wanted[-1].action not in (Action.RESUME, Action.START):
        report.wrong("order-unasked", f"{name}: nobody had asked for the segment after it")
        return None
    asked = wanted[-1].asked
    stopped = None if span.stop is None else span.stop.acknowledged
    done = None if span.done is None else span.done.at
    if not _in_order(stopped, done, asked.at if asked else None, start.asked, start.acknowledged):
        report.wrong("order-time", f"{name}: the segment after it was begun too early")
        return None
    guard_us = start.asked.us - asked.at.us if asked else 0
    least_ms = guards.get(start.seq)
    if isinstance(least_ms, int) and guard_us < least_ms * 1000 - _GUARD_SLACK_US:
        report.wrong(
            "order-guard", f"{name}: {guard_us / 1000:.1f} ms of guard instead of {least_ms}"
        )
    return guard_us


def _in_order(*instants: Instant | None) -> bool:
    known = [instant.us for instant in instants if instant is not None]
    return known == sorted(known)
