"""The command line's side of the API: by the control socket, or by HTTP with a key.

It repeats nothing by itself. Every action is safe to repeat, but when to do so is a person's
choice: a resume that is sent again a minute later may be one that nobody wants any more. So it
sends no Idempotency-Key either: there is no second request that could need one.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from turnrec.core.errors import TurnrecError

if TYPE_CHECKING:
    # Imported where it is used: `turnrec serve` asks nobody, and need not wait for it.
    import httpx

_TIMEOUT_S: Final = 30.0
_STREAM_TIMEOUT_S: Final = 45.0
"""A stream says that it is alive every 15 s."""
_PERSON: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_KEY: Final = re.compile(r"[!-~]{1,256}")
Query = Mapping[str, str | int | bool | None]


class ServerUnreachableError(TurnrecError):
    """No turnrec answers at the control socket or the address."""

    id = "server-unreachable"


class ServerRefusedError(TurnrecError):
    """turnrec answered that it can't or won't; `refusal_id` is the stable id of why."""

    id = "server-refused"

    def __init__(self, refusal_id: str, sentence: str) -> None:
        self.refusal_id = refusal_id
        super().__init__(sentence)


class BadAddressError(TurnrecError):
    """What was given can't be the address of a turnrec, or its key."""

    id = "bad-address"


@dataclass(frozen=True, slots=True)
class Told:
    """One server-sent event."""

    name: str
    data: str
    """Empty: only `id` has moved on."""
    id: str


