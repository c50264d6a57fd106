"""What an operator has decided for a bot and its nodes, as values; it never reads a file.

The flow file (`turnrec.flow`) is one way to make these. Defaults are design.md's, section 4.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from turnrec.core.errors import InvalidNameError
from turnrec.core.parties import PartyRule

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check_name(value: str, what: str) -> str:
    """Return `value` if it may be a name of a bot, node, tag or external id.

    Raises:
        InvalidNameError: it holds anything but 1 to 64 of `A-Za-z0-9_.-`.
    """
    if NAME.fullmatch(value) is None:
        raise InvalidNameError(what)
    return value


class Action(enum.StrEnum):
    """A recording action."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


class Scope(enum.StrEnum):
    """How long a node's action lasts: until another node says otherwise, or for its turn."""

    STICKY = "sticky"
    TURN = "turn"


class Default(enum.StrEnum):
    """Whether a call is recorded from its start (`off` is manual mode)."""

    ON = "on"
    OFF = "off"


class AgentPolicy(enum.StrEnum):
    """Whether the talk with a human agent is recorded."""

    ON = "on"
    OFF = "off"
    NEVER = "never"


class AgentOff(enum.StrEnum):
    """What `agent: off` does to an open recording."""

    STOP = "stop"
    PAUSE = "pause"


class PauseMethod(enum.StrEnum):
    """How a pause is made: no monitor at all, or one that is muted over AMI."""

    SEGMENT = "segment"
    MUTE = "mute"


class PauseBehavior(enum.StrEnum):
    """What a pause is in the joined file: digital silence, or nothing."""

    SILENCE = "silence"
    SKIP = "skip"


class Others(enum.StrEnum):
    """What is done about recorders that are not ours while a pause lasts."""

    MUTE = "mute"
    STOP = "stop"
    IGNORE = "ignore"


class UnknownNode(enum.StrEnum):
    """What a node that the flow does not know does."""

    PAUSE = "pause"
    KEEP = "keep"


class MaxPauseAction(enum.StrEnum):
    """What happens when a pause outlasts `max_pause_s`."""

    ALERT = "alert"
    STOP = "stop"
    RESUME = "resume"


class DualChannel(enum.StrEnum):
    """Whether a two-channel file (caller left) is made beside the mix."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Node:
    """A step of a bot's flow. No action means: leave things as they are."""

    name: str
    action: Action | None = None
    scope: Scope = Scope.STICKY
    new: bool = False
    """With `start`: finish the open recording and begin another."""
    sensitive: bool = False
    """The author's word that this node must never be recorded (for `turnrec check`)."""
    successors: tuple[str, ...] = ()
    transfer: bool = False
    """In this turn the bot has the call put through to an agent (for `turnrec check`)."""
    entry: bool = False
    """A call may begin here (for `turnrec check`)."""


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot's policies and its nodes."""

    name: str
    nodes: Mapping[str, Node] = field(default_factory=lambda: MappingProxyType({}))
    default: Default = Default.ON
    stop_is_final: bool = True
    agent: AgentPolicy = AgentPolicy.ON
    agent_off: AgentOff = AgentOff.STOP
    pause_method: PauseMethod = PauseMethod.SEGMENT
    pause_behavior: PauseBehavior = PauseBehavior.SILENCE
    others: Others = Others.MUTE
    unknown_node: UnknownNode = UnknownNode.PAUSE
    dual_channel: DualChannel = DualChannel.OFF
    guard_ms: int = 80
    """Passes inside Asterisk before each segment, for audio still in flight."""
    settle_ms: int = 150
    """Passes between one party's segment and the next party's."""
    max_pause_s: int = 0
    """0: a pause may last for ever."""
    max_pause_action: MaxPauseAction = MaxPauseAction.ALERT
    keep_days: int = 0
    """How long its recordings are kept, from when they were opened. 0: for ever."""


@dataclass(frozen=True, slots=True)
class Flow:
    """All bots of one flow file, and the hash of the text they were read from."""

    bots: Mapping[str, Bot]
    sha256: str = ""
    parties: tuple[PartyRule, ...] = ()
    """The operator's rules that say who is an agent, a bot or an announcement."""
