"""HTTP's own bytes, ranges, conditions, bodies and event ids: an answer of ours, never a defect."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.nasty import TOKENS, fuzzed, mangled, replayed
from tests.fuzz.test_asterisk import Run, defects, run
from tests.unit.web.recordings_api import serving
from turnrec.core.entry import JSON
from turnrec.core.errors import UnknownCallError
from turnrec.core.event import EventType
from turnrec.web.access import Access, Right
from turnrec.web.app import create_app, guarded
from turnrec.web.client import _events
from turnrec.web.doors import HttpServer, _Connection
from turnrec.web.events import event_routes
from turnrec.web.gate import Gate, KeyAdmission
from turnrec.web.keys import KeyRing
from turnrec.web.ranges import ranges_of

__all__ = ["defects", "run"]

SIZE = 1000
STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3}) ", re.MULTILINE)
LAST = b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Told:
    """An event backend that holds what it is asked to what it may be asked."""

    async def find_call(self, access: Access, name: str) -> str:
        assert 1 <= len(name) <= 256
        raise UnknownCallError(name[:64])

    async def events(
        self,
        access: Access,
        types: frozenset[EventType] | None,
        call_id: str | None,
        after: int | None,
    ) -> AsyncIterator[bytes]:
        assert after is None or 0 <= after < 2**63
        yield b"data: x\n\n"

    async def board(self, access: Access) -> AsyncIterator[bytes]:
        yield b"data: x\n\n"

    async def timeline(
        self, call_id: str, after: int, limit: int
    ) -> tuple[list[dict[str, JSON]], int | None]:
        raise AssertionError("no call is ever found")


def requests(key: str, recording: str) -> list[bytes]:
    """Good requests, whose connection ends with the answer."""
    head = f" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n".encode()
    own = f"/v1/recordings/{recording}".encode()
    lines: Mapping[bytes, bytes] = {
        b"GET /v1/recordings?limit=5&bot=kyc&cursor=x": b"",
        b"GET " + own: b"",
        b"GET " + own + b"/audio": b'Range: bytes=0-9,20-29\r\nIf-Range: "x"\r\n',
        b"HEAD " + own + b"/audio?format=flac": b'If-None-Match: W/"x", *\r\n',
        b"GET " + own + b"/peaks?points=10": b"",
        b"POST " + own + b"/verify": b"Content-Length: 2\r\nIdempotency-Key: abc\r\n",
        b"GET /v1/events?types=recording.*&call=x": b"Last-Event-ID: 12\r\n",
        b"GET /v1/events?after=3": b"Last-Event-ID: 999999999999999999\r\n",
        b"GET /": b'If-None-Match: "x"\r\n',
        b"GET /v1/openapi.json": b"Transfer-Encoding: chunked\r\n",
    }
    return [
        line + head + more + b"\r\n" + (b"{}" if b"Content-Length" in more else b"")
        for line, more in lines.items()
    ]


HTTP_TOKENS = (
    *TOKENS,
    b"Content-Length: 99999999999\r\n",
    b"Range: bytes=-0\r\n",
    b"%00",
    b"%ff",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\n",
    b"Last-Event-ID: -1\r\n",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"Connection: upgrade\r\n",
)


def gate_with(folder: Path, keys: KeyRing) -> Gate:
    admission = KeyAdmission(keys, requests_per_s=1_000_000, on_refused=lambda _: None)
    return guarded(create_app([event_routes(Told())]), admission)


@pytest.mark.parametrize("which", ["recordings", "events"])
def test_any_bytes_at_the_port_get_an_answer_or_are_left(
    run: Run, tmp_path: Path, defects: list[str], monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.setattr(_Connection, "within_s", 0.1)
    opening = serving(tmp_path)
    api: Any = run(opening.__aenter__())
    run(api.enter("R1", "kyc"))
    key = api.key(Right.ADMIN)
    gate = api.gate if which == "recordings" else gate_with(tmp_path, api.keys)
    gate._body_within_s = 0.1
    door = HttpServer(gate, "127.0.0.1", 0)
    run(door.start(has_keys=True))

    async def say(data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        try:
            writer.write(data)
            async with asyncio.timeout(60):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    seen: set[int] = set()

    @replayed("http", mangled(requests(key, "R1"), HTTP_TOKENS), 40)
    def fuzz(data: bytes) -> None:
        # The last request closes a connection that would stay open.
        answer = run(say(data + LAST))
        statuses = {int(one) for one in STATUS.findall(answer)}
        assert all(status < 500 for status in statuses), answer
        assert defects == []
        seen.update(statuses)

    try:
        fuzz()
    finally:
        assert {200, 400} <= seen, "good ones and bad ones"
        run(door.stop())
        with suppress(RuntimeError):
            run(opening.__aexit__(None, None, None))


@fuzzed(300)
@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(("bytes", "=", "0", "-", ",", "9", "999", "1000", " ", "\t", "x", "1" * 25))
    ).map("".join)
)
def test_any_range_lies_within_the_file(header: str) -> None:
    found = ranges_of(header, SIZE)
    assert found is None or len(found) <= 16
    for first, last in found or ():
        assert 0 <= first <= last < SIZE
    ends = [last for _, last in sorted(found or ())]
    starts = [first for first, _ in sorted(found or ())]
    assert all(one < two for one, two in zip(ends, starts[1:], strict=False)), "none twice"


@fuzzed(150)
@given(mangled([b"event: x\ndata: {}\nid: 7\n\n", b"retry: 1\n\n:alive\n\ndata: a\ndata: b\n\n"]))
def test_any_stream_of_events_is_read_by_the_command_line(data: bytes) -> None:
    for told in _events(iter(data.decode("utf-8", "replace").splitlines())):
        assert isinstance(told.data, str)
