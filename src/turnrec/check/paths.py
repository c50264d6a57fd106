"""What is wrong with the paths of a flow whose order is known; it decides no step itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from turnrec.check.dominators import dominators
from turnrec.check.findings import Finding, Visit
from turnrec.check.steps import Step
from turnrec.check.walk import Refused, Spot, Walk
from turnrec.core.policy import Action, AgentPolicy, Node, Scope
from turnrec.core.recorder import Source, State
from turnrec.flow_places import Place

_REFUSALS: Final = {
    "recording-stopped": "after-final-stop",
    "already-recording": "start-while-paused",
}
_AUDIBLE: Final = frozenset({State.RECORDING, State.PAUSED})

_MOST_VISITS: Final = 200_000
"""In all paths of a bot's findings: of thousands of mistakes in a chain, the last have no path."""

NodePlace = Callable[..., Place]


class Paths:
    """Looks at one bot's walk."""

    def __init__(self, walk: Walk, file: str, place: NodePlace) -> None:
        """`place` gives the place of a node, or of one of its settings."""
        self._walk = walk
        self._bot = walk.bot
        self._file = file
        self._place = place
        self._visits_left = _MOST_VISITS

    def findings(self) -> Iterator[Finding]:
        """Everything that is wrong, in no order."""
        yield from self._unreachable()
        yield from self._sensitive_recorded()
        yield from self._refused()
        yield from self._starts_after_scoped_pause()
        yield from self._transfers_while_paused()
        yield from self._never_resumed()
        yield from self._retries_that_start_new()
        yield from self._retries_that_change()

    # -------------------------------------------------------------- the rules

    def _unreachable(self) -> Iterator[Finding]:
        reached = {self._walk.number_of(spot) for spot in self._walk.came_from}
        for number, node in enumerate(self._walk.nodes):
            if number not in reached:
                yield self._finding("unreachable", node, f"no path reaches {node.name}")

    def _sensitive_recorded(self) -> Iterator[Finding]:
        done = set()
        for spot in self._walk.came_from:
            node, situation = self._walk.node_of(spot), self._walk.situation_of(spot)
            if not node.sensitive or not situation.recorder.is_recording or node.name in done:
                continue
            done.add(node.name)
            when = ", while an agent talks to the caller" if situation.with_agent else ""
            sentence = f"{node.name} is sensitive and is recorded{when}"
            yield self._finding("sensitive-recorded", node, sentence, self._path(spot))

    def _refused(self) -> Iterator[Finding]:
        for refused in self._walk.refused.values():
            node = self._walk.nodes[refused.node]
            id_ = _REFUSALS[refused.error_id]
            why = {
                "after-final-stop": "the recording was stopped for good before",
                "start-while-paused": "the recording is paused, and {0} doesn't say `new: true`",
            }[id_].format(node.name)
            sentence = f"{node.name}'s {node.action} is refused: {why}"
            yield self._finding(id_, node, sentence, self._refused_path(refused), at="action")

    def _starts_after_scoped_pause(self) -> Iterator[Finding]:
        """A start says nothing of the pause before it, not even of one for its own turn only."""
        walk, done = self._walk, set[str]()
        for spot in walk.came_from:
            before = walk.node_of(spot)
            is_scoped = before.action is Action.PAUSE and before.scope is Scope.TURN
            if not is_scoped or walk.situation_of(spot).over_pause:
                continue
            for after, step in walk.follows[spot]:
                node = walk.node_of(after)
                if node.action is not Action.START or not self._is_held(after):
                    continue
                if (
                    node.name in done
                    or (walk.number_of(after), "already-recording") in walk.refused
                ):
                    continue
                done.add(node.name)
                sentence = (
                    f"{node.name} starts a recording right after {before.name}'s pause, which a"
                    " start doesn't end: it is paused"
                )
                path = self._path(spot, (after, step))
                yield self._finding("start-while-paused", node, sentence, path, at="action")

    def _transfers_while_paused(self) -> Iterator[Finding]:
        if self._bot.agent is not AgentPolicy.ON:
            return
        done = set()
        for spot in self._walk.came_from:
            node, situation = self._walk.node_of(spot), self._walk.situation_of(spot)
            if not node.transfer or situation.with_agent or node.name in done:
                continue
            if situation.recorder.is_paused and Source.TURN in situation.recorder.holds:
                done.add(node.name)
                sentence = (
                    f"{node.name} hands the call over while it is paused, and the agent's coming"
                    " ends the pause (agent: on)"
                )
                path = self._path(spot)
                yield self._finding("transfer-while-paused", node, sentence, path, at="transfer")

    def _never_resumed(self) -> Iterator[Finding]:
        walk, released = self._walk, self._released()
        held = {spot for spot in walk.came_from if self._is_held(spot)}
        stuck = held - released
        done = set()
        for spot in walk.came_from:  # nearest first
            if spot not in stuck:
                continue
            node = walk.node_of(spot)
            if _sets_sticky_pause(node):
                if node.name not in done and (way := self._way_to_a_loss(spot, stuck)) is not None:
                    done.add(node.name)
                    lost = walk.node_of(way[-1][0]).name
                    sentence = (
                        f"nothing after {node.name} ends its pause on any path:"
                        f" {lost} is not recorded, and whatever follows"
                    )
                    path = self._path(spot, *way)
                    yield self._finding("pause-never-resumed", node, sentence, path, at="action")
            elif node.name not in done and self._is_branch(spot, released):
                done.add(node.name)
                sentence = f"{node.name} is still paused here, and no path from here on resumes"
                yield self._finding("pause-not-resumed-here", node, sentence, self._path(spot))

    def _retries_that_start_new(self) -> Iterator[Finding]:
        walk = self._walk
        before: list[list[int]] = [[] for _ in walk.nodes]
        for number, successors in enumerate(walk.successors):
            for to in successors:
                before[to].append(number)
        nearest = _nearest_spots(walk, lambda spot: walk.situation_of(spot).recorder.is_open)
        for number, spot in nearest.items():
            node = walk.nodes[number]
            if not node.new:
                continue
            for between in walk.successors[number]:
                is_itself = between == number
                handler = walk.nodes[between]
                # A retry comes back at once, or by a node that only says "I didn't get that".
                is_handler = (
                    before[between] == [number]
                    and handler.action is None
                    and not handler.transfer
                    and number in walk.successors[between]
                )
                if is_itself or is_handler:
                    way = [node] if is_itself else [handler, node]
                    visits = self._path(spot)
                    visits += [self._visit(one, visits[-1].state) for one in way if visits]
                    sentence = f"each retry of {node.name} ends the recording and begins another"
                    yield self._finding("retry-starts-new", node, sentence, visits, at="new")
                    break

    def _retries_that_change(self) -> Iterator[Finding]:
        walk, done = self._walk, set[str]()
        candidates = []
        for number, found in walk.situations().items():
            node = walk.nodes[number]
            states = {one.recorder.state for one in found if not one.with_agent}
            if node.action is None and not node.sensitive and states >= _AUDIBLE:
                candidates.append(number)
        if not candidates:
            return
        dominates = dominators(walk.successors, walk.entries)
        wanted = set(candidates)
        for spot, (before, _) in walk.came_from.items():
            number, situation = walk.number_of(spot), walk.situation_of(spot)
            node, state = walk.nodes[number], situation.recorder.state
            if number not in wanted or before is None or state not in _AUDIBLE:
                continue
            if situation.with_agent:
                continue
            # Only a way back is a retry: the node before is reached through this one alone.
            if node.name in done or not dominates(number, walk.number_of(before)):
                continue
            path = walk.path_to(spot)
            first = next(one for one, _ in path if walk.number_of(one) == number)
            was = walk.situation_of(first).recorder.state
            if {was, state} == _AUDIBLE:
                done.add(node.name)
                sentence = (
                    f"{node.name} says nothing: {was} at first, it is {state} when it comes again"
                )
                yield self._finding("retry-changes-recording", node, sentence, self._path(spot))

    # -------------------------------------------------------------- pauses

    def _is_held(self, spot: Spot) -> bool:
        recorder = self._walk.situation_of(spot).recorder
        is_live = recorder.is_open or recorder.state is State.INACTIVE
        return is_live and Source.TURN in recorder.holds

    def _released(self) -> set[Spot]:
        """The held spots from which some path releases the hold, other than by a stop."""
        walk = self._walk
        before: dict[Spot, list[Spot]] = {}
        found: list[Spot] = []
        for spot, follows in walk.follows.items():
            if not self._is_held(spot):
                continue
            for after, _ in follows:
                if self._is_held(after):
                    before.setdefault(after, []).append(spot)
                elif walk.node_of(after).action is not Action.STOP:
                    found.append(spot)
        released = set(found)
        while found:
            for spot in before.get(found.pop(), ()):
                if spot not in released:
                    released.add(spot)
                    found.append(spot)
        return released

    def _way_to_a_loss(self, spot: Spot, stuck: set[Spot]) -> list[tuple[Spot, Step]] | None:
        """The way from a pause to the first node that would be recorded but for this pause."""
        walk = self._walk
        ways: list[list[tuple[Spot, Step]]] = [[(spot, Step.TURN)]]
        seen = {spot}
        for way in ways:
            for after, step in walk.follows[way[-1][0]]:
                node = walk.node_of(after)
                if after in seen or after not in stuck or _sets_sticky_pause(node):
                    continue  # another pause answers for what comes after it
                seen.add(after)
                ways.append([*way, (after, step)])
                if _would_be_recorded(node):
                    return ways[-1][1:]
        return None

    def _is_branch(self, spot: Spot, released: set[Spot]) -> bool:
        """Whether other branches resume, and this one doesn't. Last words alone are none."""
        walk = self._walk
        before, _ = walk.came_from[spot]
        node = walk.node_of(spot)
        return (
            before in released
            and _would_be_recorded(node)
            and any(
                walk.node_of(one) is not node and _would_be_recorded(walk.node_of(one))
                for one, _ in walk.follows[spot]
            )
        )

    # -------------------------------------------------------------- saying it

    def _finding(
        self, id_: str, node: Node, sentence: str, path: list[Visit] | None = None, at: str = ""
    ) -> Finding:
        place = self._place(node.name, at) if at else self._place(node.name)
        return Finding(
            id_, self._file, place, sentence, self._bot.name, node.name, tuple(path or ())
        )

    def _path(self, spot: Spot, *way: tuple[Spot, Step]) -> list[Visit]:
        if self._visits_left < 0:
            return []
        path = [*self._walk.path_to(spot), *way]
        self._visits_left -= len(path)
        if self._visits_left < 0:
            return []
        return [
            self._visit(self._walk.node_of(one), self._walk.situation_of(one).recorder.state, step)
            for one, step in path
        ]

    def _refused_path(self, refused: Refused) -> list[Visit]:
        path = self._path(refused.before)
        if not path:
            return []
        node = self._walk.nodes[refused.node]
        return [*path, self._visit(node, path[-1].state, refused.step)]

    def _visit(self, node: Node, state: State, step: Step = Step.TURN) -> Visit:
        return Visit(node.name, step, state, self._place(node.name))


def _sets_sticky_pause(node: Node) -> bool:
    return node.action is Action.PAUSE and node.scope is Scope.STICKY


def _would_be_recorded(node: Node) -> bool:
    """Whether its author has said nothing against it."""
    return node.action in (None, Action.START) and not node.sensitive


def _nearest_spots(walk: Walk, fits: Callable[[Spot], bool]) -> dict[int, Spot]:
    """For each node the nearest spot that fits."""
    found: dict[int, Spot] = {}
    for spot in walk.came_from:
        if fits(spot):
            found.setdefault(walk.number_of(spot), spot)
    return found
