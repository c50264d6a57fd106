"""The faults: each breaks one thing of a running PBX and turnrec, for a while, and mends it again.

A fault knows what it touches, so that those that are injected together don't undo each other. It
judges nothing: what must hold whatever is broken is the auditor's business. What a fault itself
expects at once (a second server must refuse to start) is entered into the journal as a problem.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.chaos.cast import Player, short_call
from tests.chaos.disk import Disk
from tests.chaos.journal import Journal
from tests.chaos.lines import Ailment, Line
from tests.pbx.process import Server, eventually
from tests.pbx.rig import WAIT_S, Rig, until
from turnrec.pbx import process
from turnrec.pbx.errors import PbxError
from turnrec.pbx.phone import Phone
from turnrec.pbx.process import ProcessIdentity


@dataclass
class Stage:
    """What a fault has in its hands."""

    here: Rig
    server: Server
    agi: Line
    ami: Line
    journal: Journal
    rng: random.Random
    phone: Phone
    disk: Disk | None = None
    clock_file: Path | None = None
    """Where libfaketime reads turnrec's clock from; None: there is none."""
    api: str = ""
    key: str = ""
    client: httpx.AsyncClient | None = None
    """For bots that use the API."""
    players: set[Player] = field(default_factory=set)
    dials: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether callers may dial: not while Asterisk is down."""

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.here.folder / "ledger" / "ledger.db"

    def problem(self, place: str, says: str) -> None:
        """Something that must not be has been seen."""
        self.journal.write("problem", place=place, says=says)

    async def child(self) -> ProcessIdentity:
        """The turnrec that serves."""
        found: list[ProcessIdentity] = []

        def is_there() -> bool:
            with contextlib.suppress(OSError):
                pid = self.server.watched_pid
                if pid is not None:
                    found.append(process.identify(pid))
            return bool(found)

        await until(is_there, "a turnrec serves")
        return found[-1]

    async def rx(self, command: str) -> str:
        """A command of Asterisk's CLI; empty where Asterisk doesn't answer."""
        try:
            return await self.here.rx(command)
        except PbxError:
            return ""


Injection = Callable[[Stage], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault."""

    name: str
    says: str
    touches: frozenset[str]
    inject: Injection
    lasts_s: tuple[float, float] = (0.0, 0.0)
    needs: str = ""
    """`disk` or `clock`: what not every machine has."""

    def can_be(self, stage: Stage) -> bool:
        """Whether it can be made here."""
        have = {"disk": stage.disk is not None, "clock": stage.clock_file is not None}
        return have.get(self.needs, True)


# ------------------------------------------------------------------ turnrec


def signalled(number: signal.Signals) -> Injection:
    """Send a signal to the turnrec that serves; its watchdog starts it anew."""

    @asynccontextmanager
    async def inject(stage: Stage) -> AsyncIterator[None]:
        child = await stage.child()
        process.send(child, number)
        yield
        await until(lambda: not process.is_alive(child), "it is gone")

    return inject


@asynccontextmanager
async def stopped(stage: Stage) -> AsyncIterator[None]:
    child = await stage.child()
    process.send(child, signal.SIGSTOP)
    try:
        yield
    finally:
        process.send(child, signal.SIGCONT)


@asynccontextmanager
async def hung(stage: Stage) -> AsyncIterator[None]:
    # One that has never answered is given longer: what hangs here is one that has served.
    await eventually(stage.server.answers, "it serves")
    child = await stage.child()
    process.send(child, signal.SIGSTOP)
    yield
    await until(lambda: not process.is_alive(child), "the watchdog has ended it")


@asynccontextmanager
async def second_server(stage: Stage) -> AsyncIterator[None]:
    status, said = await _serve_beside(stage.here.folder / "turnrec.toml")
    if status == 0 or "lock" not in said.lower():
        stage.problem("a second turnrec", f"it ended with {status}: {said[-300:]}")
    yield


@asynccontextmanager
async def stranger(stage: Stage) -> AsyncIterator[None]:
    """A second turnrec with data of its own, on the same Asterisk and the same spool."""
    folder = stage.here.folder / "second"
    folder.mkdir(exist_ok=True)
    text = (stage.here.folder / "turnrec.toml").read_text("utf-8")
    text = re.sub(r"(?m)^(agi_port|port) = .*$", r"\1 = 0", text)
    for key, value in {
        "dir": folder / "recordings",
        "spool_dir": stage.here.folder / "spool",
        "control_socket": folder / "control.sock",
        "keys_file": folder / "keys.json",
        "path": stage.here.folder / "flow.yaml",
        "url": f"sqlite:///{folder / 'ledger.db'}",
    }.items():
        text = re.sub(rf"(?m)^{key} = .*$", f'{key} = "{value}"', text)
    (folder / "turnrec.toml").write_text(text, "utf-8")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "turnrec", "serve", "-c", str(folder / "turnrec.toml")),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await child.wait()


