"""The FastAGI server: one session a connection, routed by script name; it knows no recorder.

panoramisk's FastAGI server spins for ever on one connect-and-close and takes HANGUP for an
answer (asterisk-facts.md), so this is our own, over asyncio streams.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from turnrec.asterisk.agi_protocol import (
    AgiParser,
    AgiProtocolError,
    Environment,
    HungUp,
    Message,
    Reply,
    build_command,
)
from turnrec.core.errors import CommandRefusedError, UnansweredError

logger = logging.getLogger(__name__)

_READ_BYTES = 4096
_OK = 200
_NO_APPLICATION = -2

Handler = Callable[["AgiSession"], Awaitable[None]]


class AgiSession:
    """One conversation with one channel: commands out, answers in, strictly in turn."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        answer_timeout_ms: int,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = AgiParser()
        self._messages: deque[Message] = deque()
        self._timeout_s = answer_timeout_ms / 1000
        self._broken = False
        self.environment = Environment({})
        self.hung_up = False

    @property
    def gone(self) -> bool:
        """Whether nobody waits at the other end any more."""
        return self._broken or self._reader.at_eof()

    async def open(self) -> None:
        """Read the environment.

        Raises:
            AgiProtocolError: what came is no AGI environment.
            UnansweredError: nothing, or not all of it, came in time.
        """
        message = await self._next("environment")
        if not isinstance(message, Environment):
            raise AgiProtocolError("an AGI session must begin with its environment")
        self.environment = message

    async def command(self, *words: str) -> Reply:
        """Send one command and wait for its answer.

        Raises:
            AgiArgumentError: it cannot be sent; nothing was.
            UnansweredError: no answer in time, or the connection broke. The outcome is unknown
                and the session is unusable: a late answer would be taken for the next one's.
            AgiProtocolError: the answer is no AGI.
        """
        line = build_command(*words)
        if self._broken:
            raise UnansweredError(f"AGI {words[0]}: the session is broken")
        self._refuse_forgeries()
        self._writer.write(line)
        try:
            message = await self._next(words[0])
        except BaseException:
            self._broken = True
            raise
        if not isinstance(message, Reply):
            self._broken = True
            raise AgiProtocolError(f"AGI {words[0]}: the answer is no reply")
        return message

    async def execute(self, application: str, arguments: str = "") -> Reply:
        """Run a dialplan application on the channel. Its answer is no proof of anything.

        Raises:
            CommandRefusedError: it was not run (a dead channel, no such application).
        """
        reply = await self.command("EXEC", application, arguments)
        if reply.code != _OK or reply.result == _NO_APPLICATION:
            raise CommandRefusedError(f"AGI EXEC {application}: {reply.code} {reply.text}".strip())
        return reply

    async def expand(self, expression: str, channel: str | None = None) -> str:
        """Have Asterisk expand `${...}` on the session's channel, or on another one.

        Raises:
            CommandRefusedError: it wasn't. That is no empty value: whoever looks knows nothing.
        """
        words = ["GET FULL VARIABLE", expression]
        reply = await self.command(*words if channel is None else (*words, channel))
        if reply.code != _OK:
            raise CommandRefusedError(f"AGI {words[0]}: {reply.code} {reply.text}".strip())
        return reply.value or ""

    async def set_variable(self, name: str, value: str) -> None:
        """Set one channel variable."""
        await self.command("SET VARIABLE", name, value)

    def _refuse_forgeries(self) -> None:
        """End a session that has answered before it was asked.

        A line end in an AGI argument ends the environment early, and what follows it would be
        taken for answers. turnrec.conf lets none through; another dialplan might.
        """
        unasked = any(not isinstance(message, HungUp) for message in self._messages)
        if unasked or not self._parser.is_between:
            self._broken = True
            raise AgiProtocolError("an answer came that nobody had asked for")

    async def _next(self, what: str) -> Message:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._receive(what)
        except TimeoutError:
            raise UnansweredError(f"AGI {what}: no answer within {self._timeout_s:g} s") from None
        except OSError as error:
            raise UnansweredError(f"AGI {what}: the connection broke ({error})") from error

    async def _receive(self, what: str) -> Message:
        while True:
            while self._messages:
                message = self._messages.popleft()
                if not isinstance(message, HungUp):
                    return message
                self.hung_up = True
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise UnansweredError(f"AGI {what}: the connection was closed")
            self._messages.extend(self._parser.feed(data))


class AgiServer:
    """Listens for FastAGI and hands each session to the handler of its script name."""

    def __init__(
        self, routes: Mapping[str, Handler], *, answer_timeout_ms: int, max_sessions: int = 4096
    ) -> None:
        self._routes = routes
        self._answer_timeout_ms = answer_timeout_ms
        self._max_sessions = max_sessions
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise RuntimeError("the FastAGI server does not listen")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def session_count(self) -> int:
        """How many sessions are open."""
        return len(self._sessions)

    async def listen(self, host: str, port: int) -> None:
        """Open the port (0: any free one).

        Raises:
            OSError: it cannot be opened.
        """
        self._server = await asyncio.start_server(self._accept, host, port, backlog=1024)

    async def close(self, *, patience_s: float = 2.0) -> None:
        """Close the port, let sessions finish for `patience_s`, then end them.

        A session that is ended leaves TURNREC_STATUS empty, and so its dialplan fails closed.
        """
        if self._server is not None:
            self._server.close()
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=patience_s)
        for task in tuple(self._sessions):
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("connections are served by tasks")
        self._sessions.add(task)
        try:
            if len(self._sessions) > self._max_sessions:
                logger.error("FastAGI: more than %d sessions, one refused", self._max_sessions)
                return
            await self._serve(AgiSession(reader, writer, answer_timeout_ms=self._answer_timeout_ms))
        except asyncio.CancelledError:
            # Only `close` cancels: end quietly, asyncio would log it as an error.
            pass
        finally:
            self._sessions.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, session: AgiSession) -> None:
        try:
            await session.open()
            script = session.environment.script
            handler = self._routes.get(script)
            if handler is None:
                logger.error(
                    "FastAGI: no script of this name; see turnrec.conf for those there are"
                )
                return
            await handler(session)
        except UnansweredError as error:
            # Somebody who connects and says nothing is a port scan, not a call.
            logger.info("FastAGI session ended early: %s", error)
        except AgiProtocolError as error:
            logger.warning("FastAGI session refused: %s", error)
        except Exception:
            logger.exception("FastAGI session failed; its dialplan fails closed")
