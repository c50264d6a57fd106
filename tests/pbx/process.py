"""The real `turnrec` as processes of its own: a server that can be killed and frozen, and the CLI.

Nothing of turnrec runs in the test's process. The server reads the rig's TOML file; what it did is
read from its log, its ledger and the files it left.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.pbx.rig import WAIT_S, Rig, until
from turnrec.core.entry import Entry
from turnrec.ledger.chain import ChainReport
from turnrec.ledger.reader import LedgerReader
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx import process


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now: a server that comes back must have the same."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition that has to be asked for."""
    async with asyncio.timeout(WAIT_S):
        while not await condition():  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.02)
    assert await condition(), what


@dataclass(frozen=True, slots=True)
class Done:
    """What a command of the CLI came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.out)


async def turnrec(here: Rig, *arguments: str) -> Done:
    """Run one command of the CLI with the rig's settings."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "turnrec",
        *arguments,
        env=_environment(here),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WAIT_S):
        out, err = await child.communicate()
    assert child.returncode is not None
    return Done(child.returncode, out.decode(), err.decode())


class Server:
    """`turnrec serve`, with whatever may be done to a process."""

    def __init__(self, here: Rig, *options: str) -> None:
        self._here = here
        self._options = options
        self._process: asyncio.subprocess.Process | None = None
        self.log_path = here.folder / "turnrec.log"

    @property
    def pid(self) -> int:
        """The process that was started (with a watchdog: the one that watches)."""
        assert self._process is not None
        return self._process.pid

    @property
    def watched_pid(self) -> int | None:
        """The process that serves under a watchdog."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii").split()
        return int(children[0]) if children else None

    @property
    def log(self) -> str:
        """All that its processes have logged so far."""
        return self.log_path.read_text("utf-8")

    async def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "turnrec",
                "serve",
                *self._options,
                env=_environment(self._here),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await self.wait_answers()

    async def wait_answers(self) -> None:
        """Wait until the control socket says that it is alive."""

        async def answers_or_died() -> bool:
            assert self._process is not None
            assert self._process.returncode is None, self.log
            return await self.answers()

        await eventually(answers_or_died, "turnrec answers")

    async def answers(self) -> bool:
        """Whether it says that it is alive."""
        try:
            return bool((await self._ask("GET", "/healthz"))["alive"])
        except httpx.HTTPError:
            return False

    async def status(self) -> dict[str, Any]:
        """How it says that it is."""
        found: dict[str, Any] = await self._ask("GET", "/v1/status")
        return found

    async def calls(self) -> list[dict[str, Any]]:
        """The calls that it says are live, newest first."""
        found: list[dict[str, Any]] = (await self._ask("GET", "/v1/calls"))["items"]
        return found

    async def act(self, call: str, action: str) -> dict[str, Any]:
        """Have it carry out an operator's action, as the CLI does."""
        outcome = await self._ask("POST", f"/v1/calls/{call}/actions", {"action": action})
        found: dict[str, Any] = outcome["call"]
        return found

    async def _ask(self, method: str, url: str, body: object = None) -> Any:
        transport = httpx.AsyncHTTPTransport(uds=str(self._here.settings.server.control_socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://turnrec") as client:
            answer = await client.request(method, url, json=body, timeout=WAIT_S)
            return answer.raise_for_status().json()

    async def wait_ami(self) -> None:
        """Wait until it has logged in to Asterisk's manager."""

        async def ready() -> bool:
            return bool((await self.status())["ami_ready"])

        await eventually(ready, "AMI ready")

    async def kill(self) -> None:
        """End it as a crash does, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def end(self) -> int:
        """End it in order; its exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        async with asyncio.timeout(WAIT_S):
            return await self._process.wait()

    async def freeze(self, pid: int | None = None) -> None:
        """Let nothing of it run until `thaw`; its connections stay open and give no answer."""
        frozen = process.identify(pid or self.pid)
        process.send(frozen, signal.SIGSTOP)
        # The signal is only sent so far: each thread stops when it next leaves the kernel.
        await until(lambda: process.is_frozen(frozen), "frozen")

    def thaw(self) -> None:
        """Let it run on."""
        process.send(process.identify(self.pid), signal.SIGCONT)

    async def clean_up(self) -> None:
        """Leave nothing running, whatever a test has done."""
        if self._process is None or self._process.returncode is not None:
            return
        self.thaw()
        await self.end()


@asynccontextmanager
async def serving(here: Rig, *options: str) -> AsyncIterator[Server]:
    """Have `turnrec serve` run beside the rig's PBX, and point the dialplan at it."""
    server = Server(here, *options)
    try:
        await server.start()
        await here.point_at(here.settings.server.agi_port)
        if here.settings.asterisk.ami_enabled:
            await server.wait_ami()
        yield server
    finally:
        await server.clean_up()


class LedgerOf:
    """The ledger of a rig, read from outside."""

    def __init__(self, here: Rig) -> None:
        self._reader = LedgerReader(here.settings.ledger.url.get_secret_value())

    async def closed_recordings(self, count: int = 0) -> list[RecordingRecord]:
        """Wait until at least so many recordings are there and all are closed; oldest first."""

        async def closed() -> bool:
            found = await self.recordings()
            return len(found) >= count and all(one.status.closed for one in found)

        await eventually(closed, f"{count} recordings closed")
        return await self.recordings()

    async def no_call_is_live(self) -> None:
        """Wait until every call that the ledger knows has ended."""

        async def none() -> bool:
            return not await self._reader.calls(live=True, limit=1)

        await eventually(none, "no call is live")

    async def recordings(self) -> list[RecordingRecord]:
        """All recordings, oldest first."""
        return list(reversed(await self._reader.recordings(limit=1000)))

    async def recording_of(self, uniqueid: str) -> RecordingRecord | None:
        """The newest recording of a channel."""
        call = await self._reader.find_call(uniqueid)
        if call is None:
            return None
        found = await self._reader.recordings(call_id=call.call_id, limit=1)
        return found[0] if found else None

    async def entries(self) -> list[Entry]:
        """All entries, in order."""
        return [one.entry for one in await self._reader.entries(limit=None)]

    async def chain(self) -> ChainReport:
        """Whether the entries hang together."""
        return await self._reader.verify_chain()

    async def close(self) -> None:
        """Close the reader."""
        await self._reader.close()


@asynccontextmanager
async def ledger_of(here: Rig) -> AsyncIterator[LedgerOf]:
    """Read a rig's ledger."""
    ledger = LedgerOf(here)
    try:
        yield ledger
    finally:
        await ledger.close()


def _environment(here: Rig) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TURNREC_")}
    return kept | {"TURNREC_CONFIG": str(here.folder / "turnrec.toml")}
