"""The 20 ms clock: owns when every call of a process sends; never what it sends."""

from __future__ import annotations

import asyncio
from typing import Protocol

from turnrec.pbx.phone.sources import PACKET_MS

# After a frozen loop the oldest packets are given up, as a real phone's would be lost: a burst
# of them would fill the PBX's queues and be heard late.
MAX_CATCH_UP_PACKETS = 3


class Ticking(Protocol):
    """What wants to know of each 20 ms."""

    def tick(self, number: int) -> None:
        """The packet `number` of the clock's life is due."""


class MediaClock:
    """One timer on an absolute schedule for any number of streams, so none drifts."""

    def __init__(self) -> None:
        self._streams: dict[Ticking, None] = {}
        self._timer: asyncio.Handle | None = None
        self._started_at = 0.0
        self._next_tick = 0

    @property
    def next_tick(self) -> int:
        """The number of the tick to come."""
        return self._next_tick

    def add(self, stream: Ticking) -> None:
        """Tick this one too, from the next tick on."""
        self._streams[stream] = None
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._started_at = loop.time() - self._next_tick * PACKET_MS / 1000
            self._timer = loop.call_soon(self._run)

    def remove(self, stream: Ticking) -> None:
        """Tick this one no more; the last one gone stops the timer."""
        self._streams.pop(stream, None)
        if not self._streams and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        elapsed_ms = (loop.time() - self._started_at) * 1000
        # Timers may fire a clock resolution early: half a millisecond is no reason to wait on.
        latest_due = int((elapsed_ms + 0.5) // PACKET_MS)
        self._next_tick = max(self._next_tick, latest_due - MAX_CATCH_UP_PACKETS + 1)
        while self._next_tick <= latest_due:
            number = self._next_tick
            self._next_tick += 1
            for stream in list(self._streams):
                stream.tick(number)
        if self._streams and self._timer is None:
            due_at = self._started_at + self._next_tick * PACKET_MS / 1000
            self._timer = loop.call_at(due_at, self._run)
