"""For bots written with pyst2: `Agi`, its AGI without the traps, and `AgiCall`, turnrec's side.

    agi = Agi()                         # in the place of asterisk.agi.AGI()
    call = AgiCall(agi)
    call.begin("kyc")
    with call.turn("ask_otp"):          # returns once nothing records any more; raises otherwise
        otp = agi.get_data("ask-otp", 10000, 6)

`AgiCall` runs the subroutines of turnrec.conf on the AGI session itself, by AGI's GOSUB: `EXEC
Gosub` would only run them once the script has ended. It takes pyst2's own `AGI`, too; then what
pyst2 makes of a hang-up in the bot's own commands is the bot's.
"""

from __future__ import annotations

import logging
import re
import signal
import sys
import threading
from typing import Any, Final

from asterisk.agi import (
    AGI,
    AGIAppError,
    AGIDBError,
    AGIError,
    AGIHangup,
    AGIInvalidCommand,
    AGIResultHangup,
    AGIUnknownError,
    AGIUsageError,
)

from turnrec.bots import settling
from turnrec.bots.dialogue import Dialogue, OutOfStepError, Reply
from turnrec.bots.errors import (
    FailedClosedError,
    HungUpError,
    NoAnswerError,
    RefusedByTurnrecError,
)
from turnrec.bots.turn import Standing, Turn
from turnrec.core.policy import NAME, AgentPolicy

logger = logging.getLogger(__name__)

_GARBLED: Final = "!"
"""Stands for a name that can't be one: turnrec.conf makes `(invalid)` of it, which is refused as a
bot, and held as a node. What the bot had in its hands may be what a caller said."""
_NO_APPLICATION: Final = "-2"
_ENDPOS: Final = re.compile(r"endpos=(\d+)")


class AgiHungUpError(HungUpError, AGIHangup):  # type: ignore[misc]
    """The call is over. pyst2's `AGIHangup` and turnrec's `HungUpError` in one."""


class _Kept(str):
    """An argument that is sent even if it is empty."""

    __slots__ = ()


