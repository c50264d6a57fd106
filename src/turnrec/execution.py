"""Carries out one decision of a recorder: its effects, in order, and what becomes of a failure.

It runs under the call's lock (`turnrec.calls`) and keeps the one rule that everything rests on:
the recorder changes only after Asterisk has confirmed and turnrec has looked; when that fails, it
is held, and every monitor of ours that may run on the channel is stopped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from turnrec.answer import Answer, Status, call_variables
from turnrec.core.call import Call, FinishedRecording, OpenRecording
from turnrec.core.entry import EntryKind, Origin
from turnrec.core.errors import (
    AsteriskUnreachableError,
    InternalError,
    MonitorLostError,
    RefusedError,
    SegmentNotStartedError,
    TurnrecError,
    UnansweredError,
)
from turnrec.core.monitor import Start
from turnrec.core.policy import Action
from turnrec.core.recorder import (
    Command,
    Decision,
    Effect,
    Event,
    Recorder,
    Source,
    decide,
    renew,
    suffer,
)
from turnrec.notes import Job, Notes, node_of
from turnrec.ports import Recordings

logger = logging.getLogger(__name__)


def _event_of(error: TurnrecError) -> Event:
    if isinstance(error, MonitorLostError):
        return Event.MONITOR_LOST
    if isinstance(error, SegmentNotStartedError):
        return Event.SEGMENT_FAILED
    return Event.UNANSWERED


def _is_kept(job: Job) -> bool:
    """Whether what was asked counts although nothing of it could be sent.

    A dialplan that gets no OK stops the monitor by itself. A bot that asked over HTTP can't: its
    pause is kept, for the turns to come that rely on it, and comes true when Asterisk is reached.
    One that is kept already changes nothing, however often it is asked again.
    """
    if job.path is not None and job.path.is_dialplan:
        return True
    command = job.command
    is_pause = command is not None and (command.action, command.source) == (
        Action.PAUSE,
        Source.TURN,
    )
    return is_pause and not job.call.recorder.holds >= {Source.TURN, Source.FAULT}


class Execution:
    """Carries out commands on calls and keeps the ledger of it."""

    def __init__(
        self,
        notes: Notes,
        recordings: Recordings,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._notes = notes
        self._recordings = recordings
        self._clock = clock
        self._new_id = new_id
        self._closing: set[asyncio.Task[None]] = set()
        self._joining: dict[str, asyncio.Task[None]] = {}
        """Those of them that have entered nothing yet, by recording."""
        self._perform: Final[Mapping[Effect, Callable[[Job], Awaitable[None]]]] = {
            Effect.ESTABLISH: self._establish,
            Effect.OPEN: self._open,
            Effect.BEGIN: self._begin,
            Effect.LOOK: self._look,
            Effect.END: self._end,
            Effect.CLOSE: self._close_monitor,
            Effect.FINISH: self._finish,
        }

    # -------------------------------------------------------------- commands

    async def carry_out(self, job: Job, command: Command) -> None:
        """Decide a command, do it, and let the recorder change.

        Raises:
            RefusedError: the table refuses it; nothing has changed.
            FaultError: it could not be confirmed; the recorder is held and nothing records.
            AsteriskUnreachableError: nothing was sent; nothing has changed.
        """
        job.command = command
        self._notes.note(job, EntryKind.ACTION_ASKED)
        try:
            decision = self._decide(job, command)
        except RefusedError as error:
            self._notes.note(job, EntryKind.ACTION_REFUSED, result=error.id)
            raise
        try:
            await self._attempt(job, decision)
        except MonitorLostError:
            if (command.action, command.source) != (Action.RESUME, Source.TURN):
                raise
            # The turn itself says that this may be recorded: begin anew, on what is now known.
            decision = self._decide(job, command)
            await self._attempt(job, decision)
        job.notice = decision.notice
        self._notes.done(job)

    async def look(self, job: Job) -> None:
        """For a turn that asks for nothing: look that what the recorder believes is true.

        Raises:
            FaultError: the monitor is gone, or Asterisk didn't say; the recorder is held.
        """
        if job.call.recorder.is_paused or job.call.monitor is None:
            return
        try:
            await self._look(job)
        except TurnrecError as error:
            await self.fail(job, error, job.call.recorder)
            raise

    async def renew(self, job: Job) -> None:
        """Begin a new segment for a new party, after the settling time.

        Raises:
            FaultError: it could not be confirmed; the recorder is held and nothing records.
        """
        job.command = None
        job.guard_ms = max(job.call.bot.guard_ms, job.call.bot.settle_ms)
        await self._attempt(job, renew(job.call.recorder))

    @staticmethod
    def _decide(job: Job, command: Command) -> Decision:
        return decide(job.call.recorder, command, stop_is_final=job.call.bot.stop_is_final)

    async def _attempt(self, job: Job, decision: Decision) -> None:
        """Do what was decided; whatever keeps it from being confirmed fails closed."""
        try:
            await self._do(job, decision)
        except AsteriskUnreachableError as error:
            if job.effects_done == 0 and not _is_kept(job):
                self._notes.note(job, EntryKind.ACTION_FAILED, result=error.id)
                raise
            await self.fail(job, error, decision.after)
            raise
        except TurnrecError as error:
            await self.fail(job, error, decision.after)
            raise
        except Exception as defect:
            logger.exception("a defect in turnrec; the call fails closed")
            internal = InternalError(type(defect).__name__)
            await self.fail(job, internal, decision.after)
            raise internal from defect

    async def _do(self, job: Job, decision: Decision) -> None:
        job.effects_done = 0
        for effect in decision.effects:
            if job.overrun():
                raise UnansweredError("a turn could not wait for this command")
            await self._perform[effect](job)
            job.effects_done += 1
        job.call.become(decision.after, self._clock())
        self._keep_gap(job.call)

    async def fail(self, job: Job, error: TurnrecError, intended: Recorder) -> None:
        """Fail closed: hold the recorder and stop every monitor of ours that may run."""
        call = job.call
        event = _event_of(error)
        if event is Event.MONITOR_LOST and await self._dialplan_failed_closed(job):
            # It met a turn that turnrec never heard of, which may have been a pause.
            call.pause_beneath()
            intended = replace(intended, holds=intended.holds | {Source.TURN})
        suffered = suffer(intended, event)
        call.become(suffered.after, self._clock())
        if call.monitor is not None:
            call.suspects.append(call.monitor)
            call.monitor = None
        if call.recording is not None:
            call.recording.doubt()
        job.established = False
        try:
            await self._establish(job)
        except Exception:  # noqa: BLE001 - it is failing closed already; nothing may stop it
            logger.warning("call %s: what records the channel isn't known yet", call.id)
        self._end_segment(job, self._clock(), "not confirmed")
        if call.recorder.is_open and call.recording is None:
            self._open_books(job)
        elif call.recording is not None and not call.recorder.is_open:
            self._close_recording(job, self._clock())
        self._keep_gap(call)
        call.published.clear()  # the dialplan may have written them too, failing closed
        self._notes.changed(job, error.id)
        if event is Event.MONITOR_LOST:
            self._notes.note(job, EntryKind.MONITOR_LOST, result=error.id)
        self._notes.note(job, EntryKind.ACTION_FAILED, result=error.id)
        if suffered.alarm:
            self._notes.alarm(call, error.id, str(error))

    @staticmethod
    async def _dialplan_failed_closed(job: Job) -> bool:
        """Whether the channel says of a fault that turnrec knows nothing of."""
        if job.path is None:
            return False
        try:
            holds = (await job.path.read("TURNREC_HOLDS"))["TURNREC_HOLDS"]
        except TurnrecError:
            return True
        published = job.call.published.get("TURNREC_HOLDS")
        return holds != published and Source.FAULT in holds.split(":")

    async def make_sure(self, job: Job) -> None:
        """Where a fault holds the recorder, find out what runs and end it, whatever was asked.

        An answer that isn't FAILCLOSED says that nothing runs which should not.

        Raises:
            TurnrecError: it can't be found out.
        """
        call = job.call
        if job.established or not (call.may_run_unseen or Source.FAULT in call.recorder.holds):
            return
        await self._establish(job)

    async def conclude(self, job: Job, error: TurnrecError | None) -> Answer:
        """Write the channel's variables, the status last, and answer.

        A dialplan that can't be told fails closed by itself: then so does the recorder.
        """
        call, path = job.call, job.path
        answer = Answer(Status.of(error), error or job.notice, call)
        if path is None:
            return answer
        wanted = call_variables(call)
        changed = {
            name: value for name, value in wanted.items() if call.published.get(name) != value
        }
        if path.is_dialplan:
            changed |= answer.variables()
        if not changed:
            return answer
        try:
            await path.publish(changed)
        except TurnrecError as unanswered:
            call.published.clear()
            if path.is_dialplan:
                await self.fail(job, unanswered, call.recorder)
                return Answer(Status.FAILCLOSED, unanswered, call)
            logger.warning("call %s: its channel variables could not be written", call.id)
            return answer
        call.published.update(wanted)
        return answer

    async def end_call(self, job: Job) -> None:
        """Close what a call leaves behind. Its recorder has ended already."""
        call = job.call
        if call.recording is not None:
            if call.monitor is not None and job.path is not None:
                try:
                    await self._finish(job)
                except TurnrecError as error:
                    # Asterisk ends it with the channel; joining waits for the part to be closed.
                    logger.info("call %s: its monitor ends with the channel (%s)", call.id, error)
            if call.recording is not None:
                self._close_recording(job, call.ended_us or self._clock())
        call.monitor = None
        self._notes.note(job, EntryKind.CALL_ENDED)

    async def settle(self, within_s: float | None = None) -> None:
        """Wait until every finished recording has been joined and entered.

        What is not joined after `within_s` is given up. The ledger knows it for unfinished and its
        parts are kept: it is joined after the next start.
        """
        if within_s is not None and self._closing:
            await asyncio.wait(self._closing, timeout=within_s)
            for recording_id, task in self._joining.items():
                logger.warning("recording %s is joined after the next start", recording_id)
                task.cancel()
        while self._closing:
            await asyncio.wait(self._closing)

    # -------------------------------------------------------------- effects

    async def _establish(self, job: Job) -> None:
        call, driver = job.call, job.driver
        found = await driver.running()
        # By part too: IDs come again, and a suspect's may be another's by now.
        known = {(one.id, one.part) for one in (call.monitor, *call.suspects) if one is not None}
        if found is not None and (found.id, found.part) not in known:
            call.suspects.append(found)
            call.published.pop("TURNREC_MIXMON_ID", None)
        while call.suspects:
            ended = await driver.settle(call.suspects[-1])
            call.suspects.pop()
            self._end_segment(job, ended.answered_us, ended.proof)
        for start in tuple(call.unanswered):
            if await driver.rule_out(start):
                call.unanswered.remove(start)
        job.established = True

    async def _open(self, job: Job) -> None:
        self._notes.check_vouched()
        self._open_books(job)

    def _open_books(self, job: Job) -> None:
        call = job.call
        call.recording = OpenRecording(self._new_id(), self._clock())
        self._notes.note(job, EntryKind.RECORDING_OPENED, detail={"bot": call.bot.name})

    async def _begin(self, job: Job) -> None:
        self._notes.check_vouched()
        call, recording = job.call, _open_recording(job.call)
        if call.unanswered:
            await self._establish(job)
        running = call.monitor
        part = recording.next_part() if running is None else running.part
        guard_ms = call.bot.guard_ms if job.guard_ms is None else job.guard_ms
        sides = call.wants_sides(part)
        start = Start(part, job.driver.order, self._clock())
        call.unanswered.append(start)
        try:
            begun = await job.driver.begin(
                part, running, guard_ms, sides=sides, afresh=call.was_bridged
            )
        except AsteriskUnreachableError:  # nothing was sent
            call.unanswered.remove(start)
            raise
        call.unanswered.remove(start)
        call.monitor = begun.monitor
        # Option `i` of MixMonitor has set it.
        call.published["TURNREC_MIXMON_ID"] = begun.monitor.id
        if job.overrun():
            # Before anything else is told: that turn's dialplan goes on with its prompt.
            raise UnansweredError("a turn could not wait for this command")
        segment = recording.begin_segment(begun)
        self._notes.note(
            job,
            EntryKind.SEGMENT_BEGAN,
            detail={
                "number": segment.number,
                "part": segment.part,
                "asked_us": begun.asked_us,
                "answered_us": begun.answered_us,
                "offset_us": segment.offset_us,
                "guard_ms": guard_ms,
                "monitor_id": begun.monitor.id,
            },
        )

    async def _look(self, job: Job) -> None:
        monitor = job.call.monitor
        if monitor is None:
            raise MonitorLostError("no monitor of ours is known on this channel")
        asked_us = self._clock()
        await job.driver.look(monitor)
        if job.call.recording is not None:
            job.call.recording.seen_us = asked_us

    async def _end(self, job: Job) -> None:
        call = job.call
        if call.monitor is None:
            raise MonitorLostError("no monitor of ours is known on this channel")
        ended = await job.driver.end(call.monitor)
        call.monitor = ended.monitor
        job.ended_us = ended.answered_us
        self._end_segment(job, ended.answered_us, ended.proof, ended.asked_us)

    async def _close_monitor(self, job: Job) -> None:
        call = job.call
        if call.monitor is None:
            if call.recorder.is_paused:
                return
            raise MonitorLostError("no monitor of ours is known on this channel")
        ended = await job.driver.finish(call.monitor)
        call.monitor = None
        self._end_segment(job, ended.answered_us, ended.proof, ended.asked_us)

    async def _finish(self, job: Job) -> None:
        call = job.call
        at_us = job.ended_us or self._clock()
        if call.monitor is not None:
            ended = await job.driver.finish(call.monitor)
            call.monitor = None
            at_us = ended.answered_us
            self._end_segment(job, at_us, ended.proof, ended.asked_us, goes_on=False)
        self._close_recording(job, at_us)

    # -------------------------------------------------------------- books

    def _end_segment(
        self,
        job: Job,
        at_us: int,
        proof: str,
        asked_us: int | None = None,
        *,
        goes_on: bool = True,
    ) -> None:
        recording = job.call.recording
        segment = None if recording is None else recording.end_segment(at_us)
        if segment is None or recording is None:
            return
        if goes_on:
            recording.open_gap(at_us, job.call.recorder.holds, node_of(job.call))
        self._notes.note(
            job,
            EntryKind.SEGMENT_ENDED,
            detail={
                "number": segment.number,
                "part": segment.part,
                "asked_us": asked_us,
                "answered_us": at_us,
                "proof": proof,
            },
        )

    def _keep_gap(self, call: Call) -> None:
        if call.recording is not None and call.recorder.is_paused:
            call.recording.open_gap(self._clock(), call.recorder.holds, node_of(call))

    def _close_recording(self, job: Job, closed_us: int) -> None:
        call, recording = job.call, _open_recording(job.call)
        self._end_segment(job, closed_us, "the call has ended", goes_on=False)
        finished = recording.finish(call.id, call.bot, closed_us)
        call.recording = None
        self._notes.recording_stopped(job, finished.id)
        self.join_later(finished, call.uniqueid, job.origin)

    def join_later(self, finished: FinishedRecording, uniqueid: str, origin: Origin) -> None:
        """Have a finished recording joined and entered, beside the calls' path."""
        task = asyncio.create_task(self._join(finished, uniqueid, origin))
        self._joining[finished.id] = task
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _join(self, finished: FinishedRecording, uniqueid: str, origin: Origin) -> None:
        try:
            closed = await self._recordings.close(finished)
        except Exception:
            logger.exception("a defect in turnrec; the parts are kept")
            sentence = f"recording {finished.id} is not joined; that is tried at the next start"
            self._notes.alarm(
                None, "recording-failed", sentence, uniqueid=uniqueid, finished=finished
            )
            return
        finally:
            # From here on it is entered, and all that follows from this is done.
            self._joining.pop(finished.id, None)
        self._notes.recording_closed(finished, closed, uniqueid, origin)
        if not closed.ok:
            sentence = f"recording {finished.id} is not whole"
            self._notes.alarm(
                None, "recording-failed", sentence, uniqueid=uniqueid, finished=finished
            )
        for part in closed.one_sided_parts:
            sentence = f"part {part}: one side of the talk is silent"
            self._notes.alarm(None, "one-sided", sentence, uniqueid=uniqueid, finished=finished)
        if await self._notes.make_durable():
            # The parts are all there is of the recording until the ledger holds its hash.
            await self._recordings.discard(finished.id)


def _open_recording(call: Call) -> OpenRecording:
    if call.recording is None:
        raise AssertionError(f"call {call.id}: no recording is open in {call.recorder}")
    return call.recording
