"""The keeper as the control socket asks it: words in, words out (`turnrec.web.archive.Archive`)."""

from __future__ import annotations

from turnrec.core.entry import JSON, Origin
from turnrec.keeping import Asked, Keeper
from turnrec.recordings.redact import Stretch


class KeptArchive:
    """Past recordings, for operators."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def show_recording(self, recording_id: str) -> dict[str, JSON]:
        """One recording, with all that was entered when it was closed."""
        return await self._keeper.show(recording_id)

    async def hold_recording(self, recording_id: str, reason: str, actor: str) -> dict[str, JSON]:
        """Forbid that it be deleted."""
        return await self._keeper.hold(recording_id, Asked(reason, actor, Origin.CLI))

    async def release_recording(
        self, recording_id: str, reason: str, actor: str
    ) -> dict[str, JSON]:
        """Allow again that it be deleted."""
        return await self._keeper.release(recording_id, Asked(reason, actor, Origin.CLI))

    async def delete_recording(self, recording_id: str, reason: str, actor: str) -> dict[str, JSON]:
        """Delete it, with a tombstone."""
        return await self._keeper.delete(recording_id, Asked(reason, actor, Origin.CLI))

    async def redact_recording(
        self,
        recording_id: str,
        from_: str,
        to: str,
        reason: str,
        actor: str,
        *,
        delete_original: bool,
    ) -> dict[str, JSON]:
        """Cut a stretch out of it, into a new one."""
        asked = Asked(reason, actor, Origin.CLI)
        stretch = Stretch.parse(from_, to)
        return await self._keeper.redact(
            recording_id, stretch, asked, delete_original=delete_original
        )
