"""Who hears whom: channels, bridges and Local pairs as AMI's events tell; it asks nobody anything.

The events, as Asterisk 22.10.1 and 16.28 sent them in 31 ways to bring people together (Dial,
Queue, Local with and without /n, REFER, Atxfer, feature codes, AMI Bridge and Redirect, ConfBridge,
Page, pick-up, parking, BridgeWait), all with `Uniqueid` as the one sure name:

| what happens | what is seen |
|---|---|
| two are bridged | BridgeEnter of the called one, then of the caller; each says all of its channel |
| one moves to another bridge (merge, attended transfer, AMI Bridge, parking) | BridgeLeave, then BridgeEnter of each, 0.01 to 0.9 ms later; BridgeMerge adds nothing to that |
| one goes back to the dialplan | BridgeLeave; after a blind transfer nothing else for 3 ms or more |
| a Local is made | LocalBridge, once, before either half is in a bridge |
| a Local is optimised away | of either side the channel can be the one that moves: BridgeLeave of it and of the half whose place it takes, BridgeEnter with SwapUniqueid, then the halves leave and hang up |
| a queue calls a member | AgentCalled: DestUniqueid is the member's channel, of a Local its half ;1 |
| an attended transfer is being asked | the caller stays in his bridge, alone |
| ConfBridge, Page | BridgeTechnology softmix; CBAnn channels are counted, and in no event |
| parking, BridgeWait | BridgeTechnology holding_bridge (BridgeType parking or base) |
| pick-up, AMI Bridge and Redirect out of the dialplan | no Rename (it was in none of the 31), no zombie |
| Queue, music on hold, ChanSpy | no bridge at all |

So LocalOptimizationBegin and End, BridgeCreate and BridgeMerge need not be listened to. What is
seen for a millisecond means nothing yet: a company that has become empty while a channel moves, or
a Local's half that stands in because it enters its bridge after the others (0.4 ms on 16) or leaves
it before it hangs up (1 ms). A return to the dialplan is an empty company whose channel is not
`is_bridged` a moment later either.
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sized
from dataclasses import dataclass, field, replace
from typing import Final

HOLDING: Final = frozenset({"holding_bridge"})
"""Kinds of bridges (BridgeTechnology) in which nobody hears anybody.

A channel that BridgeWait lets in as `announcer` is heard there; no event says which one that is.
"""

_LOCAL: Final = "Local/"
_OTHER_END: Final[Mapping[str, str]] = {";1": ";2", ";2": ";1"}


@dataclass(frozen=True, slots=True)
class Leg:
    """A channel as an event showed it."""

    uniqueid: str
    name: str
    context: str = ""
    exten: str = ""
    linkedid: str = ""
    queue: str = ""
    """The queue that called it, if any."""

    @property
    def is_local(self) -> bool:
        """Whether it is half of a Local channel, and so never somebody by itself."""
        return self.name.startswith(_LOCAL)

    @property
    def other_half_name(self) -> str:
        """The name of a Local channel's other half."""
        end = _OTHER_END.get(self.name[-2:])
        return self.name[:-2] + end if end else ""


@dataclass(slots=True)
class _Bridge:
    kind: str = ""
    members: dict[str, None] = field(default_factory=dict)  # in their order


