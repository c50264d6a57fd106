"""The routes of recordings: found, shown, heard. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol

from fastapi import APIRouter, Query
from pydantic import BaseModel

from turnrec.core.entry import JSON
from turnrec.web.access import Access, Auditor
from turnrec.web.archive import RecordingId
from turnrec.web.calls import Cursor, Limit


class RecordingsPage(BaseModel):
    """Recordings, the newest first."""

    items: list[dict[str, object]]
    next: str | None


class RecordingBackend(Protocol):
    """What the routes ask. Every method may raise `TurnrecError`."""

    async def list_recordings(
        self, access: Access, *, call_id: str | None, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, JSON]], str | None]:
        """Recordings, newest first."""

    async def show_recording(self, access: Access, recording_id: str) -> Mapping[str, JSON]:
        """One recording, with all that was entered when it was closed."""


def recording_routes(backend: RecordingBackend) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/v1/recordings", tags=["recordings"])

    @router.get("", response_model=RecordingsPage)
    async def recordings(
        access: Auditor,
        *,
        call: Annotated[str | None, Query(max_length=64)] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, object]:
        items, following = await backend.list_recordings(
            access, call_id=call, limit=limit, cursor=cursor
        )
        return {"items": items, "next": following}

    @router.get("/{recording_id}", response_model=None)
    async def show(access: Auditor, recording_id: RecordingId) -> Mapping[str, JSON]:
        return await backend.show_recording(access, recording_id)

    return router
