"""AMI's messages, from bytes to frozen values; it owns framing and parsing and never does I/O.

Asterisk greets with one line, then sends blocks of `Name: value` lines, each ended by an empty
line. panoramisk's reader decodes every TCP chunk by itself, and its `Message` answers `''` to
whatever it doesn't know; this module replaces both (traps 11 and 14 of its list, see
ami_protocol.py).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

EOL = b"\r\n"
END = b"\r\n\r\n"
GREETING = b"Asterisk Call Manager/"

_EVENT = b"Event: "
_RESPONSE = b"Response: "
_ACTION_ID = b"\r\nActionID: "
_CALLERS_FIRST = b"\r\ncalleridnum:"
"""The first field of a channel that a caller may have written, in lower case."""

# All that Asterisk and its older modules say when they have done what was asked. Anything else,
# an unknown word too, is a refusal: who guesses fails towards "not done".
_SUCCESS = frozenset({"success", "follows", "goodbye", "pong"})


@dataclass(frozen=True, slots=True)
class AmiMessage:
    """One message. Its text is read field by field, when it is asked for.

    Values stay out of repr(), and so out of logs: they hold numbers, names and dialled digits.
    """

    raw: bytes = field(repr=False)
    """As it came, each field with its line end before it: so one search finds a field."""
    folded: bytes = field(repr=False, compare=False)
    """The same in lower case."""

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """All fields, in the order in which Asterisk wrote them."""
        return tuple(_fields(decode(self.raw)))

    def get(self, name: str) -> str | None:
        """The value of a field, whatever its case; None (not `''`) where it is missing."""
        return self.first(name)

    def first(self, name: str) -> str | None:
        """The first value of a field that may be repeated."""
        key = _key(name)
        start = self.folded.find(key)
        if start < 0:
            return None
        start += len(key)
        end = self.folded.find(EOL, start)
        # One blank is AMI's own; further ones belong to the value (a command's columns).
        value = self.raw[start : None if end < 0 else end].removeprefix(b" ")
        return decode(value)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Every value of a repeated field (`Output`, `ChanVariable`), in order."""
        wanted = name.lower()
        return tuple(value for key, value in self.fields if key.lower() == wanted)

    @property
    def action_id(self) -> str | None:
        """Asterisk writes it before anything that a caller chooses."""
        return self.first("ActionID")


@lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    return EOL + name.lower().encode() + b":"


@dataclass(frozen=True, slots=True)
class AmiEvent(AmiMessage):
    """Something that happened in Asterisk, or one row of a list that was asked for.

    Asterisk writes a caller's number as it came, line ends and all (22.10.1 and 16.28, measured:
    `sip:x%0d%0aUniqueid:%201.1@...` adds a line to each event of his). So a field that stands there
    twice has no value: which of the two is Asterisk's can't be told.
    """

    name: str

    def get(self, name: str) -> str | None:
        """The value of a field; None where it is missing, or there more than once."""
        key = _key(name)
        return None if self.folded.count(key) > 1 else self.first(name)

    @property
    def head(self) -> AmiEvent:
        """What stands before anything that a caller chooses: all of it is Asterisk's own."""
        end = self.folded.find(_CALLERS_FIRST)
        return self if end < 0 else AmiEvent(self.raw[:end], self.folded[:end], self.name)


@dataclass(frozen=True, slots=True)
class AmiResponse(AmiMessage):
    """Asterisk's answer to one action."""

    status: str

    @property
    def success(self) -> bool:
        return self.status.lower() in _SUCCESS

    @property
    def message(self) -> str:
        """Asterisk's sentence about it; empty where it said nothing."""
        return self.get("Message") or ""

    @property
    def output(self) -> str:
        """What a CLI command printed, its lines joined by `\\n` (Asterisk 14 and later)."""
        return "\n".join(self.get_all("Output"))


class OversizedMessageError(ValueError):
    """The peer sent more bytes without an end of message than the reader will hold."""


class NotAnAsteriskManagerError(ValueError):
    """The peer's first line is not the greeting of an Asterisk manager."""


class MessageSplitter:
    """Cuts a byte stream into messages, wherever TCP cut it into chunks.

    Works on bytes alone, so a character that TCP tore in two is whole again before anyone
    decodes it. `version` is None until the greeting has come.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self.version: str | None = None
        self._max_message_bytes = max_message_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Takes a chunk, gives the messages that it completes, without their empty line."""
        # The end can straddle the chunks: step back by three of its four bytes, not to the
        # start, so that a long message costs no more than its length.
        search_from = max(0, len(self._buffer) - len(END) + 1)
        self._buffer += data
        if self.version is None:
            if not self._take_greeting():
                return []
            search_from = 0
        if self._buffer.find(END, search_from) < 0:
            self._check_size()
            return []
        *messages, rest = bytes(self._buffer).split(END)
        self._buffer = bytearray(rest)
        self._check_size()
        # A stray empty line between messages belongs to neither.
        return [message.removeprefix(EOL) for message in messages]

    def _take_greeting(self) -> bool:
        end = self._buffer.find(EOL)
        line = bytes(self._buffer if end < 0 else self._buffer[:end])
        if line[: len(GREETING)] != GREETING[: len(line)] or 0 <= end < len(GREETING):
            raise NotAnAsteriskManagerError("what answered is not an Asterisk manager (AMI)")
        if end < 0:
            self._check_size()
            return False
        self.version = line[len(GREETING) :].decode("ascii", "replace").strip()
        del self._buffer[: end + len(EOL)]
        return True

    def _check_size(self) -> None:
        if len(self._buffer) > self._max_message_bytes:
            raise OversizedMessageError(
                f"a message without end: more than {self._max_message_bytes} bytes"
            )


def event_name(raw: bytes) -> bytes | None:
    """The name of a raw event, None for anything else.

    Asterisk writes `Event:` first (manager.c), so one comparison sorts out what nobody wants
    before it is decoded: some twenty times cheaper than parsing it.
    """
    if not raw.startswith(_EVENT):
        return None
    end = raw.find(EOL)
    return raw[len(_EVENT) :] if end < 0 else raw[len(_EVENT) : end]


def raw_action_id(raw: bytes) -> str | None:
    """The ActionID of a raw message, read without parsing the rest."""
    start = raw.find(_ACTION_ID)
    if start < 0:
        return None
    start += len(_ACTION_ID)
    end = raw.find(EOL, start)
    return decode(raw[start:] if end < 0 else raw[start:end])


def parse(raw: bytes) -> AmiEvent | AmiResponse | None:
    """One raw message as a value; None where it is neither an event nor a response."""
    is_event = raw.startswith(_EVENT)
    if not is_event and not raw.startswith(_RESPONSE):
        return None
    end = raw.find(EOL)
    first = decode(raw[len(_EVENT if is_event else _RESPONSE) : None if end < 0 else end])
    raw = EOL + raw
    return (AmiEvent if is_event else AmiResponse)(raw, raw.lower(), first)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            yield name, value.removeprefix(" ")


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("turnrec-latin-1", _as_latin_1)


def decode(raw: bytes) -> str:
    """Text of a message, or of a field: UTF-8, and a byte that isn't UTF-8 is read as Latin-1.

    So nothing is lost or refused: an old trunk's `M\\xfcller` is Müller, and a name that Asterisk
    cut in mid-character at the end of its buffer keeps all but that character. Against
    `surrogateescape`, the result can always be written to JSON, a ledger and a page; the price
    is that such a name, sent back, is sent as UTF-8 and not as the bytes it came as.
    """
    return raw.decode("utf-8", "turnrec-latin-1")
