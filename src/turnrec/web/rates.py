"""Token buckets: how often somebody may ask. It knows nothing of who they are."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from turnrec.core.errors import RefusedError

_MOST: Final = 10_000


class TooManyRequestsError(RefusedError):
    """More requests than are allowed."""

    id = "too-many-requests"

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many requests; try again in {retry_after_s} s")


class Rates:
    """One bucket for each name; the longest unused names are forgotten first."""

    def __init__(
        self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Count one request.

        Raises:
            TooManyRequestsError: the bucket is empty.
        """
        now = self._clock()
        tokens, at = self._buckets.pop(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._per_s)
        allowed = tokens >= 1
        self._buckets[name] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        if not allowed:
            raise TooManyRequestsError(max(1, math.ceil((1 - tokens) / self._per_s)))
