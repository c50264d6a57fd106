"""The SDK for pyst2: no word before OK, failing closed, and pyst2's traps, with pyst2 beside it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asterisk.agi import AGI, AGIAppError, AGIHangup, AGIInvalidCommand, AGIUsageError

from tests.unit.bots.peer import COMPLETE, ENVIRONMENT, Peer, answering
from turnrec.bots.agi import Agi, AgiCall, AgiHungUpError
from turnrec.bots.dialogue import AgiArgumentError
from turnrec.bots.errors import (
    FailedClosedError,
    HungUpError,
    NotConfirmedError,
    RefusedByTurnrecError,
    Verdict,
)

MONITOR = "0x7f0000a0"
OK_PAUSED = answering("OK", state="paused")


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Each `Agi` takes SIGHUP."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def on(peer: Peer) -> AgiCall:
    return AgiCall(Agi(peer, peer))


def gosubs(peer: Peer) -> list[str]:
    return [one for one in peer.asked if one.startswith("GOSUB")]


def stops(peer: Peer) -> list[str]:
    return [one for one in peer.asked if "StopMixMonitor" in one]


# ------------------------------------------------------------------ turns


def test_a_turn_is_entered_once_turnrec_has_said_ok() -> None:
    peer = Peer(OK_PAUSED)
    with on(peer).turn("ask_otp") as turn:
        assert (turn.node, turn.state, turn.is_recording) == ("ask_otp", "paused", False)
        assert gosubs(peer) == ['GOSUB "turnrec-turn" "s" "1" "ask_otp"']
    assert gosubs(peer) == ['GOSUB "turnrec-turn" "s" "1" "ask_otp"'], "leaving it says nothing"


def test_a_turn_without_a_with_block_is_a_turn_all_the_same() -> None:
    peer = Peer(OK_PAUSED)
    on(peer).turn("ask_otp", sequence=7)
    assert gosubs(peer) == ['GOSUB "turnrec-turn" "s" "1" "ask_otp,7"']


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda call: call.begin("kyc"), '"turnrec-start" "s" "1" "kyc"'),
        (lambda call: call.begin("kyc", "id-1"), '"turnrec-start" "s" "1" "kyc,id-1"'),
        (lambda call: call.start(), '"turnrec-action" "s" "1" "start"'),
        (lambda call: call.start(new=True), '"turnrec-action" "s" "1" "start,new"'),
        (lambda call: call.pause(), '"turnrec-action" "s" "1" "pause"'),
        (lambda call: call.resume(), '"turnrec-action" "s" "1" "resume"'),
        (lambda call: call.stop(), '"turnrec-action" "s" "1" "stop"'),
        (lambda call: call.agent_pre(), '"turnrec-agent-pre" "s" "1"'),
        (lambda call: call.agent_pre("off"), '"turnrec-agent-pre" "s" "1" "off"'),
        (lambda call: call.back_to_bot(), '"turnrec-bot" "s" "1"'),
    ],
)
def test_each_verb_runs_its_subroutine(ask: Callable[[AgiCall], object], expected: str) -> None:
    peer = Peer(OK_PAUSED)
    ask(on(peer))
    assert gosubs(peer) == [f"GOSUB {expected}"]


def test_what_the_bot_should_know_beside_ok_is_told() -> None:
    peer = Peer(answering("OK", error="unknown-node"))
    assert on(peer).turn("ask_otpp").notice == "unknown-node"


@pytest.mark.parametrize(
    "name", ["", "a b", "x" * 65, 'a"b', "a,b", "a)b", "a\nHANGUP", "४", "${X}"]
)
def test_a_name_that_is_none_reaches_turnrec_as_one_that_is_none_and_as_nothing_else(
    name: str,
) -> None:
    peer = Peer(OK_PAUSED)
    with on(peer).turn(name):
        assert gosubs(peer) == ['GOSUB "turnrec-turn" "s" "1" "!"']


def test_an_agent_policy_that_there_is_not_is_no_default() -> None:
    peer = Peer(OK_PAUSED)
    with pytest.raises(ValueError, match="OFF"):
        on(peer).agent_pre("OFF")
    assert gosubs(peer) == []


# ------------------------------------------------------------------ no OK


def test_a_refused_turn_is_not_spoken_and_changes_nothing() -> None:
    peer = Peer(answering("REFUSED", error="recording-stopped"))
    peer.variables["TURNREC_MIXMON_ID"] = MONITOR
    with pytest.raises(RefusedByTurnrecError) as caught, on(peer).turn("ask_otp"):
        pytest.fail("it is spoken")
    assert (caught.value.problem_id, caught.value.verdict) == ("recording-stopped", Verdict.REFUSED)
    assert stops(peer) == []


def test_what_the_dialplan_has_settled_is_not_settled_again() -> None:
    peer = Peer(answering("FAILCLOSED", error="monitor-still-runs"))
    with pytest.raises(FailedClosedError) as caught, on(peer).turn("ask_otp"):
        pytest.fail("it is spoken")
    assert (caught.value.problem_id, caught.value.verdict) == (
        "monitor-still-runs",
        Verdict.FAILCLOSED,
    )
    assert stops(peer) == []


def no_such_context(peer: Peer, _words: list[str]) -> bytes:
    del peer
    return b"200 result=-1 Gosub label not found\n"


def server_died(peer: Peer, _words: list[str]) -> bytes:
    """The subroutine was left before it could settle."""
    del peer
    return COMPLETE


def left_abnormally(peer: Peer, _words: list[str]) -> bytes:
    del peer
    return b"100 result=0 Trying...\n200 result=0 Gosub complete (abnormal exit)\n"


def answers_rubbish(peer: Peer, _words: list[str]) -> bytes:
    peer.variables["TURNREC_STATUS"] = "OK"
    return b"hello\n"


@pytest.mark.parametrize(
    "subroutine",
    [
        no_such_context,
        server_died,
        left_abnormally,
        answers_rubbish,
        answering("FINE"),
        answering("ok"),
    ],
)
def test_without_a_status_our_own_monitor_is_stopped_by_its_id(
    subroutine: Callable[[Peer, list[str]], bytes],
) -> None:
    peer = Peer(subroutine)
    peer.variables |= {
        "TURNREC_STATUS": "OK",  # the last request's
        "TURNREC_STATE": "recording",
        "TURNREC_HOLDS": "operator",
        "TURNREC_MIXMON_ID": MONITOR,
    }
    with pytest.raises(FailedClosedError), on(peer).turn("ask_otp"):
        pytest.fail("it is spoken")
    assert stops(peer) == [f'EXEC "StopMixMonitor" "{MONITOR}"']
    held = 'SET VARIABLE "TURNREC_HOLDS" "operator:turn:fault"'
    assert peer.asked.index(held) < peer.asked.index(stops(peer)[0])
    assert peer.variables["TURNREC_MIXMON_ID"] == ""
    assert peer.variables["TURNREC_STATUS"] == "FAILCLOSED"
    assert peer.variables["TURNREC_STATE"] == "paused"


@pytest.mark.parametrize("another", ["0x7f0000b0", MONITOR], ids=["another ID", "the same again"])
def test_a_monitor_that_began_while_ours_was_stopped_is_stopped_as_well(another: str) -> None:
    begun = iter([another])

    def ended(peer: Peer) -> bytes:
        peer.variables["TURNREC_MIXMON_ID"] = next(begun, "")  # by a command over HTTP
        return b"200 result=0\n"

    peer = Peer(server_died, commands={f'EXEC "StopMixMonitor" "{MONITOR}"': ended})
    peer.variables["TURNREC_MIXMON_ID"] = MONITOR
    with pytest.raises(FailedClosedError):
        on(peer).turn("ask_otp")
    assert stops(peer) == [f'EXEC "StopMixMonitor" "{one}"' for one in (MONITOR, another)]
    assert peer.variables["TURNREC_MIXMON_ID"] == ""


@pytest.mark.parametrize("monitor", ["", "${TURNREC_MIXMON_ID}", "0x", "x|y", "7f00"])
def test_nothing_is_stopped_by_an_id_that_is_none(monitor: str) -> None:
    peer = Peer(server_died)
    peer.variables["TURNREC_MIXMON_ID"] = monitor
    with pytest.raises(FailedClosedError):
        on(peer).turn("ask_otp")
    assert stops(peer) == []


def test_a_session_that_ends_anywhere_in_a_request_is_a_hang_up_and_never_an_ok() -> None:
    whole = Peer(OK_PAUSED)
    call = on(whole)
    begun = len(whole.said)
    call.turn("ask_otp")
    for cut in range(begun, len(whole.said)):
        with pytest.raises(HungUpError), on(Peer(OK_PAUSED, cut_after=cut)).turn("ask_otp"):
            pytest.fail(f"it is spoken, cut after {cut}")


@pytest.mark.parametrize(
    "answer",
    [
        b"HANGUP\n100 result=0 Trying...\n200 result=0 Gosub complete\n",
        b"100 result=0 Trying...\nHANGUP\n200 result=0 Gosub complete\n",
    ],
)
def test_a_hang_up_within_a_request_does_not_shift_its_answers(answer: bytes) -> None:
    def run(peer: Peer, _words: list[str]) -> bytes:
        peer.variables |= {"TURNREC_STATUS": "REFUSED", "TURNREC_ERROR": "call-ended"}
        return answer

    call = on(Peer(run))
    with pytest.raises(RefusedByTurnrecError, match="call-ended"):
        call.turn("ask_otp")
    with pytest.raises(AgiHungUpError):
        call.turn("ask_otp")


def test_a_dead_channel_is_a_hang_up_for_pyst2s_callers_as_well() -> None:
    peer = Peer(answers={"GOSUB": b"511 result=-1 Command Not Permitted on a dead channel\n"})
    with pytest.raises(AGIHangup) as caught:
        on(peer).turn("ask_otp")
    assert isinstance(caught.value, HungUpError)


def test_every_missing_ok_is_one_kind_of_error() -> None:
    for subroutine in (answering("REFUSED"), answering("FAILCLOSED"), server_died):
        with pytest.raises(NotConfirmedError):
            on(Peer(subroutine)).pause()


def test_it_takes_pyst2s_own_agi_with_its_text_streams() -> None:
    peer = Peer(OK_PAUSED, environment=ENVIRONMENT.replace(b"\xf6", b"o"))

    class Text(io.TextIOBase):
        def readline(self, _limit: int = -1, /) -> str:  # type: ignore[override]
            return peer.readline().decode()

        def write(self, text: str, /) -> int:
            return peer.write(text.encode())

    agi = AGI(Text(), Text(), io.StringIO())
    assert AgiCall(agi).turn("ask_otp").state == "paused"
    agi._got_sighup = True
    with pytest.raises(AgiHungUpError):
        AgiCall(agi).turn("ask_otp")


# ------------------------------------------------------------------ pyst2's traps, and Agi


def plain(peer: Peer) -> Any:
    """pyst2 as it comes."""
    return AGI(peer_in_text(peer), peer_in_text(peer), io.StringIO())


def peer_in_text(peer: Peer) -> Any:
    class Text:
        def readline(self) -> str:
            return peer.readline().decode("latin-1")

        def write(self, text: str) -> None:
            peer.write(text.encode("latin-1"))

        def flush(self) -> None: ...

    return Text()


def mended(peer: Peer) -> Any:
    return Agi(peer, peer)


def test_a_quote_in_an_argument_ends_the_argument_in_pyst2_only() -> None:
    peer = Peer()
    mended(peer).set_variable("NOTE", 'say "hi" \\')
    assert peer.variables["NOTE"] == 'say "hi" \\'
    broken = Peer()
    plain(broken).set_variable("NOTE", 'say "hi" there')
    assert broken.variables["NOTE"] != 'say "hi" there'


def test_a_line_end_in_an_argument_is_a_second_command_in_pyst2_only() -> None:
    peer = Peer()
    with pytest.raises(AgiArgumentError):
        mended(peer).verbose("hello\nHANGUP")
    assert peer.asked == []
    with pytest.raises(AssertionError):  # the peer takes one line a command
        plain(Peer()).verbose("hello\nHANGUP")


def test_hangup_shifts_all_later_answers_in_pyst2_only() -> None:
    answers = {"STREAM FILE": b"HANGUP\n200 result=-1 endpos=0\n"}
    with pytest.raises(AgiHungUpError):
        mended(Peer(answers=answers)).stream_file("hello")
    with pytest.raises(ValueError, match="invalid literal"):
        plain(Peer(answers=answers)).stream_file("hello")


def test_the_end_of_the_stream_is_a_hang_up_and_no_value_error() -> None:
    peer, broken = Peer(), Peer()
    agi, bare = mended(peer), plain(broken)
    peer.cut_after, broken.cut_after = len(peer.said), len(broken.said)
    with pytest.raises(AGIHangup):
        agi.answer()
    with pytest.raises(ValueError, match="invalid literal"):
        bare.answer()


def test_the_end_of_the_stream_within_a_usage_text_ends_it() -> None:
    # pyst2 reads empty lines for ever here; that can't be shown beside it.
    with pytest.raises(AgiHungUpError):
        mended(Peer(answers={"ANSWER": b"520-Invalid command syntax.\nUsage: X\n"})).answer()
    usage = b"520-Invalid command syntax.\nUsage: X\n520 End of proper usage.\n"
    with pytest.raises(AGIUsageError, match="Usage: X"):
        mended(Peer(answers={"ANSWER": usage})).answer()


def test_what_a_caller_keys_is_logged_by_pyst2_only() -> None:
    errors = io.StringIO()
    peer = Peer(answers={"GET DATA": b"200 result=0042\n"})
    assert Agi(peer, peer, errors).get_data("ask-otp", 10000, 6) == "0042"
    assert errors.getvalue() == ""
    bare = plain(Peer(answers={"GET DATA": b"200 result=0042\n"}))
    bare.get_data("ask-otp", 10000, 6)
    assert "0042" in bare.stderr.getvalue()


def test_pyst2s_methods_are_what_they_were() -> None:
    peer = Peer(
        answers={
            "GET VARIABLE": b"200 result=1 (a=b (c))\n",
            "STREAM FILE": b"200 result=49 endpos=800\n",
            "DATABASE GET": b"200 result=1 (v)\n",
            "GET OPTION": b"200 result=0 endpos=8\n",
            "EXEC": b"200 result=0\n",
            "TDD MODE": b"510 Invalid or unknown command\n",
        }
    )
    agi = mended(peer)
    assert agi.env["agi_uniqueid"] == "1700000000.1"
    assert agi.get_variable("X") == "a=b (c)"
    assert agi.stream_file("hello", [1, 2]) == "1"
    assert agi.database_get("family", "key") == "v"
    assert agi.get_option("hello", "", 10) == ""
    assert agi.appexec("Wait", "1") == "0"
    assert agi.exec_command("Dial", "PJSIP/anna", 30, "g")["result"] == ("0", "")
    agi.hangup()
    with pytest.raises(AGIInvalidCommand):
        agi.tdd_mode("on")
    assert peer.asked == [
        'GET VARIABLE "X"',
        'STREAM FILE "hello" "12" "0"',
        'DATABASE GET "family" "key"',
        'GET OPTION "hello" "" "10"',
        'EXEC "Wait" "1"',
        'EXEC "Dial" "PJSIP/anna,30,g"',
        "HANGUP",
        'TDD MODE "on"',
    ]


def test_an_application_that_fails_is_pyst2s_error_while_the_call_lives() -> None:
    peer = Peer(answers={"EXEC": b"200 result=-1\n"})
    with pytest.raises(AGIAppError) as caught:
        mended(peer).appexec("Dial", "PJSIP/nobody")
    assert not isinstance(caught.value, HungUpError)


def test_a_prompt_that_a_hang_up_has_ended_is_a_hang_up_though_sighup_comes_later() -> None:
    def hang_up(_peer: Peer) -> bytes:
        os.kill(os.getpid(), signal.SIGHUP)
        return b"200 result=0\n"

    peer = Peer(answers={"STREAM FILE": b"200 result=-1 endpos=800\n"}, commands={"NOOP": hang_up})
    with pytest.raises(AgiHungUpError):
        mended(peer).stream_file("hello")


def test_sighup_is_a_hang_up_at_the_next_command() -> None:
    agi = mended(Peer())
    os.kill(os.getpid(), signal.SIGHUP)
    with pytest.raises(AgiHungUpError):
        agi.answer()
    with pytest.raises(AgiHungUpError):
        AgiCall(agi).turn("ask_otp")


def test_it_works_beside_the_main_thread() -> None:
    made: list[object] = []
    thread = threading.Thread(target=lambda: made.append(mended(Peer())))
    thread.start()
    thread.join()
    assert len(made) == 1


def test_a_script_that_prints_sends_no_command_and_a_light_start() -> None:
    script = """
import sys
from turnrec.bots.agi import Agi
agi = Agi()
print("hello")
agi.answer()
heavy = {"fastapi", "pydantic", "numpy", "sqlalchemy", "httpx", "asyncio", "panoramisk", "typer"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    assert b"hello" not in done.stdout
    assert done.stdout.startswith(b"GET FULL VARIABLE"), done
    assert b"AgiHungUpError" in done.stderr
    done = subprocess.run(
        [sys.executable, "-c", script.replace("agi.answer()", "")],
        input=ENVIRONMENT,
        capture_output=True,
        check=True,
    )
    assert done.stdout == b""
    assert done.stderr == b"hello\n[]\n"
