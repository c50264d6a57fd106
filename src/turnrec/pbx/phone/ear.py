"""What a phone hears: owns the received audio and digits; never sends anything."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from turnrec.pbx.g711 import RATE_HZ, Codec, Samples
from turnrec.pbx.phone.rtp import DigitEvent, RtpPacket
from turnrec.pbx.phone.watch import Watch

# A quarter of a tone's nominal amplitude counts as hearing it.
HEARD_SHARE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """One packet's audio, and when it came."""

    arrived_s: float
    """On the event loop's clock."""
    sequence: int
    timestamp: int
    samples: Samples

    def amplitude(self, hz: float) -> float:
        """The peak amplitude of one frequency in it."""
        if not len(self.samples):
            return 0.0
        turns = np.exp(-2j * np.pi * hz / RATE_HZ * np.arange(len(self.samples)))
        return float(2 * abs(self.samples @ turns) / len(self.samples))


class Ear:
    """The chunks and digits that came in, in the order of their arrival."""

    def __init__(self, keep_chunks: int | None = None) -> None:
        """Keep all chunks, or only the latest `keep_chunks` (a load test needs none)."""
        self.chunks: deque[Chunk] = deque(maxlen=keep_chunks)
        self.packets = 0
        self.digits = ""
        self._digit_started_at: int | None = None
        self._latest: Chunk | None = None
        self._audio = Watch()
        self._keys = Watch()

    def samples(self) -> Samples:
        """Everything that was kept, joined; a lost packet leaves no gap."""
        if not self.chunks:
            return np.zeros(0, dtype=np.int16)
        return np.concatenate([chunk.samples for chunk in self.chunks])

    def hear(self, packet: RtpPacket, codec: Codec, now_s: float) -> None:
        """Take in a packet of audio."""
        samples = codec.decode(packet.payload)
        self._latest = Chunk(now_s, packet.sequence, packet.timestamp, samples)
        self.chunks.append(self._latest)
        self.packets += 1
        self._audio.changed()

    def press(self, packet: RtpPacket, event: DigitEvent) -> None:
        """Take in a packet of a key; all packets of one press share its timestamp."""
        if packet.timestamp != self._digit_started_at:
            self._digit_started_at = packet.timestamp
            self.digits += event.digit
            self._keys.changed()

    async def wait(
        self, predicate: Callable[[Chunk], bool], awaited: str, timeout_s: float
    ) -> Chunk:
        """The first chunk from now on that satisfies the predicate."""
        seen = self.packets
        found: list[Chunk] = []

        def holds() -> bool:
            nonlocal seen
            if self._latest is None or self.packets == seen:
                return False
            seen = self.packets
            if predicate(self._latest):
                found.append(self._latest)
            return bool(found)

        await self._audio.until(holds, awaited, timeout_s)
        return found[0]

    async def wait_tone(self, hz: float, amplitude: int, timeout_s: float) -> Chunk:
        """The first chunk from now on that holds the tone."""
        least = HEARD_SHARE * amplitude
        return await self.wait(
            lambda chunk: chunk.amplitude(hz) >= least, f"tone of {hz:g} Hz", timeout_s
        )

    async def wait_digits(self, digits: str, timeout_s: float) -> None:
        """Return once all that was keyed so far ends in these digits."""
        await self._keys.until(
            lambda: self.digits.endswith(digits), f"digits {digits!r}", timeout_s
        )

    def close(self) -> None:
        """Nothing more will come."""
        self._audio.close()
        self._keys.close()
