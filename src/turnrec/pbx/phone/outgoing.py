"""A call that a test phone makes: owns INVITE, ACK and CANCEL; never answers one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from turnrec.pbx.phone.auth import Credentials, authorisation
from turnrec.pbx.phone.call import GRACE_S, Call, CallEnd, CallState
from turnrec.pbx.phone.dialog import Dialog
from turnrec.pbx.phone.endpoint import ClientTransaction, SipEndpoint
from turnrec.pbx.phone.errors import MalformedError, MediaNotAgreedError, PhoneError
from turnrec.pbx.phone.media import MediaStream
from turnrec.pbx.phone.sdp import MediaDescription
from turnrec.pbx.phone.sip import Fields, Request, Response


class OutgoingCall(Call):
    """A call to somebody else."""

    def __init__(
        self,
        endpoint: SipEndpoint,
        dialog: Dialog,
        media: MediaStream,
        on_end: Callable[[Call], None],
    ) -> None:
        super().__init__(endpoint, dialog, media, on_end)
        self._inviting: ClientTransaction | None = None
        self._wants_cancel = False
        self._is_cancelled = False

    async def invite(self, fields: Fields, credentials: Credentials | None) -> None:
        """Call, from INVITE to ACK (run by the phone as a task of its own)."""
        body = self.media.offer().pack()
        request = self.dialog.request("INVITE", (*fields, *self.dialog.contact), body)
        try:
            inviting = self._send_invite(request)
            response = await inviting.final()
            if response.status in {401, 407} and credentials is not None:
                answer = authorisation(response, credentials, "INVITE", request.uri)
                fields = (*fields, *answer, *self.dialog.contact)
                inviting = self._send_invite(self.dialog.request("INVITE", fields, body))
                response = await inviting.final()
            if response.is_success:
                await self._accepted(inviting, response)
                return
            end = CallEnd(self._wants_cancel, response.status, response.reason)
        except PhoneError as error:
            end = CallEnd(by_us=False, status=408, reason=str(error))
        self._finish(end)

    def _send_invite(self, request: Request) -> ClientTransaction:
        self._inviting = self._endpoint.request(request, self.dialog.peer, self._provisional)
        return self._inviting

    def _provisional(self, response: Response) -> None:
        if response.status > 100 and self._state is CallState.CALLING:
            self._set_state(CallState.RINGING)
        if response.body:
            with contextlib.suppress(MalformedError, MediaNotAgreedError):
                self.media.connect(MediaDescription.parse(response.body))
        if self._wants_cancel:
            self._cancel_if_possible()

    def _cancel_if_possible(self) -> None:
        # RFC 3261 9.1: not before a first answer came; its arrival calls this again.
        inviting = self._inviting
        if inviting is not None and inviting.was_heard and not self._is_cancelled:
            self._is_cancelled = True
            self._endpoint.request(inviting.request.cancel(), self.dialog.peer)

    async def _accepted(self, inviting: ClientTransaction, response: Response) -> None:
        self.dialog.learn(response)
        inviting.acknowledge(self.dialog.ack(inviting.request))
        try:
            self.media.connect(MediaDescription.parse(response.body))
        except (MalformedError, MediaNotAgreedError):
            await self._bye(GRACE_S, status=488)
            return
        if self._wants_cancel:  # The answer and the CANCEL crossed.
            await self._bye(GRACE_S)
        else:
            self._set_state(CallState.ANSWERED)

    async def _abandon(self) -> None:
        self._wants_cancel = True
        self._cancel_if_possible()
