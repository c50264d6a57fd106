"""A flow file is sound as a whole or refused with every mistake at its place."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
import string
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnrec import flow_fast
from turnrec.core.parties import PartyClass, PartyRule
from turnrec.core.policy import (
    Action,
    AgentOff,
    AgentPolicy,
    Bot,
    Default,
    DualChannel,
    Flow,
    MaxPauseAction,
    Node,
    Others,
    PauseBehavior,
    PauseMethod,
    Scope,
    UnknownNode,
)
from turnrec.flow import (
    FlowError,
    FlowFile,
    Mistake,
    parse_flow,
    parse_flow_and_places,
    read_composed,
)
from turnrec.flow_fast import NotTakenError
from turnrec.flow_places import Place, Places
from turnrec.flow_yaml import MAX_BYTES, MAX_VALUES

EXAMPLE = Path(__file__).parents[2] / "asterisk-conf" / "flow.example.yaml"

SOUND = """\
version: 1
defaults:
  guard_ms: 60
  agent: off
bots:
  kyc:
    default: off
    stop_is_final: no
    agent_off: pause
    pause_method: mute
    pause_behavior: skip
    others: ignore
    unknown_node: keep
    dual_channel: on
    guard_ms: 40
    settle_ms: 0
    max_pause_s: 120
    max_pause_action: stop
    nodes:
      greeting:
      ask_aadhaar: pause
      ask_otp: {action: pause, scope: turn, sensitive: true, next: [confirm, ask_otp]}
      handover: {transfer: true, entry: yes}
      confirm: resume
      survey: {action: start, new: true}
  reception:
"""


def flow(text: str) -> Flow:
    return parse_flow(text.encode(), "flow.yaml")


def mistakes(data: str | bytes) -> list[str]:
    """Return the mistakes of a file that must have some."""
    with pytest.raises(FlowError) as caught:
        parse_flow(data.encode() if isinstance(data, str) else data, "flow.yaml")
    assert caught.value.id == "flow-invalid"
    return [str(mistake) for mistake in caught.value.mistakes]


def policy_mistakes(line: str) -> list[str]:
    """Return the mistakes of a file whose only bot has `line` in line 4, from column 5."""
    return mistakes(f"version: 1\nbots:\n  kyc:\n    {line}\n")


def node_mistakes(line: str) -> list[str]:
    """Return the mistakes of a file whose only bot's nodes are `done` and, in line 6, `line`."""
    return mistakes(f"version: 1\nbots:\n  kyc:\n    nodes:\n      done:\n      {line}\n")


# ---------------------------------------------------------------- what a sound file means


def test_each_policy_and_node_setting_is_read() -> None:
    bots = flow(SOUND).bots
    assert list(bots) == ["kyc", "reception"]
    assert bots["kyc"] == Bot(
        name="kyc",
        default=Default.OFF,
        stop_is_final=False,
        agent=AgentPolicy.OFF,
        agent_off=AgentOff.PAUSE,
        pause_method=PauseMethod.MUTE,
        pause_behavior=PauseBehavior.SKIP,
        others=Others.IGNORE,
        unknown_node=UnknownNode.KEEP,
        dual_channel=DualChannel.ON,
        guard_ms=40,
        settle_ms=0,
        max_pause_s=120,
        max_pause_action=MaxPauseAction.STOP,
        nodes=MappingProxyType(
            {
                "greeting": Node("greeting"),
                "ask_aadhaar": Node("ask_aadhaar", Action.PAUSE),
                "ask_otp": Node(
                    "ask_otp",
                    Action.PAUSE,
                    Scope.TURN,
                    sensitive=True,
                    successors=("confirm", "ask_otp"),
                ),
                "handover": Node("handover", transfer=True, entry=True),
                "confirm": Node("confirm", Action.RESUME),
                "survey": Node("survey", Action.START, new=True),
            }
        ),
    )


def test_defaults_hold_for_every_bot_that_says_nothing_else() -> None:
    assert flow(SOUND).bots["reception"] == Bot("reception", guard_ms=60, agent=AgentPolicy.OFF)


def test_a_bot_with_nothing_below_it_has_every_default() -> None:
    assert flow("version: 1\nbots:\n  kyc:\n").bots["kyc"] == Bot("kyc")


