"""What a driver reports of one MixMonitor instance; values only.

Instants are UTC microseconds. `answered_us` is when Asterisk's answer arrived, the nearest that
can be known to when it happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Monitor:
    """One MixMonitor instance of ours and the part file that it writes."""

    id: str
    """Its MixMonitorID: a pointer printed as text. It can come again after a stop."""
    part: str
    """The part's file name, without its folder."""
    started_us: int


DIALPLAN: Final = "dialplan"
"""The order of what a channel's own dialplan does (`Start.order`)."""


@dataclass(frozen=True, slots=True)
class Start:
    """A start that was sent and whose outcome isn't known: it may come true at any time.

    Asterisk may be stuck in it (a disk that hangs), and turnrec's session be gone meanwhile.
    """

    part: str
    order: str
    """By what Asterisk does one thing after the other (the channel's dialplan, one AMI session):
    what is answered there later was done later."""
    asked_us: int


@dataclass(frozen=True, slots=True)
class Begun:
    """An audible stretch has begun, and the look saw its monitor and its file."""

    monitor: Monitor
    asked_us: int
    answered_us: int

    @property
    def offset_us(self) -> int:
        """Where in the part the stretch begins: 0 for a monitor of its own."""
        return max(0, self.answered_us - self.monitor.started_us)


@dataclass(frozen=True, slots=True)
class Ended:
    """An audible stretch has ended, and the look saw that nothing records it any more."""

    asked_us: int
    answered_us: int
    proof: str
    """What the look saw, in a few words, for the ledger."""
    monitor: Monitor | None = None
    """The monitor that stays on the channel, muted (method `mute`)."""


def name_part(recording_id: str, number: int) -> str:
    """The name of a recording's part in the spool."""
    return f"{recording_id}-{number:03d}.wav"


def side_parts(part: str) -> tuple[str, str]:
    """The files beside a part that hold what the channel sent, and what was sent to it.

    MixMonitor's options `r` and `t`. They tell whether a side is missing; the mix is the part.
    """
    stem, dot, suffix = part.rpartition(".")
    return f"{stem}-r{dot}{suffix}", f"{stem}-t{dot}{suffix}"
