"""What can be done to past recordings over the API: held, released, deleted, redacted.

It decides nothing, and knows recordings only through `Archive`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import Field

from turnrec.core.entry import JSON
from turnrec.web.access import Access
from turnrec.web.asking import ActorName, Admin
from turnrec.web.bodies import Body, Reason
from turnrec.web.calls import Repeat

RecordingId = Annotated[str, InPath(min_length=1, max_length=64, description="the recording's id")]
Time = Annotated[
    str,
    Field(max_length=256, description="a call time with its zone, or a file time in seconds"),
]


class Archive(Protocol):
    """What can be asked for. Every method may raise `TurnrecError`."""

    async def hold_recording(
        self, access: Access, recording_id: str, reason: str, person: str | None
    ) -> Mapping[str, JSON]:
        """Forbid that it be deleted."""

    async def release_recording(
        self, access: Access, recording_id: str, reason: str, person: str | None
    ) -> Mapping[str, JSON]:
        """Allow again that it be deleted."""

    async def delete_recording(
        self, access: Access, recording_id: str, reason: str, person: str | None
    ) -> Mapping[str, JSON]:
        """Delete it, with a tombstone."""

    async def redact_recording(
        self,
        access: Access,
        recording_id: str,
        from_: str,
        to: str,
        reason: str,
        person: str | None,
        *,
        delete_original: bool,
    ) -> Mapping[str, JSON]:
        """Cut a stretch out of it, into a new one."""


class ChangeRequest(Body):
    """Somebody's wish about a recording, and why."""

    reason: Reason
    actor: ActorName | None = Field(default=None, description="the person behind the key")


class RedactRequest(ChangeRequest):
    """What is to be cut out."""

    from_: Time = Field(alias="from")
    to: Time
    delete_original: bool = False


def archive_routes(archive: Archive) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/v1/recordings/{recording_id}", tags=["recordings"])

    @router.post("/hold", response_model=None)
    async def hold(
        access: Admin, recording_id: RecordingId, body: ChangeRequest, repeat: Repeat = None
    ) -> Mapping[str, JSON]:
        """Put a recording under a legal hold: nobody and nothing deletes it."""
        del repeat
        return await archive.hold_recording(access, recording_id, body.reason, body.actor)

    @router.post("/release", response_model=None)
    async def release(
        access: Admin, recording_id: RecordingId, body: ChangeRequest, repeat: Repeat = None
    ) -> Mapping[str, JSON]:
        """Take a legal hold back."""
        del repeat
        return await archive.release_recording(access, recording_id, body.reason, body.actor)

    @router.post("/delete", response_model=None)
    async def delete(
        access: Admin, recording_id: RecordingId, body: ChangeRequest, repeat: Repeat = None
    ) -> Mapping[str, JSON]:
        """Delete a recording with everything beside it; a tombstone stays in the ledger."""
        del repeat
        return await archive.delete_recording(access, recording_id, body.reason, body.actor)

    @router.post("/redact", response_model=None)
    async def redact(
        access: Admin, recording_id: RecordingId, body: RedactRequest, repeat: Repeat = None
    ) -> Mapping[str, JSON]:
        """Cut a stretch out of a recording, into a new one."""
        del repeat
        return await archive.redact_recording(
            access,
            recording_id,
            body.from_,
            body.to,
            body.reason,
            body.actor,
            delete_original=body.delete_original,
        )

    return router
