"""What the control socket can be asked of past recordings; it decides nothing.

It knows them only through `Archive`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Protocol

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from turnrec.core.entry import JSON

ARCHIVE_STATUSES: Final = {
    "unknown-recording": 404,
    "invalid-time": 422,
    "reason-missing": 422,
    "recording-changed": 409,
    "recording-exists": 409,
    "span-map-invalid": 409,
    "sound-unreadable": 409,
}
"""HTTP's status for the errors of this module, by id, where the kind of error doesn't say it."""

RecordingId = Annotated[str, InPath(max_length=256)]
Reason = Annotated[str, Field(max_length=10_000)]
Actor = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@-]{1,64}$")]
Time = Annotated[str, Field(max_length=256)]


class Archive(Protocol):
    """What can be asked for. Every method may raise `TurnrecError`."""

    async def show_recording(self, recording_id: str) -> Mapping[str, JSON]:
        """One recording, with all that was entered when it was closed."""

    async def hold_recording(
        self, recording_id: str, reason: str, actor: str
    ) -> Mapping[str, JSON]:
        """Forbid that it be deleted."""

    async def release_recording(
        self, recording_id: str, reason: str, actor: str
    ) -> Mapping[str, JSON]:
        """Allow again that it be deleted."""

    async def delete_recording(
        self, recording_id: str, reason: str, actor: str
    ) -> Mapping[str, JSON]:
        """Delete it, with a tombstone."""

    async def redact_recording(
        self,
        recording_id: str,
        from_: str,
        to: str,
        reason: str,
        actor: str,
        *,
        delete_original: bool,
    ) -> Mapping[str, JSON]:
        """Cut a stretch out of it, into a new one."""


class ChangeRequest(BaseModel):
    """Somebody's wish about a recording, and why."""

    reason: Reason
    actor: Actor


class RedactRequest(ChangeRequest):
    """What is to be cut out."""

    from_: Time = Field(alias="from")
    to: Time
    delete_original: bool = False


def archive_routes(archive: Archive) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/v1/recordings/{recording_id}")

    @router.get("", response_model=None)
    async def show(recording_id: RecordingId) -> Mapping[str, JSON]:
        return await archive.show_recording(recording_id)

    @router.post("/hold", response_model=None)
    async def hold(recording_id: RecordingId, request: ChangeRequest) -> Mapping[str, JSON]:
        return await archive.hold_recording(recording_id, request.reason, f"cli:{request.actor}")

    @router.post("/release", response_model=None)
    async def release(recording_id: RecordingId, request: ChangeRequest) -> Mapping[str, JSON]:
        return await archive.release_recording(recording_id, request.reason, f"cli:{request.actor}")

    @router.post("/delete", response_model=None)
    async def delete(recording_id: RecordingId, request: ChangeRequest) -> Mapping[str, JSON]:
        return await archive.delete_recording(recording_id, request.reason, f"cli:{request.actor}")

    @router.post("/redact", response_model=None)
    async def redact(recording_id: RecordingId, request: RedactRequest) -> Mapping[str, JSON]:
        return await archive.redact_recording(
            recording_id,
            request.from_,
            request.to,
            request.reason,
            f"cli:{request.actor}",
            delete_original=request.delete_original,
        )

    return router
