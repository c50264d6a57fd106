"""A call that a test phone receives: owns ringing, answer and refusal; never calls out."""

from __future__ import annotations

from collections.abc import Callable

from turnrec.pbx.phone.call import GRACE_S, Call, CallEnd, CallState
from turnrec.pbx.phone.dialog import Dialog
from turnrec.pbx.phone.endpoint import ServerTransaction, SipEndpoint
from turnrec.pbx.phone.errors import (
    CallEndedError,
    CallTimeoutError,
    MalformedError,
    MediaNotAgreedError,
)
from turnrec.pbx.phone.media import MediaStream
from turnrec.pbx.phone.sdp import MediaDescription
from turnrec.pbx.phone.sip import Request, uri_of
from turnrec.pbx.phone.sources import Source


class IncomingCall(Call):
    """A call from somebody else."""

    def __init__(
        self,
        endpoint: SipEndpoint,
        dialog: Dialog,
        media: MediaStream,
        on_end: Callable[[Call], None],
        invite: ServerTransaction,
    ) -> None:
        super().__init__(endpoint, dialog, media, on_end)
        self._invite = invite
        self._answer: MediaDescription | None = None

    @property
    def caller_uri(self) -> str:
        """Who calls, as the INVITE's From says."""
        return uri_of(self._invite.request.get("From"))

    @property
    def request(self) -> Request:
        """The INVITE, for a test that asks about its other fields."""
        return self._invite.request

    def ring(self) -> None:
        """Say that it rings here."""
        if self._state is CallState.CALLING:
            self._respond(self._invite, 180, self.dialog.contact)
            self._set_state(CallState.RINGING)

    async def progress(self, source: Source | None = None) -> None:
        """Say something before the answer: 183 with a description of this side's audio."""
        if self._state in {CallState.ANSWERED, CallState.ENDED}:
            raise CallEndedError("progress")
        if source is not None:
            self.source = source
        described = await self._describe()
        self._respond(self._invite, 183, self.dialog.contact, described.pack())
        self._set_state(CallState.RINGING)

    async def answer(self, source: Source | None = None, timeout_s: float = GRACE_S) -> None:
        """Answer; return when the caller has acknowledged."""
        if self._state in {CallState.ANSWERED, CallState.ENDED}:
            raise CallEndedError("answer")
        if source is not None:
            self.source = source
        described = await self._describe()
        self._respond(self._invite, 200, self.dialog.contact, described.pack())
        self._set_state(CallState.ANSWERED)
        try:
            await self._changes.until(lambda: self._invite.is_acknowledged, "ACK", timeout_s)
        except CallTimeoutError:
            await self._bye(timeout_s)
            raise

    async def reject(self, status: int = 486) -> None:
        """Refuse the call."""
        if self._state in {CallState.ANSWERED, CallState.ENDED}:
            raise CallEndedError("rejection")
        response = self._respond(self._invite, status)
        self._finish(CallEnd(by_us=True, status=status, reason=response.reason))

    def cancelled(self) -> None:
        """The caller gave up before the answer (called by the phone)."""
        if self._state not in {CallState.ANSWERED, CallState.ENDED}:
            response = self._respond(self._invite, 487)
            self._finish(CallEnd(by_us=False, status=487, reason=response.reason))

    def receive_ack(self, ack: Request) -> None:
        if self._invite.request.cseq[0] == ack.cseq[0]:
            self._invite.acknowledge()
            self._changes.changed()
        else:
            super().receive_ack(ack)

    async def _describe(self) -> MediaDescription:
        """This side's answer to the offer; the same in the 183 and in the 200 (RFC 3261 13.2.1)."""
        if self._answer is None:
            try:
                offer = MediaDescription.parse(self._invite.request.body)
                self._answer = self.media.answer(offer)
            except (MalformedError, MediaNotAgreedError):
                await self.reject(488)
                raise
        return self._answer

    async def _abandon(self) -> None:
        await self.reject(480)
