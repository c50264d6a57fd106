"""G.711: the tables are the ITU's."""

from __future__ import annotations

import numpy as np
import pytest

from turnrec.pbx.g711 import Codec

# G.711 tables 2a and 1a: the decoder's output at both ends of each positive segment, on the
# ITU's 14-bit (u-law) and 13-bit (A-law) scales.
ULAW_SEGMENTS = [
    (0x80, 8031, 4191),
    (0x90, 3999, 2079),
    (0xA0, 1983, 1023),
    (0xB0, 975, 495),
    (0xC0, 471, 231),
    (0xD0, 219, 99),
    (0xE0, 93, 33),
    (0xF0, 30, 0),
]
ALAW_SEGMENTS = [
    (0x7F, 4032, 2112),
    (0x6F, 2016, 1056),
    (0x5F, 1008, 528),
    (0x4F, 504, 264),
    (0x3F, 252, 132),
    (0x2F, 126, 66),
    (0x1F, 63, 33),
    (0x0F, 31, 1),
]


@pytest.mark.parametrize(("first", "largest", "smallest"), ULAW_SEGMENTS)
def test_ulaw_segments_have_the_itu_values(first: int, largest: int, smallest: int) -> None:
    decoded = Codec.PCMU.decode(bytes([first, first + 15, first - 0x80, first + 15 - 0x80]))
    assert decoded.tolist() == [4 * largest, 4 * smallest, -4 * largest, -4 * smallest]


@pytest.mark.parametrize(("first", "largest", "smallest"), ALAW_SEGMENTS)
def test_alaw_segments_have_the_itu_values(first: int, largest: int, smallest: int) -> None:
    sent = [code ^ 0x55 for code in (first | 0x80, (first - 15) | 0x80, first, first - 15)]
    decoded = Codec.PCMA.decode(bytes(sent))
    assert decoded.tolist() == [8 * largest, 8 * smallest, -8 * largest, -8 * smallest]


@pytest.mark.parametrize("codec", list(Codec))
def test_every_code_survives_decoding_and_encoding(codec: Codec) -> None:
    codes = bytes(range(256))
    back = bytearray(codec.encode(codec.decode(codes)))
    if codec is Codec.PCMU:
        assert back[0x7F] == 0xFF  # Minus zero is zero.
        back[0x7F] = 0x7F
    assert back == codes


@pytest.mark.parametrize("codec", list(Codec))
def test_encoding_errs_by_half_a_step_at_most_and_never_turns_louder_into_softer(
    codec: Codec,
) -> None:
    samples = np.arange(-32768, 32768).astype(np.int16)
    decoded = codec.decode(codec.encode(samples)).astype(np.int32)
    magnitude = np.abs(samples.astype(np.int32))
    error = np.abs(decoded - samples)
    assert np.all((error <= np.maximum(8, (magnitude + 132) / 32)) | (magnitude > 32124))
    assert np.all(np.diff(decoded) >= 0)


@pytest.mark.parametrize(("codec", "value"), [(Codec.PCMU, 0), (Codec.PCMA, 8)])
def test_silence_is_the_smallest_value(codec: Codec, value: int) -> None:
    assert codec.decode(codec.silence).tolist() == [value]
    assert codec.encode(np.zeros(1, dtype=np.int16)) == codec.silence
