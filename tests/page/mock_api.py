"""A small server that answers as turnrec's API does, and serves the real page. It owns no state."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from tests.page.mock_state import JSON, MockState, RefusalError
from turnrec.web.pages import page_routes

GOOD_KEY = "trk_desk_0123456789"


def create_app(state: MockState) -> FastAPI:
    """Build it."""
    app = FastAPI(openapi_url=None)

    @app.exception_handler(RefusalError)
    async def refused(_request: Request, error: RefusalError) -> JSONResponse:
        body = {"type": f"turnrec:{error.id}", "title": "Refused", "status": error.status}
        body |= {"detail": error.sentence, "id": error.id}
        return JSONResponse(body, error.status, media_type="application/problem+json")

    def me(request: Request, *rights: str) -> JSON:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key not in state.keys:
            raise RefusalError(401, "unauthorized", "give a good API key")
        found = state.keys[key]
        if rights and not {"admin", *rights} & set(found["rights"]):
            raise RefusalError(403, "not-allowed", f"this key lacks the right {rights[0]!r}")
        return found

    def known(table: dict[str, JSON], name: str, what: str) -> JSON:
        if name not in table:
            raise RefusalError(404, f"unknown-{what}", f"no {what} {name[:20]!r}")
        return table[name]

    @app.get("/v1/me")
    async def whoami(request: Request) -> JSON:
        return me(request)

    @app.get("/v1/calls/live")
    async def live(request: Request) -> StreamingResponse:
        me(request, "read")
        return _sse(_live(state))

    @app.get("/v1/calls/{call}")
    async def call(request: Request, call: str) -> JSON:
        me(request, "read", "bot")
        return known(state.calls, call, "call")

    @app.get("/v1/calls/{call}/timeline")
    async def timeline(request: Request, call: str, cursor: int = 0, limit: int = 50) -> JSON:
        me(request, "read", "bot", "audit")
        found = [one for one in state.events if one["call"] == call and one["seq"] > cursor]
        more = len(found) > limit
        return {"items": found[:limit], "next": str(found[limit - 1]["seq"]) if more else None}

    @app.post("/v1/calls/{call}/actions")
    async def act(request: Request, call: str) -> JSON:
        me(request, "control")
        body = await request.json()
        state.asked.append({**body, "path": request.url.path, **_keys(request)})
        await state.confirm.wait()
        notice = state.act(call, body["action"], new=body.get("new", False))
        return {"call": state.calls[call], "notice": notice}

    @app.get("/v1/events")
    async def events(request: Request, call: str | None = None) -> StreamingResponse:
        me(request, "read")
        after = request.headers.get("last-event-id")
        last = len(state.events) if after is None else int(after)
        return _sse(_events(state, call, last))

    @app.get("/v1/recordings")
    async def recordings(
        request: Request,
        cursor: int = 0,
        limit: int = 50,
    ) -> JSON:
        me(request, "read", "audit")
        wanted = request.query_params
        found = [
            one
            for one in sorted(state.recordings.values(), key=lambda one: one["id"], reverse=True)
            if all(wanted.get(name, one[name]) == one[name] for name in ("bot", "status", "call"))
            and wanted.get("from", "") <= one["opened"] < wanted.get("to", "9")
            and any(one[name].startswith(wanted.get("q", "")) for name in ("id", "call"))
        ]
        shown = [{k: v for k, v in one.items() if k != "spans"} for one in found]
        more = len(found) > cursor + limit
        return {
            "items": shown[cursor : cursor + limit],
            "next": str(cursor + limit) if more else None,
        }

    @app.get("/v1/recordings/{name}")
    async def recording(request: Request, name: str) -> JSON:
        me(request, "read", "audit")
        return known(state.recordings, name, "recording")

    @app.get("/v1/recordings/{name}/audio")
    async def audio(request: Request, name: str) -> Response:
        me(request, "read")
        known(state.recordings, name, "recording")
        return Response(state.sounds[name], media_type="audio/wav")

    @app.get("/v1/recordings/{name}/peaks")
    async def peaks(request: Request, name: str, points: int = 1000) -> JSON:
        me(request, "read")
        samples = np.frombuffer(state.sounds[name][44:], "<i2") / 32768
        parts = np.array_split(samples, points)
        pairs = [[float(one.min()), float(one.max())] if len(one) else [0, 0] for one in parts]
        return {"rate_hz": 8000, "samples": len(samples), "points": pairs}

    @app.get("/v1/recordings/{name}/manifest")
    async def manifest(request: Request, name: str) -> JSON:
        me(request, "read", "audit")
        return {"recording": known(state.recordings, name, "recording")["id"]}

    @app.get("/v1/recordings/{name}/transcript")
    async def transcript(request: Request, name: str) -> JSON:
        me(request, "read")
        if name not in state.transcripts:
            raise RefusalError(404, "no-transcript", "this recording has no transcript")
        return {"version": 1, "time": "file", "entries": state.transcripts[name]}

    @app.get("/v1/recordings/{name}/verification")
    async def verification(request: Request, name: str) -> JSON:
        me(request, "read", "audit")
        return state.verifications[name]

    @app.post("/v1/recordings/{name}/{what}")
    async def keep(request: Request, name: str, what: str) -> JSON:
        me(request, "admin")
        body = await request.json()
        state.asked.append({**body, "path": request.url.path, **_keys(request)})
        one = known(state.recordings, name, "recording")
        if what == "delete":
            one |= {"status": "deleted", "file": None, "spans": []}
            reason = body["reason"]
            state.event(
                "recording.deleted", one["call"], recording=name, reason=reason, actor="key:desk"
            )
        else:
            one["legal_hold"] = body["reason"] if what == "hold" else None
        return one

    app.include_router(page_routes())
    return app


def _keys(request: Request) -> JSON:
    return {"idempotency": request.headers.get("idempotency-key")}


def _sse(frames: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(frames, media_type="text/event-stream")


def _frame(kind: str, data: Any, event_id: int | None = None) -> str:
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n"


async def _live(state: MockState) -> AsyncIterator[str]:
    told = {call["id"]: json.dumps(call) for call in state.live()}
    changed = state.changed
    yield _frame("snapshot", {"calls": [json.loads(one) for one in told.values()]})
    while True:
        await changed.wait()
        await asyncio.sleep(0.05)
        changed = state.changed
        now = {call["id"]: json.dumps(call) for call in state.live()}
        fresh = [json.loads(one) for key, one in now.items() if told.get(key) != one]
        ended = [key for key in told if key not in now]
        told = now
        if fresh or ended:
            yield _frame("calls", {"changed": fresh, "ended": ended})


async def _events(state: MockState, call: str | None, last: int) -> AsyncIterator[str]:
    yield ": hello\n\n"
    while True:
        changed = state.changed
        for event in state.events[last:]:
            if call in (None, event["call"]):
                yield _frame(event["type"], event, event["seq"])
        last = len(state.events)
        await changed.wait()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class MockServer:
    """Serves the mock on loopback; it can be stopped and started again on the same port."""

    def __init__(self, state: MockState) -> None:
        self.state = state
        self.port = 0
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        listener.listen(64)
        config = uvicorn.Config(
            create_app(self.state),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=0,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:  # noqa: ASYNC110 - uvicorn tells it no other way
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        # Streams never end by themselves: uvicorn cuts them off when its grace is over.
        await asyncio.wait({self._task})
        self._server = self._task = None


@contextlib.asynccontextmanager
async def serving(state: MockState) -> AsyncIterator[MockServer]:
    """A mock server for one test."""
    server = MockServer(state)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