def test_a_flow_cannot_be_changed() -> None:
    bots: Any = flow(SOUND).bots
    with pytest.raises(TypeError):
        bots["other"] = Bot("other")
    with pytest.raises(TypeError):
        bots["kyc"].nodes["other"] = Node("other")


def test_the_hash_is_that_of_the_bytes_of_the_file() -> None:
    data = b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode()
    assert parse_flow(data, "f").sha256 == hashlib.sha256(data).hexdigest()
    assert parse_flow(data, "f").bots == flow(SOUND).bots


@pytest.mark.parametrize("word", ["on", "On", "ON", "true", "True", "yes", "'on'", '"yes"'])
def test_on_may_be_written_as_yaml_writes_truth(word: str) -> None:
    bot = flow(f"version: 1\nbots: {{kyc: {{dual_channel: {word}, stop_is_final: {word}}}}}").bots
    assert bot["kyc"].dual_channel is DualChannel.ON
    assert bot["kyc"].stop_is_final is True


@pytest.mark.parametrize("word", ["off", "Off", "OFF", "false", "False", "no", "'off'"])
def test_off_may_be_written_as_yaml_writes_falsehood(word: str) -> None:
    bot = flow(f"version: 1\nbots: {{kyc: {{default: {word}, stop_is_final: {word}}}}}").bots
    assert bot["kyc"].default is Default.OFF
    assert bot["kyc"].stop_is_final is False


@pytest.mark.parametrize("name", ["on", "0o10", "1_0", "2024-01-01", "null", "1.0"])
def test_names_are_read_as_they_are_written(name: str) -> None:
    assert list(flow(f"version: 1\nbots:\n  {name}:\n").bots) == [name]


def test_an_alias_repeats_what_its_anchor_names() -> None:
    text = """\
version: 1
bots:
  one: &shared
    guard_ms: 90
    nodes: {ask: &held {action: pause, scope: turn}, again: *held}
  two: *shared
"""
    bots = flow(text).bots
    assert dataclasses.replace(bots["two"], name="one") == bots["one"]
    assert bots["two"].nodes["again"] == Node("again", Action.PAUSE, Scope.TURN)


def test_the_parties_are_read_in_their_order() -> None:
    text = """\
version: 1
parties:
  - {class: agent, channel: PJSIP/agent-*}
  - class: bot
    context: on
    exten: 600
    queue: 'night *'
    variable: CHANNEL(accountcode)
    value: "*"
bots: {kyc: }
"""
    assert flow(text).parties == (
        PartyRule(PartyClass.AGENT, channel="PJSIP/agent-*"),
        PartyRule(
            PartyClass.BOT,
            context="on",
            exten="600",
            queue="night *",
            variable="CHANNEL(accountcode)",
            value="*",
        ),
    )


@pytest.mark.parametrize("line", ["", "parties:", "parties: []", "parties: ~"])
def test_a_flow_may_name_no_parties(line: str) -> None:
    assert flow(f"version: 1\n{line}\nbots: {{kyc: }}").parties == ()


