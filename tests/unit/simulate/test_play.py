"""The rules of recording, as a simulated call shows them: turnrec's own code decides all of it."""

from __future__ import annotations

import json

import pytest

from tests.unit.simulate.calls import (
    FLOW,
    answers,
    played,
    samples,
    sent,
    spans,
    states,
)
from turnrec.core.entry import EntryKind
from turnrec.core.event import EventType
from turnrec.simulate.play import World
from turnrec.simulate.result import to_json
from turnrec.simulate.wire import Over

RATE_HZ = 8_000
STOP = "EXEC StopMixMonitor"
START = "EXEC MixMonitor"
MUTE = "Action: MixMonitorMute"


# ------------------------------------------------------------------ pausing


def test_a_pause_ends_the_monitor_before_the_turn_and_a_resume_begins_another() -> None:
    call = played("kyc", "hello=2s,ask=5s,open=2s")
    assert states(call) == ["recording", "recording", "paused turn", "recording", "ended"]
    assert sent(call, 2) == [STOP, "GET FULL", "EXEC MSet"]
    assert sent(call, 3) == ["EXEC Wait", START, "GET FULL", "EXEC MSet"]
    assert spans(call) == [
        ("gap", 0.0, 0.1),
        ("segment", 0.1, 2.1),
        ("gap", 2.1, 7.2),
        ("segment", 7.2, 9.2),
    ]
    assert answers(call) == ["OK"] * 4
    assert call.refused == ()


def test_silence_keeps_the_clock_and_skip_leaves_the_gap_out() -> None:
    path = "hello=2s,ask=5s,open=2s"
    assert samples(played("kyc", path)) == pytest.approx(9.2 * RATE_HZ, rel=0.02)
    assert samples(played("skip", path)) == pytest.approx(4 * RATE_HZ, rel=0.02)


def test_mute_keeps_one_monitor_and_goes_over_ami() -> None:
    call = played("mute", "hello=2s,ask=5s,open=2s")
    assert sent(call, 2) == ["GET FULL", MUTE, "GET FULL", "EXEC MSet"]
    assert sent(call, 3)[-2:] == [MUTE, "EXEC MSet"]
    parts = [entry.detail["part"] for entry in call.entries if entry.kind == "segment_began"]
    assert len(set(parts)) == 1
    assert spans(call)[1:] == [
        ("segment", 0.1, 2.1),
        ("gap", 2.1, 7.2),
        ("segment", 7.2, 9.2),
    ]


@pytest.mark.parametrize(
    ("version", "has_id"),
    [("22.10.1", True), ("20.3.0", True), ("20.2.0", False), ("16.28.0", False)],
)
def test_an_older_asterisk_is_told_to_mute_without_an_id(version: str, *, has_id: bool) -> None:
    call = played("mute", "ask", World(version))
    (mute,) = (c for c in call.steps[1].moments[0].commands if c.over is Over.AMI)
    assert ("MixMonitorID: 0x7f0000000001" in mute.sent) is has_id
    assert mute.answer == "Success"


def test_a_codec_whose_frames_don_t_fit_mute_is_paused_by_a_stop() -> None:
    call = played("mute", "hello,ask,open", World(codec="opus"))
    assert STOP in sent(call, 2)
    assert MUTE not in sent(call, 2)


def test_without_ami_a_segment_works_and_a_mute_fails_closed() -> None:
    world = World(has_ami=False)
    assert answers(played("kyc", "hello,ask,open", world)) == ["OK"] * 4
    call = played("mute", "hello,ask,open", world)
    assert answers(call) == ["OK", "OK", "FAILCLOSED asterisk-unreachable", "OK"]
    assert states(call)[2] == "paused fault turn"
    assert [step.text for step in call.refused] == ["ask"]


def test_a_pause_for_one_turn_ends_with_the_next_turn_and_a_sticky_one_doesn_t() -> None:
    assert states(played("kyc", "otp,hello,ask,hello"))[1:-1] == [
        "paused turn",
        "recording",
        "paused turn",
        "paused turn",
    ]


def test_a_turn_by_a_name_that_the_flow_doesn_t_know_is_held() -> None:
    call = played("kyc", "hello,@turn:opn,open")
    assert answers(call)[2] == "OK unknown-node"
    assert states(call)[2] == "paused turn"
    (alarm,) = (event for event in call.events if event.type is EventType.ALARM)
    assert "did you mean 'open'?" in str(alarm.data["sentence"])


