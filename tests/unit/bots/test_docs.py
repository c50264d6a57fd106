"""docs/bots.md: its code is in an example that a test runs, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from turnrec.bots import agi, agi_script, errors
from turnrec.bots.agi import AgiCall
from turnrec.bots.http_call import HttpCall

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "bots.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLES = sorted(
    one for one in (ROOT / "examples").rglob("*") if one.suffix in {".py", ".conf", ".yaml"}
)
RUN = (ROOT / "tests" / "pbx" / "test_examples.py").read_text("utf-8")


@pytest.mark.parametrize(("language", "block"), BLOCKS)
def test_every_block_is_in_an_example(language: str, block: str) -> None:
    suffix = {"python": ".py", "ini": ".conf"}[language]
    texts = [one.read_text("utf-8") for one in EXAMPLES if one.suffix == suffix]
    assert any(block in text for text in texts), block


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: str(one.relative_to(ROOT)))
def test_every_example_is_run_by_a_test(example: Path) -> None:
    name = str(example.relative_to(ROOT / "examples"))
    assert name in RUN, "tests/pbx/test_examples.py doesn't run it"


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one.name == "extensions.conf"])
def test_every_example_says_how_to_use_it(example: Path) -> None:
    number = re.search(r"^exten => (\d+),1,Answer", example.read_text("utf-8"), re.MULTILINE)
    assert number is not None
    readme = (example.parent / "README.md").read_text("utf-8")
    assert re.search(rf"[Dd]ial\s+{number[1]}", readme), "it doesn't say what to dial"


def test_both_calls_have_the_verbs_that_the_page_names() -> None:
    for verb in re.findall(r"`(\w+)\(", PAGE.partition("**`AgiCall`**")[2].partition("##")[0]):
        assert hasattr(AgiCall, verb), verb
        assert hasattr(HttpCall, verb), verb


def test_every_error_and_request_of_the_page_is_one() -> None:
    for name in re.findall(r"`(\w+Error)`", PAGE):
        assert any(hasattr(module, name) for module in (errors, agi, agi_script)) or name in {
            "AgiArgumentError",
            "ValueError",
        }, name
    table = PAGE.partition("| `turnrec-agi` |")[2].partition("\n\n")[0]
    for request in ("start", "turn", "action", "agent-pre", "bot", "agent", "operator", "hangup"):
        assert agi_script.parse(["turnrec-agi", request]) is not None
        assert f"`{request}" in table, request


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