# ---------------------------------------------------------------- mistakes, each at its place


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "pause_behaviour: skip",
            "4:5: unknown policy 'pause_behaviour' (did you mean 'pause_behavior'?)",
        ),
        ("agent: nver", "4:12: unknown agent 'nver' (did you mean 'never'?)"),
        ("agent: maybe", "4:12: unknown agent 'maybe' (use on, off or never)"),
        ("agent:", "4:11: agent has no value"),
        ("agent: ''", "4:12: agent has no value"),
        ("agent: [on]", "4:12: agent must be a single value, not a list"),
        ("agent: {on: off}", "4:12: agent must be a single value, not a mapping"),
        ("default: never", "4:14: unknown default 'never' (use on or off)"),
        ("pause_method: Segment", "4:19: unknown pause_method 'Segment' (did you mean 'segment'?)"),
        ("others: on", "4:13: unknown others 'on' (use mute, stop or ignore)"),
        ("stop_is_final: tru", "4:20: stop_is_final must be true or false, not 'tru' (did you"),
        ("stop_is_final: 1", "4:20: stop_is_final must be true or false, not '1'"),
        ("guard_ms: 2001", "4:15: guard_ms must be a whole number from 0 to 2000, not '2001'"),
        ("guard_ms: -1", "4:15: guard_ms must be a whole number from 0 to 2000, not '-1'"),
        ("guard_ms: 80ms", "4:15: guard_ms must be a whole number from 0 to 2000, not '80ms'"),
        ("guard_ms: 8.5", "4:15: guard_ms must be a whole number from 0 to 2000, not '8.5'"),
        ("guard_ms: 0x50", "4:15: guard_ms must be a whole number from 0 to 2000, not '0x50'"),
        ("guard_ms: 010", "4:15: guard_ms must be a whole number from 0 to 2000, not '010'"),
        ("guard_ms: ٣", "4:15: guard_ms must be a whole number from 0 to 2000, not '٣'"),
        ("guard_ms: true", "4:15: guard_ms must be a whole number from 0 to 2000, not 'true'"),
        ("settle_ms: 5001", "4:16: settle_ms must be a whole number from 0 to 5000, not '5001'"),
        ("max_pause_s: 86401", "4:18: max_pause_s must be a whole number from 0 to 86400, not"),
        ("nodes: [ask]", "4:12: nodes must be a mapping ('key: value' lines), not a list"),
        ("nodes: pause", "4:12: nodes must be a mapping ('key: value' lines), not 'pause'"),
        ("<<: {agent: on}", "4:5: merge keys (<<) are not supported: use an alias or 'defaults'"),
        ("? [agent]\n    : on", "4:7: a key must be a single word, not a list"),
        ("agent: !secret on", "4:12: tags are not supported: '!secret'"),
        ("nodes: !!python/object:os.x {}", "4:12: tags are not supported: 'tag:yaml.org,2002:py"),
        ("!x agent: on", "4:5: tags are not supported: '!x'"),
        ("agent: on\n    agent: off", "5:5: 'agent' stands here twice: first in line 4"),
    ],
)
def test_a_wrong_policy_is_named_at_its_line_and_column(line: str, expected: str) -> None:
    (mistake,) = policy_mistakes(line)
    assert mistake.startswith(f"flow.yaml:{expected}")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("parties: agent", "2:10: parties must be a list like '- class: agent' lines, not 'agent'"),
        ("parties: {class: agent}", "2:10: parties must be a list like '- class: agent' lines"),
        ("partys: []", "2:1: unknown section 'partys' (did you mean 'parties'?)"),
        (
            "parties: [agent]",
            "2:11: a party must be a mapping like {class: agent, ...}, not 'agent'",
        ),
        ("parties: [~]", "2:11: a party must be a mapping like {class: agent, ...}, not '~'"),
        (
            "parties: [{class: agnt, exten: 1}]",
            "2:19: unknown class 'agnt' (did you mean 'agent'?)",
        ),
        ("parties: [{class: x, exten: 1}]", "2:19: unknown class 'x' (use agent, bot, announ"),
        ("parties: [{class: , exten: 1}]", "2:18: class has no value"),
        (
            "parties: [{exten: 1}]",
            "2:11: class is missing: say what this party is (agent, bot, announcement, ",
        ),
        (
            "parties: [{class: bot}]",
            "2:11: nothing says who this is: give channel, context, exten, queue or variable ",
        ),
        (
            "parties: [{class: bot, chanel: x, exten: 1}]",
            "2:24: unknown party setting 'chanel' (did you mean 'channel'?)",
        ),
        ("parties: [{class: bot, channel: }]", "2:32: channel has no value"),
        ("parties: [{class: bot, exten: [1]}]", "2:31: exten must be a single value, not a list"),
        (
            "parties: [{class: bot, exten: 1, value: x}]",
            "2:41: value goes with variable only: name the variable, too",
        ),
        (
            "parties: [{class: bot, variable: '${ROLE}'}]",
            "2:34: variable must be the name of one, like TURNREC_PARTY or CHANNEL(accountcode), "
            "not '${ROLE}' (did you mean 'ROLE'?)",
        ),
        ("parties: [{class: bot, variable: __ROLE}]", "2:34: variable must be the name of one, "),
        ('parties: [{class: bot, variable: "A\\r\\nB"}]', "2:34: variable must be the name"),
        ("parties: [{class: bot, variable: SHELL(id|x)}]", "2:34: variable must be the name"),
        (
            "parties:\n  - {class: bot, exten: 1}\n  - {class: agent, exten: 1}",
            "4:5: never reached: the party in line 3 is known by the same",
        ),
    ],
)
def test_a_wrong_party_is_named_at_its_line_and_column(line: str, expected: str) -> None:
    (mistake,) = mistakes(f"version: 1\n{line}\nbots:\n  kyc:\n")
    assert mistake.startswith(f"flow.yaml:{expected}")


