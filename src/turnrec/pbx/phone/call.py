"""One call of a test phone: owns its dialog, state and media; never listens for other calls."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType

from turnrec.pbx.phone.dialog import Dialog
from turnrec.pbx.phone.ear import Chunk, Ear
from turnrec.pbx.phone.endpoint import ServerTransaction, SipEndpoint
from turnrec.pbx.phone.errors import (
    CallEndedError,
    CallRejectedError,
    MalformedError,
    MediaNotAgreedError,
    PhoneError,
)
from turnrec.pbx.phone.media import MediaStream, Network
from turnrec.pbx.phone.referral import Referral, refer_to_call
from turnrec.pbx.phone.sdp import Direction, MediaDescription
from turnrec.pbx.phone.sip import Fields, Request, Response
from turnrec.pbx.phone.sources import TONE_AMPLITUDE, Clip, Source
from turnrec.pbx.phone.watch import Watch

# What a wait allows beyond the time that the thing itself takes.
GRACE_S = 30.0


class CallState(Enum):
    """How far a call has come."""

    CALLING = "calling"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended."""

    by_us: bool
    status: int
    """The final status of a call that was never answered; 200 after a BYE."""
    reason: str


class Call(ABC):
    """A call, made or received; leaving its `async with` block hangs up."""

    def __init__(
        self,
        endpoint: SipEndpoint,
        dialog: Dialog,
        media: MediaStream,
        on_end: Callable[[Call], None],
    ) -> None:
        self.dialog = dialog
        self.media = media
        self.end: CallEnd | None = None
        self._endpoint = endpoint
        self._on_end = on_end
        self._state = CallState.CALLING
        self._changes = Watch()
        self._reinvite: ServerTransaction | None = None
        self._referral: Referral | None = None
        self._sdp_version = 1

    async def __aenter__(self) -> Call:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(PhoneError):
            await self.hang_up()

    @property
    def state(self) -> CallState:
        """How far the call has come."""
        return self._state

    @property
    def source(self) -> Source:
        """What this side says; assigning changes it from the very next packet on."""
        return self.media.source

    @source.setter
    def source(self, source: Source) -> None:
        self.media.source = source

    @property
    def network(self) -> Network:
        """What the network does to this side's packets."""
        return self.media.network

    @network.setter
    def network(self, network: Network) -> None:
        self.media.network = network

    @property
    def ear(self) -> Ear:
        """What came from the other side."""
        return self.media.ear

    async def play(self, clip: Clip, timeout_s: float | None = None) -> None:
        """Say a clip to its end (or until another source is set)."""
        limit_s = clip.duration_s + GRACE_S if timeout_s is None else timeout_s
        await self.media.play(clip, limit_s)

    async def wait_sent(self, packets: int = 1, timeout_s: float = GRACE_S) -> None:
        """Return once this many further packets are on the wire."""
        await self.media.wait_sent(packets, timeout_s)

    async def send_digits(self, digits: str, *, hold_ms: int = 100, pause_ms: int = 60) -> None:
        """Press keys (RFC 4733); return when the last one was released."""
        limit_s = len(digits) * (hold_ms + pause_ms) / 1000 + GRACE_S
        await self.media.send_digits(digits, hold_ms, pause_ms, limit_s)

    async def wait_heard(
        self,
        tone_hz: float | None = None,
        *,
        predicate: Callable[[Chunk], bool] | None = None,
        amplitude: int = TONE_AMPLITUDE,
        timeout_s: float = GRACE_S,
    ) -> Chunk:
        """The first packet from now on with the tone in it, or that satisfies the predicate."""
        if tone_hz is not None:
            return await self.ear.wait_tone(tone_hz, amplitude, timeout_s)
        return await self.ear.wait(predicate or (lambda _: True), "audio", timeout_s)

    async def wait_digits(self, digits: str, timeout_s: float = GRACE_S) -> None:
        """Return once the other side has keyed these."""
        await self.ear.wait_digits(digits, timeout_s)

    async def wait_ringing(self, timeout_s: float = GRACE_S) -> None:
        """Return once the called end rings, or has answered."""
        await self._changes.until(
            lambda: self._state in {CallState.RINGING, CallState.ANSWERED}, "ringing", timeout_s
        )

    async def wait_answered(self, timeout_s: float = GRACE_S) -> None:
        """Return once the call is answered; raise CallRejectedError if it is refused."""
        try:
            await self._changes.until(
                lambda: self._state is CallState.ANSWERED, "answer", timeout_s
            )
        except CallEndedError:
            if self.end is not None and self.end.status >= 300:
                raise CallRejectedError(self.end.status, self.end.reason) from None
            raise

    async def wait_ended(self, timeout_s: float = GRACE_S) -> CallEnd:
        """How the call ended, once it has."""
        await self._changes.until(lambda: self.end is not None, "end of the call", timeout_s)
        assert self.end is not None  # noqa: S101
        return self.end

    async def hang_up(self, timeout_s: float = GRACE_S) -> None:
        """End the call, whatever its state: BYE, CANCEL or a refusal."""
        if self._state is CallState.ANSWERED:
            await self._bye(timeout_s)
        elif self._state is not CallState.ENDED:
            await self._abandon()
        await self.wait_ended(timeout_s)

    async def hold(
        self, direction: Direction = Direction.SENDONLY, timeout_s: float = GRACE_S
    ) -> None:
        """Put the other side on hold by a re-INVITE; INACTIVE also ends this side's packets."""
        await self._renegotiate(direction, timeout_s)

    async def unhold(self, timeout_s: float = GRACE_S) -> None:
        """Take the other side off hold."""
        await self._renegotiate(Direction.SENDRECV, timeout_s)

    async def transfer(self, target_uri: str, timeout_s: float = GRACE_S) -> None:
        """Blind transfer: ask the other side (REFER) to call somebody else instead.

        Returns once the other side has agreed to try; `wait_transferred` tells how it ended.
        """
        await self._refer(f"<{target_uri}>", timeout_s)

    async def transfer_to(self, other: Call, timeout_s: float = GRACE_S) -> None:
        """Attended transfer: have the other side take this one's place in another call of ours."""
        await self._refer(refer_to_call(other.dialog), timeout_s)

    @property
    def transfer_statuses(self) -> tuple[int, ...]:
        """What the other side has said (NOTIFY) of the latest transfer, in order: 100, 200."""
        return () if self._referral is None else tuple(self._referral.statuses)

    async def wait_transferred(self, timeout_s: float = GRACE_S) -> None:
        """Return once the transfer is said to have succeeded.

        Raises:
            CallRejectedError: it is said to have failed.
            CallEndedError: the call ended before a word of either.
        """
        referral = self._referral
        if referral is None:
            raise PhoneError("nobody was asked for a transfer")
        await self._changes.until(lambda: referral.is_over, "end of the transfer", timeout_s)
        if not referral.has_succeeded:
            raise CallRejectedError(referral.statuses[-1], "transfer failed")

    def receive(self, transaction: ServerTransaction) -> None:
        """Take in a request of the other side within this call (called by the phone)."""
        method = transaction.request.method
        if self._state is not CallState.ANSWERED and method != "BYE":
            self._respond(transaction, 481)
        elif method == "BYE":
            self._respond(transaction, 200)
            reason = "".join(transaction.request.all("Reason")) or "BYE"
            self._finish(CallEnd(by_us=False, status=200, reason=reason))
        elif method == "INVITE":
            self._receive_reinvite(transaction)
        elif method == "NOTIFY":
            self._respond(transaction, 200, self.dialog.contact)
            if self._referral is not None:
                self._referral.receive(transaction.request)
                self._changes.changed()
        elif method in {"OPTIONS", "INFO"}:
            self._respond(transaction, 200, self.dialog.contact)
        else:
            self._respond(transaction, 405, self.dialog.contact)

    def receive_ack(self, ack: Request) -> None:
        """Take in the ACK of a 2xx that this side sent (called by the phone)."""
        reinvite = self._reinvite
        if reinvite is not None and reinvite.request.cseq[0] == ack.cseq[0]:
            reinvite.acknowledge()

    async def close(self) -> None:
        """Drop the call without a word: for a phone that goes away."""
        if self.end is None:
            self._finish(CallEnd(by_us=True, status=0, reason="dropped"))
        await self.media.close()

    @abstractmethod
    async def _abandon(self) -> None:
        """End a call that is not answered yet."""

    async def _refer(self, refer_to: str, timeout_s: float) -> None:
        fields = (("Refer-To", refer_to), ("Referred-By", f"<{self.dialog.local_uri}>"))
        request = self.dialog.request("REFER", (*fields, *self.dialog.contact))
        self._referral = Referral()  # before the answer: a NOTIFY may overtake it
        response = await self._endpoint.request(request, self.dialog.peer).final(timeout_s)
        if not response.is_success:
            raise CallRejectedError(response.status, response.reason)

    async def _renegotiate(self, direction: Direction, timeout_s: float) -> None:
        self._sdp_version += 1
        body = self.media.offer(direction).pack(self._sdp_version)
        request = self.dialog.request("INVITE", self.dialog.contact, body)
        inviting = self._endpoint.request(request, self.dialog.peer)
        response = await inviting.final(timeout_s)
        if not response.is_success:
            raise CallRejectedError(response.status, response.reason)
        inviting.acknowledge(self.dialog.ack(request))
        self.media.connect(MediaDescription.parse(response.body))

    def _receive_reinvite(self, transaction: ServerTransaction) -> None:
        try:
            body = transaction.request.body
            described = (
                self.media.answer(MediaDescription.parse(body)) if body else self.media.offer()
            )
        except (MalformedError, MediaNotAgreedError):
            self._respond(transaction, 488)
            return
        self._sdp_version += 1
        self._reinvite = transaction
        self._respond(transaction, 200, self.dialog.contact, described.pack(self._sdp_version))

    def _respond(
        self, transaction: ServerTransaction, status: int, fields: Fields = (), body: bytes = b""
    ) -> Response:
        response = transaction.request.response(
            status, fields, to_tag=self.dialog.local_tag, body=body
        )
        transaction.respond(response)
        return response

    def _set_state(self, state: CallState) -> None:
        if self._state is not CallState.ENDED:
            self._state = state
            self._changes.changed()

    async def _bye(self, timeout_s: float, status: int = 200) -> None:
        bye = self._endpoint.request(self.dialog.request("BYE"), self.dialog.peer)
        # The call is over for this side, answered or not: no more audio may go out.
        self._finish(CallEnd(by_us=True, status=status, reason="BYE"))
        await bye.final(timeout_s)

    def _finish(self, end: CallEnd) -> None:
        if self.end is not None:
            return
        self.end = end
        self._set_state(CallState.ENDED)
        self._changes.close()
        self.media.stop()
        self._on_end(self)
