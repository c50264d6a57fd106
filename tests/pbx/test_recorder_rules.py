"""The recorder's rules on real calls: what is in which file, by the flow's word alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pbx.callers import (
    BOT,
    OPEN_S,
    SAY,
    Caller,
    connect,
    dialplan,
    extension,
    heard,
    leaks_of,
    monitored_files,
    write_prompts,
)
from tests.pbx.rig import Rig, rig
from tests.pbx.tones import OPEN_BOT_HZ
from turnrec.core.entry import EntryKind, Origin
from turnrec.core.errors import HeldByAnotherError, RecordingStoppedError
from turnrec.core.policy import Action
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation, Release, ensure
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

FLOW = """
version: 1
bots:
  manual:
    default: off
    stop_is_final: false
    nodes: {begin: start, stop: stop, ask: pause, open: resume, plain: }
  final:
    nodes: {begin: start, stop: stop, ask: pause, open: resume, plain: }
  anew:
    nodes: {begin: {action: start, new: true}, ask: pause, open: resume, plain: }
  scoped:
    nodes: {once: {action: pause, scope: turn}, ask: pause, open: resume, plain: }
"""

# What each bot does: the node of each turn; in capitals where its prompt must be in a file, and
# in no file otherwise.
TURNS = {
    "manual": "plain open BEGIN stop plain BEGIN PLAIN ask OPEN stop",
    "manual-held": "ask begin OPEN",
    "final": "PLAIN stop begin open ask",
    "anew": "PLAIN BEGIN PLAIN ask begin OPEN",
    "scoped": "once once PLAIN ask plain unheard-of OPEN",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a bot's turns came to, and how many open prompts each of its recordings holds."""

    statuses: list[str]
    states: list[str]
    prompts: list[int]


def steps(name: str) -> list[str]:
    """A bot's call in the dialplan's words; its name here is turnrec's external id of the call."""
    lines = [f"Gosub(turnrec-start,s,1(${{W1}},{name}))"]
    for node in TURNS[name].split():
        prompt = "bot400" if node.isupper() else "bot1000"
        lines += [
            f"Gosub(turnrec-turn,s,1({node.lower()}))",
            f"AGI(${{MARK}}/mark?turn:{SAY}&${{WHO}})",
            f"Playback(${{SOUNDS}}/{prompt})",
        ]
    return lines


@pytest.fixture(scope="module", params=list(Release), ids=lambda release: f"asterisk{release}")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """What became of every bot's call, all made side by side."""
    return asyncio.run(call_every_bot(ensure(request.param), tmp_path_factory.mktemp("rules")))


async def call_every_bot(installation: Installation, folder: Path) -> dict[str, Outcome]:
    """Call each bot once."""
    bots = BOT + "".join(extension(f"test-{name}", *steps(name)) for name in TURNS)
    async with (
        rig(installation, folder, FLOW, bots) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = {name: Caller(here, f"test-{name}") for name in TURNS}
        await asyncio.gather(*(connect(here, phone, caller) for caller in callers.values()))
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers.values()))
        recordings = await here.recordings(8)
        assert {one.status for one in recordings} == {"done"}
        assert leaks_of(here) == []
        calls = {one.call_id: one.external_id for one in await here.service.ledger.calls()}
        return {
            name: Outcome(
                statuses=caller.statuses("turn"),
                states=[mark.state for mark in caller.all("turn")],
                prompts=[
                    prompts_in(here, one) for one in recordings if calls[one.call_id or ""] == name
                ],
            )
            for name, caller in callers.items()
        }


def prompts_in(here: Rig, recording: RecordingRecord) -> int:
    """How many open prompts a recording holds."""
    if recording.file is None:
        return 0
    return round(heard([here.file(recording)])[OPEN_BOT_HZ] / OPEN_S)


def test_manual_mode_records_from_a_start_to_its_stop_and_nothing_else(
    outcomes: dict[str, Outcome],
) -> None:
    assert outcomes["manual"] == Outcome(
        ["OK"] * 10,
        [
            "inactive",
            "inactive",
            "recording",
            "inactive",
            "inactive",
            "recording",
            "recording",
            "paused",
            "recording",
            "inactive",
        ],
        [1, 3],
    )


def test_a_pause_before_the_first_start_is_kept(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["manual-held"] == Outcome(["OK"] * 3, ["inactive", "paused", "recording"], [1])


def test_a_final_stop_is_the_last_word(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["final"] == Outcome(
        ["OK", "OK", "REFUSED", "REFUSED", "REFUSED"], ["recording", *["stopped"] * 4], [1]
    )


def test_start_with_new_finishes_one_recording_and_begins_another(
    outcomes: dict[str, Outcome],
) -> None:
    states = ["recording", "recording", "recording", "paused", "paused", "recording"]
    assert outcomes["anew"] == Outcome(["OK"] * 6, states, [1, 2, 1])


def test_a_pause_with_scope_turn_ends_by_itself_and_a_sticky_one_does_not(
    outcomes: dict[str, Outcome],
) -> None:
    states = ["paused", "paused", "recording", "paused", "paused", "paused", "recording"]
    assert outcomes["scoped"] == Outcome(["OK"] * 7, states, [2])


async def test_an_operator_pauses_on_top_of_the_bot_and_neither_undoes_the_other(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk, tmp_path, FLOW, dialplan("start", "open", "ask", "open")) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        caller = Caller(here, "test-final")
        caller.hold_at("opened")
        await connect(here, phone, caller)
        await caller.reached("opened")

        assert await operator(here, Action.PAUSE) == ("paused", ["operator"])
        assert await monitored_files(here) == []
        assert await operator(here, Action.RESUME) == ("recording", [])
        assert len(await monitored_files(here)) == 1
        assert await operator(here, Action.PAUSE) == ("paused", ["operator"])

        caller.hold_at("asked")
        caller.let_on("opened")
        await caller.reached("asked")
        assert await operator(here, Action.RESUME) == ("paused", ["turn"])
        with pytest.raises(HeldByAnotherError, match="held by: turn"):
            await operator(here, Action.RESUME)
        assert await monitored_files(here) == []
        assert await operator(here, Action.PAUSE) == ("paused", ["operator", "turn"])

        caller.hold_at("opened")
        caller.let_on("asked")
        await caller.reached("opened", 2)
        assert caller.all("open")[1].state == "paused"
        assert await monitored_files(here) == []
        assert await operator(here, Action.STOP) == ("stopped", [])
        with pytest.raises(RecordingStoppedError):
            await operator(here, Action.START)
        caller.let_on()
        await caller.reaches_the_end()
        (recording,) = await here.recordings(1)
        assert prompts_in(here, recording) == 1
        assert leaks_of(here) == []
        asked = [
            one.entry
            for one in await here.service.ledger.entries(limit=None)
            if one.entry.kind is EntryKind.ACTION_ASKED and one.entry.origin is Origin.CLI
        ]
        assert {one.actor for one in asked} == {"cli:tester"}
        assert len(asked) == 8


async def operator(here: Rig, action: Action) -> tuple[object, object]:
    """Have an operator act on the one live call; how the recorder stands then."""
    (call,) = here.service.calls.live()
    done = await here.operate(call.id, action)
    return done["state"], done["holds"]
