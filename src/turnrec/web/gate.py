"""Stands before every route: who asks, how often, how much; and answers a repeated call again.

It knows no route's meaning. What it doesn't let through reaches nobody.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any, Final, Protocol, TypeAlias

from turnrec.core.entry import Origin
from turnrec.core.errors import FaultError, RefusedError, TurnrecError
from turnrec.web.access import Access, Right
from turnrec.web.idempotency import Memory, Repeated
from turnrec.web.keys import KeyRing, KeysFileError
from turnrec.web.problems import problem, problem_of
from turnrec.web.rates import Rates

logger = logging.getLogger(__name__)

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 4 << 20
_MAX_PATH: Final = 2048
_BODY_WITHIN_S: Final = 30.0
_GUARDED: Final = ("/v1/", "/metrics")
_ACTOR: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


class UnauthorizedError(RefusedError):
    """No key, or none that is good."""

    id = "unauthorized"

    def __init__(self) -> None:
        super().__init__(
            "give a good API key: `Authorization: Bearer trk_...` (`turnrec api-key new` makes one)"
        )


class KeysUnreadableError(FaultError):
    """The server can't read its API keys: nobody can be let in."""

    id = "api-keys-unreadable"

    def __init__(self) -> None:
        super().__init__("the server can't read its API keys; its log says why")


class Admission(Protocol):
    """What a door knows of who comes in."""

    def admit(self, headers: Mapping[bytes, bytes], address: str) -> Access:
        """Find out who it is.

        Raises:
            TurnrecError: they are let in nowhere.
        """


class LocalAdmission:
    """The control socket's: whoever can open it is the service's user or root, and may all."""

    def admit(self, headers: Mapping[bytes, bytes], address: str) -> Access:
        """Take the name that they give themselves: it can't be known better."""
        del address
        name = headers.get(b"turnrec-actor", b"").decode("latin-1")
        if _ACTOR.fullmatch(name) is None:
            name = "local"
        return Access(name, frozenset({Right.ADMIN}), Origin.CLI)


class KeyAdmission:
    """HTTP's: by key."""

    def __init__(
        self, keys: KeyRing, *, requests_per_s: float, on_refused: Callable[[str], None]
    ) -> None:
        """Make it. `on_refused` is told the address of each attempt without a good key."""
        self._keys = keys
        self._rates = Rates(requests_per_s, 2 * requests_per_s)
        self._strangers = Rates(requests_per_s, 2 * requests_per_s)
        self._on_refused = on_refused

    def admit(self, headers: Mapping[bytes, bytes], address: str) -> Access:
        """Find the key's access."""
        scheme, _, presented = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        access = None
        if scheme.lower() == "bearer":
            try:
                access = self._keys.recognise(presented.strip())
            except KeysFileError as error:
                # Where the file lies, and what is in it, is nobody's business out there.
                logger.error("no API key is good: %s", error)  # noqa: TRY400 - the sentence says it
                raise KeysUnreadableError from error
        if access is None:
            self._strangers.take(address)
            if presented:
                self._on_refused(address)
            raise UnauthorizedError
        self._rates.take(access.name)
        return access


class Gate:
    """The ASGI application around the application."""

    def __init__(
        self, app: App, admission: Admission, *, body_within_s: float = _BODY_WITHIN_S
    ) -> None:
        self._app = app
        self._body_within_s = body_within_s
        self._admission = admission
        self._memory = Memory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        headers = dict(scope["headers"])
        if len(path) + len(scope["query_string"]) > _MAX_PATH:
            await problem(414, "too-large", "the address is too long")(scope, receive, send)
            return
        if not path.startswith(_GUARDED):
            await self._app(scope, receive, send)
            return
        try:
            client = scope.get("client")
            address = str(client[0]) if client else ""
            access = replace(self._admission.admit(headers, address), address=address)
        except TurnrecError as error:
            answer = problem_of(error)
            if isinstance(error, UnauthorizedError):
                answer.headers["WWW-Authenticate"] = "Bearer"
            await answer(scope, receive, send)
            return
        scope["turnrec.access"] = access
        if scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        try:
            try:
                async with asyncio.timeout(self._body_within_s):
                    body = await _read(headers, receive)
            except TimeoutError:
                raise TooSlowError from None
            if body is None:
                return
            given = _given(body, receive)
            repeated = headers.get(b"idempotency-key")
            if repeated is None or scope["method"] != "POST":
                await self._app(scope, given, send)
                return
            whose = (access.origin.value, access.name, scope["path"], repeated.decode("latin-1"))
            content = scope["query_string"] + b"\n" + body
            async with self._memory.once(whose, content) as turn:
                if isinstance(turn, Repeated):
                    await turn.send(send)
                    return
                await self._app(scope, given, turn.keeping(send))
        except TurnrecError as error:
            await problem_of(error)(scope, receive, send)


class TooLargeError(RefusedError):
    """A body beyond all that this API takes."""

    id = "too-large"

    def __init__(self) -> None:
        super().__init__(f"a body has at most {MAX_BODY_BYTES} bytes")


class TooSlowError(RefusedError):
    """A body that doesn't come to its end."""

    id = "request-timeout"

    def __init__(self) -> None:
        super().__init__(f"a body is to be here within {_BODY_WITHIN_S:g} s")


async def _read(headers: Mapping[bytes, bytes], receive: Receive) -> bytes | None:
    """Read a body as a whole, if it isn't too large; uvicorn holds it to its declared length.

    None: whoever sent it went away in the middle. Half a body is nobody's wish.
    """
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 12 or int(declared) > MAX_BODY_BYTES:
        raise TooLargeError
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError
        if not message.get("more_body"):
            return bytes(body)


def _given(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read already; afterwards whatever else comes."""
    is_given = False

    async def giving() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return giving
