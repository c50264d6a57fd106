"""A caller who switches tones at known instants, and where in a file those switches are found.

The instants are those at which the phone's packets went out: a clock that turnrec has no part in.
No two switches of a call are alike for 13 s, so a switch is found by its two tones alone, wherever
it lies. What a busy machine did is known from packets too: the phone's own, which went out late,
and Asterisk's, which came late.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from tests.pbx.tones import NOMINAL_AMPLITUDE, analyse, read_wav
from turnrec.pbx.g711 import RATE_HZ, Codec
from turnrec.pbx.phone import Chunk, Tone
from turnrec.pbx.phone.sources import PACKET_MS, PACKET_SAMPLES

HZ: Final = (500, 600, 700, 800, 900, 1100, 1200, 1300, 1400, 1500, 1600)
"""None of the bot's. Eleven, a prime: going round by steps of 1, of 2 and so on up to 10 passes
each ordered pair of them once."""
ROUND: Final = tuple(HZ[step * n % len(HZ)] for step in range(1, len(HZ)) for n in range(len(HZ)))
TONE_PACKETS: Final = 6
LATE_US: Final = 2 * PACKET_MS * 1000
"""Packets further apart were a stall: one was late by more than a packet."""

_WINDOW_MS, _HOP_MS = 10.0, 0.5
_CLEAR_SHARE: Final = 0.7
"""A switch is where both its tones have so much of their amplitude, 10 ms before and after."""


def now_us() -> int:
    """The machine's UTC, as turnrec has it too."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Switch:
    """The instant at which the first packet of another tone went out."""

    sent_us: int
    before_hz: int
    after_hz: int


@dataclass(frozen=True, slots=True)
class Late:
    """A packet that was late: when it came at last, and by how much."""

    at_us: int
    late_us: int


@dataclass(eq=False)
class Switching:
    """A source: one tone after the other, and when each packet went out."""

    quiet: bool = False
    """No packet at all, as from a phone that lost its network."""
    sent: list[tuple[int, int]] = field(default_factory=list)
    """When, and which tone."""
    late: list[Late] = field(default_factory=list)
    not_sent: int = 0
    _last_us: int = 0

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:
        at_us = now_us()
        if self._last_us and at_us - self._last_us > LATE_US:
            self.late.append(Late(at_us, at_us - self._last_us - PACKET_MS * 1000))
        self._last_us = at_us
        if self.quiet:
            self.not_sent += 1
            return None
        hz = ROUND[played // TONE_PACKETS % len(ROUND)]
        self.sent.append((at_us, hz))
        return Tone(hz).payload(clock, played, codec)

    def is_over(self, _played: int) -> bool:
        return False

    def switches(self) -> Iterator[Switch]:
        """Every switch between two packets that followed each other."""
        for (before_us, before_hz), (at_us, hz) in pairwise(self.sent):
            if before_hz != hz and at_us - before_us <= LATE_US:
                yield Switch(at_us, before_hz, hz)


def late_arrivals(chunks: list[Chunk]) -> Iterator[Late]:
    """What of Asterisk's own packets came late, on the clock of `now_us`."""
    offset_us = now_us() - time.monotonic_ns() // 1000
    for before, chunk in pairwise(chunks):
        follows = (chunk.sequence - before.sequence) & 0xFFFF == 1
        late_us = round((chunk.arrived_s - before.arrived_s) * 1_000_000) - PACKET_MS * 1000
        if (
            follows
            and (chunk.timestamp - before.timestamp) & 0xFFFFFFFF == PACKET_SAMPLES
            and late_us > LATE_US - PACKET_MS * 1000
        ):
            yield Late(round(chunk.arrived_s * 1_000_000) + offset_us, late_us)


class Sound:
    """A file of a switching caller's, as anybody reads it."""

    def __init__(self, path: Path) -> None:
        self.samples = read_wav(path).channels[0]
        self._shares = analyse(self.samples, RATE_HZ, HZ, hop_ms=_HOP_MS) / NOMINAL_AMPLITUDE

    def places_us(self, switch: Switch) -> list[float]:
        """Everywhere in the file where a switch sounds, from its beginning."""
        window = round(_WINDOW_MS / _HOP_MS)
        clear: npt.NDArray[np.float64] = np.minimum(
            self._shares[:-window, HZ.index(switch.before_hz)],
            self._shares[window:, HZ.index(switch.after_hz)],
        )
        above = np.flatnonzero(clear > _CLEAR_SHARE)
        runs = np.split(above, np.flatnonzero(np.diff(above) > 1) + 1) if len(above) else []
        return [(int(run[clear[run].argmax()]) + window) * _HOP_MS * 1000 for run in runs]
