"""Takes events from the ledger to the webhooks, and tries again until they are taken.

Each webhook has a worker of its own with its own place in the ledger, so a slow or dead receiver
delays nobody else. What waits is bounded: beyond it the ledger itself is the queue.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import httpx

from turnrec.core.event import RULES
from turnrec.feed.told import Told, tell
from turnrec.ledger.errors import LedgerError
from turnrec.ledger.reader import LedgerReader
from turnrec.webhooks.endpoint import Attempt, Delivery, Endpoint, Patience, Verdict, signed
from turnrec.webhooks.store import Later, Store

logger = logging.getLogger(__name__)

_PAGE: Final = 500
_REMEMBERED: Final = 2000
_IDLE_STEP: Final = 5000
"""After how many entries that a webhook doesn't hear its place is written down."""
_RETRY_S: Final = 1.0
_GATHER_S: Final = 0.02
"""How long what happens to one webhook is gathered, to be entered together."""
_AT_HAND: Final = 100
_HEADERS: Final = {"content-type": "application/json", "user-agent": "turnrec", "accept": "*/*"}
_READ_AT_MOST: Final = 1 << 14
"""So much of an answer is read, and thrown away, to keep its connection."""

Alarm = Callable[[str, str], None]
"""Wakes somebody: a stable id and a sentence."""
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Means:
    """What a worker works with."""

    store: Store
    threads: ThreadPoolExecutor
    recent: Recent
    trusted: ssl.SSLContext
    clock: Callable[[], int]
    """Now, in UTC microseconds."""
    patience: Patience
    alarm: Alarm

    async def stored(self, do: Callable[..., _Result], *arguments: object) -> _Result:
        """Do something in the database, in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, do, *arguments)


class Courier:
    """All webhooks' workers."""

    def __init__(
        self,
        store: Store,
        ledger: LedgerReader,
        trusted: ssl.SSLContext,
        clock: Callable[[], int],
        alarm: Alarm,
        *,
        patience: Patience | None = None,
    ) -> None:
        """Make it. Whoever gave the store and the ledger closes them; `trusted` are the
        authorities whose word an https receiver's certificate needs."""
        self._ledger = ledger
        # One thread: SQLite takes one writer at a time anyway.
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="webhooks")
        self._means = Means(
            store, self._threads, Recent(ledger), trusted, clock, patience or Patience(), alarm
        )
        self._workers: dict[str, _Worker] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work."""
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="courier")

    def wake(self) -> None:
        """The ledger has new entries, or a webhook was made, changed or deleted."""
        self._wake.set()

    async def close(self) -> None:
        """End it. Attempts under way are given up, and made again at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await asyncio.gather(*(worker.close() for worker in self._workers.values()))
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self) -> None:
        is_known = False
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                is_known = is_known or await self._know_ledger()
                if is_known:
                    await self._means.recent.refresh()
                    await self._staff()
            except Exception as error:
                # The ledger or the disk fails; or it is a defect. Nothing is lost by waiting.
                logger.log(
                    logging.WARNING if isinstance(error, LedgerError) else logging.ERROR,
                    "webhooks wait: %s",
                    error,
                    exc_info=not isinstance(error, LedgerError),
                )
                self._wake.set()
                await asyncio.sleep(_RETRY_S)
            for worker in self._workers.values():
                worker.wake()

    async def _know_ledger(self) -> bool:
        ledger_id = await self._ledger.ledger_id()
        if ledger_id is None:
            return False  # its first entry will wake us
        head = (await self._ledger.head()).seq
        store = self._means.store
        if not await self._means.stored(store.follow_ledger, ledger_id, head):
            logger.warning("the ledger is another one: webhooks begin at its end")
        return True

    async def _staff(self) -> None:
        """Have a worker for each webhook that is not disabled, and no other."""
        wanted = {
            one.id: one
            for one in await self._means.stored(self._means.store.endpoints)
            if one.disabled is None
        }
        for gone in self._workers.keys() - wanted.keys():
            await self._workers.pop(gone).close()
        for one in wanted.keys() - self._workers.keys():
            self._workers[one] = _Worker(wanted[one], self._means)


