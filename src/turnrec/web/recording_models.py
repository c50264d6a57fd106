"""What the API says of recordings, as its contract has it. It holds no route."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

StatusName = Literal["recording", "paused", "done", "failed", "deleted"]
BehaviorName = Literal["silence", "skip"]


class SegmentModel(BaseModel):
    """A stretch in which a monitor ran."""

    number: int = Field(description="counted from 1")
    began: str
    ended: str | None = Field(description="null while it runs")
    began_us: int = Field(description="microseconds since 1970, UTC")
    ended_us: int | None


class GapModel(BaseModel):
    """A stretch that was not recorded, and why."""

    began: str
    ended: str | None = Field(description="null while it lasts")
    began_us: int = Field(description="microseconds since 1970, UTC")
    ended_us: int | None
    holds: list[str] = Field(
        description="who held it: turn, agent, operator, fault; none where only the party changed"
    )
    node: str | None = Field(description="the flow's node where it began")
    turn: int | None


class RecordingModel(BaseModel):
    """A recording."""

    id: str
    call: str | None
    bot: str | None
    opened: str
    closed: str | None
    opened_us: int
    closed_us: int | None
    status: StatusName
    file: str | None = Field(description="its file's name in the recordings' folder")
    path: str | None = Field(
        description="where that lies on the server; told at the control socket only"
    )
    duration_s: float | None
    rate_hz: int | None
    samples: int | None
    sha256: str | None = Field(description="of its file")
    legal_hold: str | None = Field(description="why it must not be deleted")
    pause_behavior: BehaviorName | None = Field(
        description="what pauses are in the file; null while there is none"
    )
    segments: list[SegmentModel]
    gaps: list[GapModel]


class SpanModel(BaseModel):
    """A stretch of the file, and of the call: they follow one another without a hole."""

    kind: str = Field(description="segment, gap, shortfall or redacted")
    begin: str
    end: str
    begin_us: int
    end_us: int
    start_sample: int = Field(description="where it begins in the file")
    samples: int = Field(description="how long it is in the file")
    segment: int | None
    sources: list[str] = Field(description="who held it, of a gap")
    node: str | None
    uncertainty_us: int = Field(description="how far the call's times may be off")


class OneSidedModel(BaseModel):
    """A part in which nothing is heard of a side."""

    part: str
    silent: list[str] = Field(
        description="caller (what the recorded channel sent), others (what it was sent)"
    )


class RecordingDetail(RecordingModel):
    """A recording with all that was found when it was closed."""

    spans: list[SpanModel] = Field(description="none while it isn't closed")
    one_sided: list[OneSidedModel]
    stereo: bool = Field(description="whether there is a two-channel file beside the mix")
    transcript: bool = Field(description="whether there is a transcript")
    problems: list[str] = Field(description="what went wrong with its parts, in sentences")
    redacts: str | None = Field(description="the recording that this one is a redacted copy of")
    redacted_into: list[str] = Field(description="its redacted copies")
    closed_detail: dict[str, Any] = Field(description="what the ledger's closing entry says")


class RecordingsPage(BaseModel):
    """Recordings, the newest first."""

    items: list[RecordingModel]
    next: str | None


class PeaksModel(BaseModel):
    """The sound's outline, for a drawing."""

    rate_hz: int
    samples: int
    points: list[tuple[float, float]] = Field(
        description="the lowest and the highest of equally many samples each, in -1 to 1"
    )


class FindingModel(BaseModel):
    """What keeps a claim from being proven."""

    id: str
    weight: Literal["wrong", "unproven"]
    sentence: str


class ReportModel(BaseModel):
    """What was found out about one recording, or about the ledger."""

    subject: str
    status: Literal["proven", "wrong", "unproven"]
    findings: list[FindingModel]
    proven: list[str] = Field(description="sentences, each of which holds")
    not_proven: list[str] = Field(description="sentences: what this says nothing of")


class VerificationModel(BaseModel):
    """What `turnrec verify --json` says of it, and the same in short."""

    status: Literal["proven", "wrong", "unproven"]
    exit_status: int = Field(description="0 proven, 1 wrong, 3 not proven")
    ledger: ReportModel | None
    recordings: list[ReportModel]
    sentences: list[str] = Field(description="the verdict, for people")
