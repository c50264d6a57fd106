"""What processes use, read from /proc."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, all its threads, since it began."""
    # The name, second field, may hold spaces; it ends with the last parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def machine_busy_s() -> float:
    """CPU seconds that this machine was busy, all cores, since it booted."""
    fields = [
        int(one) for one in Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:]
    ]
    user, nice, system, _idle, _iowait, irq, softirq, *_ = fields
    return (user + nice + system + irq + softirq) / _TICKS_A_SECOND


def resident_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a process in MiB; VmHWM: the most that it ever was."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def load_average() -> float:
    """The machine's load over the last minute."""
    return os.getloadavg()[0]


def machine() -> str:
    """Name the processor and count its cores."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{len(models) or os.cpu_count()} cores ({models[0] if models else 'unknown'})"


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds at one instant."""

    at_s: float
    processes: dict[str, float]
    machine: float

    @classmethod
    def take(cls, pids: dict[str, int]) -> Reading:
        """Read now."""
        used = {name: cpu_s(pid) for name, pid in pids.items()}
        return cls(time.monotonic(), used, machine_busy_s())

    def until(self, later: Reading) -> dict[str, float]:
        """Shares of one core between two readings; `others`: what isn't named."""
        length_s = later.at_s - self.at_s
        shares = {
            name: (later.processes[name] - used) / length_s for name, used in self.processes.items()
        }
        busy = (later.machine - self.machine) / length_s
        return {**shares, "others": max(0.0, busy - sum(shares.values()))}
