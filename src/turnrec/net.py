"""The net under the announcements: finds every bridge and every recorder that nobody announced.

It turns AMI's events into what concerns a live call, and tells `turnrec.talks`, `turnrec.meddling`
and `turnrec.calls`; it decides nothing. What it hears is late by nature (1 to 20 ms after the
fact), so the dialplan's own announcements come first and this is what remains.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Final

from turnrec.answer import Status
from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.ami_errors import AmiError
from turnrec.asterisk.ami_message import AmiEvent
from turnrec.asterisk.paths import Ways
from turnrec.asterisk.tally import Deed
from turnrec.calls import Asker, Calls
from turnrec.core.bridges import Bridges, Leg
from turnrec.core.call import Call, Party
from turnrec.core.entry import Origin
from turnrec.core.errors import TurnrecError
from turnrec.core.parties import PartyClass, classify, variables_for
from turnrec.meddling import Meddling
from turnrec.notes import Job
from turnrec.ports import FlowSource
from turnrec.talks import Talks

logger = logging.getLogger(__name__)

_ASKER: Final = Asker(Origin.AMI, "turnrec")
_TRIES: Final = 3
"""How often one change is told at once, where the call was busy. Then the sweep tells it again."""
_MOVES_S: Final = 0.01
"""What a Local channel's halves are given to arrive or to go: 0.4 to 1 ms were measured
(`core.bridges`). Until then somebody who isn't there would seem to be."""
_LOOKS_AGAIN_S: Final = (1, 2, 4, 8, 16)
"""What passes before each further look for a monitor that may run where nobody asks: a turn may not
come, and a sweep is far. Together they are longer than a start may take (`mixmonitor.STUCK_S`)."""


