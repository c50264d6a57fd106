"""The FastAGI server against every kind of client: it serves the next one, and keeps nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.loopback.clock import PATIENCE_MS, leap
from tests.loopback.fake_asterisk import (
    HANG_S,
    FakeAsterisk,
    FakeChannel,
    Reaction,
    amid_hangup,
    answered_with,
    cut_after,
    cut_before,
    held_back,
    never_answered,
    with_progress,
)
from turnrec.asterisk.agi import AgiServer, AgiSession
from turnrec.asterisk.agi_protocol import AgiProtocolError
from turnrec.core.errors import CommandRefusedError, UnansweredError

HANG_MS = int(HANG_S * 1000)


class Script:
    """A script that asks three questions, and remembers what came of it."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.errors: list[Exception] = []
        self.sessions: list[AgiSession] = []

    async def __call__(self, session: AgiSession) -> None:
        self.sessions.append(session)
        for name in "ABC":
            try:
                self.answers.append(await session.expand(f"${{{name}}}"))
            except Exception as error:
                self.errors.append(error)
                raise


@asynccontextmanager
async def serving(
    *, answer_timeout_ms: int = HANG_MS, max_sessions: int = 4096
) -> AsyncIterator[tuple[AgiServer, Script, FakeChannel]]:
    script = Script()
    server = AgiServer(
        {"ask": script}, answer_timeout_ms=answer_timeout_ms, max_sessions=max_sessions
    )
    await server.listen("127.0.0.1", 0)
    pbx = FakeAsterisk(Path("/nonexistent"))
    pbx.port = server.port
    caller = pbx.channel()
    caller.variables |= {"A": "one", "B": "two", "C": "three"}
    try:
        yield server, script, caller
    finally:
        await server.close(patience_s=HANG_S)


async def ended(server: AgiServer, tasks: int = 0) -> None:
    """Wait until no session is open, and no more tasks are left than there were."""
    async with asyncio.timeout(HANG_S):
        while server.session_count or (tasks and len(asyncio.all_tasks()) > tasks):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


async def begun(server: AgiServer) -> None:
    """Wait until a client is being listened to."""
    async with asyncio.timeout(HANG_S):
        while not server.session_count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


async def send_and_leave(pbx: FakeAsterisk, data: bytes, *, reset: bool = False) -> None:
    _, writer = await pbx.connect()
    writer.write(data)
    if reset:
        writer.transport.abort()
        return
    if data:
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def is_served(script: Script, caller: FakeChannel) -> bool:
    script.answers.clear()
    await caller.agi("ask")
    return script.answers == ["one", "two", "three"]


@pytest.fixture
def open_files() -> Iterator[None]:
    """No file, socket or task more at the end than at the beginning."""

    def count() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    yield
    assert count() <= before


# -- a session -----------------------------------------------------------------------------------


async def test_a_script_is_asked_for_by_name_and_answered_in_turn() -> None:
    async with serving() as (_, script, caller):
        await caller.agi("ask", "argument one")
        assert script.answers == ["one", "two", "three"]
        assert script.sessions[0].environment.argument(1) == "argument one"
        assert script.sessions[0].environment.uniqueid == caller.uniqueid
        assert caller.wire == [
            "> GET FULL VARIABLE ${A}",
            "< 200 result=1 (one)",
            "> GET FULL VARIABLE ${B}",
            "< 200 result=1 (two)",
            "> GET FULL VARIABLE ${C}",
            "< 200 result=1 (three)",
        ]


async def test_bytes_that_come_one_at_a_time_are_served() -> None:
    async with serving() as (_, script, caller):
        caller.pbx.bytewise = True
        assert await is_served(script, caller)


async def test_a_hang_up_between_answers_is_noted_and_is_no_answer() -> None:
    async with serving() as (_, script, caller):
        caller.on(None, amid_hangup, times=3)
        assert await is_served(script, caller)
        assert script.sessions[0].hung_up


async def test_progress_is_no_answer() -> None:
    async with serving() as (_, script, caller):
        caller.on(2, with_progress)
        assert await is_served(script, caller)


