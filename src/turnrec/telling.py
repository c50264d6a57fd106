"""Puts together what tells others of calls: the feed, the live board and the webhooks.

It knows who may hear what, and leaves the telling to them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

from turnrec.calls import Calls
from turnrec.core.entry import JSON, Entry
from turnrec.core.errors import UnknownCallError
from turnrec.core.event import Event, EventType
from turnrec.describe import describe_call
from turnrec.feed import Feed, LiveBoard
from turnrec.ledger.errors import LedgerError
from turnrec.ledger.store import Ledger
from turnrec.web.access import Access


class Telling:
    """Everybody who is told."""

    def __init__(self, ledger: Ledger, calls: Calls) -> None:
        self._ledger = ledger
        self._calls = calls
        self.feed = Feed(ledger)
        self._board = LiveBoard(calls.live, describe_call)

    async def start(self) -> None:
        """Begin to tell.

        Raises:
            LedgerError: the ledger can't be read.
        """
        await self.feed.start()

    async def close(self) -> None:
        """Let everybody who listens go."""
        self._board.close()
        await self.feed.close()

    def entered(self, entry: Entry) -> None:
        """Note an entry as it is made: the live board shows its call anew."""
        self._board.touched(entry.call_id)

    # -------------------------------------------------------------- what the routes ask

    async def find_call(self, access: Access, name: str) -> str:
        """The id of a call, live or past.

        Raises:
            UnknownCallError: none has this name, or it isn't theirs to see.
        """
        unknown = UnknownCallError(name[:64])
        live = self._calls.search(name)
        if live is not None:
            access.check_sees(live.bot.name, unknown)
            return live.id
        with suppress(LedgerError):
            await self._ledger.flush()
        record = await self._ledger.call(name) or await self._ledger.find_call(name)
        if record is None:
            raise unknown
        access.check_sees(record.bot, unknown)
        return record.call_id

    async def events(
        self,
        access: Access,
        types: frozenset[EventType] | None,
        call_id: str | None,
        after: int | None,
    ) -> AsyncIterator[bytes]:
        """Server-sent events: what is theirs to hear, after entry `after` or from now on."""

        def wanted(event: Event) -> bool:
            return (types is None or event.type in types) and access.may_see(event.bot)

        is_first = True
        async for position, told in self.feed.listen(wanted, after, call_id=call_id):
            if is_first:
                # Who is cut off before they heard anything resumes here all the same.
                yield f"id: {position}\n\n".encode("ascii")
                is_first = False
            if told:
                yield b"".join(one.frame for one in told)

    def board(self, access: Access) -> AsyncIterator[bytes]:
        """Server-sent events: the live calls that are theirs to see, and how they change."""
        return self._board.watch(access.bots)

    async def timeline(
        self, call_id: str, after: int, limit: int
    ) -> tuple[list[dict[str, JSON]], int | None]:
        """A call's events after entry `after`, and where the next page begins."""
        with suppress(LedgerError):
            await self._ledger.flush()
        return await self.feed.timeline(call_id, after, limit)