class Agi(AGI):  # type: ignore[misc]
    """pyst2's AGI, with its methods as they are and these faults mended (pyst2 0.5.1):

    - arguments are escaped; a quote or a line end in one can't end the command. A line end raises
      `AgiArgumentError`;
    - a hang-up (`HANGUP`, SIGHUP, a dead channel, the end of the stream, also within a usage text)
      raises `AgiHungUpError`, which is an `AGIHangup`; so does a prompt that it has ended;
    - answers keep in step with their commands: `100` before an answer, values with several lines,
      lines that nobody asked for;
    - nothing is logged: pyst2 writes each answer to stderr, and with it what callers key;
    - `print()` goes to stderr: on stdout it would be a command;
    - bytes that are no UTF-8 survive; it works beside the main thread (without SIGHUP).
    """

    def __init__(self, stdin: Any = None, stdout: Any = None, stderr: Any = None) -> None:
        """Read the environment that Asterisk sends.

        Args:
            stdin: where Asterisk's lines come from, bytes or text; the script's stdin by default.
            stdout: where commands go; the script's stdout by default.
            stderr: for pyst2's callers who write to it; the script's by default.

        Raises:
            AgiHungUpError: there is no Asterisk at the other end.
        """
        # pyst2's own __init__ logs all it reads, and takes signals in whatever thread it runs in.
        self.stdin = sys.stdin.buffer if stdin is None else stdin
        self.stdout = stdout
        if stdout is None:
            self.stdout, sys.stdout = sys.stdout.buffer, sys.stderr
        self.stderr = sys.stderr if stderr is None else stderr
        self._got_sighup = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, self._handle_sighup)
        self.dialogue = Dialogue(self.stdin, self.stdout)
        self._reply = Reply(0)
        try:
            self.env = self.dialogue.environment()
        except HungUpError as error:
            raise AgiHungUpError(str(error)) from error
        except OutOfStepError as error:
            raise AGIError(str(error)) from error

    def test_hangup(self) -> None:
        """Raise `AgiHungUpError` once the call is over."""
        if self._got_sighup or self.dialogue.hung_up:
            raise AgiHungUpError("the caller has hung up")

    def send_command(self, command: str, *args: Any) -> None:
        """Send a command and take its answer, which `get_result` then gives."""
        # Empty arguments that pyst2 doesn't quote are ones that weren't given.
        given = [str(one) for one in args if isinstance(one, _Kept) or str(one)]
        try:
            self._reply = self.dialogue.ask(command.strip(), *given)
        except HungUpError as error:
            raise AgiHungUpError(str(error)) from error
        except OutOfStepError as error:
            raise AGIUnknownError(str(error)) from error

    def get_result(self, stdin: Any = None) -> dict[str, tuple[str, str]]:
        """The answer to the command sent last, as pyst2 gives it."""
        del stdin  # pyst2 ignores it, too
        reply = self._reply
        if reply.code == 510:
            raise AGIInvalidCommand(reply.text)
        if reply.code == 520:
            raise AGIUsageError(reply.text)
        if reply.code != 200:
            raise AGIUnknownError(reply.code, "Unhandled code or undefined response")
        if reply.value == "hangup":
            raise AGIResultHangup("User hungup during execution")
        if reply.result == "-1":
            # A hang-up's SIGHUP may come after the answer, but it is sent before the next one.
            self.send_command("NOOP")
            self.test_hangup()
            raise AGIAppError("Error executing application, or hangup")
        result = {"result": (reply.result, reply.value or "")}
        endpos = _ENDPOS.search(reply.text)
        if endpos is not None:
            result["endpos"] = (endpos[1], "")
        return result

    def database_get(self, family: str, key: str) -> str:
        """A value of Asterisk's database; see pyst2."""
        result, value = self.execute("DATABASE GET", self._quote(family), self._quote(key))[
            "result"
        ]
        if result == "0":
            raise AGIDBError(f"Key not found in database: family={family}, key={key}")
        return str(value)

    def _quote(self, string: object) -> str:
        # Escaping and quoting is the dialogue's.
        return _Kept(string)


