"""Where the API is reached: a local Unix socket, and a TCP port that is loopback's by default.

It owns sockets and the HTTP server (uvicorn), and knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from turnrec.core.errors import TurnrecError
from turnrec.web.gate import Gate as App

logger = logging.getLogger(__name__)

_GRACE_S: Final = 2
"""How long streams may take to end when the server does."""


MOST_CONNECTIONS: Final = 512
"""At one door. More are closed at once: their descriptors are the FastAGI server's too."""
_REQUEST_WITHIN_S: Final = 20.0
"""How long a request's head may take, from the connection or from its first byte on, and what is
left of its body after it was answered."""


class SocketTakenError(TurnrecError):
    """Another turnrec answers on the control socket."""

    id = "socket-taken"


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: SIGTERM is the service's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(H11Protocol):
    """One connection, which may neither come as one of too many nor dawdle over a request.

    uvicorn waits for a head as long as somebody likes, ends its wait between two requests with the
    first byte of the next, and goes on reading a body whose request it has answered.
    """

    within_s = _REQUEST_WITHIN_S
    most = MOST_CONNECTIONS
    _dawdling: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # as uvicorn's own
        if len(self.connections) > self.most:
            logger.warning("more than %d connections at the API, one closed", self.most)
            self.transport.abort()
        else:
            self._dawdling = self.loop.call_later(self.within_s, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(is_owed=False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait(is_owed=self._is_owed())

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait(is_owed=self._is_owed())

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; where an answer is under way, leave: there can't be two."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        self.transport.close()

    def _is_owed(self) -> bool:
        """Whether a head has begun and not ended, or a body that nobody reads any more."""
        if self.conn.their_state is h11.IDLE:
            return bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE

    def _wait(self, *, is_owed: bool) -> None:
        if is_owed and self._dawdling is None:
            self._dawdling = self.loop.call_later(self.within_s, self.transport.abort)
        elif not is_owed and self._dawdling is not None:
            self._dawdling.cancel()
            self._dawdling = None


class _Door:
    """An application behind a listening socket."""

    connection = _Connection

    def __init__(self, app: App) -> None:
        config = uvicorn.Config(
            app,
            http=self.connection,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    def _serve(self, listener: socket.socket, name: str) -> None:
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name=name)

    async def stop(self) -> None:
        """Take no more requests, and let those under way end."""
        if self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait({self._task})
        self._task = None
        # What did not end within the grace: nobody will read of it any more.
        for connection in list(self._server.server_state.connections):
            transport = connection.transport
            if transport is not None:
                transport.abort()
        await asyncio.sleep(0)


class ControlSocket(_Door):
    """The Unix socket: only the user who runs turnrec can open it, so it asks for no key."""

    def __init__(self, app: App, path: Path) -> None:
        super().__init__(app)
        self._path = path

    async def start(self) -> None:
        """Open the socket; it takes requests when this returns.

        Raises:
            SocketTakenError: another turnrec has it.
            OSError: it can't be made.
        """
        self._serve(_bind(self._path), "control socket")

    async def stop(self) -> None:
        """Close the socket and take its file away."""
        if self._task is not None:
            await super().stop()
            self._path.unlink(missing_ok=True)


class NoKeysError(TurnrecError):
    """The API was to listen beyond this machine, and there is no key for anybody."""

    id = "no-api-keys"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"[api] host = {host!r} is reached from other machines, and there is no API key: make"
            " one with `turnrec api-key new`, or listen on 127.0.0.1"
        )


class HttpServer(_Door):
    """The TCP port of the API and its page."""

    def __init__(self, app: App, host: str, port: int) -> None:
        super().__init__(app)
        self._host = host
        self._port = port
        self.port = 0
        """Where it listens; 0 while it doesn't."""

    async def start(self, *, has_keys: bool) -> None:
        """Open the port; it takes requests when this returns.

        Raises:
            NoKeysError: it isn't on loopback, and there are no keys.
            OSError: it can't be had.
        """
        infos = await asyncio.get_running_loop().getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM
        )
        family, kind, protocol, _, address = infos[0]
        if not ipaddress.ip_address(address[0]).is_loopback and not has_keys:
            raise NoKeysError(self._host)
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(512)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        self._serve(listener, "HTTP API")


def _bind(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_left_over(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        listener.listen(64)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _is_left_over(path: Path) -> bool:
    """Whether the socket's file is of a turnrec that is dead."""
    if not path.exists():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(os.fspath(path)) == 0:
            raise SocketTakenError(f"another turnrec answers on {path}: stop it first")
    return True
