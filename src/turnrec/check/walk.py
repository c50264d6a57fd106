"""Walks all paths of a bot's flow: every node in every situation it can be in; it judges none.

What is walked is the product of node and situation, breadth first, so that the path to each is a
shortest one. A situation depends on few things, whatever the number of nodes: what a step comes to
is asked of the product's tables (`turnrec.check.steps`) once for each kind of node.

A call begins in a node marked `entry`; where none is, in the file's first. It ends in any node, and
goes on from one that names `next` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from turnrec.check.steps import Outcome, Situation, Step, first_turn, take
from turnrec.core.policy import Bot, Node

Spot: TypeAlias = "int"
"""A node in a situation: the node's number times `_WIDTH`, and the situation's."""

_WIDTH: Final = 1024
_ON: Final = (Step.TURN,)
_AFTER_TRANSFER: Final = (Step.TURN, Step.UNANSWERED)
_AFTER_AGENT: Final = (Step.BACK,)

_Kind: TypeAlias = "tuple[object, ...]"
_Key: TypeAlias = "tuple[int, int, Step, bool, int]"


@dataclass(frozen=True, slots=True)
class Refused:
    """A node whose action the recorder refuses, and how the call came there."""

    node: int
    error_id: str
    before: Spot
    step: Step


class Walk:
    """One bot's nodes, by number in the file's order, and the spots that its paths reach."""

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.nodes: Sequence[Node] = tuple(bot.nodes.values())
        self._numbers = {node.name: number for number, node in enumerate(self.nodes)}
        self.successors = [[self._numbers[name] for name in node.successors] for node in self.nodes]
        self.entries = [number for number, node in enumerate(self.nodes) if node.entry] or [0]
        self.came_from: dict[Spot, tuple[Spot | None, Step]] = {}
        """The reached spots, nearest first; for each a spot before it on a shortest path."""
        self.follows: dict[Spot, list[tuple[Spot, Step]]] = {}
        """The spots that may come after each, and how."""
        self.refused: dict[tuple[int, str], Refused] = {}
        self._situations: list[Situation] = []
        self._situation_numbers: dict[Situation, int] = {}
        self._outcomes: dict[_Key, tuple[int, str | None]] = {}
        if self.nodes:
            self._walk()

    # -------------------------------------------------------------- asking

    def node_of(self, spot: Spot) -> Node:
        """The spot's node."""
        return self.nodes[spot // _WIDTH]

    def number_of(self, spot: Spot) -> int:
        """The number of the spot's node."""
        return spot // _WIDTH

    def situation_of(self, spot: Spot) -> Situation:
        """The spot's situation."""
        return self._situations[spot % _WIDTH]

    def path_to(self, spot: Spot) -> list[tuple[Spot, Step]]:
        """A shortest path, with how each of its spots was come to."""
        path: list[tuple[Spot, Step]] = []
        at: Spot | None = spot
        while at is not None:
            before, step = self.came_from[at]
            path.append((at, step))
            at = before
        return path[::-1]

    def situations(self) -> Mapping[int, list[Situation]]:
        """The situations that each reached node can be in."""
        found: dict[int, list[Situation]] = {}
        for spot in self.came_from:
            found.setdefault(spot // _WIDTH, []).append(self._situations[spot % _WIDTH])
        return found

    # -------------------------------------------------------------- walking

    def _walk(self) -> None:
        kinds = list(_numbered(map(_kind, self.nodes)))
        frontier: list[Spot] = []
        for number in self.entries:
            outcome = first_turn(self.bot, self.nodes[number])
            self._come(self._spot(number, outcome.situation), None, Step.TURN, frontier)
        while frontier:
            here, frontier = frontier, []
            for spot in here:
                self._leave(spot, kinds, frontier)

    def _leave(self, spot: Spot, kinds: Sequence[int], frontier: list[Spot]) -> None:
        number, situation = divmod(spot, _WIDTH)
        node, kind = self.nodes[number], kinds[number]
        follows = self.follows[spot] = []
        steps: tuple[Step, ...] = _ON
        if node.transfer:
            if self._situations[situation].with_agent:
                steps = _AFTER_AGENT
            else:
                steps = _AFTER_TRANSFER
                key = (kind, situation, Step.AGENT, True, kind)
                after, _ = self._outcomes.get(key) or self._outcome(key, number, number)
                talk = number * _WIDTH + after
                follows.append((talk, Step.AGENT))
                self._come(talk, spot, Step.AGENT, frontier)
        for to in self.successors[number]:
            for step in steps:
                key = (kind, situation, step, to == number, kinds[to])
                after, error_id = self._outcomes.get(key) or self._outcome(key, number, to)
                follows.append((to * _WIDTH + after, step))
                self._come(to * _WIDTH + after, spot, step, frontier)
                if error_id is not None:
                    found = Refused(to, error_id, spot, step)
                    self.refused.setdefault((to, error_id), found)

    def _outcome(self, key: _Key, number: int, to: int) -> tuple[int, str | None]:
        _, situation, step, _, _ = key
        before = self._situations[situation]
        outcome: Outcome = take(self.bot, self.nodes[number], before, step, self.nodes[to])
        error_id = None if outcome.refusal is None else outcome.refusal.id
        found = self._outcomes[key] = (self._number(outcome.situation), error_id)
        return found

    def _come(self, spot: Spot, before: Spot | None, step: Step, frontier: list[Spot]) -> None:
        if spot not in self.came_from:
            self.came_from[spot] = (before, step)
            frontier.append(spot)

    def _spot(self, number: int, situation: Situation) -> Spot:
        return number * _WIDTH + self._number(situation)

    def _number(self, situation: Situation) -> int:
        number = self._situation_numbers.get(situation)
        if number is None:
            number = self._situation_numbers[situation] = len(self._situations)
            self._situations.append(situation)
            if number >= _WIDTH:
                raise AssertionError("more situations than a recorder has")
        return number


def is_drawn(bot: Bot) -> bool:
    """Whether the flow says in which order its nodes come; else any order is possible."""
    if len(bot.nodes) < 2:
        return True
    entries = [node for node in bot.nodes.values() if node.entry]
    return any(node.successors for node in entries or [next(iter(bot.nodes.values()))])


def _kind(node: Node) -> _Kind:
    """All of a node that `core.turns` looks at, its name apart."""
    return (node.action, node.scope, node.new)


def _numbered(kinds: Iterable[_Kind]) -> Iterator[int]:
    numbers: dict[_Kind, int] = {}
    for kind in kinds:
        yield numbers.setdefault(kind, len(numbers))
