"""An Asterisk manager that sends captured events as fast as they are taken; a process of its own.

It prints its port, serves one connection after the other, and ends with its standard input. The
action `Feed` (Stream, Calls, Fresh) is answered, then come that many calls, then one Fed event.
With `Fresh: 1` each call has its own uniqueids, else they come again and again.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
from collections.abc import Mapping

from bench.events_stream import FED, Stream, another, one_call

_BLOCK_CALLS = 64


def main() -> None:
    """Serve until standard input is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        sys.stdin.read()


def _serve(server: socket.socket) -> None:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                _Peer(connection).talk()
            except ConnectionError:
                continue


class _Peer:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._came = b""

    def talk(self) -> None:
        self._connection.sendall(b"Asterisk Call Manager/7.0.3\r\n")
        while True:
            self._take()

    def _take(self) -> None:
        """Wait for what comes next, and answer it."""
        came = self._connection.recv(65536)
        if not came:
            raise ConnectionResetError
        *actions, self._came = (self._came + came).split(b"\r\n\r\n")
        for action in actions:
            lines = action.decode().split("\r\n")
            self._answer({name.lower(): value for name, _, value in _parts(lines)})

    def _answer(self, action: Mapping[str, str]) -> None:
        answer = f"Response: Success\r\nActionID: {action.get('actionid', '')}\r\n\r\n"
        self._connection.sendall(answer.encode())
        match action["action"].lower():
            case "login":
                self._connection.sendall(b"Event: FullyBooted\r\nPrivilege: system,all\r\n\r\n")
            case "feed":
                stream = Stream(action["stream"])
                self._feed(stream, int(action["calls"]), fresh=action.get("fresh") == "1")

    def _feed(self, stream: Stream, calls: int, *, fresh: bool) -> None:
        call, _ = one_call(stream)
        block = b"".join([call] * _BLOCK_CALLS)
        for first in range(0, calls, _BLOCK_CALLS):
            numbers = range(first, min(first + _BLOCK_CALLS, calls))
            if fresh:
                block = b"".join(another(call, number) for number in numbers)
            self._connection.sendall(block[: len(call) * len(numbers)] if not fresh else block)
            while select.select([self._connection], [], [], 0)[0]:
                self._take()  # a ping, say: the client would hang up on who doesn't answer it
        self._connection.sendall(f"Event: {FED}\r\nPrivilege: user,all\r\n\r\n".encode())


def _parts(lines: list[str]) -> list[tuple[str, str, str]]:
    return [line.partition(": ") for line in lines]


if __name__ == "__main__":
    main()
