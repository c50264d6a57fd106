"""Turns a finished recording into its file, beside the call's path; it never raises.

Joining blocks on disks, so it runs in threads of its own: few, because a hundred calls that end
together must not starve the turns of those that go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from turnrec.core.call import ClosedRecording, FinishedRecording
from turnrec.core.entry import JSON
from turnrec.core.timeline import TimelineError
from turnrec.recordings.disk import day_of
from turnrec.recordings.join import Joined, JoinPlan, discard_parts, join
from turnrec.recordings.sides import discard_sides, silent_sides
from turnrec.recordings.spans import span_to_json
from turnrec.recordings.stereo import join_stereo, stereo_path
from turnrec.recordings.wav import PartError
from turnrec.recordings.wav_writer import RecordingError

logger = logging.getLogger(__name__)

_THREADS: Final = 2
_WAIT_CLOSED_MS: Final = 5_000
"""How long to wait for Asterisk to close a part whose channel has hung up. A part that is still
open then was left by an Asterisk that died."""

_Result = TypeVar("_Result")
WaitClosed = Callable[[str, int], Awaitable[bool]]


class Closer:
    """Joins recordings into `folder/DAY/RECORDING.wav`."""

    def __init__(
        self, spool: Path, folder: Path, wait_closed: WaitClosed, *, keep_parts: bool = False
    ) -> None:
        self._keep_parts = keep_parts
        self._spool = spool
        self._folder = folder
        self._wait_closed = wait_closed
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="join")
        self._joined: dict[str, Joined] = {}

    async def close(self, recording: FinishedRecording) -> ClosedRecording:
        """Join and check a recording; say what came of it, in words for the ledger."""
        for part in dict.fromkeys(segment.part for segment in recording.segments):
            await self._wait_closed(part, _WAIT_CLOSED_MS)
        try:
            joined = await self._in_thread(lambda: self._join(recording))
        except (RecordingError, PartError, TimelineError, OSError) as error:
            logger.exception("recording %s could not be joined; its parts are kept", recording.id)
            return ClosedRecording(False, {"status": "failed", "problems": [str(error)]})
        self._joined[recording.id] = joined
        one_sided = await self._in_thread(lambda: self._one_sided(recording, joined))
        whole = not any(part.mended for part in joined.parts) and _has_all_parts(recording, joined)
        detail = self._detail(recording, joined, whole=whole)
        if recording.dual_channel:
            detail["stereo"] = await self._in_thread(lambda: self._stereo(recording, joined))
        return ClosedRecording(whole, detail | {"one_sided": one_sided})

    async def discard(self, recording_id: str) -> None:
        """Delete the parts of a recording whose file is verified and entered."""
        joined = self._joined.pop(recording_id, None)
        if joined is None or self._keep_parts:
            return
        try:
            await self._in_thread(lambda: self._discard(joined))
        except (RecordingError, OSError):
            logger.exception("the parts of recording %s were not deleted", recording_id)

    def keep(self, recording_id: str) -> None:
        """Keep the parts of a recording: nothing but them proves what is in it."""
        self._joined.pop(recording_id, None)

    def path(self, recording: FinishedRecording) -> Path:
        """Where a recording's file lies, or would."""
        return self._target(recording)

    def shut_down(self) -> None:
        """End the threads, once they are through with what they have begun."""
        self._threads.shutdown(cancel_futures=True)

    def _join(self, recording: FinishedRecording) -> Joined:
        target = self._target(recording)
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        parts = [self._spool / segment.part for segment in recording.segments]
        if target.exists() and parts and all(part.exists() for part in parts):
            # The id is ours alone: a process before us died between joining and entering it. With
            # a part gone it died while discarding, and the file is the only whole copy.
            target.unlink()
            stereo_path(target).unlink(missing_ok=True)
        return join(
            JoinPlan(
                recording_id=recording.id,
                spool=self._spool,
                target=target,
                opened_us=recording.opened_us,
                closed_us=recording.closed_us,
                segments=recording.segments,
                gaps=recording.gaps,
                behavior=recording.behavior,
                method=recording.method,
                parts=recording.parts,
                unwatched_parts=recording.unwatched_parts,
            )
        )

    def _stereo(self, recording: FinishedRecording, joined: Joined) -> JSON:
        """The two-channel file beside the mix, or why there is none: the mix counts."""
        try:
            made = join_stereo(joined, self._spool)
        except (RecordingError, OSError) as error:
            logger.warning("recording %s has no two channels: %s", recording.id, error)
            return {"file": None, "reason": str(error)}
        return {"file": str(made.path.relative_to(self._folder)), "sha256": made.sha256}

    def _one_sided(self, recording: FinishedRecording, joined: Joined) -> list[JSON]:
        """The parts in which nothing at all is heard of one side of a talk."""
        talks = recording.talk_parts
        silent = {
            part.name: silent_sides(self._spool, part.name)
            for part in joined.parts
            if talks is None or part.name in talks
        }
        return [
            {"part": name, "silent": [side.value for side in sides]}
            for name, sides in silent.items()
            if sides
        ]

    def _discard(self, joined: Joined) -> None:
        discard_parts(joined, self._spool)
        discard_sides(self._spool, (part.name for part in joined.parts))

    def _target(self, recording: FinishedRecording) -> Path:
        return self._folder / day_of(recording.opened_us) / f"{recording.id}.wav"

    def _detail(
        self, recording: FinishedRecording, joined: Joined, *, whole: bool
    ) -> dict[str, JSON]:
        return {
            "status": "done" if whole else "failed",
            "file": None if joined.path is None else str(joined.path.relative_to(self._folder)),
            "samples": joined.samples,
            "rate_hz": joined.rate_hz,
            "sha256": joined.sha256,
            "behavior": recording.behavior.value,
            "method": recording.method.value,
            "parts": [
                {
                    "name": part.name,
                    "sha256": part.sha256,
                    "bytes": part.bytes,
                    "samples": part.samples,
                    "mended": part.mended,
                }
                for part in joined.parts
            ],
            "spans": [span_to_json(span) for span in joined.spans],
            "problems": list(joined.problems),
        }

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _has_all_parts(recording: FinishedRecording, joined: Joined) -> bool:
    return {part.name for part in joined.parts} >= {one.part for one in recording.segments}
