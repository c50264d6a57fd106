"""One phone: owns a SIP identity and its calls; never retransmits or paces by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from turnrec.pbx.phone.auth import Credentials, authorisation
from turnrec.pbx.phone.call import GRACE_S, Call
from turnrec.pbx.phone.clock import MediaClock
from turnrec.pbx.phone.dialog import ALLOWED, Dialog
from turnrec.pbx.phone.endpoint import ServerTransaction, SipEndpoint, SipTimers
from turnrec.pbx.phone.errors import PhoneError, RegistrationFailedError
from turnrec.pbx.phone.incoming import IncomingCall
from turnrec.pbx.phone.media import MediaOptions, MediaStream
from turnrec.pbx.phone.outgoing import OutgoingCall
from turnrec.pbx.phone.sip import Fields, Request, address_of, new_tag, parameter
from turnrec.pbx.phone.watch import Watch

_REGISTERED_S = 3600  # Longer than any test: a registration is never refreshed.
_GOODBYE_S = 2.0


class Phone:
    """A SIP phone on one UDP port, with any number of calls."""

    def __init__(
        self,
        local_host: str = "127.0.0.1",
        *,
        port: int = 0,
        user: str = "tester",
        credentials: Credentials | None = None,
        answers_by_itself: bool = False,
        media: MediaOptions | None = None,
        clock: MediaClock | None = None,
        timers: SipTimers | None = None,
    ) -> None:
        """`media` is for the calls received; phones of one process may share a `clock`."""
        self.user = user
        self._bind = (local_host, port)
        self._credentials = credentials
        self._answers_by_itself = answers_by_itself
        self._media = media or MediaOptions()
        self._clock = clock or MediaClock()
        self._timers = timers or SipTimers()
        self._own = (local_host, 0)
        self._calls: dict[str, Call] = {}
        self._ended: set[Call] = set()
        self._arrived: deque[IncomingCall] = deque()
        self._arrivals = Watch()
        self._tasks: set[asyncio.Task[None]] = set()
        self._registrar: str | None = None

    async def __aenter__(self) -> Phone:
        self._endpoint = SipEndpoint(self._on_request, self._on_ack, self._timers)
        self._own = await self._endpoint.open(*self._bind)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        goodbyes: list[Coroutine[Any, Any, None]] = [
            call.hang_up(_GOODBYE_S) for call in self._calls.values()
        ]
        if self._registrar is not None:
            goodbyes.append(self.unregister(_GOODBYE_S))
        await asyncio.gather(*goodbyes, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._arrivals.close()
        await asyncio.gather(*(call.close() for call in (*self._calls.values(), *self._ended)))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._endpoint.close()

    @property
    def host(self) -> str:
        """The phone's own address."""
        return self._own[0]

    @property
    def port(self) -> int:
        """The phone's own port."""
        return self._own[1]

    @property
    def uri(self) -> str:
        """Where it can be called directly."""
        return f"sip:{self.user}@{self.host}:{self.port}"

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that have not ended."""
        return tuple(self._calls.values())

    @property
    def malformed_datagrams(self) -> int:
        """How much arrived that was no SIP."""
        return self._endpoint.malformed

    async def dial(
        self,
        uri: str,
        media: MediaOptions | None = None,
        *,
        caller_name: str = "",
        fields: Fields = (),
        timeout_s: float = 10.0,
    ) -> OutgoingCall:
        """Call, and return when it is answered; a failure or a cancellation cancels the call."""
        call = await self.start_call(uri, media, caller_name=caller_name, fields=fields)
        try:
            await call.wait_answered(timeout_s)
        except BaseException:
            if call.end is None:
                self._spawn(self._hang_up(call))
            raise
        return call

    async def start_call(
        self,
        uri: str,
        media: MediaOptions | None = None,
        *,
        caller_name: str = "",
        fields: Fields = (),
    ) -> OutgoingCall:
        """Call, and return before anybody answers: to watch it ring, or to cancel it."""
        dialog = Dialog(
            local_uri=self.uri,
            remote_uri=uri,
            target_uri=uri,
            peer=address_of(uri),
            own=self._own,
            local_name=caller_name,
        )
        stream = MediaStream(self._clock, media or MediaOptions())
        await stream.open(self.host)
        call = OutgoingCall(self._endpoint, dialog, stream, self._on_end)
        self._calls[dialog.local_tag] = call
        self._spawn(call.invite(fields, self._credentials))
        return call

    async def incoming(self, timeout_s: float = GRACE_S) -> IncomingCall:
        """The next call received, already answered if the phone does so by itself."""
        await self._arrivals.until(lambda: bool(self._arrived), "incoming call", timeout_s)
        return self._arrived.popleft()

    async def register(
        self, registrar_uri: str, *, expires_s: int = _REGISTERED_S, timeout_s: float = GRACE_S
    ) -> None:
        """Tell the PBX where this phone is; undone when the phone is closed."""
        host, port = address_of(registrar_uri)
        dialog = Dialog(
            local_uri=f"sip:{self.user}@{host}:{port}",
            remote_uri=f"sip:{self.user}@{host}:{port}",
            target_uri=registrar_uri,
            peer=(host, port),
            own=self._own,
        )
        fields = (*dialog.contact, ("Expires", str(expires_s)))
        request = dialog.request("REGISTER", fields)
        response = await self._endpoint.request(request, dialog.peer).final(timeout_s)
        if response.status in {401, 407} and self._credentials is not None:
            answer = authorisation(response, self._credentials, "REGISTER", registrar_uri)
            request = dialog.request("REGISTER", (*fields, *answer))
            response = await self._endpoint.request(request, dialog.peer).final(timeout_s)
        if not response.is_success:
            raise RegistrationFailedError(response.status, response.reason)
        self._registrar = registrar_uri if expires_s else None

    async def unregister(self, timeout_s: float = GRACE_S) -> None:
        """Tell the PBX that this phone is gone."""
        if self._registrar is not None:
            await self.register(self._registrar, expires_s=0, timeout_s=timeout_s)

    def _on_request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        local_tag = parameter(request.get("To"), "tag")
        if request.method == "CANCEL":
            self._on_cancel(transaction)
        elif local_tag:
            call = self._calls.get(local_tag)
            if call is None:
                transaction.respond(request.response(481))
            else:
                call.receive(transaction)
        elif request.method == "INVITE":
            transaction.respond(request.response(100))
            self._spawn(self._receive_call(transaction))
        elif request.method in {"OPTIONS", "NOTIFY"}:
            allow = (("Allow", ALLOWED), ("Accept", "application/sdp"))
            transaction.respond(request.response(200, allow, to_tag=new_tag()))
        else:
            transaction.respond(request.response(405, (("Allow", ALLOWED),), to_tag=new_tag()))

    def _on_ack(self, ack: Request) -> None:
        call = self._calls.get(parameter(ack.get("To"), "tag"))
        if call is not None:
            call.receive_ack(ack)

    def _on_cancel(self, transaction: ServerTransaction) -> None:
        invite = self._endpoint.invite_of(transaction.request)
        if invite is None:
            transaction.respond(transaction.request.response(481, to_tag=new_tag()))
            return
        transaction.respond(transaction.request.response(200, to_tag=new_tag()))
        for call in self.calls:
            if isinstance(call, IncomingCall) and call.request is invite.request:
                call.cancelled()

    async def _receive_call(self, invite: ServerTransaction) -> None:
        dialog = Dialog.from_invite(invite.request, invite.peer, self._own)
        stream = MediaStream(self._clock, self._media)
        call = IncomingCall(self._endpoint, dialog, stream, self._on_end, invite)
        # Known before the first await, so that a CANCEL finds it.
        self._calls[dialog.local_tag] = call
        await stream.open(self.host)
        if call.end is not None:
            await stream.close()
        elif self._answers_by_itself:
            with contextlib.suppress(PhoneError):
                await call.answer()
        self._arrived.append(call)
        self._arrivals.changed()

    def _on_end(self, call: Call) -> None:
        self._calls.pop(call.dialog.local_tag, None)
        self._ended.add(call)
        self._spawn(self._release(call))

    async def _release(self, call: Call) -> None:
        await call.media.close()
        self._ended.discard(call)

    async def _hang_up(self, call: Call) -> None:
        with contextlib.suppress(PhoneError):
            await call.hang_up(_GOODBYE_S)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