def test_all_mistakes_of_a_party_are_reported_at_once() -> None:
    text = "version: 1\nparties:\n  - {clas: agent, value: x}\nbots:\n  kyc: {agent: nver}\n"
    assert [re.sub(r":\d+: .*", "", line) for line in mistakes(text)] == [
        *["flow.yaml:3"] * 4,
        "flow.yaml:5",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ask: puase", "6:12: unknown action 'puase' (did you mean 'pause'?)"),
        ("ask: off", "6:12: unknown action 'off' (use start, pause, resume or stop)"),
        ("ask: [pause]", "6:12: node 'ask' must be a mapping ('key: value' lines), not a list"),
        ("ask: {acton: pause}", "6:13: unknown node setting 'acton' (did you mean 'action'?)"),
        ("ask: {action: hold}", "6:21: unknown action 'hold' (use start, pause, resume or stop)"),
        ("ask: {action: }", "6:20: action has no value"),
        (
            "ask: {action: resume, scope: turn}",
            "6:36: 'scope: turn' goes with 'action: pause' only",
        ),
        ("ask: {scope: turn}", "6:20: 'scope: turn' goes with 'action: pause' only"),
        ("ask: {action: pause, scope: trun}", "6:35: unknown scope 'trun' (did you mean 'turn'?)"),
        ("ask: {action: puase, scope: turn}", "6:21: unknown action 'puase' (did you mean 'pause'"),
        ("ask: {action: pause, new: yes}", "6:33: 'new: true' goes with 'action: start' only"),
        ("ask: {new: yes}", "6:18: 'new: true' goes with 'action: start' only"),
        ("ask: {action: start, new: maybe}", "6:33: new must be true or false, not 'maybe'"),
        ("ask: {sensitive: ture}", "6:24: sensitive must be true or false, not 'ture' (did you"),
        ("ask: {next: done}", "6:19: next must be a list like [one, two], not 'done'"),
        ("ask: {next: [doen]}", "6:20: next names unknown node 'doen' (did you mean 'done'?)"),
        ("ask: {next: [xxxxxxx]}", "6:20: next names unknown node 'xxxxxxx'"),
        ("ask: {next: [done, done]}", "6:26: next names node 'done' twice"),
        ("ask: {next: [{}]}", "6:20: next must be a single value, not a mapping"),
        ("ask otp: pause", "6:7: the node's name may have 1 to 64 letters, digits, "),
        ("? ''\n      : pause", "6:9: the node's name may have 1 to 64 letters, digits, "),
        ("done: pause", "6:7: 'done' stands here twice: first in line 5"),
    ],
)
def test_a_wrong_node_is_named_at_its_line_and_column(line: str, expected: str) -> None:
    (mistake,) = node_mistakes(line)
    assert mistake.startswith(f"flow.yaml:{expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty: it needs version and bots"),
        ("# nothing yet\n", "1:1: the file is empty: it needs version and bots"),
        ("---\n", "1:1: the file is empty: it needs version and bots"),
        ("just text", "1:1: the file must be a mapping ('key: value' lines), not 'just text'"),
        ("- version: 1", "1:1: the file must be a mapping ('key: value' lines), not a list"),
        ("bots: {kyc: }", "1:1: version is missing: begin the file with 'version: 1'"),
        ("version: 2\nbots: {kyc: }", "1:10: version must be 1, not '2'"),
        ("version: [1]\nbots: {kyc: }", "1:10: version must be 1, not a list"),
        ("version: 1", "1:1: bots is missing: name at least one bot below 'bots:'"),
        ("version: 1\nbots:\n", "2:6: bots is empty: name at least one bot"),
        ("version: 1\nbots: {}\n", "2:7: bots is empty: name at least one bot"),
        ("version: 1\nbots: []\n", "2:7: bots must be a mapping ('key: value' lines), not a list"),
        ("version: 1\nbots: {kyc: }\nbot: {}", "3:1: unknown section 'bot' (did you mean 'bots'?)"),
        ("version: 1\nbots: {kyc: on}", "2:13: bot 'kyc' must be a mapping ('key: value' lines),"),
        ("version: 1\nbots: {a b: }", "2:8: the bot's name may have 1 to 64 letters, digits, "),
        (
            "version: 1\nbots:\n  kyc:\n  kyc:\n",
            "4:3: 'kyc' stands here twice: first in line 3",
        ),
        (
            "version: 1\ndefaults: {nodes: {}}\nbots: {kyc: }",
            "2:12: unknown policy 'nodes' (use default, ",
        ),
    ],
)
def test_a_wrong_file_is_named_at_its_line_and_column(text: str, expected: str) -> None:
    assert mistakes(text)[0].startswith(f"flow.yaml:{expected}")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"version: 1\nbots:\n\tkyc:\n", "3:1: a tab: YAML is indented with spaces only"),
        (b"version: 1\nbots:\n  kyc:\n  nodes\n", "5:1: not YAML: while scanning a simple key, "),
        (b"version: 1\nbots: {kyc: ", "2:13: not YAML: "),
        (b"version: 'one\n", "2:1: not YAML: while scanning a quoted scalar, found unexpected"),
        (b"version: 1\nbots: *none\n", "2:7: not YAML: found undefined alias 'none'"),
        (b"version: 1\n---\nversion: 1\n", "2:1: not YAML: expected a single document"),
        (b"version: 1\nbots: \x07\n", "2:7: not YAML: character U+0007 is not allowed"),
        (b"version: 1\nbots: {caf\xe9: }\n", "2:11: not UTF-8 text (byte 0xe9)"),
        ("version: 1".encode("utf-16"), "1:1: not UTF-8 text (byte 0xff)"),
        ('version: 1\nbots: {é: "é", \x00'.encode(), "2:16: not YAML: character U+0000 is not"),
        (b'version: "\\UFFFFFFFF"', "1:13: not YAML: a number is out of range"),
        (b"%YAML 1." + b"9" * 5000 + b"\n---\na", "1:9: not YAML: a number is out of range"),
    ],
)
def test_what_is_no_yaml_is_named_where_it_stops_to_be(data: bytes, expected: str) -> None:
    (mistake,) = mistakes(data)
    assert mistake.startswith(f"flow.yaml:{expected}")


