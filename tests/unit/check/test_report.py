"""What is said of a flow, to people, to machines, and in pictures."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.check.test_product import bots
from turnrec.check.findings import RULES, Finding
from turnrec.check.layout import lay_out
from turnrec.check.looks import Look, shown
from turnrec.check.mermaid import as_mermaid
from turnrec.check.report import as_document, as_text
from turnrec.check.run import Checked, check_file, check_text
from turnrec.check.svg import as_svg
from turnrec.check.walk import Walk
from turnrec.core.policy import Bot

FLOWS = Path(__file__).parent / "flows"
FLOW = """\
version: 1
bots:
  kyc:
    nodes:
      greeting: {next: [ask_id]}
      ask_id: {action: pause, sensitive: true, next: [confirm]}
      confirm: {transfer: true, next: [goodbye]}
      goodbye: {sensitive: true}
"""


def checked(text: str) -> Checked:
    return check_text(text.encode(), "flow.yaml")


def test_each_finding_is_told_with_its_place_its_path_and_its_cure() -> None:
    assert list(as_text([checked(FLOW)])) == [
        "flow.yaml:7:17: error: kyc: confirm hands the call over while it is paused, and the"
        " agent's coming ends the pause (agent: on) [transfer-while-paused]",
        "    path: greeting (recording) → ask_id (paused) → confirm",
        "    cure: Resume before it, or keep the talk out with `agent: off`.",
        "flow.yaml:8:7: error: kyc: goodbye is sensitive and is recorded [sensitive-recorded]",
        "    path: greeting (recording) → ask_id (paused) → confirm → an agent (recording)"
        " → (back) → goodbye",
        "    cure: Give it `action: pause`, or resume only after it.",
        "flow.yaml: 2 errors in 1 bot, 4 nodes",
    ]


def test_a_clean_flow_is_one_line() -> None:
    text = FLOW.replace("confirm: {transfer", "confirm: {action: resume, transfer")
    text = text.replace("goodbye: {sensitive: true}", "goodbye:")
    assert list(as_text([checked(text)])) == ["flow.yaml: nothing found in 1 bot, 4 nodes"]


def test_a_long_path_is_told_by_its_ends() -> None:
    nodes = "".join(f"      n{i}: {{next: [n{i + 1}]}}\n" for i in range(40))
    text = f"version: 1\nbots:\n  b:\n    nodes:\n{nodes}      n40: {{sensitive: true}}\n"
    path = list(as_text([checked(text)]))[1]
    assert path == (
        "    path: n0 (recording) → n1 → n2 → n3 → n4 → n5 → ... 29 more"
        " → n35 → n36 → n37 → n38 → n39 → n40"
    )


def test_mistakes_are_told_in_the_same_form() -> None:
    lines = list(as_text([checked("version: 1\nbots: {kyc: {agnt: on}}\n")]))
    assert lines == [
        "flow.yaml:2:14: error: unknown policy 'agnt' (did you mean 'agent'?) [flow-invalid]",
        "flow.yaml: no flow: 1 mistake",
    ]


def test_what_cannot_be_checked_is_said_and_is_no_finding() -> None:
    text = "version: 1\nbots:\n  kyc:\n    nodes: {a: pause, b: {sensitive: true}, c: resume}\n"
    one = checked(text)
    assert one.findings == ()
    lines = list(as_text([one]))
    assert [line.partition(": not checked: ")[0] for line in lines[:2]] == ["flow.yaml:3:3"] * 2
    assert lines[2] == "flow.yaml: nothing found in 1 bot, 3 nodes (not everything can be checked)"


def test_the_document_holds_all_of_it() -> None:
    document = json.loads(json.dumps(as_document([checked(FLOW)], 1)))
    assert document["exit_status"] == 1
    (file,) = document["files"]
    assert (file["errors"], file["warnings"], file["readable"]) == (2, 0, True)
    finding = file["findings"][1]
    assert finding["id"] == "sensitive-recorded"
    assert (finding["line"], finding["column"]) == (8, 7)
    assert finding["path"][3] == {"node": "confirm", "step": "agent", "state": "recording"}
    assert finding["simulate"] == "greeting,ask_id,confirm,@agent,goodbye"
    assert file["bots"][0]["nodes"][2] == {
        "node": "confirm",
        "sensitive": False,
        "states": ["paused", "recording"],
    }


def test_an_unknown_finding_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="no finding is called typo"):
        Finding("typo", "f", None, "")


def test_every_rule_says_what_it_is_and_what_to_do() -> None:
    for rule in RULES.values():
        assert not rule.short.endswith(".")
        assert rule.cure.endswith(".")


# ---------------------------------------------------------------- pictures


def looks(text: str) -> dict[str, Look]:
    (walk,) = checked(text).walks
    return {one.node.name: one.look for one in shown(walk, [])}


def test_each_node_is_shown_as_what_is_recorded_in_it() -> None:
    text = """\
