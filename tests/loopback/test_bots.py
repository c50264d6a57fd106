"""The bots' client and their AudioSocket, against peers that answer with real bytes."""

from __future__ import annotations

import asyncio
import json
import struct
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from turnrec.bots.audiosocket import FRAME_BYTES, HungUpError, Line, listen
from turnrec.bots.audiosocket_bot import SampleBot, Step, kyc_script
from turnrec.bots.http_client import (
    FailedInTurnrecError,
    NoAnswerError,
    NotConfirmedError,
    RefusedByTurnrecError,
    TurnrecClient,
)

WAIT_S = 30.0
A_TIME_US = 1_700_000_000_000_000
OUTCOME = {"call": {"id": "01", "state": "paused"}, "notice": None}


def response(status: int, body: object, kind: str = "application/json") -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\n\r\n"
    return f"{head}{text}".encode()


def problem(status: int, problem_id: str) -> bytes:
    body = {"status": status, "id": problem_id, "detail": "a sentence"}
    return response(status, body, "application/problem+json")


class Server:
    """Answers each request with the next bytes; None closes instead, and so does the end."""

    def __init__(self, *answers: bytes | None) -> None:
        self._answers = list(answers)
        self.requests: list[tuple[str, dict[str, object]]] = []
        self.headers: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while self._answers:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    (int(one[15:]) for one in head.split("\r\n") if one.startswith("Content-L")), 0
                )
                body = await reader.readexactly(length)
                self.headers.append(head)
                self.requests.append((head.partition("\r\n")[0], json.loads(body or b"{}")))
                answer = self._answers.pop(0)
                if answer is None:
                    return
                writer.write(answer)
        except (OSError, EOFError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def answering(
    *answers: bytes | None, timeout_s: float = WAIT_S
) -> AsyncIterator[tuple[Server, TurnrecClient]]:
    server = Server(*answers)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening:
        server.port = listening.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{server.port}"
        async with TurnrecClient(url, "trk_key", timeout_s=timeout_s) as client:
            yield server, client


async def test_a_turn_returns_when_turnrec_has_said_that_it_has_begun() -> None:
    async with answering(response(200, OUTCOME)) as (server, client):
        assert (await client.turn("a/b ?", "ask"))["state"] == "paused"
        ((line, body),) = server.requests
        assert line == "POST /v1/calls/a%2Fb%20%3F/turns HTTP/1.1"
        assert body["node"] == "ask"
        assert "Authorization: Bearer trk_key\r\n" in server.headers[0]


async def test_each_turn_has_a_larger_number_than_the_one_before() -> None:
    async with answering(*[response(200, OUTCOME)] * 3) as (server, client):
        for _ in range(3):
            await client.turn("1", "ask")
        numbers = [int(str(body["sequence"])) for _, body in server.requests]
        assert numbers == sorted(set(numbers))
        assert numbers[0] > A_TIME_US, "they go on growing over a bot's restart"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (problem(404, "unknown-call"), RefusedByTurnrecError),
        (problem(409, "turn-superseded"), RefusedByTurnrecError),
        (problem(429, "too-many-requests"), RefusedByTurnrecError),
        (problem(503, "asterisk-unreachable"), FailedInTurnrecError),
        (problem(504, "command-unanswered"), FailedInTurnrecError),
        (response(502, "<html>", "text/html"), NoAnswerError),
        (response(200, "<html>hello</html>", "text/html"), NoAnswerError),
        (response(200, {"status": "ok"}), NoAnswerError),
        (response(200, [OUTCOME]), NoAnswerError),
        (response(201, OUTCOME), NoAnswerError),
        (response(202, OUTCOME), NoAnswerError),
        (response(204, ""), NoAnswerError),
        (b"HTTP/1.1 307 x\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", NoAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", NoAnswerError),
        (b"SIP/2.0 200 OK\r\n\r\n", NoAnswerError),
        (None, NoAnswerError),
    ],
)
async def test_whatever_is_not_turnrecs_200_is_an_error(
    answer: bytes | None, expected: type[NotConfirmedError]
) -> None:
    # What comes after an answer cut short is the connection's end.
    async with answering(answer) as (_, client):
        with pytest.raises(NotConfirmedError) as caught:
            await client.turn("1", "ask")
    assert type(caught.value) is expected


async def test_a_turnrec_that_does_not_answer_in_time_or_is_not_there_has_not_confirmed() -> None:
    async with answering(b"", b"", timeout_s=0.1) as (server, client):
        with pytest.raises(NoAnswerError, match="ReadTimeout"):
            await client.turn("1", "ask")
        gone = server.port
    async with TurnrecClient(f"http://127.0.0.1:{gone}", "trk_key") as client:
        with pytest.raises(NoAnswerError, match="ConnectError"):
            await client.turn("1", "ask")