def test_all_mistakes_are_reported_at_once_in_line_order() -> None:
    text = """\
version: 3
defaults:
  guardms: 80
bots:
  "k c":
    agent: nver
    nodes:
      ask: {action: puase, next: [cofirm]}
      confirm: {action: resume, scope: turn}
      confirm: resume
  sales: {settle_ms: 9999, bogus: 1}
"""
    places = [mistake.split(": ")[0] for mistake in mistakes(text)]
    assert places == [
        "flow.yaml:1:10",
        "flow.yaml:3:3",
        "flow.yaml:5:3",
        "flow.yaml:6:12",
        "flow.yaml:8:21",
        "flow.yaml:8:35",
        "flow.yaml:9:40",
        "flow.yaml:10:7",
        "flow.yaml:11:22",
        "flow.yaml:11:28",
    ]


def test_a_mistake_behind_an_alias_is_reported_once() -> None:
    text = "version: 1\nbots:\n  one: &a {agent: nver}\n  two: *a\n  three: *a\n"
    assert len(mistakes(text)) == 1


def test_a_long_word_is_cut_in_the_message() -> None:
    (mistake,) = policy_mistakes(f"agent: {'x' * 5000}")
    assert len(mistake) < 150


# ---------------------------------------------------------------- bounds


def test_a_huge_file_is_refused() -> None:
    assert mistakes(b"#" * (MAX_BYTES + 1)) == [
        f"flow.yaml: refused: larger than {MAX_BYTES} bytes"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nbots: " + "[" * 100_000,
        "version: 1\nbots: " + "{a: " * 100_000,
        "\n".join(" " * depth + "a:" for depth in range(2_000)),
    ],
)
def test_deep_nesting_is_refused_without_recursing(text: str) -> None:
    (mistake,) = mistakes(text)
    assert mistake.endswith(": nested too deeply")


