"""Keeps the live calls and Asterisk's channels in step: hang-ups, restarts, and a sweep.

A hang-up is heard three ways: by the handler on the channel (dialplan), by AMI's Hangup, and by
the sweep, which compares the live calls with the channels that there are. Each alone suffices. It
decides nothing: it tells `turnrec.calls`.
"""

from __future__ import annotations

import asyncio
import logging

from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.ami_errors import AmiError
from turnrec.asterisk.ami_message import AmiEvent
from turnrec.asterisk.paths import Ways
from turnrec.calls import Asker, Calls
from turnrec.core.entry import Origin
from turnrec.core.errors import TurnrecError, UnknownChannelError
from turnrec.memory import LedgerMemory
from turnrec.net import Net
from turnrec.periodic import Periodic

logger = logging.getLogger(__name__)

_LIST_TIMEOUT_MS = 5_000
"""A list of hundreds of channels takes longer than one action."""


_ENDED_UNSEEN = (
    "it ended after turnrec had died: what was done in between is not entered, and what was said in"
    " between may be missing in its recording"
)
_NAMES_AN_ALARM = 20


class Watch:
    """Keeps the live calls and Asterisk's channels in step."""

    def __init__(
        self,
        calls: Calls,
        ways: Ways,
        ami: AmiClient,
        memory: LedgerMemory,
        net: Net,
        *,
        interval_s: float,
    ) -> None:
        self._calls = calls
        self._ways = ways
        self._ami = ami
        self._memory = memory
        self._net = net
        self._sweeps = Periodic(
            self._sweep, interval_s, name="sweep", complaint="a sweep failed; the next one comes"
        )
        self._reconciling = asyncio.Lock()
        self._has_told_of_strays = False

    def start(self) -> None:
        """Listen to AMI and begin to sweep."""
        self._ami.subscribe("Hangup", handler=self._on_hangup)
        self._ami.on_ready(self._on_ready)
        self._sweeps.start()

    async def close(self) -> None:
        """Stop sweeping. The AMI client is closed by its owner."""
        await self._sweeps.close()

    async def reconcile(self, origin: Origin) -> None:
        """End the calls whose channels are gone, take up those of an earlier process.

        Raises:
            AmiError: Asterisk could not be asked; nothing was changed.
        """
        async with self._reconciling:
            # Before the question: a call that begins after it isn't in the answer.
            believed = {call.uniqueid for call in self._calls.live()}
            orphans = {call.uniqueid: call for call in await self._memory.orphans(believed)}
            self._net.begin_list()
            channels = await self._ami.action_list(
                "CoreShowChannels",
                complete_event="CoreShowChannelsComplete",
                timeout_ms=_LIST_TIMEOUT_MS,
            )
            there = {event.get("Uniqueid") or "" for event in channels}
            asker = Asker(origin)
            for uniqueid in believed - there:
                if not await self._is_there(uniqueid):
                    await self._calls.hang_up(uniqueid, asker)
            for uniqueid, call in orphans.items():
                if self._calls.find(uniqueid) is not None or await self._memory.is_over(call.id):
                    continue
                if uniqueid in there or await self._is_there(uniqueid):
                    await self._adopt(uniqueid)
                else:
                    is_unseen = await self._memory.was_lost_sight_of(call.id)
                    # Its own hang-up handler may have come meanwhile: it ends once.
                    if self._calls.restore(call):
                        if is_unseen:
                            self._calls.notes.alarm(call, "ended-unseen", _ENDED_UNSEEN)
                        await self._calls.hang_up(uniqueid, asker)
            await self._net.sync(channels)
            await self._tell_of_strays()

    async def _is_there(self, uniqueid: str) -> bool:
        """Ask for this one channel: a caller can forge events and rows, but not this answer.

        Where Asterisk doesn't say, it counts as there: the next sweep asks again.
        """
        try:
            await self._ways.named(uniqueid)
        except UnknownChannelError:
            return False
        except TurnrecError:
            return True
        return True

    async def _tell_of_strays(self) -> None:
        """Once, when every call that is still there has been taken up."""
        if self._has_told_of_strays:
            return
        self._has_told_of_strays = True
        strays = await self._memory.stray_parts()
        for first in range(0, len(strays), _NAMES_AN_ALARM):
            names = ", ".join(strays[first : first + _NAMES_AN_ALARM])
            sentence = f"no entry names the recording of {names}: look at them in the spool"
            self._calls.notes.alarm(None, "stray-parts", sentence)

    async def _adopt(self, uniqueid: str) -> None:
        try:
            await self._calls.adopt(await self._ways.named(uniqueid))
        except TurnrecError as error:
            # Its next turn comes through AGI, and takes it up then.
            logger.warning("channel %s could not be taken up yet: %s", uniqueid, error)

    async def _on_hangup(self, event: AmiEvent) -> None:
        uniqueid = event.get("Uniqueid")
        if uniqueid and self._calls.find(uniqueid) is not None:
            if await self._is_there(uniqueid):
                logger.warning("channel %s was said to have hung up, and is there", uniqueid)
                return
            await self._calls.hang_up(uniqueid, Asker(Origin.AMI))

    async def _on_ready(self) -> None:
        settings = await self._ami.action("CoreSettings")
        self._ways.asterisk_version = settings.get("AsteriskVersion") or ""
        logger.info("Asterisk %s", self._ways.asterisk_version)
        await self.reconcile(Origin.AMI)

    async def _sweep(self) -> None:
        try:
            await self.reconcile(Origin.SWEEP)
        except AmiError as error:
            logger.warning("no sweep: %s", error)
