"""The command line in this process, and an API that answers as a test says, at a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

import pytest

from turnrec.cli import main
from turnrec.web.doors import ControlSocket, HttpServer
from turnrec.web.gate import Gate


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed."""
        return json.loads(self.out)


Answer = Callable[[Asked], Any]


@dataclass
class Api:
    """What answers: by method and path, JSON or bytes; `(status, JSON)` for a refusal."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {key.decode(): value.decode("latin-1") for key, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode()))
        given = json.loads(body) if body else None
        asked = Asked(scope["method"], scope["path"], query, given, headers)
        self.asked.append(asked)
        refusal = (404, {"id": "not-found", "detail": "there is no such address"})
        found = self.answers.get(f"{asked.method} {asked.path}", refusal)
        found = found(asked) if callable(found) else found
        status, content = found if isinstance(found, tuple) else (200, found)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": data})


class World:
    """A folder with settings, an API behind its control socket, and the command line."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self.api = Api()
        self.url = ""
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.config = folder / "turnrec.toml"
        self.config.write_text(
            '[asterisk]\nami_enabled = false\n[server]\ncontrol_socket = "s"\n'
            '[api]\nkeys_file = "keys.json"\n[recordings]\ndir = "r"\nspool_dir = "p"\n'
            '[ledger]\nurl = "sqlite:///l.db"\n'
        )
        for name in os.environ:
            if name.startswith("TURNREC_"):
                monkeypatch.delenv(name)
        self.set("TURNREC_CONFIG", str(self.config))
        self.set("TZ", "UTC")

    def set(self, name: str, value: str) -> None:
        """Set a variable of the environment."""
        self._monkeypatch.setenv(name, value)

    async def run(self, *arguments: str) -> Done:
        """Run one command to its end."""
        return await asyncio.to_thread(self.run_now, *arguments)

    def run_now(self, *arguments: str) -> Done:
        """Run one command that asks nobody, or somebody else's loop."""
        self._monkeypatch.setattr(sys, "argv", ["turnrec", *arguments])
        self._capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as error:
            status = int(error.code or 0)
        said = self._capsys.readouterr()
        return Done(status, said.out, said.err)


@contextlib.asynccontextmanager
async def world_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[World]:
    """Open the API's two doors."""
    world = World(folder, monkeypatch, capsys)
    control = ControlSocket(cast("Gate", world.api), folder / "s")
    http = HttpServer(cast("Gate", world.api), "127.0.0.1", 0)
    await control.start()
    await http.start(has_keys=True)
    world.url = f"http://127.0.0.1:{http.port}"
    try:
        yield world
    finally:
        await http.stop()
        await control.stop()


def call(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A call as the API describes it."""
    return {
        "id": f"01CALL{number}",
        "uniqueid": f"1731402.{number}",
        "external_id": f"kyc-{number}",
        "channel": f"PJSIP/line-{number}",
        "bot": "kyc",
        "started": "2026-11-21T13:05:00.250+00:00",
        "ended": None,
        "state": "recording",
        "holds": [],
        "node": "greeting",
        "turn": 1,
        "recording": f"01REC{number}",
        "since": "2026-11-21T13:05:00.250+00:00",
        "allowed": ["pause", "stop"],
        "refused": {},
        "company": [],
        "unconfirmed_monitors": 0,
        **changes,
    }


def event(seq: int, kind: str = "turn.begun", **data: Any) -> dict[str, Any]:
    """An event as the API tells it."""
    return {
        "type": kind,
        "seq": seq,
        "timestamp": "2026-11-21T13:05:00.250+00:00",
        "call": "01CALL1",
        "recording": None,
        "bot": "kyc",
        "data": {"node": None, "turn": None, "holds": [], "state": None, **data},
    }


def page(*items: Any, following: str | None = None) -> dict[str, Any]:
    """A page of a list."""
    return {"items": list(items), "next": following}


def frames(*told: dict[str, Any], ids: bool = True) -> bytes:
    """Events as a stream's bytes."""
    return b"".join(
        f"id: {one['seq']}\nevent: {one['type']}\ndata: {json.dumps(one)}\n\n".encode()
        for one in told
    )
