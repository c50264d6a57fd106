"""The control socket: HTTP over a local Unix socket, for `turnrec`'s own commands.

Only the user who runs turnrec can open it, so it asks for no key. It listens on no network, and it
knows calls and recordings only through `Backend`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Protocol

import uvicorn
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from turnrec.core.entry import JSON
from turnrec.core.errors import (
    AsteriskUnreachableError,
    FaultError,
    RefusedError,
    TurnrecError,
    UnknownCallError,
)
from turnrec.core.policy import Action
from turnrec.web.archive import ARCHIVE_STATUSES
from turnrec.web.transcripts import STATUSES

Page = Annotated[int, Query(ge=1, le=1000)]


class Backend(Protocol):
    """What the socket can ask for. Every method may raise `TurnrecError`."""

    def status(self) -> Mapping[str, JSON]:
        """How the parts are."""

    async def list_calls(self, *, ended: bool, limit: int) -> Sequence[Mapping[str, JSON]]:
        """Live calls, and with `ended` past ones too, newest first."""

    async def list_recordings(
        self, *, call_id: str | None, limit: int
    ) -> Sequence[Mapping[str, JSON]]:
        """Recordings, newest first."""

    async def act(self, call: str, action: Action, *, new: bool, actor: str) -> Mapping[str, JSON]:
        """Carry out an operator's action on a live call; it is done when this returns."""

    async def reload_flow(self) -> list[str]:
        """Read the flow file anew; the mistakes, if any, which keep the old one in force."""


class ActionRequest(BaseModel):
    """An operator's recording action. The call's name is in the body: it may hold anything."""

    call: str = Field(min_length=1, max_length=256)
    action: Action
    new: bool = False
    actor: str = Field(pattern=r"^[A-Za-z0-9_.:@-]{1,64}$")


def create_app(backend: Backend, *routers: APIRouter) -> FastAPI:
    """Build the application."""
    app = FastAPI(title="turnrec control", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(TurnrecError)
    async def problem(_request: Request, error: TurnrecError) -> JSONResponse:
        # The shape is RFC 9457's, the id is ours and never changes.
        body = {"type": f"turnrec:{error.id}", "title": str(error), "id": error.id}
        return JSONResponse(body, _http_status(error), media_type="application/problem+json")

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """The loop turns: that this is answered is the whole answer."""
        return {"alive": True}

    @app.get("/v1/status", response_model=None)
    async def status() -> Mapping[str, JSON]:
        return backend.status()

    @app.get("/v1/calls", response_model=None)
    async def calls(*, ended: bool = False, limit: Page = 50) -> Sequence[Mapping[str, JSON]]:
        return await backend.list_calls(ended=ended, limit=limit)

    @app.post("/v1/actions", response_model=None)
    async def act(request: ActionRequest) -> Mapping[str, JSON]:
        return await backend.act(
            request.call, request.action, new=request.new, actor=f"cli:{request.actor}"
        )

    @app.get("/v1/recordings", response_model=None)
    async def recordings(
        *, call: str | None = None, limit: Page = 50
    ) -> Sequence[Mapping[str, JSON]]:
        return await backend.list_recordings(call_id=call, limit=limit)

    @app.post("/v1/flow/reload", response_model=None)
    async def reload_flow() -> dict[str, list[str]]:
        return {"mistakes": await backend.reload_flow()}

    for router in routers:
        app.include_router(router)
    return app


def _http_status(error: TurnrecError) -> int:
    statuses = ARCHIVE_STATUSES | STATUSES
    if error.id in statuses:
        return statuses[error.id]
    if isinstance(error, UnknownCallError):
        return 404
    if isinstance(error, RefusedError):
        return 409
    return 503 if isinstance(error, (AsteriskUnreachableError, FaultError)) else 500


class SocketTakenError(TurnrecError):
    """Another turnrec answers on the control socket."""

    id = "socket-taken"


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: SIGTERM is the service's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ControlServer:
    """Serves the control socket."""

    def __init__(self, backend: Backend, path: Path, *routers: APIRouter) -> None:
        self._path = path
        config = uvicorn.Config(
            create_app(backend, *routers), log_config=None, access_log=False, lifespan="off"
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the socket; it takes requests when this returns.

        Raises:
            SocketTakenError: another turnrec has it.
            OSError: it can't be made.
        """
        listener = _bind(self._path)
        self._task = asyncio.create_task(
            self._server.serve(sockets=[listener]), name="control socket"
        )

    async def stop(self) -> None:
        """Close the socket and take its file away."""
        if self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait({self._task})
        self._path.unlink(missing_ok=True)


def _bind(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_left_over(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        listener.listen(64)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _is_left_over(path: Path) -> bool:
    """Whether the socket's file is of a turnrec that is dead."""
    if not path.exists():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(os.fspath(path)) == 0:
            raise SocketTakenError(f"another turnrec answers on {path}: stop it first")
    return True
