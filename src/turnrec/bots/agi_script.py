"""`turnrec-agi`: turnrec for dialplans without FastAGI, a classic AGI script. It decides nothing.

    exten => s,1,AGI(turnrec-agi,turn,ask_otp)
     same => n,AGI(turnrec-turn.py,ask_otp)      ; the same, by a link of this name in agi-bin

It hands the channel to turnrec: it opens turnrec's FastAGI port itself (the address is the global
TURNREC_AGI, agi://127.0.0.1:4573 by default) and passes commands and answers on, between turnrec
and the Asterisk that started it. So turnrec does what it does for the dialplan, by EXEC on the
call's own session, and needs no AMI for it. Asterisk's own FastAGI waits for ever for a turnrec
that has frozen; this waits `ANSWER_S`.

When turnrec is down, dies, freezes or refuses the connection, it fails closed by itself: it stops
turnrec's monitor by its ID, and leaves TURNREC_STATUS=FAILCLOSED. What it can't do anything about
is not being started at all; examples/agi-script shows the dialplan that guards against that.

    start BOT [EXTERNAL-ID]     turn NODE [NUMBER]      action start|pause|resume|stop [new]
    agent-pre [POLICY]          bot                     hangup
    agent CALLER [POLICY]       operator CALLER ACTION  (on the agent's channel)
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from turnrec.bots import settling
from turnrec.bots.dialogue import Dialogue, OutOfStepError
from turnrec.bots.errors import HungUpError

CONNECT_S: Final = 2.0
"""How long a connection may take."""
ANSWER_S: Final = 10.0
"""How long turnrec may be silent. It gives up on Asterisk well before."""
_DEFAULT_URL: Final = "agi://127.0.0.1:4573"
_URL: Final = re.compile(r"agi://([A-Za-z0-9.-]+)(?::(\d{1,5}))?/?")
_DEFAULT_PORT: Final = 4573
_MAX_COMMAND_BYTES: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,150}")
_INVALID: Final = "(invalid)"
"""What turnrec refuses, and holds where it stands for a node."""
_REQUESTS_BY_CHANNEL_OF: Final = {
    "start": "caller",
    "turn": "caller",
    "action": "caller",
    "agent-pre": "caller",
    "bot": "caller",
    "agent": "agent",
    "operator": "anybody",
    "hangup": "anybody",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What the dialplan asks for."""

    name: str
    words: tuple[str, ...]

    @property
    def query(self) -> str:
        """The script and its query, as in `agi://host/turn?ask_otp&`."""
        return f"{self.name}?{'&'.join(self.words)}"


class NoTurnrecError(Exception):
    """turnrec isn't there, or says nothing any more."""


def parse(argv: Sequence[str]) -> Request | None:
    """Read the command line; None if it names no request.

    The request is the first argument, or what this file was called by: `turnrec-turn.py`.
    """
    stem = PurePath(argv[0]).name.removesuffix(".py")
    called = stem.removeprefix("turnrec-")
    is_named_so = called != stem and called in _REQUESTS_BY_CHANNEL_OF
    name, words = (called, argv[1:]) if is_named_so else ("".join(argv[1:2]), argv[2:])
    if name not in _REQUESTS_BY_CHANNEL_OF:
        return None
    # What isn't given is empty for Asterisk as well; what is given and no name must not vanish.
    return Request(
        name, tuple(one if not one or _NAME.fullmatch(one) else _INVALID for one in words)
    )


def carry_out(asterisk: Dialogue, request: Request, *, answer_s: float = ANSWER_S) -> bool:
    """Have turnrec carry it out; return whether it has said so. Otherwise it has failed closed.

    Args:
        asterisk: the script's session, of which nothing has been read.
        request: what the dialplan asks for.
        answer_s: how long turnrec may be silent.

    Raises:
        HungUpError: the call is over.
    """
    channel = asterisk.environment()
    settling.clear(asterisk)
    try:
        if request.name == "start":
            _prepare(asterisk, request)
        url = asterisk.expand("${TURNREC_AGI}") or _DEFAULT_URL
        _pass_on(asterisk, _connect(url, answer_s), request, channel)
        outcome = settling.read(asterisk)
    except (NoTurnrecError, OutOfStepError) as error:
        _say(f"{request.name}: {error}")
        outcome = settling.Outcome("", "", "")
    if outcome.status in {settling.OK, settling.REFUSED}:
        return True
    _fail_closed(asterisk, request)
    return False


