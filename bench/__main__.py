"""`python -m bench`: the time of a turn with turnrec against a bare FastAGI handler.

`python -m bench events` measures the event daemon instead (see `bench.events`), `hour` an hour of
calls, `api` a turn while pages and webhooks watch, `soak` many calls for long, `day` a million
turns at speed, and `check` a check of large flow files.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench import api, check, day, events, hour, proc, report, soak
from bench.plan import DEFAULT_CALLS, Arm, Level
from bench.run import Measured, measure
from bench.stage import stage
from turnrec.pbx.packages import Installation, Release, ensure


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of four")
    parser.add_argument(
        "--calls",
        type=lambda text: tuple(int(one) for one in text.split(",")),
        default=DEFAULT_CALLS,
        metavar="N,N",
        help="how many concurrent calls [default: 1,50,100,200]",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--window", type=float, metavar="S", help="measure each level for so long")
    parser.add_argument("--only", type=Arm, choices=list(Arm), help="give all calls to one handler")
    parser.add_argument(
        "--asterisk", type=Release, choices=list(Release), default=Release.V22, metavar="RELEASE"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work in DIR, and leave it there")
    return parser.parse_args()


async def _run(
    installation: Installation, folder: Path, levels: Sequence[Level], arms: Sequence[Arm]
) -> list[Measured]:
    async with stage(installation, folder, [level.talk_s for level in levels]) as running:
        return await measure(running, levels, arms, _say)


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def main() -> None:
    """Run it."""
    if sys.argv[1:2] == ["check"]:
        check.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["events"]:
        events.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["hour"]:
        hour.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["api"]:
        api.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["soak"]:
        soak.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["day"]:
        day.main(sys.argv[2:])
        return
    given = _arguments()
    installation = ensure(given.asterisk, say=_say)
    levels = [Level.of(calls, quick=given.quick, window_s=given.window) for calls in given.calls]
    arms = tuple(Arm) if given.only is None else (given.only,)
    with tempfile.TemporaryDirectory(prefix="turnrec-bench-") as passing:
        folder = given.keep or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        measured = asyncio.run(_run(installation, folder, levels, arms))
    setting = report.Setting(
        proc.machine(),
        platform.python_version(),
        installation.version,
        arms,
        shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
    )
    if given.json:
        sys.stdout.write(report.as_json(setting, measured) + "\n")
    else:
        # A pipe has no width, and the tables are wide.
        report.show(Console(width=None if sys.stdout.isatty() else 160), setting, measured)


if __name__ == "__main__":
    main()