version: 1
bots:
  b:
    nodes:
      hello: {next: [ask, either]}
      ask: {action: pause, next: [either]}
      either: {next: [bye]}
      bye: {action: stop, next: [after]}
      after:
      island:
"""
    assert looks(text) == {
        "hello": Look.RECORDED,
        "ask": Look.PAUSED,
        "either": Look.MIXED,
        "bye": Look.OFF,
        "after": Look.OFF,
        "island": Look.UNREACHED,
    }


def test_without_an_order_a_node_is_shown_as_what_it_asks_for() -> None:
    text = "version: 1\nbots:\n  b:\n    nodes: {a: , b: pause, c: resume, d: stop, e: start}\n"
    assert list(looks(text).values()) == [
        Look.UNKNOWN,
        Look.PAUSED,
        Look.RECORDED,
        Look.OFF,
        Look.RECORDED,
    ]


@pytest.mark.parametrize("path", sorted(FLOWS.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_a_picture_shows_every_node_edge_and_finding(path: Path) -> None:
    one = check_file(path)
    root = ElementTree.fromstring(as_svg(one.walks, one.findings))
    kinds = [element.get("class", "") for element in root.iter()]
    nodes = sum(len(walk.nodes) for walk in one.walks)
    edges = sum(len(to) for walk in one.walks for to in walk.successors)
    assert kinds.count("name") == nodes
    assert sum(kind.startswith("tip") for kind in kinds) >= edges
    of_nodes = sum(finding.node is not None for finding in one.findings)
    assert sum(kind.startswith("badge") for kind in kinds) == of_nodes + len(one.findings)
    texts = {element.text for element in root.iter() if element.get("class") == "name"}
    assert texts == {node.name for walk in one.walks for node in walk.nodes}


def test_a_picture_in_mermaid() -> None:
    one = checked(FLOW)
    assert as_mermaid(one.walks, one.findings).splitlines() == [
        "flowchart TD",
        '  subgraph b0["bot kyc"]',
        "    direction TB",
        '    b0n0(["greeting"]):::recorded',
        '    b0n1{{"ask_id<br/><small>pause</small>"}}:::paused',
        '    b0n2["confirm<br/><small>to an agent, who is recorded</small>'
        '<br/><b>transfer-while-paused</b>"]:::paused',
        '    b0n3{{"goodbye<br/><b>sensitive-recorded</b>"}}:::mixed',
        "    b0n0 --> b0n1",
        "    b0n1 --> b0n2",
        "    b0n2 --> b0n3",
        "  end",
        '  subgraph legend["what is recorded"]',
        "    direction TB",
        '    legend_recorded["recorded"]:::recorded',
        '    legend_paused["paused: not recorded"]:::paused',
        '    legend_mixed["depends on the path"]:::mixed',
        '    legend_sensitive{{"sensitive"}}',
        "  end",
        "  classDef recorded fill:#0e8f7b,stroke:#0a6557,color:#ffffff",
        "  classDef paused fill:#ffd27f,stroke:#b36b00,color:#4a2a00",
        "  classDef mixed fill:#e4e8f8,stroke:#3152d9,color:#1f2c66,stroke-width:2px",
        "  classDef found stroke:#d1274a,stroke-width:4px",
        "  class b0n2,b0n3 found",
        "  linkStyle 0,1,2 stroke:#d1274a,stroke-width:3px",
    ]


@given(st.lists(st.lists(st.integers(0, 11), max_size=4), min_size=1, max_size=12))
def test_no_node_lies_on_another_and_every_edge_is_drawn(edges: list[list[int]]) -> None:
    count = len(edges)
    successors = [[to for to in found if to < count] for found in edges]
    sizes = [(90.0 + 7 * node, 40.0) for node in range(count)]
    made = lay_out(sizes, successors, [0], [])
    assert len(made.lines) == sum(len(set(found)) for found in successors)
    for one, box in enumerate(made.boxes):
        assert box.x - box.width / 2 >= -0.001
        assert box.x + box.width / 2 <= made.width + 0.001
        assert box.y + box.height / 2 <= made.height + 0.001
        for other in made.boxes[one + 1 :]:
            assert (
                abs(box.x - other.x) >= (box.width + other.width) / 2 - 0.001
                or abs(box.y - other.y) >= (box.height + other.height) / 2 - 0.001
            )


@given(bots())
def test_every_flow_can_be_drawn(bot: Bot) -> None:
    walk = Walk(bot)
    ElementTree.fromstring(as_svg([walk], []))
    assert as_mermaid([walk], []).startswith("flowchart TD\n")
