"""`python -m bench events`: how many AMI events a second turnrec's daemon takes, and its memory.

A process of its own (`bench.events_feeder`) sends a captured call's events over a socket as fast as
they are taken. The same handler (it keeps `core.bridges` up to date) hangs on turnrec's client and
on stock panoramisk, in turns, in this process. Rates are by the CPU time of this process, so that
what else runs on the machine doesn't count; `wall` is by the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from panoramisk.manager import Manager
from rich.console import Console
from rich.table import Table

from bench import proc
from bench.events_stream import FED, WANTED, Stream, one_call
from turnrec.asterisk.ami import AmiClient, AmiEvent
from turnrec.asterisk.ami_settings import AmiSettings
from turnrec.core.bridges import Bridges, Leg

_ROUNDS: Final = 5
_EVENTS_A_ROUND: Final = 200_000
_MILLION: Final = 1_000_000
_SAMPLES: Final = 20
_AIM: Final = 2.0
_OPEN_S: Final = 20.0


class Event(Protocol):
    """What a handler asks of an event, of either client."""

    def get(self, name: str) -> Any: ...


class Daemon:
    """What turnrec does with each event that it subscribes to: it follows the bridges."""

    def __init__(self) -> None:
        self.bridges = Bridges()
        self.handled = 0
        self.calls_over = 0
        self.fed = asyncio.Event()
        self.readers: Mapping[str, Callable[[Event], object]] = {
            **dict.fromkeys(WANTED, self._noted),
            "AgentCalled": self._called,
            "BridgeDestroy": lambda event: self.bridges.destroyed(event.get("BridgeUniqueid")),
            "BridgeEnter": self._entered,
            "BridgeLeave": self._left,
            "Hangup": self._hung_up,
            "LocalBridge": self._paired,
            FED: lambda _: self.fed.set(),
        }

    def on_event(self, name: str, event: Event) -> None:
        """Take one in."""
        self.handled += 1
        self.readers[name](event)

    def _noted(self, event: Event) -> object:
        return event.get("Uniqueid")

    def _called(self, event: Event) -> object:
        return self.bridges.queued(event.get("DestUniqueid"), event.get("Queue"))

    def _entered(self, event: Event) -> object:
        return self.bridges.entered(
            event.get("BridgeUniqueid"),
            _leg(event),
            kind=event.get("BridgeTechnology"),
            swap=event.get("SwapUniqueid") or "",
        )

    def _left(self, event: Event) -> object:
        return self.bridges.left(event.get("BridgeUniqueid"), event.get("Uniqueid"))

    def _paired(self, event: Event) -> object:
        return self.bridges.paired(_leg(event, "LocalOne"), _leg(event, "LocalTwo"))

    def _hung_up(self, event: Event) -> object:
        uniqueid = event.get("Uniqueid")
        self.calls_over += uniqueid == event.get("Linkedid")
        return self.bridges.gone(uniqueid)


def _leg(event: Event, prefix: str = "") -> Leg:
    return Leg(
        event.get(f"{prefix}Uniqueid"),
        event.get(f"{prefix}Channel"),
        event.get(f"{prefix}Context") or "",
        event.get(f"{prefix}Exten") or "",
        event.get(f"{prefix}Linkedid") or "",
    )


# -- the clients ---------------------------------------------------------------------------------


class Client(Protocol):
    """A connected client whose events go to the daemon."""

    async def feed(self, stream: Stream, calls: int, *, fresh: bool = False) -> None:
        """Ask for events."""


class _Turnrec:
    def __init__(self, client: AmiClient) -> None:
        self._client = client

    async def feed(self, stream: Stream, calls: int, *, fresh: bool = False) -> None:
        await self._client.action("Feed", Stream=stream, Calls=str(calls), Fresh=str(int(fresh)))


class _Panoramisk:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def feed(self, stream: Stream, calls: int, *, fresh: bool = False) -> None:
        fields = {"Stream": str(stream), "Calls": str(calls), "Fresh": str(int(fresh))}
        await self._manager.send_action({"Action": "Feed", **fields}, as_list=False)


@asynccontextmanager
async def turnrec_client(port: int, daemon: Daemon) -> AsyncIterator[Client]:
    """Connect turnrec's client."""
    client = AmiClient(
        AmiSettings(port=port, username="bench", secret="bench", action_timeout_ms=60_000)  # noqa: S106
    )

    def on_event(event: AmiEvent) -> None:
        daemon.on_event(event.name, event)

    client.subscribe(*daemon.readers, handler=on_event)
    await client.start()
    try:
        await client.wait_ready(round(_OPEN_S * 1000))
        yield _Turnrec(client)
    finally:
        await client.close()


@asynccontextmanager
async def panoramisk_client(port: int, daemon: Daemon) -> AsyncIterator[Client]:
    """Connect stock panoramisk's manager."""
    manager = Manager(host="127.0.0.1", port=port, username="bench", secret="bench")  # noqa: S106

    def on_event(_manager: Manager, event: Any) -> None:
        daemon.on_event(event.event, event)

    for name in daemon.readers:
        manager.register_event(name, on_event)
    await manager.connect()
    try:
        async with asyncio.timeout(_OPEN_S):
            while not manager.authenticated:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        yield _Panoramisk(manager)
    finally:
        manager.close()


CLIENTS: Final = {"panoramisk": panoramisk_client, "turnrec": turnrec_client}


