"""The agent policy: what the coming and going of a human agent asks of the recorder.

Two tables give the commands for `core.recorder`, in order; nothing is carried out here. Which
bridges count as an agent's is not decided here either: these are the announced ones.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from turnrec.core.policy import Action, AgentOff, AgentPolicy, Bot, Default
from turnrec.core.recorder import Command, Source, State


class AgentRule(enum.StrEnum):
    """The agent policy and what `off` does to an open recording, as one word."""

    ON = "on"
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


def effective_policy(bot: Bot, override: AgentPolicy | None) -> AgentPolicy:
    """The policy of one transfer: `never` is the bot's last word, an override beats the rest."""
    if bot.agent is AgentPolicy.NEVER or override is None:
        return bot.agent
    return override


def commands_for_agent(
    bot: Bot, state: State, override: AgentPolicy | None = None
) -> tuple[Command, ...]:
    """What the announced coming of an agent asks of a recorder in `state`."""
    if effective_policy(bot, override) is AgentPolicy.ON:
        rule = AgentRule.ON
    elif bot.agent_off is AgentOff.STOP:
        rule = AgentRule.OFF_STOP
    else:
        rule = AgentRule.OFF_PAUSE
    return COMING[rule, state]


def commands_after_agent(bot: Bot, state: State) -> tuple[Command, ...]:
    """What the caller's return to the bot asks of a recorder in `state`."""
    return GOING[bot.default, state]
