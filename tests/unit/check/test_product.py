"""What the checker says of a path is what the product does on it: `Calls` and `Talks`, any flow.

Both ways: each path that the checker tells is played to the product, and the product is led along
random paths, none of which may come to where the checker says that no path comes.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.check.product import PlayedCall
from turnrec.check.any_order import AnyOrder
from turnrec.check.findings import Finding
from turnrec.check.paths import Paths
from turnrec.check.steps import Step, take
from turnrec.check.walk import Walk, is_drawn
from turnrec.core.policy import Action, AgentOff, AgentPolicy, Bot, Default, Node, Scope
from turnrec.core.recorder import State
from turnrec.flow_places import Place

NAMES = ("a", "b", "c", "d", "e")


@st.composite
def bots(draw: st.DrawFn) -> Bot:
    """Any small flow that a file could hold."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    nodes = {}
    for name in names:
        action = draw(st.sampled_from([None, None, Action.PAUSE, Action.START, *Action]))
        nodes[name] = Node(
            name,
            action,
            draw(st.sampled_from(Scope)) if action is Action.PAUSE else Scope.STICKY,
            new=action is Action.START and draw(st.booleans()),
            sensitive=draw(st.booleans()),
            successors=tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=3))),
            transfer=draw(st.integers(0, 3)) == 0,
            entry=draw(st.integers(0, 4)) == 0,
        )
    return Bot(
        "kyc",
        MappingProxyType(nodes),
        default=draw(st.sampled_from(Default)),
        stop_is_final=draw(st.booleans()),
        agent=draw(st.sampled_from(AgentPolicy)),
        agent_off=draw(st.sampled_from(AgentOff)),
    )


def findings(walk: Walk) -> list[Finding]:
    """Everything that is said of a bot's paths."""

    def place(*_: str) -> Place:
        return Place(1, 1)

    if is_drawn(walk.bot):
        return list(Paths(walk, "f", place).findings())
    return list(AnyOrder(walk.bot, "f", place).findings())


@given(bots(), st.booleans())
@settings(deadline=None)
def test_every_reached_spot_is_where_the_product_comes_to(bot: Bot, announced: bool) -> None:
    walk = Walk(bot)

    async def play() -> None:
        for spot in walk.came_from:
            call = PlayedCall(bot)
            await call.begin()
            for at, step in walk.path_to(spot):
                await call.step(walk.node_of(at).name, step, announced_before=announced)
                assert call.recorder == walk.situation_of(at).recorder

    asyncio.run(play())


@given(bots(), st.booleans())
@settings(deadline=None)
def test_the_path_of_every_finding_shows_it_on_the_product(bot: Bot, announced: bool) -> None:
    walk = Walk(bot)

    async def play(finding: Finding) -> None:
        call = PlayedCall(bot)
        await call.begin()
        refusal = None
        for visit in finding.path:
            refusal = await call.step(visit.node, visit.step, announced_before=announced)
            assert call.recorder.state is visit.state, finding
        last = call.recorder.state
        match finding.id:
            case "after-final-stop":
                assert refusal == "recording-stopped"
            case "start-while-paused":
                assert refusal == "already-recording" or last is State.PAUSED
            case "sensitive-recorded":
                assert last is State.RECORDING
                assert bot.nodes[finding.path[-1].node].sensitive
            case "transfer-while-paused":
                assert last is State.PAUSED
                assert bot.nodes[finding.path[-1].node].transfer
            case "pause-never-resumed" | "pause-not-resumed-here":
                assert last in {State.PAUSED, State.INACTIVE}
            case "retry-changes-recording":
                states = [one.state for one in finding.path if one.node == finding.node]
                assert len(set(states)) > 1

    for finding in findings(walk):
        if finding.id != "unreachable":
            asyncio.run(play(finding))


@given(bots(), st.data())
@settings(deadline=None)
def test_no_path_of_the_product_leads_where_the_checker_says_none_does(
    bot: Bot, data: st.DataObject
) -> None:
    walk = Walk(bot)
    known = {
        (walk.node_of(spot).name, situation.recorder, situation.with_agent)
        for spot in walk.came_from
        for situation in [walk.situation_of(spot)]
    }
    found = {(one.id, one.node) for one in findings(walk)}

    async def play() -> None:
        call = PlayedCall(bot)
        await call.begin()
        entries = [node.name for node in bot.nodes.values() if node.entry] or [NAMES[0]]
        name, step = data.draw(st.sampled_from(entries)), Step.TURN
        for _ in range(8):
            refusal = await call.step(name, step, announced_before=data.draw(st.booleans()))
            node, recorder = bot.nodes[name], call.recorder
            assert (name, recorder, step is Step.AGENT) in known
            if is_drawn(bot) and node.sensitive and recorder.is_recording:
                assert ("sensitive-recorded", name) in found
            if is_drawn(bot) and refusal is not None:
                assert found & {("after-final-stop", name), ("start-while-paused", name)}
            if node.transfer and step is not Step.AGENT and data.draw(st.booleans()):
                step = Step.AGENT
                continue
            if not node.successors:
                break
            was_agent = step is Step.AGENT
            name = data.draw(st.sampled_from(node.successors))
            step = Step.BACK if was_agent else Step.TURN
            if node.transfer and not was_agent and data.draw(st.booleans()):
                step = Step.UNANSWERED

    asyncio.run(play())


@given(bots())
@settings(max_examples=400, deadline=None)
def test_what_was_worked_out_for_one_node_holds_for_all_of_its_kind(bot: Bot) -> None:
    walk = Walk(bot)
    for spot, follows in walk.follows.items():
        node, situation = walk.node_of(spot), walk.situation_of(spot)
        for after, step in follows:
            outcome = take(bot, node, situation, step, walk.node_of(after))
            assert outcome.situation == walk.situation_of(after)
            if outcome.refusal is not None:
                assert (walk.number_of(after), outcome.refusal.id) in walk.refused
    for refused in walk.refused.values():
        node, situation = walk.node_of(refused.before), walk.situation_of(refused.before)
        refusal = take(bot, node, situation, refused.step, walk.nodes[refused.node]).refusal
        assert refusal is not None
        assert refusal.id == refused.error_id


@given(bots())
def test_what_no_path_reaches_is_said_of_just_those_nodes(bot: Bot) -> None:
    walk = Walk(bot)
    entries = [name for name, node in bot.nodes.items() if node.entry] or [NAMES[0]]
    reached, new = set[str](), set(entries)
    while new:
        reached |= new
        new = {to for name in new for to in bot.nodes[name].successors} - reached
    if is_drawn(bot):
        unreachable = {one.node for one in findings(walk) if one.id == "unreachable"}
        assert unreachable == bot.nodes.keys() - reached