# -- how fast ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rate:
    """Events a second of one client on one stream, the best of all rounds and the median."""

    by_cpu: float
    by_cpu_best: float
    by_wall: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One stream."""

    stream: Stream
    events_a_call: int
    wanted_a_call: int
    rates: dict[str, Rate]

    @property
    def ratio(self) -> float:
        """turnrec's rate over panoramisk's."""
        return self.rates["turnrec"].by_cpu / self.rates["panoramisk"].by_cpu


async def compare(port: int, stream: Stream, *, rounds: int, events: int) -> Compared:
    """Feed both clients in turns."""
    _, events_a_call = one_call(stream)
    _, wanted_a_call = one_call(Stream.FILTERED)
    calls = max(1, events // events_a_call)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in CLIENTS}
    for _ in range(rounds):
        for name, connected in CLIENTS.items():
            daemon = Daemon()
            async with connected(port, daemon) as client:
                taken[name].append(await _timed(client, daemon, stream, calls))
            _check(daemon, calls * wanted_a_call)
    sent = calls * events_a_call
    rates = {
        name: Rate(
            by_cpu=sent / statistics.median(cpu for cpu, _ in times),
            by_cpu_best=sent / min(cpu for cpu, _ in times),
            by_wall=sent / statistics.median(wall for _, wall in times),
        )
        for name, times in taken.items()
    }
    return Compared(stream, events_a_call, wanted_a_call, rates)


async def _timed(client: Client, daemon: Daemon, stream: Stream, calls: int) -> tuple[float, float]:
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    await client.feed(stream, calls)
    await daemon.fed.wait()
    return time.process_time() - cpu_s, time.perf_counter() - wall_s


def _check(daemon: Daemon, wanted: int) -> None:
    """No client may win by losing events."""
    if daemon.handled != wanted + 1 or daemon.bridges.remembered:
        raise RuntimeError(
            f"{daemon.handled - 1} of {wanted} events handled, {daemon.bridges.remembered} left"
        )


# -- how much memory -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory over many calls."""

    calls: int
    events: int
    wall_s: float
    cpu_s: float
    samples: list[tuple[int, float]] = field(default_factory=list)
    """Calls that are over, and MiB."""

    @property
    def grown_mib(self) -> float:
        """How much it grew after a tenth of the calls."""
        early = next(mib for calls, mib in self.samples if calls >= self.calls / 10)
        return self.samples[-1][1] - early


async def remember(port: int, calls: int, say: Callable[[str], None]) -> Memory:
    """Take in so many calls, each with its own ids, and watch the memory."""
    daemon = Daemon()
    _, events_a_call = one_call(Stream.FILTERED)
    samples: list[tuple[int, float]] = []

    async def watch() -> None:
        for nth in range(1, _SAMPLES):
            while daemon.calls_over < calls * nth / _SAMPLES:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            samples.append((daemon.calls_over, proc.resident_mb(os.getpid())))
            say(f"{samples[-1][0]} calls, {samples[-1][1]:.2f} MiB")

    async with turnrec_client(port, daemon) as client:
        watching = asyncio.create_task(watch())
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        await client.feed(Stream.FILTERED, calls, fresh=True)
        await daemon.fed.wait()
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
        await watching
        samples.append((daemon.calls_over, proc.resident_mb(os.getpid())))
    _check(daemon, calls * events_a_call)
    return Memory(calls, calls * events_a_call, wall_s, cpu_s, samples)


# -- the run -------------------------------------------------------------------------------------


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench events", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and 20,000 calls")
    parser.add_argument("--calls", type=int, metavar="N", help="for the memory [1,000,000]; 0: no")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser.parse_args(given)


@asynccontextmanager
async def _feeder() -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.events_feeder",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    try:
        yield int(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()


async def _run(given: argparse.Namespace) -> tuple[list[Compared], Memory | None]:
    rounds, events = (2, 50_000) if given.quick else (_ROUNDS, _EVENTS_A_ROUND)
    calls = (20_000 if given.quick else _MILLION) if given.calls is None else given.calls
    async with _feeder() as port:
        compared = []
        for stream in Stream:
            _say(f"{stream} ...")
            compared.append(await compare(port, stream, rounds=rounds, events=events))
        return compared, await remember(port, calls, _say) if calls else None


def main(arguments: Sequence[str]) -> None:
    """Run it."""
    given = _arguments(arguments)
    compared, memory = asyncio.run(_run(given))
    if given.json:
        found = {
            "machine": proc.machine(),
            "python": platform.python_version(),
            "aim": _AIM,
            "streams": [{**asdict(one), "ratio": one.ratio} for one in compared],
            "memory": None if memory is None else asdict(memory),
        }
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        _show(Console(width=None if sys.stdout.isatty() else 120), compared, memory)


def _show(console: Console, compared: Sequence[Compared], memory: Memory | None) -> None:
    console.print(f"\nPython {platform.python_version()}, {proc.machine()}")
    console.print(f"[bold]AMI events a second[/], tracker of bridges included. Aim: {_AIM:g} times")
    columns = ("stream", "events a call", "wanted", "panoramisk", "turnrec", "ratio", "wall")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name == "stream" else "right")
    for one in compared:
        stock, ours = one.rates["panoramisk"], one.rates["turnrec"]
        numbers = (stock.by_cpu, ours.by_cpu)
        table.add_row(
            one.stream,
            str(one.events_a_call),
            str(one.wanted_a_call),
            *(f"{number:,.0f}" for number in numbers),
            f"{one.ratio:.1f}",
            f"{stock.by_wall:,.0f} / {ours.by_wall:,.0f}",
        )
    console.print(table)
    if memory is not None:
        first, last = memory.samples[0], memory.samples[-1]
        console.print(
            f"\n[bold]{memory.calls:,} calls[/], {memory.events:,} events,"
            f" {memory.events / memory.cpu_s:,.0f} a second of CPU, {memory.wall_s:.0f} s:"
            f" {first[1]:.1f} MiB after {first[0]:,}, {last[1]:.1f} at the end"
            f" ({memory.grown_mib:+.2f} after the first tenth)"
        )


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
