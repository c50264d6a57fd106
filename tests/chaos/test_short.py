"""A short chaos run: a fixed seed and a few kinds of faults. The long ones: `make chaos`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.faults import BY_NAME
from tests.chaos.run import Plan, run, summary
from turnrec.pbx.packages import Installation

pytestmark = pytest.mark.pbx

PLAN = Plan(
    seed=6,
    calls=24,
    at_once=8,
    faults=tuple(
        BY_NAME[name]
        for name in (
            "turnrec-kill",
            "turnrec-stop",
            "ami-cut",
            "agi-cut",
            "ledger-locked",
            "dialplan-reload",
        )
    ),
    gap_marks=(8, 20),
)


async def test_calls_under_random_faults_leak_nothing_and_lose_nothing(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    outcome = await run(asterisk_22, tmp_path, PLAN)
    assert {one for group in outcome.injected for one in group.split(" + ")}
    assert outcome.report.numbers["calls"] == PLAN.calls, summary(PLAN, outcome)
    assert outcome.report.seconds["of it in the files"] > 0, summary(PLAN, outcome)
    assert outcome.report.findings == [], summary(PLAN, outcome)
