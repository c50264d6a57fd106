"""What the main path enters into the ledger, in the ledger's words; it decides nothing.

Entries are queued and written behind the call's back (`Journal`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from turnrec.core.call import Call, ClosedRecording, FinishedRecording
from turnrec.core.entry import JSON, OK, Entry, EntryKind, Origin
from turnrec.core.errors import (
    AsteriskUnreachableError,
    DiskLowError,
    LedgerUnavailableError,
    TurnrecError,
)
from turnrec.core.recorder import Command, Source
from turnrec.ports import Driver, Journal, Path, Room

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Job:
    """One request on one call while it is carried out."""

    call: Call
    path: Path | None
    origin: Origin
    actor: str | None = None
    overrun: Callable[[], bool] = lambda: False
    command: Command | None = None
    notice: TurnrecError | None = None
    effects_done: int = 0
    guard_ms: int | None = None
    """What passes before a segment of this request, where it isn't the bot's guard."""
    ended_us: int | None = None
    """When this request ended a segment."""
    established: bool = False
    """Whether this request has found out what runs on the channel."""
    reason: str | None = None
    """Why it is asked, in the asker's own words."""

    @property
    def driver(self) -> Driver:
        """The way to the channel.

        Raises:
            AsteriskUnreachableError: the channel is gone.
        """
        if self.path is None:
            raise AsteriskUnreachableError("the channel is gone")
        return self.path.driver(self.call.bot.pause_method)


