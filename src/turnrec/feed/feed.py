"""Reads each new entry of the ledger once and tells everybody who listens; it holds up nobody.

Only what is durable is told. Who resumes is read to from the ledger until they have caught up, and
joins the others at that very entry, so nothing is told twice or left out. Who is too slow is let go
and resumes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Final

from turnrec.core.entry import JSON
from turnrec.core.event import RULES, Event
from turnrec.feed.told import Told, describe_event, tell
from turnrec.ledger.errors import LedgerError
from turnrec.ledger.store import Ledger

logger = logging.getLogger(__name__)

_PAGE: Final = 500
MAX_BEHIND: Final = 2000
"""How many events a listener may be behind before it is let go."""
_RETRY_S: Final = 1.0

Wanted = Callable[[Event], bool]
"""Whether a listener hears an event."""


class Feed:
    """The events of one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._position = 0
        self._written = asyncio.Event()
        self._listeners: set[_Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self.on_told: Callable[[], None] | None = None
        """Called when there are new events, or may be; it must not raise and must not block."""

    @property
    def position(self) -> int:
        """The entry up to which everything has been told."""
        return self._position

    async def start(self) -> None:
        """Begin to follow the ledger; what is in it already is told only to who resumes.

        Raises:
            LedgerError: it can't be read.
        """
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # The loop may be gone by the time a stalled database moves again.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._written.set)

        self._position = (await self._ledger.head()).seq
        self._ledger.on_written(wake)
        self._task = asyncio.create_task(self._follow(), name="feed")

    async def close(self) -> None:
        """Let every listener go."""
        self._is_closed = True
        self._ledger.on_written(None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        for listener in tuple(self._listeners):
            listener.let_go()

    async def listen(
        self, wanted: Wanted, after: int | None = None, *, call_id: str | None = None
    ) -> AsyncIterator[tuple[int, Sequence[Told]]]:
        """Tell every event after entry `after`, in order and once; None: from now on.

        Yields:
            Up to which entry everything has been told, and the events; first without any. It ends
            with the feed, or where the listener is too slow.

        Raises:
            LedgerError: the ledger can't be read.
        """
        cursor = self._position if after is None else after
        if cursor > self._position and cursor > (await self._ledger.head()).seq:
            # A number that the ledger hasn't reached is another ledger's.
            cursor = self._position
        yield cursor, ()
        while not self._is_closed:
            if cursor < self._position:
                told, cursor = await self._read(cursor, call_id)
                yield cursor, [one for one in told if wanted(one.event)]
                continue

            def is_theirs(event: Event, joined_at: int = cursor) -> bool:
                # Who knows the ledger's end from elsewhere may be before the feed.
                is_new = event.seq > joined_at
                return is_new and call_id in (None, event.call) and wanted(event)

            # Nothing is told between the look at the position and this.
            listener = _Listener(cursor)
            self._listeners.add(listener)
            try:
                while not listener.is_gone:
                    told = await listener.next()
                    yield listener.position, [one for one in told if is_theirs(one.event)]
            finally:
                self._listeners.discard(listener)
            return

    async def timeline(
        self, call_id: str, after: int, limit: int
    ) -> tuple[list[dict[str, JSON]], int | None]:
        """Return a call's events after entry `after`, and where the next page begins, if it does.

        Raises:
            LedgerError: the ledger can't be read.
        """
        found, up_to = await self._ledger.told(
            tuple(RULES), after_seq=after, limit=limit, call_id=call_id
        )
        told = (tell(written, bot) for written, bot in found)
        events = [describe_event(one.event) for one in told if one is not None]
        return events, up_to if len(found) == limit else None

    async def _read(self, after: int, call_id: str | None = None) -> tuple[list[Told], int]:
        found, up_to = await self._ledger.told(
            tuple(RULES), after_seq=after, limit=_PAGE, call_id=call_id
        )
        told = (tell(written, bot) for written, bot in found)
        return [one for one in told if one is not None], up_to

    async def _follow(self) -> None:
        while True:
            await self._written.wait()
            self._written.clear()
            try:
                while await self._tell_next():
                    pass
            except LedgerError as error:
                logger.warning("events wait, the ledger can't be read: %s", error)
                self._written.set()
                await asyncio.sleep(_RETRY_S)
            except Exception:
                logger.exception("a defect in turnrec: events wait")
                self._written.set()
                await asyncio.sleep(_RETRY_S)

    async def _tell_next(self) -> bool:
        """Tell the next entries; return whether there may be more."""
        before = self._position
        if not self._listeners and await self._pass_over(before):
            return False
        told, position = await self._read(before)
        # From here to the end nothing waits: listeners join before it or after it.
        self._position = position
        if told:
            for listener in tuple(self._listeners):
                listener.hear(position, told)
            if self.on_told is not None:
                self.on_told()
        return position > before

    async def _pass_over(self, before: int) -> bool:
        """Where nobody listens, go to the ledger's end unread; whether that was done."""
        head = await self._ledger.head()
        if self._listeners:
            return False  # somebody has joined meanwhile, at `before`
        self._position = head.seq
        if head.seq > before and self.on_told is not None:
            self.on_told()
        return True


class _Listener:
    """What one listener has not been sent yet."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.is_gone = False
        self._waiting: deque[tuple[int, Sequence[Told]]] = deque()
        self._behind = 0
        self._news = asyncio.Event()

    def hear(self, position: int, told: Sequence[Told]) -> None:
        self._behind += len(told)
        if self._behind > MAX_BEHIND:
            self.let_go()
            return
        self._waiting.append((position, told))
        self._news.set()

    def let_go(self) -> None:
        self.is_gone = True
        self._waiting.clear()
        self._news.set()

    async def next(self) -> list[Told]:
        """Wait for events, and take all that there are."""
        await self._news.wait()
        self._news.clear()
        told: list[Told] = []
        while self._waiting:
            self.position, batch = self._waiting.popleft()
            told += batch
        self._behind = 0
        return told
