"""The AGI dialogue of bots: whole answers only, in step with their commands, however they come."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.bots.peer import ENVIRONMENT, Peer
from turnrec.bots.dialogue import (
    AgiArgumentError,
    Dialogue,
    OutOfStepError,
    Reply,
    build_command,
    parse_reply,
)
from turnrec.bots.errors import HungUpError


def opened(peer: Peer) -> Dialogue:
    """A dialogue whose environment has been read."""
    dialogue = Dialogue(peer, peer)
    dialogue.environment()
    return dialogue


def answered(answer: bytes) -> Reply:
    return opened(Peer(answers={"X": answer})).ask("X")


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (b"200 result=0\n", Reply(200, "0")),
        (b"200 result=-1\r\n", Reply(200, "-1")),
        (b"200 result=0042\n", Reply(200, "0042")),
        (b"200 result=4711*12#\n", Reply(200, "4711*12#")),
        (b"200 result=1234567890123456789012345\n", Reply(200, "1234567890123456789012345")),
        (b"200 result=1 (a value)\n", Reply(200, "1", "a value")),
        (b"200 result=1 ()\n", Reply(200, "1", "")),
        (b"200 result=1 (one\ntwo)\n", Reply(200, "1", "one\ntwo")),
        (b"200 result=1 (a=b (c) d)\n", Reply(200, "1", "a=b (c) d")),
        (b"200 result=0 endpos=800\n", Reply(200, "0", None, "endpos=800")),
        (b"200 result= (timeout)\n", Reply(200, "", "timeout")),
        (b"200 result=1 (J\xf6rg)\n", Reply(200, "1", "J\udcf6rg")),
        (
            b"100 result=0 Trying...\n200 result=0 Gosub complete\n",
            Reply(200, "0", None, "Gosub complete"),
        ),
        (b"HANGUP\n200 result=0\n", Reply(200, "0")),
        (b"100 result=0 Trying...\nHANGUP\n200 result=0\n", Reply(200, "0")),
        (b"510 Invalid or unknown command\n", Reply(510, text="Invalid or unknown command")),
        (
            b"520-Invalid syntax.  Proper usage follows:\nUsage: X\n520 End of proper usage.\n",
            Reply(
                520,
                text="Invalid syntax.  Proper usage follows:\nUsage: X\n520 End of proper usage.",
            ),
        ),
    ],
)
def test_an_answer_is_read_whole(answer: bytes, reply: Reply) -> None:
    assert answered(answer) == reply


@pytest.mark.parametrize(
    "answer",
    [
        b"200 result=0\n",
        b"HANGUP\n200 result=0\n",
        b"200 result=1 (one\ntwo)\n",
        b"100 result=0 Trying...\n200 result=0 Gosub complete\n",
        b"520-Invalid command syntax.\nUsage: X\n520 End of proper usage.\n",
    ],
)
def test_an_answer_cut_anywhere_is_a_hang_up_and_never_an_answer(answer: bytes) -> None:
    whole = Peer(answers={"X": answer})
    opened(whole).ask("X")
    for cut in range(len(whole.said) - len(answer), len(whole.said)):
        with pytest.raises(HungUpError):
            opened(Peer(answers={"X": answer}, cut_after=cut)).ask("X")


def test_an_environment_cut_anywhere_is_a_hang_up() -> None:
    for cut in range(len(ENVIRONMENT)):
        with pytest.raises(HungUpError):
            Dialogue(Peer(cut_after=cut), Peer()).environment()


def test_what_comes_byte_by_byte_through_a_real_pipe_is_the_same() -> None:
    reading, writing = os.pipe()
    asked: list[bytes] = []

    def say(text: bytes) -> None:
        for byte in text:
            os.write(writing, bytes([byte]))

    class Commands(io.BytesIO):
        def write(self, data: bytes, /) -> int:  # type: ignore[override]
            asked.append(data)
            if data.startswith(b"GET FULL VARIABLE"):  # it gets into step
                say(b"200 result=1 (%s)\n" % data.split(b'"')[1])
                say(b"100 result=0 Trying...\n200 result=0 Gosub complete\n")
            return len(data)

    unasked = b"HANGUP\n200 result=1 (not for us)\n"
    saying = threading.Thread(target=say, args=[ENVIRONMENT + unasked])
    saying.start()
    with open(reading, "rb") as stdin:  # noqa: PTH123 - it is a descriptor
        dialogue = Dialogue(stdin, Commands())
        assert dialogue.environment()["agi_calleridname"] == "J\udcf6rg"
        saying.join()
        assert dialogue.ask("GOSUB", "a", "s", "1").text == "Gosub complete"
    os.close(writing)
    assert asked[1:] == [b'GOSUB "a" "s" "1"\n']


def test_lines_that_nobody_asked_for_are_no_answers() -> None:
    # A caller's name with an empty line in it: the environment seems to end, and answers follow.
    forged = ENVIRONMENT.replace(b"J\xf6rg", b"x\n\n200 result=1 (OK)\n200 result=1 (OK)")
    peer = Peer(environment=forged, variables={"STATUS": "REFUSED"})
    dialogue = opened(peer)
    assert dialogue.expand("${STATUS}") == "REFUSED"


def test_an_interrupted_command_does_not_leave_its_answer_to_the_next_one() -> None:
    peer = Peer(answers={"X": b"200 result=1 (late)\n"})
    dialogue = opened(peer)
    readline, peer.readline = peer.readline, _interrupt(peer)  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        dialogue.ask("X")
    peer.readline = readline  # type: ignore[method-assign]
    assert dialogue.expand("now") == "now"


def _interrupt(peer: Peer) -> Callable[[], bytes]:
    readline = peer.readline
    count = 0

    def interrupted() -> bytes:
        nonlocal count
        count += 1
        if count > 1:  # it got into step before
            raise TimeoutError
        return readline()

    return interrupted


def test_a_dead_channel_is_a_hang_up() -> None:
    with pytest.raises(HungUpError, match="dead"):
        answered(b"511 result=-1 Command Not Permitted on a dead channel or intercept routine\n")


def test_a_closed_pipe_is_a_hang_up() -> None:
    peer = Peer()
    dialogue = opened(peer)
    peer.closed_for_writing = True
    with pytest.raises(HungUpError):
        dialogue.ask("X")


@pytest.mark.parametrize("answer", [b"\n", b"hello\n", b"20 result=0\n", b"SIP/2.0 200 OK\n"])
def test_what_is_no_agi_is_said_so(answer: bytes) -> None:
    with pytest.raises(OutOfStepError):
        answered(answer)


def test_an_endless_answer_ends() -> None:
    with pytest.raises(OutOfStepError):
        answered(b"520-usage\n" + b"more\n" * 1000)
    with pytest.raises(OutOfStepError):
        opened(Peer(environment=b"agi_x: y\n" * 1000))
    with pytest.raises(OutOfStepError):
        opened(Peer(environment=ENVIRONMENT + b"200 result=1\n" * 1000)).ask("X")


def test_arguments_are_quoted_and_cannot_end_the_command() -> None:
    assert (
        build_command("EXEC", "Log", 'say "hi" \\ now', "")
        == b'EXEC "Log" "say \\"hi\\" \\\\ now" ""\n'
    )
    for bad in ("a\nHANGUP", "a\r", "a\0"):
        with pytest.raises(AgiArgumentError):
            build_command("EXEC", bad)
    with pytest.raises(AgiArgumentError):
        build_command("EXEC", "x" * 2048)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=50)))
def test_whatever_is_in_the_arguments_one_line_is_sent(words: list[str]) -> None:
    line = build_command("EXEC", *words)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


@given(st.text())
def test_parsing_gives_a_reply_or_says_that_it_is_none(text: str) -> None:
    with contextlib.suppress(OutOfStepError):
        assert parse_reply(text).code >= 0
