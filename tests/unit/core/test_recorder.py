"""The recorder's rules: design.md's tables once more, cell by cell, against the code's.

`DESIGN` is read from the text of the plan, not from the code. Every point of the product of
state, action, source, `new`, `stop_is_final` and holds is in exactly one of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from turnrec.core.errors import HeldByAnotherError, RecorderRefusedError
from turnrec.core.policy import Action
from turnrec.core.recorder import (
    ACTIONS,
    COMMANDING,
    EVENTS,
    Command,
    Decision,
    Effect,
    Event,
    Recorder,
    Source,
    State,
    decide,
    suffer,
)

TURN, AGENT, OPERATOR, FAULT = Source.TURN, Source.AGENT, Source.OPERATOR, Source.FAULT
INACTIVE, RECORDING, PAUSED = State.INACTIVE, State.RECORDING, State.PAUSED

# state | action | who asks | in which case | what comes of it | effects | the asker's own hold
# "others": somebody still holds when the asker has let go; "*": the asker is told so all the same.
DESIGN = """
inactive  | start  | anyone     | not held        | recording           | open begin            |
inactive  | start  | anyone     | held            | paused              | open                  |
inactive  | pause  | turn agent |                 | inactive            |                       | +
inactive  | pause  | operator   |                 | ! not-recording     |                       |
inactive  | resume | turn agent |                 | inactive            |                       | -
inactive  | resume | operator   |                 | ! not-recording     |                       |
inactive  | stop   | anyone     |                 | inactive            |                       |
recording | start  | anyone     | plain           | recording           |                       |
recording | start  | anyone     | new             | recording           | end finish open begin |
recording | pause  | anyone     |                 | paused              | end                   | +
recording | resume | anyone     |                 | recording           | look                  |
recording | stop   | anyone     | final           | stopped             | end finish            |
recording | stop   | anyone     | not final       | inactive            | end finish            |
paused    | start  | anyone     | plain           | ! already-recording |                       |
paused    | start  | anyone     | new             | paused              | finish open           |
paused    | pause  | anyone     |                 | paused              |                       | +
paused    | resume | anyone     | last hold       | recording           | begin                 | -
paused    | resume | turn agent | others          | paused              |                       | -
paused    | resume | operator   | others, own     | paused *            |                       | -
paused    | resume | operator   | others, not own | ! held-by-another   |                       |
paused    | stop   | anyone     | final           | stopped             | finish                | -
paused    | stop   | anyone     | not final       | inactive            | finish                | -
stopped   | start  | anyone     |                 | ! recording-stopped |                       |
stopped   | pause  | anyone     |                 | ! recording-stopped |                       |
stopped   | resume | anyone     |                 | ! recording-stopped |                       |
stopped   | stop   | anyone     |                 | stopped             |                       |
ended     | start  | anyone     |                 | ! call-ended        |                       |
ended     | pause  | anyone     |                 | ! call-ended        |                       |
ended     | resume | anyone     |                 | ! call-ended        |                       |
ended     | stop   | anyone     |                 | ended               |                       |
"""

# event | from | to | fault hold | alarm
DESIGN_EVENTS = """
monitor_lost   | inactive  | inactive |       |
monitor_lost   | recording | paused   | fault | alarm
monitor_lost   | paused    | paused   |       |
monitor_lost   | stopped   | stopped  |       |
monitor_lost   | ended     | ended    |       |
segment_failed | inactive  | inactive | fault | alarm
segment_failed | recording | paused   | fault | alarm
segment_failed | paused    | paused   | fault | alarm
segment_failed | stopped   | stopped  | fault | alarm
segment_failed | ended     | ended    |       |
unanswered     | inactive  | inactive | fault | alarm
unanswered     | recording | paused   | fault | alarm
unanswered     | paused    | paused   | fault | alarm
unanswered     | stopped   | stopped  | fault | alarm
unanswered     | ended     | ended    |       |
hangup         | inactive  | ended    |       |
hangup         | recording | ended    |       |
hangup         | paused    | ended    |       |
hangup         | stopped   | ended    |       |
hangup         | ended     | ended    |       |
"""


@dataclass(frozen=True)
class Point:
    """One question that can be put to the recorder."""

    recorder: Recorder
    command: Command
    stop_is_final: bool

    def ask(self) -> Decision:
        return decide(self.recorder, self.command, stop_is_final=self.stop_is_final)

    def answer(self) -> Decision | RecorderRefusedError:
        try:
            return self.ask()
        except RecorderRefusedError as error:
            return error

    @property
    def released(self) -> frozenset[Source]:
        """What the asker lets go: its own hold; a turn that nothing else holds, the fault too."""
        nothing_else_holds = not self.recorder.holds & {AGENT, OPERATOR}
        if self.command.source is TURN and nothing_else_holds:
            return frozenset({TURN, FAULT})
        return frozenset({self.command.source})

    def is_in(self, case: str) -> bool:
        holds, command = self.recorder.holds, self.command
        others = bool(holds - self.released)
        is_final = self.stop_is_final and command.source is not AGENT
        return {
            "": True,
            "held": bool(holds),
            "not held": not holds,
            "plain": not command.new,
            "new": command.new,
            "final": is_final,
            "not final": not is_final,
            "last hold": not others,
            "others": others,
            "others, own": others and command.source in holds,
            "others, not own": others and command.source not in holds,
        }[case]


@dataclass(frozen=True)
class Row:
    """A row of DESIGN."""

    state: str
    action: str
    who: str
    case: str
    outcome: str
    effects: str
    hold: str

    def covers(self, point: Point) -> bool:
        command = point.command
        return (
            point.recorder.state == self.state
            and command.action == self.action
            and (self.who == "anyone" or command.source in self.who.split())
            and point.is_in(self.case)
        )

    def holds_after(self, point: Point) -> frozenset[Source]:
        before = point.recorder.holds
        own = frozenset({point.command.source})
        return {"": before, "+": before | own, "-": before - point.released}[self.hold]


def read(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def subsets(sources: type[Source]) -> Iterator[frozenset[Source]]:
    every = list(sources)
    picks = chain.from_iterable(combinations(every, n) for n in range(len(every) + 1))
    return map(frozenset, picks)


def is_sound(recorder: Recorder) -> bool:
    """Paused only while somebody holds it, recording only while nobody does."""
    if recorder.state is RECORDING:
        return not recorder.holds
    return recorder.state is not PAUSED or bool(recorder.holds)


ROWS = [Row(*cells) for cells in read(DESIGN)]
RECORDERS = [Recorder(state, holds) for state, holds in product(State, subsets(Source))]
POINTS = [
    Point(recorder, Command(action, source, new), stop_is_final)
    for recorder, action, source, new, stop_is_final in product(
        RECORDERS, Action, COMMANDING, (False, True), (False, True)
    )
]
SOUND = [point for point in POINTS if is_sound(point.recorder)]


# -- commands ------------------------------------------------------------------------------------


def test_every_pair_of_state_and_action_is_in_the_table() -> None:
    assert set(ACTIONS) == set(product(State, Action))


def test_every_question_has_an_answer_even_one_that_should_not_arise() -> None:
    for point in POINTS:
        point.answer()


def test_the_plan_answers_every_question_once() -> None:
    for point in SOUND:
        assert len([row for row in ROWS if row.covers(point)]) == 1, point


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.state}-{row.action}-{row.case}")
def test_the_table_is_the_plan(row: Row) -> None:
    points = [point for point in SOUND if row.covers(point)]
    assert points
    for point in points:
        answer = point.answer()
        if row.outcome.startswith("!"):
            assert isinstance(answer, RecorderRefusedError), point
            assert answer.id == row.outcome.removeprefix("!").strip(), point
            continue
        assert isinstance(answer, Decision), point
        state, told, _ = row.outcome.partition(" *")
        assert answer.after == Recorder(State(state), row.holds_after(point)), point
        assert isinstance(answer.notice, HeldByAnotherError) is bool(told), point
        establishes = ["establish"] if FAULT in point.recorder.holds else []
        assert list(answer.effects) == establishes + row.effects.split(), point


def test_no_decision_breaks_the_invariant() -> None:
    for point in SOUND:
        answer = point.answer()
        if isinstance(answer, Decision):
            assert is_sound(answer.after), point


def test_a_source_changes_only_its_own_hold_save_that_a_turn_lifts_a_fault() -> None:
    for point in SOUND:
        answer = point.answer()
        if isinstance(answer, Decision):
            changed = answer.after.holds ^ point.recorder.holds
            assert changed <= point.released, point
            assert FAULT not in answer.after.holds - point.recorder.holds, point


def test_nobodys_command_begins_a_segment_while_another_holds() -> None:
    for point in SOUND:
        answer = point.answer()
        if isinstance(answer, Decision) and Effect.BEGIN in answer.effects:
            assert not point.recorder.holds - point.released, point
            assert answer.after.state is RECORDING, point


def test_recording_is_never_reached_without_a_segment_that_was_looked_at() -> None:
    for point in SOUND:
        answer = point.answer()
        if isinstance(answer, Decision) and answer.after.state is RECORDING:
            came_from_elsewhere = point.recorder.state is not RECORDING
            assert not came_from_elsewhere or Effect.BEGIN in answer.effects, point


def test_recording_is_never_left_without_ending_its_segment() -> None:
    for point in SOUND:
        answer = point.answer()
        if isinstance(answer, Decision) and point.recorder.state is RECORDING:
            stays = answer.after.state is RECORDING and Effect.BEGIN not in answer.effects
            assert (Effect.END in answer.effects) is not stays, point


def test_after_a_fault_nothing_happens_before_it_is_known_what_runs() -> None:
    for point in SOUND:
        answer = point.answer()
        if isinstance(answer, Decision) and FAULT in point.recorder.holds:
            assert answer.effects[0] is Effect.ESTABLISH, point


def test_only_a_final_stop_of_bot_or_operator_reaches_stopped() -> None:
    for point in SOUND:
        answer = point.answer()
        if isinstance(answer, Decision) and answer.after.state is State.STOPPED:
            stays = point.recorder.state is State.STOPPED
            assert stays or (
                point.command.action is Action.STOP
                and point.stop_is_final
                and point.command.source is not AGENT
            ), point


@pytest.mark.parametrize("state", [State.STOPPED, State.ENDED])
def test_from_a_last_state_no_command_leads_away(state: State) -> None:
    for point in SOUND:
        answer = point.answer()
        if isinstance(answer, Decision) and point.recorder.state is state:
            assert answer.after == point.recorder
            assert set(answer.effects) <= {Effect.ESTABLISH}


def test_a_refusal_changes_nothing() -> None:
    for point in SOUND:
        before = Recorder(point.recorder.state, point.recorder.holds)
        point.answer()
        assert point.recorder == before


def test_an_operator_is_told_who_holds() -> None:
    held = Recorder(PAUSED, frozenset({TURN, FAULT}))
    with pytest.raises(HeldByAnotherError, match="held by: fault, turn"):
        decide(held, Command(Action.RESUME, OPERATOR), stop_is_final=True)


def test_a_fault_never_commands() -> None:
    with pytest.raises(ValueError, match="never commands"):
        decide(Recorder(), Command(Action.RESUME, FAULT), stop_is_final=True)


# -- events --------------------------------------------------------------------------------------


def test_every_pair_of_state_and_event_is_in_the_table() -> None:
    assert set(EVENTS) == set(product(State, Event))
    assert len(read(DESIGN_EVENTS)) == len(EVENTS)


@pytest.mark.parametrize("cells", read(DESIGN_EVENTS), ids=lambda cells: f"{cells[0]}-{cells[1]}")
def test_the_table_of_events_is_the_plan(cells: list[str]) -> None:
    event, state, to, fault, alarm = cells
    for holds in subsets(Source):
        suffered = suffer(Recorder(State(state), holds), Event(event))
        assert suffered.after.state == to
        assert suffered.after.holds == (holds | {FAULT} if fault else holds)
        assert suffered.alarm == bool(alarm)


def test_no_event_breaks_the_invariant_or_begins_to_record() -> None:
    for recorder, event in product(filter(is_sound, RECORDERS), Event):
        after = suffer(recorder, event).after
        assert is_sound(after)
        assert after.state is not RECORDING


def test_a_command_that_failed_is_never_followed_by_recording() -> None:
    for point in SOUND:
        answer = point.answer()
        if isinstance(answer, Decision) and answer.effects:
            for event in (Event.MONITOR_LOST, Event.SEGMENT_FAILED, Event.UNANSWERED):
                failed = suffer(answer.after, event).after
                assert is_sound(failed), point
                assert failed.state is not RECORDING, point


# -- sequences -----------------------------------------------------------------------------------

FAILURES = (Event.MONITOR_LOST, Event.SEGMENT_FAILED, Event.UNANSWERED)
commands = st.builds(
    Command, st.sampled_from(Action), st.sampled_from(COMMANDING), new=st.booleans()
)


class Life(RuleBasedStateMachine):
    """A recorder under commands that succeed, commands that fail, and things that happen.

    Beside it, kept by simpler rules: who asked for silence and has not let go, and whether a
    fault waits for a turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recorder = Recorder()
        self.asked_for_silence: set[Source] = set()
        self.fault_waits_for_a_turn = False
        self.stop_is_final = True
        self.is_over = False

    @rule(stop_is_final=st.booleans())
    @precondition(lambda self: self.recorder == Recorder())
    def choose(self, stop_is_final: bool) -> None:
        self.stop_is_final = stop_is_final

    @rule(command=commands)
    def succeed(self, command: Command) -> None:
        decision = self._decide(command)
        if decision is not None:
            self._note(command, decision)
            self.recorder = decision.after

    @rule(command=commands, event=st.sampled_from(FAILURES))
    def fail(self, command: Command, event: Event) -> None:
        decision = self._decide(command)
        if decision is not None and decision.effects:
            self._note(command, decision)
            self.recorder = suffer(decision.after, event).after
            if FAULT in self.recorder.holds:
                self.fault_waits_for_a_turn = True

    @rule(event=st.sampled_from(Event))
    def happen(self, event: Event) -> None:
        self.recorder = suffer(self.recorder, event).after
        if FAULT in self.recorder.holds:
            self.fault_waits_for_a_turn = True

    def _decide(self, command: Command) -> Decision | None:
        before = self.recorder
        try:
            return decide(before, command, stop_is_final=self.stop_is_final)
        except RecorderRefusedError:
            assert self.recorder == before
            return None

    def _note(self, command: Command, decision: Decision) -> None:
        if command.action is Action.PAUSE:
            self.asked_for_silence.add(command.source)
        elif command.action in {Action.RESUME, Action.STOP}:
            self.asked_for_silence.discard(command.source)
            if command.source is TURN and FAULT not in decision.after.holds:
                self.fault_waits_for_a_turn = False

    @invariant()
    def records_only_while_nobody_holds(self) -> None:
        assert is_sound(self.recorder)

    @invariant()
    def never_records_while_somebody_who_asked_for_silence_has_not_let_go(self) -> None:
        assert self.recorder.state is not RECORDING or not self.asked_for_silence

    @invariant()
    def never_records_after_a_fault_until_a_turn_lets_go(self) -> None:
        assert self.recorder.state is not RECORDING or not self.fault_waits_for_a_turn

    @invariant()
    def a_last_state_is_the_last(self) -> None:
        last = self.recorder.state in {State.STOPPED, State.ENDED}
        assert last or not self.is_over
        self.is_over = last


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
