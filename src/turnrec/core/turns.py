"""Which turn a bot is in and what that turn asks of the recorder; it never commands anything.

A node's action is sticky: it lasts until another node says otherwise. `scope: turn` makes a pause
end by itself when the next turn begins. The same node asked again (a retry, a re-prompt) is the
same turn. A node that the flow does not know is held, unless the bot's policy says otherwise; its
name is kept as it may be repeated in any log (`name_to_repeat`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from turnrec.core.errors import TurnSupersededError
from turnrec.core.policy import NAME, Action, Bot, Node, Scope, UnknownNode
from turnrec.core.recorder import Command, Recorder, Source

INVALID_NODE = "(invalid)"
"""What stands for a node name that may not be repeated in any log, file or command."""

_DIGIT = re.compile(r"[0-9]")
_TELLING_DIGITS = 4
"""So many digits may be somebody's: a PIN has four."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One visit to a node: its number on this call counts from 1."""

    number: int
    node: Node
    known: bool = True
    sequence: int | None = None
    """The bot's own running number, where it sends one."""
    over_pause: bool = False
    """Whether a pause of the bot's lies beneath this turn: one for this turn only gives it back."""


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """What beginning a turn comes to."""

    turn: Turn
    command: Command | None
    """None: leave the recorder as it is."""
    repeated: bool = False
    """The turn had begun before; this is a retry of it."""


def plan_turn(
    bot: Bot,
    current: Turn | None,
    recorder: Recorder,
    node_name: str,
    sequence: int | None = None,
) -> TurnPlan:
    """Work out the turn that begins with `node_name` and what it commands.

    A node name that is invalid is held like one that is unknown: a bot that garbles the name of
    the card-number node must not record the card number.

    Raises:
        TurnSupersededError: the bot's running number is older than the current turn's.
    """
    node, known = _look_up(bot, node_name)
    _refuse_stale(current, node, sequence)
    repeated = current is not None and current.node.name == node.name and known
    number = 1 if current is None else current.number + (not repeated)
    passes = current is not None and _is_for_one_turn(current)
    over_pause = Source.TURN in recorder.holds and not passes
    return TurnPlan(
        turn=Turn(number, node, known, sequence, over_pause),
        command=_command(recorder, node, scope_ends=passes and not repeated),
        repeated=repeated,
    )


def _is_for_one_turn(turn: Turn) -> bool:
    """Whether the bot's hold goes with this turn, and nothing of the bot's lies beneath."""
    is_scoped = (turn.node.action, turn.node.scope) == (Action.PAUSE, Scope.TURN)
    return is_scoped and not turn.over_pause


def name_to_repeat(unknown: str) -> str:
    """What stands for the name of a node that the flow doesn't know, in logs, ledger and variables.

    A broken bot may pass what a caller said. A name with four digits or more, or with no letter
    beside its digits, is repeated with an X for each digit and in parentheses: no node is called
    so, and an operator still sees what kind of thing it was.
    """
    if NAME.fullmatch(unknown) is None:
        return INVALID_NODE
    digits = len(_DIGIT.findall(unknown))
    is_bare = digits > 0 and not any(sign.isalpha() for sign in unknown)
    if digits >= _TELLING_DIGITS or is_bare:
        return f"({_DIGIT.sub('X', unknown)})"
    return unknown


def _look_up(bot: Bot, name: str) -> tuple[Node, bool]:
    node = bot.nodes.get(name)
    if node is not None:
        return node, True
    holds = bot.unknown_node is UnknownNode.PAUSE
    return Node(name_to_repeat(name), action=Action.PAUSE if holds else None), False


def _refuse_stale(current: Turn | None, node: Node, sequence: int | None) -> None:
    if current is None or current.sequence is None or sequence is None:
        return
    is_another = node.name != current.node.name
    if sequence < current.sequence or (sequence == current.sequence and is_another):
        raise TurnSupersededError(node.name, sequence, current.node.name, current.sequence)


def _command(recorder: Recorder, node: Node, *, scope_ends: bool) -> Command | None:
    if node.action is not None:
        return Command(node.action, Source.TURN, new=node.new)
    # A fault that nothing else keeps ends with the next turn (design.md, section 3).
    only_a_fault = recorder.holds == {Source.FAULT}
    if scope_ends or only_a_fault:
        return Command(Action.RESUME, Source.TURN)
    return None
