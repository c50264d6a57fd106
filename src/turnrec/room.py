"""Watches that the disks have room for recordings, and says when they have none; it frees nothing.

While there is too little, nothing new begins (`Notes.check_vouched`); what runs goes on, and so do
the calls. The room kept free is what running recordings and their joining still need.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from turnrec.periodic import Periodic

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 2.0
_MB: Final = 1_000_000
_AGAIN: Final = 1.1
"""How much more than the least must be free before recordings begin again: a disk at the limit
would open and close the door with every file."""

FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """How much a user who isn't root can still write there.

    Raises:
        OSError: the folder is gone, or its disk.
    """
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Room:
    """Knows whether there is room, as of the last look."""

    def __init__(
        self,
        folders: Sequence[Path],
        min_free_mb: int,
        alarm: Callable[[str, str], None],
        *,
        interval_s: float = INTERVAL_S,
        measure: FreeBytes = free_bytes,
    ) -> None:
        """`alarm` is called with an id and a sentence when room runs out. 0 MB: don't watch."""
        self._folders = tuple(dict.fromkeys(folders))
        self._min_free_bytes = min_free_mb * _MB
        self._alarm = alarm
        self._measure = measure
        self._lack: str | None = None
        self._looks = Periodic(
            self.look,
            interval_s,
            name="room on the disks",
            complaint="the room on the disks could not be looked at; the next look comes",
        )

    def lack(self) -> str | None:
        """Why nothing new may be recorded, in a sentence; None while there is room."""
        return self._lack

    async def start(self) -> None:
        """Look once, and then at intervals."""
        if not self._min_free_bytes:
            return
        await self.look()
        self._looks.start()

    async def close(self) -> None:
        """Stop looking."""
        await self._looks.close()

    async def look(self) -> None:
        """Measure the disks now. In a thread: one that hangs must not stop the calls."""
        before = self._lack
        least = self._min_free_bytes * (1 if before is None else _AGAIN)
        found = [await asyncio.to_thread(self._look_at, folder, least) for folder in self._folders]
        self._lack = next((lack for lack in found if lack is not None), None)
        if self._lack is not None and before is None:
            self._alarm("disk-low", f"nothing new is recorded: {self._lack}")
        elif self._lack is None and before is not None:
            logger.warning("there is room again: recordings may begin")

    def _look_at(self, folder: Path, least_bytes: float) -> str | None:
        try:
            free = self._measure(folder)
        except OSError as error:
            return f"the room in {folder} can't be measured ({error.strerror})"
        if free >= least_bytes:
            return None
        return (
            f"{free // _MB} MB are free in {folder},"
            f" recordings begin from {round(least_bytes / _MB)} MB on (min_free_mb)"
        )
