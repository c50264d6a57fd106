"""What an entry of the ledger is: the words for what was asked, acknowledged and verified.

Entries never hold what a caller said, keyed or is called, nor any secret: `detail` is for times,
file names, counts and ids.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from turnrec.core.policy import Action
from turnrec.core.recorder import Source, State

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"
OK: Final = "ok"
INT64_MAX: Final = 2**63 - 1


REASON_LETTERS: Final = 500
_UNSEEN: Final = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
"""Control characters, and those that turn a line's direction or break it: not in a ledger."""
REASON: Final = rf"^[^{_UNSEEN}]*[^\s{_UNSEEN}][^{_UNSEEN}]*$"
"""A reason that somebody gives: one line, and not blank. For Python, Rust and JSON Schema alike."""


class EntryKind(enum.StrEnum):
    """What an entry tells. A new kind needs a new schema version: older readers must refuse.

    The keys of `detail` that the ledger itself reads are named here; all are optional to it.
    """

    SERVER_STARTED = "server_started"
    SERVER_STOPPED = "server_stopped"
    CALL_STARTED = "call_started"
    """detail: bot, external_id, channel."""
    TURN_BEGUN = "turn_begun"
    ACTION_ASKED = "action_asked"
    ACTION_DONE = "action_done"
    """detail: was (the recorder's state before, where this has changed it)."""
    ACTION_REFUSED = "action_refused"
    ACTION_FAILED = "action_failed"
    RECORDING_OPENED = "recording_opened"
    """detail: bot, rate_hz."""
    SEGMENT_BEGAN = "segment_began"
    """detail: number, part, asked_us, answered_us (and monitor_id)."""
    SEGMENT_ENDED = "segment_ended"
    """detail: asked_us, answered_us (and proof)."""
    RECORDING_CLOSED = "recording_closed"
    """detail: status (done or failed), file, samples, rate_hz, sha256 (and parts, spans). A
    redacted one was never opened; its detail says so: redacts (of which), opened_us (of that)."""
    RECORDER_CHANGED = "recorder_changed"
    """A recorder's state changed though no action was carried out: a fault, a restart. detail: was
    (the state before; inactive where the recording is a new one)."""
    RECORDING_STOPPED = "recording_stopped"
    """Nothing more comes to a recording; its file is made next."""
    TRANSCRIPTION_HALTED = "transcription_halted"
    """Recognisers were told to halt. detail: halt, reason, from_us."""
    TRANSCRIPTION_RESUMED = "transcription_resumed"
    """detail: the same."""
    MONITOR_LOST = "monitor_lost"
    AGENT_ANNOUNCED = "agent_announced"
    """The dialplan said that an agent is about to come. detail: policy."""
    PARTY_CAME = "party_came"
    """The caller hears somebody new. detail: parties (uniqueid, channel, party), announced,
    seen_us."""
    PARTY_LEFT = "party_left"
    """detail: the same."""
    WINDOW_MEASURED = "window_measured"
    """A bridge that nobody announced was recorded until turnrec knew. detail: from_us, to_us."""
    OTHER_RECORDER = "other_recorder"
    """A recorder that isn't ours, or what somebody did to ours. detail: channel, what, done."""
    CALL_ENDED = "call_ended"
    ALARM = "alarm"
    ENTRY_LOST = "entry_lost"
    """Entries that never became durable. detail: count, kinds, first_us, last_us."""
    REDACTED = "redacted"
    """A stretch was cut out of a recording, into a new one. detail: into, reason, old_sha256,
    new_sha256, cuts."""
    LEGAL_HOLD = "legal_hold"
    """A recording must not be deleted. detail: reason."""
    HOLD_RELEASED = "hold_released"
    """It may be deleted again. detail: reason."""
    DELETED = "deleted"
    """The tombstone of a recording, entered before its files go. detail: reason, file, sha256,
    files."""
    ACCESSED = "accessed"
    """Somebody listened to a recording or read of it. detail: what (audio, transcript, ...)."""
    ACCESS_REFUSED = "access_refused"
    """Requests with a key that isn't good. detail: address, count."""
    KEY_CHANGED = "key_changed"
    """An API key was made or revoked. detail: name, change, rights, bots."""


class Origin(enum.StrEnum):
    """Where from a request or an observation came."""

    AGI = "agi"
    AMI = "ami"
    HTTP = "http"
    CLI = "cli"
    SWEEP = "sweep"
    SERVER = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was asked, acknowledged or verified."""

    kind: EntryKind
    at_us: int
    """UTC, microseconds since 1970."""
    call_id: str | None = None
    uniqueid: str | None = None
    recording_id: str | None = None
    source: Source | None = None
    """On whose behalf."""
    actor: str | None = None
    """Who: `bot:kyc`, `cli:root`."""
    origin: Origin | None = None
    action: Action | None = None
    node: str | None = None
    turn: int | None = None
    state: State | None = None
    """The recorder's state afterwards; None where no recorder is concerned."""
    holds: tuple[Source, ...] = ()
    """The recorder's holds afterwards, where there is a `state`."""
    result: str = OK
    """`ok`, or the stable id of an error."""
    detail: Mapping[str, JSON] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not 0 <= self.at_us <= INT64_MAX:
            raise ValueError(f"at_us must be microseconds since 1970, not {self.at_us}")
        if self.turn is not None and not 0 <= self.turn <= INT64_MAX:
            raise ValueError(f"turn must count from 0, not {self.turn}")
