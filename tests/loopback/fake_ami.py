"""A manager of Asterisk that speaks real bytes over TCP; it judges nothing, tests script it.

    async with FakeAmi() as peer:
        peer.on("MixMonitorMute", error("No such channel"))
        session = await peer.session(1)              # the first login that was accepted
        action = await peer.received("Getvar")       # waits until it has been read
        session.event("BridgeEnter", Channel="PJSIP/a-00000001")

Unscripted, it greets, checks the login, sends FullyBooted, and answers every action with Success.
It reads lines as Asterisk does: ended by LF, with or without CR (manager.c, get_input).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
# Only for a test that would otherwise hang: no assertion depends on how long anything takes.
HANG_S = 120.0


@dataclass(frozen=True)
class FakeAction:
    """An action as it was read, its fields in the order of its lines."""

    session: FakeSession
    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        return next((v for k, v in self.fields if k.lower() == name.lower()), None)

    def get_all(self, name: str) -> list[str]:
        return [v for k, v in self.fields if k.lower() == name.lower()]

    @property
    def name(self) -> str:
        return self.get("Action") or ""

    def answer(self, response: str = "Success", **fields: str) -> None:
        self.session.message(Response=response, ActionID=self.get("ActionID") or "", **fields)


Reply = Callable[[FakeAction], Awaitable[None] | None]


def success(**fields: str) -> Reply:
    return lambda action: action.answer("Success", **fields)


def error(message: str) -> Reply:
    return lambda action: action.answer("Error", Message=message)


def silence(_: FakeAction) -> None:
    """Read, and never answered."""


def listing(item: str, rows: list[dict[str, str]], *, end: str) -> Reply:
    """An answer in events: one per row, then the one that ends the list."""

    def reply(action: FakeAction) -> None:
        action_id = action.get("ActionID") or ""
        action.answer("Success", EventList="start", Message="Result will follow")
        for row in rows:
            action.session.event(item, ActionID=action_id, **row)
        action.session.event(
            end, ActionID=action_id, EventList="Complete", ListItems=str(len(rows))
        )

    return reply


class FakeSession:
    """One TCP connection, seen from Asterisk's side."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.closed = asyncio.Event()

    def raw(self, data: bytes) -> None:
        self._writer.write(data)

    def message(self, **fields: str) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.raw(f"{lines}\r\n".encode())

    def event(self, name: str, **fields: str) -> None:
        self.message(Event=name, Privilege="call,all", **fields)

    def freeze(self) -> None:
        """Neither reads nor answers from now on; the connection stays open."""
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    async def thawed(self) -> None:
        await self._thawed.wait()

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        """Ends with a TCP reset, as a killed Asterisk does."""
        self._writer.transport.abort()


class FakeAmi:
    """The server. Everything that happened can be waited for; nothing needs a sleep."""

    def __init__(
        self,
        *,
        secret: str = "right",
        greeting: bytes | None = GREETING,
        fully_booted: bool = True,
    ) -> None:
        self.secret = secret
        self.greeting = greeting
        self.fully_booted = fully_booted
        self.port = 0
        self.actions: list[FakeAction] = []
        self.filters: list[FakeAction] = []
        self.connections: list[FakeSession] = []
        self.logged_in: list[FakeSession] = []
        self._replies: dict[str, Reply] = {
            "login": self._login,
            "ping": self._ping,
        }
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FakeAmi:
        await self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop_listening()
        for session in self.connections:
            session.thaw()
            session.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def listen(self) -> None:
        """Opens the port: the same one again after stop_listening()."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop_listening(self) -> None:
        """New connections are refused; the open ones stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    # -- the script ------------------------------------------------------------------------------

    def on(self, name: str, reply: Reply) -> None:
        """From now on, this is how an action is answered."""
        self._replies[name.lower()] = reply

    # -- what happened ---------------------------------------------------------------------------

    def count(self, name: str) -> int:
        return len(self._named(name))

    async def received(self, name: str, count: int = 1) -> FakeAction:
        """The count-th action of this name, over all connections, once it has been read."""
        await self.until(lambda: self.count(name) >= count)
        return self._named(name)[count - 1]

    async def connection(self, number: int = 1) -> FakeSession:
        """The number-th TCP connection, logged in or not."""
        await self.until(lambda: len(self.connections) >= number)
        return self.connections[number - 1]

    async def session(self, number: int = 1) -> FakeSession:
        """The number-th connection that has logged in."""
        await self.until(lambda: len(self.logged_in) >= number)
        return self.logged_in[number - 1]

    async def believed(self, number: int = 1) -> FakeSession:
        """The number-th connection whose events count: it has set its filter."""
        await self.until(lambda: len(self.filters) >= number)
        return self.filters[number - 1].session

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANG_S), self._changed:
            await self._changed.wait_for(condition)

    def _named(self, name: str) -> list[FakeAction]:
        return [action for action in self.actions if action.name.lower() == name.lower()]

    # -- the server ------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        session = FakeSession(writer)
        self.connections.append(session)
        await self._wake()
        try:
            if self.greeting is not None:
                session.raw(self.greeting)
            await self._read_actions(session, reader)
        except ConnectionError:
            pass
        finally:
            session.closed.set()
            writer.transport.abort()
            await self._wake()
            self._tasks.discard(task)

    async def _read_actions(self, session: FakeSession, reader: asyncio.StreamReader) -> None:
        fields: list[tuple[str, str]] = []
        while line := await reader.readline():
            await session.thawed()
            text = line.rstrip(b"\r\n").decode()
            if text:
                name, _, value = text.partition(":")
                fields.append((name, value.strip()))
            elif fields:
                action = FakeAction(session, tuple(fields))
                fields = []
                if action.name == "Filter":  # of every login; no test counts it
                    self.filters.append(action)
                else:
                    self.actions.append(action)
                result = self._replies.get(action.name.lower(), success())(action)
                if result is not None:
                    await result
                await self._wake()

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _login(self, action: FakeAction) -> None:
        if action.get("Secret") != self.secret:
            action.answer("Error", Message="Authentication failed")
            action.session.close()
            return
        action.answer("Success", Message="Authentication accepted")
        if self.fully_booted:
            action.session.message(
                Event="FullyBooted", Privilege="system,all", Status="Fully Booted"
            )
        self.logged_in.append(action.session)

    def _ping(self, action: FakeAction) -> None:
        action.answer("Success", Ping="Pong", Timestamp="1700000000.000000")