def _prepare(asterisk: Dialogue, request: Request) -> None:
    """What turnrec.conf's turnrec-start sets: agents' legs inherit whose call it is, and a turnrec
    that was not there yet learns of the bot from the channel."""
    channel, _, uniqueid = asterisk.expand("${CHANNEL}|${UNIQUEID}").rpartition("|")
    asterisk.set("__TURNREC_CALLER_CHANNEL", channel)
    asterisk.set("__TURNREC_CALLER_UNIQUEID", uniqueid)
    asterisk.set("TURNREC_ASKED_BOT", "".join(request.words[:1]))


def _connect(url: str, answer_s: float) -> socket.socket:
    found = _URL.fullmatch(url)
    if found is None:
        raise NoTurnrecError("TURNREC_AGI is no agi:// address")
    try:
        peer = socket.create_connection((found[1], int(found[2] or _DEFAULT_PORT)), CONNECT_S)
    except (OSError, OverflowError) as error:
        raise NoTurnrecError(f"turnrec can't be reached: {error}") from error
    peer.settimeout(answer_s)
    return peer


def _pass_on(
    asterisk: Dialogue, peer: socket.socket, request: Request, channel: dict[str, str]
) -> None:
    """Be turnrec's way to this channel until it has said all that it wants to."""
    with peer, peer.makefile("rb") as commands:
        try:
            peer.sendall(_environment(request, channel))
            while command := commands.readline(_MAX_COMMAND_BYTES):
                if not command.endswith(b"\n"):
                    raise NoTurnrecError("turnrec ended in the middle of a command")
                peer.sendall(asterisk.forward(command))
        except TimeoutError as error:
            raise NoTurnrecError(f"no word from turnrec for {peer.gettimeout():g} s") from error
        except OSError as error:
            raise NoTurnrecError(f"the connection to turnrec broke: {error}") from error


def _environment(request: Request, channel: dict[str, str]) -> bytes:
    # Nothing that a caller can choose, his name and number for one, goes in.
    lines = [
        "agi_network: yes",
        f"agi_network_script: {request.query}",
        f"agi_request: agi://turnrec-agi/{request.query}",
        f"agi_channel: {channel.get('agi_channel', '')}",
        f"agi_uniqueid: {channel.get('agi_uniqueid', '')}",
    ]
    return "".join(f"{line}\n" for line in [*lines, ""]).encode("utf-8", "surrogateescape")


def _fail_closed(asterisk: Dialogue, request: Request) -> None:
    """What turnrec.conf does with what comes back without OK or REFUSED."""
    whose = _REQUESTS_BY_CHANNEL_OF[request.name]
    if whose == "caller":
        settling.settle(asterisk)
        return
    asterisk.set("TURNREC_STATUS", settling.FAILCLOSED)
    if whose == "agent":
        # Dial is told not to bridge; Queue ignores that, so the member's leg is hung up.
        asterisk.set("GOSUB_RESULT", "CONTINUE")
        asterisk.ask("HANGUP")


def _say(sentence: str) -> None:
    print(f"turnrec-agi: {sentence}", file=sys.stderr)  # noqa: T201


def main() -> int:
    """Run as Asterisk runs it; 0 if turnrec has answered, 1 if it has failed closed."""
    # On a hang-up Asterisk sends SIGHUP. What turnrec has begun on the channel, it should end.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asterisk = Dialogue(sys.stdin.buffer, sys.stdout.buffer)
    request = parse(sys.argv)
    if request is None:
        _say("give a request: start, turn, action, agent-pre, agent, bot, operator or hangup")
        # A misspelt request may have been a pause.
        request = Request("action", (_INVALID,))
    try:
        return 0 if carry_out(asterisk, request) else 1
    except (HungUpError, OutOfStepError) as error:
        _say(str(error))
        return 1
    finally:
        # Asterisk may be gone: Python's own flush at the end would complain.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
