"""The control socket as its client sees it: a real Unix socket, and a backend of the test's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from turnrec.core.entry import JSON
from turnrec.core.errors import (
    AsteriskUnreachableError,
    HeldByAnotherError,
    MonitorStillRunsError,
    TurnrecError,
    UnknownCallError,
)
from turnrec.core.policy import Action
from turnrec.web.client import ControlClient, ServerRefusedError, ServerUnreachableError
from turnrec.web.control import ControlServer, SocketTakenError


class Backend:
    """Answers with what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.error: TurnrecError | None = None

    def status(self) -> Mapping[str, JSON]:
        return {"version": "test"}

    async def list_calls(self, *, ended: bool, limit: int) -> Sequence[Mapping[str, JSON]]:
        self.asked.append(("calls", ended, limit))
        return [{"id": "C1"}]

    async def list_recordings(
        self, *, call_id: str | None, limit: int
    ) -> Sequence[Mapping[str, JSON]]:
        self.asked.append(("recordings", call_id, limit))
        return []

    async def act(self, call: str, action: Action, *, new: bool, actor: str) -> Mapping[str, JSON]:
        self.asked.append((call, action, new, actor))
        if self.error is not None:
            raise self.error
        return {"state": "paused"}

    async def reload_flow(self) -> list[str]:
        return ["flow.yaml:1:1: empty"]


@contextlib.asynccontextmanager
async def serving(path: Path, backend: Backend) -> AsyncIterator[ControlClient]:
    server = ControlServer(backend, path)
    await server.start()
    try:
        yield ControlClient(path)
    finally:
        await server.stop()


async def test_what_is_asked_reaches_the_backend(tmp_path: Path) -> None:
    backend = Backend()
    async with serving(tmp_path / "s", backend) as client:
        assert await asyncio.to_thread(client.get, "/healthz") == {"alive": True}
        assert await asyncio.to_thread(client.get, "/v1/status") == {"version": "test"}
        assert await asyncio.to_thread(lambda: client.get("/v1/calls", ended=True, limit=7)) == [
            {"id": "C1"}
        ]
        assert await asyncio.to_thread(lambda: client.get("/v1/recordings", call="C1")) == []
        assert await asyncio.to_thread(client.post, "/v1/flow/reload") == {
            "mistakes": ["flow.yaml:1:1: empty"]
        }
        body = {"call": "C1", "action": "pause", "new": False, "actor": "anna"}
        answer = await asyncio.to_thread(client.post, "/v1/actions", body)
    assert answer == {"state": "paused"}
    assert backend.asked == [
        ("calls", True, 7),
        ("recordings", "C1", 50),
        ("C1", Action.PAUSE, False, "cli:anna"),
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownCallError("C9"), 404),
        (HeldByAnotherError("resume", "paused"), 409),
        (AsteriskUnreachableError("AMI is down"), 503),
        (MonitorStillRunsError("x"), 503),
    ],
)
async def test_an_error_has_one_shape_and_its_stable_id(
    error: TurnrecError, status: int, tmp_path: Path
) -> None:
    backend = Backend()
    backend.error = error
    body = {"call": "C9", "action": "resume", "actor": "anna"}
    async with serving(tmp_path / "s", backend) as client:
        with pytest.raises(ServerRefusedError) as caught:
            await asyncio.to_thread(client.post, "/v1/actions", body)
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "s"))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as raw:
            answer = await raw.post("/v1/actions", json=body)
    assert (caught.value.refusal_id, str(caught.value)) == (error.id, str(error))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_request_that_makes_no_sense_is_refused_before_the_backend(tmp_path: Path) -> None:
    backend = Backend()
    async with serving(tmp_path / "s", backend) as client:
        for body in (
            {"call": "C1", "action": "pauze", "actor": "a"},
            {"call": "C1", "action": "pause", "actor": "a\nb"},
            {"call": "", "action": "pause", "actor": "a"},
            {},
        ):
            with pytest.raises(ServerRefusedError):
                await asyncio.to_thread(client.post, "/v1/actions", body)
    assert backend.asked == []


async def test_only_its_own_user_can_open_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "s"
    async with serving(path, Backend()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


async def test_a_socket_that_a_dead_server_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(path, Backend()) as client:
        assert await asyncio.to_thread(client.get, "/healthz") == {"alive": True}


async def test_a_socket_that_answers_is_left_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serving(path, Backend()) as client:
        with pytest.raises(SocketTakenError):
            await ControlServer(Backend(), path).start()
        assert await asyncio.to_thread(client.get, "/healthz") == {"alive": True}


def test_nobody_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachableError, match="turnrec serve"):
        ControlClient(tmp_path / "nobody").get("/healthz")
