"""Relays between Asterisk and turnrec that hold one conversation at a chosen instant.

They pass every byte on as it is. What a test does at the instant (kill turnrec, hang up, cut the
line) is the test's business: so "killed between two commands" is a place, not a matter of luck.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_LINE_BYTES = 64 * 1024
_BROKEN = (OSError, asyncio.IncompleteReadError)


class Moment(enum.StrEnum):
    """Where around one AGI command."""

    BEFORE = "before"
    """turnrec has not sent it."""
    SENT = "sent"
    """Asterisk carries it out; nobody waits for its answer any more."""
    ANSWERED = "answered"
    """The answer has come, and turnrec has not read it."""


@dataclass(frozen=True, slots=True)
class Point:
    """One instant of one call: the n-th session of it, the k-th command of that, both from 1."""

    session: int
    command: int
    moment: Moment

    def __str__(self) -> str:
        return f"{self.moment} command {self.command} of session {self.session}"


@dataclass(slots=True)
class Session:
    """What was seen of one AGI session."""

    caller: str
    """The extension that was dialled."""
    uniqueid: str
    number: int
    script: str
    commands: list[str] = field(default_factory=list)


class _CutError(Exception):
    """The session is over: its turnrec is dead."""


class AgiRelay:
    """Stands between Asterisk's AGI() and turnrec's FastAGI server."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.points: dict[str, Point] = {}
        """By dialled extension: where that call is held."""
        self.sessions: list[Session] = []
        self.held: set[str] = set()
        self._go: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where Asterisk connects to."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def let_on(self) -> None:
        """Let everybody who is held go on, as if nothing had been."""
        self._finish_hold(goes_on=True)

    def cut(self) -> None:
        """End every session that is held: turnrec has died at that very instant."""
        self._finish_hold(goes_on=False)

    def sessions_of(self, caller: str) -> list[Session]:
        """The sessions of one call, in order."""
        return [one for one in self.sessions if one.caller == caller]

    def _finish_hold(self, *, goes_on: bool) -> None:
        go, self._go = self._go, asyncio.get_running_loop().create_future()
        self.points.clear()
        self.held.clear()
        go.set_result(goes_on)

    async def _serve(self, pbx: asyncio.StreamReader, to_pbx: asyncio.StreamWriter) -> None:
        with contextlib.suppress(_CutError, *_BROKEN):
            await self._relay(pbx, to_pbx)
        to_pbx.close()
        with contextlib.suppress(OSError):
            await to_pbx.wait_closed()

    async def _relay(self, pbx: asyncio.StreamReader, to_pbx: asyncio.StreamWriter) -> None:
        environment = await pbx.readuntil(b"\n\n")
        session = self._begin(environment.decode("utf-8", "replace"))
        turnrec, to_turnrec = await asyncio.open_connection(
            "127.0.0.1", self.upstream_port, limit=_LINE_BYTES
        )
        try:
            to_turnrec.write(environment)
            while command := await turnrec.readline():
                session.commands.append(command.decode("utf-8", "replace").rstrip("\n"))
                await self._stop_at(session, Moment.BEFORE)
                to_pbx.write(command)
                # It has been sent even if the session is cut now: closing flushes what is written.
                await self._stop_at(session, Moment.SENT)
                await self._pass_reply(session, pbx, to_turnrec)
        finally:
            to_turnrec.close()
            with contextlib.suppress(OSError):
                await to_turnrec.wait_closed()

    async def _pass_reply(
        self, session: Session, pbx: asyncio.StreamReader, to_turnrec: asyncio.StreamWriter
    ) -> None:
        while line := await pbx.readline():
            final = re.match(rb"[2-9]\d\d ", line) is not None
            if final:
                await self._stop_at(session, Moment.ANSWERED)
            to_turnrec.write(line)
            await to_turnrec.drain()
            if final:
                return
        raise _CutError

    async def _stop_at(self, session: Session, moment: Moment) -> None:
        here = Point(session.number, len(session.commands), moment)
        if self.points.get(session.caller) != here:
            return
        self.held.add(session.caller)
        if not await asyncio.shield(self._go):
            raise _CutError

    def _begin(self, environment: str) -> Session:
        values = dict(line.split(": ", 1) for line in environment.splitlines() if ": " in line)
        caller = values.get("agi_dnid", "")
        number = len(self.sessions_of(caller)) + 1
        script = values.get("agi_network_script", "")
        session = Session(caller, values["agi_uniqueid"], number, script)
        self.sessions.append(session)
        return session


@asynccontextmanager
async def agi_relay(upstream_port: int) -> AsyncIterator[AgiRelay]:
    """Open a relay in front of a FastAGI port."""
    relay = AgiRelay(upstream_port)
    relay._server = await asyncio.start_server(relay._serve, "127.0.0.1", 0, limit=_LINE_BYTES)
    try:
        yield relay
    finally:
        relay.cut()
        relay._server.close()
        await relay._server.wait_closed()


class AmiRelay:
    """Stands between turnrec and the manager port; can hold an answer back, or be cut."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._server: asyncio.Server | None = None
        self._hold_after = ""
        self._answers = asyncio.Event()
        self._answers.set()
        self._open = True
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where turnrec connects to."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def holds(self) -> bool:
        """Whether answers are being held back."""
        return not self._answers.is_set()

    def hold_answers_after(self, action: str) -> None:
        """Pass the next action of this name on, and no answer from then on."""
        self._hold_after = f"Action: {action}\r\n"

    def let_on(self) -> None:
        """Pass answers on again."""
        self._hold_after = ""
        self._answers.set()

    async def cut(self) -> None:
        """Break every connection and take no new one."""
        self._open = False
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def mend(self) -> None:
        """Take connections again."""
        self._open = True

    async def _serve(self, turnrec: asyncio.StreamReader, to_turnrec: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._open:
                await self._relay(turnrec, to_turnrec)
        except (asyncio.CancelledError, *_BROKEN):
            pass
        finally:
            self._tasks.discard(task)
            to_turnrec.close()

    async def _relay(self, turnrec: asyncio.StreamReader, to_turnrec: asyncio.StreamWriter) -> None:
        pbx, to_pbx = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(turnrec, to_pbx))
                both.create_task(self._answer(pbx, to_turnrec))
        except* _BROKEN:
            pass
        finally:
            to_pbx.close()

    async def _ask(self, turnrec: asyncio.StreamReader, to_pbx: asyncio.StreamWriter) -> None:
        while True:
            message = await turnrec.readuntil(b"\r\n\r\n")
            if self._hold_after and self._hold_after.encode() in message:
                self._answers.clear()
            to_pbx.write(message)

    async def _answer(self, pbx: asyncio.StreamReader, to_turnrec: asyncio.StreamWriter) -> None:
        while data := await pbx.read(_LINE_BYTES):
            await self._answers.wait()
            to_turnrec.write(data)
        raise ConnectionResetError


@asynccontextmanager
async def ami_relay(upstream_port: int) -> AsyncIterator[AmiRelay]:
    """Open a relay in front of a manager port."""
    relay = AmiRelay(upstream_port)
    relay._server = await asyncio.start_server(relay._serve, "127.0.0.1", 0)
    try:
        yield relay
    finally:
        relay._server.close()
        await relay.cut()
        await relay._server.wait_closed()