async def _serve_beside(config: Path) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "turnrec", "serve", "-c", str(config)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(WAIT_S):
            said, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        return 0, "it did not end by itself"
    return child.returncode or 0, said.decode("utf-8", "replace")


# ------------------------------------------------------------------ Asterisk


@asynccontextmanager
async def asterisk_killed(stage: Stage) -> AsyncIterator[None]:
    stage.dials.clear()
    pbx = stage.here.pbx
    pbx.kill(signal.SIGKILL)
    await asyncio.to_thread(pbx.wait_gone)
    for player in tuple(stage.players):
        player.cut_off()
    yield
    await stage.here.restart_pbx()
    stage.dials.set()


@asynccontextmanager
async def asterisk_frozen(stage: Stage) -> AsyncIterator[None]:
    await asyncio.to_thread(stage.here.pbx.freeze)
    try:
        yield
    finally:
        stage.here.pbx.thaw()


def restarted(how: str) -> Injection:
    """`core restart now` ends all calls, `gracefully` waits for their ends."""

    @asynccontextmanager
    async def inject(stage: Stage) -> AsyncIterator[None]:
        stage.dials.clear()
        for player in tuple(stage.players):
            player.meets_a_restart = True
        await stage.rx("dialplan set global CHAOS_BEFORE yes")
        await stage.rx(f"core restart {how}")
        yield
        async with asyncio.timeout(4 * WAIT_S):
            while True:
                shown = await stage.rx("dialplan show globals")
                if "TURNREC_AGI" in shown and "CHAOS_BEFORE" not in shown:
                    break
                await asyncio.sleep(0.1)
        await asyncio.to_thread(stage.here.pbx.wait_booted)
        if how == "now":
            for player in tuple(stage.players):
                player.cut_off()
        stage.dials.set()

    return inject


def commanded(command: str) -> Injection:
    """A command of the CLI in mid-call."""

    @asynccontextmanager
    async def inject(stage: Stage) -> AsyncIterator[None]:
        await stage.rx(command)
        yield

    return inject


def account(pattern: str, replacement: str) -> Injection:
    """Change turnrec's AMI account, and have it log in anew."""

    @asynccontextmanager
    async def inject(stage: Stage) -> AsyncIterator[None]:
        path = stage.here.pbx.run_dir / "etc" / "turnrec-manager.conf"
        was = path.read_text("utf-8")
        try:
            path.write_text(re.sub(pattern, replacement, was), "utf-8")
            await stage.rx("manager reload")
            await stage.ami.break_all()
            yield
        finally:
            path.write_text(was, "utf-8")
            await stage.rx("manager reload")
            await stage.ami.break_all()

    return inject


# ------------------------------------------------------------------ lines, disks, ledger, clock


def ailing(name: str, ailment: Ailment) -> Injection:
    """Something is wrong with a line."""

    @asynccontextmanager
    async def inject(stage: Stage) -> AsyncIterator[None]:
        line: Line = getattr(stage, name)
        await line.ail(ailment)
        try:
            yield
        finally:
            await line.heal()

    return inject


def on_disk(begin: str, end: str) -> Injection:
    """Something is wrong with the disk."""

    @asynccontextmanager
    async def inject(stage: Stage) -> AsyncIterator[None]:
        await asyncio.to_thread(getattr(stage.disk, begin))
        try:
            yield
        finally:
            await asyncio.to_thread(getattr(stage.disk, end))

    return inject


@asynccontextmanager
async def ledger_locked(stage: Stage) -> AsyncIterator[None]:
    """Another process has the database for itself."""
    database = sqlite3.connect(stage.ledger, timeout=10, isolation_level=None)
    try:
        with contextlib.suppress(sqlite3.Error):
            database.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        database.close()


@asynccontextmanager
async def ledger_gone(stage: Stage) -> AsyncIterator[None]:
    away = stage.ledger.with_suffix(".away")
    stage.ledger.rename(away)
    try:
        yield
    finally:
        away.rename(stage.ledger)


@asynccontextmanager
async def ledger_damaged(stage: Stage) -> AsyncIterator[None]:
    """turnrec dies, and its ledger's first page is overwritten; later somebody puts it back."""
    child = await stage.child()
    process.send(child, signal.SIGKILL)
    await until(lambda: not process.is_alive(child), "it is gone")
    with stage.ledger.open("r+b") as file:
        was = file.read(64)
        file.seek(0)
        file.write(b"\xff" * len(was))
    try:
        yield
    finally:
        with stage.ledger.open("r+b") as file:
            file.write(was)


@asynccontextmanager
async def clock_set(stage: Stage) -> AsyncIterator[None]:
    assert stage.clock_file is not None
    offset_s = stage.rng.choice([-7200, -30, 30, 7200])
    stage.clock_file.write_text(f"{offset_s:+d}\n", "ascii")
    try:
        yield
    finally:
        stage.clock_file.write_text("+0\n", "ascii")


# ------------------------------------------------------------------ load


