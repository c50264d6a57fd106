"""Gives memory that is free back to the system; it frees nothing itself.

glibc's malloc keeps what threads have freed in pieces, each thread's by itself, and by and by that
is more than what is in use (docs/benchmarks.md, a day of calls). Where there is no glibc, nothing
is done.
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import Final

EVERY_S: Final = 60.0
"""A look takes a few milliseconds, in a thread of its own."""


async def give_back() -> None:
    """Have malloc hand over every page on which nothing is in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        await asyncio.to_thread(trim, 0)
