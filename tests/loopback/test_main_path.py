"""The main path over real bytes, from a dialplan's Gosub to what Asterisk's monitors captured."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import pytest

from tests.loopback.ami_house import house_with_ami
from tests.loopback.fake_asterisk import ASTERISK_SPOOL, FakeChannel, amid_hangup, held_back
from tests.loopback.house import House
from turnrec.answer import Status
from turnrec.asterisk.spool import WAV_HEADER_BYTES
from turnrec.calls import Asker
from turnrec.core.call import Party
from turnrec.core.entry import EntryKind, Origin
from turnrec.core.parties import PartyClass
from turnrec.core.policy import Action
from turnrec.core.recorder import Recorder, Source, State

SECRET = b"4321 8765 2109"
RECORDING = Recorder(State.RECORDING)
OPERATOR = Asker(Origin.HTTP, "operator:anna")
OWN_MONITOR = "GET FULL VARIABLE ${TURNREC_MIXMON_ID}|${MIXMONITOR(${TURNREC_MIXMON_ID},filename)}"


def paused(*holds: Source) -> Recorder:
    return Recorder(State.PAUSED, frozenset(holds))


def variables(command: str) -> dict[str, str]:
    """What an MSet sets, in its order."""
    pairs = command.removeprefix("EXEC MSet ").split(",")
    return dict(pair.split("=", 1) for pair in pairs)


def parts(spool: Path) -> dict[str, bytes]:
    """The audio of each part on disk."""
    return {part.name: part.read_bytes()[WAV_HEADER_BYTES:] for part in spool.iterdir()}


# -- what is captured ----------------------------------------------------------------------------


async def test_nothing_of_a_paused_turn_is_captured_and_everything_else_is(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        caller = house.caller
        await house.hear("greeting")
        caller.speak(b"good morning ")
        assert await caller.gosub("turn", "ask_aadhaar") == "OK"
        caller.speak(SECRET)
        assert await caller.gosub("turn", "confirm") == "OK"
        caller.speak(b"thank you")
        await caller.hang_up()
        assert caller.captured == b"good morning thank you"
        assert parts(tmp_path) == {
            "ID0002-001.wav": b"good morning ",
            "ID0002-002.wav": b"thank you",
        }


@pytest.mark.parametrize("node", ["ask_aadhaar", "ask_otp", "no_such_node", "(invalid)", ""])
async def test_a_turn_that_must_not_be_recorded_leaves_no_monitor(
    tmp_path: Path, node: str
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting", node)
        assert house.caller.running == []
        assert house.recorder == paused(Source.TURN)


async def test_the_call_is_recorded_from_its_start_where_the_default_is_on(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        assert house.recorder == RECORDING
        (monitor,) = house.caller.running
        assert monitor.file == str(ASTERISK_SPOOL / "ID0002-001.wav")


async def test_in_manual_mode_nothing_is_recorded_until_a_start(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting", bot="manual")
        assert house.caller.monitors == []
        assert await house.caller.gosub("action", "start") == "OK"
        assert house.recorder == RECORDING


async def test_everything_holds_when_bytes_come_one_at_a_time_and_the_caller_hangs_up(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        house.pbx.bytewise = True
        house.caller.on(None, amid_hangup, times=99)
        await house.hear("ask_aadhaar")
        house.caller.speak(SECRET)
        assert await house.caller.gosub("turn", "confirm") == "OK"
        assert house.caller.captured == b""
        assert house.recorder == RECORDING


# -- the order of things -------------------------------------------------------------------------


async def test_a_pause_is_done_then_looked_at_then_answered(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        (monitor,) = house.caller.running
        house.caller.wire.clear()
        await house.caller.gosub("turn", "ask_aadhaar")
        *before, answer, last = house.caller.wire
        assert before == [
            f"> EXEC StopMixMonitor {monitor.id}",
            "< 200 result=0",
            f"> {OWN_MONITOR}",
            f"< 200 result=1 ({monitor.id}|)",
        ]
        assert answer.startswith("> EXEC MSet ")
        assert last == "< 200 result=0"


async def test_a_resume_lets_the_guard_pass_then_starts_then_looks_then_answers(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("ask_aadhaar")
        house.caller.wire.clear()
        await house.caller.gosub("turn", "confirm")
        assert house.caller.verbs == ["Wait", "MixMonitor", "GET FULL VARIABLE", "MSet"]
        assert house.caller.commands[:2] == [
            "EXEC Wait 0.080",
            f"EXEC MixMonitor {ASTERISK_SPOOL}/ID0002-002.wav,i(TURNREC_MIXMON_ID)",
        ]


@pytest.mark.parametrize("verb", ["StopMixMonitor", "GET FULL VARIABLE"])
async def test_a_pause_is_not_answered_while_asterisk_owes_an_answer(
    tmp_path: Path, verb: str
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        release = asyncio.Event()
        house.caller.on(verb, held_back(release, done_at_once=False))
        turn = asyncio.create_task(house.caller.gosub("turn", "ask_aadhaar"))
        await house.caller.received(verb, house.caller.verbs.count(verb) + 1)
        await house.pbx.round_trip()
        assert house.caller.verbs[-1] == verb
        assert house.caller.status == ""
        assert house.recorder == RECORDING
        release.set()
        assert await turn == "OK"
        assert house.recorder == paused(Source.TURN)


async def test_the_status_is_the_last_word(tmp_path: Path) -> None:
    """MSet sets in order: a status that came first could be read beside an old state."""
    async with House.open(tmp_path) as house:
        await house.hear("ask_aadhaar")
        *_, last = variables(house.caller.commands[-1])
        assert last == "TURNREC_STATUS"


async def test_each_request_is_answered_with_exactly_one_status(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting", "ask_aadhaar", "small_talk", "confirm")
        statuses = [one for one in house.caller.commands if "TURNREC_STATUS" in one]
        assert len(statuses) == 5
        assert all(one.startswith("EXEC MSet ") for one in statuses)


async def test_the_channels_variables_tell_all_that_a_restart_needs(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("ask_aadhaar")
        ours = {k: v for k, v in house.caller.variables.items() if k.startswith("TURNREC_")}
        assert re.fullmatch(r"[0-9]{16}", ours["TURNREC_SINCE"])
        assert ours == {
            "TURNREC_CALL_ID": "ID0001",
            "TURNREC_RECORDING_ID": "ID0002",
            "TURNREC_PART": "",
            "TURNREC_MIXMON_ID": "",
            "TURNREC_HOLDS": "turn",
            "TURNREC_AGENT": "",
            "TURNREC_TALK": "",
            "TURNREC_SINCE": ours["TURNREC_SINCE"],
            "TURNREC_BOT": "kyc",
            "TURNREC_NODE": "ask_aadhaar",
            "TURNREC_STATE": "paused",
            "TURNREC_ERROR": "",
            "TURNREC_STATUS": "OK",
        }
        await house.caller.gosub("turn", "confirm")
        assert house.caller.variables["TURNREC_MIXMON_ID"] == house.caller.running[0].id
        assert house.caller.variables["TURNREC_PART"] == "ID0002-002.wav"


async def test_the_ledger_tells_a_turn_in_the_order_in_which_it_happened(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        house.journal.entries.clear()
        await house.caller.gosub("turn", "ask_aadhaar")
        assert house.journal.kinds() == [
            EntryKind.TURN_BEGUN,
            EntryKind.ACTION_ASKED,
            EntryKind.SEGMENT_ENDED,
            EntryKind.ACTION_DONE,
        ]
        *_, ended, done = house.journal.entries
        assert ended.detail["proof"] == "monitor gone, file closed"
        assert (done.state, done.holds, done.node) == (State.PAUSED, (Source.TURN,), "ask_aadhaar")
        assert (done.action, done.source, done.actor) == (Action.PAUSE, Source.TURN, "bot:kyc")
        assert (done.call_id, done.recording_id) == ("ID0001", "ID0002")


# -- turns ---------------------------------------------------------------------------------------


async def test_the_same_turn_twice_is_the_same_turn(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting", "ask_aadhaar", "ask_aadhaar", "ask_aadhaar")
        assert house.journal.kinds().count(EntryKind.TURN_BEGUN) == 2
        assert house.caller.verbs.count("StopMixMonitor") == 1
        assert house.recorder == paused(Source.TURN)


async def test_a_pause_lasts_over_nodes_without_an_action_and_one_of_a_turn_does_not(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("ask_aadhaar", "small_talk")
        assert house.recorder == paused(Source.TURN)
        await house.caller.gosub("turn", "confirm")
        await house.caller.gosub("turn", "ask_otp")
        assert house.recorder == paused(Source.TURN)
        await house.caller.gosub("turn", "small_talk")
        assert house.recorder == RECORDING


async def test_a_pause_asked_for_without_a_turn_outlasts_a_pause_for_one_turn(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        assert await house.caller.gosub("action", "pause") == "OK"
        for node in ("ask_otp", "small_talk"):
            assert await house.caller.gosub("turn", node) == "OK"
            assert house.recorder == paused(Source.TURN)
        assert await house.caller.gosub("action", "resume") == "OK"
        assert house.recorder == RECORDING


async def test_an_unknown_node_wakes_somebody(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("ask_adhaar")
        alarms = [e.result for e in house.journal.entries if e.kind is EntryKind.ALARM]
        assert alarms == ["unknown-node"]


@pytest.mark.parametrize("bot", ["kyc", "lenient"])
async def test_no_digit_that_a_bot_passes_as_a_node_reaches_a_log_the_ledger_or_a_variable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bot: str
) -> None:
    digits = "4929501283746655"
    caplog.set_level(logging.DEBUG)
    async with House.open(tmp_path) as house:
        await house.hear("greeting", bot=bot)
        assert await house.caller.gosub("turn", digits) == "OK"
        assert house.caller.error == "unknown-node"
        assert house.caller.variables["TURNREC_NODE"] == "(XXXXXXXXXXXXXXXX)"
        assert await house.caller.gosub("turn", f"card_{digits}", "7") == "OK"
        assert await house.caller.gosub("turn", digits, "6") == "REFUSED"
        await house.hang_up()
        sentences = [e.detail["sentence"] for e in house.journal.entries if "sentence" in e.detail]
        assert f"bot '{bot}' has no node '(card_XXXXXXXXXXXXXXXX)'" in sentences
        ours = {name: value for name, value in house.caller.variables.items() if "TURNREC" in name}
        for written in (caplog.text, repr(house.journal.entries), repr(ours)):
            assert digits[:4] not in written


async def test_an_unknown_node_is_left_alone_only_where_the_bot_says_so(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("no_such_node", bot="lenient")
        assert house.recorder == RECORDING


async def test_a_stale_turn_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        assert await house.caller.gosub("turn", "ask_aadhaar", "7") == "OK"
        assert await house.caller.gosub("turn", "confirm", "6") == "REFUSED"
        assert house.caller.error == "turn-superseded"
        assert house.recorder == paused(Source.TURN)
        assert house.caller.variables["TURNREC_NODE"] == "ask_aadhaar"


async def test_a_stale_turn_is_entered_as_refused(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        await house.caller.gosub("turn", "ask_aadhaar", "7")
        await house.caller.gosub("turn", "confirm", "6")
        refused = [e for e in house.journal.entries if e.kind is EntryKind.ACTION_REFUSED]
        assert [entry.result for entry in refused] == ["turn-superseded"]


@pytest.mark.parametrize("number", ["seven", "-1", "1.5", "\u0667", "9" * 99, "9" * 4999], ids=len)
async def test_a_number_that_is_none_does_not_keep_a_turn_from_pausing(
    tmp_path: Path, number: str
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        assert await house.caller.gosub("turn", "ask_aadhaar", number) == "OK"
        assert house.recorder == paused(Source.TURN)


async def test_two_turns_at_once_never_cross_on_the_channel(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        house.caller.wire.clear()
        release = asyncio.Event()
        house.caller.on("StopMixMonitor", held_back(release))
        pause = asyncio.create_task(house.caller.agi("turn", "ask_aadhaar"))
        await house.caller.received("StopMixMonitor")
        resume = asyncio.create_task(house.caller.agi("turn", "confirm"))
        await house.pbx.round_trip()
        assert house.caller.verbs == ["StopMixMonitor"]
        release.set()
        await asyncio.gather(pause, resume)
        begun = ["Wait", "MixMonitor", "GET FULL VARIABLE", "MSet"]
        assert house.caller.verbs == ["StopMixMonitor", "GET FULL VARIABLE", "MSet", *begun]
        assert house.recorder == RECORDING
        assert house.call.turn is not None
        assert house.call.turn.node.name == "confirm"


# -- starting and stopping -----------------------------------------------------------------------


async def test_a_second_start_is_the_first_one_again(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("ask_aadhaar")
        call = house.call
        assert await house.caller.gosub("start", "kyc") == "OK"
        assert house.call is call
        assert house.recorder == paused(Source.TURN)
        assert house.journal.kinds().count(EntryKind.CALL_STARTED) == 1


async def test_two_starts_at_once_begin_one_call(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await asyncio.gather(*(house.caller.agi("start", "kyc") for _ in range(5)))
        assert house.journal.kinds().count(EntryKind.CALL_STARTED) == 1
        assert len(house.caller.running) == 1


async def test_a_start_by_another_bot_is_refused(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("ask_aadhaar")
        assert await house.caller.gosub("start", "manual") == "REFUSED"
        assert house.caller.error == "call-exists"
        assert house.recorder == paused(Source.TURN)


async def test_a_start_with_an_unknown_bot_is_refused_and_wakes_somebody(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        assert await house.caller.gosub("start", "kcy") == "REFUSED"
        assert house.caller.error == "unknown-bot"
        assert house.calls.live() == []
        assert EntryKind.ALARM in house.journal.kinds()


@pytest.mark.parametrize(
    "request_", [("turn", "ask_aadhaar"), ("action", "pause"), ("agent-pre", ""), ("bot",)]
)
async def test_what_is_asked_of_a_call_that_never_began_is_refused(
    tmp_path: Path, request_: tuple[str, ...]
) -> None:
    async with House.open(tmp_path) as house:
        assert await house.caller.gosub(*request_) == "REFUSED"
        assert house.caller.error == "unknown-call"
        assert house.caller.verbs == ["GET FULL VARIABLE", "MSet"]  # nobody had asked for a bot


async def test_a_call_whose_start_was_cut_off_begins_with_the_next_turn_that_may(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        house.caller.variables["TURNREC_ASKED_BOT"] = "kyc"
        assert await house.caller.gosub("turn", "ask_aadhaar") == "OK"
        assert house.caller.running == []
        assert house.recorder.is_paused
        assert await house.caller.gosub("turn", "confirm") == "OK"
        assert house.recorder == RECORDING
        assert len(house.caller.running) == 1


async def test_a_final_stop_is_final(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("goodbye")
        house.caller.speak(SECRET)
        for node in ("confirm", "next_topic", "ask_otp"):
            assert await house.caller.gosub("turn", node) == "REFUSED"
            assert house.caller.error == "recording-stopped"
        assert house.recorder == Recorder(State.STOPPED)
        assert house.caller.captured == b""
        assert len(house.recordings.finished) == 1


async def test_a_stop_that_is_not_final_lets_a_new_recording_begin(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("goodbye", bot="restartable")
        assert house.recorder == Recorder(State.INACTIVE)
        assert await house.caller.gosub("action", "start") == "OK"
        assert house.recorder == RECORDING
        await house.hang_up()
        assert [one.id for one in house.recordings.finished] == ["ID0002", "ID0003"]


async def test_a_new_recording_finishes_the_one_before_and_overwrites_nothing(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        house.caller.speak(b"first")
        await house.caller.gosub("turn", "next_topic")
        house.caller.speak(b"second")
        await house.hang_up()
        assert parts(tmp_path) == {"ID0002-001.wav": b"first", "ID0003-001.wav": b"second"}
        assert len(house.recordings.finished) == 2


async def test_a_word_that_is_no_action_is_refused_but_holds_first(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        assert await house.caller.gosub("action", "puase") == "REFUSED"
        assert house.caller.error == "unknown-action"
        assert house.recorder == paused(Source.TURN)
        assert house.caller.running == []


# -- other holds ---------------------------------------------------------------------------------


async def test_a_bots_resume_does_not_undo_an_operators_pause(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, _):
        await house.hear()
        calls, way = house.calls, house.by_ami
        answer = await calls.act(way, Action.PAUSE, Source.OPERATOR, OPERATOR)
        assert answer.status is Status.OK
        assert house.caller.running == []
        await house.caller.gosub("turn", "confirm")
        house.caller.speak(SECRET)
        assert house.recorder == paused(Source.OPERATOR)
        answer = await calls.act(way, Action.RESUME, Source.OPERATOR, OPERATOR)
        assert answer.status is Status.OK
        assert house.recorder == RECORDING
        assert house.caller.captured == b""


async def test_an_operators_resume_does_not_uncover_a_sensitive_turn(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, _):
        await house.hear("ask_aadhaar")
        answer = await house.calls.act(house.by_ami, Action.RESUME, Source.OPERATOR, OPERATOR)
        assert answer.status is Status.REFUSED
        assert answer.error is not None
        assert answer.error.id == "held-by-another"
        assert house.caller.running == []


async def test_what_an_operator_did_is_told_to_the_channel_too(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, _):
        await house.hear()
        await house.calls.act(house.by_ami, Action.PAUSE, Source.OPERATOR, OPERATOR)
        assert house.caller.variables["TURNREC_HOLDS"] == "operator"
        assert house.caller.variables["TURNREC_MIXMON_ID"] == ""
        assert house.caller.status == "OK", "that of the start: nobody in the dialplan asked"


@pytest.mark.parametrize("policy", ["off", "never", "none_of_these"])
async def test_an_agent_under_off_is_not_captured_and_the_bot_is_again(
    tmp_path: Path, policy: str
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting", bot="private")
        assert await house.caller.gosub("agent-pre", policy) == "OK"
        house.caller.speak(SECRET)
        assert Source.AGENT in house.recorder.holds
        assert await house.caller.gosub("bot") == "OK"
        house.caller.speak(b"back")
        assert house.caller.captured == b"back"
        assert house.recorder == RECORDING


async def test_an_agent_that_is_recorded_ends_the_turns_hold_when_he_comes(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, _):
        await house.hear("ask_aadhaar")
        assert await house.caller.gosub("agent-pre") == "OK"
        assert house.recorder == paused(Source.TURN)  # the wait is under the bot's rules
        agent = house.pbx.channel("PJSIP/agent-00000002", "1790000000.2")
        agent.settles = False
        assert await agent.gosub("agent", house.caller.uniqueid) == "OK"
        assert house.recorder == RECORDING


async def test_a_turn_between_two_announcements_gives_nothing_back(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        assert await house.caller.gosub("agent-pre", "off") == "OK"
        house.talks.sought(house.caller.uniqueid)  # Dial rang, and nobody answered
        assert await house.caller.gosub("agent-pre", "off") == "OK"
        assert await house.caller.gosub("turn", "confirm") == "OK"
        assert Source.AGENT in house.recorder.holds
        assert house.caller.running == []


@pytest.mark.parametrize("variable", ["DIALSTATUS", "QUEUESTATUS"])
async def test_an_agent_who_was_never_reached_leaves_the_caller_to_the_bot(
    tmp_path: Path, variable: str
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        assert await house.caller.gosub("agent-pre", "off") == "OK"
        assert await house.caller.gosub("turn", "confirm") == "OK"
        assert Source.AGENT in house.recorder.holds, "a turn before the Dial"
        house.caller.variables[variable] = "CHANUNAVAIL"
        assert await house.caller.gosub("turn", "confirm") == "OK"
        assert house.recorder == RECORDING


async def test_never_for_one_transfer_is_lifted_by_nobody(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, _):
        await house.hear("greeting")
        assert await house.caller.gosub("agent-pre", "never") == "OK"
        answer = await house.talks.lift(house.by_ami, OPERATOR)
        assert answer.error is not None
        assert answer.error.id == "not-allowed"
        agent = house.pbx.channel("PJSIP/agent-00000002", "1790000000.2")
        agent.settles = False
        assert await agent.gosub("agent", house.caller.uniqueid, "on") == "OK"
        assert Source.AGENT in house.recorder.holds
        assert house.caller.running == []


async def test_a_company_that_could_not_be_dealt_with_is_told_again(tmp_path: Path) -> None:
    stranger = Party("1790000000.7", "PJSIP/stranger-00000007", PartyClass.UNKNOWN)

    async def look() -> frozenset[Party]:
        return frozenset({stranger})

    async with House.open(tmp_path) as house:  # AMI is down
        await house.hear("greeting", bot="private")
        answer = await house.talks.company_changed(house.by_ami, look, lambda: None, OPERATOR)
        assert answer.status is Status.FAILCLOSED
        assert house.call.company == frozenset()


async def test_an_agents_own_leg_reaches_the_callers_recorder(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, _):
        await house.hear("greeting", bot="private")
        agent = house.pbx.channel("PJSIP/agent-00000002", "1790000000.2")
        agent.settles = False
        assert await agent.gosub("agent", house.caller.uniqueid) == "OK"
        assert house.caller.running == []
        assert Source.AGENT in house.recorder.holds


async def test_an_agents_leg_that_cannot_reach_the_caller_is_not_bridged(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting", bot="private")
        agent = house.pbx.channel("PJSIP/agent-00000002", "1790000000.2")
        agent.settles = False
        assert await agent.gosub("agent", house.caller.uniqueid) == "FAILCLOSED"
        assert agent.error == "asterisk-unreachable"


# -- the end -------------------------------------------------------------------------------------


async def test_a_hang_up_that_is_heard_three_times_ends_the_call_once(tmp_path: Path) -> None:
    """By the handler, by an event and by the sweep, while a turn still keeps the lock."""
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        release = asyncio.Event()
        house.caller.on("StopMixMonitor", held_back(release))
        turn = asyncio.create_task(house.caller.agi("turn", "ask_aadhaar"))
        await house.caller.received("StopMixMonitor")
        handler = asyncio.create_task(house.caller.agi("hangup"))
        others = [
            asyncio.create_task(house.calls.hang_up(house.caller.uniqueid, Asker(origin)))
            for origin in (Origin.AMI, Origin.SWEEP)
        ]
        await house.pbx.round_trip()
        release.set()
        await asyncio.gather(turn, handler)
        assert [await other for other in others].count(True) <= 1
        await house.calls.settle()
        assert house.calls.live() == []
        assert house.journal.kinds().count(EntryKind.CALL_ENDED) == 1
        (finished,) = house.recordings.finished
        assert [gap.sources for gap in finished.gaps] == [("turn",)]


@pytest.mark.parametrize("last", [("hangup",), ("turn", "goodbye")])
async def test_what_ends_while_it_is_recorded_ends_without_a_gap(
    tmp_path: Path, last: tuple[str, ...]
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        await house.ask(*last)
        await house.calls.settle()
        (finished,) = house.recordings.finished
        assert [segment.ended_us for segment in finished.segments] == [finished.closed_us]
        assert finished.gaps == ()
        assert house.caller.running == []


async def test_a_turn_that_waited_while_the_call_ended_is_refused(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear()
        release = asyncio.Event()
        house.caller.on("StopMixMonitor", held_back(release))
        requests = []
        for request in (("turn", "ask_aadhaar"), ("hangup",), ("turn", "small_talk")):
            requests.append(asyncio.create_task(house.caller.agi(*request)))
            await house.caller.received("StopMixMonitor")
            await house.pbx.round_trip()
        release.set()
        await asyncio.gather(*requests)
        assert house.caller.status == "REFUSED"
        assert house.caller.error in {"call-ended", "unknown-call"}
        assert house.journal.kinds()[-1] is not EntryKind.TURN_BEGUN


async def test_a_turn_after_the_hang_up_is_refused(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        await house.hang_up()
        assert await house.caller.gosub("turn", "confirm") == "REFUSED"
        assert house.caller.running == []


# -- hostile arguments ---------------------------------------------------------------------------

HOSTILE = [
    "a,b",
    'a"b',
    "a\\",
    "../../etc/passwd",
    "x.wav,,touch /tmp/owned",
    "$(touch /tmp/owned)",
    "${SHELL(id)}",
    "`id`",
    "a|b",
    "a b",
    "a\nb",
    "x\nagi_uniqueid: 6.6",
    "x\nagi_network_script: hangup",
    "confirm\n\n200 result=0\n200 result=1 (",
    "\udce9",
    "x" * 4000,
]


@pytest.mark.parametrize("value", HOSTILE)
async def test_a_hostile_node_is_not_recorded_and_not_repeated(
    tmp_path: Path, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        sent = len(house.caller.commands)
        with caplog.at_level(logging.DEBUG):
            status = await house.caller.gosub("turn", value)
        house.caller.speak(SECRET)
        assert status in {"OK", "FAILCLOSED"}
        assert house.caller.captured == b""
        assert all(value not in command for command in house.caller.commands[sent:])
        assert "Traceback" not in caplog.text
        assert await house.caller.gosub("turn", "confirm") == "OK"


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("script", ["start", "action", "agent-pre", "bot", "agent", "hangup", ""])
async def test_a_hostile_argument_reaches_no_command_file_or_log(
    tmp_path: Path, script: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        sent = len(house.caller.commands)
        with caplog.at_level(logging.DEBUG):
            await house.caller.gosub(script, value, value)
        assert all(value not in command for command in house.caller.commands[sent:])
        assert value not in caplog.text
        assert "Traceback" not in caplog.text
        assert all(monitor.path is not None for monitor in house.caller.monitors)
        assert await is_served(house)


async def is_served(house: House) -> bool:
    other: FakeChannel = house.pbx.channel("PJSIP/other-00000009", "1790000000.9")
    return await other.gosub("start", "kyc") == "OK"
