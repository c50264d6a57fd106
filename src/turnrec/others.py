"""Recorders that are not ours on the channels of a call: hushed while the call may not be recorded.

It knows of them from AMI's events (`turnrec.asterisk.tally`) and commands them over AMI, for the
main path, under the call's lock. What is no MixMonitor (ARI, snoops, Record) it can't see.
"""

from __future__ import annotations

import logging
from typing import Final

from turnrec.asterisk.channel import AmiChannel
from turnrec.asterisk.paths import Ways
from turnrec.asterisk.tally import Deed
from turnrec.calls import Calls
from turnrec.core.call import Call, Hushed
from turnrec.core.entry import JSON, EntryKind
from turnrec.core.errors import OthersRecordError, TurnrecError
from turnrec.core.policy import Others, PauseMethod
from turnrec.notes import Job

logger = logging.getLogger(__name__)

_MOST_ON_A_CHANNEL: Final = 16
"""How many monitors of others are stopped on one channel before it is given up as endless."""


class OtherRecorders:
    """Hushes what others record, and lets it be heard again."""

    def __init__(self, calls: Calls, ways: Ways) -> None:
        self._calls = calls
        self._notes = calls.notes
        self._ways = ways

    async def keep(self, job: Job) -> None:
        """Bring others' recorders in line with the call: hushed unless it may be recorded.

        A failure is an alarm and a notice to the asker: it is their recorder, not ours, and the
        call's own promise is kept.
        """
        call = job.call
        if call.bot.others is Others.IGNORE:
            return
        channels = self._channels(call)
        for uniqueid, hushed in tuple(call.hushed.items()):
            if not call.recorder.is_suppressed or uniqueid not in channels:
                await self._let_be_heard(job, uniqueid, hushed)
        if not call.recorder.is_suppressed:
            return
        for uniqueid, name in channels.items():
            if uniqueid != call.uniqueid and self._calls.find(uniqueid) is not None:
                continue  # a call of its own: what records there is ours, under that call's rules
            strangers = self._ways.tally.foreign(uniqueid, Deed.START)
            already = call.hushed.get(uniqueid)
            if strangers > (0 if already is None else already.recorders):
                await self._hush(job, self._ways.channel(name, uniqueid), strangers)

    async def release(self, job: Job) -> None:
        """The call is over: what was hushed for its sake on others' channels may sound again."""
        for uniqueid, hushed in tuple(job.call.hushed.items()):
            if uniqueid != job.call.uniqueid:
                await self._let_be_heard(job, uniqueid, hushed)
        # AMI's Hangup says it, too, where there is AMI.
        self._ways.tally.forget(job.call.uniqueid)

    @staticmethod
    def _channels(call: Call) -> dict[str, str]:
        """The channels of the call: name by uniqueid."""
        return {call.uniqueid: call.channel} | {one.uniqueid: one.channel for one in call.company}

    async def _hush(self, job: Job, channel: AmiChannel, strangers: int) -> None:
        call = job.call
        try:
            done = await self._do_hush(call, channel)
        except TurnrecError as error:
            failed = OthersRecordError(f"a recorder that isn't ours goes on: {error}")
            self._enter(job, channel, strangers, "not hushed", failed.id)
            self._notes.alarm(call, failed.id, str(failed))
            job.notice = job.notice or failed
            return
        call.hushed[channel.uniqueid] = Hushed(channel.name, strangers)
        self._enter(job, channel, strangers, done)

    async def _do_hush(self, call: Call, channel: AmiChannel) -> str:
        if call.bot.others is Others.MUTE and self._ways.mutes_by_id:
            await channel.mute(None, muted=True)
            return "muted"
        # Older ones mute the first monitor only, and say Success: there a mute is a stop.
        if call.monitor is not None and channel.uniqueid == call.uniqueid:
            raise OthersRecordError(
                f"with pause_method {PauseMethod.MUTE.value} ours can't be told from theirs here"
            )
        for _ in range(_MOST_ON_A_CHANNEL):
            if not await channel.stop_first_monitor():
                break
        return "stopped"

    async def _let_be_heard(self, job: Job, uniqueid: str, hushed: Hushed) -> None:
        del job.call.hushed[uniqueid]
        channel = self._ways.channel(hushed.channel, uniqueid)
        others = (one for one in self._calls.live() if one is not job.call)
        if any(uniqueid in one.hushed for one in others):
            return  # another call still wants silence there
        if job.call.bot.others is not Others.MUTE or not self._ways.mutes_by_id:
            return
        try:
            await channel.mute(None, muted=False)
        except TurnrecError as error:
            logger.warning("a recorder that isn't ours stays muted: %s", error)
            return
        self._enter(job, channel, hushed.recorders, "unmuted")

    def _enter(
        self, job: Job, channel: AmiChannel, strangers: int, done: str, result: str = "ok"
    ) -> None:
        detail: dict[str, JSON] = {"channel": channel.name, "recorders": strangers, "done": done}
        self._notes.note(job, EntryKind.OTHER_RECORDER, result=result, detail=detail)
