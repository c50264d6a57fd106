"""What a phone says: owns tones, silence and clips as 20 ms payloads; never sends them."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from turnrec.pbx.g711 import RATE_HZ, Codec, Samples
from turnrec.pbx.phone.errors import PhoneError

PACKET_MS = 20
PACKET_SAMPLES = RATE_HZ * PACKET_MS // 1000
# Four tones at once stay below u-law's largest value, so a mix never clips into new frequencies.
TONE_AMPLITUDE = 8000
_LOUDEST = 32124
# Every whole number of Hz repeats after one second.
_TABLE_PACKETS = 1000 // PACKET_MS


class Source(Protocol):
    """Something to say, packet by packet."""

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:
        """20 ms of it, or None for no packet at all.

        `clock` counts the call's packets, sent or not; `played` those of this source.
        """

    def is_over(self, played: int) -> bool:
        """Whether it has nothing left to say after `played` packets."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """No RTP at all, as from a phone that lost its network."""

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:  # noqa: ARG002
        return None

    def is_over(self, played: int) -> bool:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True)
class Silence:
    """Packets that hold silence."""

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:  # noqa: ARG002
        return codec.silence * PACKET_SAMPLES

    def is_over(self, played: int) -> bool:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True)
class Tone:
    """A sine whose phase runs on over packets; `Tone(400) + Tone(500)` sounds both."""

    hz: int
    amplitude: int = TONE_AMPLITUDE

    def __post_init__(self) -> None:
        if not 0 < self.hz < RATE_HZ // 2:
            raise ValueError(f"a tone must lie between 0 and {RATE_HZ // 2} Hz: {self.hz}")

    def __add__(self, other: Tone | Chord) -> Chord:
        return Chord((self,)) + other

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:  # noqa: ARG002
        return _tone_payloads((self,), codec)[clock % _TABLE_PACKETS]

    def is_over(self, played: int) -> bool:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True)
class Chord:
    """Several tones at once."""

    tones: tuple[Tone, ...]

    def __post_init__(self) -> None:
        if sum(tone.amplitude for tone in self.tones) > _LOUDEST:
            raise ValueError(f"these tones together would clip: {self.tones}")

    def __add__(self, other: Tone | Chord) -> Chord:
        return Chord(self.tones + (other.tones if isinstance(other, Chord) else (other,)))

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:  # noqa: ARG002
        return _tone_payloads(self.tones, codec)[clock % _TABLE_PACKETS]

    def is_over(self, played: int) -> bool:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Recorded audio at 8 kHz, said once (then silence) or over and over."""

    samples: Samples
    repeat: bool = False

    @classmethod
    def from_wav(cls, path: Path, *, repeat: bool = False) -> Clip:
        """Read an 8 kHz, 16-bit, mono WAV file."""
        with wave.open(str(path), "rb") as wav:
            if (wav.getframerate(), wav.getsampwidth(), wav.getnchannels()) != (RATE_HZ, 2, 1):
                raise PhoneError(f"{path} is not 8 kHz, 16 bit, mono")
            frames = wav.readframes(wav.getnframes())
        return cls(np.frombuffer(frames, dtype="<i2").astype(np.int16), repeat)

    @property
    def duration_s(self) -> float:
        """How long it lasts, said once."""
        return len(self.samples) / RATE_HZ

    @property
    def packets(self) -> int:
        """How many packets it takes, said once."""
        return -(-len(self.samples) // PACKET_SAMPLES)

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:  # noqa: ARG002
        if self.repeat and self.packets:
            played %= self.packets
        start = played * PACKET_SAMPLES
        said = codec.encode(self.samples[start : start + PACKET_SAMPLES])
        return said.ljust(PACKET_SAMPLES, codec.silence)

    def is_over(self, played: int) -> bool:
        return not self.repeat and played >= self.packets


@lru_cache(maxsize=256)
def _tone_payloads(tones: tuple[Tone, ...], codec: Codec) -> tuple[bytes, ...]:
    """One second of the tones' sum, encoded once per process and cut into packets."""
    n = np.arange(RATE_HZ)
    wave_sum = np.zeros(RATE_HZ)
    for tone in tones:
        wave_sum += tone.amplitude * np.sin(2 * np.pi * tone.hz * n / RATE_HZ)
    encoded = codec.encode(np.rint(wave_sum).astype(np.int16))
    return tuple(encoded[i : i + PACKET_SAMPLES] for i in range(0, len(encoded), PACKET_SAMPLES))
