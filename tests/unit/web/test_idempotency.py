"""A repeated call gets the first one's answer; what was not done is tried anew."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from turnrec.web import idempotency
from turnrec.web.idempotency import (
    BadIdempotencyKeyError,
    IdempotencyKeyReusedError,
    Memory,
    Repeated,
)

Message = MutableMapping[str, Any]
WHOSE = ("http", "desk", "/v1/x", "k-1")


def answer(status: int, *bodies: bytes) -> list[Message]:
    start: Message = {"type": "http.response.start", "status": status, "headers": [(b"a", b"b")]}
    last = len(bodies) - 1
    return [
        start,
        *(
            {"type": "http.response.body", "body": body, "more_body": place < last}
            for place, body in enumerate(bodies)
        ),
    ]


class Caller:
    """Somebody whose calls are answered, and how often they were carried out."""

    def __init__(self) -> None:
        self.now = 0.0
        self.memory = Memory(lambda: self.now)
        self.executed = 0

    async def call(
        self,
        messages: list[Message],
        content: bytes = b"{}",
        whose: tuple[str, str, str, str] = WHOSE,
        gate: asyncio.Event | None = None,
    ) -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async with self.memory.once(whose, content) as turn:
            if isinstance(turn, Repeated):
                await turn.send(send)
                return sent
            self.executed += 1
            if gate is not None:
                await gate.wait()
            keep = turn.keeping(send)
            for message in messages:
                await keep(message)
        return sent


async def test_the_same_call_again_gets_the_same_answer_and_is_not_carried_out() -> None:
    caller = Caller()
    first = await caller.call(answer(200, b"one", b"two"))
    again = await caller.call(answer(500, b"never"))
    assert caller.executed == 1
    assert again[1:] == first[1:]
    assert again[0]["status"] == 200
    assert again[0]["headers"] == [(b"a", b"b"), (b"idempotency-replayed", b"true")]
    assert first[0]["headers"] == [(b"a", b"b")]


@pytest.mark.parametrize("status", [201, 204, 404, 409, 410, 422])
async def test_what_was_done_or_refused_is_kept(status: int) -> None:
    caller = Caller()
    await caller.call(answer(status, b""))
    assert (await caller.call(answer(200, b"")))[0]["status"] == status
    assert caller.executed == 1


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503, 504, 507])
async def test_a_fault_is_not_kept(status: int) -> None:
    caller = Caller()
    await caller.call(answer(status, b""))
    assert (await caller.call(answer(200, b"done")))[0]["status"] == 200
    assert (await caller.call(answer(500, b"")))[0]["status"] == 200
    assert caller.executed == 2


@pytest.mark.parametrize(
    "cut_short",
    [[], answer(200), answer(200, b"half", b"")[:2]],
    ids=["nothing", "a head alone", "half a body"],
)
async def test_an_answer_that_was_cut_short_is_not_kept(cut_short: list[Message]) -> None:
    caller = Caller()
    await caller.call(cut_short)
    assert len(await caller.call(answer(200, b"whole"))) == 2
    assert caller.executed == 2


async def test_a_call_that_breaks_is_not_kept() -> None:
    caller = Caller()

    async def breaks() -> None:
        async with caller.memory.once(WHOSE, b"{}"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await breaks()
    await caller.call(answer(200, b""))
    assert caller.executed == 1


async def test_another_body_with_the_same_key_is_refused() -> None:
    caller = Caller()
    await caller.call(answer(200, b""), b'{"action":"pause"}')
    with pytest.raises(IdempotencyKeyReusedError):
        await caller.call(answer(200, b""), b'{"action":"stop"}')
    assert caller.executed == 1


async def test_the_same_key_of_others_and_elsewhere_is_another() -> None:
    caller = Caller()
    await caller.call(answer(200, b""))
    for whose in (
        ("cli", "desk", "/v1/x", "k-1"),
        ("http", "other", "/v1/x", "k-1"),
        ("http", "desk", "/v1/y", "k-1"),
        ("http", "desk", "/v1/x", "k-2"),
    ):
        await caller.call(answer(200, b""), b"other", whose)
    assert caller.executed == 5


async def test_of_calls_at_the_same_time_one_is_carried_out_and_all_are_answered() -> None:
    caller, gate = Caller(), asyncio.Event()
    calls = [asyncio.create_task(caller.call(answer(200, b"x"), gate=gate)) for _ in range(10)]
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*calls)
    assert caller.executed == 1
    assert {one[0]["status"] for one in answers} == {200}
    assert {one[1]["body"] for one in answers} == {b"x"}


async def test_after_a_fault_of_the_first_the_next_that_waited_tries() -> None:
    caller, gate = Caller(), asyncio.Event()
    first = asyncio.create_task(caller.call(answer(503, b""), gate=gate))
    await asyncio.sleep(0)
    second = asyncio.create_task(caller.call(answer(200, b"done"), gate=gate))
    await asyncio.sleep(0)
    gate.set()
    assert (await first)[0]["status"] == 503
    assert (await second)[0]["status"] == 200
    assert caller.executed == 2


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "\x00", "a\n"])
async def test_a_key_that_cannot_be_one_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(BadIdempotencyKeyError) as caught:
        await Caller().call(answer(200, b""), whose=("http", "desk", "/v1/x", key))
    assert not key.strip() or key not in str(caught.value)


async def test_it_forgets_after_a_day_and_beyond_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_MOST", 3)
    caller = Caller()
    await caller.call(answer(200, b""))
    caller.now = 86_399
    await caller.call(answer(200, b""))
    assert caller.executed == 1
    caller.now = 86_401
    await caller.call(answer(200, b""))
    assert caller.executed == 2
    for number in range(3):
        await caller.call(answer(200, b""), whose=("http", "desk", "/v1/x", f"n-{number}"))
    await caller.call(answer(200, b""))
    assert caller.executed == 6
