"""The command line of turnrec-agi: what it was called by, and what can't be a name."""

from __future__ import annotations

import pytest

from turnrec.bots.agi_script import Request, parse


@pytest.mark.parametrize(
    ("argv", "query"),
    [
        (["/usr/bin/turnrec-agi", "turn", "ask_otp"], "turn?ask_otp"),
        (["turnrec-agi.py", "turn", "ask_otp", "7"], "turn?ask_otp&7"),
        (["agi-bin/turnrec-turn.py", "ask_otp"], "turn?ask_otp"),
        (["agi-bin/turnrec-turn", "ask_otp"], "turn?ask_otp"),
        (["turnrec-agent-pre.py", "off"], "agent-pre?off"),
        (["turnrec-hangup"], "hangup?"),
        (["turnrec-agi", "start", "kyc", ""], "start?kyc&"),
        (["turnrec-agi", "turn", "a b"], "turn?(invalid)"),
        (["turnrec-agi", "turn", "a&b"], "turn?(invalid)"),
        (["turnrec-agi", "turn", "x\ny"], "turn?(invalid)"),
        (["turnrec-agi", "turn", "x" * 151], "turn?(invalid)"),
        (["turnrec-agi", "agent-pre", "OFF"], "agent-pre?OFF"),
    ],
)
def test_a_request_is_known_by_its_word_or_by_the_files_name(argv: list[str], query: str) -> None:
    request = parse(argv)
    assert request is not None
    assert request.query == query


@pytest.mark.parametrize(
    "argv", [["turnrec-agi"], ["turnrec-agi", "trun", "x"], ["turnrec-trun.py", "x"], ["bot.py"]]
)
def test_what_names_no_request_is_none(argv: list[str]) -> None:
    assert parse(argv) is None


def test_a_request_is_compared_by_what_it_asks() -> None:
    assert parse(["turnrec-turn", "x"]) == Request("turn", ("x",))
