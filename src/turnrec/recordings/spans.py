"""A file's spans as JSON (ledger, manifest, offset map) and back, and laid out anew; no audio here.

What is read may have been written by anybody: spans that don't follow each other without hole or
overlap, in the file and in the call, are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from turnrec.core.entry import JSON
from turnrec.core.policy import PauseBehavior
from turnrec.core.timeline import Layout, Span, SpanKind
from turnrec.recordings.wav import MAX_RATE_HZ
from turnrec.recordings.wav_writer import RecordingError

_SECOND_US: Final = 1_000_000
_MOST_SAMPLES: Final = 1 << 32
"""More than any WAV has."""
_LAST_US: Final = 253_402_300_799_999_999
"""The end of the year 9999, after which no date can be written."""
_LARGEST: Final = {
    "start_sample": _MOST_SAMPLES,
    "samples": _MOST_SAMPLES,
    "begin_us": _LAST_US,
    "end_us": _LAST_US,
    "segment": _MOST_SAMPLES,
    "part_start_sample": _MOST_SAMPLES,
    "part_samples": _MOST_SAMPLES,
    "excess_samples": _MOST_SAMPLES,
    "uncertainty_us": _LAST_US,
}


class SpanMapError(RecordingError):
    """Spans that are no map of any file. `str()` says where they go wrong."""

    id = "span-map-invalid"


def span_to_json(span: Span) -> dict[str, JSON]:
    """A span in words for the ledger; `span_from_json` reads it back."""
    return {
        "kind": span.kind.value,
        "start_sample": span.start_sample,
        "samples": span.samples,
        "begin_us": span.begin_us,
        "end_us": span.end_us,
        "segment": span.segment,
        "part": span.part,
        "part_start_sample": span.part_start_sample,
        "part_samples": span.part_samples,
        "excess_samples": span.excess_samples,
        "sources": list(span.sources),
        "node": span.node,
        "uncertainty_us": span.uncertainty_us,
    }


def span_from_json(value: object) -> Span:
    """Read one span. Keys that it doesn't know are left out, those with a default may be missing.

    Raises:
        SpanMapError: it is none.
    """
    if not isinstance(value, Mapping):
        raise SpanMapError("a span is no JSON object")
    try:
        kind = SpanKind(value.get("kind", ""))
    except ValueError:
        raise SpanMapError("a span is of no kind that this turnrec knows") from None
    sources = value.get("sources", ())
    if not isinstance(sources, Sequence) or not all(isinstance(one, str) for one in sources):
        raise SpanMapError("a span's sources are no list of words")
    begin_us, end_us = _number(value, "begin_us"), _number(value, "end_us")
    return Span(
        kind,
        _number(value, "start_sample"),
        _number(value, "samples"),
        begin_us,
        end_us,
        segment=None if value.get("segment") is None else _number(value, "segment"),
        part=_word(value, "part"),
        part_start_sample=_number(value, "part_start_sample", 0),
        part_samples=_number(value, "part_samples", 0),
        excess_samples=_number(value, "excess_samples", 0),
        sources=tuple(sources),
        node=_word(value, "node"),
        uncertainty_us=_number(value, "uncertainty_us", 0),
    )


def layout_from_json(spans: object, rate_hz: object, behavior: object) -> Layout:
    """Read the spans of a whole file.

    Raises:
        SpanMapError: they contradict each other, or aren't spans.
    """
    if not isinstance(rate_hz, int) or isinstance(rate_hz, bool) or not 0 < rate_hz <= MAX_RATE_HZ:
        raise SpanMapError("the rate is no number of samples a second")
    try:
        kept = PauseBehavior(behavior)  # type: ignore[arg-type]  # anything may stand there
    except ValueError:
        raise SpanMapError("the behavior is neither silence nor skip") from None
    if not isinstance(spans, Sequence) or isinstance(spans, str) or not spans:
        raise SpanMapError("there are no spans")
    read = tuple(span_from_json(one) for one in spans)
    sample, call_us = 0, read[0].begin_us
    for number, span in enumerate(read):
        if span.start_sample != sample or span.begin_us != call_us:
            raise SpanMapError(f"span {number} does not begin where the one before it ends")
        if span.end_us < span.begin_us or span.part_samples > span.samples:
            raise SpanMapError(f"span {number} ends before it begins, or is fuller than it is long")
        sample, call_us = sample + span.samples, span.end_us
    return Layout(rate_hz, kept, read, sample)


def laid_out_as(layout: Layout, behavior: PauseBehavior) -> Layout:
    """The same stretches of the call in a file of another behavior, each at its exact sample.

    Whatever a span has of call time it has in `silence`; in `skip` only segments have any.

    Raises:
        SpanMapError: a segment is not as long as its call times say, so nobody knows its place.
    """
    opened_us = layout.spans[0].begin_us if layout.spans else 0

    def sample_of(call_us: int) -> int:
        return ((call_us - opened_us) * layout.rate_hz + _SECOND_US // 2) // _SECOND_US

    spans: list[Span] = []
    position = 0
    for span in layout.spans:
        samples = sample_of(span.end_us) - sample_of(span.begin_us)
        if span.kind is SpanKind.SEGMENT and samples != span.samples:
            raise SpanMapError(
                f"segment {span.segment} has {span.samples} samples, its call times say {samples}"
            )
        if behavior is PauseBehavior.SKIP and span.kind is not SpanKind.SEGMENT:
            samples = 0
        spans.append(replace(span, start_sample=position, samples=samples))
        position += samples
    return Layout(layout.rate_hz, behavior, tuple(spans), position)


_REQUIRED: Final = object()


def _number(value: Mapping[object, object], key: str, default: object = _REQUIRED) -> int:
    number = value.get(key, default)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _LARGEST[key]:
        raise SpanMapError(f"a span's {key} is no number from 0 on, or far too large")
    return number


def _word(value: Mapping[object, object], key: str) -> str | None:
    word = value.get(key)
    if word is not None and not isinstance(word, str):
        raise SpanMapError(f"a span's {key} is no word")
    return word
