"""RTP and RFC 4733 packets: owns their bytes; never knows a call or a clock."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from turnrec.pbx.phone.errors import MalformedError

_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")
_VERSION = 2
_EVENT_VOLUME = 10  # RFC 4733: minus this many dBm0
DIGITS = "0123456789*#ABCD"


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One RTP packet without contributing sources or extensions."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    def pack(self) -> bytes:
        """The packet's bytes; the counters wrap."""
        return (
            _HEADER.pack(
                _VERSION << 6,
                self.marker << 7 | self.payload_type,
                self.sequence & 0xFFFF,
                self.timestamp & 0xFFFFFFFF,
                self.ssrc,
            )
            + self.payload
        )

    @classmethod
    def parse(cls, datagram: bytes) -> RtpPacket:
        """Read a packet; sources, extension and padding are skipped."""
        if len(datagram) < _HEADER.size:
            raise MalformedError("RTP packet too short", datagram)
        flags, kind, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
        if flags >> 6 != _VERSION:
            raise MalformedError("not RTP version 2", datagram)
        start = _HEADER.size + 4 * (flags & 0x0F)
        if flags & 0x10:
            if len(datagram) < start + 4:
                raise MalformedError("RTP extension cut off", datagram)
            start += 4 + 4 * int.from_bytes(datagram[start + 2 : start + 4])
        end = len(datagram) - (datagram[-1] if flags & 0x20 else 0)
        if start > end:
            raise MalformedError("RTP payload cut off", datagram)
        return cls(
            payload_type=kind & 0x7F,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=datagram[start:end],
            marker=bool(kind & 0x80),
        )


@dataclass(frozen=True, slots=True)
class DigitEvent:
    """The state of one pressed key, as RFC 4733 sends it."""

    digit: str
    duration_samples: int
    is_end: bool = False

    def pack(self) -> bytes:
        """The event's four bytes."""
        flags = self.is_end << 7 | _EVENT_VOLUME
        return _EVENT.pack(DIGITS.index(self.digit), flags, self.duration_samples)

    @classmethod
    def parse(cls, payload: bytes) -> DigitEvent:
        """Read an event; one that is no key (a flash, a fax tone) is malformed here."""
        if len(payload) < _EVENT.size:
            raise MalformedError("telephone event too short", payload)
        event, flags, duration = _EVENT.unpack_from(payload)
        if event >= len(DIGITS):
            raise MalformedError("telephone event is no digit", payload)
        return cls(DIGITS[event], duration, bool(flags & 0x80))
