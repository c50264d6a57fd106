"""What a check of a flow can find, each with a name that never changes; it looks at nothing."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from turnrec.check.steps import Step
from turnrec.core.recorder import State
from turnrec.flow_places import Place


class Severity(enum.StrEnum):
    """How bad it is."""

    ERROR = "error"
    """The flow does what its own author's words forbid, or asks for what is always refused."""
    WARNING = "warning"
    """It may be meant so; a word in the file says that it is."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding."""

    severity: Severity
    short: str
    cure: str


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

RULES: Final = MappingProxyType(
    {
        "flow-invalid": Rule(
            _ERROR,
            "the file can't be read, or something in it is no flow",
            "The message says what stands there and what may.",
        ),
        "sensitive-recorded": Rule(
            _ERROR,
            "a node marked sensitive is recorded on some path",
            "Give it `action: pause`, or resume only after it.",
        ),
        "pause-never-resumed": Rule(
            _ERROR,
            "a pause lasts to the end of every path, over nodes that say nothing",
            "Let the next node that may be recorded say `resume`, or give the pause `scope: turn`.",
        ),
        "pause-not-resumed-here": Rule(
            _WARNING,
            "a pause lasts to the end of this branch, and not to the end of others",
            "Let this node say `resume`; or `pause`, where it is meant to stay unrecorded.",
        ),
        "after-final-stop": Rule(
            _ERROR,
            "a start, pause or resume after a final stop is refused",
            "Stop later, say `stop_is_final: false`, or lead those paths elsewhere.",
        ),
        "start-while-paused": Rule(
            _ERROR,
            "a start while paused is refused, or begins a recording that is paused",
            "Let a node come before it that says `resume`, or after a pause for one turn nothing.",
        ),
        "transfer-while-paused": Rule(
            _ERROR,
            "a paused call is handed to an agent whose talk is recorded",
            "Resume before it, or keep the talk out with `agent: off`.",
        ),
        "retry-starts-new": Rule(
            _WARNING,
            "a retry begins another recording each time",
            "Start the new recording in a node of its own, before the question that is retried.",
        ),
        "retry-changes-recording": Rule(
            _WARNING,
            "a node that says nothing is recorded at first and paused when it is entered again, or"
            " the other way round",
            "Say in this node what is to be recorded, or before it comes again.",
        ),
        "unreachable": Rule(
            _WARNING,
            "no path reaches this node",
            "Name it in some node's `next`, mark it `entry: true`, or take it out.",
        ),
        "max-pause-records-sensitive": Rule(
            _ERROR,
            "a pause that lasts too long is resumed, also in a sensitive node",
            "Answer a long pause with `alert` or `stop`.",
        ),
        "max-pause-action-unused": Rule(
            _WARNING,
            "what is to happen after a long pause is said, and no pause is ever too long",
            "Set `max_pause_s`, too.",
        ),
        "typo-records-sensitive": Rule(
            _WARNING,
            "a misspelt name of a sensitive node would be recorded",
            "Say `unknown_node: pause`, which is the default.",
        ),
        "others-record-sensitive": Rule(
            _WARNING,
            "recorders that aren't turnrec's go on in sensitive nodes",
            "Say `others: mute` or `stop`.",
        ),
        "guard-too-short": Rule(
            _WARNING,
            "below 40 ms of guard, sound of a sensitive turn was measured in the recording",
            "Say `guard_ms: 80`, which is the default, or leave it out.",
        ),
    }
)
"""Every finding's name: how bad it is, what it says, what to do."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One step of a path, and where the recorder stands in it."""

    node: str
    step: Step
    state: State
    place: Place


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or looks so."""

    id: str
    file: str
    place: Place | None
    """None: it is about the file as a whole."""
    sentence: str
    bot: str | None = None
    node: str | None = None
    path: tuple[Visit, ...] = ()
    """A shortest path that shows it."""

    def __post_init__(self) -> None:
        if self.id not in RULES:
            raise ValueError(f"no finding is called {self.id}")

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return RULES[self.id].severity


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Something that can't be checked, and why."""

    file: str
    place: Place
    sentence: str
    bot: str
