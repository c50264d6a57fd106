"""Twenty open pages and five webhook receivers, in a process of their own: they only read.

It is told by its standard input: a first line of JSON (port, key, pages), then `begin`, `count`
and `end`. It prints the webhooks' port, and a line of JSON for each `count` and `end`: what came
since the one before, and how late.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

STREAMS = ("/v1/calls/live", "/v1/events")


class Watchers:
    """What is watched, and what came of it."""

    def __init__(self, port: int, key: str, pages: int) -> None:
        self._port = port
        self._key = key
        self._pages = pages
        self._tasks: list[asyncio.Task[None]] = []
        self._bytes = 0
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._lags_ms: defaultdict[str, list[float]] = defaultdict(list)
        self._since: dict[str, str] = {}

    async def begin(self) -> None:
        """Open the pages."""
        self._since.clear()
        for page in range(self._pages):
            for stream in STREAMS:
                # One page reads what it gets, to know how live it is; the others' bytes suffice.
                reading = self._read(stream) if page == 0 else self._swallow(stream)
                self._tasks.append(asyncio.create_task(reading))

    async def end(self) -> dict[str, Any]:
        """Close them; tell what came since the last count."""
        told = self.count()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        return told

    def count(self) -> dict[str, Any]:
        """Tell what came since the last count."""
        told = {
            "bytes": self._bytes,
            "counts": dict(self._counts),
            "lags_ms": dict(self._lags_ms),
            "lost": sum(task.done() for task in self._tasks),
        }
        self._bytes = 0
        self._counts.clear()
        self._lags_ms.clear()
        return told

    async def hook(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what a webhook is sent, and say so."""
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ", 2)[1]
                fields = (line.partition(":") for line in head.split("\r\n"))
                length = next(int(v) for n, _, v in fields if n.lower() == "content-length")
                body = await reader.readexactly(length)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                self._counts["webhooks"] += 1
                if path == "/0":
                    self._note("webhooks", json.loads(body)["timestamp"])
        writer.close()

    # -------------------------------------------------------------- streams

    async def _open(self, path: str) -> AsyncIterator[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
        try:
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: bench\r\n"
                f"Authorization: Bearer {self._key}\r\n\r\n".encode("ascii")
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode("latin-1"))
            while size := int(await reader.readline(), 16):
                yield (await reader.readexactly(size + 2))[:-2]
        finally:
            writer.close()

    async def _swallow(self, path: str) -> None:
        async for piece in self._open(path):
            self._bytes += len(piece)

    async def _read(self, path: str) -> None:
        text = b""
        async for piece in self._open(path):
            self._bytes += len(piece)
            *frames, text = (text + piece).split(b"\n\n")
            for frame in frames:
                self._take(path, frame)

    def _take(self, path: str, frame: bytes) -> None:
        fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line)
        if b"data" not in fields:
            return
        data = json.loads(fields[b"data"])
        self._counts[path] += 1
        if path == "/v1/events":
            self._note(path, data["timestamp"])
            return
        for call in data.get("calls", ()):
            self._since[call["id"]] = call["since"]
        for call in data.get("changed", ()):
            known, since = self._since.get(call["id"]), call["since"]
            self._since[call["id"]] = since
            if known not in (None, since):
                self._note(path, since)

    def _note(self, what: str, timestamp: str) -> None:
        lag_s = time.time() - datetime.fromisoformat(timestamp).timestamp()
        self._lags_ms[what].append(lag_s * 1000)


async def _main() -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    watchers = Watchers(**json.loads(await told.readline()))
    server = await asyncio.start_server(watchers.hook, "127.0.0.1", 0)
    _say(server.sockets[0].getsockname()[1])
    while command := (await told.readline()).strip():
        if command == b"begin":
            await watchers.begin()
        else:
            _say(watchers.count() if command == b"count" else await watchers.end())


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main())
