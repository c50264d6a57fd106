"""The agent policy: what the coming and going of a human agent asks of the recorder.

Flat tables give the commands for `core.recorder`, in order; nothing is carried out here. Which
bridges count as an agent's is not decided here either (`core.parties`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from turnrec.core.policy import Action, AgentOff, AgentPolicy, Bot, Default
from turnrec.core.recorder import Command, Source, State


class AgentRule(enum.StrEnum):
    """The agent policy and what `off` does to an open recording, as one word."""

    ON = "on"
    ON_UNCLASSED = "on, unclassed"
    """Nobody announced the bridge and no rule classes it: every hold that is set stays."""
    OFF_PAUSE = "off, pause"
    OFF_STOP = "off, stop"


_HOLD: Final = Command(Action.PAUSE, Source.AGENT)
_RELEASE: Final = Command(Action.RESUME, Source.AGENT)
_STOP: Final = Command(Action.STOP, Source.AGENT)
_START: Final = Command(Action.START, Source.AGENT)
_TURN_IS_OVER: Final = Command(Action.RESUME, Source.TURN)

_TALK: Final = (_TURN_IS_OVER, _RELEASE)
# Held before it is stopped, so that nothing records in between; and held again, because a stop
# leaves its asker no hold.
_FINISH: Final = (_HOLD, _STOP, _HOLD)

COMING: Final[Mapping[tuple[AgentRule, State], tuple[Command, ...]]] = MappingProxyType(
    {
        (AgentRule.ON, State.INACTIVE): (*_TALK, _START),
        (AgentRule.ON, State.RECORDING): _TALK,
        (AgentRule.ON, State.PAUSED): _TALK,
        (AgentRule.ON, State.STOPPED): (),
        (AgentRule.ON, State.ENDED): (),
        # ------------------------------------------------------------
        (AgentRule.ON_UNCLASSED, State.INACTIVE): (),
        (AgentRule.ON_UNCLASSED, State.RECORDING): (),
        (AgentRule.ON_UNCLASSED, State.PAUSED): (),
        (AgentRule.ON_UNCLASSED, State.STOPPED): (),
        (AgentRule.ON_UNCLASSED, State.ENDED): (),
        # ------------------------------------------------------------
        (AgentRule.OFF_PAUSE, State.INACTIVE): (_HOLD,),
        (AgentRule.OFF_PAUSE, State.RECORDING): (_HOLD,),
        (AgentRule.OFF_PAUSE, State.PAUSED): (_HOLD,),
        (AgentRule.OFF_PAUSE, State.STOPPED): (),
        (AgentRule.OFF_PAUSE, State.ENDED): (),
        # ------------------------------------------------------------
        (AgentRule.OFF_STOP, State.INACTIVE): (_HOLD,),
        (AgentRule.OFF_STOP, State.RECORDING): _FINISH,
        (AgentRule.OFF_STOP, State.PAUSED): _FINISH,
        (AgentRule.OFF_STOP, State.STOPPED): (),
        (AgentRule.OFF_STOP, State.ENDED): (),
    }
)

GOING: Final[Mapping[tuple[Default, State], tuple[Command, ...]]] = MappingProxyType(
    {
        (Default.ON, State.INACTIVE): (_RELEASE, _START),
        (Default.ON, State.RECORDING): (),
        (Default.ON, State.PAUSED): (_RELEASE,),
        (Default.ON, State.STOPPED): (),
        (Default.ON, State.ENDED): (),
        # ------------------------------------------------------------
        (Default.OFF, State.INACTIVE): (_RELEASE,),
        (Default.OFF, State.RECORDING): (),
        (Default.OFF, State.PAUSED): (_RELEASE,),
        (Default.OFF, State.STOPPED): (),
        (Default.OFF, State.ENDED): (),
    }
)


@dataclass(frozen=True, slots=True)
class Back:
    """How a turn that says that the caller is back joins with what the return itself asks."""

    turn_first: bool = False
    """The turn's own command comes first, so that nothing is recorded on the way."""
    starts: bool = True
    """Whether the return may start a recording."""


BACK: Final[Mapping[Action | None, Back]] = MappingProxyType(
    {
        None: Back(),
        Action.RESUME: Back(),
        Action.PAUSE: Back(turn_first=True),
        Action.START: Back(starts=False),
        Action.STOP: Back(turn_first=True, starts=False),
    }
)
"""By the turn's own action."""


def effective_policy(bot: Bot, override: AgentPolicy | None) -> AgentPolicy:
    """The policy of one transfer: `never` is the bot's last word, an override beats the rest."""
    if bot.agent is AgentPolicy.NEVER or override is None:
        return bot.agent
    return override


def agent_rule(bot: Bot, override: AgentPolicy | None = None, *, known: bool = True) -> AgentRule:
    """The rule for one transfer.

    Args:
        bot: whose policy it is.
        override: this transfer's policy, where one was announced.
        known: whether it is an agent for certain: announced, or classed so by an operator's rule.
    """
    if effective_policy(bot, override) is AgentPolicy.ON:
        return AgentRule.ON if known else AgentRule.ON_UNCLASSED
    return AgentRule.OFF_STOP if bot.agent_off is AgentOff.STOP else AgentRule.OFF_PAUSE


def commands_on_announcement(
    bot: Bot, state: State, override: AgentPolicy | None = None
) -> tuple[Command, ...]:
    """What an announcement asks before anybody rings.

    `off` and `never` apply at once. `on` waits for the agent: the ringing and the queue are under
    the bot's rules, and a caller who waits may still be reading out his number.
    """
    rule = agent_rule(bot, override)
    return () if rule is AgentRule.ON else COMING[rule, state]


def commands_for_agent(
    bot: Bot, state: State, override: AgentPolicy | None = None, *, known: bool = True
) -> tuple[Command, ...]:
    """What the coming of an agent asks of a recorder in `state`."""
    return COMING[agent_rule(bot, override, known=known), state]


def commands_after_agent(bot: Bot, state: State, *, starts: bool = True) -> tuple[Command, ...]:
    """What the caller's return to the bot asks of a recorder in `state`."""
    commands = GOING[bot.default, state]
    return commands if starts else tuple(one for one in commands if one.action is not Action.START)
