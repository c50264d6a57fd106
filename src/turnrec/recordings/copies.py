"""Copies of recordings in other formats, kept for those who ask again; never under a name.

A copy is made in a private folder and opened, and its name is taken away at once: what a crash
leaves behind is at most one that was being made, and the next start clears that. Copies are few
and bounded in bytes, and of a recording that is deleted none stays.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from turnrec.core.policy import PauseBehavior
from turnrec.recordings.export import Source, export
from turnrec.recordings.sound import SoundFormat, SoundUnreadableError

_THREADS: Final = 2
_MOST: Final = 32
_MOST_BYTES: Final = 1 << 30

_Key: TypeAlias = "tuple[str, str, PauseBehavior, SoundFormat]"
"""The recording's id, its file's hash, and what the copy is like."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that is open; who gets it closes it."""

    file: BinaryIO
    size: int
    sha256: str


class Copies:
    """Makes copies, and keeps the last ones."""

    def __init__(self, folder: Path, *, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        """Keep at most so many copies of so many bytes together; `folder` is nobody else's."""
        self._folder = folder
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[_Key, Copy] = OrderedDict()
        self._making: dict[_Key, asyncio.Task[Copy]] = {}
        self._unwanted: set[_Key] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="copy")

    async def open(self, source: Source, behavior: PauseBehavior, form: SoundFormat) -> Copy:
        """Open a copy, making it if need be; who asks for the same meanwhile waits for it.

        Raises:
            SoundChangedError: the source isn't the file that is known.
            RecordingError: no copy was made; its id says why.
        """
        key = (source.recording_id, source.sha256, behavior, form)
        if key not in self._kept:
            making = self._making.get(key)
            if making is None:
                making = asyncio.create_task(self._make(key, source), name="copy of a recording")
                self._making[key] = making
            # Who goes away leaves the others waiting.
            kept = await asyncio.shield(making)
        else:
            kept = self._kept[key]
            self._kept.move_to_end(key)
        return Copy(_again(kept.file), kept.size, kept.sha256)

    def forget(self, recording_id: str) -> None:
        """Let go of every copy of a recording, be it made or in the making."""
        for key in [one for one in self._kept if one[0] == recording_id]:
            self._kept.pop(key).file.close()
        self._unwanted.update(one for one in self._making if one[0] == recording_id)

    def clear(self) -> None:
        """Take away what a process before this one left. It blocks on the disk."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def close(self) -> None:
        """Let go of all copies, once those in the making are made."""
        if self._making:
            await asyncio.wait(list(self._making.values()))
        for copy in self._kept.values():
            copy.file.close()
        self._kept.clear()
        self._threads.shutdown()

    async def _make(self, key: _Key, source: Source) -> Copy:
        loop = asyncio.get_running_loop()
        try:
            copy = await loop.run_in_executor(self._threads, self._export, key, source)
            if key in self._unwanted:
                copy.file.close()
                raise SoundUnreadableError(source.path, "it was deleted meanwhile")
            self._kept[key] = copy
            self._make_room()
            return copy
        finally:
            self._unwanted.discard(key)
            del self._making[key]

    def _export(self, key: _Key, source: Source) -> Copy:
        _, _, behavior, form = key
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            done = export(source, behavior, form, Path(place) / f"copy.{form}")
            file = done.path.open("rb", buffering=0)
        return Copy(file, os.fstat(file.fileno()).st_size, done.sha256)

    def _make_room(self) -> None:
        # The newest stays, however large: somebody is about to open it.
        while len(self._kept) > 1 and (
            len(self._kept) > self._most
            or sum(one.size for one in self._kept.values()) > self._most_bytes
        ):
            self._kept.popitem(last=False)[1].file.close()


def _again(file: BinaryIO) -> BinaryIO:
    """The same file, to be closed by somebody else."""
    return os.fdopen(os.dup(file.fileno()), "rb", buffering=0)
