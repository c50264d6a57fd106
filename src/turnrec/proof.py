"""Gives every closed recording its manifest, and has the ledger signed when it is entered.

It stands around what joins recordings (`Closer`) and reads the ledger for it. A manifest that
can't be made never loses a recording: the file stays, the parts are kept, and the ledger says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from turnrec import __version__
from turnrec.core.call import ClosedRecording, FinishedRecording
from turnrec.core.errors import TurnrecError
from turnrec.ledger.checkpointer import Checkpointer
from turnrec.ledger.checkpoints import FILE_NAME, CheckpointFile
from turnrec.ledger.errors import LedgerError
from turnrec.ledger.keys import SigningKey
from turnrec.ledger.store import Ledger
from turnrec.recordings.closer import Closer
from turnrec.recordings.manifest_file import (
    ManifestMissingError,
    ManifestNotWrittenError,
    read_manifest,
    write_manifest,
)
from turnrec.recordings.manifest_history import Numbered
from turnrec.recordings.manifest_make import Circumstances, make_manifest
from turnrec.settings import Settings

logger = logging.getLogger(__name__)

_DURABLE_WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What the ledger says when a recording is closed."""

    entries: tuple[Numbered, ...]
    around: Circumstances


class ProvingCloser:
    """Closes recordings with a manifest each (`turnrec.ports.Recordings`)."""

    def __init__(
        self,
        closer: Closer,
        ledger: Ledger,
        clock: Callable[[], int],
        asterisk_version: Callable[[], str],
        checkpointer: Checkpointer | None = None,
    ) -> None:
        """`asterisk_version` is empty while nobody knows it."""
        self._closer = closer
        self._ledger = ledger
        self._clock = clock
        self._asterisk_version = asterisk_version
        self._checkpointer = checkpointer

    async def close(self, recording: FinishedRecording) -> ClosedRecording:
        """Join and check a recording, and write its manifest; say what came of both."""
        closed = await self._closer.close(recording)
        try:
            gathered = await self._gather(recording)
            name, sha256 = await asyncio.to_thread(self._write, recording, closed, gathered)
        except Exception as error:  # whatever it is, the recording must not be lost to it
            logger.exception("recording %s has no manifest; its parts are kept", recording.id)
            self._closer.keep(recording.id)
            return _without_manifest(closed, str(error))
        return replace(
            closed, detail={**closed.detail, "manifest": name, "manifest_sha256": sha256}
        )

    async def discard(self, recording_id: str) -> None:
        """Delete the parts of a recording whose file and manifest are entered."""
        if self._checkpointer is not None:
            self._checkpointer.soon()
        await self._closer.discard(recording_id)

    async def _gather(self, recording: FinishedRecording) -> _Gathered:
        await self._ledger.flush(timeout_s=_DURABLE_WITHIN_S)
        head, ledger_id = await self._ledger.head(), await self._ledger.ledger_id()
        if ledger_id is None:
            raise LedgerError("the ledger has no entries")
        entries = await self._ledger.entries(call_id=recording.call_id, limit=None)
        return _Gathered(
            tuple(Numbered(one.seq, one.entry) for one in entries if one.seq <= head.seq),
            Circumstances(
                made_us=self._clock(),
                made_by=f"turnrec {__version__}",
                asterisk_version=self._asterisk_version() or None,
                ledger_id=ledger_id,
                head_seq=head.seq,
                head_hash=head.hash,
            ),
        )

    def _write(
        self, recording: FinishedRecording, closed: ClosedRecording, gathered: _Gathered
    ) -> tuple[str, str]:
        target = self._closer.path(recording)
        path = target.with_suffix(".json")
        file = target if closed.detail.get("file") is not None else None
        if not closed.ok and file is None and _is_manifest(path):
            # Of a process that died before it could enter it, when the parts were still there.
            raise ManifestNotWrittenError(path, "a manifest lies there, and is not overwritten")
        manifest = make_manifest(recording, closed, file, gathered.entries, gathered.around)
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return path.name, write_manifest(path, manifest)


def make_checkpointer(
    settings: Settings, ledger: Ledger, clock: Callable[[], int]
) -> Checkpointer | None:
    """What signs the ledger; None while no key is configured.

    Raises:
        KeyFileError: the key can't be used.
    """
    given = settings.ledger
    if given.signing_key_file is None:
        return None
    file = given.checkpoints_file or default_checkpoints_file(settings)
    return Checkpointer(
        ledger,
        SigningKey.read(given.signing_key_file),
        CheckpointFile(file),
        clock,
        every_s=given.checkpoint_every_s,
    )


def default_checkpoints_file(settings: Settings) -> Path:
    """Where checkpoints go that nobody has given a place: beside the recordings' days."""
    return settings.recordings.dir / FILE_NAME


def _is_manifest(path: Path) -> bool:
    try:
        read_manifest(path)
    except ManifestMissingError:
        return False
    except TurnrecError:
        return True
    return True


def _without_manifest(closed: ClosedRecording, reason: str) -> ClosedRecording:
    detail: dict[str, Any] = dict(closed.detail)
    problems = [*detail.get("problems", ()), f"no manifest: {reason}; the parts are kept"]
    return ClosedRecording(False, detail | {"status": "failed", "problems": problems})