class Bridges:
    """All that is in a bridge or half of a Local channel, and nothing else.

    Each change returns the uniqueids whose company may have changed by it. Events that don't fit
    what is known (a Leave of somebody who isn't there, an Enter of somebody who never left) are
    taken for what they say; none of them raises.
    """

    def __init__(self) -> None:
        self._legs: dict[str, Leg] = {}
        self._bridges: dict[str, _Bridge] = {}
        self._bridge_of: dict[str, str] = {}
        self._halves: dict[str, str] = {}  # a Local half's uniqueid, by its name
        self._queues: dict[str, str] = {}
        self._widowed: set[str] = set()  # Local halves whose other half has hung up

    # -- what is asked ---------------------------------------------------------------------------

    def company(self, uniqueid: str) -> frozenset[Leg]:
        """Whom this channel hears or is heard by, through bridges and Local channels.

        A Local channel whose far half is in no bridge runs dialplan there: that half stands in
        for whoever that is. Of a recorded Local half, whoever is behind its own other half is the
        recorded party himself (an outbound bot's callee), and no company.
        """
        own = self._other_half(uniqueid)
        found = []
        for one, queue in self._reach(uniqueid, through_own_half=False).items():
            if one in (uniqueid, own):
                continue
            leg = self._legs[one]
            if leg.is_local and not self._stands_in(one):
                continue
            found.append(replace(leg, queue=queue) if queue else leg)
        return frozenset(found)

    def is_bridged(self, uniqueid: str) -> bool:
        """Whether it is in a bridge, if alone, or held: it runs no dialplan then."""
        return uniqueid in self._bridge_of

    @property
    def remembered(self) -> int:
        """How many things it knows; 0 once every channel is gone."""
        tables: tuple[Sized, ...] = (
            self._legs,
            self._bridges,
            self._bridge_of,
            self._halves,
            self._queues,
            self._widowed,
        )
        return sum(len(table) for table in tables)

    # -- what events tell ------------------------------------------------------------------------

    def entered(
        self, bridge_id: str, leg: Leg, *, kind: str = "", swap: str = ""
    ) -> frozenset[str]:
        """BridgeEnter. `kind` is its BridgeTechnology, `swap` its SwapUniqueid."""
        one = leg.uniqueid
        before = self._reach(one)
        if self._bridge_of.get(one) != bridge_id:
            self._take_out(one)
        self._remember(leg)
        bridge = self._bridges.setdefault(bridge_id, _Bridge())
        bridge.kind = kind or bridge.kind
        bridge.members[one] = None
        self._bridge_of[one] = bridge_id
        if swap:
            self._inherit_queue(one, swap, bridge)
        return frozenset(before.keys() | self._reach(one).keys())

    def left(self, bridge_id: str, uniqueid: str) -> frozenset[str]:
        """BridgeLeave; one that comes late, from a bridge that it has left before, is ignored."""
        if self._bridge_of.get(uniqueid) != bridge_id:
            return frozenset()
        changed = frozenset(self._reach(uniqueid))
        self._take_out(uniqueid)
        if not self._legs[uniqueid].is_local:
            self._forget_leg(uniqueid)
        return changed

    def destroyed(self, bridge_id: str) -> frozenset[str]:
        """BridgeDestroy: whoever is still in it has left."""
        bridge = self._bridges.get(bridge_id)
        members = tuple(bridge.members) if bridge else ()
        return frozenset().union(*(self.left(bridge_id, one) for one in members))

    def paired(self, one: Leg, two: Leg) -> frozenset[str]:
        """LocalBridge: the halves of a Local channel."""
        self._remember(one)
        self._remember(two)
        return frozenset(self._reach(one.uniqueid).keys() | self._reach(two.uniqueid).keys())

    def renamed(self, uniqueid: str, new_name: str) -> frozenset[str]:
        """Rename."""
        leg = self._legs.get(uniqueid)
        if leg is None:
            return frozenset()
        before = self._reach(uniqueid)
        self._remember(replace(leg, name=new_name))
        return frozenset(before.keys() | self._reach(uniqueid).keys())

    def queued(self, uniqueid: str, queue: str) -> frozenset[str]:
        """AgentCalled: a queue calls this channel (its DestUniqueid), or that Local's far end."""
        self._queues[uniqueid] = queue
        return frozenset(self._reach(uniqueid)) if uniqueid in self._legs else frozenset()

    def gone(self, uniqueid: str) -> frozenset[str]:
        """Hangup: nothing is left of it."""
        changed = frozenset(self._reach(uniqueid)) if uniqueid in self._legs else frozenset()
        far = self._other_half(uniqueid)
        if far is not None:
            self._widowed.add(far)
        self._take_out(uniqueid)
        self._forget_leg(uniqueid)
        self._queues.pop(uniqueid, None)
        self._widowed.discard(uniqueid)
        return changed

    # -- what is read as a whole -----------------------------------------------------------------

    def clear(self) -> frozenset[str]:
        """AMI was lost: who is where is unknown. Whom a queue called stays known until `load`."""
        known = frozenset(self._legs)
        for table in (self._legs, self._bridges, self._bridge_of, self._halves, self._widowed):
            table.clear()
        return known

    def load(
        self, rows: Iterable[tuple[Leg, str]], kinds: Mapping[str, str] | None = None
    ) -> frozenset[str]:
        """Take CoreShowChannels (each channel and its BridgeId, empty for none) as all there is.

        Its rows don't name the kind of a bridge: `kinds` (BridgeList's BridgeTechnology by
        BridgeUniqueid) does. Events that came while the list was under way are to be told again
        afterwards, in their order: whatever the list knew already, they end where it is now.
        """
        changed = self.clear()
        called, self._queues = self._queues, {}
        for leg, bridge_id in rows:
            if leg.uniqueid in called:
                self._queues[leg.uniqueid] = called[leg.uniqueid]
            if bridge_id:
                self.entered(bridge_id, leg, kind=(kinds or {}).get(bridge_id, ""))
            elif leg.is_local:
                self._remember(leg)
        return changed | frozenset(self._legs)

    def retain(self, uniqueids: Collection[str]) -> frozenset[str]:
        """Forget every channel but these, as if each had hung up (its Hangup was missed)."""
        lost = [one for one in {*self._legs, *self._queues, *self._widowed} if one not in uniqueids]
        return frozenset().union(*(self.gone(one) for one in lost))

    # -- inside ----------------------------------------------------------------------------------

    def _reach(self, uniqueid: str, *, through_own_half: bool = True) -> dict[str, str]:
        """All that this channel is connected with, itself too; each with the queue that called it.

        A queue calls the near half of a Local channel and means who is behind it.
        """
        reached = {uniqueid: ""}
        seen: set[str] = set()
        todo = [uniqueid]
        while todo:
            one = todo.pop()
            queue = reached[one]
            far = self._other_half(one)
            hops = through_own_half or uniqueid not in (one, far)
            if hops and far is not None and far not in reached:
                called = "" if one == uniqueid else self._queues.get(one)
                reached[far] = called or queue
                todo.append(far)
            bridge_id = self._bridge_of.get(one)
            if bridge_id is None or bridge_id in seen:
                continue
            seen.add(bridge_id)
            bridge = self._bridges[bridge_id]
            if bridge.kind in HOLDING:
                continue
            for member in bridge.members:
                if member not in reached:
                    reached[member] = self._queues.get(member) or queue
                    todo.append(member)
        return reached

    def _stands_in(self, half: str) -> bool:
        """Whether somebody unknown is behind this half: it runs dialplan, or its LocalBridge was
        missed. One whose other half has hung up is about to, too."""
        if half in self._widowed:
            return False
        return half not in self._bridge_of or self._other_half(half) is None

    def _other_half(self, uniqueid: str) -> str | None:
        leg = self._legs.get(uniqueid)
        return self._halves.get(leg.other_half_name) if leg is not None and leg.is_local else None

    def _inherit_queue(self, one: str, swap: str, bridge: _Bridge) -> None:
        """A Local was optimised away: whoever was behind it is the one that the queue called."""
        half = self._legs.get(swap)
        if half is None or not half.is_local:
            return
        if swap in self._queues:
            self._queues.setdefault(one, self._queues[swap])
            return
        far = self._other_half(swap)
        if far is not None and far in self._queues:
            for member in bridge.members:
                if member not in (one, swap):
                    self._queues.setdefault(member, self._queues[far])

    def _remember(self, leg: Leg) -> None:
        self._forget_leg(leg.uniqueid)  # its name may have been another
        self._legs[leg.uniqueid] = leg
        if leg.is_local:
            self._halves[leg.name] = leg.uniqueid

    def _forget_leg(self, uniqueid: str) -> None:
        leg = self._legs.pop(uniqueid, None)
        if leg is not None and self._halves.get(leg.name) == uniqueid:
            del self._halves[leg.name]

    def _take_out(self, uniqueid: str) -> None:
        bridge_id = self._bridge_of.pop(uniqueid, None)
        if bridge_id is None:
            return
        members = self._bridges[bridge_id].members
        del members[uniqueid]
        if not members:
            del self._bridges[bridge_id]
