"""How each node of a flow is shown in a picture: what is recorded in it, and what is wrong with it.

It draws nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from turnrec.check.findings import Finding, Severity
from turnrec.check.walk import Walk, is_drawn
from turnrec.core.policy import Action, Node, Scope
from turnrec.core.recorder import State


class Look(enum.StrEnum):
    """What is recorded in a node."""

    RECORDED = "recorded"
    PAUSED = "paused"
    OFF = "off"
    """No recording is open: none was begun, or it was stopped."""
    MIXED = "mixed"
    """It depends on the path."""
    UNKNOWN = "unknown"
    """The flow doesn't say what comes before it."""
    UNREACHED = "unreached"


MEANINGS: Final[Mapping[Look, str]] = {
    Look.RECORDED: "recorded",
    Look.PAUSED: "paused: not recorded",
    Look.OFF: "no recording is open",
    Look.MIXED: "depends on the path",
    Look.UNKNOWN: "depends on the order",
    Look.UNREACHED: "no path reaches it",
}
_LOOKS: Final[Mapping[State, Look]] = {
    State.RECORDING: Look.RECORDED,
    State.PAUSED: Look.PAUSED,
    State.INACTIVE: Look.OFF,
    State.STOPPED: Look.OFF,
    State.ENDED: Look.OFF,
}
_BY_ACTION: Final[Mapping[Action | None, Look]] = {
    Action.START: Look.RECORDED,
    Action.RESUME: Look.RECORDED,
    Action.PAUSE: Look.PAUSED,
    Action.STOP: Look.OFF,
    None: Look.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One node of a picture."""

    number: int
    node: Node
    look: Look
    among: tuple[Look, ...]
    """What it is on some path each; more than one where it depends."""
    agent: Look | None
    """What is recorded of an agent's talk in it."""
    is_entry: bool
    findings: tuple[tuple[int, Finding], ...]
    """Its findings, with their numbers in the picture."""

    @property
    def says(self) -> str:
        """What it asks for, in a word or two."""
        node, words = self.node, []
        if node.action is not None:
            words.append(node.action.value)
        if node.scope is Scope.TURN:
            words.append("this turn only")
        if node.new:
            words.append("a new one")
        if node.transfer:
            agent = "" if self.agent is None else f", who is {_agent_words(self.agent)}"
            words.append(f"to an agent{agent}")
        return " · ".join(words)

    @property
    def severity(self) -> Severity | None:
        """How bad the worst of it is."""
        found = {finding.severity for _, finding in self.findings}
        if Severity.ERROR in found:
            return Severity.ERROR
        return Severity.WARNING if found else None


def _agent_words(look: Look) -> str:
    return {Look.RECORDED: "recorded", Look.MIXED: "recorded on some path"}.get(
        look, "not recorded"
    )


def shown(walk: Walk, findings: Sequence[tuple[int, Finding]]) -> list[Shown]:
    """Every node of a bot; `findings` are the bot's, numbered."""
    knows_order = is_drawn(walk.bot)
    situations = walk.situations() if knows_order else {}
    by_node: dict[str, list[tuple[int, Finding]]] = {}
    for number, finding in findings:
        if finding.node is not None:
            by_node.setdefault(finding.node, []).append((number, finding))
    made = []
    for number, node in enumerate(walk.nodes):
        found = situations.get(number, [])
        alone = {_LOOKS[one.recorder.state] for one in found if not one.with_agent}
        talks = {_LOOKS[one.recorder.state] for one in found if one.with_agent}
        among = tuple(one for one in Look if one in alone)
        made.append(
            Shown(
                number=number,
                node=node,
                look=_one(among) if knows_order else _BY_ACTION[node.action],
                among=among,
                agent=_one(talks) if talks else None,
                is_entry=knows_order and number in walk.entries,
                findings=tuple(by_node.get(node.name, ())),
            )
        )
    return made


def _one(looks: Iterable[Look]) -> Look:
    looks = list(looks)
    if not looks:
        return Look.UNREACHED
    return looks[0] if len(looks) == 1 else Look.MIXED


def numbered(findings: Iterable[Finding], bot: str) -> list[tuple[int, Finding]]:
    """A bot's findings, from 1."""
    return list(enumerate((one for one in findings if one.bot == bot), start=1))


def edges_in_doubt(findings: Iterable[tuple[int, Finding]]) -> set[tuple[str, str]]:
    """The edges of the paths that show errors."""
    return {
        (one.node, other.node)
        for _, finding in findings
        if finding.severity is Severity.ERROR
        for one, other in zip(finding.path, finding.path[1:], strict=False)
    }
