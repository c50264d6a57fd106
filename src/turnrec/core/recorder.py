"""The state machine of one recorded channel, as tables; it decides, and never acts.

`decide` looks a command up in `ACTIONS`, `suffer` looks an event up in `EVENTS`. What is not in a
table is illegal. A decision carries the recorder as it will be *once Asterisk has confirmed its
effects and turnrec has looked*; the caller keeps the old one until then. When confirmation
fails, the caller passes the decision's recorder to `suffer`: a command that could not be carried
out keeps the holds that it asked for, so a failed pause is never forgotten by the next turn.

Invariant: a recorder is `PAUSED` only while somebody holds it, and `RECORDING` only while nobody
does.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from turnrec.core.errors import (
    AlreadyRecordingError,
    CallEndedError,
    HeldByAnotherError,
    NotRecordingError,
    RecorderRefusedError,
    RecordingStoppedError,
)
from turnrec.core.policy import Action


class State(enum.StrEnum):
    """Where a recorder is."""

    INACTIVE = "inactive"
    RECORDING = "recording"
    PAUSED = "paused"
    STOPPED = "stopped"
    ENDED = "ended"


_OPEN: Final = frozenset({State.RECORDING, State.PAUSED})


class Source(enum.StrEnum):
    """Who commands or holds a recorder. Each sets and releases its own hold only."""

    TURN = "turn"
    AGENT = "agent"
    OPERATOR = "operator"
    FAULT = "fault"


COMMANDING: Final = (Source.TURN, Source.AGENT, Source.OPERATOR)
"""The sources that can command. A fault only holds."""


class Effect(enum.StrEnum):
    """What has to be done, and confirmed, before a decision is true. Carried out in order."""

    ESTABLISH = "establish"
    """Look up every monitor that we may own on the channel, and end those that run."""
    OPEN = "open"
    """Open a new recording."""
    BEGIN = "begin"
    """Let the guard pass, start a segment, look that it writes."""
    LOOK = "look"
    """Look that the running segment's monitor is there."""
    END = "end"
    """End the running segment, look that its monitor is gone."""
    CLOSE = "close"
    """End the monitor itself, where there is one, look that it is gone."""
    FINISH = "finish"
    """Close the recording: its segments are complete."""


class Event(enum.StrEnum):
    """What happens to a recorder without anybody asking for it."""

    MONITOR_LOST = "monitor_lost"
    SEGMENT_FAILED = "segment_failed"
    UNANSWERED = "unanswered"
    HANGUP = "hangup"


@dataclass(frozen=True, slots=True)
class Command:
    """A recording action and who asks for it."""

    action: Action
    source: Source
    new: bool = False


@dataclass(frozen=True, slots=True)
class Recorder:
    """One recorder's state and the sources that hold it."""

    state: State = State.INACTIVE
    holds: frozenset[Source] = frozenset()

    @property
    def is_open(self) -> bool:
        """Whether a recording is open."""
        return self.state in _OPEN

    @property
    def is_recording(self) -> bool:
        """Whether what is said now is recorded."""
        return self.state is State.RECORDING

    @property
    def is_suppressed(self) -> bool:
        """Whether somebody wants that nothing is recorded: a hold, or a final stop."""
        return bool(self.holds) or self.state is State.STOPPED

    @property
    def is_paused(self) -> bool:
        """Whether a recording is open and nothing may be recorded."""
        return self.state is State.PAUSED


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command comes to: effects to carry out, and the recorder once they are confirmed."""

    after: Recorder
    effects: tuple[Effect, ...] = ()
    notice: RecorderRefusedError | None = None
    """What the asker should be told although the command is carried out."""


@dataclass(frozen=True, slots=True)
class Suffered:
    """What an event makes of a recorder, and whether somebody must be woken."""

    after: Recorder
    alarm: bool


# ------------------------------------------------------------------ conditions


@dataclass(frozen=True, slots=True)
class _Question:
    recorder: Recorder
    command: Command
    stop_is_final: bool

    @property
    def others(self) -> frozenset[Source]:
        """Who would still hold the recorder after the asker let go."""
        return self.recorder.holds - _released_by(self.command.source, self.recorder.holds)


class When(enum.StrEnum):
    """A condition on a table row's case."""

    HELD = "held"
    OWN = "own hold set"
    OTHERS = "another holds"
    OPERATOR = "by an operator"
    NEW = "with new"
    FINAL = "final"


_CONDITIONS: Final[Mapping[When, Callable[[_Question], bool]]] = MappingProxyType(
    {
        When.HELD: lambda q: bool(q.recorder.holds),
        When.OWN: lambda q: q.command.source in q.recorder.holds,
        When.OTHERS: lambda q: bool(q.others),
        When.OPERATOR: lambda q: q.command.source is Source.OPERATOR,
        When.NEW: lambda q: q.command.new,
        # Agents come and go: only a bot's or an operator's stop can be the last word.
        When.FINAL: lambda q: q.stop_is_final and q.command.source is not Source.AGENT,
    }
)


