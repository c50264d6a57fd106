"""Remembers what was answered to a call with an Idempotency-Key, and answers the same again.

For a day, for the newest ten thousand, until the server ends: what a call may do twice without harm
rests on the recorder's rules, not on this. Only what was done or refused is kept: after a fault
the same key tries again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from turnrec.core.errors import RefusedError

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Whose: TypeAlias = "tuple[str, str, str, str]"
"""Origin, key's name, path, and the Idempotency-Key itself."""

_KEEP_S: Final = 86_400.0
_MOST: Final = 10_000
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_NOT_KEPT: Final = frozenset({401, 403, 408, 429})


class BadIdempotencyKeyError(RefusedError):
    """An Idempotency-Key that can't be one."""

    id = "bad-request"

    def __init__(self) -> None:
        super().__init__("header.idempotency-key: 1 to 255 printable characters without spaces")


class IdempotencyKeyReusedError(RefusedError):
    """The same key with another body: the first call's answer would be a wrong one."""

    id = "idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key came with another request before: take a new one")


@dataclass(slots=True)
class Repeated:
    """An answer that was given before."""

    messages: list[Message]

    async def send(self, send: Send) -> None:
        """Give it again, marked as such."""
        start, *rest = self.messages
        headers = [*start["headers"], (b"idempotency-replayed", b"true")]
        await send({**start, "headers": headers})
        for message in rest:
            await send(message)


@dataclass(slots=True)
class First:
    """A call that comes for the first time."""

    messages: list[Message] = field(default_factory=list)

    def keeping(self, send: Send) -> Send:
        """Send, and keep what is sent."""

        async def keep(message: Message) -> None:
            self.messages.append(message)
            await send(message)

        return keep

    @property
    def is_worth_keeping(self) -> bool:
        """Whether it was answered to the end, and the same would be answered again."""
        last = self.messages[-1] if self.messages else {}
        if last.get("type") != "http.response.body" or last.get("more_body"):
            return False
        status: int = self.messages[0]["status"]
        return status < 500 and status not in _NOT_KEPT


@dataclass(slots=True)
class _Known:
    fingerprint: bytes
    at_s: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    messages: list[Message] | None = None


class Memory:
    """The answers given."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._known: OrderedDict[Whose, _Known] = OrderedDict()
        self._clock = clock

    @asynccontextmanager
    async def once(self, whose: Whose, content: bytes) -> AsyncIterator[First | Repeated]:
        """Enter a call; one that comes again meanwhile waits for the first one's answer.

        Raises:
            BadIdempotencyKeyError: the key can't be one.
            IdempotencyKeyReusedError: another call had this key.
        """
        if _KEY.fullmatch(whose[-1]) is None:
            raise BadIdempotencyKeyError
        self._forget()
        fingerprint = hashlib.sha256(content).digest()
        known = self._known.setdefault(whose, _Known(fingerprint, self._clock()))
        if known.fingerprint != fingerprint:
            raise IdempotencyKeyReusedError
        async with known.lock:
            if known.messages is not None:
                yield Repeated(known.messages)
                return
            first = First()
            try:
                yield first
            finally:
                if first.is_worth_keeping:
                    known.messages = first.messages

    def _forget(self) -> None:
        too_old = self._clock() - _KEEP_S
        while self._known:
            oldest = next(iter(self._known.values()))
            if oldest.at_s > too_old and len(self._known) < _MOST:
                return
            self._known.popitem(last=False)