def test_more_values_than_a_flow_can_have_are_refused() -> None:
    nodes = ",".join("a" for _ in range(MAX_VALUES))
    (mistake,) = mistakes(f"[{nodes}]")
    assert mistake.endswith(f"over {MAX_VALUES} values")


def test_an_alias_bomb_does_not_blow_up() -> None:
    nodes = "".join(f"      n{i}:\n" for i in range(1_000))
    bots = "".join(f"  b{i}: *all\n" for i in range(5_000))
    text = f"version: 1\nbots:\n  b: &all\n    nodes:\n{nodes}{bots}"  # five million nodes
    started_s = time.monotonic()
    (mistake,) = mistakes(text)
    assert mistake.endswith(f"over {MAX_VALUES} values, with what the aliases repeat")
    assert time.monotonic() - started_s < 20


def test_an_alias_to_what_holds_it_is_a_mistake_and_no_loop() -> None:
    assert mistakes("version: 1\nbots: &all\n  kyc: {nodes: *all}\n") == [
        "flow.yaml:3:9: unknown node setting 'nodes'"
        " (use action, scope, new, sensitive, next, transfer or entry)"
    ]


def test_thousands_of_misspelt_names_do_not_take_minutes() -> None:
    nodes = "".join(f"      node_{i}: {{next: [nide_{i}]}}\n" for i in range(2_000))
    started_s = time.monotonic()
    found = mistakes(f"version: 1\nbots:\n  kyc:\n    nodes:\n{nodes}")
    assert len(found) == 2_000
    assert "did you mean 'node_0'" in found[0]
    assert time.monotonic() - started_s < 20


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_flow_error(data: bytes) -> None:
    with pytest.raises(FlowError):
        parse_flow(data, "f")


YAML_PIECES = (
    *"\n\t :-?{}[],&*!|>'\"%@`#\\~=<\r\u2028",
    *("\n  ", "\n    ", "<<: ", "--- ", "... ", "&a ", "*a ", "!!int ", "!x ", "%YAML 1.1\n"),
    *("version: 1\n", "bots:\n", "defaults:\n", "nodes: ", "kyc: ", "ask: ", "action: ", "next: "),
    *("agent: ", "pause", "on", "1", "\\x", "\\U"),
)


@given(st.lists(st.sampled_from(YAML_PIECES), max_size=30).map("".join))
def test_no_text_raises_anything_but_flow_error_with_places(text: str) -> None:
    try:
        parse_flow(text.encode(), "f")
    except FlowError as error:
        found = error.mistakes
    else:
        return
    assert found
    assert all(mistake.line >= 1 and mistake.column >= 1 for mistake in found)


@given(st.data())
def test_libyaml_takes_no_file_that_pyyaml_reads_otherwise(data: st.DataObject) -> None:
    text = SOUND
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        piece = data.draw(st.sampled_from(YAML_PIECES))
        text = text[:at] + piece + text[at + data.draw(st.integers(0, 5)) :]
    try:
        fast = read_composed(text.encode(), "f", fast=True)
    except (FlowError, NotTakenError):
        return  # then PyYAML is asked
    assert fast[0] == read_composed(text.encode(), "f", fast=False)[0]


def test_a_file_is_read_without_libyaml_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = flow(SOUND)
    monkeypatch.setattr(flow_fast, "CParser", None)
    assert flow(SOUND) == with_it


# ---------------------------------------------------------------- where everything stands


def places(text: str) -> Places:
    return parse_flow_and_places(text.encode(), "flow.yaml")[1]


def test_every_key_has_its_line_and_column() -> None:
    found = places(SOUND)
    assert found.of("bots", "kyc") == Place(6, 3)
    assert found.of("bots", "kyc", "guard_ms") == Place(15, 5)
    assert found.of("bots", "kyc", "nodes", "ask_otp") == Place(22, 7)
    assert found.of("bots", "kyc", "nodes", "ask_otp", "scope") == Place(22, 32)
    assert found.of("defaults", "guard_ms") == Place(3, 3)


