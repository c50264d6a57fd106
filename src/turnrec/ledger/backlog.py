"""The entries that wait to be written: in order, bounded, shared by threads; no I/O.

Its lock is held for the time of a list operation only, so putting never waits for the writer.
When it is full it refuses, and counts what it refused, until half of it is written; then it puts
an entry in their place that says how many of which kind are lost.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from turnrec.core.entry import Entry, EntryKind
from turnrec.ledger.entries import Columns, to_columns
from turnrec.ledger.errors import LedgerClosedError, LedgerStalledError

_ROW_BYTES: Final = 2048
"""What an entry takes in memory besides its detail: a dict of 15 columns and their text."""


class Backlog:
    """Entries in their stored form, between those who append and the one writer."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[Columns] = deque()
        self._bytes = 0
        self._put = 0
        self._settled = 0
        self._callbacks: deque[tuple[int, Callable[[], None]]] = deque()
        self._lost = _Lost()
        self._closed = False

    @property
    def depth(self) -> int:
        """How many entries are not known to be written."""
        return self._put - self._settled

    @property
    def full(self) -> bool:
        """Whether entries are being refused."""
        return bool(self._lost)

    def put(self, columns: Columns) -> None:
        """Take an entry.

        Raises:
            LedgerStalledError: there is no room for it; it is counted as lost.
            LedgerClosedError: after close().
        """
        with self._changed:
            if self._closed:
                raise LedgerClosedError
            # Into an empty one anything goes: no settling would ever end the refusing.
            no_room = self._bytes > 0 and self._bytes + _weight(columns) > self._limit_bytes
            if self._lost or no_room:
                self._lost.add(columns)
                raise LedgerStalledError(self.depth)
            self._push(columns)

    def take(self, limit: int, gather_s: float) -> list[Columns]:
        """Wait for entries and remove up to `limit` of them; none means closed and empty.

        It waits `gather_s` for more to come after the first, unless somebody waits for them.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(
                lambda: self._callbacks or self._closed or len(self._waiting) >= limit, gather_s
            )
            return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def settle(self, batch: list[Columns]) -> None:
        """Note that a taken batch is durable, and call back who waited for it."""
        with self._changed:
            self._settled += len(batch)
            self._bytes -= sum(map(_weight, batch))
            if self._lost and self._bytes <= self._limit_bytes // 2:
                self._state_losses()
            due = list(
                itertools.takewhile(lambda waiting: waiting[0] <= self._settled, self._callbacks)
            )
            for _ in due:
                self._callbacks.popleft()
        for _, callback in due:
            callback()

    def call_when_settled(self, callback: Callable[[], None]) -> None:
        """Call `callback` once all that is in now is durable: at once, or in the writer's thread.

        It must not raise and must not block.
        """
        with self._changed:
            if self._settled < self._put:
                self._callbacks.append((self._put, callback))
                self._changed.notify_all()
                return
        callback()

    def close(self) -> None:
        """Take no more entries; `take` still gives those that wait."""
        with self._changed:
            if self._lost and not self._closed:
                self._state_losses()
            self._closed = True
            self._changed.notify_all()

    def _state_losses(self) -> None:
        entry, self._lost = self._lost.entry(), _Lost()
        self._push(to_columns(entry))

    def _push(self, columns: Columns) -> None:
        self._waiting.append(columns)
        self._put += 1
        self._bytes += _weight(columns)
        if len(self._waiting) == 1:
            self._changed.notify_all()


class _Lost:
    """What was refused since the backlog was full."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._first_us = self._last_us = 0

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(self, columns: Columns) -> None:
        self._last_us = int(columns["at_us"] or 0)
        if not self._kinds:
            self._first_us = self._last_us
        self._kinds[str(columns["kind"])] += 1

    def entry(self) -> Entry:
        return Entry(
            kind=EntryKind.ENTRY_LOST,
            at_us=self._last_us,
            result=LedgerStalledError.id,
            detail={
                "count": self._kinds.total(),
                "kinds": dict(self._kinds),
                "first_us": self._first_us,
                "last_us": self._last_us,
            },
        )


def _weight(columns: Columns) -> int:
    return _ROW_BYTES + len(str(columns["detail"]))
