"""Who hears whom: the orders that real Asterisks send, and any order at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnrec.core.bridges import Bridges, Leg

CALLER = Leg("1.1", "PJSIP/trunk-00000001", "from-sip", "bot")
AGENT = Leg("1.2", "PJSIP/agent-00000002", "from-sip")
SECOND = Leg("1.3", "PJSIP/agent-00000003", "from-sip")
NEAR = Leg("1.8", "Local/300@members-0000000a;1", "members", "300")
FAR = Leg("1.9", "Local/300@members-0000000a;2", "members", "300")
TALK, INNER, OTHER = "b-talk", "b-inner", "b-other"


def names(bridges: Bridges, leg: Leg = CALLER) -> set[str]:
    return {one.name for one in bridges.company(leg.uniqueid)}


def queues(bridges: Bridges, leg: Leg = CALLER) -> set[str]:
    return {one.queue for one in bridges.company(leg.uniqueid)}


def talking(*legs: Leg, bridge: str = TALK, kind: str = "simple_bridge") -> Bridges:
    bridges = Bridges()
    for leg in legs:
        bridges.entered(bridge, leg, kind=kind)
    return bridges


def through_a_local(bridges: Bridges | None = None) -> Bridges:
    """The caller in one bridge with the near half, the agent in another with the far one."""
    bridges = bridges or Bridges()
    bridges.paired(NEAR, FAR)
    for bridge, leg in ((INNER, AGENT), (INNER, FAR), (TALK, NEAR), (TALK, CALLER)):
        bridges.entered(bridge, leg)
    return bridges


# -- bridges -------------------------------------------------------------------------------------


def test_two_in_a_bridge_hear_each_other() -> None:
    bridges = talking(AGENT, CALLER)
    assert bridges.company(CALLER.uniqueid) == {AGENT}
    assert bridges.company(AGENT.uniqueid) == {CALLER}


def test_an_enter_concerns_all_who_are_there() -> None:
    bridges = talking(AGENT, CALLER)
    assert bridges.entered(TALK, SECOND) == {one.uniqueid for one in (AGENT, CALLER, SECOND)}


def test_who_waits_alone_has_no_company_but_is_in_no_dialplan() -> None:
    bridges = talking(AGENT, CALLER)
    assert bridges.left(TALK, AGENT.uniqueid) == {CALLER.uniqueid, AGENT.uniqueid}
    assert bridges.company(CALLER.uniqueid) == frozenset()
    assert bridges.is_bridged(CALLER.uniqueid)
    assert not bridges.is_bridged(AGENT.uniqueid)


def test_in_a_holding_bridge_nobody_hears_anybody() -> None:
    bridges = talking(AGENT, CALLER, kind="holding_bridge")
    assert bridges.company(CALLER.uniqueid) == frozenset()
    assert bridges.is_bridged(CALLER.uniqueid)
    assert bridges.entered(TALK, SECOND) == {SECOND.uniqueid}


def test_a_bridge_whose_kind_is_not_told_keeps_the_one_it_had() -> None:
    bridges = talking(AGENT, CALLER, kind="holding_bridge")
    bridges.entered(TALK, SECOND, kind="")
    assert bridges.company(SECOND.uniqueid) == frozenset()


def test_an_enter_elsewhere_is_a_leave_too() -> None:
    bridges = talking(AGENT, CALLER)
    assert bridges.entered(OTHER, AGENT) == {CALLER.uniqueid, AGENT.uniqueid}
    assert bridges.company(CALLER.uniqueid) == frozenset()


def test_a_leave_that_comes_after_the_next_enter_is_ignored() -> None:
    bridges = talking(AGENT, CALLER)
    bridges.entered(OTHER, AGENT)
    bridges.entered(OTHER, CALLER)
    assert bridges.left(TALK, CALLER.uniqueid) == frozenset()
    assert names(bridges) == {AGENT.name}


def test_a_destroyed_bridge_has_nobody_in_it() -> None:
    bridges = talking(AGENT, CALLER)
    assert bridges.destroyed(TALK) == {CALLER.uniqueid, AGENT.uniqueid}
    assert bridges.remembered == 0
    assert bridges.destroyed(TALK) == frozenset()


def test_a_renamed_leg_is_known_by_its_new_name() -> None:
    bridges = talking(AGENT, CALLER)
    assert bridges.renamed(AGENT.uniqueid, "PJSIP/late-00000009") == {
        CALLER.uniqueid,
        AGENT.uniqueid,
    }
    assert names(bridges) == {"PJSIP/late-00000009"}
    assert bridges.renamed("9.9", "PJSIP/nobody-1") == frozenset()


# -- Local channels ------------------------------------------------------------------------------


def test_through_a_local_the_one_behind_it_is_heard() -> None:
    bridges = through_a_local()
    assert bridges.company(CALLER.uniqueid) == {AGENT}
    assert bridges.company(AGENT.uniqueid) == {CALLER}


def test_a_leave_behind_a_local_concerns_the_caller_too() -> None:
    assert CALLER.uniqueid in through_a_local().left(INNER, AGENT.uniqueid)


def test_the_half_that_runs_dialplan_stands_in_for_whoever_is_behind_it() -> None:
    bridges = Bridges()
    bridges.paired(NEAR, FAR)
    bridges.entered(TALK, NEAR)
    bridges.entered(TALK, CALLER)
    assert bridges.company(CALLER.uniqueid) == {FAR}


def test_the_half_whose_other_one_was_never_seen_stands_in_itself() -> None:
    assert names(talking(NEAR, CALLER)) == {NEAR.name}


def test_the_half_whose_other_one_has_hung_up_is_nobody() -> None:
    bridges = through_a_local()
    bridges.left(INNER, AGENT.uniqueid)
    bridges.left(INNER, FAR.uniqueid)
    assert CALLER.uniqueid in bridges.gone(FAR.uniqueid)
    assert names(bridges) == set()


def test_a_local_parked_behind_leads_to_nobody() -> None:
    bridges = Bridges()
    bridges.paired(NEAR, FAR)
    bridges.entered(TALK, NEAR)
    bridges.entered(TALK, CALLER)
    bridges.entered(OTHER, FAR, kind="holding_bridge")
    assert names(bridges) == set()


def test_who_is_behind_a_recorded_half_is_the_recorded_party_himself() -> None:
    bridges = Bridges()
    bridges.paired(NEAR, FAR)
    bridges.entered(INNER, CALLER)
    bridges.entered(INNER, FAR)
    assert names(bridges, NEAR) == set(), "an outbound bot's callee is no agent"
    bridges.entered(TALK, AGENT)
    bridges.entered(TALK, NEAR)
    assert names(bridges, NEAR) == {AGENT.name}


@pytest.mark.parametrize("mover", ["caller", "agent"])
def test_a_local_that_is_optimised_away_leaves_the_two(mover: str) -> None:
    bridges = through_a_local()
    leg, bridge, place = (CALLER, INNER, FAR) if mover == "caller" else (AGENT, TALK, NEAR)
    other = TALK if bridge == INNER else INNER
    bridges.left(other, leg.uniqueid)
    bridges.left(bridge, place.uniqueid)
    assert CALLER.uniqueid in bridges.entered(bridge, leg, swap=place.uniqueid)
    assert bridges.company(CALLER.uniqueid) == {AGENT}
    for half in (NEAR, FAR):
        bridges.left(other, half.uniqueid)
        bridges.gone(half.uniqueid)
    assert bridges.company(CALLER.uniqueid) == {AGENT}


def test_an_attended_transfer_leads_through_the_merged_bridge_to_the_new_agent() -> None:
    bridges = talking(AGENT, CALLER)
    bridges.paired(NEAR, FAR)
    bridges.left(TALK, AGENT.uniqueid)
    bridges.entered(OTHER, NEAR)
    bridges.entered(OTHER, AGENT)
    assert names(bridges) == set(), "the caller is on hold"
    assert names(bridges, AGENT) == {FAR.name}, "and the agent hears it ring"
    bridges.entered(INNER, SECOND)
    bridges.entered(INNER, FAR)
    assert names(bridges, AGENT) == {SECOND.name}
    bridges.left(OTHER, AGENT.uniqueid)
    bridges.left(OTHER, NEAR.uniqueid)
    assert CALLER.uniqueid in bridges.entered(TALK, NEAR)
    assert names(bridges) == {SECOND.name}


# -- queues --------------------------------------------------------------------------------------


def test_a_member_is_known_by_the_queue_that_called_it() -> None:
    bridges = Bridges()
    assert bridges.queued(AGENT.uniqueid, "support") == frozenset()
    bridges.entered(TALK, AGENT)
    bridges.entered(TALK, CALLER)
    assert queues(bridges) == {"support"}
    assert queues(bridges, AGENT) == {""}, "the caller was called by nobody"


def test_the_agent_behind_a_queues_local_is_known_by_the_queue() -> None:
    bridges = Bridges()
    bridges.queued(NEAR.uniqueid, "support")
    through_a_local(bridges)
    assert queues(bridges) == {"support"}
    assert queues(bridges, AGENT) == {""}


@pytest.mark.parametrize("mover", ["caller", "agent"])
def test_and_still_when_the_local_is_optimised_away(mover: str) -> None:
    bridges = Bridges()
    bridges.queued(NEAR.uniqueid, "support")
    through_a_local(bridges)
    leg, bridge, place = (CALLER, INNER, FAR) if mover == "caller" else (AGENT, TALK, NEAR)
    bridges.left(TALK if bridge == INNER else INNER, leg.uniqueid)
    bridges.left(bridge, place.uniqueid)
    bridges.entered(bridge, leg, swap=place.uniqueid)
    for half in (NEAR, FAR):
        bridges.gone(half.uniqueid)
    assert queues(bridges) == {"support"}
    assert queues(bridges, AGENT) == {""}


def test_who_takes_a_members_place_was_not_called_by_the_queue() -> None:
    bridges = Bridges()
    bridges.queued(AGENT.uniqueid, "support")
    bridges.entered(TALK, AGENT)
    bridges.entered(TALK, CALLER)
    bridges.left(TALK, AGENT.uniqueid)
    bridges.entered(TALK, SECOND, swap=AGENT.uniqueid)
    assert queues(bridges) == {""}


# -- loss and load -------------------------------------------------------------------------------


def test_after_a_loss_the_list_says_who_is_where() -> None:
    bridges = through_a_local()
    bridges.queued(NEAR.uniqueid, "support")
    assert bridges.clear() >= {CALLER.uniqueid, AGENT.uniqueid}
    assert names(bridges) == set()
    rows = [(CALLER, TALK), (NEAR, TALK), (FAR, INNER), (AGENT, INNER), (SECOND, "")]
    assert CALLER.uniqueid in bridges.load(rows)
    assert (names(bridges), queues(bridges)) == ({AGENT.name}, {"support"})
    assert not bridges.is_bridged(SECOND.uniqueid)


def test_a_listed_half_that_is_in_no_bridge_stands_in() -> None:
    bridges = Bridges()
    bridges.load([(CALLER, TALK), (NEAR, TALK), (FAR, "")])
    assert names(bridges) == {FAR.name}


def test_a_list_says_which_bridges_hold() -> None:
    bridges = Bridges()
    bridges.load([(CALLER, TALK), (AGENT, TALK)], {TALK: "holding_bridge"})
    assert names(bridges) == set()


def test_a_list_takes_the_place_of_all_that_was_known() -> None:
    bridges = through_a_local()
    bridges.queued(AGENT.uniqueid, "support")
    assert CALLER.uniqueid in bridges.load([])
    assert bridges.remembered == 0


def test_who_is_no_longer_listed_is_forgotten() -> None:
    bridges = through_a_local()
    bridges.queued("7.7", "support")
    assert bridges.retain({CALLER.uniqueid, NEAR.uniqueid, FAR.uniqueid}) >= {CALLER.uniqueid}
    assert names(bridges) == set()
    for leg in (CALLER, NEAR, FAR):
        bridges.gone(leg.uniqueid)
    assert bridges.remembered == 0


# -- any order at all ----------------------------------------------------------------------------

LEGS = (
    CALLER,
    AGENT,
    SECOND,
    NEAR,
    FAR,
    *(Leg(f"2.{end}", f"Local/bot@bots-0000000b;{end}", "bots", "bot") for end in (1, 2)),
)
PAIRS = {"1.8": "1.9", "1.9": "1.8", "2.1": "2.2", "2.2": "2.1"}
BRIDGES = {TALK: "simple_bridge", INNER: "softmix", OTHER: "holding_bridge"}


@dataclass
class Model:
    """The same by brute force: who is where, and every pair that hears each other."""

    where: dict[str, str] = field(default_factory=dict)
    halves: set[str] = field(default_factory=set)
    widowed: set[str] = field(default_factory=set)

    def company(self, uniqueid: str) -> set[str]:
        known = {uniqueid, *self.where, *self.halves}
        near = {uniqueid}
        own = PAIRS.get(uniqueid)
        for _ in known:
            near |= {
                one for one in known if any(self._hears(one, other, uniqueid) for other in near)
            }
        return {one for one in near - {uniqueid, own} if self._is_somebody(one)}

    def _hears(self, one: str, other: str, asked: str) -> bool:
        if {one, other} <= self.halves and PAIRS.get(one) == other and asked not in (one, other):
            return True
        bridge = self.where.get(one)
        return bridge not in (None, OTHER) and self.where.get(other) == bridge

    def _is_somebody(self, one: str) -> bool:
        if one not in PAIRS:
            return True
        if one in self.widowed:
            return False
        return one not in self.where or PAIRS[one] not in self.halves

    def enter(self, leg: Leg, bridge: str) -> None:
        self.where[leg.uniqueid] = bridge
        if leg.is_local:
            self.halves.add(leg.uniqueid)

    def leave(self, leg: Leg, bridge: str) -> None:
        if self.where.get(leg.uniqueid) == bridge:
            del self.where[leg.uniqueid]

    def destroy(self, bridge: str) -> None:
        self.where = {one: other for one, other in self.where.items() if other != bridge}

    def pair(self, leg: Leg) -> None:
        self.halves |= {leg.uniqueid, PAIRS[leg.uniqueid]}

    def hang_up(self, leg: Leg) -> None:
        self.where.pop(leg.uniqueid, None)
        if leg.uniqueid in self.halves and PAIRS[leg.uniqueid] in self.halves:
            self.widowed.add(PAIRS[leg.uniqueid])
        self.halves.discard(leg.uniqueid)
        self.widowed.discard(leg.uniqueid)


Step = tuple[str, Leg, str, str]
BY_ID: Mapping[str, Leg] = {leg.uniqueid: leg for leg in LEGS}


def _pair(model: Model, bridges: Bridges, leg: Leg) -> frozenset[str]:
    if leg.uniqueid not in PAIRS:
        return frozenset()
    model.pair(leg)
    one, two = sorted((leg.uniqueid, PAIRS[leg.uniqueid]))
    return bridges.paired(BY_ID[one], BY_ID[two])


def apply(step: Step, model: Model, bridges: Bridges) -> frozenset[str]:
    """Tell both of one event; give what the tracker says may have changed."""
    kind, leg, bridge, swap = step
    told: Mapping[str, Callable[[], frozenset[str]]] = {
        "enter": lambda: bridges.entered(bridge, leg, kind=BRIDGES[bridge], swap=swap),
        "leave": lambda: bridges.left(bridge, leg.uniqueid),
        "destroy": lambda: bridges.destroyed(bridge),
        "queue": lambda: bridges.queued(leg.uniqueid, "support"),
        "pair": lambda: _pair(model, bridges, leg),
        "gone": lambda: bridges.gone(leg.uniqueid),
        "same name": lambda: bridges.renamed(leg.uniqueid, leg.name),
    }
    known: Mapping[str, Callable[[], None]] = {
        "enter": lambda: model.enter(leg, bridge),
        "leave": lambda: model.leave(leg, bridge),
        "destroy": lambda: model.destroy(bridge),
        "gone": lambda: model.hang_up(leg),
    }
    known.get(kind, lambda: None)()
    return told[kind]()


steps = st.tuples(
    st.sampled_from(["enter"] * 4 + ["leave", "destroy", "queue", "pair", "gone", "same name"]),
    st.sampled_from(LEGS),
    st.sampled_from(list(BRIDGES)),
    st.sampled_from(["", *BY_ID]),
)


@settings(max_examples=300)
@given(st.lists(steps, max_size=40))
def test_any_stream_gives_what_brute_force_gives_and_leaves_nothing(stream: list[Step]) -> None:
    model, bridges = Model(), Bridges()
    before = {one: bridges.company(one) for one in BY_ID}
    for step in stream:
        changed = apply(step, model, bridges)
        after = {one: bridges.company(one) for one in BY_ID}
        for one in BY_ID:
            assert {leg.uniqueid for leg in after[one]} == model.company(one), (step, one)
            assert bridges.is_bridged(one) == (one in model.where)
            assert after[one] == before[one] or one in changed, (step, one)
        before = after
    for leg in LEGS:
        bridges.gone(leg.uniqueid)
    assert bridges.remembered == 0


@given(st.lists(steps, max_size=40))
def test_a_list_gives_what_the_events_gave(stream: list[Step]) -> None:
    model, bridges, loaded = Model(), Bridges(), Bridges()
    for step in stream:
        if step[0] != "gone":  # a list doesn't tell whose other half has hung up
            apply(step, model, bridges)
    alive = set(model.where) | model.halves
    loaded.load([(BY_ID[one], model.where.get(one, "")) for one in sorted(alive)], BRIDGES)
    for one in alive:
        assert {leg.uniqueid for leg in loaded.company(one)} == model.company(one)
