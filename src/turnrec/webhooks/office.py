"""Where webhooks are made and deleted, and the courier's process is kept running.

The courier works in a process of its own (`turnrec.courier`): hundreds of requests a second must
not take the event loop's time from the calls. It hears of news by its standard input, tells of
alarms by its standard output, and ends when the server does. Without a webhook there is none.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from turnrec.core.entry import JSON
from turnrec.core.event import EventType
from turnrec.webhooks.endpoint import (
    MAX_ENDPOINTS,
    Delivery,
    Endpoint,
    TooManyWebhooksError,
    UnknownDeliveryError,
    UnknownWebhookError,
    WebhookDisabledError,
    check_url,
    new_secret,
)
from turnrec.webhooks.store import Store

logger = logging.getLogger(__name__)

_COMMAND: Final = (sys.executable, "-P", "-m", "turnrec.courier")
_ENDS_WITHIN_S: Final = 5.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_MOST_UNREAD: Final = 1024
"""Wakings that the courier hasn't read yet: one suffices."""

_Result = TypeVar("_Result")


class Webhooks:
    """The webhooks."""

    def __init__(
        self,
        file: Path,
        ledger_url: str,
        position: Callable[[], int],
        clock: Callable[[], int],
        new_id: Callable[[], str],
        alarm: Callable[[str, str], None],
        *,
        told_to_courier: Mapping[str, JSON] | None = None,
    ) -> None:
        """Make it.

        Args:
            file: their database.
            ledger_url: where the courier reads the entries.
            position: the entry up to which the feed has told; a new webhook hears what follows.
            clock: now, in UTC microseconds.
            new_id: makes a webhook's id.
            alarm: wakes somebody: a stable id and a sentence.
            told_to_courier: further settings of it (`turnrec.courier`).
        """
        self._file = file
        self._first_line: dict[str, JSON] = {
            "ledger": ledger_url,
            "store": str(file),
            **(told_to_courier or {}),
        }
        self._position = position
        self._clock = clock
        self._new_id = new_id
        self._alarm = alarm
        self._store: Store | None = None
        self._one_at_a_time = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Open the database, and start the courier where there is a webhook.

        Raises:
            OSError, sqlite3.Error: the database can't be had.
        """
        self._store = await asyncio.to_thread(Store, self._file)
        if await self._stored(lambda store: store.endpoints()):
            self._keep_courier()

    async def close(self) -> None:
        """End the courier. What waits is sent after the next start."""
        self._is_closed = True
        if self._keeping is not None:
            process = self._process
            if process is not None and process.stdin is not None:
                process.stdin.close()
            try:
                async with asyncio.timeout(_ENDS_WITHIN_S):
                    await asyncio.shield(self._keeping)
            except TimeoutError:
                logger.warning("the webhooks' courier does not end: it is killed")
                self._keeping.cancel()
                await asyncio.wait({self._keeping})
        if self._store is not None:
            async with self._one_at_a_time:
                self._store.close()
                self._store = None

    def wake(self) -> None:
        """There are new events."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            return
        if process.stdin.transport.get_write_buffer_size() < _MOST_UNREAD:
            process.stdin.write(b"{}\n")

    # -------------------------------------------------------------- what an admin asks

    async def all(self, bots: frozenset[str] | None = None) -> list[Endpoint]:
        """The webhooks, the oldest first; with `bots` those that hear of no others."""
        found = await self._stored(lambda store: store.endpoints())
        return [one for one in found if _is_within(one, bots)]

    async def find(self, webhook_id: str, bots: frozenset[str] | None = None) -> Endpoint:
        """One webhook.

        Raises:
            UnknownWebhookError: there is none, or it hears of others than `bots`.
        """
        for one in await self.all(bots):
            if one.id == webhook_id:
                return one
        raise UnknownWebhookError

    async def create(
        self,
        url: str,
        types: Collection[EventType] | None,
        bots: Collection[str] | None,
    ) -> Endpoint:
        """Make a webhook; it hears of what happens from now on.

        Raises:
            InvalidWebhookError: the address can't be one.
            TooManyWebhooksError: there are enough.
        """
        endpoint = Endpoint(
            id=self._new_id(),
            url=check_url(url),
            secret=new_secret(),
            types=None if types is None else frozenset(types),
            bots=None if bots is None else frozenset(bots),
            created_us=self._clock(),
            cursor=self._position(),
        )

        def add(store: Store) -> None:
            if len(store.endpoints()) >= MAX_ENDPOINTS:
                raise TooManyWebhooksError
            store.add(endpoint)

        await self._stored(add)
        logger.info("webhook %s made", endpoint.id)
        self._keep_courier()
        self.wake()
        return endpoint

    async def delete(self, webhook_id: str) -> None:
        """Delete a webhook with everything that waits for it."""
        await self._stored(lambda store: store.remove(webhook_id))
        logger.info("webhook %s deleted", webhook_id)
        self.wake()

    async def counts(self, webhook_id: str) -> tuple[int, int]:
        """How many events wait for a webhook, and how many dead letters it has."""
        return await self._stored(
            lambda store: (store.waiting(webhook_id), store.count_dead(webhook_id))
        )

    async def dead_letters(
        self, webhook_id: str, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        """A webhook's dead letters, the newest first, from the one before `before` on."""
        return await self._stored(lambda store: store.dead_letters(webhook_id, before, limit))

    async def retry(self, endpoint: Endpoint, delivery_id: int) -> Delivery:
        """Send a dead letter anew.

        Raises:
            WebhookDisabledError: nothing is sent to this webhook any more.
            UnknownDeliveryError: it has no such dead letter.
        """
        if endpoint.disabled is not None:
            raise WebhookDisabledError
        now_us = self._clock()
        found = await self._stored(lambda store: store.revive(endpoint.id, delivery_id, now_us))
        if found is None:
            raise UnknownDeliveryError
        self.wake()
        return found

    async def _stored(self, do: Callable[[Store], _Result]) -> _Result:
        async with self._one_at_a_time:
            store = self._store
            assert store is not None, "asked before the start or after the end"  # noqa: S101
            return await asyncio.to_thread(do, store)

    # -------------------------------------------------------------- the courier

    def _keep_courier(self) -> None:
        if self._keeping is None and not self._is_closed:
            self._keeping = asyncio.create_task(self._keep(), name="webhooks' courier")

    async def _keep(self) -> None:
        """Have the courier run, and run again where it died."""
        pause_s = _FIRST_PAUSE_S
        while not self._is_closed:
            began_at = asyncio.get_running_loop().time()
            try:
                status = str(await self._run_once())
            except OSError as error:
                status = str(error)
            if self._is_closed:
                return
            if asyncio.get_running_loop().time() - began_at > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            if pause_s == _FIRST_PAUSE_S:
                self._alarm("webhooks-down", f"the webhooks' courier ended ({status})")
            logger.error("the webhooks' courier ended (%s); again in %g s", status, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _run_once(self) -> int:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*_COMMAND, stdin=pipe, stdout=pipe)
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        try:
            # The ledger's URL may hold a password: no command line, no environment.
            process.stdin.write(json.dumps(self._first_line).encode("ascii") + b"\n")
            self._process = process
            if self._is_closed:
                process.stdin.close()
            with suppress(ValueError):  # a line that is none of ours
                while line := await process.stdout.readline():
                    self._hear(line)
            return await process.wait()
        finally:
            self._process = None
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _hear(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            self._alarm(str(said["alarm"]), str(said["sentence"]))
        except (ValueError, KeyError, TypeError):
            logger.warning("the webhooks' courier says what can't be understood")


def _is_within(endpoint: Endpoint, bots: frozenset[str] | None) -> bool:
    return bots is None or (endpoint.bots is not None and endpoint.bots <= bots)
