"""What a caller of the chaos run says, packet by packet, entered into the journal as it leaves."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass

from tests.chaos.journal import Journal, now_us
from turnrec.pbx.g711 import Codec
from turnrec.pbx.phone import Tone
from turnrec.pbx.phone.sources import PACKET_MS

LATE_S = 2 * PACKET_MS / 1000
"""Packets further apart were held up on this machine; Asterisk may drop some of what follows."""
SETTLES_PACKETS = 5


class Habit(enum.StrEnum):
    """How a phone sends."""

    STEADY = "steady"
    DTX = "dtx"
    """Nothing is sent while nobody speaks: 240 ms of each 400."""
    HOLES = "holes"
    """No RTP at all for 1.2 s of each 4, as in a lift."""

    def is_silent(self, packet: int) -> bool:
        """Whether this packet of the call isn't sent."""
        every, quiet = {"steady": (1, 0), "dtx": (20, 8), "holes": (200, 60)}[self.value]
        return packet % every < quiet


@dataclass(slots=True)
class _Run:
    """Packets of one tone, one after the other."""

    hz: int
    first_packet: int
    from_us: int
    to_us: int
    packets: int = 0
    in_time: int = 0


class Voice:
    """A source whose tone can be changed from one packet to the next."""

    def __init__(self, journal: Journal, call: str, habit: Habit) -> None:
        self._journal = journal
        self._call = call
        self._habit = habit
        self._tone = Tone(500)
        self._run: _Run | None = None
        self._sent = 0
        self._last_s: float | None = None
        self._unsettled = 0

    def say(self, hz: int) -> None:
        """Say this from the next packet on."""
        if hz != self._tone.hz:
            self._tone = Tone(hz)
            self.close()

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:
        """20 ms of it (called by the phone, as it is sent)."""
        if self._habit.is_silent(clock):
            self.close()
            self._last_s = None
            return None
        self._enter()
        return self._tone.payload(clock, played, codec)

    def is_over(self, played: int) -> bool:
        """It never is."""
        del played
        return False

    def close(self) -> None:
        """Write the run of packets that ends here."""
        run, self._run = self._run, None
        if run is not None:
            self._journal.write(
                "tone",
                call=self._call,
                hz=run.hz,
                first_packet=run.first_packet,
                packets=run.packets,
                in_time=run.in_time,
                from_us=run.from_us,
                to_us=run.to_us,
            )

    def _enter(self) -> None:
        seen_s, at_us = time.monotonic(), now_us()
        gap_s = 0.0 if self._last_s is None else seen_s - self._last_s
        self._last_s = seen_s
        if gap_s > LATE_S:
            self.close()
            self._unsettled = round(gap_s * 1000 / PACKET_MS) + SETTLES_PACKETS
        elif self._unsettled == 1:
            self.close()  # a run is in time as a whole, or not at all
        if self._run is None:
            self._run = _Run(self._tone.hz, self._sent, at_us, at_us)
        run = self._run
        run.packets += 1
        run.to_us = at_us
        self._sent += 1
        if self._unsettled:
            self._unsettled -= 1
        else:
            run.in_time += 1
