"""Puts together what tells others of calls: the feed, the live board and the webhooks.

It knows who may hear what, and leaves the telling to them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ulid import ULID

from turnrec.calls import Calls
from turnrec.core.entry import JSON, Entry
from turnrec.core.errors import UnknownBotError, UnknownCallError
from turnrec.core.event import Event, EventType
from turnrec.describe import describe_call
from turnrec.desk import past_call
from turnrec.feed import Feed, LiveBoard
from turnrec.ledger.engine import parse_url, sqlite_file
from turnrec.ledger.errors import LedgerError
from turnrec.ledger.store import Ledger
from turnrec.web.access import Access
from turnrec.webhooks import Delivery, Endpoint, Webhooks
from turnrec.webhooks.store import FILE_NAME


class Telling:
    """Everybody who is told."""

    def __init__(
        self,
        ledger: Ledger,
        calls: Calls,
        clock: Callable[[], int],
        ledger_url: str,
        folder: Path,
        *,
        told_to_courier: Mapping[str, JSON] | None = None,
    ) -> None:
        """Make it.

        Args:
            ledger: what is told of.
            calls: the live calls, and how alarms are raised.
            clock: now, in UTC microseconds.
            ledger_url: where the webhooks' courier reads the ledger; their database lies beside it.
            folder: where it lies if the ledger is no file.
            told_to_courier: further settings of it: `log`.
        """
        self._ledger = ledger
        self._calls = calls
        self.feed = Feed(ledger)
        self._board = LiveBoard(calls.live, describe_call)
        file = sqlite_file(parse_url(ledger_url))
        self._webhooks = Webhooks(
            (folder if file is None else file.parent) / FILE_NAME,
            ledger_url,
            lambda: self.feed.position,
            clock,
            lambda: str(ULID()),
            lambda alarm_id, sentence: calls.notes.alarm(None, alarm_id, sentence),
            told_to_courier=told_to_courier,
        )
        self.feed.on_told = self._webhooks.wake

    async def start(self) -> None:
        """Begin to tell.

        Raises:
            LedgerError: the ledger can't be read.
            OSError, sqlite3.Error: the webhooks' database can't be had.
        """
        await self.feed.start()
        await self._webhooks.start()

    async def close(self) -> None:
        """Let everybody who listens go."""
        self._board.close()
        await self.feed.close()
        await self._webhooks.close()

    def entered(self, entry: Entry) -> None:
        """Note an entry as it is made: the live board shows its call anew."""
        self._board.touched(entry.call_id)

    # -------------------------------------------------------------- what the routes ask

    async def find_call(self, access: Access, name: str) -> str:
        """The id of a call, live or past.

        Raises:
            UnknownCallError: none has this name, or it isn't theirs to see.
        """
        live = self._calls.search(name)
        if live is not None:
            access.check_sees(live.bot.name, UnknownCallError(name[:64]))
            return live.id
        with suppress(LedgerError):
            await self._ledger.flush()
        return (await past_call(self._ledger, access, name)).call_id

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

        async for position, told in self.feed.listen(wanted, after, call_id=call_id):
            frames = [one.frame for one in told]
            if not told or told[-1].event.seq < position:
                # Who hears nothing of the rest resumes after it, and knows how far they are.
                frames.append(f"id: {position}\n\n".encode("ascii"))
            yield b"".join(frames)

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

    # -------------------------------------------------------------- webhooks

    async def webhooks(self, access: Access) -> Sequence[tuple[Endpoint, int, int]]:
        """The webhooks that are theirs to see, each with how many events wait and are dead."""
        found = await self._webhooks.all(access.bots)
        return [(one, *await self._webhooks.counts(one.id)) for one in found]

    async def webhook(self, access: Access, webhook_id: str) -> tuple[Endpoint, int, int]:
        """One of them.

        Raises:
            UnknownWebhookError: there is none, or it isn't theirs to see.
        """
        found = await self._webhooks.find(webhook_id, access.bots)
        return (found, *await self._webhooks.counts(found.id))

    async def create_webhook(
        self,
        access: Access,
        url: str,
        types: Collection[EventType] | None,
        bots: Collection[str] | None,
    ) -> Endpoint:
        """Make one; it hears of no bot that whoever makes it may not see.

        Raises:
            UnknownBotError: they may not see one of these bots.
            InvalidWebhookError, TooManyWebhooksError: it can't be made.
        """
        for bot in bots or ():
            access.check_sees(bot, UnknownBotError(bot, ""))
        return await self._webhooks.create(url, types, access.bots if bots is None else bots)

    async def delete_webhook(self, access: Access, webhook_id: str) -> None:
        """Delete one.

        Raises:
            UnknownWebhookError: there is none, or it isn't theirs to see.
        """
        await self._webhooks.delete((await self._webhooks.find(webhook_id, access.bots)).id)

    async def dead_letters(
        self, access: Access, webhook_id: str, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        """One's dead letters, the newest first.

        Raises:
            UnknownWebhookError: there is none, or it isn't theirs to see.
        """
        found = await self._webhooks.find(webhook_id, access.bots)
        return await self._webhooks.dead_letters(found.id, before, limit)

    async def retry(self, access: Access, webhook_id: str, delivery_id: int) -> Delivery:
        """Send a dead letter anew.

        Raises:
            UnknownWebhookError, UnknownDeliveryError, WebhookDisabledError: it can't be.
        """
        found = await self._webhooks.find(webhook_id, access.bots)
        return await self._webhooks.retry(found, delivery_id)