@pytest.mark.parametrize("reply", [b"511 Command Not Permitted on a dead channel\n", b"510 No\n"])
async def test_a_question_that_is_refused_is_no_empty_answer(reply: bytes) -> None:
    """An empty value says that nothing records; who may not ask knows nothing."""
    async with serving() as (_, script, caller):
        caller.on(2, answered_with(reply))
        await caller.agi("ask")
        assert script.answers == ["one"]
        assert [type(one) for one in script.errors] == [CommandRefusedError]


@pytest.mark.parametrize("swallow", ["200 result=0", "200 result=1 ("])
async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(swallow: str) -> None:
    """A line end in an argument would let its sender answer turnrec's questions.

    The second forger leaves a value open, so that the environment's own end is no reply.
    """
    async with serving() as (_, script, caller):
        forged = caller.environment("ask", f"x\n\n200 result=1 (forged)\n{swallow}")
        await caller.agi("ask", environment=forged)
        assert "forged" not in script.answers


# -- clients that go wrong -----------------------------------------------------------------------


async def test_an_unknown_script_ends_its_session_and_no_other() -> None:
    async with serving() as (server, script, caller):
        await caller.agi("no-such-script")
        await caller.agi("")
        await ended(server)
        assert caller.commands == []
        assert await is_served(script, caller)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("cut", [cut_before, cut_after])
async def test_a_client_that_leaves_in_mid_command_ends_its_session_and_no_other(
    cut: Reaction, number: int
) -> None:
    async with serving() as (server, script, caller):
        caller.on(number, cut)
        await caller.agi("ask")
        await ended(server)
        assert [type(error) for error in script.errors] == [UnansweredError]
        assert len(script.answers) == number - 1
        assert script.sessions[0].gone
        assert await is_served(script, caller)


async def test_an_answer_that_does_not_come_ends_the_session() -> None:
    async with serving(answer_timeout_ms=PATIENCE_MS) as (server, script, caller):
        caller.on(2, never_answered)
        await caller.agi("ask")
        await ended(server)
        assert [type(error) for error in script.errors] == [UnansweredError]


async def test_after_an_unanswered_command_nothing_more_is_sent() -> None:
    """A late answer would be taken for the next command's."""
    async with serving() as (server, script, caller):
        caller.on(1, cut_before)
        await caller.agi("ask")
        await ended(server)
        with pytest.raises(UnansweredError, match="the session is broken"):
            await script.sessions[0].command("NOOP")


async def test_an_answer_that_is_no_agi_ends_the_session() -> None:
    async with serving() as (server, script, caller):
        caller.on(2, answered_with(b"hello\n"))
        await caller.agi("ask")
        await ended(server)
        assert [type(error) for error in script.errors] == [AgiProtocolError]
        with pytest.raises(UnansweredError):
            await script.sessions[0].command("NOOP")


async def test_an_answer_of_a_megabyte_ends_the_session() -> None:
    async with serving() as (server, script, caller):
        caller.on(2, answered_with(b"200 result=1 (" + b"x" * 1_000_000))
        await caller.agi("ask")
        await ended(server)
        assert [type(error) for error in script.errors] == [AgiProtocolError]
        assert await is_served(script, caller)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a",
        b"\n",
        b"\n\n\n",
        b"HANGUP\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\xff" * 50,
        b"agi_network: yes\nagi_uniq",
        b"agi_network: yes\n\n",
        b"x" * 1_000_000,
        b"agi_x: " + b"y" * 1_000_000,
        b"agi_x: y\n" * 100_000,
    ],
)
@pytest.mark.usefixtures("open_files")
async def test_whatever_a_client_sends_before_it_leaves_the_next_is_served(
    data: bytes, reset: bool
) -> None:
    async with serving() as (server, script, caller):
        with contextlib.suppress(ConnectionError):  # the server may leave first, as it should
            await send_and_leave(caller.pbx, data, reset=reset)
        assert await is_served(script, caller)
        await ended(server)


async def test_an_environment_that_ends_early_at_any_byte_starts_no_script() -> None:
    async with serving() as (server, script, caller):
        whole = caller.environment("ask")
        for end in range(len(whole)):
            await send_and_leave(caller.pbx, whole[:end])
        await caller.pbx.round_trip()
        await ended(server)
        assert script.sessions == []


async def test_a_client_that_says_nothing_is_left_after_its_time() -> None:
    async with serving(answer_timeout_ms=PATIENCE_MS) as (server, script, caller):
        reader, writer = await caller.pbx.connect()
        await begun(server)
        leap()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert await is_served(script, caller)


