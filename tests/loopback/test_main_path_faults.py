"""The main path when something breaks: nothing records, the recorder is held, a turn mends it.

Each request is broken at every one of its commands, in every way: that those are all of them is
the first test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from tests.loopback import ami_house
from tests.loopback.clock import PATIENCE_MS, leap
from tests.loopback.fake_ami import FakeAction, error
from tests.loopback.fake_asterisk import (
    DEAD,
    Disk,
    Reaction,
    answered_with,
    cut_after,
    cut_before,
    done_but_answered_with,
    held_back,
    ignored,
    never_answered,
)
from tests.loopback.fake_manager import speaks_for
from tests.loopback.house import HANG_MS, SOON_MS, House
from turnrec.answer import Status
from turnrec.calls import Asker
from turnrec.core.entry import EntryKind, Origin
from turnrec.core.policy import Action
from turnrec.core.recorder import Recorder, Source, State

SECRET = b"4321 8765 2109"
RECORDING = Recorder(State.RECORDING)
OPERATOR = Asker(Origin.HTTP, "operator:anna")
NOT_AGI = b"hello\n"

FAULTS: dict[str, Reaction] = {
    "cut before it": cut_before,
    "cut after it": cut_after,
    "never answered": never_answered,
    "not done, garbage": answered_with(NOT_AGI),
    "done, garbage": done_but_answered_with(NOT_AGI),
}
COMMANDS = {
    "pause": ["StopMixMonitor", "GET FULL VARIABLE", "MSet"],
    "resume": ["Wait", "MixMonitor", "GET FULL VARIABLE", "MSet"],
    "start": ["Wait", "MixMonitor", "GET FULL VARIABLE", "MSet"],
    "stop": ["StopMixMonitor", "GET FULL VARIABLE", "MSet"],
    "hangup": ["StopMixMonitor", "GET FULL VARIABLE"],
}


def patience_ms(fault: str) -> int:
    return PATIENCE_MS if fault == "never answered" else HANG_MS


def every_break(request: str) -> pytest.MarkDecorator:
    numbers = range(1, len(COMMANDS[request]) + 1)
    return pytest.mark.parametrize(("number", "fault"), list(product(numbers, FAULTS)))


@asynccontextmanager
async def broken_at(folder: Path, number: int, fault: str, *nodes: str) -> AsyncIterator[House]:
    """A call after these turns, whose next request breaks at its n-th command."""
    async with House.open(folder, answer_timeout_ms=patience_ms(fault)) as house:
        await house.hear(*nodes)
        house.caller.on(number, FAULTS[fault])
        yield house


async def resumes_on_what_is_known(house: House) -> None:
    """The next turn that may be recorded finds out what runs, before it begins anything."""
    house.caller.wire.clear()
    assert await house.ask("turn", "confirm") == "OK"
    verbs = house.caller.verbs
    assert verbs[0] == "GET FULL VARIABLE"
    assert verbs[-4:] == ["Wait", "MixMonitor", "GET FULL VARIABLE", "MSet"]
    assert house.recorder == RECORDING
    assert [one.file for one in house.caller.running] == [
        house.spool.asterisk_path(house.caller.variables["TURNREC_PART"])
    ]


def alarms(house: House) -> list[str]:
    return [entry.result for entry in house.journal.entries if entry.kind is EntryKind.ALARM]


async def test_these_are_the_commands_of_each_request(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        requests = {
            "start": ("start", "restartable"),
            "pause": ("turn", "ask_aadhaar"),
            "resume": ("turn", "confirm"),
            "stop": ("turn", "goodbye"),
        }
        for name, request in requests.items():
            house.caller.wire.clear()
            assert await house.ask(*request) == "OK"
            assert house.caller.verbs == COMMANDS[name], name
        await house.ask("action", "start")
        house.caller.wire.clear()
        await house.hang_up()
        assert house.caller.verbs == COMMANDS["hangup"]


# -- connections that break ----------------------------------------------------------------------


@every_break("pause")
async def test_a_pause_that_breaks_is_kept_and_nothing_records(
    tmp_path: Path, number: int, fault: str
) -> None:
    async with broken_at(tmp_path, number, fault) as house:
        await house.ask("turn", "ask_aadhaar")
        house.caller.speak(SECRET)
        assert house.recorder == Recorder(State.PAUSED, frozenset({Source.TURN, Source.FAULT}))
        assert await house.ask("turn", "small_talk") == "OK"
        house.caller.speak(SECRET)
        assert house.recorder.is_paused
        assert house.caller.captured == b""
        assert alarms(house)
        await resumes_on_what_is_known(house)


@every_break("pause")
async def test_the_next_turn_may_come_before_a_break_is_noticed(
    tmp_path: Path, number: int, fault: str
) -> None:
    async with broken_at(tmp_path, number, fault) as house:
        await house.caller.gosub("turn", "ask_aadhaar")
        await house.caller.gosub("turn", "small_talk")
        house.caller.speak(SECRET)
        await house.quiet()
        house.caller.speak(SECRET)
        assert house.caller.captured == b""
        assert house.recorder.is_paused


@every_break("resume")
async def test_a_resume_that_breaks_is_held_by_a_fault(
    tmp_path: Path, number: int, fault: str
) -> None:
    async with broken_at(tmp_path, number, fault, "ask_aadhaar") as house:
        status = await house.ask("turn", "confirm")
        assert house.recorder == Recorder(State.PAUSED, frozenset({Source.FAULT}))
        assert status == "OK" or house.caller.running == []
        await resumes_on_what_is_known(house)


@every_break("resume")
async def test_whatever_a_resume_left_the_next_pause_ends(
    tmp_path: Path, number: int, fault: str
) -> None:
    async with broken_at(tmp_path, number, fault, "ask_aadhaar") as house:
        await house.ask("turn", "confirm")
        assert await house.ask("turn", "ask_otp") == "OK"
        house.caller.speak(SECRET)
        assert house.caller.captured == b""
        assert house.caller.running == []


@every_break("start")
async def test_a_start_that_breaks_is_held_and_the_next_turn_begins(
    tmp_path: Path, number: int, fault: str
) -> None:
    async with House.open(tmp_path, answer_timeout_ms=patience_ms(fault)) as house:
        house.caller.on(number, FAULTS[fault])
        status = await house.ask("start", "kyc")
        assert house.recorder == Recorder(State.PAUSED, frozenset({Source.FAULT}))
        assert status == "OK" or house.caller.running == []
        await resumes_on_what_is_known(house)


@every_break("stop")
async def test_a_final_stop_that_breaks_stays_stopped(
    tmp_path: Path, number: int, fault: str
) -> None:
    async with broken_at(tmp_path, number, fault) as house:
        await house.ask("turn", "goodbye")
        house.caller.speak(SECRET)
        assert house.recorder.state is State.STOPPED
        assert house.caller.running == []
        assert await house.ask("turn", "confirm") == "REFUSED"
        house.caller.speak(SECRET)
        assert house.caller.captured == b""
        await house.calls.settle()
        assert len(house.recordings.finished) == 1


@every_break("hangup")
async def test_a_hang_up_that_breaks_ends_the_call_all_the_same(
    tmp_path: Path, number: int, fault: str
) -> None:
    async with broken_at(tmp_path, number, fault) as house:
        await house.hang_up()
        assert house.calls.live() == []
        assert len(house.recordings.finished) == 1
        assert house.journal.kinds().count(EntryKind.CALL_ENDED) == 1


async def test_a_turn_that_finds_nobody_fails_closed_by_itself(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        await house.server.close(patience_s=0)
        assert await house.ask("turn", "ask_aadhaar") == "FAILCLOSED"
        assert house.caller.running == []


@pytest.mark.parametrize("verb", COMMANDS["pause"])
async def test_a_server_that_ends_in_mid_turn_leaves_nothing_recording(
    tmp_path: Path, verb: str
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        before = house.caller.verbs.count(verb)
        house.caller.on(verb, held_back(asyncio.Event(), done_at_once=False))
        turn = asyncio.create_task(house.caller.agi("turn", "ask_aadhaar"))
        house.caller.variables["TURNREC_STATUS"] = ""
        await house.caller.received(verb, before + 1)
        await house.server.close(patience_s=0)
        turn.cancel()
        await asyncio.wait([turn])
        assert house.caller.status == ""
        house.caller.settle()
        assert house.caller.running == []


@pytest.mark.parametrize("verb", ["StopMixMonitor", "MSet"])
async def test_a_dead_channels_refusal_is_no_confirmation(tmp_path: Path, verb: str) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        house.caller.on(verb, answered_with(DEAD))
        assert await house.ask("turn", "ask_aadhaar") == "FAILCLOSED"
        assert house.recorder.holds == {Source.TURN, Source.FAULT}


async def test_a_recorder_does_not_think_it_records_when_its_dialplan_was_not_told(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("ask_aadhaar")
        house.caller.on("MSet", answered_with(DEAD))
        assert await house.ask("turn", "confirm") == "FAILCLOSED"
        assert house.caller.running == []
        assert house.recorder.is_paused


# -- stops that don't stop -----------------------------------------------------------------------


async def test_a_stop_that_did_nothing_fails_closed_and_is_tried_again(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        house.caller.on("StopMixMonitor", ignored)
        assert await house.ask("turn", "ask_aadhaar") == "FAILCLOSED"
        assert house.caller.error == "monitor-still-runs"
        assert house.caller.verbs.count("StopMixMonitor") == 2
        assert house.caller.running == []
        assert alarms(house) == ["monitor-still-runs"]
        await resumes_on_what_is_known(house)


async def test_while_a_monitor_may_run_its_id_stays_for_the_dialplan_to_stop(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        (monitor,) = house.caller.running
        house.caller.settles = False
        house.caller.on("StopMixMonitor", ignored, times=2)
        assert await house.ask("turn", "ask_aadhaar") == "FAILCLOSED"
        assert house.caller.variables["TURNREC_MIXMON_ID"] == monitor.id
        house.caller.settle()
        assert house.caller.running == []


@pytest.mark.parametrize("node", ["ask_otp", "small_talk", "ask_aadhaar", "no_such_node"])
async def test_every_turn_tries_to_end_what_a_failed_pause_left(tmp_path: Path, node: str) -> None:
    """A bot whose dialplan ignores FAILCLOSED goes on; the next answer must not be OK over it."""
    async with House.open(tmp_path) as house:
        await house.hear()
        house.caller.settles = False
        house.caller.on("StopMixMonitor", ignored, times=2)
        assert await house.ask("turn", "ask_aadhaar") == "FAILCLOSED"
        assert len(house.caller.running) == 1
        assert await house.ask("turn", node) == "OK"
        assert house.caller.running == []


@pytest.mark.parametrize("fault", [ignored, cut_before])
async def test_a_monitor_that_may_run_is_remembered_though_the_channel_forgets_its_id(
    tmp_path: Path, fault: Reaction
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        house.caller.settles = False
        house.caller.on("StopMixMonitor", fault, times=2)
        await house.ask("turn", "ask_aadhaar")
        assert len(house.caller.running) == 1
        house.caller.heal()
        house.caller.variables["TURNREC_MIXMON_ID"] = ""
        assert await house.ask("turn", "ask_aadhaar") == "OK"
        assert house.caller.running == []


@pytest.mark.parametrize(
    "request_", [("turn", "confirm", "1"), ("action", "start"), ("start", "x")]
)
async def test_no_refusal_leaves_a_monitor_that_should_not_run(
    tmp_path: Path, request_: tuple[str, ...]
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        house.caller.settles = False
        house.caller.on("StopMixMonitor", ignored, times=2)
        assert await house.ask("turn", "ask_aadhaar", "2") == "FAILCLOSED"
        await house.ask(*request_)
        assert house.caller.status == "FAILCLOSED" or house.caller.running == []


async def test_after_a_final_stop_that_failed_a_turn_tries_again_to_end_the_monitor(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        house.caller.settles = False
        house.caller.on("StopMixMonitor", ignored, times=2)
        assert await house.ask("turn", "goodbye") == "FAILCLOSED"
        await house.ask("turn", "ask_aadhaar")
        assert house.caller.status == "FAILCLOSED" or house.caller.running == []


async def test_what_a_broken_pause_left_behind_is_not_ended_in_a_strangers_name(
    tmp_path: Path,
) -> None:
    """IDs come again: by the time a suspect is looked up, its ID may be a queue's recorder."""
    async with House.open(tmp_path) as house:
        await house.hear()
        house.caller.on("StopMixMonitor", cut_after)
        assert await house.ask("turn", "ask_aadhaar") == "FAILCLOSED"
        stranger = house.caller.start_foreign_monitor()
        assert stranger.id == house.caller.monitors[0].id
        assert await house.ask("turn", "confirm") == "OK"
        assert stranger in house.caller.running


