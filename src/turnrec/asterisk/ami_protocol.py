"""The bytes of one AMI session: what is written, sorted and still unanswered; it never waits.

Everything here runs inside asyncio's reader, so it calls nobody's code and raises nothing: an
exception there drops the connection (traps 6, 9 and 11 of panoramisk; see ami_session.py).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from panoramisk.ami_protocol import AMIProtocol

from turnrec.asterisk.ami_action import AmiAction
from turnrec.asterisk.ami_errors import AmiConnectionLostError
from turnrec.asterisk.ami_message import (
    AmiEvent,
    AmiResponse,
    MessageSplitter,
    NotAnAsteriskManagerError,
    OversizedMessageError,
    event_name,
    parse,
    raw_action_id,
)

log = logging.getLogger(__name__)


class Owner(Protocol):
    """The session, as far as its bytes know it."""

    loop: asyncio.AbstractEventLoop
    protocol: AmiProtocol | None

    def greeted(self, version: str) -> None: ...
    def wants(self, name: bytes) -> bool: ...
    def dispatch(self, event: AmiEvent) -> None: ...
    def connection_lost(self, exc: AmiConnectionLostError) -> None: ...


class AmiProtocol(AMIProtocol):  # type: ignore[misc]  # panoramisk has no types
    """The session's bytes: writes actions, sorts what comes, and knows what is still unanswered."""

    closed: bool
    factory: Owner
    responses: dict[str, AmiAction]
    transport: asyncio.Transport

    def __init__(self, session: Owner, max_message_bytes: int) -> None:
        self._session = session
        self._splitter = MessageSplitter(max_message_bytes)
        self.gone: asyncio.Future[None] = session.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.factory = self._session
        self.factory.protocol = self

    def send(self, data: AmiAction) -> asyncio.Future[AmiResponse]:
        self.responses[data.id] = data
        self.transport.write(data.wire)
        return data.future

    def forget(self, action: AmiAction) -> None:
        """No longer waits for this answer; should it come, it is ignored."""
        self.responses.pop(action.id, None)
        if not action.future.cancel() and not action.future.cancelled():
            action.future.exception()  # seen, or asyncio complains when it is collected

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        try:
            messages = self._splitter.feed(data)
        except (NotAnAsteriskManagerError, OversizedMessageError) as error:
            self.drop(str(error))
            return
        if self._splitter.version is not None:
            self.factory.greeted(self._splitter.version)
        for raw in messages:
            if self._is_forged(raw):
                continue
            if self._is_wanted(raw):
                message = parse(raw)
                if message is not None:
                    self.handle_message(message)

    def _is_forged(self, raw: bytes) -> bool:
        """Whether a caller has written this: an empty line in his number ends a row of a list.

        While a list goes on, Asterisk sends its rows and nothing else (manager.c: one thread
        answers actions and sends events), each with our ActionID, which nobody can guess. Events
        are kept whole by a filter (AmiSession).
        """
        if not self.responses:
            return False
        lists = [action for action in self.responses.values() if action.is_listing]
        if not lists or raw_action_id(raw) in self.responses:
            return False
        for action in lists:
            action.distrust_last()
        log.warning("AMI: a row of a list was cut by a forged line end; what follows is ignored")
        return True

    def _is_wanted(self, raw: bytes) -> bool:
        name = event_name(raw)
        if name is None or self.factory.wants(name):
            return True
        if not self.responses:
            return False
        action = self.responses.get(raw_action_id(raw) or "")
        return action is not None and action.complete_event is not None

    def handle_message(self, message: AmiResponse | AmiEvent) -> None:
        # Mostly nothing is waited for, and then there is nothing to look up.
        action = self.responses.get(message.action_id or "") if self.responses else None
        if action is not None and action.add_message(message):
            del self.responses[action.id]
        if isinstance(message, AmiEvent):
            self.factory.dispatch(message)
        elif action is None:
            log.debug("AMI: an answer that nobody waits for (late or repeated) was ignored")

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop(f"the connection broke: {exc}" if exc else "Asterisk closed the connection")
        if not self.gone.done():
            self.gone.set_result(None)

    def drop(self, reason: str) -> None:
        """Ends the session now; whatever is in flight fails at once, its outcome unknown.

        By abort(): close() would first write out what is buffered, which a frozen peer never
        reads.
        """
        if self.closed:
            return
        self.closed = True
        in_flight, self.responses = self.responses, {}
        for action in in_flight.values():
            if not action.future.done():
                action.future.set_exception(
                    AmiConnectionLostError(
                        f"{action.name} was sent, but its outcome is unknown: {reason}",
                        action=action.name,
                    )
                )
        self.transport.abort()
        self.factory.connection_lost(AmiConnectionLostError(f"AMI session lost: {reason}"))

    def close(self) -> None:
        self.drop("turnrec closed it")
