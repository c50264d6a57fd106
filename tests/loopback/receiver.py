"""A webhook's receiver on 127.0.0.1: real HTTP, answers as a test says, remembers what came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

HANG_S = 60


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def seq(self) -> int:
        return int(json.loads(self.body)["seq"])

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]


Answer = Callable[[Received], Awaitable[str] | str]
"""Returns `STATUS REASON`, and what follows of the answer's head."""


@dataclass
class Receiver:
    """The receiver."""

    answer: Answer
    came: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, answer: Answer = lambda _: "204 No Content", port: int = 0
    ) -> AsyncIterator[Receiver]:
        receiver = cls(answer)
        server = await asyncio.start_server(receiver._serve, "127.0.0.1", port)
        receiver.port = server.sockets[0].getsockname()[1]
        try:
            yield receiver
        finally:
            server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def until(self, enough: Callable[[list[Received]], bool]) -> list[Received]:
        """Wait until what came is enough."""
        async with asyncio.timeout(HANG_S):
            while not enough(self.came):
                self._news.clear()
                await self._news.wait()
        return self.came

    async def count(self, number: int) -> list[Received]:
        """Wait until so many requests came."""
        return await self.until(lambda came: len(came) >= number)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                request, *lines = head.split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines if line)
                exact = {k: v for line in lines if line for k, v in [line.split(": ", 1)]}
                headers |= {name.lower(): value for name, value in exact.items()}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                received = Received(request.split(" ")[1], headers, body)
                self.came.append(received)
                self._news.set()
                answered = self.answer(received)
                status = answered if isinstance(answered, str) else await answered
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        writer.close()
