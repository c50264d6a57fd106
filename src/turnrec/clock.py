"""The one clock of a process: UTC that never goes back."""

from __future__ import annotations

import time


class SteadyClock:
    """UTC in microseconds, read once and carried on by the monotonic clock.

    A wall clock that is set back or forth in mid-call would swap a call's segments and gaps.
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def __call__(self) -> int:
        """Now, in UTC microseconds since 1970."""
        return (time.monotonic_ns() + self._offset_ns) // 1000
