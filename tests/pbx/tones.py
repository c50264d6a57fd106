"""The leak detector: owns finding tones in audio; never imports what it is there to judge.

Tests give every party a tone of its own. Open turns sound 400 Hz (bot) and 500 Hz (caller),
paused ones 1000 and 1300 Hz; 2700 Hz is a caller's between two turns, and may be anywhere. All
are multiples of 100 Hz, so over a window of 10 ms they are
exact and orthogonal DFT bins, whatever their phase and wherever the window lies.

A *share* is an amplitude divided by the tone's nominal one. Measured on synthetic audio
(both codecs; random phases, 8 kHz), largest or smallest share of a paused tone, windows
every 2.5 ms:

    open tones sounding, coded in any order                       at most  0.009
    open tones starting and stopping anywhere, cut or holed       at most  0.17
    both open tones jumping in phase at one instant               at most  0.32
    a leak of 20 ms, any alignment, open tones around             at least 0.97
    a leak of 10 ms, likewise                                     at least 0.81
    a leak of 5 ms, likewise                                      at least 0.41

Hence the two rules of `leaks`. LOUD_SHARE lies 43 times above the noise, 2.3 times above
whatever begins or ends, and 2 times below the weakest leak of 10 ms. FAINT_SHARE, 5 times
above the noise, finds what leaks at -20 dB (concealed or faded audio), and must last: what an
edge of an open tone smears over the spectrum is over once the edge has left the 10 ms window.
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.int16] | npt.NDArray[np.float64]

OPEN_BOT_HZ, OPEN_CALLER_HZ = 400, 500
PAUSED_BOT_HZ, PAUSED_CALLER_HZ = 1000, 1300
OPEN_HZ = (OPEN_BOT_HZ, OPEN_CALLER_HZ)
PAUSED_HZ = (PAUSED_BOT_HZ, PAUSED_CALLER_HZ)
# Its overtones and its mixtures with the others, as a codec makes them, hit none of the others.
BETWEEN_CALLER_HZ = 2700
NOMINAL_AMPLITUDE = 8000.0

WINDOW_MS = 10.0
LEAK_HOP_MS = 2.5
LOUD_SHARE = 0.4
FAINT_SHARE = 0.045
# Two edges 10 ms apart smear over less than 20 ms of window starts; 25 ms is nobody's edge.
FAINT_LASTS_MS = 25.0
PRESENT_FLOOR = 0.1
# A tone that was coded twice on its way has 0.9958 of its amplitude, and is there whole.
WHOLE_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class Leak:
    """A stretch in which a tone sounds that must not."""

    hz: int
    start_s: float
    end_s: float
    peak_share: float


@dataclass(frozen=True, slots=True)
class Recording:
    """A WAV file's channels: one mixed, or one per direction."""

    rate_hz: int
    channels: tuple[npt.NDArray[np.int16], ...]

    @property
    def duration_s(self) -> float:
        """The length of the file."""
        return len(self.channels[0]) / self.rate_hz


def read_wav(path: Path) -> Recording:
    """Read a closed 16-bit WAV file."""
    with wave.open(str(path), "rb") as wav:
        assert wav.getsampwidth() == 2, path
        count, rate_hz = wav.getnchannels(), wav.getframerate()
        frames = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2")
    return Recording(rate_hz, tuple(frames[i::count].astype(np.int16) for i in range(count)))


def analyse(
    samples: Audio,
    rate_hz: int = 8000,
    tones_hz: Sequence[int] = OPEN_HZ + PAUSED_HZ,
    *,
    window_ms: float = WINDOW_MS,
    hop_ms: float | None = None,
) -> npt.NDArray[np.float64]:
    """The peak amplitude of each tone (columns) in each whole window (rows)."""
    window = round(rate_hz * window_ms / 1000)
    hop = window if hop_ms is None else round(rate_hz * hop_ms / 1000)
    for hz in tones_hz:
        assert hz * window % rate_hz == 0, f"{hz} Hz is no exact bin of {window_ms} ms"
    if len(samples) < window:
        return np.zeros((0, len(tones_hz)))
    audio = np.asarray(samples, dtype=np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(audio, window)[::hop]
    turns = np.exp(-2j * np.pi * np.outer(np.arange(window), tones_hz) / rate_hz)
    amplitudes: npt.NDArray[np.float64] = 2 * np.abs(windows @ turns) / window
    return amplitudes


def leaks(
    samples: Audio,
    rate_hz: int = 8000,
    tones_hz: Sequence[int] = PAUSED_HZ,
    *,
    nominal: float = NOMINAL_AMPLITUDE,
) -> list[Leak]:
    """Every stretch in which one of these tones sounds, loud or faint but lasting."""
    # Zeros around let a leak at the file's very edge fill windows of its own.
    padding = round(rate_hz * (WINDOW_MS - LEAK_HOP_MS) / 1000)
    padded = np.pad(np.asarray(samples, dtype=np.float64), padding)
    shares = analyse(padded, rate_hz, tones_hz, hop_ms=LEAK_HOP_MS) / nominal
    found: list[Leak] = []
    for column, hz in enumerate(tones_hz):
        for first, last in _runs(shares[:, column] > FAINT_SHARE):
            peak = float(shares[first : last + 1, column].max())
            lasts_ms = (last - first + 1) * LEAK_HOP_MS
            if peak <= LOUD_SHARE and lasts_ms < FAINT_LASTS_MS:
                continue
            start_ms = first * LEAK_HOP_MS - padding * 1000 / rate_hz
            end_ms = start_ms + (last - first) * LEAK_HOP_MS + WINDOW_MS
            length_ms = len(samples) * 1000 / rate_hz
            start_s, end_s = max(0.0, start_ms) / 1000, min(length_ms, end_ms) / 1000
            found.append(Leak(hz, start_s, end_s, peak))
    return sorted(found, key=lambda leak: leak.start_s)


def presence(
    samples: Audio,
    rate_hz: int = 8000,
    tones_hz: Sequence[int] = OPEN_HZ,
    *,
    nominal: float = NOMINAL_AMPLITUDE,
) -> dict[int, float]:
    """How many seconds each tone sounds: an empty recording leaks nothing either."""
    # A window at the tone's edge counts by its share: whole windows only would cost each open
    # turn up to 20 ms that are there.
    shares = analyse(samples, rate_hz, tones_hz) / nominal
    shares[shares > WHOLE_SHARE] = 1.0
    seconds = np.where(shares > PRESENT_FLOOR, shares, 0.0).sum(axis=0) * WINDOW_MS / 1000
    return {hz: float(seconds[column]) for column, hz in enumerate(tones_hz)}


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of true ones."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(first), int(after) - 1) for first, after in edges.reshape(-1, 2)]