def test_what_is_not_written_has_the_place_of_what_it_would_stand_in() -> None:
    found = places(SOUND)
    assert found.of("bots", "kyc", "nodes", "greeting", "scope") == Place(20, 7)
    assert found.of("bots", "reception", "nodes", "x") == found.of("bots", "reception")
    assert found.of("parties") == Place(1, 1)
    assert not found.has("bots", "kyc", "keep_days")
    assert found.has("bots", "kyc", "others")


def test_what_an_alias_repeats_stands_where_its_anchor_does() -> None:
    found = places("version: 1\nbots:\n  one: &all\n    nodes: {a: , b: }\n  two: *all\n")
    assert found.of("bots", "two") == Place(5, 3)
    assert found.of("bots", "two", "nodes", "b") == Place(4, 18)


# ---------------------------------------------------------------- round trip

NAMES = st.text(string.ascii_letters + string.digits + "_.-", min_size=1, max_size=64)
POLICY_TYPES = {k: v for k, v in get_type_hints(Bot).items() if k not in {"name", "nodes"}}
MAXIMA = {"guard_ms": 2_000, "settle_ms": 5_000, "max_pause_s": 86_400, "keep_days": 36_500}


def policy_values(name: str) -> st.SearchStrategy[Any]:
    kind = POLICY_TYPES[name]
    if kind is int:
        return st.integers(0, MAXIMA[name])
    return st.booleans() if kind is bool else st.sampled_from(list(kind))


@st.composite
def nodes_of_a_bot(draw: st.DrawFn) -> dict[str, Node]:
    names = draw(st.lists(NAMES, unique=True, max_size=5))
    nodes = {}
    for name in names:
        action = draw(st.none() | st.sampled_from(Action))
        scopes = Scope if action is Action.PAUSE else [Scope.STICKY]
        nodes[name] = Node(
            name,
            action,
            draw(st.sampled_from(list(scopes))),
            new=action is Action.START and draw(st.booleans()),
            sensitive=draw(st.booleans()),
            successors=tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=3))),
            transfer=draw(st.booleans()),
            entry=draw(st.booleans()),
        )
    return nodes


@st.composite
def bots(draw: st.DrawFn) -> dict[str, Bot]:
    names = draw(st.lists(NAMES, unique=True, min_size=1, max_size=3))
    policies = st.fixed_dictionaries(
        {}, optional={name: policy_values(name) for name in POLICY_TYPES}
    )
    return {name: Bot(name, draw(nodes_of_a_bot()), **draw(policies)) for name in names}


