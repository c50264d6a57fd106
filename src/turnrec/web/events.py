"""The routes of what happens: the event stream, the live board, a call's timeline.

They decide nothing, and make no event: they name who may hear what.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter, Depends, Header, Query
from pydantic import BaseModel, Field

from turnrec.core.entry import INT64_MAX, JSON
from turnrec.core.event import EventType
from turnrec.web.access import Access, Right
from turnrec.web.asking import Reader, needs
from turnrec.web.calls import CallName, Limit
from turnrec.web.sse import EventStream

_GROUPS: Final = tuple(dict.fromkeys(one.value.partition(".")[0] for one in EventType))
TYPE_WORDS: Final = "|".join(
    word.replace(".", r"\.").replace("*", r"\*")
    for word in (*(one.value for one in EventType), *(f"{group}.*" for group in _GROUPS))
)
TYPES_PATTERN: Final = f"^({TYPE_WORDS})(,({TYPE_WORDS})){{0,63}}$"

Types = Annotated[
    str | None,
    Query(
        pattern=TYPES_PATTERN,
        description="only these types, with commas between; `recording.*` is all of recordings",
    ),
]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=r"^[0-9]{1,18}$",
        description="the id of the last event that was heard: the stream goes on after it",
    ),
]
After = Annotated[
    int | None, Query(ge=0, le=INT64_MAX, description="the same, for who can't set a header")
]
Place = Annotated[
    str | None, Query(pattern=r"^[0-9]{1,18}$", description="`next` of the page before")
]
Historian = Annotated[Access, Depends(needs(Right.READ, Right.BOT, Right.AUDIT))]

_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "server-sent events, without an end",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


class EventModel(BaseModel):
    """Something that has happened: in the stream, in a webhook, in a timeline."""

    type: EventType
    seq: int = Field(description="its entry's number in the ledger")
    timestamp: str
    call: str | None
    recording: str | None
    bot: str | None
    data: dict[str, Any]


class EventsPage(BaseModel):
    """Events, in order."""

    items: list[EventModel]
    next: str | None


class EventBackend(Protocol):
    """What the routes ask. Every method may raise `TurnrecError`."""

    async def find_call(self, access: Access, name: str) -> str:
        """The id of a call, live or past.

        Raises:
            UnknownCallError: none has this name, or it isn't theirs to see.
        """

    def events(
        self,
        access: Access,
        types: frozenset[EventType] | None,
        call_id: str | None,
        after: int | None,
    ) -> AsyncIterator[bytes]:
        """Server-sent events: what is theirs to hear, after entry `after` or from now on."""

    def board(self, access: Access) -> AsyncIterator[bytes]:
        """Server-sent events: the live calls that are theirs to see, and how they change."""

    async def timeline(
        self, call_id: str, after: int, limit: int
    ) -> tuple[list[dict[str, JSON]], int | None]:
        """A call's events after entry `after`, and where the next page begins."""


def read_types(text: str | None) -> frozenset[EventType] | None:
    """Read a list of types and groups of them (`TYPES_PATTERN`); None: all types."""
    if text is None:
        return None
    words = text.split(",")
    groups = {word.removesuffix("*") for word in words if word.endswith(".*")}
    return frozenset(
        one
        for one in EventType
        if one.value in words or any(f"{one.value}.".startswith(group) for group in groups)
    )


def event_routes(backend: EventBackend) -> APIRouter:
    """Build the routes. They come before `/v1/calls/{call}`: `live` is no call's name."""
    router = APIRouter(prefix="/v1", tags=["events"])

    @router.get("/events", response_class=EventStream, responses=_STREAM, status_code=200)
    async def events(
        access: Reader,
        types: Types = None,
        call: Annotated[str | None, Query(min_length=1, max_length=256)] = None,
        after: After = None,
        last_event_id: LastEventId = None,
    ) -> EventStream:
        """Everything that happens, as it happens, each event once and in order."""
        call_id = None if call is None else await backend.find_call(access, call)
        # A browser comes back with the address that it began with, and the header.
        resumed = after if last_event_id is None else int(last_event_id)
        return EventStream(backend.events(access, read_types(types), call_id, resumed))

    @router.get("/calls/live", response_class=EventStream, responses=_STREAM, status_code=200)
    async def live(access: Reader) -> EventStream:
        """The live calls: first all of them (`snapshot`), then what changes (`calls`)."""
        return EventStream(backend.board(access))

    @router.get("/calls/{call}/timeline", response_model=EventsPage)
    async def timeline(
        access: Historian, call: CallName, limit: Limit = 50, cursor: Place = None
    ) -> Mapping[str, object]:
        """What happened in a call, in order."""
        call_id = await backend.find_call(access, call)
        items, following = await backend.timeline(call_id, int(cursor or 0), limit)
        return {"items": items, "next": None if following is None else str(following)}

    return router
