"""`python -m bench api`: what a turn costs while others watch, beside the same without them.

All calls are turnrec's and go on all the time. Stretches without and with watchers alternate in one
run, so that whatever else this machine does falls on both. It passes or fails nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from bench import proc
from bench.dialplan import Timed, read
from bench.load import Load
from bench.plan import GUARD_MS, Arm, Level, Turn
from bench.proc import Reading, children, load_average, resident_mb
from bench.stage import Stage, stage
from bench.stats import Compared, compare
from turnrec.pbx.packages import Release, ensure
from turnrec.web.access import Right
from turnrec.web.keys import KeyRing

MEDIAN_AIM: Final = 1.15
"""Issue 5, Done when 4."""
_WITHOUT, _WITH = "without", "with"
_SETTLE_S: Final = 3.0
"""After each change nothing is measured for so long: connections open, what waited is sent."""
_NAMES: Final = {
    "/v1/events": "event stream",
    "/v1/calls/live": "live calls",
    "webhooks": "webhook",
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of the run."""

    arm: str
    began_us: int
    ended_us: int
    cpu_shares: dict[str, float]
    calls_up: float
    told: dict[str, Any]
    """What the watchers got."""

    @property
    def length_s(self) -> float:
        """How long it was."""
        return (self.ended_us - self.began_us) / 1_000_000


@dataclass(frozen=True, slots=True)
class Result:
    """What the run gave."""

    calls: int
    pages: int
    webhooks: int
    stretches: list[Stretch]
    turns: dict[str, Compared]
    """Here `bare` is without watchers, `turnrec` with them."""
    failures: dict[str, int]
    resident_mb: float
    load_before: float


class _Watching:
    """The watchers' process and turnrec's webhooks."""

    def __init__(self, base: Stage, pages: int, webhooks: int) -> None:
        self._webhooks = webhooks
        key = KeyRing(base.folder / "api-keys.json").make(
            "bench", frozenset({Right.ADMIN}), None, time.time_ns() // 1000
        )
        port = int(base.control.get("/v1/status")["api_port"])
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.api_watchers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._tell(json.dumps({"port": port, "key": key, "pages": pages}))
        self._hook_port = int(self._hear())
        self._hooks: list[str] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self) -> None:
        """Open the pages, make the webhooks."""
        for number in range(self._webhooks):
            body = {"url": f"http://127.0.0.1:{self._hook_port}/{number}"}
            made = self._http.post("/v1/webhooks", json=body).raise_for_status().json()
            self._hooks.append(made["id"])
        self._tell("begin")

    def end(self) -> dict[str, Any]:
        """Close the pages, delete the webhooks."""
        self._tell("end")
        told: dict[str, Any] = self._hear()
        waiting = 0
        for one in self._hooks:
            waiting += self._http.get(f"/v1/webhooks/{one}").raise_for_status().json()["waiting"]
            self._http.delete(f"/v1/webhooks/{one}").raise_for_status()
        self._hooks.clear()
        return {**told, "waiting": waiting}

    def drop(self) -> dict[str, Any]:
        """Begin to count anew; the pages stay open."""
        self._tell("count")
        told: dict[str, Any] = self._hear()
        return told

    def close(self) -> None:
        """End the process."""
        self._http.close()
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdout.close()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101
        return json.loads(self._process.stdout.readline())


async def _run(given: argparse.Namespace, folder: Path) -> Result:
    level = Level.of(given.calls, quick=False)
    installation = ensure(given.asterisk, say=_say)
    async with stage(installation, folder, [level.talk_s]) as base:
        watching = await asyncio.to_thread(_Watching, base, given.pages, given.webhooks)
        try:
            return await _measure(base, watching, level, given)
        finally:
            await asyncio.to_thread(watching.close)


async def _measure(
    base: Stage, watching: _Watching, level: Level, given: argparse.Namespace
) -> Result:
    load_before = load_average()
    log_from = base.pbx.log_path.stat().st_size
    load = Load(base.ami, level, (Arm.TURNREC,))
    _say(f"{level.calls} calls ...")
    await load.ramp()
    stretches = []
    # Without, with, with, without: a drift falls on both alike.
    for number in range(2 * given.rounds):
        arm = (_WITHOUT, _WITH, _WITH, _WITHOUT)[number % 4]
        stretches.append(await _stretch(base, watching, load, arm, given.stretch))
        used = {name: f"{100 * share:.0f} %" for name, share in stretches[-1].cpu_shares.items()}
        _say(f"{number + 1} of {2 * given.rounds}: {arm}, {used}")
    await asyncio.sleep(1.0)  # for the turns that began in the last stretch
    load.stop()
    resident = resident_mb(base.turnrec_pid)
    await asyncio.to_thread(base.pbx.rx, "channel request hangup all")
    with base.pbx.log_path.open("rb") as file:
        file.seek(log_from)
        turns = list(read(file.read().decode("utf-8", "replace")))
    by_arm = {arm: list(_within(turns, stretches, arm)) for arm in (_WITHOUT, _WITH)}
    measured = [one for theirs in by_arm.values() for one in theirs]
    clock_us = median(one.clock_us for one in measured)
    return Result(
        calls=level.calls,
        pages=given.pages,
        webhooks=given.webhooks,
        stretches=stretches,
        turns={
            name: compare(*(_times(by_arm[arm], turn, less_us) for arm in (_WITHOUT, _WITH)))
            for name, turn, less_us in (
                ("pause", Turn.PAUSE, clock_us),
                ("resume", Turn.RESUME, clock_us),
                (f"resume - {GUARD_MS} ms", Turn.RESUME, clock_us + GUARD_MS * 1000),
            )
        },
        failures=dict(Counter(one.status for one in measured if one.status != "OK")),
        resident_mb=resident,
        load_before=load_before,
    )