def plain(value: object) -> str:
    """Write a value as an operator would."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def settings(node: Node) -> dict[str, object]:
    action = {} if node.action is None else {"action": node.action}
    return action | {
        "scope": node.scope,
        "new": node.new,
        "sensitive": node.sensitive,
        "next": node.successors,
        "transfer": node.transfer,
        "entry": node.entry,
    }


def as_block_yaml(bots: dict[str, Bot]) -> str:
    lines = ["version: 1", "bots:"]
    for bot in bots.values():
        lines.append(f"  '{bot.name}':")
        lines += [f"    {name}: {plain(getattr(bot, name))}" for name in POLICY_TYPES]
        lines.append("    nodes:")
        for node in bot.nodes.values():
            lines.append(f"      '{node.name}':")
            scalars = {key: value for key, value in settings(node).items() if key != "next"}
            lines += [f"        {key}: {plain(value)}" for key, value in scalars.items()]
            lines.append("        next:" if node.successors else "        next: []")
            lines += [f"          - '{name}'" for name in node.successors]
    return "\n".join(lines)


def as_json(bots: dict[str, Bot]) -> str:
    """Write what YAML is a superset of: flow style, everything quoted."""
    return json.dumps(
        {
            "version": 1,
            "bots": {
                bot.name: {
                    **{name: getattr(bot, name) for name in POLICY_TYPES},
                    "nodes": {node.name: settings(node) for node in bot.nodes.values()},
                }
                for bot in bots.values()
            },
        }
    )


@pytest.mark.parametrize("write", [as_block_yaml, as_json])
@given(bots())
def test_every_sound_flow_reads_as_it_was_written(
    write: Callable[[dict[str, Bot]], str], bots: dict[str, Bot]
) -> None:
    assert flow(write(bots)).bots == bots


# ---------------------------------------------------------------- the file in force


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flow.yaml"
    path.write_text(SOUND)
    return path


def test_a_sound_change_is_put_in_force_by_a_reload(path: Path) -> None:
    file = FlowFile.load(path)
    assert not file.changed_on_disk()
    path.write_text(SOUND.replace("guard_ms: 40", "guard_ms: 45"))
    assert file.changed_on_disk()
    assert file.flow.bots["kyc"].guard_ms == 40
    result = file.reload()
    assert result.changed
    assert not result.mistakes
    assert file.flow.bots["kyc"].guard_ms == 45
    assert not file.changed_on_disk()


def test_a_change_with_mistakes_leaves_the_old_flow_in_force(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = FlowFile.load(path)
    before = file.flow
    path.write_text(SOUND.replace("resume", "resum"))
    with caplog.at_level(logging.WARNING):
        result = file.reload()
    assert not result.changed
    assert [mistake.line for mistake in result.mistakes] == [24]
    assert f"{path}:24:16: unknown action 'resum'" in caplog.text
    assert file.flow is before
    assert not file.changed_on_disk(), "a broken file is reported once, not at every look"


def test_a_reload_without_a_change_keeps_the_very_same_flow(path: Path) -> None:
    file = FlowFile.load(path)
    before = file.flow
    os.utime(path, (1, 1))
    assert file.changed_on_disk()
    assert not file.reload().changed
    assert file.flow is before


def test_a_file_that_was_taken_away_leaves_the_old_flow_in_force(path: Path) -> None:
    file = FlowFile.load(path)
    path.unlink()
    assert file.changed_on_disk()
    (mistake,) = file.reload().mistakes
    assert str(mistake) == f"{path}: can't be read: No such file or directory"
    assert "kyc" in file.flow.bots
    path.write_text(SOUND)
    assert file.changed_on_disk()


def test_a_file_replaced_by_one_of_equal_size_and_time_is_noticed(path: Path) -> None:
    file = FlowFile.load(path)
    status = path.stat()
    other = path.with_name("other")
    other.write_text(SOUND.replace("guard_ms: 40", "guard_ms: 50"))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)
    assert file.changed_on_disk()
    assert file.reload().changed


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_cannot_be_loaded(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(FlowError) as caught:
        FlowFile.load(path)
    (mistake,) = caught.value.mistakes
    assert (mistake.path, mistake.line, mistake.column) == (str(path), 0, 0)


def test_mistakes_are_written_as_editors_and_compilers_write_them() -> None:
    assert str(Mistake("flow.yaml", 7, 5, "no")) == "flow.yaml:7:5: no"
    assert str(Mistake("flow.yaml", 0, 0, "no")) == "flow.yaml: no"


# ---------------------------------------------------------------- the sample


def test_the_example_documents_every_policy_with_its_default() -> None:
    _, _, defaults = EXAMPLE.read_text().partition("\ndefaults:\n")
    written, _, _ = defaults.partition("\nbots:\n")
    documented = dict(re.findall(r"^  (\w+): (\w+)$", written, re.MULTILINE))
    assert documented == {name: plain(getattr(Bot("any"), name)) for name in POLICY_TYPES}


def test_the_example_is_sound_and_shows_every_node_setting() -> None:
    bots = FlowFile.load(EXAMPLE).flow.bots
    assert bots["reception"] == Bot("reception")
    nodes = bots["kyc"].nodes.values()
    assert {node.action for node in nodes} == {None, *Action}
    assert {node.scope for node in nodes} == set(Scope)
    assert any(node.new for node in nodes)
    assert any(node.sensitive for node in nodes)
    assert any(node.successors for node in nodes)


def test_the_example_shows_every_party_and_all_by_which_one_is_known() -> None:
    parties = FlowFile.load(EXAMPLE).flow.parties
    assert {rule.party for rule in parties} == set(PartyClass) - {PartyClass.UNKNOWN}
    for criterion in dataclasses.fields(PartyRule):
        assert any(getattr(rule, criterion.name) for rule in parties), criterion.name
