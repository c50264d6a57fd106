"""What a turn asks of the recorder: sticky and scoped actions, retries, unknown and stale nodes."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnrec.core.errors import TurnSupersededError
from turnrec.core.policy import Action, Bot, Node, Scope, UnknownNode
from turnrec.core.recorder import Command, Recorder, Source, State, decide
from turnrec.core.turns import INVALID_NODE, Turn, TurnPlan, plan_turn

NODES = [
    Node("greeting"),
    Node("ask_aadhaar", Action.PAUSE),
    Node("ask_otp", Action.PAUSE, scope=Scope.TURN),
    Node("confirm", Action.RESUME),
    Node("small_talk"),
    Node("goodbye", Action.STOP),
    Node("second_topic", Action.START, new=True),
]
BOT = Bot("kyc", nodes={node.name: node for node in NODES})
KEEPING = Bot("kyc", nodes=BOT.nodes, unknown_node=UnknownNode.KEEP)

PAUSE = Command(Action.PAUSE, Source.TURN)
RESUME = Command(Action.RESUME, Source.TURN)
RECORDING = Recorder(State.RECORDING)


def paused(*holds: Source) -> Recorder:
    return Recorder(State.PAUSED, frozenset(holds))


def at(name: str, number: int = 1, sequence: int | None = None) -> Turn:
    return Turn(number, BOT.nodes[name], sequence=sequence)


def plan(current: Turn | None, name: str, recorder: Recorder = RECORDING) -> TurnPlan:
    return plan_turn(BOT, current, recorder, name)


# -- actions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", [node for node in NODES if node.action is not None])
def test_a_nodes_action_is_commanded_for_the_turn(node: Node) -> None:
    assert node.action is not None
    command = plan(at("greeting"), node.name).command
    assert command == Command(node.action, Source.TURN, new=node.new)


def test_a_node_without_an_action_leaves_a_sticky_pause_as_it_is() -> None:
    assert plan(at("ask_aadhaar"), "small_talk", paused(Source.TURN)).command is None


def test_a_node_without_an_action_leaves_a_recording_as_it_is() -> None:
    assert plan(at("greeting"), "small_talk").command is None


def test_the_first_turn_of_a_call_needs_no_turn_before_it() -> None:
    assert plan(None, "greeting") == TurnPlan(Turn(1, BOT.nodes["greeting"]), None)


def test_a_pause_for_one_turn_ends_by_itself_when_the_next_begins() -> None:
    assert plan(at("ask_otp"), "small_talk", paused(Source.TURN)).command == RESUME


def test_a_pause_for_one_turn_gives_way_to_the_next_nodes_own_action() -> None:
    assert plan(at("ask_otp"), "ask_aadhaar", paused(Source.TURN)).command == PAUSE


def test_a_pause_for_one_turn_is_asked_again_by_its_own_retry() -> None:
    assert plan(at("ask_otp"), "ask_otp", paused(Source.TURN)).command == PAUSE


def test_the_end_of_a_pause_for_one_turn_is_not_asked_twice() -> None:
    first = plan(at("ask_otp"), "small_talk", paused(Source.TURN))
    assert plan(first.turn, "small_talk").command is None


def test_turns_count_from_one_and_a_retry_is_the_same_turn() -> None:
    first = plan(None, "greeting")
    asked = plan(first.turn, "ask_aadhaar")
    again = plan(asked.turn, "ask_aadhaar")
    assert [one.turn.number for one in (first, asked, again)] == [1, 2, 2]
    assert [one.repeated for one in (first, asked, again)] == [False, False, True]


def test_a_retry_asks_for_its_action_again_because_the_first_may_have_failed() -> None:
    assert plan(at("ask_aadhaar"), "ask_aadhaar", paused(Source.FAULT)).command == PAUSE


# -- nodes that the flow doesn't know ------------------------------------------------------------


def test_an_unknown_node_is_held() -> None:
    planned = plan(at("greeting"), "ask_adhaar")
    assert planned.command == PAUSE
    assert not planned.turn.known
    assert planned.turn.node.name == "ask_adhaar"


def test_an_unknown_node_is_left_alone_where_the_bot_says_so() -> None:
    planned = plan_turn(KEEPING, at("ask_aadhaar"), paused(Source.TURN), "ask_adhaar")
    assert planned.command is None
    assert not planned.turn.known


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "../x", "a\nb", 'a"b', "näme", "$(id)"])
def test_an_invalid_name_is_held_and_never_repeated(name: str) -> None:
    planned = plan(at("greeting"), name)
    assert planned.command == PAUSE
    assert planned.turn.node.name == INVALID_NODE


@pytest.mark.parametrize(
    ("name", "repeated"),
    [
        ("4929501283746655", "(XXXXXXXXXXXXXXXX)"),
        ("4929-5012.8374_6655", "(XXXX-XXXX.XXXX_XXXX)"),
        ("ask_pin_0417", "(ask_pin_XXXX)"),
        ("a1b2c3d4", "(aXbXcXdX)"),
        ("123", "(XXX)"),
        ("0", "(X)"),
        ("9" * 64, f"({'X' * 64})"),
        ("ask_pin2", "ask_pin2"),
        ("ask_adhaar", "ask_adhaar"),
        ("...", "..."),
    ],
)
def test_an_unknown_node_is_repeated_without_the_digits_that_may_be_a_callers(
    name: str, repeated: str
) -> None:
    planned = plan(at("greeting"), name)
    assert planned.command == PAUSE
    assert planned.turn.node.name == repeated
    assert not planned.turn.known


@given(st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True))
def test_no_more_than_three_digits_of_an_unknown_name_are_ever_repeated(name: str) -> None:
    repeated = plan(at("greeting"), name).turn.node.name
    assert sum(sign.isdigit() for sign in repeated) <= 3
    assert repeated == name or repeated not in BOT.nodes


def test_a_node_of_the_flow_keeps_its_digits() -> None:
    bot = Bot("kyc", nodes={"step_2024": Node("step_2024")})
    turn = plan_turn(bot, None, RECORDING, "step_2024").turn
    assert (turn.node.name, turn.known) == ("step_2024", True)


def test_two_unknown_names_that_are_repeated_alike_are_still_two_turns() -> None:
    first = plan(at("greeting"), "492950").turn
    second = plan(first, "831174")
    assert second.turn.node.name == first.node.name
    assert not second.repeated
    assert second.turn.number == first.number + 1


def test_a_stale_unknown_node_is_refused_without_its_digits() -> None:
    with pytest.raises(TurnSupersededError, match=r"'\(XXXXXX\)' \(number 6\) is stale"):
        number(at("ask_aadhaar", sequence=7), "492950", 6)


def test_an_unknown_node_asked_twice_is_two_turns() -> None:
    first = plan(at("greeting"), "typo")
    assert not plan(first.turn, "typo").repeated


@given(st.text(max_size=80))
def test_a_name_that_is_not_in_the_flow_never_resumes(name: str) -> None:
    if name not in BOT.nodes:
        assert plan(at("ask_aadhaar"), name, paused(Source.TURN)).command == PAUSE


# -- stale turns ---------------------------------------------------------------------------------


def number(current: Turn | None, name: str, sequence: int | None) -> TurnPlan:
    return plan_turn(BOT, current, RECORDING, name, sequence)


def test_a_turn_older_than_the_current_one_is_refused() -> None:
    with pytest.raises(TurnSupersededError, match=r"'confirm' \(number 6\) is stale"):
        number(at("ask_aadhaar", sequence=7), "confirm", 6)


def test_an_older_retry_of_the_same_node_is_refused_too() -> None:
    with pytest.raises(TurnSupersededError):
        number(at("ask_aadhaar", sequence=7), "ask_aadhaar", 6)


def test_two_nodes_with_one_number_cannot_both_be_current() -> None:
    with pytest.raises(TurnSupersededError):
        number(at("ask_aadhaar", sequence=7), "confirm", 7)


def test_one_node_may_repeat_its_number() -> None:
    assert number(at("ask_aadhaar", sequence=7), "ask_aadhaar", 7).repeated


@pytest.mark.parametrize(("before", "now"), [(None, 1), (1, None), (None, None), (1, 2)])
def test_a_turn_is_stale_only_by_its_number(before: int | None, now: int | None) -> None:
    assert number(at("greeting", sequence=before), "confirm", now).command == RESUME


# -- faults --------------------------------------------------------------------------------------


def test_a_fault_that_nothing_else_keeps_is_lifted_by_a_turn_without_an_action() -> None:
    assert plan(at("greeting"), "small_talk", paused(Source.FAULT)).command == RESUME


@pytest.mark.parametrize(
    "extra",
    list(
        chain.from_iterable(
            combinations([Source.TURN, Source.AGENT, Source.OPERATOR], n) for n in (1, 2, 3)
        )
    ),
)
def test_a_fault_stays_while_anything_else_holds(extra: tuple[Source, ...]) -> None:
    held = paused(Source.FAULT, *extra)
    assert plan(at("greeting"), "small_talk", held).command is None


# -- a pause for one turn within another ---------------------------------------------------------


def walk(*names: str, recorder: Recorder = RECORDING) -> list[Action | None]:
    """What each turn of a sequence commands, its commands carried out."""
    current, commanded = None, []
    for name in names:
        planned = plan(current, name, recorder)
        current, command = planned.turn, planned.command
        commanded.append(None if command is None else command.action)
        if command is not None:
            recorder = decide(recorder, command, stop_is_final=True).after
    return commanded


P, R = Action.PAUSE, Action.RESUME


@pytest.mark.parametrize(
    ("names", "commanded"),
    [
        (["ask_aadhaar", "ask_otp", "small_talk"], [P, P, None]),
        (["ask_aadhaar", "ask_otp", "ask_otp", "small_talk"], [P, P, P, None]),
        (["ask_aadhaar", "small_talk", "ask_otp", "small_talk"], [P, None, P, None]),
        (["typo", "ask_otp", "small_talk"], [P, P, None]),
        (["ask_aadhaar", "ask_otp", "confirm", "ask_otp", "small_talk"], [P, P, R, P, R]),
        (["ask_otp", "ask_aadhaar", "ask_otp", "small_talk"], [P, P, P, None]),
        (["ask_otp", "typo", "small_talk"], [P, P, None]),
    ],
)
def test_a_pause_for_one_turn_gives_back_what_was_before_it(
    names: list[str], commanded: list[Action | None]
) -> None:
    assert walk(*names) == commanded


def test_a_pause_for_one_turn_gives_back_a_pause_that_no_turn_asked_for() -> None:
    assert walk("greeting", "ask_otp", "small_talk", recorder=paused(Source.TURN)) == [
        None,
        P,
        None,
    ]
