"""A UDP socket: owns its opening, sending and closing; never looks into a datagram."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias, cast

Address: TypeAlias = tuple[str, int]


class UdpSocket(asyncio.DatagramProtocol):
    """A bound socket that hands over what comes in."""

    def __init__(self, on_datagram: Callable[[bytes, Address], None]) -> None:
        self._on_datagram = on_datagram
        self._transport: asyncio.DatagramTransport | None = None
        self._lost: asyncio.Future[None] | None = None

    async def open(self, host: str, port: int = 0) -> Address:
        """Bind (port 0: any free one) and say where."""
        loop = asyncio.get_running_loop()
        self._lost = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, (host, port))
        own_host, own_port = transport.get_extra_info("sockname")[:2]
        return str(own_host), int(own_port)

    def send(self, datagram: bytes, to: Address) -> None:
        """Put a datagram on the wire; on a closed socket, nothing."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, to)

    def close_soon(self) -> None:
        """Send and receive nothing more."""
        if self._transport is not None:
            self._transport.close()

    async def close(self) -> None:
        """Return once the port is released."""
        self.close_soon()
        if self._transport is not None and self._lost is not None:
            await self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._on_datagram(data, addr)

    def error_received(self, exc: Exception) -> None:
        """An unreachable peer is found out by whoever waits for its answer."""
