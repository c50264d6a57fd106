"""An event as it is sent: serialised once, for everybody who hears it; it is sent by others."""

from __future__ import annotations

import json
from dataclasses import dataclass

from turnrec.core.entry import JSON
from turnrec.core.event import Event, project
from turnrec.describe import instant
from turnrec.ledger.entries import WrittenEntry


@dataclass(frozen=True, slots=True)
class Told:
    """An event and its one serialisation."""

    event: Event
    key: str
    """Names it among all events of all ledgers: its entry's hash."""
    text: str
    """JSON: a webhook's body, a server-sent event's data."""
    frame: bytes
    """The server-sent event."""


def describe_event(event: Event) -> dict[str, JSON]:
    """Return the one shape of an event: in the stream, in a webhook, in a call's timeline."""
    return {
        "type": event.type.value,
        "seq": event.seq,
        "timestamp": instant(event.at_us),
        "call": event.call,
        "recording": event.recording,
        "bot": event.bot,
        "data": event.data,
    }


def tell(written: WrittenEntry, bot: str | None) -> Told | None:
    """Return what an entry tells; None: nothing."""
    event = project(written.seq, written.entry, bot)
    if event is None:
        return None
    # In ASCII: no line end of any alphabet can break a server-sent event.
    text = json.dumps(describe_event(event), separators=(",", ":"), ensure_ascii=True)
    frame = f"id: {event.seq}\nevent: {event.type.value}\ndata: {text}\n\n".encode("ascii")
    return Told(event, written.hash, text, frame)