async def test_a_client_that_says_a_byte_now_and_then_is_left_after_its_time() -> None:
    """The limit is for the environment, not for each of its bytes."""
    async with serving(answer_timeout_ms=PATIENCE_MS) as (server, script, caller):
        reader, writer = await caller.pbx.connect()
        await begun(server)
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"a")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await reader.read()
                leap(PATIENCE_MS / 10)
        writer.transport.abort()
        assert await is_served(script, caller)


async def test_more_sessions_than_allowed_are_refused_and_the_others_go_on() -> None:
    async with serving(max_sessions=2) as (server, script, caller):
        idle = [await caller.pbx.connect() for _ in range(2)]
        refused_reader, refused = await caller.pbx.connect()
        assert await refused_reader.read() == b""
        for writer in (refused, *(writer for _, writer in idle)):
            writer.close()
            await writer.wait_closed()
        await ended(server)
        assert await is_served(script, caller)


# -- many of them --------------------------------------------------------------------------------


@pytest.mark.usefixtures("open_files")
async def test_ten_thousand_connects_and_closes_leave_it_serving() -> None:
    """panoramisk's server spins for ever after the first."""
    async with serving() as (server, script, caller):
        tasks = len(asyncio.all_tasks())
        async with asyncio.timeout(5 * HANG_S):
            for _ in range(10_000):
                await send_and_leave(caller.pbx, b"")
        await ended(server, tasks)
        assert await is_served(script, caller)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.usefixtures("open_files")
async def test_ten_thousand_in_batches_leave_it_serving(reset: bool) -> None:
    async with serving() as (server, script, caller):
        tasks = len(asyncio.all_tasks())
        async with asyncio.timeout(5 * HANG_S):
            for _ in range(100):
                batch = (send_and_leave(caller.pbx, b"", reset=reset) for _ in range(100))
                await asyncio.gather(*batch)
        await ended(server, tasks)
        assert await is_served(script, caller)


async def test_silent_clients_keep_nobody_waiting() -> None:
    async with serving() as (_, script, caller):
        idle: list[asyncio.StreamWriter] = []
        for _ in range(10):
            batch = await asyncio.gather(*(caller.pbx.connect() for _ in range(20)))
            idle += [writer for _, writer in batch]
        assert await is_served(script, caller)
        for writer in idle:
            writer.transport.abort()


# -- closing -------------------------------------------------------------------------------------


async def test_closing_lets_a_session_finish() -> None:
    async with serving() as (server, script, caller):
        release = asyncio.Event()
        caller.on(1, held_back(release))
        session = asyncio.create_task(caller.agi("ask"))
        await caller.received("GET FULL VARIABLE")
        closing = asyncio.create_task(server.close(patience_s=HANG_S))
        release.set()
        await session
        await closing
        assert script.answers == ["one", "two", "three"]


async def test_closing_ends_a_session_that_does_not_finish() -> None:
    async with serving() as (server, script, caller):
        caller.on(2, never_answered)
        session = asyncio.create_task(caller.agi("ask"))
        await caller.received("GET FULL VARIABLE", 2)
        await server.close(patience_s=0)
        assert await session == "SUCCESS"
        assert script.answers == ["one"]
        assert server.session_count == 0


async def test_after_closing_nobody_is_let_in() -> None:
    async with serving() as (server, _, caller):
        await server.close(patience_s=0)
        assert await caller.agi("ask") == "FAILURE"


async def test_the_port_is_known_only_while_it_listens() -> None:
    with pytest.raises(RuntimeError, match="does not listen"):
        _ = AgiServer({}, answer_timeout_ms=HANG_MS).port


async def test_a_script_that_breaks_ends_its_own_session_alone() -> None:
    async def broken(session: AgiSession) -> None:
        raise KeyError("a defect")

    script = Script()
    server = AgiServer({"broken": broken, "ask": script}, answer_timeout_ms=HANG_MS)
    await server.listen("127.0.0.1", 0)
    pbx = FakeAsterisk(Path("/nonexistent"))
    pbx.port = server.port
    caller = pbx.channel()
    caller.variables |= {"A": "one", "B": "two", "C": "three"}
    await caller.agi("broken")
    assert await is_served(script, caller)
    await server.close(patience_s=HANG_S)
