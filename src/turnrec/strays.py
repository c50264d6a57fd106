"""Clears up, at a start, what a crash left between making a recording's files and entering them.

Such files are no recording: no entry names them, so they are never listed, served or verified.
Each is told of by a durable alarm before it is touched. A redacted copy is made anew from its
original, so what is left of one goes while that is there; anything else is put aside for somebody
to look at.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from turnrec.ledger.store import Ledger
from turnrec.ledger.views import RecordingStatus
from turnrec.notes import Notes
from turnrec.ports import Journal
from turnrec.recordings.removing import remove
from turnrec.recordings.strays import ASIDE, SUFFIX, Files, files_by_recording, put_aside

logger = logging.getLogger(__name__)

ALARM: Final = "stray-files"


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was found and done."""

    removed: tuple[str, ...] = ()
    """Names of redacted copies that were never entered; their originals are there."""
    aside: tuple[str, ...] = ()
    """Names whose files were put aside."""
    foreign: tuple[str, ...] = ()
    """Names that another ledger may know; they were left alone."""


class Strays:
    """Looks through the recordings' folder once, before the API is open.

    Calls may be recorded and joined meanwhile: the ledger knows a recording by its name before it
    has a file.
    """

    def __init__(self, ledger: Ledger, journal: Journal, notes: Notes, folder: Path) -> None:
        self._ledger = ledger
        self._journal = journal
        self._notes = notes
        self._folder = folder

    async def clear(self) -> Cleared:
        """Find files whose name no entry names, say so, and take them out of the way.

        Files that were there before this ledger began, or whose manifest names another ledger,
        are left: they are no crash's.

        Raises:
            LedgerError: the ledger can't be read.
        """
        files = await asyncio.to_thread(files_by_recording, self._folder)
        await self._ledger.flush()
        known = await self._ledger.known_recordings([one.recording_id for one in files])
        unknown = [one for one in files if one.recording_id not in known]
        if not unknown:
            return Cleared()
        ledger_id, first = await self._ledger.ledger_id(), await self._ledger.entries(limit=1)
        removed, aside, foreign = [], [], []
        for one in unknown:
            if not first or await asyncio.to_thread(
                _is_foreign, one, ledger_id, first[0].entry.at_us
            ):
                foreign.append(one.recording_id)
            elif await self._has_original(one):
                removed.append(one.recording_id)
                await self._remove(one)
            else:
                aside.append(one.recording_id)
                await self._put_aside(one)
        if foreign:
            logger.warning(
                "%d recordings in %s are not of this ledger, and were left alone: %s",
                len(foreign),
                self._folder,
                ", ".join(foreign[:10]),
            )
        return Cleared(tuple(removed), tuple(aside), tuple(foreign))

    async def _has_original(self, files: Files) -> bool:
        """Whether they are a redacted copy whose original is a recording, and there."""
        source = await asyncio.to_thread(files.copy_of)
        if source is None:
            return False
        record = await self._ledger.recording(Path(source).stem)
        if record is None or record.file is None or record.status is RecordingStatus.DELETED:
            return False
        original = self._folder / record.file
        return original.name == source and await asyncio.to_thread(original.is_file)

    async def _remove(self, files: Files) -> None:
        names = ", ".join(path.name for path in files.paths)
        told = await self._tell(
            f"{names} were of a redacted copy that was never entered; its original is there, and"
            " they are removed: redact it again"
        )
        if told and (left := await asyncio.to_thread(remove, files.paths)):
            self._complain(left)

    async def _put_aside(self, files: Files) -> None:
        names = ", ".join(path.name for path in files.paths)
        told = await self._tell(
            f"no entry names {names}: they are no recording, and are put aside in"
            f" {ASIDE}/{files.folder.name} with the ending {SUFFIX}; look at them, and delete them"
        )
        if told and (left := await asyncio.to_thread(put_aside, self._folder, files.paths)):
            self._complain(left)

    async def _tell(self, sentence: str) -> bool:
        """Have the ledger say it first; whether it does."""
        self._notes.alarm(None, ALARM, sentence)
        if await self._journal.make_durable():
            return True
        logger.error("nothing was moved: the ledger is behind")
        return False

    def _complain(self, left: tuple[Path, ...]) -> None:
        names = ", ".join(path.name for path in left)
        self._notes.alarm(None, ALARM, f"{names} would not go; it is tried at the next start")


def _is_foreign(files: Files, ledger_id: str | None, began_us: int) -> bool:
    """Whether they are rather another ledger's than a crash's."""
    manifest = files.manifest()
    if manifest is not None:
        return manifest.ledger.id != ledger_id
    return files.written_us < began_us
