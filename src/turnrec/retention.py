"""Deletes what has been kept for its days, and what a crash kept from going; it decides no policy.

How long a bot's recordings are kept is the flow's (`keep_days`); what may be deleted at all, and
how, is `turnrec.keeping`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from turnrec.core.entry import Origin
from turnrec.core.errors import TurnrecError
from turnrec.core.policy import Bot
from turnrec.keeping import Asked, Keeper
from turnrec.periodic import Periodic
from turnrec.ports import FlowSource
from turnrec.recordings.removing import names_below

logger = logging.getLogger(__name__)

_DAY_US: Final = 86_400 * 1_000_000
_PAGE: Final = 100
_NONE: Final[frozenset[str]] = frozenset()
_BATCH: Final = 1000
"""Names that are looked up in the ledger at once: memory doesn't grow with what is kept."""


def wall_clock_us() -> int:
    """What the system's clock says now, in UTC microseconds."""
    return time.time_ns() // 1000


class Retention:
    """Looks over the recordings at intervals."""

    def __init__(
        self,
        keeper: Keeper,
        flow: FlowSource,
        clock: Callable[[], int],
        *,
        interval_s: float,
        wall_clock: Callable[[], int] = wall_clock_us,
    ) -> None:
        self._keeper = keeper
        self._flow = flow
        self._clock = clock
        self._wall_clock = wall_clock
        self._sweeps = Periodic(
            self.sweep,
            interval_s,
            name="retention",
            complaint="recordings could not be looked over; the next look comes",
        )

    def start(self) -> None:
        """Look over them now and then, the first time after one interval: clocks need theirs."""
        self._sweeps.start()

    async def close(self) -> None:
        """Stop looking. A deletion under way is left to the next process, by its tombstone."""
        await self._sweeps.close()

    async def sweep(self) -> int:
        """Delete what is due; return how many recordings that were."""
        await self._finish_deletions()
        deleted = 0
        for bot in tuple(self._flow.flow.bots.values()):
            if bot.keep_days:
                deleted += await self._expire(bot)
        return deleted

    async def _expire(self, bot: Bot) -> int:
        # A process's own clock never moves, the system's may be put right: what is due is due by
        # both. A clock that was once years ahead deletes nothing after it was put right.
        now_us = min(self._clock(), self._wall_clock())
        before_us = now_us - bot.keep_days * _DAY_US
        asked = Asked(f"kept for {bot.keep_days} days (bot {bot.name})", None, Origin.SERVER)
        after_seq, deleted = 0, 0
        ledger = self._keeper.ledger
        while page := await ledger.expired_recordings(
            bot.name, before_us, after_seq=after_seq, limit=_PAGE
        ):
            for record in sorted(page, key=lambda one: one.first_seq):
                after_seq = record.first_seq
                if record.legal_hold is not None:
                    continue
                try:
                    await self._keeper.delete(record.recording_id, asked)
                except TurnrecError as error:
                    logger.warning("recording %s was not deleted: %s", record.recording_id, error)
                else:
                    deleted += 1
        return deleted

    async def _finish_deletions(self) -> None:
        """Take away the files of recordings whose tombstone is older than their end."""
        batches = _batches(self._keeper.folder, self._keeper.spool)
        while ids := await asyncio.to_thread(next, batches, _NONE):
            for record in await self._keeper.ledger.deleted_recordings(ids):
                if self._keeper.files_of(record):
                    with contextlib.suppress(TurnrecError):
                        await self._keeper.remove(record)


def _batches(*places: Path) -> Iterator[frozenset[str]]:
    """The ids by which files below some folders may be named, a few at a time."""
    ids: set[str] = set()
    for name in itertools.chain.from_iterable(map(names_below, places)):
        stem = name.lstrip(".").partition(".")[0]
        ids |= {stem, stem.partition("-")[0]}
        if len(ids) >= _BATCH:
            yield frozenset(ids)
            ids.clear()
    if ids:
        yield frozenset(ids)
