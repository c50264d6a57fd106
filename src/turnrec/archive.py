"""The keeper as the API asks it: words in, words out (`turnrec.web.archive.Archive`)."""

from __future__ import annotations

from turnrec.core.entry import JSON
from turnrec.core.errors import UnknownRecordingError
from turnrec.keeping import Asked, Keeper
from turnrec.recordings.redact import Stretch
from turnrec.web.access import Access


class KeptArchive:
    """Past recordings, for operators."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def hold_recording(
        self, access: Access, recording_id: str, reason: str, person: str | None
    ) -> dict[str, JSON]:
        """Forbid that it be deleted."""
        asked = await self._asked(access, recording_id, reason, person)
        return await self._keeper.hold(recording_id, asked)

    async def release_recording(
        self, access: Access, recording_id: str, reason: str, person: str | None
    ) -> dict[str, JSON]:
        """Allow again that it be deleted."""
        asked = await self._asked(access, recording_id, reason, person)
        return await self._keeper.release(recording_id, asked)

    async def delete_recording(
        self, access: Access, recording_id: str, reason: str, person: str | None
    ) -> dict[str, JSON]:
        """Delete it, with a tombstone."""
        asked = await self._asked(access, recording_id, reason, person)
        return await self._keeper.delete(recording_id, asked)

    async def redact_recording(
        self,
        access: Access,
        recording_id: str,
        from_: str,
        to: str,
        reason: str,
        person: str | None,
        *,
        delete_original: bool,
    ) -> dict[str, JSON]:
        """Cut a stretch out of it, into a new one."""
        asked = await self._asked(access, recording_id, reason, person)
        stretch = Stretch.parse(from_, to)
        return await self._keeper.redact(
            recording_id, stretch, asked, delete_original=delete_original
        )

    async def _asked(
        self, access: Access, recording_id: str, reason: str, person: str | None
    ) -> Asked:
        """Who asks, and why, where the recording is one that they may know of.

        Raises:
            UnknownRecordingError: it isn't.
            ReasonMissingError: the reason is none.
        """
        if access.bots is not None:
            record = await self._keeper.ledger.recording(recording_id)
            unknown = UnknownRecordingError(recording_id[:64])
            access.check_sees(None if record is None else record.bot, unknown)
        return Asked(reason, access.actor(person), access.origin)
