"""Handlers get every item in order, and harm nobody but themselves."""

from __future__ import annotations

import asyncio

import pytest

from turnrec.asterisk.ami_handlers import HandlerQueue


async def test_queue_is_bounded_and_says_once_that_it_drops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    free = asyncio.Event()
    seen: list[int] = []
    caught_up = asyncio.Event()

    async def handler(item: int) -> None:
        await free.wait()
        seen.append(item)
        if item in (2, 99):
            caught_up.set()

    queue = HandlerQueue(handler, label="x", max_queued=3)
    for item in range(10):
        queue.put(item)
    assert queue.dropped == 7
    assert caplog.text.count("being dropped") == 1
    free.set()
    await asyncio.wait_for(caught_up.wait(), 30)
    caught_up.clear()
    queue.put(99)
    await asyncio.wait_for(caught_up.wait(), 30)
    assert seen == [0, 1, 2, 99]


async def test_sync_and_async_exceptions_cost_no_item() -> None:
    seen: list[int] = []
    done = asyncio.Event()

    async def fail() -> None:
        raise LookupError

    def handler(item: int) -> asyncio.Future[None] | None:
        seen.append(item)
        if item == 0:
            raise ValueError
        if item == 1:
            return asyncio.ensure_future(fail())
        done.set()
        return None

    queue = HandlerQueue(handler, label="x", max_queued=10)
    for item in range(3):
        queue.put(item)
    await asyncio.wait_for(done.wait(), 30)
    assert seen == [0, 1, 2]


async def test_stop_lets_the_running_handler_end_and_then_tells() -> None:
    started, free, ended, idle = (asyncio.Event() for _ in range(4))

    async def handler(_: int) -> None:
        started.set()
        await free.wait()
        ended.set()

    queue = HandlerQueue(handler, label="x", max_queued=10)
    queue.put(1)
    queue.put(2)
    await asyncio.wait_for(started.wait(), 30)
    queue.stop(when_idle=idle.set)
    queue.put(3)
    assert not idle.is_set()
    free.set()
    await asyncio.wait_for(idle.wait(), 30)
    assert ended.is_set()


async def test_stop_of_an_idle_queue_tells_at_once() -> None:
    idle = asyncio.Event()
    queue: HandlerQueue[int] = HandlerQueue(lambda _: None, label="x", max_queued=10)
    queue.stop(when_idle=idle.set)
    assert idle.is_set()


async def test_close_cancels_the_running_handler() -> None:
    started = asyncio.Event()
    cancelled = asyncio.Event()

    async def handler(_: int) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    queue = HandlerQueue(handler, label="x", max_queued=10)
    queue.put(1)
    await asyncio.wait_for(started.wait(), 30)
    await queue.close()
    assert cancelled.is_set()
