"""SIP transactions over UDP: owns the socket and every retransmission; never knows a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from turnrec.pbx.phone.errors import CallTimeoutError, MalformedError
from turnrec.pbx.phone.sip import Request, Response, parse
from turnrec.pbx.phone.udp import Address, UdpSocket

# Ended transactions are remembered, for what comes again: by number, which needs no timers.
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class SipTimers:
    """RFC 3261's timers; tests shorten them."""

    first_resend_s: float = 0.5
    """T1."""
    longest_resend_s: float = 4.0
    """T2, to which all but INVITE requests are held."""
    give_up_s: float = 32.0
    """64 times T1."""


class _Resend:
    """A datagram, sent again at doubling intervals until stopped."""

    def __init__(self, send: Callable[[], None], timers: SipTimers, longest_s: float) -> None:
        self._send = send
        self._interval_s = timers.first_resend_s
        self._longest_s = longest_s
        self._timer: asyncio.TimerHandle | None = None
        send()
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._interval_s, self._again)

    def _again(self) -> None:
        self._interval_s = min(2 * self._interval_s, self._longest_s)
        self._send()
        self._arm()


class ClientTransaction:
    """One request of ours and its answers."""

    def __init__(
        self,
        endpoint: SipEndpoint,
        request: Request,
        peer: Address,
        on_provisional: Callable[[Response], None] | None,
    ) -> None:
        self.request = request
        self.peer = peer
        self.was_heard = False
        """Whether a provisional answer came: only then may an INVITE be cancelled."""
        self._endpoint = endpoint
        self._on_provisional = on_provisional
        self._ack: bytes | None = None
        self._final: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        datagram = request.pack()
        timers = endpoint.timers
        is_invite = request.method == "INVITE"
        longest_s = timers.give_up_s if is_invite else timers.longest_resend_s
        self._resend = _Resend(lambda: endpoint.send(datagram, peer), timers, longest_s)

    async def final(self, timeout_s: float | None = None) -> Response:
        """The final answer. An INVITE that was heard may ring for ever, unless told otherwise."""
        limit_s = self._endpoint.timers.give_up_s
        if timeout_s is not None:
            limit_s = min(limit_s, timeout_s)
        try:
            done, _ = await asyncio.wait({self._final}, timeout=limit_s)
            may_ring_on = self.was_heard and self.request.method == "INVITE"
            if not done and may_ring_on and timeout_s is None:
                done, _ = await asyncio.wait({self._final})
        finally:
            self._resend.stop()
        if not done:
            raise CallTimeoutError(f"answer to {self.request.method}", limit_s)
        return self._final.result()

    def acknowledge(self, ack: Request) -> None:
        """Send the ACK of a 2xx, now and whenever the 2xx comes again."""
        self._ack = ack.pack()
        self._endpoint.send(self._ack, self.peer)

    def receive(self, response: Response) -> None:
        """Take in an answer (called by the endpoint)."""
        if not response.is_final:
            self.was_heard = True
            if self.request.method == "INVITE":
                self._resend.stop()
            if self._on_provisional is not None and not self._final.done():
                self._on_provisional(response)
            return
        self._resend.stop()
        if self.request.method == "INVITE" and not response.is_success:
            self._ack = self.request.ack_of_refusal(response).pack()
        if self._ack is not None:
            self._endpoint.send(self._ack, self.peer)
        if not self._final.done():
            self._final.set_result(response)

    def close(self) -> None:
        """Send nothing more."""
        self._resend.stop()


class ServerTransaction:
    """One request of the other side and our answers."""

    def __init__(self, endpoint: SipEndpoint, request: Request, peer: Address) -> None:
        self.request = request
        self.peer = peer
        self.is_acknowledged = False
        self._endpoint = endpoint
        self._last: bytes | None = None
        self._resend: _Resend | None = None

    @property
    def is_answered(self) -> bool:
        """Whether a final answer to an INVITE was sent."""
        return self._resend is not None

    def respond(self, response: Response) -> None:
        """Send an answer; a final one to an INVITE again and again until its ACK."""
        datagram = self._last = response.pack()
        endpoint, peer = self._endpoint, self.peer
        if self.request.method == "INVITE" and response.is_final:
            timers = endpoint.timers
            self._resend = _Resend(
                lambda: endpoint.send(datagram, peer), timers, timers.longest_resend_s
            )
            asyncio.get_running_loop().call_later(timers.give_up_s, self._resend.stop)
        else:
            endpoint.send(datagram, peer)

    def repeat(self) -> None:
        """The request came again: so does the last answer."""
        if self._last is not None:
            self._endpoint.send(self._last, self.peer)

    def acknowledge(self) -> None:
        """The ACK came."""
        if self._resend is not None:
            self._resend.stop()
        self.is_acknowledged = True

    def close(self) -> None:
        """Send nothing more."""
        if self._resend is not None:
            self._resend.stop()


class SipEndpoint:
    """A phone's SIP socket."""

    def __init__(
        self,
        on_request: Callable[[ServerTransaction], None],
        on_ack: Callable[[Request], None],
        timers: SipTimers,
    ) -> None:
        self.timers = timers
        self.malformed = 0
        """How many datagrams were no SIP."""
        self._on_request = on_request
        self._on_ack = on_ack
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[tuple[str, str], ServerTransaction] = {}
        self._socket = UdpSocket(self._receive)

    async def open(self, host: str, port: int) -> Address:
        """Bind the socket and say where."""
        return await self._socket.open(host, port)

    async def close(self) -> None:
        """Release the socket and drop all that is under way."""
        for client in self._clients.values():
            client.close()
        for server in self._servers.values():
            server.close()
        await self._socket.close()

    def request(
        self,
        request: Request,
        peer: Address,
        on_provisional: Callable[[Response], None] | None = None,
    ) -> ClientTransaction:
        """Send a request, again and again until it is answered."""
        transaction = ClientTransaction(self, request, peer, on_provisional)
        key = (request.branch, request.method)
        _remember(self._clients, key, transaction)
        return transaction

    def invite_of(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE that a CANCEL means."""
        return self._servers.get((cancel.branch, "INVITE"))

    def send(self, datagram: bytes, peer: Address) -> None:
        """Put a datagram on the wire."""
        self._socket.send(datagram, peer)

    def _receive(self, data: bytes, sender: Address) -> None:
        if not data.strip(b"\r\n\0"):
            return  # A keep-alive (RFC 5626).
        try:
            message = parse(data)
            if isinstance(message, Response):
                self._receive_response(message)
            else:
                self._receive_request(message, sender)
        except MalformedError:
            self.malformed += 1

    def _receive_response(self, response: Response) -> None:
        transaction = self._clients.get((response.branch, response.cseq[1]))
        if transaction is not None:
            transaction.receive(response)

    def _receive_request(self, request: Request, peer: Address) -> None:
        if request.method == "ACK":
            # After a refusal it belongs to the INVITE's transaction; after a 2xx, to the dialog.
            refused = self._servers.get((request.branch, "INVITE"))
            if refused is not None:
                refused.acknowledge()
            else:
                self._on_ack(request)
            return
        key = (request.branch, request.method)
        known = self._servers.get(key)
        if known is not None:
            known.repeat()
            return
        transaction = ServerTransaction(self, request, peer)
        _remember(self._servers, key, transaction)
        self._on_request(transaction)


Transaction = TypeVar("Transaction", ClientTransaction, ServerTransaction)


def _remember(
    known: dict[tuple[str, str], Transaction], key: tuple[str, str], transaction: Transaction
) -> None:
    known[key] = transaction
    if len(known) > _REMEMBERED:
        known.pop(next(iter(known))).close()
