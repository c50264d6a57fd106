"""AGI as bytes: parses what Asterisk sends, builds what it is sent; it never touches a socket.

Grammar from res_agi.c (Asterisk 16 to 22): an environment of `agi_name: value` lines that ends
with an empty line, then one reply a command. A reply is `CODE text`; `100` is provisional and
followed by another; `520-` opens a usage text that ends with `520 `; a value in parentheses may
contain line feeds. `HANGUP` may stand between any two replies (FastAGI only).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from turnrec.core.errors import TurnrecError

MAX_LINE_BYTES = 16 * 1024
"""Far above what res_agi.c sends (its buffers are 2 KiB), far below what hurts."""
MAX_ENVIRONMENT_LINES = 256
MAX_REPLY_LINES = 256
MAX_MESSAGE_BYTES = 128 * 1024
"""Of an environment, and of a reply: thousands of sessions may be in memory at once."""
MAX_COMMAND_BYTES = 2047
"""res_agi.c reads commands into a buffer of 2048 bytes and cuts longer ones silently."""

_REPLY = re.compile(
    r"(?P<code>\d{3}) result=(?P<result>-?\d{0,18})(?!\d)(?: ?\((?P<value>.*)\))?(?P<rest>.*)",
    re.DOTALL,
)
_FIRST_OF_THE_CALLERS = "agi_callerid"
"""res_agi.c sends the URL, the channel and the uniqueid before it: what a caller can choose comes
later, and so can't choose these."""
_OPEN_VALUE = re.compile(r"200 result=-?\d* \(")
_END_OF_VALUE = re.compile(r"\)( endpos=\d+)?$")
_SCRIPT = re.compile(r"agi://[^/]*/(?P<script>.*)")


class AgiProtocolError(TurnrecError):
    """The other side does not speak AGI, or too much of it. The session is closed."""

    id = "agi-protocol"


class AgiArgumentError(TurnrecError, ValueError):
    """A command cannot be sent: an argument holds a line end or NUL, or it is too long."""

    id = "agi-argument"


@dataclass(frozen=True, slots=True)
class Environment:
    """What Asterisk says of the channel before the first command."""

    variables: Mapping[str, str]

    @property
    def uniqueid(self) -> str:
        """The channel's uniqueid; a string, never a float."""
        return self.variables.get("agi_uniqueid", "")

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self.variables.get("agi_channel", "")

    @property
    def script(self) -> str:
        """The path of the agi:// URL without its leading slash and its query."""
        return self._target.partition("?")[0]

    def argument(self, number: int) -> str:
        """The n-th word of the URL's query (`agi://host/script?first&second`); empty if absent.

        Never an `agi_arg_N`: Asterisk sends those after the caller's name and number, and a line
        end in one of them would forge any line that follows. The URL comes first.
        """
        words = self._target.partition("?")[2].split("&")
        return words[number - 1] if number <= len(words) else ""

    @property
    def _target(self) -> str:
        target = self.variables.get("agi_network_script")
        if target is None:
            found = _SCRIPT.match(self.variables.get("agi_request", ""))
            target = found["script"] if found else ""
        return target


