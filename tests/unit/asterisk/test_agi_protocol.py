"""AGI's bytes: what is read from any cut of them, what is refused, what is sent."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.loopback.res_agi import parse_args
from turnrec.asterisk.agi_protocol import (
    MAX_COMMAND_BYTES,
    MAX_ENVIRONMENT_LINES,
    MAX_LINE_BYTES,
    MAX_REPLY_LINES,
    AgiArgumentError,
    AgiParser,
    AgiProtocolError,
    Environment,
    HungUp,
    Message,
    Reply,
    build_command,
)

ENVIRONMENT = (
    b"agi_network: yes\n"
    b"agi_network_script: turn?ask_aadhaar&\n"
    b"agi_request: agi://127.0.0.1:4573/turn?ask_aadhaar&\n"
    b"agi_channel: PJSIP/caller-00000001\n"
    b"agi_uniqueid: 1790000000.1\n"
    b"agi_callerid: unknown\n"
    b"agi_calleridname: Andr\xe9: \xd1and\xfa\n"
    b"agi_arg_1: \n"
    b"\n"
)
USAGE = (
    b"520-Invalid command syntax.  Proper usage follows:\n Usage: EXEC <app>\n\n520 End of use.\n"
)
DIALOGUE = (
    ENVIRONMENT
    + b"200 result=0\n"
    + b"HANGUP\n"
    + b"100 result=0 Trying...\n200 result=0 Gosub complete\n"
    + b"200 result=1 (/spool/(a\nb)|)\n"
    + USAGE
    + b"511 Command Not Permitted on a dead channel or intercept routine\n"
    + b"200 result=-1\r\n"
    + b"HANGUP\n"
)


def parse(*pieces: bytes) -> list[Message]:
    parser = AgiParser()
    return [message for piece in pieces for message in parser.feed(piece)]


def replies(data: bytes) -> list[Message]:
    return parse(ENVIRONMENT + data)[1:]


MESSAGES = parse(DIALOGUE)


# -- the environment -----------------------------------------------------------------------------


def test_the_environment_names_channel_script_and_arguments() -> None:
    (environment,) = parse(ENVIRONMENT)
    assert isinstance(environment, Environment)
    assert environment.uniqueid == "1790000000.1"
    assert environment.channel == "PJSIP/caller-00000001"
    assert environment.script == "turn"
    assert [environment.argument(n) for n in (1, 2, 3)] == ["ask_aadhaar", "", ""]


def test_a_latin_1_name_survives_and_spoils_nothing() -> None:
    (environment,) = parse(ENVIRONMENT)
    assert isinstance(environment, Environment)
    name = environment.variables["agi_calleridname"]
    assert name.encode("utf-8", "surrogateescape") == b"Andr\xe9: \xd1and\xfa"


@pytest.mark.parametrize(
    ("request_line", "script"),
    [
        (b"agi_request: agi://127.0.0.1:4573/turn\n", "turn"),
        (b"agi_request: agi://[::1]/turn?x=1\n", "turn"),
        (b"agi_request: agi://127.0.0.1\n", ""),
        (b"agi_request: /var/lib/asterisk/agi-bin/x.py\n", ""),
        (b"agi_network_script: turn?x=1\n", "turn"),
        (b"", ""),
    ],
)
def test_the_script_is_the_urls_path(request_line: bytes, script: str) -> None:
    (environment,) = parse(b"agi_uniqueid: 1.1\n" + request_line + b"\n")
    assert isinstance(environment, Environment)
    assert environment.script == script


def test_a_line_end_in_what_a_caller_chooses_forges_nothing() -> None:
    (environment,) = parse(
        b"agi_network_script: turn?x\nagi_uniqueid: 1.1\nagi_callerid: 1\n"
        b"agi_uniqueid: 6.6\nrubbish\nagi_network_script: turn?y\nagi_arg_1: z\n\n"
    )
    assert isinstance(environment, Environment)
    assert (environment.uniqueid, environment.argument(1)) == ("1.1", "x")


def test_a_line_end_in_the_url_is_refused() -> None:
    with pytest.raises(AgiProtocolError, match="agi_uniqueid"):
        parse(b"agi_network_script: turn?x\nagi_uniqueid: 6.6\nagi_uniqueid: 1.1\n\n")


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"agi_network: yes\n\n",
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\n",
        b"HANGUP\n",
        b"200 result=0\n",
        b"agi_uniqueid\n",
    ],
)
def test_what_does_not_begin_as_agi_is_refused(data: bytes) -> None:
    with pytest.raises(AgiProtocolError):
        parse(data)


def test_an_environment_without_an_end_is_refused() -> None:
    lines = [b"agi_x%d: y\n" % n for n in range(MAX_ENVIRONMENT_LINES)]
    assert parse(*lines) == []
    with pytest.raises(AgiProtocolError, match="more than 256 lines"):
        parse(*lines, b"agi_z: y\n")


# -- replies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"200 result=0\n", Reply(200, 0)),
        (b"200 result=-1\r\n", Reply(200, -1)),
        (b"200 result=-2\n", Reply(200, -2)),
        (b"200 result=1 ()\n", Reply(200, 1, "")),
        (b"200 result=1 (0x7f|/spool/a.wav)\n", Reply(200, 1, "0x7f|/spool/a.wav")),
        (b"200 result=1 (a (b) c)\n", Reply(200, 1, "a (b) c")),
        (b"200 result=1 (one\ntwo\n\nthree)\n", Reply(200, 1, "one\ntwo\n\nthree")),
        (b"200 result=1 (HANGUP\nHANGUP\n)\n", Reply(200, 1, "HANGUP\nHANGUP\n")),
        (b"200 result=\n", Reply(200, None)),
        (b"200 result=0 endpos=800\n", Reply(200, 0, None, "endpos=800")),
        (b"200 result=0 (timeout) endpos=800\n", Reply(200, 0, "timeout", "endpos=800")),
        (b"510 Invalid or unknown command\n", Reply(510, text="Invalid or unknown command")),
        (b"511 Command Not Permitted\n", Reply(511, text="Command Not Permitted")),
        (b"520 No usage\n", Reply(520, text="No usage")),
        (b"100 result=0 Trying...\n200 result=0 Done\n", Reply(200, 0, None, "Done")),
    ],
)
def test_a_reply_is_read_whole(data: bytes, reply: Reply) -> None:
    assert replies(data) == [reply]


def test_a_usage_block_is_one_reply() -> None:
    (reply,) = replies(USAGE)
    assert isinstance(reply, Reply)
    assert (reply.code, reply.result) == (520, None)
    assert "Usage: EXEC <app>" in reply.text


def test_an_answer_of_progress_is_no_answer() -> None:
    assert replies(b"100 result=0 Trying...\n") == []


def test_the_hang_up_is_no_answer_wherever_it_stands() -> None:
    answers = [b"200 result=1\n", b"200 result=2\n", USAGE]
    for position in range(len(answers) + 1):
        around = [*answers[:position], b"HANGUP\n", *answers[position:]]
        got = replies(b"".join(around))
        assert got.pop(position) == HungUp()
        assert got == replies(b"".join(answers))


def test_a_reply_without_an_end_is_refused() -> None:
    parser = AgiParser()
    parser.feed(ENVIRONMENT + b"200 result=1 (one\n")
    parser.feed(b"more\n" * (MAX_REPLY_LINES - 1))
    with pytest.raises(AgiProtocolError, match="more than 256 lines"):
        parser.feed(b"more\n")


@pytest.mark.parametrize(
    "data", [b"\n", b"rubbish\n", b"20 result=0\n", b"2000 x\n", b"\xff\xfe\n"]
)
def test_a_reply_without_its_code_is_refused(data: bytes) -> None:
    with pytest.raises(AgiProtocolError):
        replies(data)


def test_a_result_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(AgiProtocolError):
        replies(b"200 result=" + b"1" * 5000 + b"\n")


def test_a_value_that_cannot_be_told_from_its_end_is_refused_and_shifts_no_answer() -> None:
    with pytest.raises(AgiProtocolError):
        replies(b"200 result=1 (one)\ntwo)\n200 result=0\n")


# -- cuts and ends -------------------------------------------------------------------------------


def test_the_dialogue_of_these_tests_is_read() -> None:
    kinds = [type(message).__name__ for message in MESSAGES]
    assert kinds == ["Environment", "Reply", "HungUp", *["Reply"] * 5, "HungUp"]


def test_bytes_mean_the_same_one_at_a_time() -> None:
    assert parse(*(DIALOGUE[n : n + 1] for n in range(len(DIALOGUE)))) == MESSAGES


def test_bytes_mean_the_same_cut_in_two_anywhere() -> None:
    for cut in range(len(DIALOGUE) + 1):
        assert parse(DIALOGUE[:cut], DIALOGUE[cut:]) == MESSAGES


def test_an_early_end_gives_the_messages_that_were_complete_and_no_other() -> None:
    for end in range(len(DIALOGUE)):
        got = parse(DIALOGUE[:end])
        assert got == MESSAGES[: len(got)]
    assert len(parse(DIALOGUE[:-1])) == len(MESSAGES) - 1


@given(st.lists(st.integers(1, len(DIALOGUE)), max_size=12))
def test_bytes_mean_the_same_however_they_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(DIALOGUE)]
    pieces = [DIALOGUE[start:end] for start, end in pairwise(edges)]
    assert parse(*pieces) == MESSAGES


# -- too much, and anything at all ---------------------------------------------------------------


def test_a_line_may_have_its_limit_and_no_byte_more() -> None:
    name = b"agi_long: "
    value = b"x" * (MAX_LINE_BYTES - len(name))
    assert parse(name + value + b"\n") == []
    with pytest.raises(AgiProtocolError):
        parse(name + value + b"y\n")


@pytest.mark.parametrize("before", [b"", ENVIRONMENT])
def test_a_megabyte_without_a_line_end_is_refused_before_it_is_kept(before: bytes) -> None:
    parser = AgiParser()
    parser.feed(before)
    assert parser.feed(b"x" * MAX_LINE_BYTES) == []
    with pytest.raises(AgiProtocolError):
        parser.feed(b"x" * (1_000_000 - MAX_LINE_BYTES))


LINES = st.lists(
    st.sampled_from(
        [b"HANGUP", b"200 result=0", b"200 result=1 (", b"100 x", b"520-", b"520 ", b")", b"", b"5"]
    )
    | st.binary(max_size=40),
    max_size=30,
).map(b"\n".join)


@settings(max_examples=500)
@given(st.booleans(), st.binary(max_size=300) | LINES)
@example(True, "200 result=٣\n".encode())
@example(True, "٢٠٠ result=0\n".encode())
@example(True, b"200 result=-\n")
def test_no_bytes_raise_anything_but_a_protocol_error(after_start: bool, data: bytes) -> None:
    parser = AgiParser()
    with contextlib.suppress(AgiProtocolError):
        parser.feed((ENVIRONMENT if after_start else b"") + data)


# -- commands ------------------------------------------------------------------------------------

SENDABLE = st.text(
    st.characters(blacklist_characters="\r\n\0", blacklist_categories=["Cs"]), max_size=60
)


@given(st.lists(SENDABLE, max_size=4))
@example(["", "a b", '"', "\\", '\\"', 'x"y', "a\tb", "${ID}", "a,b|c", "/spool/a.wav,i(X)"])
@example(["\\\\", '"" ""', "ends in \\"])
def test_asterisk_reads_the_words_that_were_given(arguments: list[str]) -> None:
    line = build_command("EXEC", *arguments)
    assert line.endswith(b"\n")
    assert parse_args(line.decode().removesuffix("\n")) == ["EXEC", *arguments]


def test_a_verb_of_several_words_is_not_quoted() -> None:
    assert build_command("GET FULL VARIABLE", "${A}") == b'GET FULL VARIABLE "${A}"\n'


def test_what_came_as_latin_1_goes_back_as_it_came() -> None:
    name = b"Andr\xe9".decode("utf-8", "surrogateescape")
    assert build_command("SET VARIABLE", "X", name) == b'SET VARIABLE "X" "Andr\xe9"\n'


@pytest.mark.parametrize("character", ["\r", "\n", "\0"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_no_word_can_end_its_line(character: str, position: int) -> None:
    words = ["EXEC", "Wait", "1"]
    words[position] += f"{character}EXEC StopMixMonitor"
    with pytest.raises(AgiArgumentError):
        build_command(*words)


def test_a_command_is_as_long_as_asterisk_reads_and_no_byte_longer() -> None:
    room = MAX_COMMAND_BYTES - len(build_command("EXEC", "Wait", ""))
    assert len(build_command("EXEC", "Wait", "x" * room)) == MAX_COMMAND_BYTES == 2047
    with pytest.raises(AgiArgumentError):
        build_command("EXEC", "Wait", "x" * (room + 1))


def test_length_is_counted_in_bytes_and_with_its_escapes() -> None:
    with pytest.raises(AgiArgumentError):
        build_command("EXEC", "Wait", "é" * 1017)
    with pytest.raises(AgiArgumentError):
        build_command("EXEC", "Wait", '"' * 1017)
