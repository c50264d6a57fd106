"""What a recording's manifest says, and its published shape; it reads and writes no file.

A manifest says of one recording what is in it, what is not, and why. It fills nothing in itself
(`turnrec.recordings.manifest_make`) and proves nothing: `turnrec verify` holds it against the
sound, the ledger and the signed checkpoints. The shape is published as `manifest.schema.json`; a
manifest's one spelling and its file are `turnrec.recordings.manifest_file`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from turnrec.core.entry import Origin
from turnrec.core.parties import PartyClass
from turnrec.core.policy import Action, PauseBehavior, PauseMethod
from turnrec.core.recorder import Source, State

SCHEMA_VERSION: Final = 1
FORMAT: Final = "turnrec-manifest"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US: Final = 253_402_300_799_999_999
"""The end of the year 9999, after which no date can be written."""


def utc(us: int) -> str:
    """An instant as ISO 8601 in UTC, with microseconds."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds")[:-6] + "Z"


# ------------------------------------------------------------------ the shape


Count: TypeAlias = Annotated[int, Field(ge=0, le=2**63 - 1)]
Number: TypeAlias = Annotated[int, Field(ge=1, le=2**63 - 1)]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=4096)]
RecordingId: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class _Block(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


class Instant(_Block):
    """An instant, twice: for machines and for people."""

    us: Annotated[int, Field(ge=0, le=_LAST_US)]
    """UTC, microseconds since 1970."""
    utc: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
    """The same as ISO 8601."""

    @classmethod
    def at(cls, us: int) -> Instant:
        """Spell an instant."""
        us = min(max(us, 0), _LAST_US)
        return cls(us=us, utc=utc(us))

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.utc != utc(self.us):
            raise ValueError("us and utc are not the same instant")
        return self


class EntryAt(_Block):
    """A ledger entry, by its number in the chain, and when it was entered."""

    seq: Number
    at: Instant


class Who(_Block):
    """On whose behalf, by whom, where from and in which turn something was done."""

    source: Source | None
    actor: str | None
    origin: Origin | None
    node: str | None
    turn: Count | None


class Start(_Block):
    """How a segment's monitor was begun."""

    seq: Number
    """The ledger entry (segment_began)."""
    asked: Instant
    """When the command was sent to Asterisk."""
    acknowledged: Instant
    """When Asterisk's answer came; turnrec has then looked that it writes."""
    guard_us: Count | None
    """How long before the command the one who wanted it had asked, or the segment before had
    ended: audio of a paused turn that is still in flight passes in it."""
    monitor_id: str | None
    by: Who


class Stop(_Block):
    """How a segment's monitor was ended."""

    seq: Number
    """The ledger entry (segment_ended)."""
    asked: Instant | None
    """When the command was sent to Asterisk; null: none was."""
    acknowledged: Instant
    """When Asterisk's answer came."""
    proof: str
    """What turnrec saw when it then looked."""
    by: Who


class ActionRecord(_Block):
    """One recording action while nothing was recorded: who asked, when, and what came of it."""

    action: Action | None
    by: Who
    asked: EntryAt | None
    outcome: EntryAt | None
    result: str
    """`ok`, an error's id, or `unknown` without an outcome."""
    state: State | None
    holds: tuple[Source, ...]


class _Stretch(_Block):
    start_sample: Count
    """Where it begins in the file."""
    samples: Count
    """Its length in the file; with behavior `skip` only segments have any."""
    begin: Instant
    end: Instant
    uncertainty_us: Count
    """How far from its place in the file the sound of an instant may be: the file tracks the clock
    to 20 ms; then how long Asterisk's answer to the start took, and what the part lacks or has in
    excess, which may lie anywhere in it. A gap's is that of the segment that ends it."""


class SegmentSpan(_Stretch):
    """What was recorded: one monitor's audio."""

    kind: Literal["segment"] = "segment"
    segment: Number
    part: Name
    part_start_sample: Count
    part_samples: Count
    """How many samples the part gives; the rest of `samples` is padding (digital silence)."""
    excess_samples: Count
    """How many samples the part holds beyond those."""
    audio_sha256: Sha256 | None
    """Of these samples in the file as they lie there (16-bit little endian), without padding."""
    start: Start | None
    """null: the ledger has lost the entry."""
    stop: Stop | None


class ShortfallSpan(_Stretch):
    """A monitor ran, and its part holds nothing: no audio arrived, or it was lost."""

    kind: Literal["shortfall"] = "shortfall"
    segment: Number
    part: Name


class RedactedSpan(_Stretch):
    """What was recorded, and cut out of a copy afterwards: digital silence."""

    kind: Literal["redacted"] = "redacted"
    segment: Number
    part: Name


class GapSpan(_Stretch):
    """What was not recorded. Without sources it is a seam: one monitor had ended, or none had
    begun, and the next did not write yet.

    Its edges are those of the proof: `begin` is Asterisk's answer to the stop, `end` the answer to
    the next start, where the next part's first sample lies."""

    kind: Literal["gap"] = "gap"
    silent_from: Instant
    """Where the sound before it ends: earlier than `begin` by what Asterisk had not written yet
    when it was told to stop."""
    silent_from_sample: Count
    """The same in the file: the first sample after the last that was recorded."""
    sources: tuple[Source, ...]
    """Whose holds kept it from being recorded."""
    node: str | None
    """The bot's node in whose turn it began."""
    turn: Count | None
    after_segment: Number | None
    before_segment: Number | None
    stop: Stop | None
    """The end of the monitor before; null: there was none."""
    done: EntryAt | None
    """When whoever asked for the pause was told that it is so, and let on."""
    start: Start | None
    """The beginning of the monitor after; null: there was none."""
    actions: tuple[ActionRecord, ...]


Span: TypeAlias = Annotated[
    SegmentSpan | ShortfallSpan | RedactedSpan | GapSpan, Field(discriminator="kind")
]


class Made(_Block):
    """When and by what the manifest was made."""

    at: Instant
    by: Name


class RecordingFacts(_Block):
    """The recording as a whole."""

    id: RecordingId
    status: Literal["done", "failed"]
    opened: Instant
    closed: Instant
    behavior: PauseBehavior
    method: PauseMethod
    """How pauses were made: `segment` (no monitor runs) or `mute` (one is muted)."""
    asterisk_version: str | None
    problems: tuple[str, ...]


class CallFacts(_Block):
    """The call that was recorded."""

    id: str
    uniqueid: str | None
    channel: str | None
    external_id: str | None
    bot: str


class Audio(_Block):
    """The joined file."""

    file: Name
    """Its name; it lies beside the manifest."""
    sha256: Sha256
    """Of the whole file, header included."""
    bytes: Count
    encoding: Literal["pcm_s16le"] = "pcm_s16le"
    rate_hz: Annotated[int, Field(ge=1, le=2**31)]
    channels: Annotated[int, Field(ge=1, le=2)]
    samples: Count
    """Per channel."""


class StereoFacts(_Block):
    """The two-channel file beside the joined one: the caller left, everybody else right. Laid out
    like the mix, and at every sample the two, added and saturated, are the mix."""

    file: Name
    """Its name; it lies beside the manifest."""
    sha256: Sha256
    """Of the whole file, header included."""


class Redacts(_Block):
    """The recording that this one is a copy of, with stretches cut out."""

    recording: RecordingId
    sha256: Sha256
    """Of that recording's joined file."""


class PartFacts(_Block):
    """A part as Asterisk left it. Parts are deleted once the joined file is verified."""

    name: Name
    sha256: Sha256
    bytes: Count
    samples: Count
    mended: bool
    """Its header did not say its size, as after a crash of Asterisk."""
    rebuildable: bool
    """Whether the part's file, to the byte, can be made again from its samples in the joined
    file: its hash can then be checked without it."""


class OneSided(_Block):
    """A part in which one side of a talk is not heard at all."""

    part: Name
    silent: tuple[str, ...]


class PartyFacts(_Block):
    """Somebody whom the caller began, or ceased, to hear."""

    seq: Number
    at: Instant
    what: Literal["came", "left"]
    uniqueid: str
    channel: str
    party: PartyClass
    announced: bool


class Window(_Block):
    """A bridge that nobody had announced was recorded until turnrec knew of it."""

    seq: Number
    begin: Instant
    end: Instant


class OtherRecorder(_Block):
    """A recorder that isn't turnrec's, or what somebody did to turnrec's, and what was done."""

    seq: Number
    at: Instant
    channel: str | None
    what: str | None
    recorders: Count | None
    done: str | None
    result: str


class HeadFacts(_Block):
    """An entry that stands for all before it."""

    seq: Count
    hash: Sha256


class LedgerFacts(_Block):
    """Where in which ledger the manifest was made."""

    id: Sha256
    """The hash of the ledger's first entry: no two ledgers begin alike."""
    head: HeadFacts


class Manifest(_Block):
    """What is in one recording, what is not, why, and what that rests on."""

    format: Literal["turnrec-manifest"] = "turnrec-manifest"
    schema_version: Literal[1] = 1
    made: Made
    recording: RecordingFacts
    call: CallFacts
    audio: Audio | None
    """null: nothing audible was recorded, and there is no file."""
    stereo: StereoFacts | None = None
    """Left out where there is none."""
    redacts: Redacts | None = None
    """Left out where nothing was cut out: the recording is as it was joined."""
    spans: tuple[Span, ...]
    """The recording from its beginning to its end, without hole or overlap."""
    parts: tuple[PartFacts, ...]
    one_sided: tuple[OneSided, ...]
    parties: tuple[PartyFacts, ...]
    windows: tuple[Window, ...]
    other_recorders: tuple[OtherRecorder, ...]
    ledger: LedgerFacts

    @model_serializer(mode="wrap")
    def _without_what_is_not(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = usual(self)
        return {
            name: value
            for name, value in said.items()
            if value is not None or name not in ("stereo", "redacts")
        }


def json_schema() -> str:
    """The published schema, as `manifest.schema.json` holds it."""
    schema = Manifest.model_json_schema() | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:turnrec:manifest:{SCHEMA_VERSION}",
        "title": "turnrec recording manifest",
    }
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
