"""Who is told of what AMI brings: ordered, bounded delivery that never breaks the connection."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class HandlerQueue(Generic[T]):
    """Feeds one handler, one item at a time and in order, in a task that it keeps alive.

    panoramisk calls handlers in the midst of its reader, where an exception drops the connection
    (trap 6), and starts coroutines that nothing refers to, so that the garbage collector may
    take one in mid-flight (trap 12). Here the reader only appends; the task exists while there
    is something to deliver.
    """

    def __init__(
        self, handler: Callable[[T], Awaitable[None] | None], *, label: str, max_queued: int
    ) -> None:
        self.dropped = 0
        self._handler = handler
        self._label = label
        self._max_queued = max_queued
        self._items: deque[T] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._overflowing = False

    def put(self, item: T) -> None:
        """Queues an item. Needs a running loop; never raises on behalf of the handler."""
        if self._closed:
            return
        if len(self._items) >= self._max_queued:
            self.dropped += 1
            if not self._overflowing:  # one line for a burst, not one per event
                self._overflowing = True
                log.error(
                    "AMI handler %s is %d items behind: new ones are being dropped",
                    self._label,
                    self._max_queued,
                )
            return
        self._overflowing = False
        self._items.append(item)
        if self._task is None:
            self._task = asyncio.create_task(self._deliver(), name=f"ami-{self._label}")

    async def _deliver(self) -> None:
        try:
            while self._items:
                try:
                    result = self._handler(self._items.popleft())
                    if result is not None and inspect.isawaitable(result):
                        await result
                except Exception:  # a handler's fault is its own: the next item still comes
                    log.exception("AMI handler %s failed; later items still reach it", self._label)
        finally:
            self._task = None

    def stop(self, *, when_idle: Callable[[], None] | None = None) -> None:
        """Delivers nothing more; a handler that is running is left to end, then `when_idle`."""
        self._closed = True
        self._items.clear()
        if when_idle is None:
            return
        if self._task is None:
            when_idle()
        else:
            self._task.add_done_callback(lambda _: when_idle())

    async def close(self) -> None:
        """Delivers nothing more, and cancels the handler if it is running (unless it is us)."""
        self.stop()
        task = self._task
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait({task})
