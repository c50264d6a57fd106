"""Looks at something at intervals, in a task that outlives the failure of a look; it looks at
nothing itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)


class Periodic:
    """One look, again and again."""

    def __init__(
        self,
        look: Callable[[], Awaitable[object]],
        interval_s: float,
        *,
        name: str,
        complaint: str,
    ) -> None:
        """`complaint` is what the log says of a look that failed; the next one comes."""
        self._look = look
        self._interval_s = interval_s
        self._name = name
        self._complaint = complaint
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first look comes after one interval."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """End it. A look under way is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._look()
            except Exception:
                logger.exception(self._complaint)
