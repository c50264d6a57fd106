"""One chaos run: many calls on a real Asterisk, faults by a seeded schedule, then the audit.

The schedule counts marks (what the bots have come to), not seconds: so a seed means the same faults
at about the same places of the same calls on any machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.chaos import faketime
from tests.chaos.auditor import Report, audit
from tests.chaos.cast import (
    AGENT_S,
    DIALPLAN,
    FLOW,
    WIDE_ENDPOINT,
    Player,
    Role,
    write_prompts,
)
from tests.chaos.disk import own_disk
from tests.chaos.faults import FAULTS, Fault, Stage
from tests.chaos.journal import Journal, now_us
from tests.chaos.lines import Protocol, line
from tests.pbx.process import Server, free_port, ledger_of, serving
from tests.pbx.rig import WAIT_S, Rig, rig
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone, PhoneError, Tone
from turnrec.web.access import Right
from turnrec.web.keys import KeyRing

RECOVERY_WAIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be."""

    seed: int
    calls: int
    at_once: int
    faults: tuple[Fault, ...] = FAULTS
    draw: Callable[[int, random.Random], Role] = Role.draw
    """What the call of a number is like."""
    alone: bool = True
    """Each fault alone first; afterwards, as long as there are calls, several together."""
    together: bool = True
    gap_marks: tuple[int, int] = (10, 60)
    """How many marks are between the end of one fault and the next."""
    watchdog_s: float = 5.0
    disk: bool = True
    """Whether to have a disk of its own, where that can be."""
    serves_within_s: float | None = None
    """Within which time after a fault's end a bot's turns must be served again; None: it is only
    told. How long a process takes to start depends on who else uses the machine."""


@dataclass(slots=True)
class Recovery:
    """How long it took after a fault's end."""

    fault: str
    alive_s: float
    """Until turnrec answers and takes FastAGI sessions: a bot's turns are served."""
    ready_s: float
    """Until AMI, ledger and disks are as they should be, too."""


@dataclass(slots=True)
class Outcome:
    """What became of a run."""

    report: Report
    folder: Path
    injected: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    took_s: float = 0.0


async def run(installation: Installation, folder: Path, plan: Plan) -> Outcome:
    """Make one run in a folder of its own, and judge it."""
    began_s = time.monotonic()
    wanted = {one.needs for one in plan.faults}
    with contextlib.ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing runs yet
        disk = stack.enter_context(own_disk(folder)) if plan.disk and "disk" in wanted else None
        (folder / "ledger").mkdir(exist_ok=True)
        clock_file = stack.enter_context(_clock(folder)) if "clock" in wanted else None
        journal = stack.enter_context(Journal(folder / "journal.jsonl"))
        journal.write("run", seed=plan.seed, calls=plan.calls, at_once=plan.at_once, at_us=now_us())
        runner = _Runner(plan, journal)
        async with _stage(installation, folder, plan, journal) as stage:
            stage.disk, stage.clock_file = disk, clock_file
            await runner.run(stage)
        report = audit(
            journal.path,
            folder / "recordings",
            folder / "spool",
            folder / "ledger" / "ledger.db",
        )
        if disk is not None:
            _copy_out(folder)
    return Outcome(
        report,
        folder,
        runner.injected,
        runner.left_out,
        runner.recoveries,
        time.monotonic() - began_s,
    )


def _copy_out(folder: Path) -> None:
    """Keep what lies on the run's own disk: it is unmounted at the end."""
    for name in ("recordings", "spool", "ledger"):
        kept = folder / "kept" / name
        kept.parent.mkdir(exist_ok=True)
        shutil.copytree(folder / name, kept, dirs_exist_ok=True)


@contextmanager
def _clock(folder: Path) -> Iterator[Path | None]:
    """Have turnrec's processes read their clock's offset from a file, where that can be."""
    library = faketime.fetch(faketime.cache_folder())
    if library is None:
        yield None
        return
    clock_file = folder / "clock"
    clock_file.write_text("+0\n", "ascii")
    added = faketime.environment(library, clock_file)
    # tests.pbx.process gives turnrec this process's environment, and Asterisk none of LD_PRELOAD.
    os.environ.update(added)
    try:
        yield clock_file
    finally:
        for name in added:
            os.environ.pop(name, None)
        faketime.clear_up()


def _settings(agi_port: int, api_port: int) -> dict[str, dict[str, str]]:
    return {
        "server": {"agi_port": str(agi_port), "control_socket": '"control.sock"'},
        "api": {"port": str(api_port), "requests_per_s": "1000"},
        "asterisk": {"ami_timeout_ms": "500"},
        "recordings": {"min_free_mb": "20"},
        "ledger": {"url": '"sqlite:///ledger/ledger.db"'},
        "sweep": {"interval_s": "5"},
    }


