"""SDP: owns the audio part of offers and answers; never opens a port."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from turnrec.pbx.g711 import CODEC_BY_PAYLOAD_TYPE, RATE_HZ, Codec
from turnrec.pbx.phone.errors import MalformedError, MediaNotAgreedError

DIGITS_PAYLOAD_TYPE = 101


class Direction(Enum):
    """Which way audio may flow, as the describing side sees it."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def answer(self) -> Direction:
        """What the other side answers to it."""
        mirrored = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}
        return mirrored.get(self, self)


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One audio stream, described by one side."""

    host: str
    port: int
    codecs: tuple[Codec, ...]
    digits_payload_type: int | None = DIGITS_PAYLOAD_TYPE
    direction: Direction = Direction.SENDRECV

    @property
    def wants_audio(self) -> bool:
        """Whether whoever described itself so expects packets."""
        return self.port != 0 and self.direction in {Direction.SENDRECV, Direction.RECVONLY}

    def pack(self, version: int = 1) -> bytes:
        """The description as a body; `version` rises with each new one in a call."""
        formats = [str(codec.payload_type) for codec in self.codecs]
        lines = [f"a=rtpmap:{codec.payload_type} {codec.value}/{RATE_HZ}" for codec in self.codecs]
        if self.digits_payload_type is not None:
            formats.append(str(self.digits_payload_type))
            lines.append(f"a=rtpmap:{self.digits_payload_type} telephone-event/{RATE_HZ}")
            lines.append(f"a=fmtp:{self.digits_payload_type} 0-15")
        head = [
            "v=0",
            f"o=- {self.port} {version} IN IP4 {self.host}",
            "s=turnrec",
            f"c=IN IP4 {self.host}",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP {' '.join(formats)}",
        ]
        tail = ["a=ptime:20", f"a={self.direction.value}", ""]
        return "\r\n".join(head + lines + tail).encode()

    @classmethod
    def parse(cls, body: bytes) -> MediaDescription:
        """Read the first audio stream of a body."""
        reader = _Reader()
        for line in body.decode("utf-8", "replace").splitlines():
            kind, equals, value = line.strip().partition("=")
            if equals:
                reader.line(kind, value)
        if reader.port is None or not reader.host:
            raise MalformedError("SDP without audio", body)
        codecs = (CODEC_BY_PAYLOAD_TYPE.get(number) for number in reader.formats)
        # An old way to hold a call is the address 0.0.0.0 (RFC 2543).
        direction = Direction.INACTIVE if reader.host == "0.0.0.0" else reader.direction  # noqa: S104  # nosec B104
        return cls(
            host=reader.host,
            port=reader.port,
            codecs=tuple(codec for codec in codecs if codec is not None),
            digits_payload_type=reader.digits if reader.digits in reader.formats else None,
            direction=direction,
        )


class _Reader:
    """What has been read of a body so far."""

    def __init__(self) -> None:
        self.host = ""
        self.port: int | None = None
        self.formats: list[int] = []
        self.digits: int | None = None
        self.direction = Direction.SENDRECV
        self._is_in_other_media = False

    def line(self, kind: str, value: str) -> None:
        if kind == "m":
            self._media(value)
        elif self._is_in_other_media:
            return
        elif kind == "c":
            self.host = value.split()[-1].partition("/")[0] if value.split() else ""
        elif kind == "a":
            self._attribute(value)

    def _media(self, value: str) -> None:
        words = value.split()
        self._is_in_other_media = self.port is not None or words[:1] != ["audio"]
        if self._is_in_other_media:
            return
        if len(words) < 2 or not words[1].isdecimal() or int(words[1]) > 0xFFFF:
            raise MalformedError("SDP media line", value)
        self.port = int(words[1])
        self.formats = [int(word) for word in words[3:] if word.isdecimal()]

    def _attribute(self, value: str) -> None:
        name, _, rest = value.partition(":")
        if name in {direction.value for direction in Direction}:
            self.direction = Direction(name)
        elif name == "rtpmap":
            number, _, encoding = rest.partition(" ")
            if encoding.lower() == f"telephone-event/{RATE_HZ}" and number.isdecimal():
                self.digits = int(number)


def agree(offer: MediaDescription, supported: tuple[Codec, ...]) -> Codec:
    """The first codec of the other side that this one speaks too."""
    for codec in offer.codecs:
        if codec in supported:
            return codec
    raise MediaNotAgreedError(f"none of {supported} in {offer.codecs}")
