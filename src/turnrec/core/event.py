"""What listeners are told: events, and how one entry of the ledger comes to one event or to none.

An event has its entry's number, so it is durable before it is told, and told once. The projection
is pure: the same entry makes the same event whenever it is read.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from turnrec.core.entry import JSON, Entry, EntryKind
from turnrec.core.parties import PartyClass
from turnrec.core.recorder import State


class EventType(enum.StrEnum):
    """What has happened."""

    CALL_STARTED = "call.started"
    CALL_ENDED = "call.ended"
    TURN_BEGUN = "turn.begun"
    RECORDING_STARTED = "recording.started"
    """A new recording is open. `data.state` says whether it records now or is held already."""
    RECORDING_PAUSED = "recording.paused"
    RECORDING_RESUMED = "recording.resumed"
    RECORDING_STOPPED = "recording.stopped"
    """Nothing more comes to it. Its file is told of by `recording.done` or `recording.failed`."""
    RECORDING_DONE = "recording.done"
    RECORDING_FAILED = "recording.failed"
    RECORDING_DELETED = "recording.deleted"
    RECORDING_REDACTED = "recording.redacted"
    ACTION_REFUSED = "action.refused"
    ACTION_FAILED = "action.failed"
    AGENT_ANNOUNCED = "agent.announced"
    AGENT_BRIDGED = "agent.bridged"
    AGENT_GONE = "agent.gone"
    TRANSCRIPTION_HALTED = "transcription.halted"
    TRANSCRIPTION_RESUMED = "transcription.resumed"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that listeners are told."""

    type: EventType
    seq: int
    """The number of its entry in the ledger: what a listener resumes by."""
    at_us: int
    call: str | None
    recording: str | None
    bot: str | None
    data: Mapping[str, JSON]


_Rule: TypeAlias = "EventType | Callable[[Entry], EventType | None]"

_CHANGES: Final[Mapping[tuple[State, State], EventType]] = MappingProxyType(
    {
        # An entry says where a recorder came from only if it changed. The end of a recording has
        # an entry of its own: one action may end one and begin another.
        (State.INACTIVE, State.RECORDING): EventType.RECORDING_STARTED,
        (State.INACTIVE, State.PAUSED): EventType.RECORDING_STARTED,
        (State.RECORDING, State.PAUSED): EventType.RECORDING_PAUSED,
        (State.PAUSED, State.RECORDING): EventType.RECORDING_RESUMED,
    }
)
_AGENTS: Final = frozenset({PartyClass.AGENT.value, PartyClass.UNKNOWN.value})
"""Whom the agent policy is about."""


def _change(entry: Entry) -> EventType | None:
    was = entry.detail.get("was")
    if entry.state is None or not isinstance(was, str) or was not in set(State):
        return None
    return _CHANGES.get((State(was), entry.state))


def _closed(entry: Entry) -> EventType:
    done = entry.detail.get("status") == "done"
    return EventType.RECORDING_DONE if done else EventType.RECORDING_FAILED


def _with_agent(event_type: EventType) -> Callable[[Entry], EventType | None]:
    def rule(entry: Entry) -> EventType | None:
        parties = entry.detail.get("parties")
        known = parties if isinstance(parties, list | tuple) else ()
        is_one = any(isinstance(one, Mapping) and one.get("party") in _AGENTS for one in known)
        return event_type if is_one else None

    return rule


RULES: Final[Mapping[EntryKind, _Rule]] = MappingProxyType(
    {
        EntryKind.CALL_STARTED: EventType.CALL_STARTED,
        EntryKind.CALL_ENDED: EventType.CALL_ENDED,
        EntryKind.TURN_BEGUN: EventType.TURN_BEGUN,
        EntryKind.ACTION_DONE: _change,
        EntryKind.RECORDER_CHANGED: _change,
        EntryKind.RECORDING_STOPPED: EventType.RECORDING_STOPPED,
        EntryKind.RECORDING_CLOSED: _closed,
        EntryKind.DELETED: EventType.RECORDING_DELETED,
        EntryKind.REDACTED: EventType.RECORDING_REDACTED,
        EntryKind.ACTION_REFUSED: EventType.ACTION_REFUSED,
        EntryKind.ACTION_FAILED: EventType.ACTION_FAILED,
        EntryKind.AGENT_ANNOUNCED: EventType.AGENT_ANNOUNCED,
        EntryKind.PARTY_CAME: _with_agent(EventType.AGENT_BRIDGED),
        EntryKind.PARTY_LEFT: _with_agent(EventType.AGENT_GONE),
        EntryKind.TRANSCRIPTION_HALTED: EventType.TRANSCRIPTION_HALTED,
        EntryKind.TRANSCRIPTION_RESUMED: EventType.TRANSCRIPTION_RESUMED,
        EntryKind.ALARM: EventType.ALARM,
        # Whoever keeps books of events must know that some were never made durable.
        EntryKind.ENTRY_LOST: EventType.ALARM,
    }
)
"""How a kind of entry comes to an event. What isn't here is told to nobody."""

_FROM_DETAIL: Final[Mapping[EventType, tuple[str, ...]]] = MappingProxyType(
    {
        EventType.CALL_STARTED: ("external_id", "channel"),
        EventType.RECORDING_STARTED: ("was", "reason"),
        EventType.RECORDING_PAUSED: ("was", "reason"),
        EventType.RECORDING_RESUMED: ("was", "reason"),
        EventType.RECORDING_DONE: ("file", "samples", "rate_hz", "sha256", "redacts"),
        EventType.RECORDING_FAILED: ("file", "samples", "rate_hz", "sha256"),
        EventType.RECORDING_DELETED: ("reason", "sha256"),
        EventType.RECORDING_REDACTED: ("reason", "into", "old_sha256", "new_sha256"),
        EventType.AGENT_ANNOUNCED: ("policy",),
        EventType.AGENT_BRIDGED: ("parties", "announced"),
        EventType.AGENT_GONE: ("parties", "announced"),
        EventType.TRANSCRIPTION_HALTED: ("reason", "halt", "from_us"),
        EventType.TRANSCRIPTION_RESUMED: ("reason", "halt", "from_us"),
        EventType.ALARM: ("sentence", "count", "kinds"),
    }
)
"""What an event takes over from its entry's detail, where it is there."""


def project(seq: int, entry: Entry, bot: str | None) -> Event | None:
    """Return what entry number `seq`, of a call or recording of `bot`, tells; None: nothing."""
    rule = RULES.get(entry.kind)
    event_type = rule(entry) if callable(rule) else rule
    if event_type is None:
        return None
    data: dict[str, JSON] = {
        "uniqueid": entry.uniqueid,
        "node": entry.node,
        "turn": entry.turn,
        "state": entry.state,
        "holds": list(entry.holds),
        "source": entry.source,
        "actor": entry.actor,
        "origin": entry.origin,
        "action": entry.action,
        "result": entry.result,
    }
    detail = entry.detail
    data |= {key: detail[key] for key in _FROM_DETAIL.get(event_type, ()) if key in detail}
    if entry.kind is EntryKind.ENTRY_LOST:
        count = detail.get("count")
        data |= {"result": "entries-lost", "sentence": f"{count} entries of the ledger were lost"}
    return Event(event_type, seq, entry.at_us, entry.call_id, entry.recording_id, bot, data)
