"""One AGI dialogue, blocking: a command out, its answer in; it knows no recorder.

What Asterisk's res_agi.c sends beside plain answers is dealt with here, and nowhere else: a `100`
before the answer (GOSUB), `HANGUP` between answers, values with line feeds, usage texts, the end of
the stream in the middle of any of them. Lines that nobody asked for are never taken for an answer:
a caller's name with an empty line in it ends the environment early, and a client that was
interrupted has an answer to come; so a dialogue first gets into step (`_get_into_step`).
"""

from __future__ import annotations

import io
import re
import secrets
from dataclasses import dataclass
from typing import Any, Final, Protocol

from turnrec.bots.errors import HungUpError

MAX_COMMAND_BYTES: Final = 2047
"""res_agi.c reads commands into a buffer of 2048 bytes and cuts longer ones silently."""
_MAX_LINE_BYTES: Final = 64 * 1024
_MAX_REPLY_LINES: Final = 256
_MAX_ENVIRONMENT_LINES: Final = 256
_MAX_UNASKED_LINES: Final = 512

_REPLY: Final = re.compile(
    r"(?P<code>\d{3}) result=(?P<result>[^\s(]*)(?: ?\((?P<value>.*)\))?(?P<rest>.*)", re.DOTALL
)
_OPEN_VALUE: Final = re.compile(r"200 result=-?\d* \(")
_END_OF_VALUE: Final = re.compile(r"\)( endpos=\d+)?$")
_DEAD: Final = 511
"""`Command Not Permitted on a dead channel or intercept routine`."""


class AgiArgumentError(ValueError):
    """A command can't be sent: an argument holds a line end or NUL, or it is too long."""


class OutOfStepError(Exception):
    """What came is no answer in AGI."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Asterisk's answer to one command."""

    code: int
    result: str = ""
    """As it stands there: digits that a caller has keyed keep their zeros."""
    value: str | None = None
    """What stands in parentheses."""
    text: str = ""
    """What comes after."""


class Reader(Protocol):
    """Where lines come from: `sys.stdin`, or its `buffer`."""

    def readline(self) -> str | bytes:
        """The next line with its end; empty at the end of the stream."""


class Writer(Protocol):
    """Where commands go: `sys.stdout`, or its `buffer`."""

    def write(self, data: Any, /) -> object:
        """Take it."""

    def flush(self) -> object:
        """Send it."""