@dataclass(frozen=True, slots=True)
class Reply:
    """Asterisk's final answer to one command."""

    code: int
    result: int | None = None
    value: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The caller has hung up. The session goes on; it is no answer to anything."""


Message = Environment | Reply | HungUp


class AgiParser:
    """Bytes in, messages out, however the bytes are cut.

    Raises:
        AgiProtocolError: from `feed`, on a line or a message that is too long or no AGI.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._environment: dict[str, str] = {}
        self._environment_lines = 0
        self._in_environment = True
        self._reply: list[str] = []
        self._message_bytes = 0

    @property
    def is_between(self) -> bool:
        """Whether nothing of a reply has come: then a command may be sent."""
        return not self._reply and b"HANGUP\n".startswith(self._buffer)

    def feed(self, data: bytes) -> list[Message]:
        """Take what has come, return the messages that it completes."""
        self._buffer += data
        messages: list[Message] = []
        while (end := self._buffer.find(b"\n", self._scanned)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._scanned = 0
            _check_length(line)
            # Caller names may be Latin-1: each undecodable byte survives as a surrogate.
            text = line.decode("utf-8", "surrogateescape").removesuffix("\r")
            self._message_bytes += len(line)
            message = self._take(text)
            if message is not None:
                messages.append(message)
            if not self._reply and not self._in_environment:
                self._message_bytes = 0
            elif self._message_bytes > MAX_MESSAGE_BYTES:
                raise AgiProtocolError(f"AGI message of more than {MAX_MESSAGE_BYTES} bytes")
        self._scanned = len(self._buffer)
        _check_length(self._buffer)
        return messages

    def _take(self, line: str) -> Message | None:
        if self._in_environment:
            return self._take_environment(line)
        if not self._reply and line == "HANGUP":
            return HungUp()
        return self._take_reply(line)

    def _take_environment(self, line: str) -> Environment | None:
        if not line:
            if "agi_uniqueid" not in self._environment:
                raise AgiProtocolError("the AGI environment names no agi_uniqueid")
            self._in_environment = False
            return Environment(MappingProxyType(self._environment))
        self._environment_lines += 1
        if self._environment_lines > MAX_ENVIRONMENT_LINES:
            raise AgiProtocolError(f"AGI environment of more than {MAX_ENVIRONMENT_LINES} lines")
        name, colon, value = line.partition(":")
        if name.startswith("agi_") and colon:
            if name in self._environment and _FIRST_OF_THE_CALLERS not in self._environment:
                raise AgiProtocolError(f"{name} comes twice before anything of the caller's")
            # The first word counts: a value with a line feed in it can't overwrite another.
            self._environment.setdefault(name, value.removeprefix(" "))
        elif self._environment_lines == 1:
            raise AgiProtocolError("this is no AGI: the first line is no agi_ variable")
        return None

    def _take_reply(self, line: str) -> Reply | None:
        self._reply.append(line)
        if len(self._reply) > MAX_REPLY_LINES:
            raise AgiProtocolError(f"AGI reply of more than {MAX_REPLY_LINES} lines")
        first = self._reply[0]
        if first.startswith("520-"):
            if not line.startswith("520 "):
                return None
        elif _OPEN_VALUE.match(first) and not _END_OF_VALUE.search(line):
            return None
        text = "\n".join(self._reply)
        self._reply = []
        if text.startswith("100 "):
            return None
        return _parse_reply(text)


def _parse_reply(text: str) -> Reply:
    found = _REPLY.fullmatch(text)
    if found is not None:
        result = found["result"]
        number = int(result) if result not in {"", "-"} else None
        return Reply(int(found["code"]), number, found["value"], found["rest"].strip())
    if re.match(r"\d{3}[ -]", text) is None or text.startswith("200 "):
        raise AgiProtocolError("an AGI reply does not begin with its three-digit code")
    return Reply(int(text[:3]), text=text[4:])


def _check_length(line: bytes | bytearray) -> None:
    if len(line) > MAX_LINE_BYTES:
        raise AgiProtocolError(f"AGI line of more than {MAX_LINE_BYTES} bytes")


def build_command(*words: str) -> bytes:
    """Build one command line. Every word after the first is quoted; none can end the line.

    Raises:
        AgiArgumentError: a word holds CR, LF or NUL, or the line is longer than Asterisk reads.
    """
    verb, *arguments = words
    for word in words:
        if any(character in word for character in "\r\n\0"):
            raise AgiArgumentError(f"AGI {verb}: an argument holds a line end or NUL")
    line = " ".join([verb, *(_quote(argument) for argument in arguments)])
    data = line.encode("utf-8", "surrogateescape") + b"\n"
    if len(data) > MAX_COMMAND_BYTES:
        raise AgiArgumentError(f"AGI {verb}: more than {MAX_COMMAND_BYTES} bytes")
    return data


def _quote(argument: str) -> str:
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