async def test_a_monitor_that_somebody_stopped_is_begun_anew_by_the_turn_that_may(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        house.caller.run("StopMixMonitor", "")
        assert await house.ask("turn", "confirm") == "OK"
        assert house.recorder == RECORDING
        assert len(house.caller.running) == 1
        assert alarms(house) == ["monitor-lost"]


async def test_a_monitor_that_somebody_stopped_is_no_obstacle_to_a_pause(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        house.caller.run("StopMixMonitor", "")
        assert await house.ask("turn", "ask_aadhaar") == "OK"
        assert house.recorder == Recorder(State.PAUSED, frozenset({Source.TURN}))


# -- starts that don't start ---------------------------------------------------------------------


@pytest.mark.parametrize("disk", [Disk.FULL, Disk.READ_ONLY])
async def test_without_a_file_the_call_goes_on_unrecorded_and_a_later_turn_begins(
    tmp_path: Path, disk: Disk
) -> None:
    async with House.open(tmp_path) as house:
        house.pbx.disk = disk
        assert await house.ask("start", "kyc") == "FAILCLOSED"
        assert house.caller.error == "segment-not-started"
        assert alarms(house) == ["segment-not-started"]
        assert house.recorder == Recorder(State.PAUSED, frozenset({Source.FAULT}))
        assert house.caller.running == []
        house.pbx.disk = Disk.WORKS
        assert await house.ask("turn", "greeting") == "OK"
        assert house.recorder == RECORDING


@pytest.mark.parametrize("disk", [Disk.FULL, Disk.READ_ONLY])
async def test_a_monitor_without_a_file_does_not_keep_the_call_unrecorded_for_ever(
    tmp_path: Path, disk: Disk
) -> None:
    """Its connection breaks before the look: what it started is found by the next turn."""
    async with House.open(tmp_path) as house:
        await house.hear("ask_aadhaar")
        house.pbx.disk = disk
        house.caller.settles = False
        house.caller.on("MixMonitor", cut_after)
        await house.ask("turn", "confirm")
        house.pbx.disk = Disk.WORKS
        await house.ask("turn", "confirm")
        assert await house.ask("turn", "confirm") == "OK"
        assert house.recorder == RECORDING


async def test_a_segment_that_did_not_start_is_a_gap_that_says_why(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("ask_aadhaar")
        house.caller.on("MixMonitor", ignored)
        assert await house.ask("turn", "confirm") == "FAILCLOSED"
        await house.ask("turn", "confirm")
        await house.hang_up()
        (finished,) = house.recordings.finished
        assert finished.gaps[0].sources == ("fault", "turn")
        assert [segment.part for segment in finished.segments] == [
            "ID0002-001.wav",
            "ID0002-003.wav",
        ]


# -- requests that cross -------------------------------------------------------------------------


@asynccontextmanager
async def a_pause_that_could_not_wait(folder: Path) -> AsyncIterator[House]:
    """Asterisk hangs over a resume; a pause gives up waiting; then Asterisk starts the monitor."""
    async with House.open(folder, deadline_ms=SOON_MS) as house:
        await house.hear("ask_aadhaar")
        release = asyncio.Event()
        started = house.caller.verbs.count("MixMonitor")
        house.caller.on("MixMonitor", held_back(release, done_at_once=False))
        resume = asyncio.create_task(house.caller.agi("turn", "confirm"))
        await house.caller.received("MixMonitor", started + 1)
        assert await house.caller.gosub("turn", "ask_otp") == "FAILCLOSED"
        assert house.caller.error == "recorder-busy"
        release.set()
        await resume
        await house.quiet()
        yield house


async def test_a_turn_that_could_not_wait_leaves_nothing_recording(tmp_path: Path) -> None:
    async with a_pause_that_could_not_wait(tmp_path) as house:
        house.caller.speak(SECRET)
        assert house.caller.running == []
        assert house.caller.captured == b""
        assert Source.FAULT in house.recorder.holds
        await resumes_on_what_is_known(house)


async def test_a_pause_that_could_not_wait_is_not_forgotten(tmp_path: Path) -> None:
    """It failed, and a failed pause lasts until a turn says otherwise, as every pause does."""
    async with a_pause_that_could_not_wait(tmp_path) as house:
        await house.ask("turn", "small_talk")
        house.caller.speak(SECRET)
        assert house.caller.captured == b""


async def test_a_pause_that_could_not_wait_for_an_answer_to_be_written_is_not_forgotten(
    tmp_path: Path,
) -> None:
    """The recorder had changed already; what is slow is telling the dialplan."""
    async with House.open(tmp_path, deadline_ms=SOON_MS) as house:
        await house.hear("ask_aadhaar")
        release = asyncio.Event()
        told = house.caller.verbs.count("MSet")
        house.caller.on("MSet", held_back(release))
        resume = asyncio.create_task(house.caller.agi("turn", "confirm"))
        await house.caller.received("MSet", told + 1)
        assert await house.caller.gosub("turn", "ask_otp") == "FAILCLOSED"
        release.set()
        await resume
        await house.ask("turn", "small_talk")
        house.caller.speak(SECRET)
        assert house.caller.captured == b""
        assert Source.TURN in house.recorder.holds


async def test_a_request_from_outside_that_could_not_wait_spoils_nothing(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path, deadline_ms=SOON_MS) as (house, _):
        await house.hear("ask_aadhaar")
        release = asyncio.Event()
        started = house.caller.verbs.count("MixMonitor")
        house.caller.on("MixMonitor", held_back(release))
        resume = asyncio.create_task(house.ask("turn", "confirm"))
        await house.caller.received("MixMonitor", started + 1)
        answer = await house.calls.act(house.by_ami, Action.PAUSE, Source.OPERATOR, OPERATOR)
        assert answer.error is not None
        assert answer.error.id == "recorder-busy"
        release.set()
        assert await resume == "OK"
        assert house.recorder == RECORDING


# -- AMI -----------------------------------------------------------------------------------------


house_with_ami = partial(ami_house.house_with_ami, action_timeout_ms=PATIENCE_MS)


def unanswered(_: FakeAction) -> None:
    """Read, and never answered: the time in which it had to be has passed."""
    leap()


async def by_operator(house: House, action: Action) -> Status:
    return (await house.calls.act(house.by_ami, action, Source.OPERATOR, OPERATOR)).status


async def test_while_ami_is_down_turns_go_on_and_an_operator_is_told(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        answer = await house.calls.act(house.by_ami, Action.PAUSE, Source.OPERATOR, OPERATOR)
        assert answer.error is not None
        assert answer.error.id == "asterisk-unreachable"
        assert house.recorder == RECORDING
        assert await house.ask("turn", "ask_aadhaar") == "OK"
        assert house.caller.running == []


@pytest.mark.parametrize("action", ["StopMixMonitor", "Getvar"])
async def test_an_operators_pause_that_asterisk_does_not_answer_is_kept(
    tmp_path: Path, action: str
) -> None:
    async with house_with_ami(tmp_path) as (house, peer):
        await house.hear("greeting")
        peer.on(action, unanswered)
        assert await by_operator(house, Action.PAUSE) is Status.FAILCLOSED
        assert house.recorder.holds == {Source.OPERATOR, Source.FAULT}
        speaks_for(peer, house.caller)
        await house.ask("turn", "confirm")
        house.caller.speak(SECRET)
        assert house.caller.running == []


async def test_an_operators_stop_that_asterisk_does_not_answer_is_made_good_by_the_next_turn(
    tmp_path: Path,
) -> None:
    """Nobody in the dialplan waited for it, so nobody there fails closed."""
    async with house_with_ami(tmp_path) as (house, peer):
        await house.hear("greeting")
        peer.on("StopMixMonitor", unanswered)
        assert await by_operator(house, Action.STOP) is Status.FAILCLOSED
        assert len(house.caller.running) == 1
        await house.ask("turn", "ask_aadhaar")
        assert house.caller.running == []


async def test_ami_that_is_lost_after_a_start_leaves_a_fault_not_a_secret_monitor(
    tmp_path: Path,
) -> None:
    async with house_with_ami(tmp_path) as (house, peer):
        await house.hear("greeting")
        assert await by_operator(house, Action.PAUSE) is Status.OK
        house.pbx.disk = Disk.SLOW
        asked = peer.count("Getvar")
        resume = asyncio.create_task(by_operator(house, Action.RESUME))
        await peer.received("MixMonitor")
        await peer.received("Getvar", asked + 2)
        await peer.stop_listening()
        (await peer.session()).abort()
        assert await resume is Status.FAILCLOSED
        house.pbx.catch_up()
        await house.ask("turn", "ask_aadhaar")
        house.caller.speak(SECRET)
        assert house.caller.running == []


async def test_an_asker_that_goes_away_leaves_no_monitor_that_nobody_knows(tmp_path: Path) -> None:
    """An HTTP request is cancelled in the middle of a resume."""
    async with house_with_ami(tmp_path) as (house, peer):
        await house.hear("greeting")
        assert await by_operator(house, Action.PAUSE) is Status.OK

        def start_and_say_nothing(action: FakeAction) -> None:
            house.caller.run("MixMonitor", f"{action.get('File')},{action.get('Options')}")
            leap()

        peer.on("MixMonitor", start_and_say_nothing)
        resume = asyncio.create_task(by_operator(house, Action.RESUME))
        await peer.received("MixMonitor")
        resume.cancel()
        await asyncio.wait([resume])
        await house.ask("turn", "ask_aadhaar")
        house.caller.speak(SECRET)
        assert house.caller.running == []


async def test_a_pause_that_turnrec_never_heard_of_is_not_lifted_by_a_turn_without_an_action(
    tmp_path: Path,
) -> None:
    """The dialplan found nobody and failed closed by itself; later the loss is noticed."""
    async with house_with_ami(tmp_path) as (house, _):
        await house.hear("greeting")
        port, house.pbx.port = house.pbx.port, 0
        assert await house.ask("turn", "ask_aadhaar") == "FAILCLOSED"
        house.pbx.port = port
        await by_operator(house, Action.RESUME)
        for node in ("small_talk", "greeting"):
            await house.ask("turn", node)
            house.caller.speak(SECRET)
        assert house.caller.captured == b""
        assert await house.ask("turn", "confirm") == "OK"
        assert house.recorder == RECORDING


async def test_a_start_that_asterisk_refuses_is_held_and_answered(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, peer):
        await house.hear("greeting")
        assert await by_operator(house, Action.PAUSE) is Status.OK
        peer.on("MixMonitor", error("No such channel"))
        assert await by_operator(house, Action.RESUME) is Status.FAILCLOSED
        assert house.recorder.is_paused
        assert house.caller.running == []


async def test_a_variable_that_asterisk_refuses_does_not_hide_what_was_done(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, peer):
        await house.hear("greeting")
        peer.on("Setvar", error("No such channel"))
        assert await by_operator(house, Action.PAUSE) is Status.OK
        assert house.caller.running == []


async def test_muting_turns_need_ami_and_fail_closed_without_it(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear(bot="muting")
        assert await house.ask("turn", "ask_aadhaar") == "FAILCLOSED"
        house.caller.speak(SECRET)
        assert house.caller.captured == b""
        assert Source.TURN in house.recorder.holds


async def test_muting_turns_capture_nothing_of_a_paused_turn(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, _):
        await house.hear(bot="muting")
        house.caller.speak(b"open")
        assert await house.ask("turn", "ask_aadhaar") == "OK"
        house.caller.speak(SECRET)
        assert await house.ask("turn", "confirm") == "OK"
        house.caller.speak(b"again")
        await house.hang_up()
        assert house.caller.captured == b"openagain"
        assert len(house.caller.monitors) == 1


async def test_a_mute_that_is_not_answered_ends_the_monitor(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, peer):
        await house.hear(bot="muting")
        peer.on("MixMonitorMute", unanswered)
        assert await house.ask("turn", "ask_aadhaar") == "FAILCLOSED"
        house.caller.speak(SECRET)
        assert house.caller.captured == b""
        assert house.caller.running == []


# -- a ledger that takes no more -----------------------------------------------------------------


async def test_nothing_begins_that_the_ledger_cannot_vouch_for_and_a_pause_goes_on(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        house.journal.is_open = False
        assert await house.ask("turn", "ask_aadhaar") == "OK"
        assert house.caller.running == []
        assert await house.ask("turn", "confirm") == "FAILCLOSED"
        assert house.caller.error == "ledger-unavailable"
        assert house.caller.running == []
        house.journal.is_open = True
        assert await house.ask("turn", "confirm") == "OK"
        assert len(house.caller.running) == 1


async def test_a_call_that_starts_with_a_full_ledger_goes_on_unrecorded(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        house.journal.is_open = False
        assert await house.ask("start", "kyc") == "FAILCLOSED"
        assert house.caller.running == []
        house.journal.is_open = True
        assert await house.ask("turn", "confirm") == "OK"