@asynccontextmanager
async def _stage(
    installation: Installation, folder: Path, plan: Plan, journal: Journal
) -> AsyncIterator[Stage]:
    rng = random.Random(f"{plan.seed} lines")
    agi_port, api_port, agent_port = free_port(), free_port(), free_port()
    agent_media = MediaOptions(source=Tone(1000), keep_chunks=5)
    clock = MediaClock()
    async with (
        line(Protocol.AGI, rng) as agi,
        line(Protocol.AMI, rng) as ami,
        rig(
            installation,
            folder,
            FLOW,
            DIALPLAN.replace("@AGI@", str(agi.port)).replace("@AGENT@", str(agent_port)),
            toml=_settings(agi_port, api_port),
            start=False,
            pjsip=WIDE_ENDPOINT,
        ) as here,
        Phone(clock=clock) as phone,
        Phone(
            user="agent", port=agent_port, answers_by_itself=True, media=agent_media, clock=clock
        ) as agent,
    ):
        write_prompts(here.folder / "sounds")
        agi.upstream_port, ami.upstream_port = agi_port, here.pbx.ports.ami_tcp
        here.configure(
            _settings(agi_port, api_port)
            | {"asterisk": {"ami_timeout_ms": "500", "ami_port": str(ami.port)}}
        )
        key = KeyRing(here.settings.api.keys_file).make(
            "chaos", frozenset({Right.BOT}), None, now_us()
        )
        async with serving(here, "--watchdog-s", f"{plan.watchdog_s:g}") as server:
            await here.point_at(agi.port)
            answering = asyncio.create_task(_be_agents(agent))
            stage = Stage(here, server, agi, ami, journal, rng, phone)
            stage.api, stage.key = f"http://127.0.0.1:{api_port}", key
            stage.dials.set()
            try:
                async with _api_client(stage) as stage.client:
                    yield stage
            finally:
                answering.cancel()
                await asyncio.gather(answering, return_exceptions=True)


def _api_client(stage: Stage) -> httpx.AsyncClient:
    """What the bots over HTTP ask by."""
    headers = {"Authorization": f"Bearer {stage.key}"}
    return httpx.AsyncClient(base_url=stage.api, headers=headers, timeout=10, trust_env=False)


async def _be_agents(phone: Phone) -> None:
    """Each agent talks for a moment and hangs up."""
    talks: set[asyncio.Task[None]] = set()
    while True:
        with contextlib.suppress(PhoneError):
            call = await phone.incoming(3600)
            talk = asyncio.create_task(_talk(call.hang_up))
            talks.add(talk)
            talk.add_done_callback(talks.discard)


async def _talk(hang_up: object) -> None:
    await asyncio.sleep(AGENT_S)
    with contextlib.suppress(PhoneError, OSError):
        await hang_up(5)  # type: ignore[operator]


