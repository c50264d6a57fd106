"""What a step of a call makes of its recorder, by the product's tables; it has no rule of its own.

A step is a turn of the bot's, the coming of an agent, or the caller's return. Their orders are
those of `turnrec.calls` and `turnrec.talks`, where Asterisk carries them out; here every command
is taken to be confirmed, and neither operators nor faults interfere.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from turnrec.core.agents import (
    BACK,
    commands_after_agent,
    commands_for_agent,
    commands_on_announcement,
)
from turnrec.core.errors import RecorderRefusedError
from turnrec.core.policy import Action, Bot, Default, Node
from turnrec.core.recorder import Command, Recorder, Source, decide
from turnrec.core.turns import Turn, plan_turn


class Step(enum.StrEnum):
    """How a call comes to where it is."""

    TURN = "turn"
    """A turn begins."""
    AGENT = "agent"
    """An agent talks to the caller, in the turn that hands over."""
    UNANSWERED = "unanswered"
    """A turn begins after an agent was announced and nobody answered."""
    BACK = "back"
    """A turn begins and the caller comes back from the agent."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Where the recorder stands in one turn, as far as what follows depends on it."""

    recorder: Recorder
    over_pause: bool = False
    """Whether a pause lies beneath this turn's own (see `core.turns.Turn`)."""
    with_agent: bool = False
    """Whether an agent talks to the caller."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step comes to."""

    situation: Situation
    refusal: RecorderRefusedError | None = None
    """Why the recorder refused it, and stayed as it was."""


def begin_call(bot: Bot) -> Recorder:
    """The recorder before the call's first turn."""
    if bot.default is Default.OFF:
        return Recorder()
    return _carry_out(bot, Recorder(), [Command(Action.START, Source.TURN)])[0]


def first_turn(bot: Bot, node: Node) -> Outcome:
    """The call's first turn."""
    return _turn(bot, None, begin_call(bot), node, Step.TURN)


def take(bot: Bot, node: Node, before: Situation, step: Step, to: Node) -> Outcome:
    """One step from `node`, in which the recorder stands as `before`, to the node `to`."""
    if step is Step.AGENT:
        recorder, refusal = _carry_out(
            bot, before.recorder, commands_for_agent(bot, before.recorder.state)
        )
        return Outcome(Situation(recorder, before.over_pause, with_agent=True), refusal)
    recorder = before.recorder
    if step is Step.UNANSWERED:
        recorder, _ = _carry_out(bot, recorder, commands_on_announcement(bot, recorder.state))
    return _turn(bot, Turn(1, node, over_pause=before.over_pause), recorder, to, step)


def _turn(bot: Bot, current: Turn | None, recorder: Recorder, node: Node, step: Step) -> Outcome:
    plan = plan_turn(bot, current, recorder, node.name)
    own = [] if plan.command is None else [plan.command]
    if step is Step.TURN:
        recorder, refusal = _carry_out(bot, recorder, own)
    else:
        recorder, refusal = _come_back(bot, recorder, own)
    return Outcome(Situation(recorder, plan.turn.over_pause), refusal)


def _come_back(
    bot: Bot, recorder: Recorder, own: list[Command]
) -> tuple[Recorder, RecorderRefusedError | None]:
    """The order of `Calls._come_back`."""
    back = BACK[own[0].action if own else None]
    refusal = None
    if back.turn_first:
        recorder, refusal = _carry_out(bot, recorder, own)
    if refusal is None:
        release = commands_after_agent(bot, recorder.state, starts=back.starts)
        recorder, refusal = _carry_out(bot, recorder, release)
    if refusal is None and not back.turn_first:
        recorder, refusal = _carry_out(bot, recorder, own)
    return recorder, refusal


def _carry_out(
    bot: Bot, recorder: Recorder, commands: Iterable[Command]
) -> tuple[Recorder, RecorderRefusedError | None]:
    """Decide command after command; what is refused ends it, as it ends a request."""
    for command in commands:
        try:
            recorder = decide(recorder, command, stop_is_final=bot.stop_is_final).after
        except RecorderRefusedError as refusal:
            return recorder, refusal
    return recorder, None
