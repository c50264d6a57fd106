"""Time that passes when a test says so, for whoever waits on the running loop; nobody sleeps.

A time-out short enough to be waited for is one that a busy machine misses where it must not. So the
patience of what is tested is long, and where it has to run out, the loop's clock leaps over it.
"""

from __future__ import annotations

import asyncio

PATIENCE_MS = 5_000
"""More than a command takes on any machine, and far less than a test may take."""


def leap(milliseconds: float = PATIENCE_MS) -> None:
    """Let this time have passed: whatever was to happen within it happens at once."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + milliseconds / 1000  # type: ignore[method-assign]
