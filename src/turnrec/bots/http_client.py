"""A bot's side of the HTTP API: begins calls and turns, and says why where it could not.

A bot may not speak a turn without its 200. So every method returns when turnrec has answered that
it has happened, and raises in every other case; it never tries again by itself.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import httpx

from turnrec.bots.errors import (
    FailedInTurnrecError,
    NoAnswerError,
    NotConfirmedError,
    RefusedByTurnrecError,
)

__all__ = [
    "FailedInTurnrecError",
    "NoAnswerError",
    "NotConfirmedError",
    "RefusedByTurnrecError",
    "TurnrecClient",
]

TIMEOUT_S: Final = 10.0
"""How long an answer is waited for. turnrec itself gives up on Asterisk well before."""


class TurnrecClient:
    """Asks a turnrec over HTTP: `async with TurnrecClient(url, key) as turnrec: ...`.

    A call is named by the bot's own id of it (AudioSocket's UUID, say), by its channel's uniqueid,
    or by turnrec's id.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Make it; nothing is sent yet.

        Args:
            url: where the API listens, `http://127.0.0.1:8077`.
            key: an API key with the right `bot`.
            timeout_s: how long each answer is waited for.
            transport: another way there, as httpx has them; a bot's own tests may give one.
        """
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout_s,
            # The key is for turnrec, not for a proxy that the environment happens to name.
            trust_env=False,
            transport=transport,
        )
        self._sequence = 0

    async def __aenter__(self) -> TurnrecClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def begin(
        self, uniqueid: str, bot: str, external_id: str | None = None
    ) -> dict[str, Any]:
        """Begin a call on a channel that the bot has; the call as it stands.

        A call whose dialplan ran `turnrec-start` has begun already.

        Raises:
            NotConfirmedError: it has not begun, or isn't known to have.
        """
        body = {"uniqueid": uniqueid, "bot": bot, "external_id": external_id}
        return _call(await self._outcome("POST", "/v1/calls", body, 201))

    async def turn(self, call: str, node: str, *, sequence: int | None = None) -> dict[str, Any]:
        """Begin a turn, before its first word. Once this returns, the bot may speak.

        Args:
            call: the call's name.
            node: the flow's node.
            sequence: a number that grows with each turn of the call, so that a request that was
                delayed on its way can't undo a later one. This client's own clock by default.

        Raises:
            NotConfirmedError: the bot must not speak this turn.
        """
        return _call(await self.turn_outcome(call, node, sequence=sequence))

    async def turn_outcome(
        self, call: str, node: str, *, sequence: int | None = None
    ) -> dict[str, Any]:
        """Begin a turn as `turn` does; the whole answer, with what else the bot should know.

        Raises:
            NotConfirmedError: the bot must not speak this turn.
        """
        number = self._next_sequence() if sequence is None else sequence
        return await self._outcome(
            "POST", f"{_path(call)}/turns", {"node": node, "sequence": number}
        )

    async def act(
        self, call: str, action: str, *, new: bool = False, reason: str | None = None
    ) -> dict[str, Any]:
        """Start, pause, resume or stop on the bot's behalf, without a turn.

        Raises:
            NotConfirmedError: it has not happened, or isn't known to have.
        """
        body = {"action": action, "new": new, "as": "bot", "reason": reason}
        return _call(await self._outcome("POST", f"{_path(call)}/actions", body))

    async def announce_agent(self, call: str, policy: str | None = None) -> dict[str, Any]:
        """Say that a person is about to come, before the transfer.

        Args:
            call: the call's name.
            policy: `on`, `off` or `never` for this transfer; the bot's own by default.

        Raises:
            NotConfirmedError: don't transfer yet: the policy isn't in force.
        """
        return _call(await self._outcome("POST", f"{_path(call)}/agent", {"policy": policy}))

    async def agent_gone(self, call: str) -> dict[str, Any]:
        """Say that the caller is back with the bot.

        Raises:
            NotConfirmedError: it isn't known to have been taken in.
        """
        return _call(await self._outcome("DELETE", f"{_path(call)}/agent"))

    async def show(self, call: str) -> dict[str, Any]:
        """How a call stands.

        Raises:
            NotConfirmedError: it can't be had.
        """
        return _json(await self._answer("GET", _path(call)))

    # -------------------------------------------------------------- inside

    def _next_sequence(self) -> int:
        # Time, so that it goes on growing when the bot is started anew; never backwards.
        self._sequence = max(self._sequence + 1, time.time_ns() // 1000)
        return self._sequence

    async def _outcome(
        self, method: str, path: str, body: dict[str, Any] | None = None, wanted: int = 200
    ) -> dict[str, Any]:
        answer = await self._answer(method, path, body)
        outcome = _json(answer)
        if answer.status_code != wanted or not isinstance(outcome.get("call"), dict):
            # Whatever answers so is not turnrec.
            raise NoAnswerError(f"HTTP {answer.status_code} without an outcome")
        return outcome

    async def _answer(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error
        if answer.is_success:
            return answer
        try:
            problem = answer.json()
            problem_id, sentence = str(problem["id"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError):
            raise NoAnswerError(f"HTTP {answer.status_code}, and not from turnrec") from None
        kind = FailedInTurnrecError if answer.is_server_error else RefusedByTurnrecError
        raise kind(problem_id, sentence, answer.status_code)


def _path(call: str) -> str:
    return f"/v1/calls/{quote(call, safe='')}"


def _call(outcome: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = outcome["call"]
    return found


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NoAnswerError(f"HTTP {answer.status_code} with something that is no answer")
    return found