class _Runner:
    """Keeps calls coming and faults happening until the calls are used up."""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self._plan = plan
        self._journal = journal
        self._calls_done = asyncio.Event()
        self.injected: list[str] = []
        self.left_out: list[str] = []
        self.recoveries: list[Recovery] = []

    async def run(self, stage: Stage) -> None:
        """From the first call to the last entry of the ledger."""
        calling = asyncio.create_task(self._keep_calling(stage))
        breaking = asyncio.create_task(self._keep_breaking(stage))
        try:
            await asyncio.gather(calling, breaking)
        finally:
            for task in (calling, breaking):
                task.cancel()
            await asyncio.gather(calling, breaking, return_exceptions=True)
        await self._come_to_rest(stage)

    # -------------------------------------------------------------- calls

    async def _keep_calling(self, stage: Stage) -> None:
        rng = random.Random(f"{self._plan.seed} calls")
        roles = [self._plan.draw(number, rng) for number in range(self._plan.calls)]
        places = asyncio.Semaphore(self._plan.at_once)
        try:
            async with asyncio.TaskGroup() as calls:
                for role in roles:
                    await places.acquire()
                    calls.create_task(self._call(stage, role, places))
                    # A call takes some of both cores to be set up: not all at the same instant.
                    await asyncio.sleep(0.03)
        finally:
            self._calls_done.set()

    async def _call(self, stage: Stage, role: Role, places: asyncio.Semaphore) -> None:
        try:
            for _ in range(10):
                await stage.dials.wait()
                player = Player(stage.here, self._journal, role, stage.client)
                stage.players.add(player)
                try:
                    if await player.play(stage.phone):
                        return
                finally:
                    stage.players.discard(player)
                # Nobody answered: Asterisk stands still, or was about to end.
                await asyncio.sleep(0.5)
        finally:
            places.release()

    # -------------------------------------------------------------- faults

    def _schedule(self, stage: Stage, rng: random.Random) -> Iterator[list[Fault]]:
        possible = [one for one in self._plan.faults if one.can_be(stage)]
        self.left_out = [one.name for one in self._plan.faults if not one.can_be(stage)]
        if not possible:
            return
        while True:
            if self._plan.alone:
                for one in rng.sample(possible, len(possible)):
                    yield [one]
            if self._plan.together:
                for _ in possible:
                    yield _disjoint(rng.sample(possible, min(len(possible), rng.randint(2, 4))))

    async def _keep_breaking(self, stage: Stage) -> None:
        rng = random.Random(f"{self._plan.seed} faults")
        for group in self._schedule(stage, rng):
            if not await self._marks_pass(rng.randint(*self._plan.gap_marks)):
                return
            await self._break(stage, group, rng)

    async def _marks_pass(self, count: int) -> bool:
        """Wait until the bots have come to so many further marks; False once all calls are over."""
        wanted = self._journal.marks + count
        while self._journal.marks < wanted:
            if self._calls_done.is_set():
                return False
            await asyncio.sleep(0.01)
        return True

    async def _break(self, stage: Stage, group: Sequence[Fault], rng: random.Random) -> None:
        name = " + ".join(one.name for one in group)
        self.injected.append(name)
        from_us = now_us()
        try:
            async with AsyncExitStack() as stack:
                for fault in group:
                    await stack.enter_async_context(fault.inject(stage))
                    await asyncio.sleep(rng.uniform(0, 0.3) if len(group) > 1 else 0)
                await asyncio.sleep(max(rng.uniform(*one.lasts_s) for one in group))
        except TimeoutError:
            stage.problem(name, f"what it waits for has not come within {WAIT_S:g} s")
        stage.ami.upstream_port = stage.here.pbx.ports.ami_tcp
        for fault in group:
            self._journal.write("fault", name=fault.name, from_us=from_us, to_us=now_us())
        await self._measure(stage, name)

    async def _measure(self, stage: Stage, name: str) -> None:
        began_s = time.monotonic()
        alive_s: float | None = None
        while time.monotonic() - began_s < RECOVERY_WAIT_S:
            ready = await _readiness(stage.server, stage.here)
            if ready is not None and alive_s is None:
                alive_s = time.monotonic() - began_s
            if ready:
                found = Recovery(name, alive_s or 0.0, time.monotonic() - began_s)
                self.recoveries.append(found)
                limit_s = self._plan.serves_within_s
                if limit_s is not None and found.alive_s > limit_s:
                    stage.problem(f"after {name}", f"turns are served after {found.alive_s:.1f} s")
                return
            await asyncio.sleep(0.05)
        stage.problem(f"after {name}", f"turnrec is not ready after {RECOVERY_WAIT_S:g} s")

    # -------------------------------------------------------------- the end

    async def _come_to_rest(self, stage: Stage) -> None:
        """Let everything end that will; what doesn't is found by the auditor."""

        async def no_channels() -> bool:
            return "0 active channel" in await stage.rx("core show channels")

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * WAIT_S):
                while not await no_channels():  # noqa: ASYNC110 - another process's
                    await asyncio.sleep(0.2)
        async with ledger_of(stage.here) as ledger:
            with contextlib.suppress(TimeoutError):
                await ledger.no_call_is_live()
                await ledger.closed_recordings()
        status = await stage.server.end()
        if status != 0:
            stage.problem("turnrec", f"told to end, it ended with {status}")


def _disjoint(faults: Sequence[Fault]) -> list[Fault]:
    """Those that touch nothing that an earlier one touches."""
    taken: set[str] = set()
    kept = []
    for fault in faults:
        if not taken & fault.touches:
            taken |= fault.touches
            kept.append(fault)
    return kept


async def _readiness(server: Server, here: Rig) -> bool | None:
    """None: no bot's turn is served. False: turns are served, but something is missing."""
    if not await _serves_bots(here.settings.server.agi_port):
        return None
    # Without TLS: reading all the machine's certificates takes longer than the answer.
    socket = str(here.settings.server.control_socket)
    transport = httpx.AsyncHTTPTransport(uds=socket, verify=False)
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://turnrec", trust_env=False
        ) as client:
            answer = await client.get("/readyz", timeout=2)
    except httpx.HTTPError:
        return False
    return answer.is_success


async def _serves_bots(port: int) -> bool:
    """Whether turnrec, and not only its port, takes a FastAGI session: it ends an empty one."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write_eof()
                await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return True


def summary(plan: Plan, outcome: Outcome) -> str:
    """A run in words and numbers."""
    counted = Counter(name for group in outcome.injected for name in group.split(" + "))
    lines = [
        f"seed {plan.seed}, {plan.calls} calls, {plan.at_once} at once, {outcome.took_s:.0f} s",
        f"{len(outcome.injected)} injections:",
        *(f"  {count:4d} {name}" for name, count in sorted(counted.items())),
    ]
    if outcome.left_out:
        lines.append(f"not made on this machine: {', '.join(outcome.left_out)}")
    lines += ["recovery after the end of the fault (alive, ready):"]
    by_fault: dict[str, list[Recovery]] = {}
    for one in outcome.recoveries:
        by_fault.setdefault(one.fault, []).append(one)
    for name, found in sorted(by_fault.items()):
        alive, ready = max(one.alive_s for one in found), max(one.ready_s for one in found)
        lines.append(f"  {alive:6.2f} s {ready:6.2f} s  {name}")
    return "\n".join([*lines, outcome.report.text()])
