"""How a path is written, and what is said of one that can't be played."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.simulate.calls import FLOW
from turnrec.simulate.path import MAX_STEPS, PathError, Step, StepKind, parse_duration, parse_path

KYC = FLOW.bots["kyc"]
EACH_MS = 3_000


def parse(text: str) -> tuple[Step, ...]:
    return parse_path(text, KYC, each_ms=EACH_MS)


def test_a_node_is_a_turn_and_a_hang_up_ends_every_path() -> None:
    assert parse("hello,ask") == (
        Step(StepKind.TURN, "hello", EACH_MS, "hello"),
        Step(StepKind.TURN, "ask", EACH_MS, "ask"),
        Step(StepKind.HANGUP, "@hangup", 0),
    )
    assert parse("hello,@hangup=1s")[-1] == Step(StepKind.HANGUP, "@hangup", 1_000)


@pytest.mark.parametrize(
    ("element", "step"),
    [
        ("@turn:no_such_node", Step(StepKind.TURN, "@turn:no_such_node", EACH_MS, "no_such_node")),
        ("@start", Step(StepKind.ACTION, "@start", EACH_MS, "start")),
        ("@start:new", Step(StepKind.ACTION, "@start:new", EACH_MS, "start", new=True)),
        ("@pause", Step(StepKind.ACTION, "@pause", EACH_MS, "pause")),
        ("@resume", Step(StepKind.ACTION, "@resume", EACH_MS, "resume")),
        ("@stop", Step(StepKind.ACTION, "@stop", EACH_MS, "stop")),
        ("@agent", Step(StepKind.AGENT, "@agent", EACH_MS)),
        ("@agent:off=20s", Step(StepKind.AGENT, "@agent:off", 20_000, "off")),
        ("@noanswer:never", Step(StepKind.NO_ANSWER, "@noanswer:never", EACH_MS, "never")),
        ("@bot", Step(StepKind.BOT, "@bot", EACH_MS)),
        ("@operator:pause", Step(StepKind.OPERATOR, "@operator:pause", EACH_MS, "pause")),
    ],
)
def test_each_step_that_is_no_node_begins_with_an_at_sign(element: str, step: Step) -> None:
    assert parse(element)[0] == step


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("4.5s", 4_500), ("300ms", 300), ("1m", 60_000), ("7", 7_000), ("0", 0), ("60m", 3_600_000)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, duration_ms: int) -> None:
    assert parse_duration(text) == duration_ms
    assert parse(f"hello={text} , ask")[0].lasts_ms == duration_ms


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("", "the path is empty"),
        ("  ", "the path is empty"),
        ("hello,,ask", "path element 2, ''"),
        ("helo", "path element 1, 'helo': bot 'kyc' has no node of this name (did you mean 'hel"),
        ("hello,zzz", "'zzz': bot 'kyc' has no node of this name; @turn:zzz asks for it all the s"),
        ("agent", "(it is a step, with @: @agent)"),
        ("@agnt", "there is no step @agnt (did you mean '@agent'?)"),
        ("@agent:maybe", "write @agent, @agent:on, @agent:off or @agent:never"),
        ("@pause:new", "write @pause"),
        ("@start:old", "write @start or @start:new"),
        ("@bot:kyc", "write @bot"),
        ("@operator", "write @operator:start, @operator:pause"),
        ("@operator:lift", "write @operator:start, @operator:pause"),
        ("@turn", "write @turn:NAME"),
        ("@turn:a b", "write @turn:NAME"),
        ("@", "there is no step @"),
        ("hello,@hangup,ask", "path element 2, '@hangup': nothing can follow it"),
        ("hello=4x", "'4x' is no duration"),
        ("hello=", "'' is no duration"),
        ("hello=-1s", "'-1s' is no duration"),
        ("hello=61m", "'61m' is more than an hour"),
        ("hello=60m," * 4 + "ask=1s", "lasts more than 4 hours"),
        ("a b", "a node's name has 1 to 64 of"),
        ("x" * 500, "path element 1, '" + "x" * 80 + "'"),
        (",".join(["hello"] * (MAX_STEPS + 1)), f"more than {MAX_STEPS} elements"),
    ],
)
def test_what_can_t_be_played_is_named(path: str, complaint: str) -> None:
    with pytest.raises(PathError) as refused:
        parse(path)
    assert complaint in str(refused.value)


@given(st.text(st.sampled_from("@:=,.sm019 helo-ask\n\x00é"), max_size=40))
def test_any_text_is_a_path_or_a_path_error(text: str) -> None:
    try:
        steps = parse(text)
    except PathError:
        return
    assert steps[-1].kind is StepKind.HANGUP
    assert all(0 <= step.lasts_ms <= 3_600_000 for step in steps)
