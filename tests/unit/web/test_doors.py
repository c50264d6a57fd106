"""The control socket and the port as clients see them: real sockets, a backend of the test's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest

from turnrec.core.entry import JSON
from turnrec.core.errors import MonitorStillRunsError
from turnrec.web.app import create_app, guarded
from turnrec.web.client import ControlClient, ServerRefusedError, ServerUnreachableError
from turnrec.web.doors import ControlSocket, HttpServer, NoKeysError, SocketTakenError
from turnrec.web.gate import Gate, LocalAdmission
from turnrec.web.server import server_routes


class Backend:
    """Answers with what it was asked."""

    def __init__(self) -> None:
        self.parts = {"ami": True, "ledger": True, "room": True}

    def readiness(self) -> Mapping[str, bool]:
        return self.parts

    def status(self) -> Mapping[str, JSON]:
        raise MonitorStillRunsError("x")

    def metrics(self) -> bytes:
        return b"turnrec_ami_up 1.0\n"

    async def reload_flow(self) -> list[str]:
        return ["flow.yaml:1:1: empty"]


def application(backend: Backend) -> Gate:
    return guarded(create_app([server_routes(backend)]), LocalAdmission())


@contextlib.asynccontextmanager
async def serving(path: Path, backend: Backend) -> AsyncIterator[ControlClient]:
    server = ControlSocket(application(backend), path)
    await server.start()
    try:
        yield ControlClient(path)
    finally:
        await server.stop()


async def test_what_is_asked_is_answered_and_errors_keep_their_ids(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", Backend()) as client:
        assert await asyncio.to_thread(client.get, "/healthz") == {"alive": True}
        assert await asyncio.to_thread(client.post, "/v1/flow/reload") == {
            "mistakes": ["flow.yaml:1:1: empty"]
        }
        with pytest.raises(ServerRefusedError) as caught:
            await asyncio.to_thread(client.get, "/v1/status")
    assert caught.value.refusal_id == "monitor-still-runs"


@pytest.mark.parametrize("part", ["ami", "ledger", "room"])
async def test_ready_is_only_what_has_all_its_parts(part: str, tmp_path: Path) -> None:
    backend = Backend()
    door = HttpServer(application(backend), "127.0.0.1", 0)
    await door.start(has_keys=False)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}") as client:
            assert (await client.get("/readyz")).status_code == 200
            backend.parts[part] = False
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()["ready"]) == (503, False)
            assert (await client.get("/healthz")).json() == {"alive": True}
    finally:
        await door.stop()


async def test_it_listens_beyond_this_machine_only_with_keys() -> None:
    with pytest.raises(NoKeysError, match="api-key new"):
        await HttpServer(application(Backend()), "0.0.0.0", 0).start(has_keys=False)
    door = HttpServer(application(Backend()), "0.0.0.0", 0)
    await door.start(has_keys=True)
    assert door.port
    await door.stop()


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
            await ControlSocket(application(Backend()), path).start()
        assert await asyncio.to_thread(client.get, "/healthz") == {"alive": True}


def test_nobody_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachableError, match="turnrec serve"):
        ControlClient(tmp_path / "nobody").get("/healthz")
