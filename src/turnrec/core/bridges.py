"""Who hears whom: channels, their bridges and Local pairs, as events tell; it asks nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace


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


class Bridges:
    """The bridges and Local pairs that there are now (lead's stand-in until the tracker lands)."""

    def __init__(self) -> None:
        self._legs: dict[str, Leg] = {}
        self._bridge_of: dict[str, str] = {}
        self._members: dict[str, set[str]] = {}
        self._pair_of: dict[str, str] = {}
        self._queues: dict[str, str] = {}
        self._silent: set[str] = set()

    def knows(self, uniqueid: str) -> bool:
        """Whether a channel is in a bridge, as far as is known."""
        return uniqueid in self._bridge_of

    def entered(self, bridge_id: str, leg: Leg, *, kind: str = "") -> frozenset[str]:
        """A channel entered a bridge."""
        touched = self._leave(leg.uniqueid)
        queue = self._queues.get(leg.uniqueid, leg.queue)
        self._legs[leg.uniqueid] = replace(leg, queue=queue)
        self._bridge_of[leg.uniqueid] = bridge_id
        self._members.setdefault(bridge_id, set()).add(leg.uniqueid)
        if kind == "holding_bridge":
            self._silent.add(bridge_id)
        return frozenset(touched | self._around(bridge_id))

    def left(self, bridge_id: str, uniqueid: str) -> frozenset[str]:
        """A channel left a bridge."""
        if self._bridge_of.get(uniqueid) != bridge_id:
            return frozenset()
        return frozenset(self._leave(uniqueid))

    def destroyed(self, bridge_id: str) -> frozenset[str]:
        """A bridge is gone."""
        touched: set[str] = set()
        for uniqueid in tuple(self._members.get(bridge_id, ())):
            touched |= self._leave(uniqueid)
        return frozenset(touched)

    def paired(self, one: Leg, two: Leg) -> frozenset[str]:
        """Two halves of a Local channel."""
        for leg, other in ((one, two), (two, one)):
            self._legs.setdefault(leg.uniqueid, leg)
            self._pair_of[leg.uniqueid] = other.uniqueid
        return self._touched(one.uniqueid) | self._touched(two.uniqueid)

    def unpaired(self, uniqueid: str) -> frozenset[str]:
        """A Local channel was optimised away."""
        return self._touched(uniqueid)

    def renamed(self, uniqueid: str, name: str) -> frozenset[str]:
        """A channel has another name."""
        if uniqueid in self._legs:
            self._legs[uniqueid] = replace(self._legs[uniqueid], name=name)
        return frozenset()

    def queued(self, uniqueid: str, queue: str) -> None:
        """A queue calls a channel."""
        self._queues[uniqueid] = queue

    def gone(self, uniqueid: str) -> frozenset[str]:
        """A channel has hung up."""
        touched = self._leave(uniqueid)
        self._legs.pop(uniqueid, None)
        self._queues.pop(uniqueid, None)
        other = self._pair_of.pop(uniqueid, None)
        if other is not None:
            self._pair_of.pop(other, None)
        return frozenset(touched - {uniqueid})

    def clear(self) -> None:
        """Nothing is known any more."""
        self.__init__()  # type: ignore[misc]

    def company(self, uniqueid: str) -> frozenset[Leg]:
        """The legs that this channel hears, through bridges and Local pairs."""
        return frozenset(self._beyond(uniqueid, {uniqueid}))

    def _beyond(self, uniqueid: str, seen: set[str]) -> Iterator[Leg]:
        bridge_id = self._bridge_of.get(uniqueid)
        if bridge_id is None or bridge_id in self._silent:
            return
        for other in sorted(self._members.get(bridge_id, set()) - seen):
            seen.add(other)
            pair = self._pair_of.get(other)
            if pair is None:
                yield self._legs[other]
            elif pair not in seen:
                seen.add(pair)
                found = list(self._beyond(pair, seen))
                if found or pair in self._bridge_of:
                    yield from found
                else:
                    yield self._legs[pair]

    def _leave(self, uniqueid: str) -> set[str]:
        bridge_id = self._bridge_of.pop(uniqueid, None)
        if bridge_id is None:
            return set()
        touched = self._around(bridge_id) | {uniqueid}
        members = self._members[bridge_id]
        members.discard(uniqueid)
        if not members:
            del self._members[bridge_id]
            self._silent.discard(bridge_id)
        return touched

    def _touched(self, uniqueid: str) -> frozenset[str]:
        bridge_id = self._bridge_of.get(uniqueid)
        return frozenset() if bridge_id is None else frozenset(self._around(bridge_id))

    def _around(self, bridge_id: str, seen: set[str] | None = None) -> set[str]:
        """Everybody in a bridge and in the bridges behind its Local legs."""
        seen = set() if seen is None else seen
        if bridge_id in seen:
            return set()
        seen.add(bridge_id)
        found = set(self._members.get(bridge_id, ()))
        for uniqueid in tuple(found):
            pair = self._pair_of.get(uniqueid)
            beyond = None if pair is None else self._bridge_of.get(pair)
            if beyond is not None:
                found |= self._around(beyond, seen)
        return found
