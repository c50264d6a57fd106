"""What a check comes to, and what a check is; it looks at nothing.

A problem: something turnrec promises doesn't hold, or a secret or a recording is open to others.
A warning: it works, but is weaker than it should be, or somebody will be surprised.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnrec.core.errors import TurnrecError

if TYPE_CHECKING:
    from turnrec.doctor.look import Look


class Status(enum.StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_CHECKED = "not checked"


class Area(enum.StrEnum):
    """What belongs together, in the order in which it is shown."""

    SETTINGS = "Settings"
    SERVER = "Server"
    ASTERISK = "Asterisk"
    DIALPLAN = "Dialplan"
    FILES = "Files"
    CLOCK = "Clock and ledger"
    NETWORK = "Network"


class NotCheckedError(TurnrecError):
    """Something can't be looked at; the sentence says why, and how it could be."""

    id = "not-checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: a sentence, and lines to paste where something is to be done."""

    status: Status
    sentence: str
    cure: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table."""

    id: str
    """Stable: scripts and the docs name it."""
    area: Area
    asks: str
    """What it makes sure of, for the docs."""
    cure: str
    """What is to be done where it isn't so, in general, for the docs."""
    run: Callable[[Look], Awaitable[Finding]]
    """Raises NotCheckedError, or any error of turnrec's or the system's: then it isn't checked."""


def ok(sentence: str) -> Finding:
    """It is as it should be."""
    return Finding(Status.OK, sentence)


def warning(sentence: str, *cure: str) -> Finding:
    """It works, but."""
    return Finding(Status.WARNING, sentence, cure)


def problem(sentence: str, *cure: str) -> Finding:
    """It doesn't hold."""
    return Finding(Status.PROBLEM, sentence, cure)


def listed(names: list[str], most: int = 5) -> str:
    """Names in a sentence, the first of them where there are many."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
