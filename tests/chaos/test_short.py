"""A short chaos run: a fixed seed and a few kinds of faults. The long ones: `make chaos`."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.cast import Codecs, Role
from tests.chaos.faults import BY_NAME
from tests.chaos.run import Plan, run, summary
from tests.chaos.voice import Habit
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import Network

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


def quiet_in_pauses(number: int, rng: random.Random) -> Role:
    """A caller with G.722 who sends nothing in his pauses, and talks to an agent in between."""
    role = Role.draw(number, rng)
    return replace(
        role,
        bot="agent",
        codec=Codecs.G722,
        habit=Habit.DTX,
        network=Network(),
        leaves_after=None,
    )


async def test_nothing_is_kept_for_later_of_a_caller_who_was_put_through_and_fell_silent(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    """His channel's resampler keeps 5 ms; without a cure, every fourth such call had them."""
    plan = Plan(
        seed=5,
        calls=16,
        at_once=8,
        faults=(BY_NAME["dialplan-reload"],),
        draw=quiet_in_pauses,
        gap_marks=(60, 90),
    )
    outcome = await run(asterisk_22, tmp_path, plan)
    assert outcome.report.numbers["calls"] == plan.calls, summary(plan, outcome)
    assert outcome.report.findings == [], summary(plan, outcome)
