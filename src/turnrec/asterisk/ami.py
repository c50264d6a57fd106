"""The AMI client: it owns being connected, and never queues, replays or guesses an action.

    client = AmiClient(AmiSettings(username="turnrec", secret="..."))
    client.subscribe("BridgeEnter", "DialEnd", handler=on_bridge)
    client.on_ready(reconcile)
    await client.start()
    answer = await client.action("MixMonitorMute", Channel=channel, State="1")

From here outwards panoramisk is invisible: it lives behind ami_session.py, which lists its traps
and where each is mended. What can go wrong is the tree in ami_errors.py:

    AmiError
    ├── AmiInvalidFieldError      nothing was sent
    ├── AmiNotConnectedError      nothing was sent
    │   └── AmiLoginError
    ├── AmiRefusedError           Asterisk said no
    ├── AmiTimeoutError           OUTCOME UNKNOWN
    └── AmiConnectionLostError    OUTCOME UNKNOWN
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from turnrec.asterisk.ami_action import AmiAction, FieldValue
from turnrec.asterisk.ami_errors import (
    AmiConnectionLostError,
    AmiError,
    AmiInvalidFieldError,
    AmiLoginError,
    AmiNotConnectedError,
    AmiRefusedError,
    AmiTimeoutError,
)
from turnrec.asterisk.ami_handlers import HandlerQueue
from turnrec.asterisk.ami_message import AmiEvent, AmiResponse
from turnrec.asterisk.ami_session import AmiSession
from turnrec.asterisk.ami_settings import AmiSettings, retry_delay_ms

__all__ = [
    "AmiClient",
    "AmiConnectionLostError",
    "AmiError",
    "AmiEvent",
    "AmiInvalidFieldError",
    "AmiLoginError",
    "AmiNotConnectedError",
    "AmiRefusedError",
    "AmiResponse",
    "AmiSettings",
    "AmiTimeoutError",
    "Unsubscribe",
]

log = logging.getLogger(__name__)

Unsubscribe = Callable[[], None]
EventHandler = Callable[[AmiEvent], Awaitable[None] | None]
ReadyHandler = Callable[[], Awaitable[None] | None]
LostHandler = Callable[[AmiError], Awaitable[None] | None]


class AmiClient:
    """A manager session that comes back by itself after every loss, until close().

    Needs no loop to be made; start() and all that follows belong to one running loop.
    """

    def __init__(self, settings: AmiSettings) -> None:
        self._settings = settings
        self._session: AmiSession | None = None
        self._sessions = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._last_error: AmiError | None = None
        self._retry_delay_ms = 0
        self._changed = asyncio.Event()
        self._events: dict[bytes, list[HandlerQueue[AmiEvent]]] = {}
        self._state: list[HandlerQueue[AmiError | None]] = []  # None: ready; an error: lost
        # Every queue that may still be at work, also after its unsubscribe: the strong reference
        # that keeps its task from being collected.
        self._handlers: set[HandlerQueue[Any]] = set()

    # -- being connected -------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Logged in, and not known to be lost."""
        return self._session is not None and self._session.usable

    @property
    def last_error(self) -> AmiError | None:
        """Why there is no session, None while there is one or none has been tried."""
        return None if self.ready else self._last_error

    @property
    def retry_delay_ms(self) -> int:
        """The wait that was set before the latest new attempt; 0 once ready."""
        return self._retry_delay_ms

    @property
    def sessions(self) -> int:
        """How many sessions there have been: what is sent while this is the same goes by one."""
        return self._sessions

    @property
    def actions_in_flight(self) -> int:
        return 0 if self._session is None else self._session.in_flight

    async def start(self) -> None:
        """Begins to connect, in the background, and returns at once. A second call does nothing."""
        if self._closed:
            raise RuntimeError("this AmiClient is closed")
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name="ami")

    async def wait_ready(self, timeout_ms: int) -> None:
        """Returns when ready. Raises AmiLoginError as soon as Asterisk has refused the login, and
        AmiNotConnectedError, with the latest reason, when the time is up."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while not self.ready:
                    if self._closed:
                        raise AmiNotConnectedError("the AMI client is closed")
                    if isinstance(self._last_error, AmiLoginError):
                        raise AmiLoginError(str(self._last_error), action="Login")
                    await self._changed.wait()
        except TimeoutError:
            reason = self._last_error or "no answer yet"
            raise AmiNotConnectedError(f"AMI not ready within {timeout_ms} ms: {reason}") from None

    async def close(self) -> None:
        """Ends everything: session, reconnecting, handlers. It never logs in again."""
        self._closed = True
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})
        for handler in tuple(self._handlers):
            await handler.close()
        self._notify_waiters()

    async def _stay_connected(self) -> None:
        rng = random.Random()  # noqa: S311  # jitter, not a secret
        failures = 0
        while True:
            session = AmiSession(self._settings, wants=self._wants, on_event=self._dispatch)
            was_ready = False
            error: AmiError
            try:
                await session.open()
                was_ready = True
                failures = 0
                self._enter_ready(session)
                error = await session.watch()
            except AmiError as reason:
                error = reason
            except Exception:  # our own fault must not end the reconnecting
                log.exception("AMI: unexpected error in turnrec itself")
                error = AmiNotConnectedError("unexpected error in turnrec itself, see the log")
            finally:
                self._session = None
                await session.aclose()
            failures += 1
            delay_ms = retry_delay_ms(self._settings, error, failures, rng)
            self._note_failure(error, delay_ms, was_ready=was_ready)
            await asyncio.sleep(delay_ms / 1000)

    def _enter_ready(self, session: AmiSession) -> None:
        self._session = session
        self._sessions += 1
        self._last_error = None
        self._retry_delay_ms = 0
        log.info("AMI: ready at %s:%d", self._settings.host, self._settings.port)
        self._tell_state(None)

    def _note_failure(self, error: AmiError, delay_ms: int, *, was_ready: bool) -> None:
        self._last_error = error
        self._retry_delay_ms = delay_ms
        level = logging.ERROR if was_ready or isinstance(error, AmiLoginError) else logging.WARNING
        log.log(level, "%s; next attempt in %.1f s", error, delay_ms / 1000)
        if was_ready:
            self._tell_state(error)
        self._notify_waiters()

    def _tell_state(self, lost: AmiError | None) -> None:
        for queue in tuple(self._state):
            queue.put(lost)
        self._notify_waiters()

    def _notify_waiters(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # -- actions ---------------------------------------------------------------------------------

    async def action(
        self,
        name: str,
        fields: Mapping[str, FieldValue] | None = None,
        /,
        *,
        timeout_ms: int | None = None,
        **more: FieldValue,
    ) -> AmiResponse:
        """Sends one action and gives its response, which is a success.

        Fields are given by keyword (`Channel=name`) or, where they are computed, as a mapping.
        One given as a list is sent as several lines (`Variable=["a=1", "b=2"]`). Events that
        carry the action's id are no answer: Originate returns when it is queued.
        """
        return await self._request(AmiAction(name, {**(fields or {}), **more}), timeout_ms)

    async def action_list(
        self,
        name: str,
        fields: Mapping[str, FieldValue] | None = None,
        /,
        *,
        complete_event: str,
        timeout_ms: int | None = None,
        **more: FieldValue,
    ) -> list[AmiEvent]:
        """Sends an action that is answered by events; gives them without the one that ends them.

        `await client.action_list("CoreShowChannels", complete_event="CoreShowChannelsComplete")`.
        All or nothing: a list that doesn't end within the time is AmiTimeoutError.
        """
        action = AmiAction(name, {**(fields or {}), **more}, complete_event=complete_event)
        await self._request(action, timeout_ms)
        return action.events

    async def command(self, cli: str, *, timeout_ms: int | None = None) -> str:
        """Runs a command of Asterisk's CLI and gives what it printed."""
        return (await self.action("Command", timeout_ms=timeout_ms, Command=cli)).output

    async def _request(self, action: AmiAction, timeout_ms: int | None) -> AmiResponse:
        session = self._session
        if session is None or not session.usable:
            reason = f": {self._last_error}" if self._last_error else ""
            raise AmiNotConnectedError(
                f"{action.name} was not sent: no AMI session{reason}", action=action.name
            )
        return await session.request(
            action, self._settings.action_timeout_ms if timeout_ms is None else timeout_ms
        )

    # -- being told ------------------------------------------------------------------------------

    def subscribe(self, *names: str, handler: EventHandler) -> Unsubscribe:
        """Calls `handler` with every event of these names (exact, as Asterisk writes them).

        One at a time and in order; an exception is logged and costs no event. What nobody has
        subscribed to is not even parsed. Events of a lost session that were already read are
        still delivered.
        """
        if not names:
            raise ValueError("subscribe() needs the name of an event")
        queue = HandlerQueue(
            handler, label=",".join(names), max_queued=self._settings.max_queued_events
        )
        self._handlers.add(queue)
        keys = {name.encode() for name in names}
        for key in keys:
            self._events.setdefault(key, []).append(queue)

        def unsubscribe() -> None:
            queue.stop(when_idle=lambda: self._handlers.discard(queue))
            for key in keys:
                queues = [other for other in self._events.get(key, []) if other is not queue]
                if queues:
                    self._events[key] = queues
                else:
                    self._events.pop(key, None)

        return unsubscribe

    def on_ready(self, handler: ReadyHandler) -> Unsubscribe:
        """Calls `handler` after every login, the first one too: the moment to reconcile."""
        return self._on_state("on_ready", lambda lost: handler() if lost is None else None)

    def on_lost(self, handler: LostHandler) -> Unsubscribe:
        """Calls `handler` with the reason whenever a ready session is lost; close() is no loss.

        It is told at once, even while an on_ready handler is still at work.
        """
        return self._on_state("on_lost", lambda lost: None if lost is None else handler(lost))

    def _on_state(
        self, label: str, handler: Callable[[AmiError | None], Awaitable[None] | None]
    ) -> Unsubscribe:
        queue = HandlerQueue(handler, label=label, max_queued=self._settings.max_queued_events)
        self._handlers.add(queue)
        self._state.append(queue)

        def unsubscribe() -> None:
            queue.stop(when_idle=lambda: self._handlers.discard(queue))
            if queue in self._state:
                self._state.remove(queue)

        return unsubscribe

    def _wants(self, name: bytes) -> bool:
        return name in self._events

    def _dispatch(self, event: AmiEvent) -> None:
        for queue in self._events.get(event.name.encode(), ()):
            queue.put(event)
