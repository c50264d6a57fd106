"""`python -m bench day`: a day of calls at speed. Does anything grow, and is the ledger whole?

A million turns go through `turnrec serve`, a process as in service: FastAGI over TCP, AMI, ledger,
parts joined into recordings, manifests. The Asterisk is a fake one in a process of its own
(`bench.day_peer`): its calls wait for nobody but turnrec. What turnrec uses is read all along.
Afterwards the ledger is held against what was asked (`bench.day_check`). The exit status is 0 only
where all of it is as it should be; that memory is flat is for a reader of the numbers to say.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench import day_check, day_plan
from bench.day_check import Checked
from bench.day_peer import AMI_SECRET, ASTERISK_SPOOL
from bench.proc import children, cpu_s, load_average, machine, resident_mb
from turnrec.web.client import ControlClient, ServerUnreachableError

_START_S: Final = 60.0
_STOP_S: Final = 120.0
_DRAIN_S: Final = 1800.0
_LOOK_OVER_S: Final = 200
"""A day has 24 looks of the retention at all that is kept; at this speed, so has the bench."""
_WARM: Final = 0.1
"""What counts as warming up: the memory of the first tenth is left out of the slope."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What turnrec uses at one instant."""

    at_s: float
    turns: int
    calls_live: int
    resident_mib: float
    courier_mib: float
    descriptors: int
    threads: int
    tasks: int
    backlog: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a day came to."""

    machine: str
    python: str
    turns: int
    calls: int
    at_once: int
    seconds: float
    turns_a_second: float
    calls_a_second: float
    cpu_ms_a_turn: float
    statuses: dict[str, int]
    turn_ms: dict[str, float]
    mib_a_million_turns: float
    tasks_left: int
    descriptors_left: int
    """At rest afterwards, more than before the first call; a few are opened once and for all."""
    checked: Checked
    samples: list[Sample]
    load_at_end: float


@contextmanager
def _process(log: Path, module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TURNREC_")}
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 - this Python, our own modules
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=kept,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _settings(folder: Path, ami_port: int | None) -> Path:
    (folder / "flow.yaml").write_text(day_plan.FLOW, "utf-8")
    (folder / "spool").mkdir()
    lines = [
        "[server]\nagi_port = 0",
        f"control_socket = {json.dumps(str(folder / 'sock'))}",
        '[api]\nport = 0\nkeys_file = "api-keys.json"',
        "[asterisk]",
        f"ami_enabled = {json.dumps(ami_port is not None)}",
        f'ami_port = {ami_port or 5038}\nami_secret = "{AMI_SECRET}"',
        '[recordings]\ndir = "recordings"\nspool_dir = "spool"',
        f'asterisk_spool_dir = "{ASTERISK_SPOOL}"',
        '[ledger]\nurl = "sqlite:///ledger.db"',
        '[flow]\npath = "flow.yaml"',
        f"[retention]\ninterval_s = {_LOOK_OVER_S}",
    ]
    path = folder / "turnrec.toml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _port_of(control: ControlClient, process: subprocess.Popen[str], *, ami: bool) -> int:
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            raise RuntimeError(f"turnrec ended with status {process.returncode}")
        try:
            status = control.get("/v1/status")
        except ServerUnreachableError:
            time.sleep(0.1)
            continue
        if status["ami_ready"] or not ami:
            return int(status["agi_port"])
        time.sleep(0.1)
    raise RuntimeError("turnrec doesn't serve")


def _sample(control: ControlClient, pid: int, at_s: float, told: dict[str, Any]) -> Sample:
    text = control.get_text("/metrics")
    gauges = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
    return Sample(
        at_s=round(at_s, 1),
        turns=told["turns"],
        calls_live=told["live"],
        resident_mib=round(resident_mb(pid), 2),
        courier_mib=round(sum(resident_mb(child) for child in children(pid)), 2),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208 - /proc
        threads=len(os.listdir(f"/proc/{pid}/task")),  # noqa: PTH208 - /proc
        tasks=int(float(gauges["turnrec_tasks"])),
        backlog=int(float(gauges["turnrec_ledger_backlog_entries"])),
        cpu_s=round(cpu_s(pid), 2),
    )


def _wait_idle(control: ControlClient, ledger: Path) -> None:
    """Wait until every call's end and every recording has been entered."""
    until_s = time.monotonic() + _DRAIN_S
    while time.monotonic() < until_s:
        status = control.get("/v1/status")
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            (unclosed,) = database.execute(
                "SELECT count(*) FROM recordings WHERE closed_us IS NULL"
            ).fetchone()
        if not (unclosed or status["live_calls"] or status["ledger_backlog"]):
            return
        time.sleep(0.5)
    raise RuntimeError("turnrec never came to rest")


