"""Where a recording's files lie, and that a folder's names are on the disk; it opens no sound."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path


def day_of(opened_us: int) -> str:
    """The folder, below the recordings' own, of a recording that was opened then."""
    return datetime.fromtimestamp(opened_us / 1_000_000, UTC).date().isoformat()


def sync_folder(folder: Path) -> None:
    """Put on the disk which names a folder has: a new file's, or that one is gone.

    Raises:
        OSError: the folder is gone, or the disk says no.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
