"""The SDK for asyncio bots: entered after the 200, never before, and never forgotten silently."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from turnrec.bots.errors import (
    FailedInTurnrecError,
    NoAnswerError,
    NotConfirmedError,
    RefusedByTurnrecError,
    Verdict,
)
from turnrec.bots.http_call import HttpCall
from turnrec.bots.http_client import TurnrecClient

NOTICE = {"id": "unknown-node", "sentence": "bot 'kyc' has no node 'ask_otpp'"}


@dataclass
class Turnrec:
    """Answers each request with the next one of these."""

    answers: list[tuple[int, Any]]
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.path, body))
        status, answer = self.answers.pop(0)
        if status == 0:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(status, json=answer)


def outcome(state: str = "paused", notice: object = None) -> dict[str, object]:
    return {"call": {"id": "01", "state": state}, "notice": notice}


@asynccontextmanager
async def call(*answers: tuple[int, Any]) -> AsyncIterator[tuple[Turnrec, HttpCall]]:
    turnrec = Turnrec(list(answers))
    client = TurnrecClient("http://turnrec", "trk_key", transport=httpx.MockTransport(turnrec))
    async with client:
        yield turnrec, HttpCall(client, "visit-1")


async def test_a_turn_is_entered_once_turnrec_has_answered_200() -> None:
    async with call((200, outcome())) as (turnrec, one):
        async with one.turn("ask_otp", sequence=7) as turn:
            assert (turn.node, turn.state, turn.notice) == ("ask_otp", "paused", "")
            body = {"node": "ask_otp", "sequence": 7}
            assert turnrec.asked == [("POST", "/v1/calls/visit-1/turns", body)]
        assert len(turnrec.asked) == 1, "leaving it says nothing"


async def test_a_turn_may_be_awaited_instead() -> None:
    async with call((200, outcome("recording", NOTICE))) as (_, one):
        turn = await one.turn("ask_otpp")
        assert (turn.is_recording, turn.notice) == (True, "unknown-node")


def forget(one: HttpCall) -> None:
    one.turn("ask_otp")
    gc.collect()


async def test_a_turn_that_is_neither_entered_nor_awaited_is_warned_of() -> None:
    async with call() as (turnrec, one):
        with pytest.warns(RuntimeWarning, match="never awaited"):
            forget(one)
        assert turnrec.asked == []


async def test_a_turn_cannot_be_entered_without_waiting() -> None:
    async with call((200, outcome())) as (_, one):
        asking = one.turn("ask_otp")
        assert not hasattr(asking, "__enter__")
        await asking


def problem(problem_id: str) -> dict[str, object]:
    return {"id": problem_id, "detail": "a sentence"}


@pytest.mark.parametrize(
    ("status", "answer", "expected", "verdict"),
    [
        (409, problem("recording-stopped"), RefusedByTurnrecError, Verdict.REFUSED),
        (410, problem("call-ended"), RefusedByTurnrecError, Verdict.REFUSED),
        (503, problem("asterisk-unreachable"), FailedInTurnrecError, Verdict.UNCONFIRMED),
        (200, {"ok": True}, NoAnswerError, Verdict.UNCONFIRMED),
        (0, None, NoAnswerError, Verdict.UNCONFIRMED),
    ],
)
async def test_a_turn_that_is_not_confirmed_is_not_entered(
    status: int, answer: object, expected: type[NotConfirmedError], verdict: Verdict
) -> None:
    async with call((status, answer)) as (_, one):
        with pytest.raises(NotConfirmedError) as caught:
            async with one.turn("ask_otp"):
                pytest.fail("it is spoken")
    assert type(caught.value) is expected
    assert caught.value.verdict is verdict


@pytest.mark.parametrize(
    ("ask", "status", "expected"),
    [
        (
            lambda one: one.begin("kyc", "1700.1"),
            201,
            ("POST", "", {"uniqueid": "1700.1", "bot": "kyc", "external_id": "visit-1"}),
        ),
        (lambda one: one.start(new=True), 200, ("POST", "/actions", ("start", True))),
        (lambda one: one.start(), 200, ("POST", "/actions", ("start", False))),
        (lambda one: one.pause(), 200, ("POST", "/actions", ("pause", False))),
        (lambda one: one.resume(), 200, ("POST", "/actions", ("resume", False))),
        (lambda one: one.stop(), 200, ("POST", "/actions", ("stop", False))),
        (lambda one: one.agent_pre(), 200, ("POST", "/agent", {"policy": None})),
        (lambda one: one.agent_pre("off"), 200, ("POST", "/agent", {"policy": "off"})),
        (lambda one: one.back_to_bot(), 200, ("DELETE", "/agent", None)),
    ],
)
async def test_each_verb_asks_for_what_it_says(
    ask: Callable[[HttpCall], Awaitable[Any]], status: int, expected: tuple[str, str, Any]
) -> None:
    async with call((status, outcome("recording"))) as (turnrec, one):
        assert (await ask(one)).state == "recording"
    ((method, path, body),) = turnrec.asked
    if isinstance(expected[2], tuple):
        assert body["as"] == "bot"
        body = (body["action"], body["new"])
    begun = "/v1/calls" if expected[1] == "" else f"/v1/calls/visit-1{expected[1]}"
    assert (method, path, body) == (expected[0], begun, expected[2])


async def test_an_agent_policy_that_there_is_not_is_no_default() -> None:
    async with call() as (turnrec, one):
        with pytest.raises(ValueError, match="OFF"):
            await one.agent_pre("OFF")
        assert turnrec.asked == []
