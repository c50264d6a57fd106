"""Memory that is free is given back, also where it lies between what is in use."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

_LITTERED = """
import asyncio
from pathlib import Path
from turnrec.tidy import give_back

def resident_kib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4

pieces = [bytes(1000) for _ in range(100_000)]
kept = pieces[::100]
pieces.clear()
before = resident_kib()
asyncio.run(give_back())
print(before - resident_kib())
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this system has no glibc"
)
def test_what_lies_free_between_what_is_in_use_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LITTERED], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 50_000
