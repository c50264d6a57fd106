"""The states in which a call comes to a transfer, and the rows of the matrix; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Entry(StrEnum):
    """What the recorder does when the transfer begins."""

    RECORDING = "recording"
    TURN = "paused by turn"
    OPERATOR = "paused by operator"
    STOPPED = "stopped"

    @property
    def node(self) -> str:
        """The flow's node at which the bot hands over."""
        return {Entry.TURN: "ask", Entry.STOPPED: "halt"}.get(self, "plain")


class Policy(StrEnum):
    """The bot's agent policy."""

    ON = "on"
    OFF = "off"
    NEVER = "never"


class Known(StrEnum):
    """How turnrec knows that somebody is an agent."""

    BEFORE = "announced before"
    """turnrec-agent-pre, on the caller's channel."""
    LEG = "announced on the agent's leg"
    """turnrec-agent, in Dial's U() or the queue's gosub."""
    CLASSED = "by a rule"
    """Nobody announces; a rule of the operator's classes the agent's channel."""
    NOT = "not announced"
    """Nobody announces and no rule fits."""

    @property
    def is_announced(self) -> bool:
        """Whether the dialplan says so before the two hear each other."""
        return self in {Known.BEFORE, Known.LEG}


@dataclass(frozen=True, slots=True)
class Row:
    """One call of the matrix."""

    way: str
    known: Known
    policy: Policy
    entry: Entry

    @property
    def id(self) -> str:
        """A name that is part of an extension, a queue's name and turnrec's external id."""
        return "-".join(
            (self.way, self.known.name.lower(), self.policy.value, self.entry.name.lower())
        )


def flow() -> str:
    """The bots, one a policy."""
    nodes = "{open: resume, ask: pause, halt: stop, plain: }"
    bots = "\n".join(f"  with_{one}: {{agent: {one}, nodes: {nodes}}}" for one in Policy)
    return f"version: 1\nbots:\n{bots}\n"
