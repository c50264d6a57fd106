"""What the timeline is given, in the tests: recordings, counted from their opening."""

from __future__ import annotations

from dataclasses import dataclass

from turnrec.core.policy import PauseBehavior, PauseMethod
from turnrec.core.timeline import (
    Gap,
    Layout,
    Segment,
    SpanKind,
    Zeros,
    lay_out,
)

OPENED_US = 1_790_000_000_123_457
MS = 1_000
S = 1_000_000
SEGMENT, GAP, SHORTFALL = SpanKind.SEGMENT, SpanKind.GAP, SpanKind.SHORTFALL


@dataclass(frozen=True)
class Call:
    """A recording's input; times in the helpers below count from its opening."""

    closed_us: int
    segments: tuple[Segment, ...]
    gaps: tuple[Gap, ...]
    part_samples: dict[str, int]
    rate_hz: int = 8000
    method: PauseMethod = PauseMethod.SEGMENT
    zeros: dict[int, Zeros] | None = None
    silences: dict[str, list[range]] | None = None

    def lay_out(self, behavior: PauseBehavior = PauseBehavior.SILENCE) -> Layout:
        return lay_out(
            opened_us=OPENED_US,
            closed_us=self.closed_us,
            segments=self.segments,
            gaps=self.gaps,
            part_samples=self.part_samples,
            rate_hz=self.rate_hz,
            behavior=behavior,
            method=self.method,
            zeros=self.zeros,
            silences=self.silences,
        )


def segment(
    number: int, began_us: int, ended_us: int | None, part: str = "", offset_us: int = 0
) -> Segment:
    ended_us = None if ended_us is None else OPENED_US + ended_us
    return Segment(number, part or f"r-{number:03d}.wav", OPENED_US + began_us, ended_us, offset_us)


def gap(began_us: int, ended_us: int, *sources: str, node: str | None = None) -> Gap:
    return Gap(OPENED_US + began_us, OPENED_US + ended_us, sources or ("turn",), node)


def call(
    seconds: float, segments: list[Segment], samples: list[int], gaps: list[Gap] | None = None
) -> Call:
    parts = dict(zip([one.part for one in segments], samples, strict=True))
    return Call(OPENED_US + round(seconds * S), tuple(segments), tuple(gaps or []), parts)


def shape(layout: Layout) -> list[tuple[SpanKind, int, int]]:
    return [(span.kind, span.start_sample, span.samples) for span in layout.spans]
