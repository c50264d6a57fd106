"""SIP, SDP, RTP and digests: bytes in, values out, and nothing but MalformedError otherwise."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnrec.pbx.g711 import Codec
from turnrec.pbx.phone.auth import Credentials, authorisation
from turnrec.pbx.phone.errors import MalformedError, PhoneError
from turnrec.pbx.phone.keypad import Keypad
from turnrec.pbx.phone.rtp import DigitEvent, RtpPacket
from turnrec.pbx.phone.sdp import Direction, MediaDescription
from turnrec.pbx.phone.sip import Request, Response, address_of, parameter, parse, uri_of

INVITE = (
    b"INVITE sip:1000@127.0.0.1 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKabc\r\n"
    b'f: "A; <b>" <sip:a@127.0.0.1>;tag=one\r\n'
    b"To: <sip:1000@127.0.0.1;user=phone>\r\n"
    b"Call-ID: x@y\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Subject: folded\r\n over two lines\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"v=0\r\n"
)


def test_a_request_is_read_with_compact_and_folded_fields() -> None:
    request = parse(INVITE)
    assert isinstance(request, Request)
    assert (request.method, request.uri, request.body) == (
        "INVITE",
        "sip:1000@127.0.0.1",
        b"v=0\r\n",
    )
    assert request.branch == "z9hG4bKabc"
    assert request.cseq == (7, "INVITE")
    assert request.get("subject") == "folded over two lines"
    assert parameter(request.get("From"), "tag") == "one"
    assert parameter(request.get("To"), "tag") == ""


@pytest.mark.parametrize("length", range(len(INVITE)))
def test_a_request_cut_off_anywhere_is_malformed(length: int) -> None:
    with pytest.raises(MalformedError):
        parse(INVITE[:length])


@given(st.binary(max_size=400), st.integers(0, len(INVITE)))
def test_garbage_is_malformed_and_never_worse(garbage: bytes, at: int) -> None:
    for datagram in (garbage, INVITE[:at] + garbage, garbage + INVITE[at:]):
        for read in (parse, RtpPacket.parse, DigitEvent.parse, MediaDescription.parse):
            with contextlib.suppress(MalformedError):
                read(datagram)


def test_a_response_copies_what_rfc_3261_says() -> None:
    request = parse(INVITE)
    assert isinstance(request, Request)
    response = parse(request.response(486, to_tag="two").pack())
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (486, "Busy Here")
    assert response.all("Via") == request.all("Via")
    assert response.get("To") == "<sip:1000@127.0.0.1;user=phone>;tag=two"
    assert response.is_final
    assert not response.is_success


def test_a_line_break_in_a_field_is_not_sent() -> None:
    with pytest.raises(MalformedError):
        Request((("Subject", "a\r\nX-Evil: b"),), b"", "OPTIONS", "sip:a@127.0.0.1").pack()
    with pytest.raises(MalformedError):
        Request((), b"", "OPTIONS", "sip:a b").pack()


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sip:127.0.0.1", ("127.0.0.1", 5060)),
        ("sip:1000@127.0.0.1:5080;transport=udp", ("127.0.0.1", 5080)),
    ],
)
def test_a_uri_leads_to_an_address(uri: str, address: tuple[str, int]) -> None:
    assert address_of(uri) == address


def test_a_uri_without_an_ip_address_is_refused() -> None:
    with pytest.raises(MalformedError):
        address_of("sip:1000@example.org")


def test_the_uri_is_found_with_and_without_brackets() -> None:
    assert uri_of('"A" <sip:a@1.2.3.4;x=y>;tag=1') == "sip:a@1.2.3.4;x=y"
    assert uri_of("sip:a@1.2.3.4;tag=1") == "sip:a@1.2.3.4"


# RFC 2617 3.5, with the method and the URI given there.
CHALLENGE = (
    'Digest realm="testrealm@host.com", qop="auth,auth-int", '
    'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)


def test_the_digest_is_rfc_2617s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "0a4f113b")
    challenge = Response((("WWW-Authenticate", CHALLENGE),), b"", 401, "Unauthorized")
    credentials = Credentials("Mufasa", "Circle Of Life")
    ((name, value),) = authorisation(challenge, credentials, "GET", "/dir/index.html")
    assert name == "Authorization"
    assert 'response="6629fae49393a05397450978507c4ef1"' in value
    assert "Circle" not in repr(credentials)


def test_an_unknown_digest_is_an_error() -> None:
    asked = (("Proxy-Authenticate", 'Digest realm="r", nonce="n", algorithm=ROT13'),)
    with pytest.raises(PhoneError):
        authorisation(Response(asked, b"", 407, ""), Credentials("a", "b"), "INVITE", "sip:x")


@pytest.mark.parametrize("codecs", [(Codec.PCMU,), (Codec.PCMA, Codec.PCMU)])
@pytest.mark.parametrize("direction", list(Direction))
def test_a_media_description_is_read_as_it_was_written(
    codecs: tuple[Codec, ...], direction: Direction
) -> None:
    described = MediaDescription("127.0.0.1", 4000, codecs, 96, direction)
    assert MediaDescription.parse(described.pack()) == described


def test_only_the_first_audio_stream_counts_and_its_own_address() -> None:
    body = (
        b"v=0\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
        b"m=video 5000 RTP/AVP 96\r\na=inactive\r\nc=IN IP4 10.0.0.3\r\n"
        b"m=audio 4000 RTP/AVP 8 9 101\r\nc=IN IP4 10.0.0.2\r\n"
        b"a=rtpmap:101 telephone-event/8000\r\n"
        b"m=audio 4002 RTP/AVP 0\r\n"
    )
    assert MediaDescription.parse(body) == MediaDescription("10.0.0.2", 4000, (Codec.PCMA,), 101)


def test_rtp_is_read_as_it_was_written_and_its_counters_wrap() -> None:
    packed = RtpPacket(0, 65536 + 7, (1 << 32) + 9, 5, b"abc", marker=True).pack()
    assert RtpPacket.parse(packed) == RtpPacket(0, 7, 9, 5, b"abc", marker=True)


def test_rtp_sources_extension_and_padding_are_skipped() -> None:
    plain = RtpPacket(8, 1, 2, 3, b"")
    extras = b"SRC1" + b"\xbe\xde\x00\x01EXT1" + b"audio" + b"\x00\x02"
    packet = bytes([0x80 | 0x20 | 0x10 | 1]) + plain.pack()[1:] + extras
    assert RtpPacket.parse(packet) == RtpPacket(8, 1, 2, 3, b"audio")


def test_a_key_is_held_then_ended_three_times_under_one_timestamp() -> None:
    keypad = Keypad()
    keypad.press("5", hold_ms=60, pause_ms=40)
    ticks = [keypad.tick(160 * number) for number in range(1, 7)]
    assert [[key.event for key in keys] for keys in ticks] == [
        [DigitEvent("5", 160)],
        [DigitEvent("5", 320)],
        [DigitEvent("5", 480, is_end=True)] * 3,
        [],
        [],
        [],
    ]
    assert {key.started_at for keys in ticks for key in keys} == {160}
    assert keypad.is_idle


def test_a_key_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no such keys"):
        Keypad().press("12x", 100, 60)