class AgiCall:
    """turnrec's side of the call that an AGI script talks to.

    Every method returns once turnrec has said OK, and raises in every other case:
    `RefusedByTurnrecError`, `FailedClosedError`, `AgiHungUpError`. Asterisk must include
    turnrec.conf; where it doesn't, `FailedClosedError` says so at the first request.
    """

    def __init__(self, agi: Any) -> None:
        """Make it; nothing is sent yet.

        Args:
            agi: the script's `Agi`, or pyst2's own `AGI`.
        """
        self._agi = agi
        self._dialogue = agi.dialogue if isinstance(agi, Agi) else Dialogue(agi.stdin, agi.stdout)

    def begin(self, bot: str, external_id: str | None = None) -> Standing:
        """Begin the call: it is recorded from now on, where the bot's default is on.

        Args:
            bot: the flow file's bot.
            external_id: the bot's own id of the call, by which the HTTP API finds it.

        Raises:
            RefusedByTurnrecError: there is no such bot, or another one has this call.
            FailedClosedError: nothing is recorded.
            AgiHungUpError: the call is over.
        """
        names = [bot] if external_id is None else [bot, external_id]
        return self._request("turnrec-start", *map(_name, names))

    def turn(self, node: str, *, sequence: int | None = None) -> Turn:
        """Begin a turn, before its first word: `with call.turn("ask_otp"): ...`.

        When this returns, what the flow asks of this node is true, and the bot may speak. A node
        that the flow doesn't know is held (`Turn.notice` is `unknown-node`). Leaving the block
        doesn't end the turn: the next one does.

        Args:
            node: the flow's node.
            sequence: a number that grows with each turn of the call, if the bot counts them.

        Raises:
            RefusedByTurnrecError: nothing has changed; don't speak.
            FailedClosedError: nothing is recorded until a turn that may be; the call can go on.
            AgiHungUpError: the call is over.
        """
        number = [] if sequence is None else [str(int(sequence))]
        stands = self._request("turnrec-turn", _name(node), *number)
        return Turn(stands.state, stands.notice, node)

    def start(self, *, new: bool = False) -> Standing:
        """Start recording, or with `new` finish this recording and start another; see `turn`."""
        return self._request("turnrec-action", "start", *(["new"] if new else []))

    def pause(self) -> Standing:
        """Pause, without a turn; see `turn` for what it raises."""
        return self._request("turnrec-action", "pause")

    def resume(self) -> Standing:
        """Resume, without a turn. It releases the bot's own hold only; see `turn`."""
        return self._request("turnrec-action", "resume")

    def stop(self) -> Standing:
        """Finish the recording; for good, unless the flow says otherwise; see `turn`."""
        return self._request("turnrec-action", "stop")

    def agent_pre(self, policy: AgentPolicy | str | None = None) -> Standing:
        """Announce an agent, right before Dial or Queue. With `off` and `never` nothing records
        any more when this returns.

        Args:
            policy: `on`, `off` or `never` for this transfer; the bot's own by default.

        Raises:
            ValueError: there is no such policy; nothing was sent.
            RefusedByTurnrecError, FailedClosedError, AgiHungUpError: don't transfer yet.
        """
        return self._request("turnrec-agent-pre", *policy_words(policy))

    def back_to_bot(self) -> Standing:
        """Say that the agent has gone and the bot goes on. The next turn says it, too."""
        return self._request("turnrec-bot")

    # -------------------------------------------------------------- inside

    def _request(self, subroutine: str, *arguments: str) -> Standing:
        """Run a subroutine; give how things stand once it has said OK."""
        try:
            outcome = self._settled(subroutine, arguments)
        except HungUpError as error:
            raise AgiHungUpError(str(error)) from error
        except OutOfStepError as error:
            raise NoAnswerError(str(error)) from error
        if outcome.status == settling.OK:
            return Standing(outcome.state, outcome.error)
        if outcome.status == settling.REFUSED:
            raise RefusedByTurnrecError(outcome.error, f"{subroutine} was refused")
        raise FailedClosedError(outcome.error)

    def _settled(self, subroutine: str, arguments: tuple[str, ...]) -> settling.Outcome:
        """What came of it; where that can't be known, our monitor has been stopped."""
        if getattr(self._agi, "_got_sighup", False) or self._dialogue.hung_up:
            raise HungUpError("the caller has hung up")
        try:
            outcome = self._run(subroutine, arguments)
        except OutOfStepError as error:
            logger.error("%s: %s", subroutine, error)  # noqa: TRY400 - it is no defect of ours
            outcome = settling.Outcome("", "", "")
        if outcome.status not in {settling.OK, settling.REFUSED, settling.FAILCLOSED}:
            logger.error("%s came back without a status: turnrec's monitor is stopped", subroutine)
            settling.settle(self._dialogue)
        return outcome

    def _run(self, subroutine: str, arguments: tuple[str, ...]) -> settling.Outcome:
        settling.clear(self._dialogue)
        given = [",".join(arguments)] if arguments else []
        # Whatever it answers: the status that turnrec has written decides.
        self._dialogue.ask("GOSUB", subroutine, "s", "1", *given)
        return settling.read(self._dialogue)


def policy_words(policy: AgentPolicy | str | None) -> tuple[str, ...]:
    """A transfer's policy as an argument; none where the bot's own is to apply.

    Raises:
        ValueError: there is no such policy. One that was misspelt must not become the default.
    """
    return () if policy is None else (AgentPolicy(policy).value,)


def _name(name: str) -> str:
    return name if NAME.fullmatch(name) else _GARBLED
