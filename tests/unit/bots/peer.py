"""An Asterisk at the other end of an AGI script's stdin and stdout: real bytes, scripted answers.

It keeps variables, expands `${...}` in GET FULL VARIABLE, and runs a function for GOSUB. Whatever
else is asked gets `200 result=0`. All that it says can be cut off after any byte.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

ENVIRONMENT = (
    b"agi_request: bot.py\n"
    b"agi_channel: PJSIP/tester-00000001\n"
    b"agi_uniqueid: 1700000000.1\n"
    b"agi_callerid: 4711\n"
    b"agi_calleridname: J\xf6rg\n"
    b"agi_arg_1: kyc\n"
    b"\n"
)
COMPLETE = b"100 result=0 Trying...\n200 result=0 Gosub complete\n"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass
class Peer:
    """Both of the script's streams."""

    subroutine: Callable[[Peer, list[str]], bytes] | None = None
    """What GOSUB does, given its words; returns what is answered."""
    environment: bytes = ENVIRONMENT
    cut_after: int | None = None
    """How many bytes it says before it closes the stream."""
    answers: dict[str, bytes] = field(default_factory=dict)
    """Answers by how a command begins."""
    commands: dict[str, Callable[[Peer], bytes]] = field(default_factory=dict)
    """What some commands do, by the whole command; each returns what is answered."""
    variables: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Commands as they came, without those that only get into step."""
    said: bytes = b""
    """All that it has said, cut or not."""
    closed_for_writing: bool = False
    _read: int = 0

    def __post_init__(self) -> None:
        self.said = self.environment

    # -------------------------------------------------------------- the script's stdin

    def readline(self) -> bytes:
        """One line; empty where nothing more is coming."""
        end = len(self.said) if self.cut_after is None else min(self.cut_after, len(self.said))
        at = self.said.find(b"\n", self._read, end)
        stop = end if at < 0 else at + 1
        line, self._read = self.said[self._read : stop], stop
        return line

    # -------------------------------------------------------------- the script's stdout

    def write(self, data: bytes) -> int:
        """Take one command, and answer it."""
        if self.closed_for_writing:
            raise BrokenPipeError
        assert data.endswith(b"\n"), data
        assert data.count(b"\n") == 1, data
        self.said += self._answer(data.decode("utf-8", "surrogateescape")[:-1])
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def _answer(self, command: str) -> bytes:
        words = shlex.split(command)
        verb = " ".join(words[:3])
        if verb.startswith("GET FULL VARIABLE"):
            return self._expanded(words[3], command)
        self.asked.append(command)
        if command in self.commands:
            return self.commands[command](self)
        for begin, answer in self.answers.items():
            if command.startswith(begin):
                return answer
        if verb.startswith("SET VARIABLE"):
            self.variables[words[2]] = words[3]
            return b"200 result=1\n"
        if words[0] == "GOSUB" and self.subroutine is not None:
            return self.subroutine(self, words[1:])
        return b"200 result=0\n"

    def _expanded(self, expression: str, command: str) -> bytes:
        if re.fullmatch(r"[0-9a-f]{16}", expression) is None:
            self.asked.append(command)
        found = _VARIABLE.sub(lambda match: self.variables.get(match[1], ""), expression)
        return f"200 result=1 ({found})\n".encode("utf-8", "surrogateescape")


def answering(
    status: str, *, state: str = "paused", error: str = ""
) -> Callable[[Peer, list[str]], bytes]:
    """A subroutine that leaves this on the channel."""

    def run(peer: Peer, _words: list[str]) -> bytes:
        peer.variables |= {
            "TURNREC_STATUS": status,
            "TURNREC_STATE": state,
            "TURNREC_ERROR": error,
        }
        return COMPLETE

    return run
