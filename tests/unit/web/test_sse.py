"""A stream of server-sent events ends after its time, and lets go of who does not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from turnrec.core.errors import TurnrecError
from turnrec.web import sse
from turnrec.web.sse import EventStream

HANG_S = 60
Message = MutableMapping[str, Any]


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"id: 1\n\n"
        await asyncio.sleep(0)


async def never() -> AsyncIterator[bytes]:
    yield b"id: 1\n\n"
    await asyncio.Event().wait()


async def fails() -> AsyncIterator[bytes]:
    yield b"id: 1\n\n"
    raise TurnrecError("the ledger can't be read")


async def sent(stream: EventStream) -> list[bytes]:
    """Everything that it sends until it ends."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async with asyncio.timeout(HANG_S):
        await stream.stream_response(send)
    assert messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    return [one["body"] for one in messages if one.get("body")]


async def test_it_ends_after_its_time_so_that_the_key_is_looked_at_again() -> None:
    pieces = await sent(EventStream(endless(), longest_s=0.05))
    assert pieces[:2] == [b"retry: 1000\n\n", b"id: 1\n\n"]


async def test_it_ends_after_its_time_also_where_nothing_comes() -> None:
    pieces = await sent(EventStream(never(), alive_every_s=0.01, longest_s=0.05))
    assert set(pieces[2:]) == {b": alive\n\n"}


async def test_what_cannot_go_on_ends_in_order() -> None:
    assert (await sent(EventStream(fails())))[-1] == b"id: 1\n\n"


async def test_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "_SENT_WITHIN_S", 0.02)

    async def send(_message: Message) -> None:
        await asyncio.Event().wait()  # its buffers are full

    stream = EventStream(endless())
    async with asyncio.timeout(HANG_S):
        await stream.stream_response(send)