def run(folder: Path, given: argparse.Namespace) -> Found:
    """Simulate the day in `folder`, and check it."""
    journal = folder / "journal"
    samples: list[Sample] = []
    with _process(folder / "peer.log", "bench.day_peer", str(folder / "spool")) as peer:
        assert peer.stdin is not None  # noqa: S101
        assert peer.stdout is not None  # noqa: S101
        ami_port = int(peer.stdout.readline())
        settings = _settings(folder, ami_port if given.ami else None)
        control = ControlClient(folder / "sock")
        with _process(
            folder / "turnrec.log", "turnrec", "serve", "--config", str(settings)
        ) as turnrec:
            order = {
                "agi_port": _port_of(control, turnrec, ami=given.ami),
                "seed": given.seed,
                "turns": given.turns,
                "at_once": given.at_once,
                "first": 1,
                "ami": given.ami,
                "most_s": given.most_minutes * 60,
                "journal": str(journal),
            }
            idle: dict[str, Any] = {"turns": 0, "live": 0, "is_last": False}
            samples.append(_sample(control, turnrec.pid, 0.0, idle))
            began_s, used_s = time.monotonic(), cpu_s(turnrec.pid)
            peer.stdin.write(json.dumps(order) + "\n")
            peer.stdin.flush()
            told, next_s = idle, 0.0
            while not told["is_last"]:
                line = peer.stdout.readline()
                if not line:
                    raise RuntimeError((folder / "peer.log").read_text("utf-8")[-2000:])
                told = json.loads(line)
                at_s = time.monotonic() - began_s
                if at_s >= next_s or told["is_last"]:
                    samples.append(_sample(control, turnrec.pid, at_s, told))
                    next_s = at_s + given.every
                    _say(samples[-1], told)
            took_s = time.monotonic() - began_s
            _wait_idle(control, folder / "ledger.db")
            samples.append(_sample(control, turnrec.pid, time.monotonic() - began_s, told))
            _say(samples[-1], told)
            used_s = cpu_s(turnrec.pid) - used_s
    where = (folder / "ledger.db", journal, folder / "recordings", folder / "spool")
    checked = day_check.check(*where)
    day_check.verify(checked, where[0], where[2], given.sample, folder / "sample")
    return Found(
        machine=machine(),
        python=platform.python_version(),
        turns=told["turns"],
        calls=told["calls"],
        at_once=given.at_once,
        seconds=round(took_s, 1),
        turns_a_second=round(told["turns"] / took_s, 1),
        calls_a_second=round(told["calls"] / took_s, 1),
        cpu_ms_a_turn=round(1000 * used_s / told["turns"], 2),
        statuses=told["statuses"],
        turn_ms={name: told[f"{name}_ms"] for name in ("p50", "p99", "max")},
        mib_a_million_turns=slope(samples, told["turns"]),
        tasks_left=samples[-1].tasks - samples[0].tasks,
        descriptors_left=samples[-1].descriptors - samples[0].descriptors,
        checked=checked,
        samples=samples,
        load_at_end=load_average(),
    )


def slope(samples: Sequence[Sample], turns: int) -> float:
    """By how many MiB memory grows in a million turns, warming up left out (least squares)."""
    points = [
        (one.turns / 1e6, one.resident_mib)
        for one in samples
        if one.calls_live and one.turns >= turns * _WARM
    ]
    if len(points) < 2:
        return 0.0
    middle = [sum(axis) / len(points) for axis in zip(*points, strict=True)]
    spread = sum((x - middle[0]) ** 2 for x, _ in points)
    common = sum((x - middle[0]) * (y - middle[1]) for x, y in points)
    return round(common / spread, 2) if spread else 0.0


def _say(sample: Sample, told: dict[str, Any]) -> None:
    sys.stderr.write(
        f"{sample.at_s:7.0f} s {sample.turns:9,} turns  {told['calls']:8,} calls"
        f"  {sample.resident_mib:7.2f} MiB  {sample.descriptors} descriptors"
        f"  {sample.tasks} tasks  backlog {sample.backlog}"
        f"  p50 {told['p50_ms']} p99 {told['p99_ms']} ms  {told['statuses']}\n"
    )
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench day", description=__doc__)
    parser.add_argument("--turns", type=int, default=1_000_000)
    parser.add_argument("--at-once", type=int, default=60, metavar="CALLS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=10.0, metavar="S", help="between readings")
    parser.add_argument("--sample", type=int, default=500, help="recordings that are verified")
    parser.add_argument(
        "--without-ami", dest="ami", action="store_false", help="turnrec has no AMI"
    )
    parser.add_argument(
        "--most-minutes", type=float, default=600.0, metavar="M", help="then no new call begins"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work in DIR, and leave it there")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="turnrec-day-") as passing:
        folder = (given.keep or Path(passing)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        found = run(folder, given)
    sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n")
    is_good = (
        not found.checked.amiss
        and set(found.statuses) == {"OK"}
        and found.checked.verify_status == found.checked.sample_status == 0
    )
    raise SystemExit(0 if is_good else 1)