def _released_by(source: Source, holds: frozenset[Source]) -> frozenset[Source]:
    """The holds that `source` releases by letting go.

    A fault is released with the bot's own hold, by a turn that nothing else holds
    (design.md, section 3); an operator or an agent policy cannot lift it.
    """
    own = frozenset({source})
    if source is Source.TURN and holds <= {Source.TURN, Source.FAULT}:
        return own | {Source.FAULT}
    return own


class Hold(enum.StrEnum):
    """What a case does to the asker's own hold."""

    KEEP = "keep"
    SET = "set"
    RELEASE = "release"


# ------------------------------------------------------------------ the tables


@dataclass(frozen=True, slots=True)
class Case:
    """One outcome of a row: it applies if all of `when` are true."""

    to: State | None = None
    """The state afterwards; None leaves it as it is."""
    when: tuple[When, ...] = ()
    do: tuple[Effect, ...] = ()
    hold: Hold = Hold.KEEP
    refuse: type[RecorderRefusedError] | None = None
    tell: type[RecorderRefusedError] | None = None


_NOTHING: Final = (Case(),)


def _refuse(error: type[RecorderRefusedError]) -> tuple[Case, ...]:
    return (Case(refuse=error),)


_STOP: Final = (Effect.END, Effect.FINISH)
_START: Final = (Effect.OPEN, Effect.BEGIN)

