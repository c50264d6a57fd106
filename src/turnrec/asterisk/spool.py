"""The folder in which Asterisk leaves part files, and what a part's header says while it lives.

It reads 44 bytes and a size, never the audio: a live file can't be parsed (asterisk-facts.md).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

WAV_HEADER_BYTES = 44
_RIFF_SIZE_AT = 4
_LOOK_AGAIN_S = 0.002


@dataclass(frozen=True, slots=True)
class Spool:
    """The parts' folder, under the two names that turnrec and Asterisk may have for it."""

    folder: Path
    """As turnrec sees it."""
    asterisk_folder: PurePosixPath
    """As Asterisk sees it: another name where one of the two lives in a container."""

    def path(self, part: str) -> Path:
        """Where turnrec finds a part."""
        return self.folder / part

    def asterisk_path(self, part: str) -> str:
        """Where Asterisk writes it."""
        return str(self.asterisk_folder / part)

    def size_bytes(self, part: str) -> int | None:
        """The part's size; None if it isn't there."""
        try:
            return self.path(part).stat().st_size
        except OSError:
            return None

    def is_closed(self, part: str) -> bool:
        """Whether Asterisk has closed the part: only then does its header tell its size.

        Measured on 16.28 and 22.10: the RIFF size is 0 while the monitor runs, and 36 or more
        once it is closed, for a part without any audio too.
        """
        try:
            with self.path(part).open("rb") as file:
                header = file.read(WAV_HEADER_BYTES)
        except OSError:
            return False
        if len(header) < WAV_HEADER_BYTES:
            return False
        (riff_bytes,) = struct.unpack_from("<I", header, _RIFF_SIZE_AT)
        return bool(riff_bytes > 0)

    async def wait_written(self, part: str, within_ms: int) -> bool:
        """Wait until the part's header is on disk, which is what a started monitor does first.

        Seen after 0.7 ms; a file of 0 bytes is a full disk, none at all a folder or rights.
        """
        return await self._wait(lambda: (self.size_bytes(part) or 0) >= WAV_HEADER_BYTES, within_ms)

    async def wait_closed(self, part: str, within_ms: int) -> bool:
        """Wait until the part is closed."""
        return await self._wait(lambda: self.is_closed(part), within_ms)

    async def _wait(self, condition: Callable[[], bool], within_ms: int) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_ms / 1000
        while not condition():
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(_LOOK_AGAIN_S)
        return True
