"""Cuts a stretch out of a recording, into a new file; the old one is only read.

What was cut is digital silence of the same length in the new file, and a span of kind `redacted`
in its map. Call times are known to within each span's uncertainty, so a stretch given in them is
cut that much wider at both ends; one given in file times is cut to the sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from turnrec.core.errors import InvalidTimeError
from turnrec.core.timeline import Layout, Span, SpanKind
from turnrec.recordings.export import Source, check_source
from turnrec.recordings.sound import SoundFormat, SoundReader, sound_writer
from turnrec.recordings.wav_writer import RecordingError

_SECOND_US: Final = 1_000_000
_CLOCK: Final = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,6}(?:\.\d{1,6})?)", re.ASCII)
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class NotRedactedError(RecordingError):
    """What was written is not the old file with the stretch cut out; nothing is left of it."""

    id = "redaction-not-verified"


@dataclass(frozen=True, slots=True)
class Stretch:
    """From when to when to cut, in UTC microseconds or in microseconds of the file."""

    from_us: int
    to_us: int
    in_call_time: bool

    @classmethod
    def parse(cls, from_: str, to: str) -> Stretch:
        """Read a stretch as somebody wrote it.

        `2026-11-21T13:05:02.5Z` is a call time, with its zone; `83.5`, `1:23.5` and `0:01:23.5`
        are file times, counted from the file's beginning.

        Raises:
            InvalidTimeError: one is no time, they are of two kinds, or end before they begin.
        """
        begin, end = _parse(from_), _parse(to)
        if begin.in_call_time != end.in_call_time:
            raise InvalidTimeError("give two call times or two file times, not one of each")
        if begin.us >= end.us:
            raise InvalidTimeError(f"{to} does not come after {from_}")
        return cls(begin.us, end.us, begin.in_call_time)


@dataclass(frozen=True, slots=True)
class _Time:
    us: int
    in_call_time: bool


def _parse(text: str) -> _Time:
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, seconds = (part or "0" for part in clock.groups())
        whole, _, fraction = seconds.partition(".")
        total_s = (int(hours) * 60 + int(minutes)) * 60 + int(whole)
        return _Time(total_s * _SECOND_US + int(fraction.ljust(6, "0")), in_call_time=False)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise InvalidTimeError(
            "a time is a call time with its zone (2026-11-21T13:05:02.5Z) or a file time in"
            " seconds or h:mm:ss (83.5, 1:23.5)"
        )
    return _Time((instant - _EPOCH) // timedelta(microseconds=1), in_call_time=True)


def redacted_layout(layout: Layout, stretch: Stretch) -> Layout:
    """The file's map with the stretch cut out of its segments.

    Raises:
        InvalidTimeError: it isn't within the recording, or nothing is recorded there.
    """
    _check_within(layout, stretch)
    spans = tuple(_pieces(layout, stretch))
    if len(spans) == len(layout.spans) and all(
        new.kind is old.kind for new, old in zip(spans, layout.spans, strict=True)
    ):
        raise InvalidTimeError("nothing is recorded in that stretch: there is nothing to cut out")
    return replace(layout, spans=spans)


def new_cuts(before: Layout, after: Layout) -> tuple[Span, ...]:
    """The spans that were cut out by the last redaction."""
    old = {span.start_sample for span in before.spans if span.kind is SpanKind.REDACTED}
    return tuple(
        span
        for span in after.spans
        if span.kind is SpanKind.REDACTED and span.start_sample not in old
    )


def cut_again(layout: Layout, cuts: Iterable[tuple[int, int]]) -> Layout:
    """The map of a file after the cuts of one redaction, each by its first sample and its length.

    For checking: what `redacted_layout` made of a file's map is made again from what it entered.

    Raises:
        InvalidTimeError: a cut lies in no segment, or not within one, or two in the same.
    """
    left = dict(cuts)
    spans: list[Span] = []
    for span in layout.spans:
        inside = range(span.start_sample, span.start_sample + span.samples)
        found = [one for one in left if one in inside and span.kind is SpanKind.SEGMENT]
        if not found:
            spans.append(span)
            continue
        start, samples = found[0], left.pop(found[0])
        if len(found) > 1 or samples < 1 or start + samples > inside.stop:
            raise InvalidTimeError(f"the cut at sample {start} is not within one segment")
        first = start - span.start_sample
        spans += _without(layout, span, range(first, first + samples))
    if left:
        raise InvalidTimeError(f"the cut at sample {min(left)} is in no segment")
    return replace(layout, spans=tuple(spans))


def redact(source: Source, layout: Layout, target: Path) -> str:
    """Write the file that `layout` (of `redacted_layout`) speaks of; return its hash. It blocks.

    Raises:
        SoundChangedError: the old file isn't the one that the ledger names.
        RecordingError: nothing was made; its id says why.
    """
    with SoundReader(source.path) as reader:
        check_source(source, reader)
        with sound_writer(target, reader.rate_hz, reader.channels, SoundFormat.WAV) as writer:
            for span in layout.spans:
                if span.kind is SpanKind.REDACTED:
                    reader.skip(span.samples)
                    writer.write_silence(span.samples)
                else:
                    for block in reader.blocks(span.samples):
                        writer.write(block)
            writer.seal()
            sha256 = _read_back(source.path, writer.path, layout)
            writer.publish()
    return sha256


# ------------------------------------------------------------------ inside


def _check_within(layout: Layout, stretch: Stretch) -> None:
    if not layout.spans:
        raise InvalidTimeError("the recording is empty")
    if stretch.in_call_time:
        first_us, last_us = layout.spans[0].begin_us, layout.spans[-1].end_us
    else:
        first_us, last_us = 0, -(-layout.samples * _SECOND_US // layout.rate_hz)
    if stretch.from_us < first_us or stretch.to_us > last_us:
        what = "recording" if stretch.in_call_time else "file"
        raise InvalidTimeError(f"the stretch lies outside of the {what}, or partly so")


def _pieces(layout: Layout, stretch: Stretch) -> Iterator[Span]:
    for span in layout.spans:
        cut = _cut(layout, span, stretch) if span.kind is SpanKind.SEGMENT else range(0)
        yield from _without(layout, span, cut)


def _without(layout: Layout, span: Span, cut: range) -> Iterator[Span]:
    """A segment in pieces: what is before the cut, the cut, and what is after it."""
    if not cut:
        yield span
        return
    if cut.start > 0:
        yield _piece(layout, span, range(cut.start))
    yield replace(
        _piece(layout, span, cut), kind=SpanKind.REDACTED, part_samples=0, excess_samples=0
    )
    if cut.stop < span.samples:
        rest = _piece(layout, span, range(cut.stop, span.samples))
        yield replace(rest, excess_samples=0)


def _cut(layout: Layout, span: Span, stretch: Stretch) -> range:
    """Which samples of a segment the stretch covers; a sample that it touches is covered."""
    begin_us, end_us = stretch.from_us, stretch.to_us
    if stretch.in_call_time:
        begin_us -= span.begin_us + span.uncertainty_us
        end_us -= span.begin_us - span.uncertainty_us
        offset = 0
    else:
        offset = span.start_sample
    first = begin_us * layout.rate_hz // _SECOND_US - offset
    last = -(-end_us * layout.rate_hz // _SECOND_US) - offset
    return range(max(0, first), min(span.samples, last))


def _piece(layout: Layout, span: Span, samples: range) -> Span:
    def call_us(sample: int) -> int:
        if sample == span.samples:
            return span.end_us
        return span.begin_us + (sample * _SECOND_US + layout.rate_hz // 2) // layout.rate_hz

    audible = range(samples.start, min(samples.stop, span.part_samples))
    return replace(
        span,
        start_sample=span.start_sample + samples.start,
        samples=len(samples),
        begin_us=call_us(samples.start),
        end_us=call_us(samples.stop),
        part_start_sample=span.part_start_sample + min(samples.start, span.part_samples),
        part_samples=len(audible),
    )


def _read_back(old: Path, new: Path, layout: Layout) -> str:
    with SoundReader(old) as before, SoundReader(new) as after:
        if (after.samples, after.channels) != (before.samples, before.channels):
            raise NotRedactedError("the new file is not as long as the old one: is the disk full?")
        for span in layout.spans:
            blocks = zip(before.blocks(span.samples), after.blocks(span.samples), strict=True)
            for was, became in blocks:
                wrong = became.any() if span.kind is SpanKind.REDACTED else (was != became).any()
                if wrong:
                    raise NotRedactedError(f"the new file is wrong at sample {span.start_sample}")
        return after.sha256
