"""`python -m bench check`: the time of `turnrec check` on large flows, from file to findings.

Each flow is a call centre's: questions, some of them sensitive, retries of each, ways back and on.
A process of its own reads, walks and reports it; what starting Python costs is told beside it.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import proc

_SIZES = (100, 1_000, 10_000)


def flow(nodes: int) -> str:
    """A sound flow of so many nodes: four to a question, and a menu to come back to."""
    lines = ["version: 1", "bots:", "  large:", "    nodes:"]
    for number in range(0, nodes, 4):
        following = f"n{number + 4}" if number + 4 < nodes else "last"
        lines += [
            f"      n{number}: {{next: [n{number + 1}, {following}]}}",
            f"      n{number + 1}: {{action: pause, sensitive: true,"
            f" next: [n{number + 1}, n{number + 2}, n{number + 3}]}}",
            f"      n{number + 2}: {{next: [n{number + 1}]}}",
            f"      n{number + 3}: {{action: resume, next: [{following}, n0]}}",
        ]
    return "\n".join([*lines, "      last:"]) + "\n"


_MEASURED = """
import gc, sys, time
from pathlib import Path
from turnrec.check.report import as_text
from turnrec.check.run import check_file
gc.disable()  # as the command does
began_s, cpu_s = time.perf_counter(), time.process_time()
checked = check_file(Path(sys.argv[1]))
text = list(as_text([checked]))
print(time.perf_counter() - began_s, time.process_time() - cpu_s, len(checked.walks[0].came_from))
assert not checked.findings, text[:5]
"""


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """Check one file so often."""
    inside, cpu, whole, whole_cpu = [], [], [], []
    spots = 0
    for _ in range(rounds):
        done = subprocess.run(  # noqa: S603 - this file's own program
            [sys.executable, "-c", _MEASURED, str(path)],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds, cpu_seconds, spots_text = done.stdout.split()
        inside.append(float(seconds))
        cpu.append(float(cpu_seconds))
        spots = int(spots_text)
        began_s, began_cpu_s = time.perf_counter(), _children_cpu_s()
        subprocess.run(  # noqa: S603 - likewise
            [sys.executable, "-m", "turnrec", "check", str(path)], check=True, capture_output=True
        )
        whole.append(time.perf_counter() - began_s)
        whole_cpu.append(_children_cpu_s() - began_cpu_s)
    return {
        "spots": spots,
        "file_to_findings_s": statistics.median(inside),
        "slowest_s": max(inside),
        "cpu_s": statistics.median(cpu),
        "command_s": statistics.median(whole),
        "command_cpu_s": statistics.median(whole_cpu),
    }


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str]) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench check", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=_SIZES, metavar="N")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args(arguments)
    found = {}
    with tempfile.TemporaryDirectory(prefix="turnrec-bench-") as folder:
        for nodes in given.nodes:
            path = Path(folder) / f"flow-{nodes}.yaml"
            path.write_text(flow(nodes), "utf-8")
            found[nodes] = measure(path, given.rounds)
    if given.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    table = Table(title=f"turnrec check, median of {given.rounds}", box=None, pad_edge=False)
    for title in ("nodes", "spots", "file to findings", "slowest", "CPU", "whole command", "CPU"):
        table.add_column(title, justify="right")
    for nodes, one in found.items():
        seconds = ("file_to_findings_s", "slowest_s", "cpu_s", "command_s", "command_cpu_s")
        table.add_row(f"{nodes}", f"{one['spots']}", *(f"{one[key]:.3f} s" for key in seconds))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(f"{proc.machine()}, Python {platform.python_version()}")
    console.print(table)
