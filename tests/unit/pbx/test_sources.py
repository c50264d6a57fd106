"""What a phone says: exact to the packet, continuous in phase."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from turnrec.pbx.g711 import Codec
from turnrec.pbx.phone import Clip, PhoneError, Silence, Source, Stopped, Tone


def said(source: Source, packets: int, *, clock: int = 0, codec: Codec = Codec.PCMU) -> list[int]:
    payloads = [source.payload(clock + i, i, codec) or b"" for i in range(packets)]
    values: list[int] = codec.decode(b"".join(payloads)).tolist()
    return values


@pytest.mark.parametrize("hz", [1, 333, 437, 1300, 3999])
def test_a_tones_phase_runs_on_over_packets_and_seconds(hz: int) -> None:
    n = np.arange(120 * 160)
    expected = np.rint(8000 * np.sin(2 * np.pi * hz * n / 8000)).astype(np.int16)
    assert said(Tone(hz), 120) == Codec.PCMU.decode(Codec.PCMU.encode(expected)).tolist()


def test_tones_add_up() -> None:
    n = np.arange(160)
    both = 8000 * (np.sin(2 * np.pi * 400 * n / 8000) + np.sin(2 * np.pi * 500 * n / 8000))
    expected = np.rint(both).astype(np.int16)
    mixed = Tone(400) + Tone(500)
    assert said(mixed, 1, codec=Codec.PCMA) == (
        Codec.PCMA.decode(Codec.PCMA.encode(expected)).tolist()
    )
    assert mixed + Tone(600) == Tone(400) + (Tone(500) + Tone(600))


def test_a_mix_that_would_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="clip"):
        Tone(400, 20000) + Tone(500, 20000)


@pytest.mark.parametrize("hz", [0, 4000, -1])
def test_a_tone_that_8_khz_cannot_carry_is_refused(hz: int) -> None:
    with pytest.raises(ValueError, match="tone"):
        Tone(hz)


def test_silence_is_packets_of_zeros_and_stopped_is_no_packets() -> None:
    assert said(Silence(), 1) == [0] * 160
    assert Stopped().payload(0, 0, Codec.PCMU) is None


def test_a_clip_is_said_once_and_padded_with_silence() -> None:
    clip = Clip(np.full(200, 8031 * 4, dtype=np.int16))
    assert said(clip, 3) == [8031 * 4] * 200 + [0] * 280
    assert [clip.is_over(played) for played in (0, 1, 2)] == [False, False, True]


def test_a_repeated_clip_is_never_over() -> None:
    clip = Clip(np.arange(160, dtype=np.int16), repeat=True)
    assert said(clip, 3) == 3 * said(clip, 1)
    assert not clip.is_over(1000)


def test_a_clip_is_read_from_a_telephone_wav_only(tmp_path: Path) -> None:
    for rate_hz in (8000, 16000):
        with wave.open(str(tmp_path / f"{rate_hz}.wav"), "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(rate_hz)
            wav.writeframes(np.arange(160, dtype="<i2").tobytes())
    clip = Clip.from_wav(tmp_path / "8000.wav")
    assert clip.samples.tolist() == list(range(160))
    assert clip.duration_s == 0.02
    with pytest.raises(PhoneError):
        Clip.from_wav(tmp_path / "16000.wav")
