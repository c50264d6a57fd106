"""The routes of live and past calls: begin turns, act, announce agents. It decides nothing.

A 200 says that it has happened: Asterisk has confirmed, and turnrec has looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from fastapi import APIRouter, Header, Query
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from turnrec.core.entry import JSON
from turnrec.core.policy import Action, AgentPolicy
from turnrec.web.access import Access, Right
from turnrec.web.asking import Actor, ActorName, BotKey, Watcher
from turnrec.web.bodies import Body, Reason, Whole

CallName = Annotated[
    str,
    InPath(
        min_length=1,
        max_length=256,
        description="the call's id, its channel's uniqueid, or the bot's external id",
    ),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]
Cursor = Annotated[
    str | None,
    Query(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="`next` of the page before"),
]
Repeat = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="the same key again gets the same answer again",
    ),
]


class PartyModel(BaseModel):
    """Somebody whom the caller hears."""

    channel: str
    party: str = Field(description="agent, bot, announcement or unclassed")


class RefusalModel(BaseModel):
    """Why not."""

    id: str
    sentence: str


class CallModel(BaseModel):
    """A call, live or past."""

    id: str
    uniqueid: str | None
    external_id: str | None
    channel: str | None
    bot: str | None
    started: str
    ended: str | None
    state: str | None = Field(description="inactive, recording, paused, stopped or ended")
    holds: list[str] = Field(description="why it is paused: turn, agent, operator, fault")
    node: str | None
    turn: int | None
    recording: str | None = Field(description="the open recording's id")
    since: str | None = Field(description="when state or holds last changed")
    allowed: list[str] = Field(description="what an operator's action would change now")
    refused: dict[str, RefusalModel] = Field(description="the actions that would be refused")
    company: list[PartyModel] = Field(description="whom the caller hears")
    unconfirmed_monitors: int


class CallsPage(BaseModel):
    """Calls, the newest first."""

    items: list[CallModel]
    next: str | None


class OutcomeModel(BaseModel):
    """What was asked has happened; how the call stands now."""

    call: CallModel
    notice: RefusalModel | None = Field(description="what whoever asked should know all the same")


class BeginBody(Body):
    """A call that begins: its channel is in the bot's hands already (ARI, AudioSocket)."""

    uniqueid: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,150}$", description="the caller's channel")
    bot: str = Field(max_length=256)
    external_id: str | None = Field(default=None, max_length=256)


class TurnBody(Body):
    """A turn that begins."""

    node: str = Field(max_length=256, description="the flow's node; an unknown one is held")
    sequence: Whole | None = Field(
        default=None, description="the bot's running number: a stale turn is refused"
    )


class ActionBody(Body):
    """A recording action."""

    action: Action
    new: bool = Field(default=False, description="with start: finish the open recording first")
    as_: Literal["operator", "bot"] = Field(default="operator", alias="as")
    reason: Reason | None = None
    actor: ActorName | None = Field(default=None, description="the person behind the key")


class AgentBody(Body):
    """A transfer to a person."""

    policy: AgentPolicy | None = Field(default=None, description="this transfer's own policy")


class CallBackend(Protocol):
    """What the routes ask. Every method may raise `TurnrecError`."""

    async def list_calls(
        self, access: Access, *, live: bool, bot: str | None, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, JSON]], str | None]:
        """Calls, the newest first, and where the next page begins."""

    async def show_call(self, access: Access, name: str) -> dict[str, JSON]:
        """One call, live or past."""

    async def begin_call(
        self, access: Access, uniqueid: str, bot: str, external_id: str | None
    ) -> Mapping[str, JSON]:
        """Begin a call on a channel."""

    async def turn(
        self, access: Access, name: str, node: str, sequence: int | None
    ) -> Mapping[str, JSON]:
        """Begin a turn."""

    async def act(
        self,
        access: Access,
        name: str,
        action: Action,
        *,
        new: bool,
        as_bot: bool,
        reason: str | None,
        person: str | None,
    ) -> Mapping[str, JSON]:
        """Carry out a recording action."""

    async def announce(
        self, access: Access, name: str, policy: AgentPolicy | None
    ) -> Mapping[str, JSON]:
        """An agent is about to come."""

    async def agent_gone(self, access: Access, name: str) -> Mapping[str, JSON]:
        """The caller is back with the bot."""


def call_routes(backend: CallBackend) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/v1/calls", tags=["calls"])

    @router.get("", response_model=CallsPage)
    async def calls(
        access: Watcher,
        *,
        live: Annotated[bool, Query(description="false: past ones too")] = True,
        bot: Annotated[str | None, Query(max_length=64)] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, object]:
        """Calls that are live, or with live=false all of them, the newest first."""
        items, following = await backend.list_calls(
            access, live=live, bot=bot, limit=limit, cursor=cursor
        )
        return {"items": items, "next": following}

    @router.post("", response_model=OutcomeModel, status_code=201)
    async def begin(access: BotKey, body: BeginBody, repeat: Repeat = None) -> Mapping[str, JSON]:
        """Begin a call on a channel whose bot doesn't live in the dialplan."""
        del repeat
        return await backend.begin_call(access, body.uniqueid, body.bot, body.external_id)

    @router.get("/{call}", response_model=CallModel)
    async def show(access: Watcher, call: CallName) -> Mapping[str, JSON]:
        """One call, live or past."""
        return await backend.show_call(access, call)

    @router.post("/{call}/turns", response_model=OutcomeModel)
    async def turn(
        access: BotKey, call: CallName, body: TurnBody, repeat: Repeat = None
    ) -> Mapping[str, JSON]:
        """Begin a turn: only after a 200 the bot may speak."""
        del repeat
        return await backend.turn(access, call, body.node, body.sequence)

    @router.post("/{call}/actions", response_model=OutcomeModel)
    async def act(
        access: Actor, call: CallName, body: ActionBody, repeat: Repeat = None
    ) -> Mapping[str, JSON]:
        """Start, pause, resume or stop a call's recording, as an operator or as its bot."""
        del repeat
        as_bot = body.as_ == "bot"
        access.check(Right.BOT if as_bot else Right.CONTROL)
        return await backend.act(
            access,
            call,
            body.action,
            new=body.new,
            as_bot=as_bot,
            reason=body.reason,
            person=body.actor,
        )

    @router.post("/{call}/agent", response_model=OutcomeModel)
    async def announce(
        access: BotKey, call: CallName, body: AgentBody, repeat: Repeat = None
    ) -> Mapping[str, JSON]:
        """Announce an agent, before anybody rings."""
        del repeat
        return await backend.announce(access, call, body.policy)

    @router.delete("/{call}/agent", response_model=OutcomeModel)
    async def agent_gone(access: BotKey, call: CallName) -> Mapping[str, JSON]:
        """The caller is back with the bot."""
        return await backend.agent_gone(access, call)

    return router