class Notes:
    """Writes entries about calls."""

    def __init__(self, journal: Journal, clock: Callable[[], int]) -> None:
        self._journal = journal
        self._clock = clock
        self.room: Room | None = None
        """Who knows whether there is room for recordings; None: nobody looks."""

    def note(
        self,
        job: Job,
        kind: EntryKind,
        *,
        source: Source | None = None,
        result: str = OK,
        detail: Mapping[str, JSON] | None = None,
    ) -> None:
        """Append an entry about this job; it is written behind the call's back."""
        call, command = job.call, job.command
        if job.reason is not None and kind is EntryKind.ACTION_ASKED:
            detail = {**(detail or {}), "reason": job.reason}
        self._journal.append(
            Entry(
                kind=kind,
                at_us=self._clock(),
                call_id=call.id,
                uniqueid=call.uniqueid,
                recording_id=None if call.recording is None else call.recording.id,
                source=source if command is None else command.source,
                actor=job.actor,
                origin=job.origin,
                action=None if command is None else command.action,
                node=node_of(call),
                turn=None if call.turn is None else call.turn.number,
                state=call.recorder.state,
                holds=tuple(sorted(call.recorder.holds)),
                result=result,
                detail=detail or {},
            )
        )

    def done(self, job: Job) -> None:
        """Enter that an action was carried out, and from which state it led, if to another."""
        was = job.call.take_change()
        detail: dict[str, JSON] = {} if was is None else {"was": was.value}
        if job.reason is not None:
            detail["reason"] = job.reason
        result = OK if job.notice is None else job.notice.id
        self.note(job, EntryKind.ACTION_DONE, result=result, detail=detail)

    def changed(self, job: Job, why: str) -> None:
        """Enter that the recorder stands otherwise than the ledger tells, though no action did it.

        A recording's end has an entry of its own.
        """
        was = job.call.take_change()
        if was is not None and job.call.recorder.is_open:
            detail = {"was": was.value}
            self.note(job, EntryKind.RECORDER_CHANGED, result=why, detail=detail)

    def recording_stopped(self, job: Job, recording_id: str) -> None:
        """Enter that nothing more comes to a recording. The recorder's new state comes later."""
        call, command = job.call, job.command
        self._journal.append(
            Entry(
                kind=EntryKind.RECORDING_STOPPED,
                at_us=self._clock(),
                call_id=call.id,
                uniqueid=call.uniqueid,
                recording_id=recording_id,
                source=None if command is None else command.source,
                actor=job.actor,
                origin=job.origin,
                action=None if command is None else command.action,
                node=node_of(call),
                turn=None if call.turn is None else call.turn.number,
            )
        )

    def recording_found_ended(self, finished: FinishedRecording, uniqueid: str) -> None:
        """Enter the end of a recording whose process died before it could."""
        self._journal.append(
            Entry(
                kind=EntryKind.RECORDING_STOPPED,
                at_us=self._clock(),
                call_id=finished.call_id or None,
                uniqueid=uniqueid,
                recording_id=finished.id,
                origin=Origin.SERVER,
                detail={"recovered": True},
            )
        )

    def alarm(
        self,
        call: Call | None,
        alarm_id: str,
        sentence: str,
        *,
        uniqueid: str | None = None,
        finished: FinishedRecording | None = None,
    ) -> None:
        """Wake somebody: a line in the log and an entry in the ledger.

        Where no live call is concerned, `uniqueid` and `finished` say whom it is about.
        """
        call_id = None if finished is None else finished.call_id or None
        recording_id = None if finished is None else finished.id
        if call is not None:
            call_id = call.id
            recording_id = None if call.recording is None else call.recording.id
        logger.error("alarm %s: %s", alarm_id, sentence, extra={"uniqueid": uniqueid})
        self._journal.append(
            Entry(
                kind=EntryKind.ALARM,
                at_us=self._clock(),
                call_id=call_id,
                uniqueid=uniqueid if call is None else call.uniqueid,
                recording_id=recording_id,
                node=None if call is None else node_of(call),
                state=None if call is None else call.recorder.state,
                holds=() if call is None else tuple(sorted(call.recorder.holds)),
                result=alarm_id,
                detail={"sentence": sentence},
            )
        )

    def refused_at_the_door(
        self, error: TurnrecError, uniqueid: str, origin: Origin, actor: str | None
    ) -> None:
        """Enter a request that reached no recorder."""
        logger.warning("request on channel %s: %s", uniqueid, error)
        self._journal.append(
            Entry(
                kind=EntryKind.ACTION_REFUSED,
                at_us=self._clock(),
                uniqueid=uniqueid,
                actor=actor,
                origin=origin,
                result=error.id,
            )
        )

    def recovered(self, job: Job) -> None:
        """Enter that a crash lost entries, what of them could be told again, and what changed."""
        lost, job.call.recovered = job.call.recovered, []
        if lost:
            kinds: list[JSON] = [one.kind.value for one in lost]
            self.note(job, EntryKind.ENTRY_LOST, detail={"count": len(lost), "kinds": kinds})
        for one in lost:
            self.note(job, one.kind, detail={**one.detail, "recovered": True})
        self.changed(job, "taken-up-again")

    def recording_closed(
        self, finished: FinishedRecording, closed: ClosedRecording, uniqueid: str, origin: Origin
    ) -> None:
        """Enter what became of a recording."""
        self._journal.append(
            Entry(
                kind=EntryKind.RECORDING_CLOSED,
                at_us=self._clock(),
                call_id=finished.call_id,
                uniqueid=uniqueid,
                recording_id=finished.id,
                origin=origin,
                result=OK if closed.ok else "recording-failed",
                detail=closed.detail,
            )
        )

    def check_vouched(self) -> None:
        """Return if something may begin to be recorded: the ledger vouches, the disks have room.

        Raises:
            LedgerUnavailableError: it takes no entries.
            DiskLowError: there is too little room for what would be recorded.
        """
        if not self._journal.vouches():
            raise LedgerUnavailableError("the ledger takes no entries: nothing may be recorded")
        lack = None if self.room is None else self.room.lack()
        if lack is not None:
            raise DiskLowError(lack)

    async def make_durable(self) -> bool:
        """Wait until everything entered so far would survive a crash; False if it can't be."""
        return await self._journal.make_durable()


def node_of(call: Call) -> str | None:
    """The node of a call's turn."""
    return None if call.turn is None else call.turn.node.name
