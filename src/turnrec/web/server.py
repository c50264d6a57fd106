"""The routes about the server itself: is it alive, is it ready, how are its parts.

It decides nothing. Alive is whether the loop turns; ready is whether calls can be served in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from turnrec.core.entry import JSON
from turnrec.web.asking import Admin, AnyKey, Reader

_NO_KEY: Final[dict[str, object]] = {"security": []}
_PROMETHEUS: Final = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"


class Alive(BaseModel):
    """The loop turns."""

    alive: bool


class Ready(BaseModel):
    """Whether everything is there that a call may need."""

    ready: bool
    ami: bool = Field(description="Asterisk's manager answers")
    ledger: bool = Field(description="entries are written, and not behind")
    room: bool = Field(description="the disks have room for recordings")


class Me(BaseModel):
    """Whose key this is."""

    name: str
    rights: list[str]
    bots: list[str] | None = Field(description="the only bots it is good for; null: all")


class Status(BaseModel):
    """How the parts are."""

    version: str
    agi_port: int
    api_port: int
    agi_sessions: int
    ami_ready: bool
    asterisk_version: str
    ledger_healthy: bool
    ledger_backlog: int
    flow_sha256: str
    live_calls: int
    room: str


class Mistakes(BaseModel):
    """What is wrong with the flow file; nothing: it is in force."""

    mistakes: list[str]


class ServerBackend(Protocol):
    """What the routes ask."""

    def readiness(self) -> Mapping[str, bool]:
        """`ami`, `ledger`, `room`: each whether it is as it should be."""

    def status(self) -> Mapping[str, JSON]:
        """How the parts are."""

    def metrics(self) -> bytes:
        """The metrics in Prometheus' text format."""

    async def reload_flow(self) -> list[str]:
        """Read the flow file anew; the mistakes, if any, which keep the old one in force."""


def server_routes(backend: ServerBackend) -> APIRouter:
    """Build the routes."""
    router = APIRouter(tags=["server"])

    @router.get("/healthz", response_model=Alive, openapi_extra=_NO_KEY)
    async def healthz() -> dict[str, bool]:
        """The loop turns: that this is answered is the whole answer."""
        return {"alive": True}

    @router.get(
        "/readyz",
        response_model=Ready,
        responses={503: {"model": Ready}},
        openapi_extra=_NO_KEY,
    )
    async def readyz(response: Response) -> dict[str, bool]:
        """Whether calls can be served in full; 503 where not."""
        parts = dict(backend.readiness())
        ready = all(parts.values())
        response.status_code = 200 if ready else 503
        return {"ready": ready, **parts}

    @router.get("/v1/me", response_model=Me)
    async def me(access: AnyKey) -> dict[str, object]:
        """Whose key this is, and what it allows."""
        return {
            "name": access.name,
            "rights": sorted(access.rights),
            "bots": None if access.bots is None else sorted(access.bots),
        }

    @router.get("/v1/status", response_model=Status)
    async def status(_access: Reader) -> Mapping[str, JSON]:
        """How the parts are."""
        return backend.status()

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics(_access: Reader) -> Response:
        """For Prometheus."""
        return Response(backend.metrics(), media_type=_PROMETHEUS)

    @router.post("/v1/flow/reload", response_model=Mistakes)
    async def reload_flow(_access: Admin) -> dict[str, list[str]]:
        """Read the flow file anew; with a mistake in it, the old flow stays in force."""
        return {"mistakes": await backend.reload_flow()}

    return router
