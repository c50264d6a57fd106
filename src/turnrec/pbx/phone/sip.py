"""SIP messages: owns their bytes and header fields; never sends one or keeps a state."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TypeAlias

from turnrec.pbx.phone.errors import MalformedError

Fields: TypeAlias = tuple[tuple[str, str], ...]

_VERSION = "SIP/2.0"
_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "k": "supported",
    "r": "refer-to",
    "o": "event",
}
_REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
    603: "Decline",
}
_FORBIDDEN_IN_FIELD = re.compile(r"[\r\n\0]")


@dataclass(frozen=True, slots=True)
class Message:
    """What a request and a response have in common."""

    fields: Fields
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Every value of a header field, in order."""
        wanted = name.lower()
        return [value for key, value in self.fields if _long_name(key) == wanted]

    def get(self, name: str) -> str:
        """The first value of a header field; a missing one is malformed."""
        for value in self.all(name):
            return value
        raise MalformedError(f"SIP message without {name}")

    @property
    def call_id(self) -> str:
        """The call's name, chosen by the caller."""
        return self.get("Call-ID")

    @property
    def cseq(self) -> tuple[int, str]:
        """The sequence number and the method it belongs to."""
        number, _, method = self.get("CSeq").partition(" ")
        if not number.isdecimal() or not method.strip():
            raise MalformedError("CSeq", self.get("CSeq"))
        return int(number), method.strip()

    @property
    def branch(self) -> str:
        """The transaction's name, in the topmost Via."""
        return parameter(self.get("Via"), "branch")

    def _pack(self, first_line: str) -> bytes:
        lines = [first_line]
        for name, value in self.fields:
            if _FORBIDDEN_IN_FIELD.search(value):
                raise MalformedError(f"line break in {name}", value)
            lines.append(f"{name}: {value}")
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A request; the fields hold no Content-Length, which packing adds."""

    method: str = ""
    uri: str = ""

    def pack(self) -> bytes:
        """The bytes to send."""
        if re.search(r"\s", self.method + self.uri):
            raise MalformedError("white space in the request line", self.uri)
        return self._pack(f"{self.method} {self.uri} {_VERSION}")

    def response(
        self,
        status: int,
        fields: Fields = (),
        *,
        to_tag: str = "",
        reason: str = "",
        body: bytes = b"",
    ) -> Response:
        """An answer to it, with the fields RFC 3261 8.2.6 says to copy."""
        copied = [("Via", via) for via in self.all("Via")]
        copied += [("Record-Route", route) for route in self.all("Record-Route")]
        to = self.get("To")
        if to_tag and not parameter(to, "tag"):
            to = f"{to};tag={to_tag}"
        copied += [
            ("From", self.get("From")),
            ("To", to),
            ("Call-ID", self.call_id),
            ("CSeq", self.get("CSeq")),
        ]
        if body:
            fields = (*fields, ("Content-Type", "application/sdp"))
        return Response((*copied, *fields), body, status, reason or _REASONS.get(status, "Unknown"))

    def cancel(self) -> Request:
        """The CANCEL of an INVITE: the same transaction, another method."""
        return self._follow_up("CANCEL", self.get("To"))

    def ack_of_refusal(self, response: Response) -> Request:
        """The ACK of a final answer of 300 or more, which ends the same transaction."""
        return self._follow_up("ACK", response.get("To"))

    def _follow_up(self, method: str, to: str) -> Request:
        number, _ = self.cseq
        fields = (
            ("Via", self.get("Via")),
            ("Max-Forwards", "70"),
            ("From", self.get("From")),
            ("To", to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
        )
        return Request(fields, b"", method, self.uri)


@dataclass(frozen=True, slots=True)
class Response(Message):
    """An answer to a request."""

    status: int = 0
    reason: str = ""

    def pack(self) -> bytes:
        """The bytes to send."""
        return self._pack(f"{_VERSION} {self.status} {self.reason}")

    @property
    def is_final(self) -> bool:
        """Whether no other answer follows."""
        return self.status >= 200

    @property
    def is_success(self) -> bool:
        """Whether the request was accepted."""
        return 200 <= self.status < 300


def parse(datagram: bytes) -> Request | Response:
    """Read one message; a body shorter than announced is malformed, a longer one is cut."""
    head, separator, body = datagram.partition(b"\r\n\r\n")
    if not separator:
        raise MalformedError("SIP message without end of header", datagram)
    try:
        text = head.decode()
    except UnicodeDecodeError:
        raise MalformedError("SIP header is no UTF-8", datagram) from None
    # A line that begins with white space continues the one before (RFC 3261 7.3.1).
    first_line, *lines = re.sub(r"\r\n[ \t]+", " ", text).split("\r\n")
    fields = tuple(_field(line) for line in lines)
    body = _body(fields, body)
    words = first_line.split(" ", 2)
    if len(words) != 3:
        raise MalformedError("SIP first line", first_line)
    message: Request | Response
    if words[0] == _VERSION and re.fullmatch(r"[1-6]\d\d", words[1]):
        message = Response(fields, body, int(words[1]), words[2])
    elif words[2] == _VERSION and words[0].isalpha():
        message = Request(fields, body, words[0], words[1])
    else:
        raise MalformedError("SIP first line", first_line)
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        message.get(name)
    _ = message.cseq
    return message


def parameter(value: str, name: str) -> str:
    """A parameter of a header value (not of the URI within it); empty if there is none."""
    outside = value.rpartition(">")[2] if "<" in value else value
    for part in outside.split(";")[1:]:
        key, _, found = part.partition("=")
        if key.strip().lower() == name:
            return found.strip().strip('"')
    return ""


def uri_of(value: str) -> str:
    """The URI of a From, To or Contact value."""
    found = re.search(r"<([^<>]*)>", value)
    return found[1] if found else value.split(";")[0].strip()


def address_of(uri: str, default_port: int = 5060) -> tuple[str, int]:
    """Where a SIP URI with an IPv4 address leads."""
    found = re.fullmatch(r"sips?:(?:[^@]*@)?(\d+\.\d+\.\d+\.\d+)(?::(\d+))?(?:[;?].*)?", uri)
    if not found:
        raise MalformedError("not a SIP URI with an IPv4 address", uri)
    return found[1], int(found[2] or default_port)


def new_branch() -> str:
    """A name for a new transaction, with RFC 3261's magic cookie."""
    return f"z9hG4bK{secrets.token_hex(8)}"


def new_tag() -> str:
    """A name for one end of a dialog."""
    return secrets.token_hex(6)


def _long_name(name: str) -> str:
    lowered = name.lower()
    return _COMPACT.get(lowered, lowered)


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise MalformedError("SIP header line", line)
    return name.strip(), value.strip()


def _body(fields: Fields, body: bytes) -> bytes:
    for name, value in fields:
        if _long_name(name) == "content-length":
            if not value.isdecimal() or int(value) > len(body):
                raise MalformedError("SIP Content-Length", value)
            return body[: int(value)]
    return body