# ------------------------------------------------------------------ starting and stopping


def test_default_off_records_from_a_start_to_its_stop() -> None:
    call = played("manual", "hello,begin=4s,bye,begin=2s")
    assert states(call) == ["inactive", "inactive", "recording", "inactive", "recording", "ended"]
    assert [len(spans(call, number)) for number in (0, 1)] == [2, 2]
    assert samples(call, 0) == pytest.approx(4 * RATE_HZ, rel=0.05)


def test_new_finishes_one_recording_and_begins_another() -> None:
    call = played("kyc", "hello,anew,@start:new")
    ids = [entry.recording_id for entry in call.closed]
    assert ids == ["SIM2", "SIM3", "SIM4"]
    assert states(call)[1:-1] == ["recording"] * 3


def test_a_final_stop_is_the_last_word_and_says_so() -> None:
    call = played("kyc", "hello,bye,open,@start")
    assert answers(call)[2:] == ["OK", *["REFUSED recording-stopped"] * 2]
    assert [step.number for step in call.refused] == [3, 4]
    assert len(call.closed) == 1


def test_the_bot_s_own_actions_need_no_turn() -> None:
    call = played("kyc", "hello,@pause,@resume,@stop")
    assert states(call)[2:-1] == ["paused turn", "recording", "stopped"]
    assert call.steps[2].moments[0].what == "Gosub(turnrec-action,s,1(pause))"


@pytest.mark.parametrize(
    ("version", "file"), [("22.10.1", "2026-01-01/SIM2.stereo.wav"), ("16.28.0", None)]
)
def test_two_channels_are_made_of_both_directions_but_on_16(version: str, file: str | None) -> None:
    call = played("wide", "hello", World(version))
    (start,) = (c.sent for c in call.steps[0].moments[0].commands if 'MixMonitor" "/' in c.sent)
    assert "r(/var/spool/asterisk/turnrec/SIM2-001-r.wav)t(" in start
    stereo = call.closed[0].detail["stereo"]
    assert isinstance(stereo, dict)
    assert stereo["file"] == file


# ------------------------------------------------------------------ people


def test_off_has_nothing_recorded_before_it_rings_and_the_bot_s_next_turn_begins_anew() -> None:
    call = played("kyc", "hello,@agent:off=10s,open")
    announced, dialled, talk = call.steps[2].moments
    assert announced.what == "Gosub(turnrec-agent-pre,s,1(off))"
    assert (announced.state, announced.holds) == ("inactive", ("agent",))
    assert (dialled.what, dialled.until_us > announced.until_us) == (
        "Dial(PJSIP/agent,30,gU(turnrec-agent))",
        True,
    )
    assert talk.state == "inactive"
    assert [moment.what for moment in call.steps[3].moments] == [
        "the agent hangs up",
        "Gosub(turnrec-turn,s,1(open))",
    ]
    assert states(call)[3] == "recording"
    assert len(call.closed) == 2


def test_on_begins_a_segment_of_the_talk_s_own() -> None:
    call = played("kyc", "hello,@agent=10s,open=2s")
    assert [kind for kind, _, _ in spans(call)] == ["gap", "segment"] * 3
    told = [event.type for event in call.events]
    assert told.index(EventType.AGENT_BRIDGED) < told.index(EventType.AGENT_GONE)


def test_an_agent_ends_the_bot_s_pause_with_on_and_keeps_it_from_nobody_with_never() -> None:
    assert states(played("kyc", "ask,@agent"))[2] == "recording"
    assert states(played("never", "ask,@agent:on"))[2] == "inactive agent turn"
    assert states(played("kept", "hello,@agent:off"))[2] == "paused agent"


def test_nobody_answers_and_the_next_turn_is_the_bot_s_again() -> None:
    call = played("kyc", "hello,@noanswer:off,open")
    assert call.steps[2].moments[-1].what.endswith(": nobody answers")
    assert states(call)[2:4] == ["inactive agent", "recording"]
    assert EventType.AGENT_BRIDGED not in [event.type for event in call.events]


def test_the_bot_takes_the_caller_back_without_a_turn() -> None:
    call = played("kyc", "hello,@agent:off,@bot")
    assert call.steps[3].moments[-1].what == "Gosub(turnrec-bot,s,1)"
    assert states(call)[3] == "recording"


