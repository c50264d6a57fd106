"""The API's port against who comes in crowds, dawdles, smuggles, or sends a browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from turnrec.web.access import Right
from turnrec.web.app import create_app
from turnrec.web.doors import HttpServer, _Connection
from turnrec.web.gate import Gate, KeyAdmission, Message, Receive, Scope, Send
from turnrec.web.keys import KeyRing

WAIT_S = 60.0


class Asked:
    """Notes what reaches it, and answers once it may."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(f"{scope['method']} {scope['path']}")
        message: Message = await receive()
        self.bodies.append(message.get("body", b""))
        await self.may_answer.wait()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
        )
        await send({"type": "http.response.body", "body": b"ok"})


class House:
    """A door with a key."""

    def __init__(self, folder: Path, app: Any, body_within_s: float) -> None:
        self.keys = KeyRing(folder / "keys.json")
        self.key = self.keys.make("desk", frozenset(Right), None, 1)
        admission = KeyAdmission(self.keys, requests_per_s=100_000, on_refused=lambda _: None)
        self.door = HttpServer(Gate(app, admission, body_within_s=body_within_s), "127.0.0.1", 0)

    @property
    def head(self) -> bytes:
        return b"Host: x\r\nAuthorization: Bearer " + self.key.encode() + b"\r\n"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.door.port)

    async def say(self, data: bytes) -> bytes:
        """Send bytes, and read until the server has closed."""
        reader, writer = await self.connect()
        try:
            writer.write(data)
            async with asyncio.timeout(WAIT_S):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def opened(folder: Path, app: Any, body_within_s: float = 30.0) -> AsyncIterator[House]:
    house = House(folder, app, body_within_s)
    await house.door.start(has_keys=True)
    try:
        yield house
    finally:
        await house.door.stop()


