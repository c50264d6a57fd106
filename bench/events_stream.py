"""The captured events of one call, and as many calls made of it as are wanted.

`events.ami` is what Asterisk 22.10.1 told an account that may read everything of one call to a bot
on the test PBX: an open and a paused turn with two digits, a queue, whose member is a Local channel
with /n, the talk, the way back to the bot. Names and addresses are the test PBX's.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Final

# What turnrec's daemon subscribes to (turnrec.net, turnrec.watch).
WANTED: Final = (
    "AgentCalled",
    "BridgeDestroy",
    "BridgeEnter",
    "BridgeLeave",
    "DialBegin",
    "Hangup",
    "LocalBridge",
    "MixMonitorMute",
    "MixMonitorStart",
    "MixMonitorStop",
    "QueueCallerJoin",
    "Rename",
)
FED: Final = "Fed"
"""The event that ends what was asked for."""

_CAPTURED: Final = Path(__file__).with_name("events.ami")
_READ: Final = ("system", "call", "agent")
_EPOCH_S: Final = 1_700_000_000


class Stream(enum.StrEnum):
    """What of a call's events Asterisk sends."""

    ALL = "all"
    """`read = all` and no filter."""
    CLASSES = "classes"
    """turnrec's own classes (turnrec-manager.conf), without its event filter."""
    FILTERED = "filtered"
    """turnrec's own account: what it subscribes to, and nothing else."""


def one_call(stream: Stream) -> tuple[bytes, int]:
    """Give a call's bytes, and how many events they are."""
    # Some events end in one line end more than they should, and so the next begins with it.
    *texts, _ = _CAPTURED.read_text("utf-8").split("\n\n")
    events = [one for one in texts if _is_sent(one, stream)]
    text = "".join(f"{one}\n\n" for one in events)
    return text.replace("\n", "\r\n").encode(), len(events)


def wanted_of_a_call() -> int:
    """How many events of a call are subscribed to."""
    return one_call(Stream.FILTERED)[1]


def another(call: bytes, number: int) -> bytes:
    """Give the same call with uniqueids, channels and bridges of its own."""
    renumbered = call.replace(b"%d." % _EPOCH_S, b"%d." % (_EPOCH_S + number))
    return renumbered.replace(b"-0000000", b"-%07x" % number)


def _is_sent(event: str, stream: Stream) -> bool:
    name = event.lstrip("\n").partition("\n")[0].removeprefix("Event: ")
    if stream is Stream.FILTERED:
        return name in WANTED
    classes = event.partition("\nPrivilege: ")[2].partition("\n")[0].split(",")
    return stream is Stream.ALL or not set(_READ).isdisjoint(classes)
