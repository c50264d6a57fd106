"""Puts right what somebody else did to our monitor: an agent's `*3`, another system's commands.

It is told by the net (`turnrec.net`) that something was done on a channel, looks what became of
ours, and has the main path's tables decide. It never undoes a hold that somebody set.
"""

from __future__ import annotations

from typing import Final

from turnrec.asterisk.paths import Ways
from turnrec.calls import Asker, Calls
from turnrec.core.call import Call
from turnrec.core.entry import EntryKind, Origin
from turnrec.core.errors import MeddledError, MonitorLostError, TurnrecError
from turnrec.core.policy import Action
from turnrec.core.recorder import Command, Source
from turnrec.notes import Job

_ASKER = Asker(Origin.AMI, "turnrec")
_MOST_PUT_RIGHT: Final = 10
"""How often a call's recording is begun anew after others ended it. Two systems that undo each
other for ever help nobody; what stays is the fault, and its alarm."""


class Meddling:
    """Looks after monitors that somebody else may have touched."""

    def __init__(self, calls: Calls, ways: Ways) -> None:
        self._calls = calls
        self._ways = ways
        self._execution = calls.execution
        self._notes = calls.notes

    async def stopped(self, call: Call) -> None:
        """A MixMonitor was stopped on a call's channel: begin anew where it was ours."""
        path = self._ways.by_ami(call.channel, call.uniqueid)

        async def work(job: Job) -> None:
            if not call.recorder.is_recording or call.monitor is None:
                return
            try:
                await job.driver.look(call.monitor)
            except MonitorLostError as lost:
                await self._begin_anew(job, lost)

        await self._calls.ask(path, _ASKER, work)

    async def _begin_anew(self, job: Job, lost: MonitorLostError) -> None:
        call = job.call
        await self._execution.fail(job, lost, call.recorder)
        # More holds than the fault: the dialplan failed closed, or somebody paused.
        if call.recorder.holds != {Source.FAULT} or call.put_right >= _MOST_PUT_RIGHT:
            raise lost
        call.put_right += 1
        await self._execution.carry_out(job, Command(Action.RESUME, Source.TURN))
        self._enter(job, "ours was stopped", "begun anew")

    async def muted(self, call: Call, uniqueid: str, *, muted: bool) -> None:
        """Something was muted or unmuted on a channel of a call.

        What somebody else uncovers in a pause is muted again, theirs (`turnrec.others`) and ours.
        What somebody else mutes stays muted: it may be his own pause for a card number. Both are
        alarmed.
        """
        path = self._ways.by_ami(call.channel, call.uniqueid)

        async def work(job: Job) -> None:
            if not muted:
                call.hushed.pop(uniqueid, None)  # theirs may sound again: they are hushed anew
            monitor = call.monitor
            if monitor is None or uniqueid != call.uniqueid:
                return
            if muted:
                self._enter(job, "ours was muted", "left")
            elif not call.recorder.is_recording:
                if call.recording is not None:
                    call.recording.lose_sight()
                try:
                    call.monitor = (await job.driver.end(monitor)).monitor
                except TurnrecError as error:
                    await self._execution.fail(job, error, call.recorder)
                    raise
                self._enter(job, "ours was unmuted", "muted again")
            else:
                return
            meddled = MeddledError(f"somebody else {'muted' if muted else 'unmuted'} our monitor")
            self._notes.alarm(call, meddled.id, str(meddled))

        await self._calls.ask(path, _ASKER, work)

    def _enter(self, job: Job, what: str, done: str) -> None:
        detail = {"channel": job.call.channel, "what": what, "done": done}
        self._notes.note(job, EntryKind.OTHER_RECORDER, detail=detail)
