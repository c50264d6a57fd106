"""Puts right what somebody else did to our monitor: an agent's `*3`, another system's commands.

It is told by the net (`turnrec.net`) that something was done on a channel, looks what became of
ours, and has the main path's tables decide. It never undoes a hold that somebody set.
"""

from __future__ import annotations

from typing import Final

from turnrec.asterisk.paths import Ways
from turnrec.asterisk.tally import Deed
from turnrec.calls import Asker, Calls
from turnrec.core.call import Call
from turnrec.core.entry import EntryKind, Origin
from turnrec.core.errors import MeddledError, MonitorLostError
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
            if not call.recorder.is_recording:
                return
            try:
                await self._execution.look(job)
            except MonitorLostError:
                # More holds than the fault: the dialplan failed closed, or somebody paused.
                if call.recorder.holds != {Source.FAULT} or call.put_right >= _MOST_PUT_RIGHT:
                    raise
                call.put_right += 1
                await self._execution.carry_out(job, Command(Action.RESUME, Source.TURN))
                self._enter(job, "ours was stopped", "begun anew")

        await self._calls.ask(path, _ASKER, work)

    async def muted(self, call: Call) -> None:
        """Something was muted or unmuted on a call's channel: ours is as it should be again."""
        path = self._ways.by_ami(call.channel, call.uniqueid)

        async def work(job: Job) -> None:
            self._ways.tally.acknowledge(call.uniqueid, Deed.MUTE)
            call.hushed.clear()  # theirs may sound again: they are hushed anew
            monitor = call.monitor
            if monitor is None:
                return
            muted = not call.recorder.is_recording
            channel = self._ways.channel(call.channel, call.uniqueid)
            await channel.mute(monitor.id if self._ways.mutes_by_id else None, muted=muted)
            self._enter(job, "a mute or unmute", "muted again" if muted else "unmuted")
            meddled = MeddledError("somebody else muted or unmuted; ours has been put right")
            self._notes.alarm(call, meddled.id, str(meddled))

        await self._calls.ask(path, _ASKER, work)

    def _enter(self, job: Job, what: str, done: str) -> None:
        detail = {"channel": job.call.channel, "what": what, "done": done}
        self._notes.note(job, EntryKind.OTHER_RECORDER, detail=detail)
