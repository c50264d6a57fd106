"""What a test's caller says, and what of it was on the wire in time; never looks at a recording.

Real-time audio can't be had from a machine that is busy elsewhere: a phone that gets no CPU for
80 ms sends nothing, and then several packets at once. For Asterisk that is jitter. Its MixMonitor
writes silence meanwhile, and drops what comes late to keep the two directions in step (most of it
on 16, next to nothing on 22). So whoever asks how much of what was said is in a file has to ask
for what was said *in time*, and a `Mouth` knows: it counts packets as they leave.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from turnrec.pbx.g711 import Codec
from turnrec.pbx.phone import Source, Tone
from turnrec.pbx.phone.sources import PACKET_MS

LATE_S = 2 * PACKET_MS / 1000
"""Packets further apart than that are a stall: one was late by more than a packet."""
SETTLES_PACKETS = 5
"""100 ms: AST_AUDIOHOOK_SYNC_TOLERANCE, by which Asterisk lets the directions differ. After a
stall it may drop as much beside what came late."""


@dataclass(frozen=True, slots=True, eq=False)
class _Voice:
    """One tone of a mouth."""

    mouth: Mouth
    tone: Tone

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:
        self.mouth.sent(self.tone.hz)
        return self.tone.payload(clock, played, codec)

    def is_over(self, played: int) -> bool:
        return self.tone.is_over(played)


class Mouth:
    """One caller's tones, and how much of each went out."""

    def __init__(self) -> None:
        self.said: Counter[int] = Counter()
        """Packets on the wire, by frequency."""
        self.in_time: Counter[int] = Counter()
        """Those of them that neither were late nor came right after late ones."""
        self.stalled_s = 0.0
        """For how long, all in all, nothing came when something should have."""
        self._last_s: float | None = None
        self._unsettled = 0

    def tone(self, hz: int) -> Source:
        """Say this; every packet of it is counted."""
        return _Voice(self, Tone(hz))

    def said_s(self, hz: int) -> float:
        """For how long a tone was on the wire."""
        return self.said[hz] * PACKET_MS / 1000

    def late_s(self, hz: int) -> float:
        """How much of that Asterisk was free to drop."""
        return (self.said[hz] - self.in_time[hz]) * PACKET_MS / 1000

    def sent(self, hz: int) -> None:
        """A packet goes out now (called by the phone's clock, through the source)."""
        now_s = time.monotonic()
        gap_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        if gap_s > LATE_S:
            self.stalled_s += gap_s - PACKET_MS / 1000
            self._unsettled = round(gap_s * 1000 / PACKET_MS) + SETTLES_PACKETS
        self.said[hz] += 1
        if self._unsettled:
            self._unsettled -= 1
        else:
            self.in_time[hz] += 1
