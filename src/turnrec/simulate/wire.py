"""What crossed the wires between turnrec and Asterisk, in order; it carries nothing itself."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class Over(enum.StrEnum):
    """The way that a command took."""

    AGI = "agi"
    """The channel's own AGI session."""
    AMI = "ami"


@dataclass(slots=True)
class Command:
    """One command of turnrec's and its answer."""

    over: Over
    channel: str
    """The channel that it is about; empty: none (Ping)."""
    sent: str
    """As it was sent, without its line end; an action without its ActionID."""
    asked_us: int
    answer: str = ""
    """Asterisk's answer: an AGI reply, or an action's Response with what it says."""
    answered_us: int = 0


class Tap:
    """Keeps every command, and wakes nobody."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.commands: list[Command] = []

    def note(self, over: Over, channel: str, sent: str) -> Command:
        """Keep a command that has come."""
        command = Command(over, channel, sent, self._clock())
        self.commands.append(command)
        return command

    def answered(self, command: Command, answer: str) -> None:
        """Keep its answer."""
        command.answer, command.answered_us = answer, self._clock()
