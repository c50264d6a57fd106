"""One AMI session over panoramisk 1.4, with its traps mended; it never reconnects or re-sends.

panoramisk gives the action ids, the connecting and the bookkeeping; three subclasses replace what
asterisk-facts.md ("panoramisk 1.4") found unsafe. By its numbers:

    AmiAction      1  a line end in a field is refused       9  an event is never the answer
                  10  a list only where one was asked for
    AmiProtocol    6  the reader calls nobody's code        11  bytes first, text after
                   2  what is in flight fails, and is not kept
    AmiSession     3  unconnected or lost: an error at once   4  a ping is answered in time
                   5  a refused login is an error             7  a timed-out action is forgotten
                   8  no timer, no reconnecting              13  FullyBooted is not needed
                  16  made inside the running loop

12 is mended in ami_handlers.py, 14 in ami_message.py. 15: `panoramisk.CallManager`,
`panoramisk.testing` and `panoramisk.fast_agi` are not used at all: no subclass could mend what
they are (uniqueids cut at the dot, a global line ending changed, a reader that spins).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from panoramisk.manager import Manager

from turnrec.asterisk.ami_action import AmiAction
from turnrec.asterisk.ami_errors import (
    AmiConnectionLostError,
    AmiError,
    AmiLoginError,
    AmiNotConnectedError,
    AmiRefusedError,
    AmiTimeoutError,
)
from turnrec.asterisk.ami_message import AmiEvent, AmiResponse
from turnrec.asterisk.ami_protocol import AmiProtocol
from turnrec.asterisk.ami_settings import AmiSettings

log = logging.getLogger(__name__)

_FILTER = "![[:cntrl:]]{4}."
"""Drops an event in which anything follows an empty line: a caller's number has forged another."""