async def _stretch(
    base: Stage, watching: _Watching, load: Load, arm: str, length_s: float
) -> Stretch:
    if arm == _WITH:
        await asyncio.to_thread(watching.begin)
    await asyncio.sleep(_SETTLE_S)
    await asyncio.to_thread(watching.drop)
    pids = {"asterisk": base.pbx.pid, "turnrec": base.turnrec_pid, "watchers": watching.pid}
    for courier in children(base.turnrec_pid)[:1]:
        pids["courier"] = courier
    began_us, before, up = time.time_ns() // 1000, Reading.take(pids), []
    while time.time_ns() // 1000 - began_us < length_s * 1_000_000:
        await asyncio.sleep(min(1.0, length_s))
        up.append(load.live)
    ended_us, after = time.time_ns() // 1000, Reading.take(pids)
    told = await asyncio.to_thread(watching.end)
    return Stretch(arm, began_us, ended_us, before.until(after), fmean(up), told)


def _within(turns: Sequence[Timed], stretches: Sequence[Stretch], arm: str) -> Iterator[Timed]:
    for one in stretches:
        if one.arm == arm:
            yield from (turn for turn in turns if one.began_us <= turn.began_us < one.ended_us)


def _times(turns: Sequence[Timed], turn: Turn, less_us: float) -> list[float]:
    return [(one.took_us - less_us) / 1000 for one in turns if one.turn is turn]


# ------------------------------------------------------------------ what it says


def _show(console: Console, result: Result, setting: dict[str, str]) -> None:
    console.print(
        f"\nAsterisk {setting['asterisk']}, Python {setting['python']}, {setting['machine']}\n"
        f"{result.calls} calls, a turn each 5 s; without and with {result.pages} pages and"
        f" {result.webhooks} webhooks. Aim: ratio of the medians {MEDIAN_AIM}\n"
    )
    times = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("turn", "turns", "without p50", "p99", "with p50", "p99", "ratio p50", "p99"):
        times.add_column(name, justify="left" if name == "turn" else "right")
    for name, one in result.turns.items():
        ratios = (one.ratios[which] for which in ("p50", "p99"))
        times.add_row(
            name,
            f"{one.bare_count} + {one.turnrec_count}",
            *(f"{arm[which]:.2f}" for arm in (one.bare_ms, one.turnrec_ms) for which in arm),
            *(f"{ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})" for ratio in ratios),
        )
    console.print(times)
    console.print("\n[bold]CPU, % of one core[/]\n")
    console.print(_costs(result))
    console.print("\n[bold]What the watchers got, and how late[/], ms\n")
    console.print(_told(result))
    lost = sum(one.told["lost"] for one in result.stretches)
    waiting = max(one.told["waiting"] for one in result.stretches)
    console.print(
        f"\nStreams that ended early: {lost}. Events that waited at a stretch's end, for all"
        f" webhooks together: {waiting} at most."
    )
    for what, count in result.failures.items():
        console.print(f"[red]{count} turns ended as: {what or 'nothing'}[/]")


def _costs(result: Result) -> Table:
    names = ("asterisk", "turnrec", "courier", "watchers", "others")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("", "calls up", *names):
        table.add_column(name, justify="right")
    for arm in (_WITHOUT, _WITH):
        theirs = [one for one in result.stretches if one.arm == arm]
        shares = [fmean(one.cpu_shares.get(name, 0.0) for one in theirs) for name in names]
        up = fmean(one.calls_up for one in theirs)
        table.add_row(arm, f"{up:.0f}", *(f"{100 * share:.1f}" for share in shares))
    return table


def _told(result: Result) -> Table:
    lags: defaultdict[str, list[float]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for one in result.stretches:
        counts.update(one.told["counts"])
        for what, found in one.told["lags_ms"].items():
            lags[what] += found
    length_s = sum(one.length_s for one in result.stretches if one.arm == _WITH)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("", "a second", "p50", "p99", "most"):
        table.add_column(name, justify="right")
    for what, name in _NAMES.items():
        found = lags[what] or [float("nan")]
        quantiles = (np.percentile(found, q) for q in (50, 99, 100))
        row = (f"{one:.0f}" for one in quantiles)
        table.add_row(name, f"{counts[what] / length_s:.1f}", *row)
    return table


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def main(arguments: Sequence[str]) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench api", description=__doc__)
    parser.add_argument("--calls", type=int, default=200, metavar="N")
    parser.add_argument("--pages", type=int, default=20, metavar="N")
    parser.add_argument("--webhooks", type=int, default=5, metavar="N")
    parser.add_argument("--rounds", type=int, default=4, help="stretches of each kind")
    parser.add_argument("--stretch", type=float, default=20.0, metavar="S", help="how long each is")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--asterisk", type=Release, choices=list(Release), default=Release.V22, metavar="RELEASE"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work in DIR, and leave it there")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="turnrec-bench-") as passing:
        folder = given.keep or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        result = asyncio.run(_run(given, folder))
    setting = {
        "machine": proc.machine(),
        "python": platform.python_version(),
        "asterisk": ensure(given.asterisk, say=_say).version,
        "command": shlex.join(["python", "-m", "bench", "api", *arguments]),
    }
    if given.json:
        document = {"setting": setting, "aim": MEDIAN_AIM, "result": asdict(result)}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        _show(Console(width=None if sys.stdout.isatty() else 160), result, setting)
