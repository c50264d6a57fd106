"""The CLI's side of the control socket."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path
from typing import Any

import httpx

from turnrec.core.errors import TurnrecError

_TIMEOUT_S = 30.0


class ServerUnreachableError(TurnrecError):
    """No turnrec answers on the control socket."""

    id = "server-unreachable"


class ServerRefusedError(TurnrecError):
    """turnrec answered that it can't or won't; `refusal_id` is the stable id of why."""

    id = "server-refused"

    def __init__(self, refusal_id: str, sentence: str) -> None:
        self.refusal_id = refusal_id
        super().__init__(sentence)


class ControlClient:
    """Asks a running turnrec."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, url: str, **query: str | int | bool | None) -> Any:
        """Ask for something.

        Raises:
            ServerUnreachableError, ServerRefusedError: it can't be had.
        """
        wanted = {name: value for name, value in query.items() if value is not None}
        return self._request("GET", url, params=wanted)

    def get_text(self, url: str, **query: str | int | bool | None) -> str:
        """Ask for something that isn't JSON, or that is to be shown as it is.

        Raises:
            ServerUnreachableError, ServerRefusedError: it can't be had.
        """
        wanted = {name: value for name, value in query.items() if value is not None}
        return self._answer("GET", url, params=wanted).text

    def post(self, url: str, body: dict[str, Any] | None = None) -> Any:
        """Have something done.

        Raises:
            ServerUnreachableError, ServerRefusedError: it was not done, or isn't known to be.
        """
        return self._request("POST", url, json=body or {})

    def _request(self, method: str, url: str, **options: Any) -> Any:
        return self._answer(method, url, **options).json()

    def _answer(self, method: str, url: str, **options: Any) -> httpx.Response:
        transport = httpx.HTTPTransport(uds=str(self._path))
        try:
            self._knock()
            headers = {"Turnrec-Actor": getpass.getuser()}
            with httpx.Client(
                transport=transport, base_url="http://turnrec", headers=headers
            ) as client:
                answer = client.request(method, url, timeout=_TIMEOUT_S, **options)
        except (httpx.HTTPError, OSError) as error:
            raise ServerUnreachableError(
                f"no turnrec answers on {self._path}: is `turnrec serve` running, as this user,"
                f" with the same configuration? ({error})"
            ) from error
        if answer.is_success:
            return answer
        try:
            problem = answer.json()
            raise ServerRefusedError(problem["id"], problem["detail"])
        except (ValueError, KeyError, TypeError):
            raise ServerRefusedError(
                "http-error", f"turnrec answered with HTTP {answer.status_code}"
            ) from None

    def _knock(self) -> None:
        """Find out whether anybody listens: httpx leaves its socket open where nobody does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(_TIMEOUT_S)
            door.connect(str(self._path))
