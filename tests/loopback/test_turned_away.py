"""Requests that are refused before there is a call, on channels that can't even be told so."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.loopback.fake_asterisk import DEAD, Reaction, answered_with, cut_before, ignored
from tests.loopback.house import House
from turnrec.core.entry import EntryKind


@pytest.mark.parametrize(
    "reaction",
    [answered_with(DEAD), cut_before, ignored],
    ids=["hung up", "cut", "not done"],
)
@pytest.mark.parametrize("request_", [("start", "nobody"), ("turn", "greeting")])
async def test_a_refusal_that_reaches_no_dialplan_fails_closed_and_is_no_defect(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    request_: tuple[str, ...],
    reaction: Reaction,
) -> None:
    with caplog.at_level(logging.WARNING):
        async with House.open(tmp_path) as house:
            house.caller.on("MSet", reaction)
            assert await house.ask(*request_) == "FAILCLOSED"
            assert house.calls.live() == []
            kinds = {EntryKind.ALARM, EntryKind.ACTION_REFUSED}
            assert kinds & set(house.journal.kinds())
    assert [line for line in caplog.records if line.exc_info] == []
