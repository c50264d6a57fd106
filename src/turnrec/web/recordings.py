"""The routes of recordings: found, shown, heard, checked. It decides nothing.

Whoever hears or reads one is in the ledger before the first byte is sent; see the backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Protocol

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BeforeValidator

from turnrec.core.entry import JSON
from turnrec.core.policy import PauseBehavior
from turnrec.core.transcript_text import TranscriptFormat, TranscriptTime
from turnrec.web.access import Access
from turnrec.web.archive import RecordingId
from turnrec.web.asking import Auditor, Reader
from turnrec.web.calls import Cursor, Limit
from turnrec.web.ranges import OpenFile, answer
from turnrec.web.recording_models import (
    PeaksModel,
    RecordingDetail,
    RecordingsPage,
    StatusName,
    VerificationModel,
)


def _no_number(value: object) -> object:
    """Let no bare number pass for an instant: pydantic would count seconds from 1970."""
    if not isinstance(value, str) or value.count("-") < 2:
        raise ValueError("an instant is ISO 8601 with its zone")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_no_number)]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FormatName = Literal["wav", "flac", "opus"]
PRIVATE: Final = {"Cache-Control": "private, no-store"}
_AUDIO: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file",
        "content": {"audio/wav": {}, "audio/flac": {}, "audio/ogg": {}},
    },
    206: {
        "description": "The ranges that were asked for",
        "content": {"audio/wav": {}, "audio/flac": {}, "audio/ogg": {}, "multipart/byteranges": {}},
    },
    304: {"description": "It is the one that If-None-Match names"},
}
_TEXTS: Final = {TranscriptFormat.VTT: "text/vtt", TranscriptFormat.JSON: "application/json"}
_TRANSCRIPT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The transcript",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/vtt": {"schema": {"type": "string"}},
        },
    }
}
_MANIFEST: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The manifest, byte by byte as it lies beside the file",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What recordings are looked for; None: whatever it is."""

    bot: str | None
    status: str | None
    from_us: int | None
    to_us: int | None
    call: str | None
    prefix: str | None


@dataclass(frozen=True, slots=True)
class WantedAudio:
    """How a recording is to be heard."""

    form: str
    behavior: PauseBehavior | None
    """None: as it was recorded."""
    stereo: bool


class RecordingBackend(Protocol):
    """What the routes ask. Every method may raise `TurnrecError`.

    One that isn't theirs to see is unknown to them. `listen`, `manifest` and `transcript` enter
    who it was in the ledger before they return.
    """

    async def list_recordings(
        self, access: Access, wanted: Wanted, *, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, JSON]], str | None]:
        """Recordings, the newest first, and where the next page begins."""

    async def show_recording(self, access: Access, recording_id: str) -> Mapping[str, JSON]:
        """One recording, with all that was found when it was closed."""

    async def listen(
        self, access: Access, recording_id: str, wanted: WantedAudio, *, head_only: bool
    ) -> OpenFile:
        """Open its sound. Nobody hears anything where only the head is wanted."""

    async def peaks(self, access: Access, recording_id: str, points: int) -> bytes:
        """Its outline, as JSON."""

    async def manifest(self, access: Access, recording_id: str) -> bytes:
        """Its manifest as it lies on the disk."""

    async def transcript(
        self,
        access: Access,
        recording_id: str,
        form: TranscriptFormat,
        time: TranscriptTime,
        behavior: PauseBehavior | None,
    ) -> str:
        """Its transcript."""

    async def verification(self, access: Access, recording_id: str) -> Mapping[str, JSON]:
        """What a verification of it finds now."""


def recording_routes(backend: RecordingBackend) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/v1/recordings", tags=["recordings"])

    @router.get("", response_model=RecordingsPage)
    async def recordings(
        access: Auditor,
        *,
        call: Annotated[
            str | None, Query(max_length=256, description="a call's id, uniqueid or external id")
        ] = None,
        bot: Annotated[str | None, Query(max_length=64)] = None,
        status: StatusName | None = None,
        from_: Annotated[
            Instant | None, Query(alias="from", description="opened then or later")
        ] = None,
        to: Annotated[Instant | None, Query(description="opened before")] = None,
        q: Annotated[
            str | None,
            Query(
                min_length=1,
                max_length=256,
                description="what its id, or its call's id, uniqueid or external id, begins with",
            ),
        ] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, object]:
        """Recordings, the newest first, that meet every condition that is given."""
        wanted = Wanted(bot, status, _at_us(from_), _at_us(to), call, q)
        items, following = await backend.list_recordings(access, wanted, limit=limit, cursor=cursor)
        return {"items": items, "next": following}

    @router.get("/{recording_id}", response_model=RecordingDetail)
    async def show(access: Auditor, recording_id: RecordingId) -> Mapping[str, JSON]:
        """One recording, with all that was found when it was closed."""
        return await backend.show_recording(access, recording_id)

    @router.head("/{recording_id}/audio", response_class=Response, responses=_AUDIO)
    @router.get("/{recording_id}/audio", response_class=Response, responses=_AUDIO)
    async def audio(
        request: Request,
        access: Reader,
        recording_id: RecordingId,
        form: Annotated[FormatName, Query(alias="format")] = "wav",
        behavior: Annotated[
            PauseBehavior | None, Query(description="what pauses are; as recorded without it")
        ] = None,
        *,
        stereo: Annotated[bool, Query(description="the two channels instead of the mix")] = False,
    ) -> Response:
        """The sound, whole or in ranges (RFC 9110). Its ETag is its SHA-256."""
        wanted = WantedAudio(form, behavior, stereo)
        head_only = request.method == "HEAD"
        sent = await backend.listen(access, recording_id, wanted, head_only=head_only)
        return answer(request, sent)

    @router.get(
        "/{recording_id}/peaks",
        response_class=Response,
        responses={200: {"model": PeaksModel, "description": "The sound's outline"}},
    )
    async def peaks(
        access: Reader,
        recording_id: RecordingId,
        points: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> Response:
        """The outline of the joined file; fewer points where it has fewer samples."""
        body = await backend.peaks(access, recording_id, points)
        return Response(body, media_type="application/json", headers=PRIVATE)

    @router.get("/{recording_id}/manifest", response_class=Response, responses=_MANIFEST)
    async def manifest(access: Auditor, recording_id: RecordingId) -> Response:
        """The manifest, byte by byte as it lies beside the file."""
        body = await backend.manifest(access, recording_id)
        saved_as = {"Content-Disposition": f'attachment; filename="{recording_id}.json"'}
        return Response(body, media_type="application/json", headers=PRIVATE | saved_as)

    @router.get("/{recording_id}/transcript", response_class=Response, responses=_TRANSCRIPT)
    async def transcript(
        access: Reader,
        recording_id: RecordingId,
        form: Annotated[TranscriptFormat, Query(alias="format")] = TranscriptFormat.JSON,
        time: TranscriptTime = TranscriptTime.CALL,
        behavior: PauseBehavior | None = None,
    ) -> Response:
        """What was said while it was recorded."""
        text = await backend.transcript(access, recording_id, form, time, behavior)
        return Response(text, media_type=_TEXTS[form], headers=PRIVATE)

    @router.get("/{recording_id}/verification", response_model=VerificationModel)
    async def verification(access: Auditor, recording_id: RecordingId) -> Mapping[str, JSON]:
        """Hold its file and manifest against the ledger, now. It may take a while."""
        return await backend.verification(access, recording_id)

    return router


def _at_us(instant: AwareDatetime | None) -> int | None:
    return None if instant is None else (instant - _EPOCH) // timedelta(microseconds=1)
