"""The bench's bot as a dialplan: it times each turn itself, and says so in Asterisk's log.

The clock is `${STRFTIME(,,%s.%6q)}`, microseconds in Asterisk 16 and 22. It is read right before
the turn's one line and right after it, and once more, so that what reading it costs can be taken
off. Everything else happens outside the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.plan import Arm, Turn

CONTEXT: Final = "bench"
FLOW: Final = """\
version: 1
bots:
  bench:
    guard_ms: {guard_ms}
    nodes: {{ask: pause, open: resume}}
"""
_NOW: Final = "${STRFTIME(,,%s.%6q)}"
_SAID: Final = re.compile(
    r"bench: (?P<arm>\w+) (?P<turn>\w+) (?P<began>[\d.]+) (?P<ended>[\d.]+) (?P<again>[\d.]+)"
    r" (?P<status>\w*)\."
)
_STARTS: Final = {
    Arm.BARE: "AGI(${BARE_AGI}/start)",
    Arm.TURNREC: "Gosub(turnrec-start,s,1(bench))",
}
_TURNS: Final = {
    (Arm.BARE, Turn.PAUSE): "AGI(${BARE_AGI}/pause)",
    (Arm.BARE, Turn.RESUME): "AGI(${BARE_AGI}/resume)",
    (Arm.TURNREC, Turn.PAUSE): "Gosub(turnrec-turn,s,1(ask))",
    (Arm.TURNREC, Turn.RESUME): "Gosub(turnrec-turn,s,1(open))",
}
_STATUS: Final = {Arm.BARE: "BARE_STATUS", Arm.TURNREC: "TURNREC_STATUS"}


@dataclass(frozen=True, slots=True)
class Timed:
    """One turn, as the dialplan saw it; all times in microseconds."""

    arm: Arm
    turn: Turn
    began_us: int
    took_us: int
    clock_us: int
    """What reading the clock costs."""
    status: str


def extension(arm: Arm, pairs: int, talk_s: float) -> str:
    """Give what to dial for a call."""
    return f"call-{arm}-{pairs}-{round(talk_s * 1000)}"


def text() -> str:
    """Give the dialplan."""
    lines = [
        f"[{CONTEXT}]",
        "exten => _call-.,1,Answer()",
        " same => n,Set(LEFT=${CUT(EXTEN,-,3)})",
        " same => n,Set(TALK=${SOUNDS}/talk${CUT(EXTEN,-,4)})",
        # A soak gives its paused turns a tone of their own.
        " same => n,Set(PAUSED=${IF($[${LEN(${PAUSED_TALK})}]?${SOUNDS}/${PAUSED_TALK}:${TALK})})",
        f" same => n,Goto({CONTEXT}-${{CUT(EXTEN,-,2)}},s,1)",
        "exten => caller,1,Answer()",
        " same => n(again),Playback(${SOUNDS}/caller)",
        " same => n,Goto(again)",
        f"[{CONTEXT}-bare-hangup]",
        "exten => s,1,AGI(${BARE_AGI}/hangup)",
        " same => n,Return()",
    ]
    for arm in Arm:
        lines.append(f"[{CONTEXT}-{arm}]")
        if arm is Arm.BARE:
            lines.append(
                f"exten => s,1,Set(CHANNEL(hangup_handler_push)={CONTEXT}-bare-hangup,s,1)"
            )
        else:
            lines.append("exten => s,1,NoOp()")
        lines.append(f" same => n,{_STARTS[arm]}")
        lines.append(" same => n(next),Playback(${TALK})")
        lines += _timed(arm, Turn.PAUSE)
        lines.append(" same => n,Playback(${PAUSED})")
        lines += _timed(arm, Turn.RESUME)
        lines.append(" same => n,Set(LEFT=$[${LEFT} - 1])")
        lines.append(" same => n,GotoIf($[${LEFT} > 0]?next)")
        lines.append(" same => n,Playback(${TALK})")
        lines.append(" same => n,Hangup()")
    return "\n".join(lines) + "\n"


def _timed(arm: Arm, turn: Turn) -> list[str]:
    status = _STATUS[arm]
    return [
        f" same => n,Set({status}=)",
        f" same => n,Set(BEGAN={_NOW})",
        f" same => n,{_TURNS[arm, turn]}",
        f" same => n,Set(ENDED={_NOW})",
        f" same => n,Set(AGAIN={_NOW})",
        f" same => n,Log(NOTICE,bench: {arm} {turn} ${{BEGAN}} ${{ENDED}} ${{AGAIN}}"
        f" ${{{status}}}.)",
    ]


def read(log: str) -> Iterator[Timed]:
    """Read the turns out of Asterisk's log."""
    for found in _SAID.finditer(log):
        began_us, ended_us, again_us = (
            _microseconds(found[name]) for name in ("began", "ended", "again")
        )
        yield Timed(
            Arm(found["arm"]),
            Turn(found["turn"]),
            began_us,
            ended_us - began_us,
            again_us - ended_us,
            found["status"],
        )


def _microseconds(stamp: str) -> int:
    seconds, _, fraction = stamp.partition(".")
    return int(seconds) * 1_000_000 + int(fraction)
