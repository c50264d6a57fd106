"""AMI's bytes, cut anywhere, in any encoding, damaged or endless, give their messages or none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnrec.asterisk.ami_message import (
    AmiEvent,
    AmiResponse,
    MessageSplitter,
    NotAnAsteriskManagerError,
    OversizedMessageError,
    decode,
    event_name,
    parse,
    raw_action_id,
)

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
STREAM = (
    GREETING
    + b"Response: Success\r\nActionID: a/1\r\n\r\n"
    + "Event: BridgeEnter\r\nCallerIDName: Jürgen परीक्षा\r\nAccountCode: \r\n\r\n".encode()
    + b"\r\n"
    + b"Event: Hangup\r\nCause: 16\r\n\r\n"
)
MESSAGES = [
    b"Response: Success\r\nActionID: a/1",
    "Event: BridgeEnter\r\nCallerIDName: Jürgen परीक्षा\r\nAccountCode: ".encode(),
    b"Event: Hangup\r\nCause: 16",
]


def fed(*chunks: bytes, max_message_bytes: int = 10_000) -> list[bytes]:
    splitter = MessageSplitter(max_message_bytes)
    return [message for chunk in chunks for message in splitter.feed(chunk)]


def test_stream_in_one_chunk() -> None:
    assert fed(STREAM) == MESSAGES


def test_stream_byte_by_byte() -> None:
    assert fed(*(bytes([byte]) for byte in STREAM)) == MESSAGES


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_stream_cut_anywhere(cut: int) -> None:
    assert fed(STREAM[:cut], STREAM[cut:]) == MESSAGES


@given(st.lists(st.integers(0, len(STREAM))))
def test_stream_cut_everywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert fed(*(STREAM[a:b] for a, b in pairwise(edges))) == MESSAGES


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_after_the_greeting_are_survived(chunks: list[bytes]) -> None:
    for message in fed(GREETING, *chunks):
        parse(message)
        raw_action_id(message)


def test_version_is_taken_from_the_greeting() -> None:
    splitter = MessageSplitter(100)
    splitter.feed(GREETING[:10])
    assert splitter.version is None
    splitter.feed(GREETING[10:])
    assert splitter.version == "11.0.0"


@pytest.mark.parametrize("other", [b"S", b"HTTP/1.1 400 Bad Request\r\n", b"\r\n", b"Asterisk\r\n"])
def test_other_greeting_is_refused_at_its_first_wrong_byte(other: bytes) -> None:
    with pytest.raises(NotAnAsteriskManagerError):
        fed(other)


def test_message_without_end_is_bounded() -> None:
    with pytest.raises(OversizedMessageError, match="more than 100 bytes"):
        fed(GREETING, b"x" * 60, b"x" * 60, max_message_bytes=100)


def test_greeting_without_end_is_bounded() -> None:
    with pytest.raises(OversizedMessageError):
        fed(GREETING.rstrip() + b"1" * 200, max_message_bytes=100)


def test_event_and_response_are_told_apart() -> None:
    event, response = parse(MESSAGES[1]), parse(MESSAGES[0])
    assert isinstance(event, AmiEvent)
    assert event.name == "BridgeEnter"
    assert isinstance(response, AmiResponse)
    assert response.status == "Success"
    assert response.action_id == "a/1"


@pytest.mark.parametrize("raw", [b"", b"Asterisk", b"Events: 1", b"Action: Ping", b"\xff\xfe"])
def test_what_is_neither_is_nothing(raw: bytes) -> None:
    assert parse(raw) is None


@pytest.mark.parametrize(
    ("status", "success"),
    [
        *((status, True) for status in ("Success", "Follows", "Goodbye", "Pong")),
        *((status, False) for status in ("Error", "Failure", "", "Maybe")),
    ],
)
def test_what_is_not_known_as_success_is_a_refusal(status: str, success: bool) -> None:
    response = parse(f"Response: {status}\r\nX: y".encode())
    assert isinstance(response, AmiResponse)
    assert response.success is success


def test_empty_value_is_kept_also_in_the_last_field() -> None:
    event = parse(b"Event: X\r\nA: \r\nB:\r\nC: ")
    assert event is not None
    assert [event.get(name) for name in "ABCD"] == ["", "", "", None]


def test_repeated_field_gives_its_first_value_and_all_of_them() -> None:
    for start in (b"Event: X", b"Response: Success"):
        message = parse(start + b"\r\nChanVariable: a=1\r\nCHANVARIABLE: b=2")
        assert message is not None
        assert message.first("chanvariable") == "a=1"
        assert message.get_all("ChanVariable") == ("a=1", "b=2")
        assert message.get_all("Other") == ()


def test_a_field_of_an_event_that_stands_there_twice_has_no_value() -> None:
    event = parse(b"Event: X\r\nCallerIDNum: x\r\nUNIQUEID: 2.2\r\nExten: s\r\nUniqueid: 1.1")
    assert event is not None
    assert (event.get("Uniqueid"), event.get("Exten")) == (None, "s")
    response = parse(b"Response: Success\r\nValue: 1\r\nValue: 2")
    assert response is not None
    assert response.get("Value") == "1"


def test_the_head_of_an_event_ends_before_what_a_caller_chooses() -> None:
    event = parse(b"Event: X\r\nActionID: 7\r\nChannel: a\r\nCallerIDNum: x\r\nUniqueid: 2.2")
    assert isinstance(event, AmiEvent)
    assert event.head.fields == (("Event", "X"), ("ActionID", "7"), ("Channel", "a"))
    assert event.head.name == "X"
    assert event.head.head == event.head


def test_value_keeps_its_colons_and_blanks() -> None:
    event = parse(b"Event: X\r\nA: sip:1@h:5060 \r\nOutput:   two more")
    assert event is not None
    assert event.get("A") == "sip:1@h:5060 "
    assert event.get("Output") == "  two more"


def test_the_end_of_a_value_is_no_field() -> None:
    event = parse(b"Event: X\r\nA: \rUniqueid: 2\nUniqueid: 3 Uniqueid: 4\r\nuniqueid: 1")
    assert event is not None
    assert event.get("Uniqueid") == "1"
    assert event.get("niqueid") is None


def test_the_first_line_is_a_field_too() -> None:
    event = parse(b"Event:  X\r\nEvent: Y")
    assert isinstance(event, AmiEvent)
    assert (event.name, event.first("EVENT"), event.get_all("event")) == (" X", " X", (" X", "Y"))


PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\r",
        b"\n",
        b":",
        b": ",
        b" ",
        b"Uniqueid",
        b"UNIQUEID",
        b"A",
        b"a",
        b"\xe2\x82",
        b"\xc3",
    ]
)


@given(st.lists(PIECES | st.binary(max_size=3), max_size=30).map(b"".join))
def test_a_field_that_is_asked_for_is_the_first_of_all_fields(rest: bytes) -> None:
    for start in (b"Event: ", b"Response: "):
        message = parse(start + rest)
        assert message is not None
        first: dict[str, str] = {}
        for name, value in message.fields:
            first.setdefault(name.lower(), value)
        for name in [*first, "uniqueid", "a", "actionid"]:
            if name.isascii():
                assert message.first(name.upper()) == first.get(name)
                is_one = len(message.get_all(name)) == 1 or isinstance(message, AmiResponse)
                assert message.get(name.upper()) == (first.get(name) if is_one else None)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("परीक्षा".encode(), "परीक्षा"),
        (b"M\xfcller", "Müller"),
        ("Jürgen ".encode() + b"M\xfcller", "Jürgen Müller"),
        ("परी".encode()[:-1], "पर" + "à¥"),  # cut by Asterisk at the end of its buffer
    ],
)
def test_bytes_become_text_that_can_be_stored(raw: bytes, text: str) -> None:
    assert decode(raw) == text


@given(st.binary())
def test_every_byte_string_is_text(raw: bytes) -> None:
    decode(raw).encode()


def test_values_are_not_shown() -> None:
    event = parse(b"Event: DTMFEnd\r\nDigit: 7\r\nChannel: PJSIP/a")
    assert repr(event) == "AmiEvent(name='DTMFEnd')"


def test_name_and_action_id_are_read_without_parsing() -> None:
    assert event_name(MESSAGES[2]) == b"Hangup"
    assert event_name(b"Event: Lonely") == b"Lonely"
    assert event_name(MESSAGES[0]) is None
    assert raw_action_id(MESSAGES[0]) == "a/1"
    assert raw_action_id(MESSAGES[2]) is None
    assert raw_action_id(b"Event: X\r\nActionID: 2\r\nY: z") == "2"
