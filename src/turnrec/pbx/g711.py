"""G.711: owns the u-law and A-law tables; never touches a socket or a file."""

from __future__ import annotations

from enum import Enum

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

RATE_HZ = 8000
_ULAW_BIAS = 132
_ULAW_CLIP = 32635
_ALAW_INVERT_EVEN_BITS = 0x55


def _ulaw_decode_table() -> Samples:
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + _ULAW_BIAS) << ((code & 0x70) >> 4)
    value = magnitude - _ULAW_BIAS
    return np.where(code & 0x80, -value, value).astype(np.int16)


def _ulaw_encode_table() -> npt.NDArray[np.uint8]:
    # Indexed by the sample's 16 bits as an unsigned number, so no offset is added per packet.
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    # ~sample, not -sample, as in the ITU's own code (G.191): -1 shares its step with 0.
    biased = np.minimum(np.where(sample < 0, ~sample, sample), _ULAW_CLIP) + _ULAW_BIAS
    segment = np.floor(np.log2(biased)).astype(np.int32) - 7
    mantissa = (biased >> (segment + 3)) & 0x0F
    code = np.where(sample < 0, 0x80, 0) | (segment << 4) | mantissa
    table: npt.NDArray[np.uint8] = (~code & 0xFF).astype(np.uint8)
    return table


def _alaw_decode_table() -> Samples:
    code = np.arange(256) ^ _ALAW_INVERT_EVEN_BITS
    segment = (code & 0x70) >> 4
    step = (code & 0x0F) << 4
    # The first two segments share one step; from the third on, each doubles it.
    value = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, value, -value).astype(np.int16)


def _alaw_encode_table() -> npt.NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.where(sample < 0, ~sample, sample) >> 3
    segment = np.where(magnitude < 32, 0, np.floor(np.log2(np.maximum(magnitude, 1))) - 4)
    segment = segment.astype(np.int32)
    mantissa = (magnitude >> np.maximum(segment, 1)) & 0x0F
    code = np.where(sample < 0, 0, 0x80) | (segment << 4) | mantissa
    table: npt.NDArray[np.uint8] = (code ^ _ALAW_INVERT_EVEN_BITS).astype(np.uint8)
    return table


class Codec(Enum):
    """A narrow-band codec; its value is the name that SDP uses."""

    PCMU = "PCMU"
    PCMA = "PCMA"

    @property
    def payload_type(self) -> int:
        """The static RTP payload type of RFC 3551."""
        return _PAYLOAD_TYPES[self]

    @property
    def silence(self) -> bytes:
        """The byte of silence: exactly 0 in u-law, the smallest step (8) in A-law."""
        return _SILENCE[self]

    def encode(self, samples: Samples) -> bytes:
        """Linear 16-bit samples to one byte each."""
        return _ENCODE[self][np.ascontiguousarray(samples).view(np.uint16)].tobytes()

    def decode(self, payload: bytes) -> Samples:
        """One byte each to linear 16-bit samples."""
        return _DECODE[self][np.frombuffer(payload, dtype=np.uint8)]


_PAYLOAD_TYPES = {Codec.PCMU: 0, Codec.PCMA: 8}
_SILENCE = {Codec.PCMU: b"\xff", Codec.PCMA: b"\xd5"}
_ENCODE = {Codec.PCMU: _ulaw_encode_table(), Codec.PCMA: _alaw_encode_table()}
_DECODE = {Codec.PCMU: _ulaw_decode_table(), Codec.PCMA: _alaw_decode_table()}

CODEC_BY_PAYLOAD_TYPE = {codec.payload_type: codec for codec in Codec}
