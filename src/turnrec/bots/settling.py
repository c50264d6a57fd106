"""What came of a request on a channel, and failing closed where nothing did.

It does by hand what the dialplan's turnrec-settle does (asterisk-conf/turnrec.conf), so that a bot
fails closed even where that file isn't included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from turnrec.bots.dialogue import Dialogue

OK: Final = "OK"
REFUSED: Final = "REFUSED"
FAILCLOSED: Final = "FAILCLOSED"

_STATUS: Final = "TURNREC_STATUS"
_ERROR: Final = "TURNREC_ERROR"
_STATE: Final = "TURNREC_STATE"
_HOLDS: Final = "TURNREC_HOLDS"
_MONITOR: Final = "TURNREC_MIXMON_ID"
_MONITOR_ID: Final = re.compile(r"0x[0-9a-fA-F]{1,16}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What turnrec has written on the channel."""

    status: str
    """`OK`, `REFUSED`, `FAILCLOSED`; anything else, nothing for one, is no answer."""
    error: str
    state: str


def clear(dialogue: Dialogue) -> None:
    """Forget the last request's status, before the next one: what is there afterwards is new.

    Raises:
        HungUpError, OutOfStepError: see `Dialogue.ask`.
    """
    dialogue.set(_STATUS, "")
    dialogue.set(_ERROR, "")


def read(dialogue: Dialogue) -> Outcome:
    """Read what came of a request.

    Raises:
        HungUpError, OutOfStepError: see `Dialogue.ask`.
    """
    words = _read(dialogue, _STATUS, _ERROR, _STATE)
    return Outcome(*words)


def settle(dialogue: Dialogue) -> None:
    """Stop turnrec's own monitor, and write down that a fault and the turn hold the recorder.

    Without an ID nothing is stopped: an empty one would stop somebody else's monitor. The hold
    comes first: whoever sees the monitor end must find why it ended.

    Raises:
        HungUpError, OutOfStepError: see `Dialogue.ask`.
    """
    holds, state = _read(dialogue, _HOLDS, _STATE)
    dialogue.set(_HOLDS, ":".join([*filter(None, [holds]), "turn", "fault"]))
    if state == "recording":
        dialogue.set(_STATE, "paused")
    # One that begins meanwhile, over HTTP, writes down its own ID, be it the same.
    while _MONITOR_ID.fullmatch(monitor := _take_monitor(dialogue)):
        # Sent as it is: AGI expands no variables, and says that all went well to anything.
        dialogue.ask("EXEC", "StopMixMonitor", monitor)
    dialogue.set(_STATUS, FAILCLOSED)


def _take_monitor(dialogue: Dialogue) -> str:
    """The monitor's ID, which the channel then no longer knows."""
    (monitor,) = _read(dialogue, _MONITOR)  # by itself: it is the one that must not be misread
    dialogue.set(_MONITOR, "")
    return monitor


def _read(dialogue: Dialogue, *names: str) -> list[str]:
    """Several variables in one question; turnrec puts no `|` into any of them."""
    words = dialogue.expand("|".join(f"${{{name}}}" for name in names)).split("|")
    return words if len(words) == len(names) else [""] * len(names)
