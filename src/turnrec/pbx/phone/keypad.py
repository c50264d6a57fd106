"""The keypad: owns the timing of RFC 4733 digits in packets; never sends them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from turnrec.pbx.phone.rtp import DIGITS, DigitEvent
from turnrec.pbx.phone.sources import PACKET_MS, PACKET_SAMPLES

# RFC 4733 2.5.1.4: the end is sent three times, since it must not be lost.
_END_REPEATS = 3


@dataclass(frozen=True, slots=True)
class KeyPacket:
    """An event to send at one tick."""

    event: DigitEvent
    started_at: int
    """The media timestamp of the press, shared by all its packets."""
    is_first: bool


@dataclass(slots=True)
class _Press:
    digit: str
    hold_packets: int
    pause_packets: int
    sent: int = 0
    started_at: int = 0


class Keypad:
    """Digits waiting to be pressed, one after the other."""

    def __init__(self) -> None:
        self._presses: deque[_Press] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether every digit has been sent, with the pause after it."""
        return not self._presses

    def press(self, digits: str, hold_ms: int, pause_ms: int) -> None:
        """Queue digits; each is held and followed by a pause, in whole packets."""
        strange = set(digits) - set(DIGITS)
        if strange:
            raise ValueError(f"no such keys: {sorted(strange)}")
        hold_packets = max(1, hold_ms // PACKET_MS)
        self._presses.extend(_Press(d, hold_packets, pause_ms // PACKET_MS) for d in digits)

    def tick(self, timestamp: int) -> list[KeyPacket]:
        """The packets that take the audio's place at this tick; none in a pause."""
        if not self._presses:
            return []
        press = self._presses[0]
        if press.sent == 0:
            press.started_at = timestamp
        press.sent += 1
        if press.sent >= press.hold_packets + press.pause_packets:
            self._presses.popleft()
        if press.sent > press.hold_packets:
            return []
        is_end = press.sent == press.hold_packets
        event = DigitEvent(press.digit, press.sent * PACKET_SAMPLES, is_end)
        packet = KeyPacket(event, press.started_at, press.sent == 1)
        if not is_end:
            return [packet]
        return [packet] + [KeyPacket(event, press.started_at, False)] * (_END_REPEATS - 1)
