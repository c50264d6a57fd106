"""Measures level after level on one stage."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from bench.dialplan import Timed, read
from bench.load import Load
from bench.plan import GUARD_MS, Arm, Level, Turn
from bench.proc import Reading, load_average, resident_mb
from bench.stage import Stage
from bench.stats import Compared, compare

_SETTLE_S = 1.0
_DRAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What one level gave."""

    calls: int
    calls_up: float
    """How many really were, on the average."""
    window_s: float
    turns_a_second: float
    clock_us: float
    """What was taken off each turn: the cost of reading the clock."""
    turns: dict[Turn, Compared]
    resume_less_guard: Compared
    failures: dict[str, int]
    cpu_shares: dict[str, float]
    cpu_ms_a_turn: dict[Arm, float]
    resident_mb: dict[str, float]
    load_before: float


async def measure(
    stage: Stage, levels: Sequence[Level], arms: Sequence[Arm], say: Callable[[str], None]
) -> list[Measured]:
    """Measure the levels in their order."""
    found = []
    for level in levels:
        say(f"{level.calls} calls, {level.window_s:g} s ...")
        found.append(await _measure(stage, level, arms))
    return found


async def _measure(stage: Stage, level: Level, arms: Sequence[Arm]) -> Measured:
    load_before = load_average()
    log = stage.pbx.log_path
    log_from = log.stat().st_size
    load = Load(stage.ami, level, arms)
    await load.ramp()
    await asyncio.sleep(_SETTLE_S)
    began_us, before = time.time_ns() // 1000, Reading.take(stage.pids)
    calls_up = []
    while time.time_ns() // 1000 - began_us < level.window_s * 1_000_000:
        await asyncio.sleep(min(1.0, level.window_s))
        calls_up.append(load.live)
    ended_us, after = time.time_ns() // 1000, Reading.take(stage.pids)
    resident = {name: resident_mb(pid) for name, pid in stage.pids.items()}
    await asyncio.sleep(_SETTLE_S)  # for the turns that began in the window
    load.stop()
    await _drain(stage)
    turns = [one for one in read(_tail(log, log_from)) if began_us <= one.began_us < ended_us]
    window_s = (ended_us - began_us) / 1_000_000
    shares = before.until(after)
    clock_us = median([one.clock_us for one in turns]) if turns else 0.0
    done = Counter(one.arm for one in turns)
    return Measured(
        calls=level.calls,
        calls_up=fmean(calls_up),
        window_s=window_s,
        turns_a_second=len(turns) / window_s,
        clock_us=clock_us,
        turns={turn: _compare(turns, turn, clock_us) for turn in Turn},
        resume_less_guard=_compare(turns, Turn.RESUME, clock_us + GUARD_MS * 1000),
        failures=dict(Counter(f"{one.arm} {one.status}" for one in turns if one.status != "OK")),
        cpu_shares=shares,
        cpu_ms_a_turn={arm: 1000 * shares[arm] * window_s / done[arm] for arm in arms if done[arm]},
        resident_mb=resident,
        load_before=load_before,
    )


def _compare(turns: Sequence[Timed], turn: Turn, less_us: float) -> Compared:
    bare, turnrec = (
        [(one.took_us - less_us) / 1000 for one in turns if (one.arm, one.turn) == (arm, turn)]
        for arm in (Arm.BARE, Arm.TURNREC)
    )
    return compare(bare, turnrec)


async def _drain(stage: Stage) -> None:
    """End the calls, and wait until turnrec has joined and entered what they leave."""
    await asyncio.to_thread(stage.pbx.rx, "channel request hangup all")
    quiet = 0
    async with asyncio.timeout(_DRAIN_S):
        while quiet < 2:
            before = Reading.take(stage.pids)
            await asyncio.sleep(0.3)
            used = before.until(Reading.take(stage.pids))
            status = await asyncio.to_thread(stage.control.get, "/v1/status")
            over = status["live_calls"] == 0 and status["ledger_backlog"] == 0
            quiet = quiet + 1 if over and used["turnrec"] < 0.1 else 0


def _tail(path: Path, start: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return file.read().decode("utf-8", "replace")