async def test_the_error_says_which_and_with_what_status() -> None:
    async with answering(problem(503, "asterisk-unreachable")) as (_, client):
        with pytest.raises(
            FailedInTurnrecError, match="asterisk-unreachable: a sentence"
        ) as caught:
            await client.begin("1700000000.1", "kyc", "own-id")
    assert (caught.value.problem_id, caught.value.status) == ("asterisk-unreachable", 503)


# ------------------------------------------------------------------ AudioSocket

ID = uuid.UUID("00000000-0000-4000-8000-000000000007")


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BH", kind, len(payload)) + payload


@asynccontextmanager
async def dialled(
    answer: Callable[[Line], Awaitable[None]],
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Be Asterisk: call the bot."""
    server = await listen("127.0.0.1", 0, answer)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(WAIT_S):
                yield reader, writer
        finally:
            writer.close()


async def test_a_line_carries_sound_and_digits_both_ways_and_is_hung_up_when_the_bot_returns() -> (
    None
):
    heard: list[bytes] = []
    lines: list[Line] = []
    told = asyncio.Event()

    async def answer(line: Line) -> None:
        lines.append(line)
        line.on_audio = heard.append
        told.set()
        await line.say([b"\x01" * FRAME_BYTES, b"\x02" * FRAME_BYTES])
        while line.digits != "12":
            await line.wait(0.01)

    async with dialled(answer) as (reader, writer):
        sent = frame(0x01, ID.bytes)
        for byte in sent:
            writer.write(bytes([byte]))  # it comes as TCP likes
            await writer.drain()
        await told.wait()
        writer.write(frame(0x10, b"\x05" * FRAME_BYTES) + frame(0x03, b"1") + frame(0x03, b"2"))
        wanted = frame(0x10, b"\x01" * FRAME_BYTES) + frame(0x10, b"\x02" * FRAME_BYTES)
        assert await reader.readexactly(len(wanted) + 3) == wanted + frame(0x00, b"")
    assert lines[0].call == str(ID)
    assert heard == [b"\x05" * FRAME_BYTES]


@pytest.mark.parametrize(
    "sent", [b"", b"\x01\x00", frame(0x01, b"short"), frame(0x10, b"sound"), frame(0xFF, b"\x01")]
)
async def test_a_line_that_does_not_say_whose_it_is_reaches_no_bot(sent: bytes) -> None:
    reached = False

    async def answer(_line: Line) -> None:
        nonlocal reached
        reached = True

    async with dialled(answer) as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == b""
    assert not reached


async def test_a_bot_whose_caller_has_gone_says_no_more() -> None:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def answer(line: Line) -> None:
        try:
            while True:
                await line.say([b"\0" * FRAME_BYTES])
        except HungUpError:
            ended.set_result(None)

    async with dialled(answer) as (_, writer):
        writer.write(frame(0x01, ID.bytes))
        await writer.drain()
        writer.close()
        await ended


# ------------------------------------------------------------------ the sample bot


async def test_the_sample_bot_says_nothing_of_a_turn_that_is_refused_and_hangs_up() -> None:
    script = [Step("open", [b"\x01" * FRAME_BYTES], 0.0), Step("ask", [b"\x02" * FRAME_BYTES], 0.0)]
    answers = (response(200, OUTCOME), problem(409, "recording-stopped"))
    async with answering(*answers) as (_, client):
        bot = SampleBot(client, lambda _call: script)
        async with dialled(bot.answer) as (reader, writer):
            writer.write(frame(0x01, ID.bytes))
            said = await reader.readuntil(frame(0x00, b""))
    assert said == frame(0x10, b"\x01" * FRAME_BYTES) + frame(0x00, b"")


async def test_the_sample_bot_asks_again_after_a_fault_and_speaks_once_it_may() -> None:
    script = [Step("ask", [b"\x02" * FRAME_BYTES], 0.0)]
    answers = (problem(503, "asterisk-unreachable"), None, response(200, OUTCOME))
    async with answering(*answers) as (server, client):
        bot = SampleBot(client, lambda _call: script)
        async with dialled(bot.answer) as (reader, writer):
            writer.write(frame(0x01, ID.bytes))
            said = await reader.readuntil(frame(0x00, b""))
        assert len(server.requests) == 3
    assert said == frame(0x10, b"\x02" * FRAME_BYTES) + frame(0x00, b"")


def test_the_sample_bots_prompts_are_there_and_in_frames() -> None:
    steps = kyc_script("any")
    assert [one.node for one in steps] == ["greeting", "ask_aadhaar", "confirm", "goodbye"]
    for step in steps:
        assert {len(one) for one in step.prompt} == {FRAME_BYTES}