class Net:
    """Follows the bridges of Asterisk and what is done to MixMonitors."""

    def __init__(
        self,
        calls: Calls,
        talks: Talks,
        meddling: Meddling,
        ways: Ways,
        ami: AmiClient,
        flow: FlowSource,
        clock: Callable[[], int],
    ) -> None:
        self._calls = calls
        self._talks = talks
        self._meddling = meddling
        self._ways = ways
        self._ami = ami
        self._flow = flow
        self._clock = clock
        self._bridges = Bridges()
        self._due: set[str] = set()
        self._seen_us: dict[str, int] = {}
        """When an event first told of a change that hasn't been dealt with."""
        self._heard: set[str] | None = None
        """Whom events told of since a list was asked for; None while none is under way."""
        self._unsure: set[str] = set()
        """The calls that are looked at again and again."""
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._readers: Final[Mapping[str, Callable[[AmiEvent], Iterable[str]]]] = {
            "BridgeEnter": self._entered,
            "BridgeLeave": self._left,
            "BridgeDestroy": self._destroyed,
            "LocalBridge": self._paired,
            "Rename": self._renamed,
            "AgentCalled": self._called,
            "DialBegin": self._dialled,
            "QueueCallerJoin": self._dialled,
            "MixMonitorStart": self._monitor_started,
            "MixMonitorStop": self._monitor_stopped,
            "MixMonitorMute": self._monitor_muted,
            "Hangup": self._hung_up,
        }

    def start(self) -> None:
        """Listen."""
        self._ami.subscribe(*self._readers, handler=self._on_event)
        self._ami.on_ready(self._on_ready)
        self._ami.on_lost(self._on_lost)

    async def close(self) -> None:
        """Stop telling. The AMI client is closed by its owner."""
        tasks = {*self._tasks, *self._telling.values()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def begin_list(self) -> None:
        """A list of the channels is about to be asked for: whom events tell of is newer."""
        self._heard = set()

    async def sync(self, channels: Iterable[AmiEvent]) -> None:
        """Take in a list of the channels, where events may have been missed.

        A list adds what isn't known, and nothing of whom events told since it was asked for: they
        may have left again before it ended. A change that could not be told before is told again.

        Raises:
            AmiError: Asterisk could not be asked what kinds of bridges these are.
        """
        rows = [(_leg(row), row.get("BridgeId") or "") for row in channels]
        unheard = [
            (leg, bridge_id)
            for leg, bridge_id in rows
            if bridge_id and not self._bridges.is_bridged(leg.uniqueid)
        ]
        kinds = await self._kinds() if unheard else {}
        heard, self._heard = self._heard or set(), None
        live = {call.uniqueid for call in self._calls.live()}
        self._ways.tally.forget_all_but(heard | live | {leg.uniqueid for leg, _ in rows})
        for leg, _ in rows:
            self._hear_name(leg.uniqueid, leg.name)
        for leg, bridge_id in unheard:
            if leg.uniqueid not in heard:
                self._bridges.entered(bridge_id, leg, kind=kinds.get(bridge_id, ""))
        for call in self._calls.live():
            self._look_at((call.uniqueid,))
            if call.may_run_unseen:
                # Perhaps no turn comes to find out what runs: the caller talks to an agent, or
                # his bot asked over HTTP, got no 200, and is silent.
                self._spawn(self._keep(call))

    async def _kinds(self) -> dict[str, str]:
        bridges = await self._ami.action_list("BridgeList", complete_event="BridgeListComplete")
        return {
            row.get("BridgeUniqueid") or "": row.get("BridgeTechnology") or "" for row in bridges
        }

    def recorded_beside(self, uniqueid: str) -> Call | None:
        """The live call whose caller hears this channel: whom an agent talks to."""
        return next((call for call in self._calls.live() if call.hears(uniqueid)), None)

    # -------------------------------------------------------------- events

    def _on_event(self, event: AmiEvent) -> None:
        if self._heard is not None:
            self._heard.add(event.get("Uniqueid") or "")
        touched = tuple(self._readers[event.name](event))
        now_us = self._clock()
        for uniqueid in touched:
            if self._calls.find(uniqueid) is not None:
                self._seen_us.setdefault(uniqueid, now_us)
        if event.name == "Hangup":
            self._seen_us.pop(event.get("Uniqueid") or "", None)
        self._look_at(touched)

    def _on_lost(self, _error: AmiError) -> None:
        # Who left meanwhile is not known; whoever is still there is found by the next list.
        self._bridges.clear()
        self._ways.tally.rest()
        for call in self._calls.live():
            if call.recording is not None:
                call.recording.lose_sight()

    def _on_ready(self) -> None:
        self._ways.tally.begin()

    def _entered(self, event: AmiEvent) -> Iterable[str]:
        return self._bridges.entered(
            event.get("BridgeUniqueid") or "",
            _leg(event),
            kind=event.get("BridgeTechnology") or "",
            swap=event.get("SwapUniqueid") or "",
        )

    def _left(self, event: AmiEvent) -> Iterable[str]:
        return self._bridges.left(event.get("BridgeUniqueid") or "", event.get("Uniqueid") or "")

    def _destroyed(self, event: AmiEvent) -> Iterable[str]:
        return self._bridges.destroyed(event.get("BridgeUniqueid") or "")

    def _paired(self, event: AmiEvent) -> Iterable[str]:
        return self._bridges.paired(_leg(event, "LocalOne"), _leg(event, "LocalTwo"))

    def _renamed(self, event: AmiEvent) -> Iterable[str]:
        uniqueid, name = event.get("Uniqueid") or "", event.get("Newname") or ""
        self._hear_name(uniqueid, name)
        return self._bridges.renamed(uniqueid, name)

    def _hear_name(self, uniqueid: str, name: str) -> None:
        call = self._calls.find(uniqueid)
        if call is not None and name not in ("", call.channel):
            self._spawn(self._ask_name(call))

    async def _ask_name(self, call: Call) -> None:
        """Take the name that its channel has now: a caller can forge who told of another."""
        try:
            call.channel = (await self._ways.named(call.uniqueid)).name
        except TurnrecError as error:  # the next list tells of it again
            logger.info("channel %s was not asked for its name: %s", call.uniqueid, error)

    def _called(self, event: AmiEvent) -> Iterable[str]:
        self._talks.sought(event.get("Uniqueid") or "")
        return self._bridges.queued(event.get("DestUniqueid") or "", event.get("Queue") or "")

    def _dialled(self, event: AmiEvent) -> Iterable[str]:
        self._talks.sought(event.get("Uniqueid") or "")
        return ()

    def _hung_up(self, event: AmiEvent) -> Iterable[str]:
        uniqueid = event.get("Uniqueid") or ""
        self._ways.tally.forget(uniqueid)
        return self._bridges.gone(uniqueid)

    # -------------------------------------------------------------- recorders

    def _monitor_started(self, event: AmiEvent) -> Iterable[str]:
        uniqueid = event.get("Uniqueid") or ""
        is_foreign = self._ways.tally.seen(uniqueid, Deed.START)
        for call in self._with_channel(uniqueid):
            # A start of ours that nobody had answered may have come true, however late.
            if is_foreign or (call.uniqueid == uniqueid and call.unanswered):
                self._spawn(self._keep(call))
        return ()

    def _monitor_stopped(self, event: AmiEvent) -> Iterable[str]:
        call = self._calls.find(event.get("Uniqueid") or "")
        if call is not None and call.recorder.is_recording:
            self._spawn(self._meddling.stopped(call))
        return ()

    def _monitor_muted(self, event: AmiEvent) -> Iterable[str]:
        uniqueid = event.get("Uniqueid") or ""
        if self._ways.tally.seen(uniqueid, Deed.MUTE):
            muted = event.get("State") == "1"
            self._ways.tally.acknowledge(uniqueid, Deed.MUTE)
            for call in self._with_channel(uniqueid):
                self._spawn(self._meddling.muted(call, uniqueid, muted=muted))
        return ()

    def _with_channel(self, uniqueid: str) -> list[Call]:
        return [
            call for call in self._calls.live() if call.uniqueid == uniqueid or call.hears(uniqueid)
        ]

    async def _keep(self, call: Call) -> None:
        """Have a call looked at: somebody else's recorder has joined it, or ours may still run."""
        if await self._is_kept(call) or call.uniqueid in self._unsure:
            return
        self._unsure.add(call.uniqueid)
        try:
            for pause_s in _LOOKS_AGAIN_S:
                await asyncio.sleep(pause_s)
                # Where AMI is lost, or the call has ended, there is nobody to be asked.
                is_there = self._ami.ready and self._calls.find(call.uniqueid) is call
                if not is_there or await self._is_kept(call):
                    return
        finally:
            self._unsure.discard(call.uniqueid)

    async def _is_kept(self, call: Call) -> bool:
        """Look at a call; return whether it is known now what of ours runs on its channel."""

        async def work(job: Job) -> None:
            """What isn't wanted is found out and ended, or hushed, at the end of every request."""

        path = self._ways.by_ami(call.channel, call.uniqueid)
        answer = await self._calls.ask(path, _ASKER, work)
        return answer.status is not Status.FAILCLOSED or not call.may_run_unseen

    # -------------------------------------------------------------- telling

    def _look_at(self, uniqueids: Iterable[str]) -> None:
        for uniqueid in uniqueids:
            if self._calls.find(uniqueid) is None:
                continue
            self._due.add(uniqueid)
            if uniqueid not in self._telling:
                task = asyncio.create_task(self._tell(uniqueid), name=f"net-{uniqueid}")
                self._telling[uniqueid] = task
                task.add_done_callback(partial(self._told, uniqueid))

    def _told(self, uniqueid: str, _task: asyncio.Task[None]) -> None:
        self._telling.pop(uniqueid, None)
        if uniqueid in self._due:
            self._look_at((uniqueid,))

    async def _tell(self, uniqueid: str) -> None:
        while uniqueid in self._due:
            self._due.discard(uniqueid)
            try:
                await self._tell_once(uniqueid)
            except Exception:
                logger.exception("a change around a call could not be told; the sweep tells it")

    async def _tell_once(self, uniqueid: str) -> None:
        for _ in range(_TRIES):
            call = self._calls.find(uniqueid)
            if call is None:
                return
            legs = self._bridges.company(uniqueid)
            if any(leg.is_local for leg in legs):
                # Half of a Local channel stands in for somebody: usually for a moment only.
                await asyncio.sleep(_MOVES_S)
                legs = self._bridges.company(uniqueid)
            if {leg.uniqueid for leg in legs} == {party.uniqueid for party in call.company}:
                self._seen_us.pop(uniqueid, None)
                return
            path = self._ways.by_ami(call.channel, uniqueid)
            look = partial(self._parties, call)
            seen = partial(self._seen_us.pop, uniqueid, None)
            answer = await self._talks.company_changed(path, look, seen, _ASKER)
            if answer.status is not Status.FAILCLOSED:
                return

    async def _parties(self, call: Call) -> frozenset[Party]:
        known = {party.uniqueid: party for party in call.company}
        parties = []
        for leg in self._bridges.company(call.uniqueid):
            # Who somebody is was settled when he came.
            party = known.get(leg.uniqueid)
            if party is None:
                party = Party(leg.uniqueid, leg.name, await self._class_of(leg))
            parties.append(party)
        return frozenset(parties)

    async def _class_of(self, leg: Leg) -> PartyClass:
        rules = self._flow.flow.parties
        variables = await self._variables(leg, variables_for(leg, rules))
        return classify(leg, rules, variables)

    async def _variables(self, leg: Leg, names: tuple[str, ...]) -> Mapping[str, str]:
        if not names:
            return {}
        try:
            return await self._ways.by_ami(leg.name, leg.uniqueid).read(*names)
        except TurnrecError as error:
            logger.warning("channel %s could not be asked who it is: %s", leg.uniqueid, error)
            return {}

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _leg(event: AmiEvent, prefix: str = "") -> Leg:
    """The channel that an event shows, by the fields that every channel snapshot has."""
    return Leg(
        uniqueid=event.get(f"{prefix}Uniqueid") or "",
        name=event.get(f"{prefix}Channel") or "",
        context=event.get(f"{prefix}Context") or "",
        exten=event.get(f"{prefix}Exten") or "",
        linkedid=event.get(f"{prefix}Linkedid") or "",
    )