ACTIONS: Final[Mapping[tuple[State, Action], tuple[Case, ...]]] = MappingProxyType(
    {
        # The first case whose conditions are all true is the answer.
        (State.INACTIVE, Action.START): (
            Case(State.PAUSED, when=(When.HELD,), do=(Effect.OPEN,)),
            Case(State.RECORDING, do=_START),
        ),
        (State.INACTIVE, Action.PAUSE): (
            Case(when=(When.OPERATOR,), refuse=NotRecordingError),
            Case(hold=Hold.SET),
        ),
        (State.INACTIVE, Action.RESUME): (
            Case(when=(When.OPERATOR,), refuse=NotRecordingError),
            Case(hold=Hold.RELEASE),
        ),
        (State.INACTIVE, Action.STOP): _NOTHING,
        # ------------------------------------------------------------
        (State.RECORDING, Action.START): (
            Case(State.RECORDING, when=(When.NEW,), do=(*_STOP, *_START)),
            Case(),
        ),
        (State.RECORDING, Action.PAUSE): (Case(State.PAUSED, do=(Effect.END,), hold=Hold.SET),),
        (State.RECORDING, Action.RESUME): (Case(do=(Effect.LOOK,)),),
        (State.RECORDING, Action.STOP): (
            Case(State.STOPPED, when=(When.FINAL,), do=_STOP),
            Case(State.INACTIVE, do=_STOP),
        ),
        # ------------------------------------------------------------
        (State.PAUSED, Action.START): (
            Case(State.PAUSED, when=(When.NEW,), do=(Effect.FINISH, Effect.OPEN)),
            Case(refuse=AlreadyRecordingError),
        ),
        (State.PAUSED, Action.PAUSE): (Case(hold=Hold.SET),),
        (State.PAUSED, Action.RESUME): (
            Case(
                when=(When.OPERATOR, When.OWN, When.OTHERS),
                hold=Hold.RELEASE,
                tell=HeldByAnotherError,
            ),
            Case(when=(When.OPERATOR, When.OTHERS), refuse=HeldByAnotherError),
            Case(when=(When.OTHERS,), hold=Hold.RELEASE),
            Case(State.RECORDING, do=(Effect.BEGIN,), hold=Hold.RELEASE),
        ),
        # A stop leaves its asker nothing to hold; the other holds stay for the next recording.
        (State.PAUSED, Action.STOP): (
            Case(State.STOPPED, when=(When.FINAL,), do=(Effect.FINISH,), hold=Hold.RELEASE),
            Case(State.INACTIVE, do=(Effect.FINISH,), hold=Hold.RELEASE),
        ),
        # ------------------------------------------------------------
        (State.STOPPED, Action.START): _refuse(RecordingStoppedError),
        (State.STOPPED, Action.PAUSE): _refuse(RecordingStoppedError),
        (State.STOPPED, Action.RESUME): _refuse(RecordingStoppedError),
        (State.STOPPED, Action.STOP): _NOTHING,
        # ------------------------------------------------------------
        (State.ENDED, Action.START): _refuse(CallEndedError),
        (State.ENDED, Action.PAUSE): _refuse(CallEndedError),
        (State.ENDED, Action.RESUME): _refuse(CallEndedError),
        (State.ENDED, Action.STOP): _NOTHING,
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an event does to a recorder in one state."""

    to: State
    fault: bool = False
    """Whether the fault hold is set."""
    alarm: bool = False


EVENTS: Final[Mapping[tuple[State, Event], Outcome]] = MappingProxyType(
    {
        (State.INACTIVE, Event.MONITOR_LOST): Outcome(State.INACTIVE),
        (State.INACTIVE, Event.SEGMENT_FAILED): Outcome(State.INACTIVE, fault=True, alarm=True),
        (State.INACTIVE, Event.UNANSWERED): Outcome(State.INACTIVE, fault=True, alarm=True),
        (State.INACTIVE, Event.HANGUP): Outcome(State.ENDED),
        # ------------------------------------------------------------
        (State.RECORDING, Event.MONITOR_LOST): Outcome(State.PAUSED, fault=True, alarm=True),
        (State.RECORDING, Event.SEGMENT_FAILED): Outcome(State.PAUSED, fault=True, alarm=True),
        (State.RECORDING, Event.UNANSWERED): Outcome(State.PAUSED, fault=True, alarm=True),
        (State.RECORDING, Event.HANGUP): Outcome(State.ENDED),
        # ------------------------------------------------------------
        (State.PAUSED, Event.MONITOR_LOST): Outcome(State.PAUSED),
        (State.PAUSED, Event.SEGMENT_FAILED): Outcome(State.PAUSED, fault=True, alarm=True),
        (State.PAUSED, Event.UNANSWERED): Outcome(State.PAUSED, fault=True, alarm=True),
        (State.PAUSED, Event.HANGUP): Outcome(State.ENDED),
        # A stop that could not be confirmed stays stopped: nothing may start any more.
        (State.STOPPED, Event.MONITOR_LOST): Outcome(State.STOPPED),
        (State.STOPPED, Event.SEGMENT_FAILED): Outcome(State.STOPPED, fault=True, alarm=True),
        (State.STOPPED, Event.UNANSWERED): Outcome(State.STOPPED, fault=True, alarm=True),
        (State.STOPPED, Event.HANGUP): Outcome(State.ENDED),
        # ------------------------------------------------------------
        (State.ENDED, Event.MONITOR_LOST): Outcome(State.ENDED),
        (State.ENDED, Event.SEGMENT_FAILED): Outcome(State.ENDED),
        (State.ENDED, Event.UNANSWERED): Outcome(State.ENDED),
        (State.ENDED, Event.HANGUP): Outcome(State.ENDED),
    }
)


NEW_PARTY: Final[Mapping[State, tuple[Effect, ...]]] = MappingProxyType(
    {
        # A new party begins a new segment: one monitor that hears two agents one after the other
        # can lose the second (asterisk-facts.md, Debian's 22.10.1).
        State.INACTIVE: (),
        State.RECORDING: (Effect.CLOSE, Effect.BEGIN),
        State.PAUSED: (Effect.CLOSE,),
        State.STOPPED: (),
        State.ENDED: (),
    }
)


# ------------------------------------------------------------------ reading the tables


def decide(recorder: Recorder, command: Command, *, stop_is_final: bool) -> Decision:
    """Look up what `command` does to `recorder`.

    Raises:
        RecorderRefusedError: the table refuses it; its subclass and id say why.
        ValueError: the command's source is one that never commands.
    """
    if command.source not in COMMANDING:
        raise ValueError(f"{command.source} holds a recorder, it never commands one")
    question = _Question(recorder, command, stop_is_final)
    for case in ACTIONS[recorder.state, command.action]:
        if all(_CONDITIONS[when](question) for when in case.when):
            return _carry(case, question)
    raise AssertionError(f"no case for {command} in {recorder}")  # the property test's concern


def renew(recorder: Recorder) -> Decision:
    """Look up what a new party in the call asks of `recorder`; it changes no state and no hold."""
    return Decision(recorder, NEW_PARTY[recorder.state])


def _carry(case: Case, question: _Question) -> Decision:
    recorder, command = question.recorder, question.command
    if case.refuse is not None:
        raise _explained(case.refuse, question)
    holds = recorder.holds
    if case.hold is Hold.SET:
        holds = holds | {command.source}
    elif case.hold is Hold.RELEASE:
        holds = holds - _released_by(command.source, holds)
    effects = case.do
    if Source.FAULT in recorder.holds:
        # What runs on the channel isn't known: find out before anything else is built on it.
        effects = (Effect.ESTABLISH, *effects)
    return Decision(
        after=Recorder(case.to or recorder.state, holds),
        effects=effects,
        notice=None if case.tell is None else _explained(case.tell, question),
    )


def _explained(error: type[RecorderRefusedError], question: _Question) -> RecorderRefusedError:
    detail = ""
    if error is HeldByAnotherError:
        detail = "held by: " + ", ".join(sorted(question.others))
    return error(question.command.action, question.recorder.state, detail)


def suffer(recorder: Recorder, event: Event) -> Suffered:
    """Look up what `event` does to `recorder`. It never raises: events aren't requests."""
    outcome = EVENTS[recorder.state, event]
    holds = recorder.holds | {Source.FAULT} if outcome.fault else recorder.holds
    return Suffered(replace(recorder, state=outcome.to, holds=holds), outcome.alarm)
