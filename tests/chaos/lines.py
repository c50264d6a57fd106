"""The lines between Asterisk and turnrec, AMI and FastAGI, and everything that can befall a line.

A line passes every byte on until it is given an ailment. Ailments of answers work on whole answers:
an AMI message, a line of AGI. What is asked is delayed with the rest, and never altered.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_BROKEN = (OSError, asyncio.IncompleteReadError)
_CHUNK = 64 * 1024


class Ailment(enum.StrEnum):
    """What is wrong with a line."""

    CUT = "cut"
    """Every connection is broken, and new ones are refused."""
    FROZEN = "frozen"
    """Nothing passes, either way; connections stay."""
    SLOW = "slow"
    """Everything takes 20 to 200 ms longer."""
    HALF_OPEN = "half-open"
    """What is asked arrives; the answers get lost."""
    LATE = "late"
    """Answers take 0.2 to 1 s."""
    DISORDER = "disorder"
    """Answers come in another order, as far as there are two under way."""
    TWICE = "twice"
    """Each answer comes twice."""
    ERROR = "error"
    """FastAGI: what is asked is done, and answered with an error all the same. AMI: it is refused,
    and not done; that a refusal lies is nothing that Asterisk does."""


class Protocol(enum.Enum):
    """What is spoken on a line: how its answers end, and what an error looks like."""

    AMI = b"\r\n\r\n"
    AGI = b"\n"

    def is_answer(self, message: bytes) -> bool:
        """Whether it answers something: AGI's environment and AMI's events do not."""
        if self is Protocol.AGI:
            return re.match(rb"[1-9]\d\d[ -]", message) is not None
        return message.startswith(b"Response:")

    def refused(self, message: bytes) -> bytes:
        """The same answer, as an error."""
        if self is Protocol.AGI:
            return b"510 Invalid or unknown command\n"
        _, _, rest = message.partition(b"\r\n")
        kept = [line for line in rest.split(b"\r\n") if line.startswith(b"ActionID:")]
        return b"\r\n".join([b"Response: Error", b"Message: Permission denied", *kept, b"", b""])


class Line:
    """One listening port, and the port behind it."""

    def __init__(self, protocol: Protocol, rng: random.Random) -> None:
        self.upstream_port = 0
        self.ailment: Ailment | None = None
        self._protocol = protocol
        self._rng = rng
        self._flows = asyncio.Event()
        self._flows.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def ail(self, ailment: Ailment) -> None:
        """From now on this is wrong with it."""
        self.ailment = ailment
        if ailment is Ailment.FROZEN:
            self._flows.clear()
        if ailment is Ailment.CUT:
            await self.break_all()

    async def heal(self) -> None:
        """Nothing is wrong any more. What lost answers is useless, as a peer finds out in time."""
        was, self.ailment = self.ailment, None
        self._flows.set()
        if was is Ailment.HALF_OPEN:
            await self.break_all()

    async def break_all(self) -> None:
        """Break every connection that there is."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.ailment is not Ailment.CUT:
                await self._join(client, to_client)
        except (asyncio.CancelledError, *_BROKEN):
            pass
        finally:
            self._tasks.discard(task)
            to_client.close()

    async def _join(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        # AMI answers its client, AGI's client is the one that answers.
        is_ami = self._protocol is Protocol.AMI
        asking, to_asking = (client, to_client) if is_ami else (server, to_server)
        answering, to_answering = (server, to_server) if is_ami else (client, to_client)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(asking, to_answering, to_asking))
                both.create_task(self._answer(answering, to_asking))
        except* _BROKEN:
            pass
        finally:
            to_server.close()

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(_CHUNK):
            await self._pass_time()
            if self.ailment is Ailment.ERROR and self._protocol is Protocol.AMI:
                data = self._refused(data, back)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError

    def _refused(self, data: bytes, back: asyncio.StreamWriter) -> bytes:
        """Answer AMI's actions with errors; return what is let through: a login, and a rest."""
        *actions, rest = data.split(self._protocol.value)
        through = b""
        for action in (one + self._protocol.value for one in actions):
            if action.lower().startswith(b"action: login"):
                through += action
            else:
                back.write(self._protocol.refused(action))
        return through + rest

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest, end = b"", self._protocol.value
        if self._protocol is Protocol.AMI:
            # The greeting is a line of its own, and nothing is asked before it has come.
            writer.write(await reader.readline())
        while data := await reader.read(_CHUNK):
            await self._pass_time()
            *messages, rest = (rest + data).split(end)
            for message in self._altered([one + end for one in messages]):
                if self.ailment is Ailment.LATE and self._protocol.is_answer(message):
                    await asyncio.sleep(self._rng.uniform(0.2, 1.0))
                writer.write(message)
            await writer.drain()
        raise ConnectionResetError

    def _altered(self, messages: list[bytes]) -> list[bytes]:
        is_answer = self._protocol.is_answer
        match self.ailment:
            case Ailment.HALF_OPEN:
                return []
            case Ailment.TWICE:
                return [copy for one in messages for copy in [one] * (1 + is_answer(one))]
            case Ailment.ERROR if self._protocol is Protocol.AGI:
                return [self._protocol.refused(one) if is_answer(one) else one for one in messages]
            case Ailment.DISORDER:
                answers = [one for one in messages if is_answer(one)]
                self._rng.shuffle(answers)
                return [answers.pop() if is_answer(one) else one for one in messages]
            case _:
                return messages

    async def _pass_time(self) -> None:
        await self._flows.wait()
        if self.ailment is Ailment.SLOW:
            await asyncio.sleep(self._rng.uniform(0.02, 0.2))
        elif self.ailment is Ailment.DISORDER and self._protocol is Protocol.AMI:
            await asyncio.sleep(0.05)  # so that more than one answer is under way


@asynccontextmanager
async def line(protocol: Protocol, rng: random.Random) -> AsyncIterator[Line]:
    """Open a line; it leads somewhere once its `upstream_port` is set."""
    opened = Line(protocol, rng)
    opened._server = await asyncio.start_server(opened._serve, "127.0.0.1", 0, backlog=1024)
    try:
        yield opened
    finally:
        opened._server.close()
        opened._flows.set()
        await opened.break_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await opened._server.wait_closed()