class Client(ABC):
    """Asks a running turnrec."""

    timeout_s: float = _TIMEOUT_S

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it asks, for people."""

    @property
    @abstractmethod
    def person(self) -> str | None:
        """Who asks, where the door doesn't know: for the member `actor` of a request's body."""

    @abstractmethod
    def _open(self) -> httpx.Client:
        """Make the HTTP client, once something listens there."""

    @abstractmethod
    def _unreachable(self, error: Exception) -> ServerUnreachableError:
        """Say that nobody answers."""

    def get(self, url: str, **query: str | int | bool | None) -> Any:
        """Ask for something.

        Raises:
            ServerUnreachableError, ServerRefusedError: it can't be had.
        """
        return self._json(self._answer("GET", url, params=_given(query)))

    def get_text(self, url: str, **query: str | int | bool | None) -> str:
        """Ask for something that isn't JSON, or that is to be shown as it is.

        Raises:
            ServerUnreachableError, ServerRefusedError: it can't be had.
        """
        return self._answer("GET", url, params=_given(query)).text

    def get_bytes(self, url: str, **query: str | int | bool | None) -> bytes:
        """Ask for something whose every byte counts.

        Raises:
            ServerUnreachableError, ServerRefusedError: it can't be had.
        """
        return self._answer("GET", url, params=_given(query)).content

    def answer(self, url: str) -> tuple[int, Any]:
        """Ask for something that tells also by its status; any status is an answer.

        Raises:
            ServerUnreachableError: there is none.
            ServerRefusedError: it isn't turnrec's.
        """
        answer = self._send("GET", url)
        return answer.status_code, self._json(answer)

    def post(self, url: str, body: Mapping[str, Any] | None = None) -> Any:
        """Have something done.

        Raises:
            ServerUnreachableError, ServerRefusedError: it was not done, or isn't known to be.
        """
        return self._json(self._answer("POST", url, json=dict(body or {})))

    def delete(self, url: str) -> Any:
        """Have something taken away; None where nothing is answered to that.

        Raises:
            ServerUnreachableError, ServerRefusedError: it was not done, or isn't known to be.
        """
        answer = self._answer("DELETE", url)
        return self._json(answer) if answer.content else None

    def listen(self, url: str, **query: str | int | bool | None) -> Iterator[Told]:
        """Hear server-sent events until the server ends the stream, as it does now and then.

        Raises:
            ServerUnreachableError: nobody answers, or no longer.
            ServerRefusedError: they can't be had.
        """
        with self._streamed(url, _given(query), _STREAM_TIMEOUT_S) as answer:
            yield from _events(answer.iter_lines())

    @contextmanager
    def download(self, url: str, **query: str | int | bool | None) -> Iterator[httpx.Response]:
        """Have a file sent, piece by piece.

        Raises:
            ServerUnreachableError, ServerRefusedError: it can't be had.
        """
        with self._streamed(url, _given(query), self.timeout_s) as answer:
            yield answer

    # -------------------------------------------------------------- how

    def _answer(self, method: str, url: str, **options: Any) -> httpx.Response:
        answer = self._send(method, url, **options)
        if answer.is_success:
            return answer
        raise _refusal(answer)

    def _send(self, method: str, url: str, **options: Any) -> httpx.Response:
        import httpx

        try:
            with self._open() as client:
                return client.request(method, url, timeout=self.timeout_s, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout, OSError) as error:
            raise self._unreachable(error) from error
        except httpx.HTTPError as error:
            doubt = "" if method == "GET" else "; whether it was done isn't known: look"
            raise ServerUnreachableError(
                f"the answer of {self.place} did not come ({_why(error)}){doubt}"
            ) from error

    @contextmanager
    def _streamed(self, url: str, query: Query, timeout_s: float) -> Iterator[httpx.Response]:
        import httpx

        timeout = httpx.Timeout(self.timeout_s, read=timeout_s)
        try:
            with (
                self._open() as client,
                client.stream("GET", url, params=query, timeout=timeout) as answer,
            ):
                if not answer.is_success:
                    answer.read()
                    raise _refusal(answer)
                yield answer
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._unreachable(error) from error
        except httpx.HTTPError as error:
            raise ServerUnreachableError(f"{self.place} has gone silent ({_why(error)})") from error

    @staticmethod
    def _json(answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError:
            raise ServerRefusedError(
                "http-error", f"what answered with HTTP {answer.status_code} is no turnrec"
            ) from None


class ControlClient(Client):
    """Asks the turnrec of this machine, by its control socket."""

    def __init__(self, path: Path, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._path = path
        self.timeout_s = timeout_s

    @property
    def place(self) -> str:
        """The socket's path."""
        return str(self._path)

    @property
    def person(self) -> str | None:
        """Nobody: the socket's header says it."""
        return None

    def _open(self) -> httpx.Client:
        import httpx

        try:
            self._knock()
        except OSError as error:
            raise self._unreachable(error) from error
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self._path)),
            base_url="http://turnrec",
            headers={"Turnrec-Actor": this_user() or "local"},
        )

    def _unreachable(self, error: Exception) -> ServerUnreachableError:
        return ServerUnreachableError(
            f"no turnrec answers on {self._path}: is `turnrec serve` running, as this user,"
            f" with the same configuration? ({_why(error)})"
        )

    def _knock(self) -> None:
        """Find out whether anybody listens: httpx leaves its socket open where nobody does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(self.timeout_s)
            door.connect(str(self._path))


class RemoteClient(Client):
    """Asks a turnrec by HTTP, with an API key."""

    def __init__(self, url: str, key: str | None, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Make it. Without a key it is asked whether it is ready, and refuses all else.

        Raises:
            BadAddressError: `url` is no address, or the key can't be one.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadAddressError("give the whole address, as in https://host:8077")
        if "@" in parts.netloc:
            raise BadAddressError("a name or password in the address is seen by others: give a key")
        if key is not None and _KEY.fullmatch(key) is None:
            raise BadAddressError("the API key is one word of printable characters, as `trk_...`")
        self._url = url
        self._key = key
        self.timeout_s = timeout_s
        self.is_in_clear = (
            key is not None and parts.scheme == "http" and not _is_loopback(parts.hostname)
        )
        """Whether the key can be read on its way."""

    @property
    def place(self) -> str:
        """The address."""
        return self._url

    @property
    def person(self) -> str | None:
        """The user of this command line, so that the ledger knows who had the key."""
        return this_user()

    def _open(self) -> httpx.Client:
        import httpx

        headers = {} if self._key is None else {"Authorization": f"Bearer {self._key}"}
        return httpx.Client(base_url=self._url, headers=headers)

    def _unreachable(self, error: Exception) -> ServerUnreachableError:
        return ServerUnreachableError(
            f"no turnrec answers at {self._url}: is it the [api] host and port of that machine?"
            f" ({_why(error)})"
        )


def this_user() -> str | None:
    """The user's name as the ledger may take it; None: there is none such."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in passwd
        name = str(os.getuid())
    return name if _PERSON.fullmatch(name) else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _given(query: Query) -> dict[str, str | int | bool]:
    return {name: value for name, value in query.items() if value is not None}


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _refusal(answer: httpx.Response) -> ServerRefusedError:
    try:
        problem = answer.json()
        sentence = str(problem["detail"])
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            sentence += "; here it is taken from TURNREC_API_KEY, or from --key-file"
        return ServerRefusedError(str(problem["id"]), sentence)
    except (ValueError, KeyError, TypeError):
        return ServerRefusedError("http-error", f"the answer is HTTP {answer.status_code}")


def _events(lines: Iterator[str]) -> Iterator[Told]:
    """Read server-sent events as the HTML standard has them."""
    name, data, last_id = "", list[str](), ""
    moved = False
    for line in lines:
        if not line:
            if data or moved:
                yield Told(name or "message", "\n".join(data), last_id)
            name, data, moved = "", [], False
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            last_id, moved = value, True
