"""`python -m bench soak`: many calls for long. Does anything leak, grow, or get slower?

200 calls at once, a turn each 5 s: open turns sound 400 Hz, paused ones 1000 Hz, callers talk at
500 Hz throughout. Afterwards every joined recording is searched for the paused tone. What turnrec
uses is read every so often. Its exit status is 0 only where no window leaked and every turn was OK.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from tests.pbx.tones import PAUSED_BOT_HZ, leaks, read_wav

from bench.dialplan import Timed, read
from bench.load import Load
from bench.plan import Arm, Level, Turn
from bench.proc import load_average, machine, resident_mb
from bench.stage import Stage, stage, write_tone
from turnrec.pbx.packages import Release, ensure

_LEVEL: Final = Level(calls=200, talk_s=4.9, pairs=6, ramp_s=10.0, window_s=0)
_DRAIN_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What turnrec uses at one instant."""

    at_s: float
    calls: int
    resident_mb: float
    descriptors: int
    threads: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a soak came to."""

    machine: str
    calls: int
    minutes: float
    turns: int
    statuses: dict[str, int]
    turn_ms: dict[str, dict[str, float]]
    recordings: int
    hours_of_sound: float
    recordings_by_status: dict[str, int]
    recordings_that_leak: list[str]
    leaked_ms: float
    samples: list[Sample]
    load_at_end: float


async def _soak(here: Stage, calls: int, minutes: float, every_s: float) -> list[Sample]:
    level = Level(calls, _LEVEL.talk_s, _LEVEL.pairs, _LEVEL.ramp_s, minutes * 60)
    write_tone(here.folder / "sounds" / "paused.wav", PAUSED_BOT_HZ, _LEVEL.talk_s)
    await asyncio.to_thread(here.pbx.rx, "dialplan set global PAUSED_TALK paused")
    load = Load(here.ami, level, (Arm.TURNREC,))
    await load.ramp()
    began, samples = time.monotonic(), []
    while (at_s := time.monotonic() - began) < minutes * 60:
        samples.append(await _sample(here, at_s, load.live))
        last = samples[-1]
        sys.stderr.write(
            f"{last.at_s:6.0f} s  {last.calls} calls  {last.resident_mb:.1f} MiB"
            f"  {last.descriptors} descriptors  {last.tasks} tasks\n"
        )
        await asyncio.sleep(every_s)
    load.stop()
    await asyncio.to_thread(here.pbx.rx, "channel request hangup all")
    async with asyncio.timeout(_DRAIN_S):
        while not await _is_over(here):  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(1)
    samples.append(await _sample(here, time.monotonic() - began, 0))
    return samples


async def _sample(here: Stage, at_s: float, calls: int) -> Sample:
    text = await asyncio.to_thread(here.control.get_text, "/metrics")
    gauges = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
    pid = here.turnrec_pid
    return Sample(
        round(at_s, 1),
        calls,
        round(resident_mb(pid), 1),
        len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208 - /proc
        len(os.listdir(f"/proc/{pid}/task")),  # noqa: PTH208 - /proc
        int(float(gauges["turnrec_tasks"])),
    )


async def _is_over(here: Stage) -> bool:
    status = await asyncio.to_thread(here.control.get, "/v1/status")
    if status["live_calls"] or status["ledger_backlog"]:
        return False
    page = await asyncio.to_thread(lambda: here.control.get("/v1/recordings", limit=1000))
    return all(one["status"] in ("done", "failed") for one in page["items"])


def _all_recordings(here: Stage) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = here.control.get("/v1/recordings", limit=1000, cursor=cursor)
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def _leaked_ms(path: str) -> tuple[str, float, float]:
    """A file, its seconds, and for how long the paused tone sounds in it."""
    sound = read_wav(Path(path))
    samples = sound.channels[0]
    return (
        path,
        len(samples) / 8000,
        sum(1000 * (one.end_s - one.start_s) for one in leaks(samples)),
    )


def _turn_ms(turns: list[Timed]) -> dict[str, dict[str, float]]:
    found = {}
    for turn in Turn:
        took_ms = [(one.took_us - one.clock_us) / 1000 for one in turns if one.turn is turn]
        found[turn.value] = {
            name: round(float(np.percentile(took_ms, q)), 2)
            for name, q in {"p50": 50, "p99": 99, "max": 100}.items()
        }
    return found


async def _run(given: argparse.Namespace, folder: Path) -> Found:
    installation = ensure(Release.V22, say=lambda line: sys.stderr.write(f"{line}\n"))
    async with stage(installation, folder, [_LEVEL.talk_s]) as here:
        samples = await _soak(here, given.calls, given.minutes, given.every)
        turns = list(read(here.pbx.log_path.read_text("utf-8", "replace")))
        recordings = await asyncio.to_thread(lambda: list(_all_recordings(here)))
    files = [one["path"] for one in recordings if one.get("path")]
    with ProcessPoolExecutor() as pool:
        judged = list(pool.map(_leaked_ms, files, chunksize=16))
    return Found(
        machine(),
        given.calls,
        given.minutes,
        len(turns),
        dict(Counter(one.status for one in turns)),
        _turn_ms(turns),
        len(recordings),
        round(sum(seconds for _, seconds, _ in judged) / 3600, 2),
        dict(Counter(one["status"] for one in recordings)),
        [Path(path).name for path, _, leaked_ms in judged if leaked_ms],
        sum(leaked_ms for _, _, leaked_ms in judged),
        samples,
        load_average(),
    )


def main(arguments: list[str]) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=_LEVEL.calls)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=30.0, metavar="S", help="between readings")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work in DIR, and leave it there")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="turnrec-soak-") as passing:
        folder = given.keep or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(_run(given, folder))
    sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n")
    is_clean = not found.recordings_that_leak and set(found.statuses) == {"OK"}
    raise SystemExit(0 if is_clean else 1)
