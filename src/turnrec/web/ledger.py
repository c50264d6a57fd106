"""The routes of the ledger, entry by entry as it is chained: for auditors' own tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from turnrec.core.entry import INT64_MAX, JSON
from turnrec.core.errors import NotAllowedError
from turnrec.web.asking import LedgerReader
from turnrec.web.calls import Limit


class EntryModel(BaseModel):
    """One entry: what was asked, acknowledged or verified."""

    seq: int
    kind: str
    at_us: int = Field(description="UTC, microseconds since 1970")
    call_id: str | None
    uniqueid: str | None
    recording_id: str | None
    source: str | None
    actor: str | None
    origin: str | None
    action: str | None
    node: str | None
    turn: int | None
    state: str | None
    holds: list[str]
    result: str
    detail: dict[str, object]
    prev_hash: str
    hash: str


class EntriesPage(BaseModel):
    """Entries, the oldest first."""

    items: list[EntryModel]
    next: int | None = Field(description="`after` for the next page; null: there are no more yet")


class LedgerBackend(Protocol):
    """What the routes ask."""

    async def read_ledger(self, after_seq: int, limit: int) -> Sequence[Mapping[str, JSON]]:
        """Entries after one, in order."""


def ledger_routes(backend: LedgerBackend) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/v1", tags=["ledger"])

    @router.get("/ledger", response_model=EntriesPage)
    async def entries(
        access: LedgerReader,
        after: Annotated[int, Query(ge=0, le=INT64_MAX)] = 0,
        limit: Limit = 50,
    ) -> dict[str, object]:
        """The ledger, entry by entry, with the hashes that chain them."""
        if access.bots is not None:
            raise NotAllowedError("the chain is of all bots: a key limited to some can't follow it")
        items = await backend.read_ledger(after, limit + 1)
        following = items[limit - 1]["seq"] if len(items) > limit else None
        return {"items": items[:limit], "next": following}

    return router
