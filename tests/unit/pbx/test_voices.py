"""The demo's voices: fit for a telephone, small, and without anybody's number."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from turnrec.pbx.phone import Clip

AUDIO = Path(str(files("turnrec.bots") / "audio"))
BOT = {"welcome", "ask_aadhaar", "confirmed", "goodbye"}
CALLER = {"caller_hello", "caller_aadhaar", "caller_thanks"}
SPOKEN_NUMBER = "234567890123"  # What caller_aadhaar.wav says.

# Verhoeff's code: multiplication in the dihedral group D5, and the permutation by position.
D5 = [[(a + b) % 5 if a < 5 else 5 + (a - b) % 5 for b in range(5)] for a in range(10)]
D5 = [
    row + [5 + (a + b) % 5 if a < 5 else (a - b) % 5 for b in range(5)] for a, row in enumerate(D5)
]
PERMUTATION = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def is_checksum_right(number: str) -> bool:
    check = 0
    for position, character in enumerate(reversed(number)):
        digit = int(character)
        for _ in range(position):
            digit = PERMUTATION[digit]
        check = D5[check][digit]
    return check == 0


def test_verhoeffs_code_is_the_known_one() -> None:
    assert is_checksum_right("2363")
    assert not is_checksum_right("2364")


def test_the_spoken_number_can_be_nobodys() -> None:
    assert not is_checksum_right(SPOKEN_NUMBER)


def test_every_voice_is_there_and_named_in_the_readme() -> None:
    assert {path.stem for path in AUDIO.glob("*.wav")} == BOT | CALLER
    readme = (AUDIO / "README.md").read_text("utf-8")
    assert all(f"`{name}.wav`" in readme for name in BOT | CALLER)


@pytest.mark.parametrize("name", sorted(BOT | CALLER))
def test_a_voice_is_as_loud_as_a_telephones_and_begins_and_ends_quietly(name: str) -> None:
    samples = Clip.from_wav(AUDIO / f"{name}.wav").samples.astype(np.float64)
    rms_dbfs = 20 * np.log10(np.sqrt(np.mean(samples**2)) / 32768)
    assert -23 < rms_dbfs < -19
    assert np.abs(samples).max() < 32000
    assert np.abs(samples[:160]).max() < 30
    assert np.abs(samples[-160:]).max() < 30


def test_the_voices_stay_small() -> None:
    assert sum(path.stat().st_size for path in AUDIO.glob("*.wav")) < 1_500_000
