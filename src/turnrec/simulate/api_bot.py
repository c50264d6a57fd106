"""A bot that asks over the HTTP API, from behind its routes: it has no dialplan of its own.

What the routes themselves do (keys, JSON, statuses) sends nothing to Asterisk.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from turnrec.answer import Status
from turnrec.core.entry import JSON, Origin
from turnrec.core.errors import TurnrecError
from turnrec.core.policy import Action, AgentPolicy
from turnrec.desk import CallDesk
from turnrec.web.access import Access, Right

_BOT: Final = Access("bot", frozenset({Right.BOT}), Origin.HTTP)
_OPERATOR: Final = Access("operator", frozenset({Right.CONTROL}), Origin.CLI)

Outcome = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """A request and what was answered."""

    request: str
    status: Status
    error: str = ""
    """Why not, or what the asker should know: a stable id."""


class ApiBot:
    """One call's bot, and an operator who sees it."""

    def __init__(self, desk: CallDesk, uniqueid: str) -> None:
        self._desk = desk
        self._uniqueid = uniqueid
        self._requests: Final[Mapping[str, Callable[..., tuple[str, Awaitable[Outcome]]]]] = (
            MappingProxyType(
                {
                    "start": self._start,
                    "turn": self._turn,
                    "action": self._action,
                    "agent-pre": self._announce,
                    "bot": self._back,
                }
            )
        )

    async def ask(self, script: str, *words: str) -> Said:
        """Ask what the dialplan's subroutine of this name asks."""
        return await _said(*self._requests[script](*words))

    async def operate(self, action: Action) -> Said:
        """An operator's action."""
        work = self._act(_OPERATOR, action, new=False, as_bot=False)
        return await _said(f"turnrec {action} CALL", work)

    def _start(self, bot: str) -> tuple[str, Awaitable[Outcome]]:
        begun = self._desk.begin_call(_BOT, self._uniqueid, bot, None)
        return _request("POST", "", uniqueid=self._uniqueid, bot=bot), begun

    def _turn(self, node: str) -> tuple[str, Awaitable[Outcome]]:
        asked = self._desk.turn(_BOT, self._uniqueid, node, None)
        return _request("POST", "/CALL/turns", node=node), asked

    def _action(self, word: str, new: str = "") -> tuple[str, Awaitable[Outcome]]:
        body: dict[str, JSON] = {"action": word, "as": "bot"}
        if new:
            body["new"] = True
        acted = self._act(_BOT, Action(word), new=bool(new), as_bot=True)
        return _request("POST", "/CALL/actions", **body), acted

    def _announce(self, policy: str) -> tuple[str, Awaitable[Outcome]]:
        body: dict[str, JSON] = {"policy": policy} if policy else {}
        announced = self._desk.announce(
            _BOT, self._uniqueid, AgentPolicy(policy) if policy else None
        )
        return _request("POST", "/CALL/agent", **body), announced

    def _back(self) -> tuple[str, Awaitable[Outcome]]:
        return _request("DELETE", "/CALL/agent"), self._desk.agent_gone(_BOT, self._uniqueid)

    async def _act(
        self, access: Access, action: Action, *, new: bool, as_bot: bool
    ) -> dict[str, JSON]:
        return await self._desk.act(
            access, self._uniqueid, action, new=new, as_bot=as_bot, reason=None, person=None
        )


def _request(method: str, path: str, **body: JSON) -> str:
    return f"{method} /v1/calls{path} {json.dumps(body) if body else ''}".strip()


async def _said(request: str, work: Awaitable[Outcome]) -> Said:
    try:
        outcome = await work
    except TurnrecError as error:
        return Said(request, Status.of(error), error.id)
    notice = outcome["notice"]
    return Said(request, Status.OK, "" if notice is None else str(notice["id"]))