class Recent:
    """The newest events of the ledger, read once for all webhooks."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self._begin: int | None = None
        """After this entry all events are remembered."""
        self._end = 0
        self._told: list[Told] = []

    @property
    def end(self) -> int:
        """The entry up to which all events are known."""
        return self._end

    async def refresh(self) -> None:
        """Read on to the ledger's end.

        Raises:
            LedgerError: it can't be read.
        """
        if self._begin is None:
            self._begin = self._end = (await self._ledger.head()).seq
        while True:
            told, end = await self._read(self._end, _PAGE)
            self._told += told
            is_more, self._end = end > self._end, end
            if len(self._told) > 2 * _REMEMBERED:
                self._begin = self._told[-_REMEMBERED - 1].event.seq
                del self._told[:-_REMEMBERED]
            if not is_more:
                return

    async def after(self, seq: int, limit: int) -> tuple[list[Told], int]:
        """Return at most `limit` events after an entry, and up to which there are no more.

        Raises:
            LedgerError: the ledger can't be read.
        """
        if self._begin is None or seq < self._begin:
            return await self._read(seq, min(limit, _PAGE))
        if seq >= self._end:
            return [], seq
        first = bisect_right(self._told, seq, key=lambda one: one.event.seq)
        told = self._told[first : first + limit]
        return told, told[-1].event.seq if len(told) == limit else self._end

    async def _read(self, seq: int, limit: int) -> tuple[list[Told], int]:
        found, end = await self._ledger.told(tuple(RULES), after_seq=seq, limit=limit)
        told = (tell(written, bot) for written, bot in found)
        return [one for one in told if one is not None], end


class _Worker:
    """Brings one webhook its events."""

    def __init__(self, endpoint: Endpoint, means: Means) -> None:
        self._endpoint = endpoint
        self._url = httpx.URL(endpoint.url)
        self._transport = _new_transport(means.trusted, means.patience.at_once)
        self._means = means
        self._cursor = self._written_cursor = endpoint.cursor
        self._at_once = means.patience.at_once
        self._alarmed_us: int | None = None
        self._woken = asyncio.Event()
        self._ready: deque[Delivery] = deque()
        self._running: dict[asyncio.Task[Attempt], Delivery] = {}
        self._ended: list[tuple[Delivery, Attempt]] = []
        self._task = asyncio.create_task(self._run(), name=f"webhook {endpoint.id}")

    def wake(self) -> None:
        self._woken.set()

    async def close(self) -> None:
        self._ready.clear()
        tasks = {self._task, *self._running}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._transport.aclose()

    async def _run(self) -> None:
        while True:
            try:
                if await self._settle():
                    return
                await self._take_over()
                await self._wait(await self._refill())
            except Exception as error:
                if not isinstance(error, LedgerError):
                    logger.exception("webhook %s waits", self._endpoint.id)
                await asyncio.sleep(_RETRY_S)

    async def _wait(self, until_us: int | None) -> None:
        """Wait for news, an attempt's end or an instant, and a moment for more of them."""
        now_us = self._means.clock()
        pause_s = None if until_us is None else max(0.0, (until_us - now_us) / 1_000_000)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._woken.wait()
        await asyncio.sleep(_GATHER_S)
        self._woken.clear()

    async def _refill(self) -> int | None:
        """Have due deliveries at hand; return when the next one is due, where it isn't yet."""
        means = self._means
        if len(self._ready) > _AT_HAND // 2:
            return None
        busy = {one.id for one in (*self._ready, *self._running.values())}
        busy |= {one.id for one, _ in self._ended}
        # Of a receiver that fails only the next one: what comes after it may have to wait.
        limit = _AT_HAND if self._at_once > 1 else 1
        due, next_us = await means.stored(
            means.store.due, self._endpoint.id, means.clock(), limit, busy
        )
        self._ready += due
        self._start_some()
        return next_us

    def _start_some(self) -> None:
        while self._ready and len(self._running) < self._at_once:
            delivery = self._ready.popleft()
            task = asyncio.create_task(self._attempt(delivery))
            self._running[task] = delivery
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[Attempt]) -> None:
        delivery = self._running.pop(task)
        if task.cancelled():
            return
        attempt = task.result()
        self._ended.append((delivery, attempt))
        # One at a time asks whether it is there again; each answer that is good doubles it.
        doubled = min(self._at_once * 2, self._means.patience.at_once)
        self._at_once = doubled if attempt.verdict is Verdict.TAKEN else 1
        if attempt.verdict is not Verdict.GONE:
            self._start_some()
        self._woken.set()

    async def _take_over(self) -> None:
        """Have new events wait here, as far as there is room."""
        means, endpoint = self._means, self._endpoint
        while self._cursor < means.recent.end:
            room = means.patience.window - await means.stored(means.store.waiting, endpoint.id)
            if room <= 0:
                return
            told, cursor = await means.recent.after(self._cursor, room)
            wanted = [one for one in told if endpoint.wants(one.event)]
            if wanted or cursor - self._written_cursor > _IDLE_STEP:
                now_us = means.clock()
                await means.stored(means.store.take_over, endpoint.id, wanted, cursor, now_us)
                self._written_cursor = cursor
            self._cursor = cursor

    async def _attempt(self, delivery: Delivery) -> Attempt:
        """Try once. Nothing of the answer but its status is kept."""
        means, endpoint = self._means, self._endpoint
        body = delivery.body.encode("ascii")
        headers = {
            **_HEADERS,
            **signed(endpoint.secret, delivery.message_id, means.clock() // 1_000_000, body),
        }
        try:
            async with asyncio.timeout(means.patience.timeout_s):
                request = httpx.Request("POST", self._url, content=body, headers=headers)
                response = await self._transport.handle_async_request(request)
                try:
                    status = response.status_code
                    await _drain(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            return Attempt(Verdict.FAILED, error="timeout")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            # The type alone: the message may hold the address.
            return Attempt(Verdict.FAILED, error=type(error).__name__)
        if status == httpx.codes.GONE:
            return Attempt(Verdict.GONE, status)
        return Attempt(Verdict.TAKEN if 200 <= status < 300 else Verdict.FAILED, status)

    async def _settle(self) -> bool:
        """Enter what the attempts came to; True: the receiver is gone for good."""
        ended = tuple(self._ended)
        if not ended:
            return False
        means, endpoint, now_us = self._means, self._endpoint, self._means.clock()
        taken = [one for one, attempt in ended if attempt.verdict is Verdict.TAKEN]
        failed = [
            self._later(one, attempt, now_us)
            for one, attempt in ended
            if attempt.verdict is not Verdict.TAKEN
        ]
        await means.stored(means.store.settle, taken, failed, now_us)
        del self._ended[: len(ended)]
        if any(attempt.verdict is Verdict.GONE for _, attempt in ended):
            await means.stored(means.store.disable, endpoint.id, "gone", now_us)
            means.alarm(
                "webhook-disabled",
                f"webhook {endpoint.id}: its receiver says that it is gone (410);"
                " nothing more is sent there",
            )
            self._ready.clear()
            for task in self._running:
                task.cancel()
            return True
        dead = [one.delivery for one in failed if one.next_us is None]
        if dead:
            await means.stored(means.store.thin_out, endpoint.id, means.patience.dead_letters)
            self._alarm(dead[0], now_us)
        return False

    def _later(self, delivery: Delivery, attempt: Attempt, now_us: int) -> Later:
        attempts = delivery.attempts + 1
        pause_s = self._means.patience.pause_s(attempts, random.random())  # noqa: S311 - no secret
        tried = replace(
            delivery, attempts=attempts, last_status=attempt.status, last_error=attempt.error
        )
        return Later(tried, None if pause_s is None else now_us + round(pause_s * 1_000_000))

    def _alarm(self, delivery: Delivery, now_us: int) -> None:
        """Wake somebody, but not again for each of many: an alarm is an event, too."""
        every_us = self._means.patience.alarm_every_s * 1_000_000
        if self._alarmed_us is not None and now_us - self._alarmed_us < every_us:
            return
        self._alarmed_us = now_us
        why = delivery.last_error or f"status {delivery.last_status}"
        self._means.alarm(
            "webhook-dead-letter",
            f"webhook {self._endpoint.id}: {delivery.type} (entry {delivery.seq}) could not be"
            f" delivered in {delivery.attempts} attempts ({why})",
        )


async def _drain(response: httpx.Response) -> None:
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > _READ_AT_MOST:
            return


def _new_transport(trusted: ssl.SSLContext, at_once: int) -> httpx.AsyncBaseTransport:
    """Make what sends one webhook's requests.

    It is httpx without its client: no redirect is followed, for a signed event goes where an admin
    has said; nothing of the environment is used, no proxy, no password from a .netrc; no cookie.
    A pool for all webhooks would look through everybody's connections with each request.
    """
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    return httpx.AsyncHTTPTransport(verify=trusted, trust_env=False, limits=limits)