def test_a_caller_may_hang_up_in_the_talk() -> None:
    call = played("kyc", "hello,@agent=5s,@hangup")
    assert states(call)[-1] == "ended"
    assert [entry.detail["status"] for entry in call.closed] == ["done"]


def test_an_operator_goes_over_ami_and_uncovers_no_turn() -> None:
    call = played("kyc", "hello,@operator:pause,@operator:resume,ask,@operator:resume")
    assert answers(call) == ["OK"] * 5 + ["REFUSED held-by-another"]
    assert {command.over for command in call.steps[2].moments[0].commands} == {Over.AMI}
    assert states(call)[2:4] == ["paused operator", "recording"]
    asked = [one for one in call.entries if one.kind is EntryKind.ACTION_ASKED]
    assert {one.actor for one in asked} == {"bot:kyc", "cli:operator"}


# ------------------------------------------------------------------ over HTTP


HTTP = World(over_http=True)


def test_a_bot_over_http_goes_over_ami_and_is_told_the_same() -> None:
    path = "hello=2s,ask=4s,open=2s,@start:new,bye"
    call, other = played("kyc", path, HTTP), played("kyc", path)
    over = {one.over for step in call.steps for moment in step.moments for one in moment.commands}
    assert over == {Over.AMI}
    assert answers(call) == answers(other)
    assert states(call) == states(other)
    assert [kind for kind, _, _ in spans(call)] == [kind for kind, _, _ in spans(other)]


def test_a_bot_over_http_has_to_say_that_the_caller_is_back() -> None:
    call = played("kyc", "hello,@agent:off,hello,@bot,hello", HTTP)
    assert states(call)[3:6] == ["inactive agent", "recording", "recording"]
    assert call.steps[4].moments[-1].what == "DELETE /v1/calls/CALL/agent"


def test_a_hang_up_is_heard_of_over_ami_where_no_dialplan_says_it() -> None:
    last = played("kyc", "hello", HTTP).steps[-1]
    assert [one.answer for one in last.moments[0].commands] == [
        "Error, Message: No such channel"
    ] * 2
    assert last.moments[0].state == "ended"


def test_a_refusal_over_http_is_the_same_refusal() -> None:
    call = played("kyc", "bye,open,@operator:resume", HTTP)
    assert answers(call)[2:] == ["REFUSED recording-stopped"] * 2


# ------------------------------------------------------------------ time


def test_what_turnrec_does_by_itself_while_time_passes_is_shown() -> None:
    call = played("late", "ask=6s,open")
    asked, meanwhile = call.steps[1].moments
    assert (asked.state, meanwhile.state) == ("paused", "stopped")
    assert meanwhile.what == "meanwhile"
    told = [event.type for event in call.events if event.seq in meanwhile.seqs]
    assert told[0] is EventType.ALARM
    assert answers(call)[-1] == "REFUSED recording-stopped"


def test_no_time_passes_but_the_simulated_one() -> None:
    call = played("kyc", "hello=10m,ask=60m,open=1m")
    assert call.steps[-1].until_us - call.started_us > 71 * 60 * 1_000_000
    assert samples(call) > 71 * 60 * RATE_HZ


def test_the_same_call_is_the_same_to_the_last_byte() -> None:
    path = "hello,ask,@turn:x,@operator:pause,@agent:on,open,@agent:off,@noanswer,bye"
    first, second = (json.dumps(to_json(played("kyc", path))) for _ in range(2))
    assert first == second


def test_every_bot_and_method_plays_what_it_is_asked() -> None:
    for bot in FLOW.bots:
        call = played(bot, "hello,ask,hello,open")
        assert answers(call) == ["OK"] * 5, bot
        assert all(entry.detail["status"] == "done" for entry in call.closed), bot
        assert all(not entry.detail["problems"] for entry in call.closed), bot


def test_every_entry_and_command_stands_in_one_moment() -> None:
    call = played("kyc", "hello,ask,@agent,@operator:pause,open")
    moments = [moment for step in call.steps for moment in step.moments]
    assert [seq for moment in moments for seq in moment.seqs] == list(
        range(1, len(call.entries) + 1)
    )
    asked = [command.asked_us for moment in moments for command in moment.commands]
    assert asked == sorted(asked)
    assert all(command.answer for moment in moments for command in moment.commands)