@contextmanager
def limits(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name, value in changed.items():
            patch.setattr(_Connection, name, value)
        yield


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the server closed."""
    try:
        async with asyncio.timeout(WAIT_S):
            return await reader.read()
    except ConnectionError:
        return b""


# ------------------------------------------------------------------ crowds and dawdlers


async def test_of_too_many_connections_the_last_are_closed_and_the_first_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with limits(monkeypatch, most=3):
        async with opened(tmp_path, Asked()) as house:
            held = [await house.connect() for _ in range(3)]
            first = b"GET /v1/x HTTP/1.1\r\n" + house.head + b"\r\n"
            for reader, writer in held:
                writer.write(first)
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            for _ in range(20):
                reader, writer = await house.connect()
                assert await ended(reader) == b""
                writer.close()
            held.pop()[1].close()

            async def served_again() -> bool:
                return (
                    await house.say(first.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                ) != b""

            async with asyncio.timeout(WAIT_S):
                while not await served_again():
                    pass
            for _, writer in held:
                writer.close()


@pytest.mark.parametrize("said", [b"", b"G", b"GET /v1/x HTTP/1.1\r\nHost: x\r\n"])
async def test_who_does_not_end_a_requests_head_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    with limits(monkeypatch, within_s=0.05):
        async with opened(tmp_path, Asked()) as house:
            assert await house.say(said) == b""


async def test_a_byte_now_and_then_keeps_no_connection_before_or_between_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with limits(monkeypatch, within_s=0.2):
        async with opened(tmp_path, Asked()) as house:
            for before in (b"", b"GET /v1/x HTTP/1.1\r\n" + house.head + b"\r\n"):
                reader, writer = await house.connect()
                writer.write(before)
                if before:
                    assert (await reader.readuntil(b"ok")).endswith(b"ok")
                end = asyncio.create_task(ended(reader))
                writer.write(b"GET /v1/y HTTP/1.1\r\n")
                sent = 0
                while not end.done():
                    writer.write(b"X")
                    sent += 1
                    await asyncio.sleep(0.01)
                    assert sent < 5_000
                assert await end == b""
                writer.close()


async def test_an_answer_that_takes_long_is_not_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Asked()
    app.may_answer.clear()
    with limits(monkeypatch, within_s=0.05):
        async with opened(tmp_path, app) as house:
            end = b"Connection: close\r\n\r\n"
            answer = asyncio.create_task(house.say(b"GET /v1/x HTTP/1.1\r\n" + house.head + end))
            await asyncio.wait({answer}, timeout=0.3)
            assert not answer.done()
            app.may_answer.set()
            assert (await answer).endswith(b"ok")


async def test_a_body_that_does_not_come_is_refused_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Asked()
    with limits(monkeypatch, within_s=0.05):
        answer = await unended(tmp_path, app)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"id":"request-timeout"' in answer
    assert app.paths == []


async def unended(folder: Path, app: Asked) -> bytes:
    async with opened(folder, app, body_within_s=0.05) as house:
        head = b"POST /v1/x HTTP/1.1\r\n" + house.head
        return await house.say(head + b"Content-Length: 10\r\n\r\n12345")


async def test_a_body_that_nobody_wants_keeps_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key, whose body is not read: a byte of it now and then."""
    with limits(monkeypatch, within_s=0.2):
        async with opened(tmp_path, Asked()) as house:
            reader, writer = await house.connect()
            writer.write(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
            end = asyncio.create_task(ended(reader))
            sent = 0
            while not end.done():
                writer.write(b"x")
                sent += 1
                await asyncio.sleep(0.01)
                assert sent < 5_000
            writer.close()


# ------------------------------------------------------------------ smuggling

INNER = b"POST /v1/inner HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)
FRAMINGS = {
    "two-lengths": (b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(INNER), INNER),
    "length-list": (b"Content-Length: 0, %d\r\n\r\n" % len(INNER), INNER),
    "length-and-chunks": (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNKS),
    "chunks-and-length": (b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", CHUNKS),
    "unknown-coding": (b"Transfer-Encoding: xchunked\r\n\r\n", CHUNKS),
    "two-codings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", CHUNKS),
    "space-before-colon": (b"Content-Length : %d\r\n\r\n" % len(INNER), INNER),
    "folded": (b"X: a\r\n Content-Length: %d\r\n\r\n" % len(INNER), INNER),
    "plus-length": (b"Content-Length: +%d\r\n\r\n" % len(INNER), INNER),
    "bare-cr": (b"X: a\rContent-Length: %d\r\n\r\n" % len(INNER), INNER),
    "nul": (b"X: a\0b\r\nContent-Length: 0\r\n\r\n", INNER),
    "bad-chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b"-1\r\n" + INNER),
    "huge-chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b"f" * 30 + b"\r\n" + INNER),
}


@pytest.mark.parametrize("name", FRAMINGS)
async def test_a_request_within_a_request_needs_a_key_of_its_own(tmp_path: Path, name: str) -> None:
    app = Asked()
    headers, body = FRAMINGS[name]
    async with opened(tmp_path, app, body_within_s=0.2) as house:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_Connection, "within_s", 0.2)
            end = b"GET /v1/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            answer = await house.say(
                b"POST /v1/outer HTTP/1.1\r\n" + house.head + headers + body + end
            )
    assert set(app.paths) <= {"POST /v1/outer"}
    statuses = [
        int(line.split()[1]) for line in answer.splitlines() if line.startswith(b"HTTP/1.1")
    ]
    assert set(statuses) <= {200, 400, 401, 408, 413}, answer
    assert statuses.count(200) <= 1


async def test_garbage_within_a_request_is_no_defect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = Asked()
    app.may_answer.clear()
    async with opened(tmp_path, app) as house:
        request = b"GET /v1/x HTTP/1.1\r\n" + house.head + b"Transfer-Encoding: chunked\r\n\r\n"
        assert await house.say(request + b"no chunk\r\n\r\n") == b""
        app.may_answer.set()
        for bad in (b"\0garbage\r\n\r\n", b"GET /v1/y HTTP/9\r\n\r\n"):
            assert (await house.say(bad)).startswith(b"HTTP/1.1 400")
    assert [one.message for one in caplog.records if one.exc_info] == []


async def test_a_head_beyond_all_measure_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, Asked()) as house:
        answer = await house.say(b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


# ------------------------------------------------------------------ browsers


async def test_no_other_site_may_read_an_answer_or_ask_for_more(tmp_path: Path) -> None:
    async with opened(tmp_path, create_app([])) as house:
        for method in (b"GET", b"OPTIONS", b"POST"):
            for path in (b"/", b"/v1/openapi.json", b"/v1/calls"):
                answer = await house.say(
                    method
                    + b" "
                    + path
                    + b" HTTP/1.1\r\n"
                    + house.head
                    + b"Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n"
                    b"Access-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n"
                )
                assert answer.startswith(b"HTTP/1.1 ")
                assert b"access-control-" not in answer.lower()
                assert b"set-cookie" not in answer.lower()
