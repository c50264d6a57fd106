"""libfaketime for turnrec's process: fetched from the machine's own Debian, installed nowhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def fetch(cache: Path) -> Path | None:
    """The library, fetched if need be; None where apt has none."""
    found = _find(cache)
    if found is not None or shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return found
    cache.mkdir(parents=True, exist_ok=True)
    try:
        _run(cache, "apt-get", "download", "libfaketime")
        for package in cache.glob("*.deb"):
            _run(cache, "dpkg", "-x", str(package), str(cache))
    except (OSError, subprocess.SubprocessError):
        return None
    return _find(cache)


def environment(library: Path, clock_file: Path) -> dict[str, str]:
    """What a process needs in its environment so that `clock_file` sets its clock."""
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock_file),
        "FAKETIME_CACHE_DURATION": "1",
        # A monotonic clock never jumps: that is what it is for.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",  # files keep the times that the disk gives them
    }


def clear_up() -> None:
    """Remove what it left in shared memory of processes that are no more."""
    for path in Path("/dev/shm").glob("*faketime_*"):
        if not Path("/proc", path.name.rpartition("_")[2]).exists():
            path.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where it is kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "turnrec" / "faketime"


def _find(cache: Path) -> Path | None:
    return next(iter(sorted(cache.rglob("libfaketime.so.1"))), None)


def _run(folder: Path, *argv: str) -> None:
    subprocess.run(argv, cwd=folder, check=True, capture_output=True, timeout=120)
