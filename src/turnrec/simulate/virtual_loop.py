"""An event loop whose time passes only when everybody waits, and whose network is itself.

What runs in it is the product's own code: its time-outs, its guards, its FastAGI server and its AMI
client, byte by byte. Nothing of it reaches a socket, and no second of it takes one.

(The library for this, async-solipsism, is under the GPL, which turnrec isn't.)
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class StandstillError(RuntimeError):
    """Everybody waits for something that nobody will ever do: a defect of the simulation."""


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, _Result]]) -> _Result:
    """Run a coroutine in a world of its own, which begins at 0 s."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        if not isinstance(loop, VirtualLoop):
            raise TypeError("the runner made another loop")
        return runner.run(main(loop))


class _Waiting(selectors.DefaultSelector):
    """Waits for nothing: it lets the time pass instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StandstillError("everybody waits, and nothing is due")
        self.now_s += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to whatever is due next, and whose listeners only it can reach."""

    def __init__(self) -> None:
        self._waiting = _Waiting()
        super().__init__(self._waiting)
        self._listeners: dict[tuple[str, int], _Listener] = {}

    def time(self) -> float:
        """Seconds since this world began."""
        return self._waiting.now_s

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        **_options: object,
    ) -> asyncio.AbstractServer:
        """Listen within this loop."""
        return _Listener(self, (host, port), protocol_factory)

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        **_options: object,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect to who listens within this loop.

        Raises:
            ConnectionRefusedError: nobody does.
        """
        listener = self._listeners.get((host, port))
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens on {host}:{port}")
        ours, theirs = protocol_factory(), listener.accept()
        near, far = _Wire(self, ours), _Wire(self, theirs)
        near.peer, far.peer = far, near
        theirs.connection_made(far)
        ours.connection_made(near)
        return near, ours

    def run_in_executor(
        self,
        executor: object,  # noqa: ARG002 - asyncio's
        func: Callable[..., _Result],
        *args: object,
    ) -> asyncio.Future[_Result]:
        """Run it at once: a thread's time would be another."""
        future: asyncio.Future[_Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to who waits for it
            future.set_exception(error)
        return future


class _Listener(asyncio.AbstractServer):
    """An open port."""

    def __init__(
        self,
        loop: VirtualLoop,
        address: tuple[str, int],
        accept: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self._loop = loop
        self._address = address
        self.accept = accept
        loop._listeners[address] = self

    def close(self) -> None:
        self._loop._listeners.pop(self._address, None)

    async def wait_closed(self) -> None:
        """There is nothing to wait for."""

    async def start_serving(self) -> None:
        """It does already."""

    async def serve_forever(self) -> None:
        """Never called: whoever listens here closes it."""
        raise NotImplementedError

    def is_serving(self) -> bool:
        return self._address in self._loop._listeners

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop


class _Wire(asyncio.Transport):
    """One end of a connection: what is written arrives at the other, in order."""

    def __init__(self, loop: VirtualLoop, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._is_closing = False
        self.peer: _Wire | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closing and self.peer is not None:
            self._loop.call_soon(self.peer._deliver, bytes(data))

    def _deliver(self, data: bytes) -> None:
        if not self._is_closing and isinstance(self._protocol, asyncio.Protocol):
            self._protocol.data_received(data)

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._loop.call_soon(self._protocol.connection_lost, None)
        if self.peer is not None:
            self._loop.call_soon(self.peer.close)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._is_closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Nothing comes faster than it is read: each side waits for the other's answer."""

    def resume_reading(self) -> None:
        """Likewise."""