class AmiSession(Manager):  # type: ignore[misc]  # panoramisk has no types
    """One connection to the manager: opened once, watched until it is lost, then thrown away.

    A new session needs a new object. So nothing of an old one, neither a timer nor an unanswered
    action, can reach into the next.
    """

    loop: asyncio.AbstractEventLoop
    protocol: AmiProtocol | None
    authenticated: bool

    def __init__(
        self,
        settings: AmiSettings,
        *,
        wants: Callable[[bytes], bool],
        on_event: Callable[[AmiEvent], None],
    ) -> None:
        self._settings = settings
        self._wants = wants
        self._on_event = on_event
        super().__init__(
            loop=asyncio.get_running_loop(),
            host=settings.host,
            port=settings.port,
            protocol_factory=lambda: AmiProtocol(self, settings.max_message_bytes),
        )
        self._greeting: asyncio.Future[str] = self.loop.create_future()
        self._booted: asyncio.Future[None] = self.loop.create_future()
        self._lost: asyncio.Future[AmiConnectionLostError] = self.loop.create_future()
        self._filtering: AmiAction | None = None

    @property
    def usable(self) -> bool:
        return self.authenticated and not self._lost.done()

    @property
    def in_flight(self) -> int:
        return 0 if self.protocol is None else len(self.protocol.responses)

    async def open(self) -> None:
        """Connects and logs in, or raises AmiError; FullyBooted is waited for, but not for ever."""
        settings = self._settings
        where = f"{settings.host}:{settings.port}"
        try:
            async with asyncio.timeout(settings.connect_timeout_ms / 1000):
                await self.connect()
                # The secret goes to nobody who hasn't greeted as an Asterisk manager.
                await self._first_of(self._greeting)
                await self._log_in()
                await self._filter()
        except TimeoutError:
            raise AmiNotConnectedError(
                f"no AMI login at {where} within {settings.connect_timeout_ms} ms"
            ) from None
        except OSError as error:
            raise AmiNotConnectedError(f"cannot connect to AMI at {where}: {error}") from error
        try:
            async with asyncio.timeout(settings.fully_booted_timeout_ms / 1000):
                await self._first_of(self._booted)
        except TimeoutError:
            log.info("AMI: no FullyBooted (read lacks system, or Asterisk is still starting)")
        self.authenticated = True

    async def _log_in(self) -> None:
        settings = self._settings
        fields = {
            "Username": settings.username,
            "Secret": settings.secret,
            "Events": ",".join(settings.event_classes) or "off",
        }
        try:
            await self.request(AmiAction("Login", fields), timeout_ms=None)  # open() has one
        except AmiRefusedError as error:
            raise AmiLoginError(
                f"Asterisk refused the AMI login of {settings.username!r}: "
                f"{error.response.message or 'no reason given'}",
                action="Login",
            ) from None

    async def _filter(self) -> None:
        """Have Asterisk drop forged events before it sends them; until then none is believed."""
        self._filtering = AmiAction("Filter", {"Operation": "Add", "Filter": _FILTER})
        try:
            await self.request(self._filtering, timeout_ms=None)
        except AmiRefusedError as error:
            log.error(  # noqa: TRY400 - the sentence says it
                "AMI: a caller may forge events with line ends in his number: Asterisk refuses the"
                " filter against it (%s); write = system is needed",
                error.response.message or "no reason given",
            )

    async def request(self, action: AmiAction, timeout_ms: int | None) -> AmiResponse:
        """Sends an action and waits for its answer; however that ends, the action is forgotten."""
        future = self.send_action(action)
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                response = await future
        except TimeoutError:
            raise AmiTimeoutError(
                f"{action.name} was sent, but its outcome is unknown: "
                f"no answer within {timeout_ms} ms",
                action=action.name,
            ) from None
        finally:
            if self.protocol is not None:
                self.protocol.forget(action)
        if not response.success:
            reason = response.message or response.status
            raise AmiRefusedError(
                f"Asterisk refused {action.name}: {reason}", action=action.name, response=response
            )
        return response

    async def watch(self) -> AmiConnectionLostError:
        """Pings until the session is lost; gives the reason."""
        settings = self._settings
        while not self._lost.done():
            await asyncio.wait({self._lost}, timeout=settings.ping_interval_ms / 1000)
            if self._lost.done():
                break
            try:
                await self.request(AmiAction("Ping", {}), settings.ping_timeout_ms)
            except AmiTimeoutError:
                if self.protocol is not None:
                    self.protocol.drop(f"no answer to Ping within {settings.ping_timeout_ms} ms")
            except AmiError:
                continue  # refused is an answer too; lost is seen above
        return self._lost.result()

    async def aclose(self) -> None:
        """Ends the session; its socket is closed when this returns."""
        self.close()
        if self.protocol is not None:
            await self.protocol.gone

    # -- panoramisk's hooks --------------------------------------------------------------------

    def connection_made(self, f: asyncio.Future[object]) -> None:
        """Stock logs in here and starts timers; open() does what there is to do, in order."""

    def send_action(self, action: AmiAction) -> asyncio.Future[AmiResponse]:
        if self.protocol is None or self._lost.done():
            raise AmiNotConnectedError(
                f"{action.name} was not sent: the AMI session is gone", action=action.name
            )
        return self.protocol.send(action)

    async def send_awaiting_actions(self, *_: object) -> None:
        """Stock sends old actions again here. There are none, and there never will be."""

    def dispatch(self, event: AmiEvent) -> None:
        if event.name == "FullyBooted" and not self._booted.done():
            self._booted.set_result(None)
        if self._filtering is not None and self._filtering.future.done():
            self._on_event(event)

    def connection_lost(self, exc: AmiConnectionLostError) -> None:
        if not self._lost.done():
            self._lost.set_result(exc)

    # -- what the protocol asks and tells --------------------------------------------------------

    def greeted(self, version: str) -> None:
        if not self._greeting.done():
            self._greeting.set_result(version)

    def wants(self, name: bytes) -> bool:
        return name == b"FullyBooted" or self._wants(name)

    async def _first_of(self, future: asyncio.Future[None] | asyncio.Future[str]) -> None:
        """Waits for the future, or raises why the session was lost before."""
        await asyncio.wait({future, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            raise self._lost.result()