class Dialogue:
    """Commands out and answers in, strictly in turn."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Make it; nothing is read or written yet. Streams of text and of bytes both do."""
        self._reader = reader
        self._writer = writer
        self._is_in_step = False
        self.hung_up = False
        """Whether Asterisk has said HANGUP. The dialogue may go on: the channel is dead."""

    def environment(self) -> dict[str, str]:
        """Read what Asterisk says first, up to the empty line. The first of two values counts.

        Raises:
            HungUpError: it ended before.
            OutOfStepError: it has no end.
        """
        found: dict[str, str] = {}
        for _ in range(_MAX_ENVIRONMENT_LINES):
            line = self._line()
            if not line:
                return found
            name, colon, value = line.partition(":")
            if colon:
                found.setdefault(name.strip(), value.strip())
        raise OutOfStepError(f"an AGI environment of more than {_MAX_ENVIRONMENT_LINES} lines")

    def ask(self, *words: str) -> Reply:
        """Send one command and wait for its answer. Every word after the first is quoted.

        Raises:
            AgiArgumentError: it can't be sent; nothing was.
            HungUpError: the call is over: the stream has ended, or the channel is dead and the
                command not for the dead.
            OutOfStepError: the answer is no AGI.
        """
        command = build_command(*words)
        if not self._is_in_step:
            self._get_into_step()
        reply = parse_reply("\n".join(self._exchange(command)))
        if reply.code == _DEAD:
            raise HungUpError(f"AGI {words[0]}: the channel is dead")
        return reply

    def forward(self, command: bytes) -> bytes:
        """Send somebody else's command as it is; return all that is answered, as it came.

        Raises:
            HungUpError: the stream has ended.
            OutOfStepError: the answer is no AGI.
        """
        if not self._is_in_step:
            self._get_into_step()
        lines = self._exchange(command)
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")

    def expand(self, expression: str) -> str:
        """Have Asterisk expand `${...}` on the channel. Works on a dead channel, too.

        Raises:
            HungUpError, OutOfStepError: see `ask`.
        """
        return self.ask("GET FULL VARIABLE", expression).value or ""

    def set(self, name: str, value: str) -> None:
        """Set a channel variable.

        Raises:
            HungUpError, OutOfStepError: see `ask`.
        """
        self.ask("SET VARIABLE", name, value)

    # -------------------------------------------------------------- inside

    def _get_into_step(self) -> None:
        """Ask for something that only the answer to it can hold, and drop all that comes before."""
        token = secrets.token_hex(8)
        self._write(build_command("GET FULL VARIABLE", token))
        for _ in range(_MAX_UNASKED_LINES):
            if self._line() == f"200 result=1 ({token})":
                self._is_in_step = True
                return
        raise OutOfStepError(f"{_MAX_UNASKED_LINES} lines that nobody asked for")

    def _exchange(self, command: bytes) -> list[str]:
        self._is_in_step = False
        self._write(command)
        lines = self._reply_lines()
        # Only now: whoever was interrupted before has an answer to come.
        self._is_in_step = True
        return lines

    def _reply_lines(self) -> list[str]:
        line = self._line()
        while line == "HANGUP" or line.startswith("100 "):
            self.hung_up |= line == "HANGUP"
            line = self._line()
        lines = [line]
        while not _is_whole(lines):
            if len(lines) > _MAX_REPLY_LINES:
                raise OutOfStepError(f"an AGI answer of more than {_MAX_REPLY_LINES} lines")
            lines.append(self._line())
        return lines

    def _line(self) -> str:
        line = self._reader.readline()
        # Callers' names may be Latin-1: each undecodable byte survives as a surrogate.
        text = line.decode("utf-8", "surrogateescape") if isinstance(line, bytes) else line
        if not text.endswith("\n"):
            # Half a line at the end is no answer, however much it looks like one.
            raise HungUpError("Asterisk has closed the AGI session")
        if len(text) > _MAX_LINE_BYTES:
            raise OutOfStepError(f"an AGI line of more than {_MAX_LINE_BYTES} bytes")
        return text[:-1].removesuffix("\r")

    def _write(self, data: bytes) -> None:
        is_text = isinstance(self._writer, io.TextIOBase)
        try:
            self._writer.write(data.decode("utf-8", "surrogateescape") if is_text else data)
            self._writer.flush()
        except (BrokenPipeError, ConnectionError, ValueError) as error:
            raise HungUpError("Asterisk has closed the AGI session") from error


def build_command(*words: str) -> bytes:
    """Build one command line. Every word after the first is quoted; none can end the line.

    Raises:
        AgiArgumentError: a word holds CR, LF or NUL, or the line is longer than Asterisk reads.
    """
    verb, *arguments = words
    if any(sign in word for word in words for sign in "\r\n\0"):
        raise AgiArgumentError(f"AGI {verb}: an argument holds a line end or NUL")
    quoted = (one.replace("\\", "\\\\").replace('"', '\\"') for one in arguments)
    line = " ".join([verb, *(f'"{one}"' for one in quoted)])
    data = line.encode("utf-8", "surrogateescape") + b"\n"
    if len(data) > MAX_COMMAND_BYTES:
        raise AgiArgumentError(f"AGI {verb}: more than {MAX_COMMAND_BYTES} bytes")
    return data


def parse_reply(text: str) -> Reply:
    """Read one whole answer.

    Raises:
        OutOfStepError: it is none.
    """
    found = _REPLY.fullmatch(text)
    if found is not None:
        return Reply(int(found["code"]), found["result"], found["value"], found["rest"].strip())
    if re.match(r"\d{3}[ -]", text) is None:
        raise OutOfStepError("an AGI answer does not begin with its three-digit code")
    return Reply(int(text[:3]), text=text[4:])


def _is_whole(lines: list[str]) -> bool:
    if lines[0].startswith("520-"):
        return len(lines) > 1 and lines[-1].startswith("520 ")
    return _OPEN_VALUE.match(lines[0]) is None or _END_OF_VALUE.search(lines[-1]) is not None