@asynccontextmanager
async def short_calls(stage: Stage) -> AsyncIterator[None]:
    calls = [short_call(stage.here, stage.journal, stage.phone) for _ in range(40)]
    flood = asyncio.gather(*calls)
    yield
    await flood


@asynccontextmanager
async def turns_asked_anyhow(stage: Stage) -> AsyncIterator[None]:
    """Over HTTP: the turn that a bot is at, asked for again and in parallel, and one before it."""
    asking = asyncio.create_task(_ask_anyhow(stage))
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def _ask_anyhow(stage: Stage) -> None:
    client = stage.client
    assert client is not None
    while True:
        standing = [
            one.standing for one in stage.players if one.standing.turn > 1 and one.standing.is_known
        ]
        if not standing:
            await asyncio.sleep(0.05)
            continue
        one = stage.rng.choice(standing)
        other = "open" if one.node == "ask" else "ask"
        url = f"/v1/calls/{one.uniqueid}/turns"
        again = {"node": one.node, "sequence": one.turn}
        stale = {"node": other, "sequence": one.turn - 1}
        answers = await asyncio.gather(
            *(client.post(url, json=body) for body in (again, again, stale)),
            return_exceptions=True,
        )
        refused = answers[2]
        if isinstance(refused, httpx.Response) and refused.is_success:
            stage.problem(f"call {one.uniqueid}", f"a stale turn was not refused: {stale}")
        await asyncio.sleep(0.05)


# ------------------------------------------------------------------ the table

_TURNREC, _ASTERISK, _AMI, _AGI = (
    frozenset({one}) for one in ("turnrec", "asterisk", "ami", "agi")
)
_DISK = frozenset({"disk", "ledger", "asterisk"})

FAULTS = (
    Fault("turnrec-kill", "turnrec gets SIGKILL", _TURNREC, signalled(signal.SIGKILL)),
    Fault("turnrec-term", "turnrec gets SIGTERM", _TURNREC, signalled(signal.SIGTERM)),
    Fault("turnrec-stop", "turnrec stands still, and goes on", _TURNREC, stopped, (0.3, 2.0)),
    Fault("turnrec-hang", "turnrec stands still for good", _TURNREC, hung),
    Fault("turnrec-second", "the same turnrec is started twice", frozenset(), second_server),
    Fault("turnrec-stranger", "another turnrec serves here", frozenset(), stranger, (3, 5)),
    Fault("asterisk-kill", "Asterisk gets SIGKILL", _ASTERISK | _AMI, asterisk_killed),
    Fault(
        "asterisk-freeze", "Asterisk stands still", _ASTERISK | _AMI, asterisk_frozen, (0.3, 2.5)
    ),
    Fault("asterisk-restart", "core restart now", _ASTERISK | _AMI, restarted("now")),
    Fault(
        "asterisk-graceful", "core restart gracefully", _ASTERISK | _AMI, restarted("gracefully")
    ),
    Fault("module-reload", "module reload", _ASTERISK, commanded("module reload")),
    Fault("dialplan-reload", "dialplan reload", _ASTERISK, commanded("dialplan reload")),
    *(Fault(f"ami-{one}", f"AMI: {one}", _AMI, ailing("ami", one), (0.5, 4.0)) for one in Ailment),
    *(
        Fault(f"agi-{one}", f"FastAGI: {one}", _AGI, ailing("agi", one), (0.3, 2.5))
        for one in Ailment
        if one is not Ailment.DISORDER  # one question at a time: there is no other order
    ),
    Fault(
        "ami-password",
        "turnrec's AMI password is no longer right",
        _AMI | _ASTERISK,
        account(r"(?m)^secret = .*$", "secret = changed"),
        (1.0, 3.0),
    ),
    Fault(
        "ami-rights",
        "turnrec's AMI account may no longer command",
        _AMI | _ASTERISK,
        account(r"(?m)^write = .*$", "write = reporting"),
        (1.0, 4.0),
    ),
    Fault("disk-full", "not a block is free", _DISK, on_disk("fill", "empty"), (1, 4), "disk"),
    Fault(
        "disk-readonly",
        "nothing can be written anew",
        _DISK,
        on_disk("make_read_only", "make_writable"),
        (1, 4),
        "disk",
    ),
    Fault("disk-blocked", "every write waits", _DISK, on_disk("block", "unblock"), (1, 2), "disk"),
    Fault("ledger-locked", "SQLite is locked", frozenset({"ledger"}), ledger_locked, (1, 6)),
    Fault("ledger-gone", "the ledger is gone", _TURNREC | {"ledger"}, ledger_gone, (1, 4)),
    Fault("ledger-damaged", "the ledger is damaged", _TURNREC | {"ledger"}, ledger_damaged, (1, 4)),
    Fault("clock", "turnrec's clock jumps", frozenset({"clock"}), clock_set, (2, 6), "clock"),
    Fault("short-calls", "40 calls of 100 ms", frozenset(), short_calls),
    Fault(
        "turns-anyhow", "turns twice, in parallel, stale", frozenset(), turns_asked_anyhow, (2, 5)
    ),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
