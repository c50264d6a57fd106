"""Enters requests that came with a bad key: at most one entry a minute for each address."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from turnrec.core.entry import Entry, EntryKind, Origin
from turnrec.ports import Journal

logger = logging.getLogger(__name__)

_EVERY_US: Final = 60_000_000
_MOST: Final = 1000


class Strangers:
    """Who tried."""

    def __init__(self, journal: Journal, clock: Callable[[], int]) -> None:
        self._journal = journal
        self._clock = clock
        self._seen: dict[str, tuple[int, int]] = {}

    def came(self, address: str) -> None:
        """Somebody at this address had no good key."""
        now_us = self._clock()
        entered_us, since = self._seen.get(address, (0, 0))
        if now_us - entered_us < _EVERY_US:
            self._seen[address] = entered_us, since + 1
            return
        if len(self._seen) >= _MOST:
            self._seen.clear()
        self._seen[address] = now_us, 0
        logger.warning("a request from %s had no good API key", address)
        self._journal.append(
            Entry(
                kind=EntryKind.ACCESS_REFUSED,
                at_us=now_us,
                origin=Origin.HTTP,
                result="unauthorized",
                detail={"address": address, "count": since + 1},
            )
        )
