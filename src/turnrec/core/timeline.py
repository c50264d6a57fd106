"""Where every instant of a call lies in the joined file, to the sample; it never reads audio.

A recording's file time begins at `opened_us`. Each part is placed at the time of its own start's
answer, never after the sum of what came before: sums drift (218 ms in 100 s, asterisk-facts.md).
What no part fills is the gap, so a gap's place is exact and no open audio is lost to it.

`silence` is that layout as it is. `skip` is the same layout with its gaps and shortfalls folded to
nothing: they stay in the list as spans of zero samples, so the way back to call time is exact.
A shortfall is folded too, because the file that Asterisk wrote had not grown there either.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final

from turnrec.core.anchors import Silences, Sound, find_sounds
from turnrec.core.policy import PauseBehavior, PauseMethod
from turnrec.core.timeline_input import Gap, Segment, TimelineError, check

__all__ = ["Gap", "Layout", "Segment", "Span", "SpanKind", "TimelineError", "Zeros", "lay_out"]

TOLERANCE_US: Final = 60_000
"""How far a part's length may be from its segment's: three packets of 20 ms. Measured were -2 to
+16 ms at a boundary, one packet of jitter on each side comes on top. A part shorter than that has
a shortfall; one longer than that is cut at its segment's end, for what follows may be a pause."""
CLOCK_SKEW_PPM: Final = 100
"""A part's clock is the caller's RTP clock: 100 ppm is a poor crystal's, 0.36 s in an hour. The
tolerance grows by it, or an hour without a pause would be told short."""
MARGIN_US: Final = 40_000
"""Method mute: how far past its edges a stretch reaches for sound, for 20 ms of jitter at each end,
and how well its place in the part is known. What it finds there of the mute's zeros is left out
again, where they were counted."""
BACKLOG_US: Final = 100_000
"""Method mute: how much of the past an unmute may uncover, because MixMonitor had not read it yet
(20 ms were found with a guard of 80; asterisk-facts.md). Behind a mute's own zeros as much is left
out, less the margin; where the clock says when it ended, it is in the guard."""
PLACEMENT_US: Final = 20_000
"""How well a part's place is known: the file tracks the wall clock to 20 ms."""

_SECOND_US: Final = 1_000_000


class SpanKind(enum.StrEnum):
    """What a span of the file is."""

    SEGMENT = "segment"
    GAP = "gap"
    """No monitor ran. Without sources it is a seam: nobody held the recorder, one monitor had
    ended (or none begun) and the next did not write yet."""
    SHORTFALL = "shortfall"
    """A monitor ran and its part holds nothing: no RTP came, or the part is lost."""
    REDACTED = "redacted"
    """It was recorded, and cut out of a later file (`turnrec redact`). `lay_out` makes none."""


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of the file and of the call. In `skip` only segments have samples."""

    kind: SpanKind
    start_sample: int
    samples: int
    begin_us: int
    end_us: int
    segment: int | None = None
    part: str | None = None
    part_start_sample: int = 0
    part_samples: int = 0
    """How many samples the part gives; the rest of a segment's `samples` is padding (zeros)."""
    excess_samples: int = 0
    """How many samples the part holds beyond the ones used (method segment)."""
    sources: tuple[str, ...] = ()
    node: str | None = None
    uncertainty_us: int = PLACEMENT_US
    """How far from its place the sound of an instant may be. Audio of a segment with a shortfall
    may lie anywhere in it: when the file stopped growing is not written anywhere. A gap's is that
    of the segment that ends it."""


@dataclass(frozen=True, slots=True)
class Zeros:
    """How many samples of digital silence a muted segment's sound begins and ends with."""

    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """The spans of one file, in order, without hole or overlap, and the maps between times."""

    rate_hz: int
    behavior: PauseBehavior
    spans: tuple[Span, ...]
    samples: int
    anchored: frozenset[str] = frozenset()
    """The muted parts in which the mutes were found; the clock alone places the others."""
    strays_us: Mapping[str, int] = field(default_factory=dict)
    """How far each muted part's length is from its monitor's time."""

    @property
    def audible_samples(self) -> int:
        """How many samples of the file come from parts."""
        return sum(span.part_samples for span in self.spans)

    def file_time_us(self, call_us: int) -> int | None:
        """The place of a call instant in the file, from its beginning.

        None: the file has no such place (before it, after it, or folded away by `skip`).
        """
        index = bisect_right(self.spans, call_us, key=lambda span: span.begin_us) - 1
        if index < 0:
            return None
        span = self.spans[index]
        if call_us >= span.end_us or span.samples == 0:
            return None
        return _duration_us(span.start_sample, self.rate_hz) + call_us - span.begin_us

    def call_time_us(self, sample: int) -> int:
        """The call instant of a sample of the file.

        Raises:
            TimelineError: the file has no such sample.
        """
        if not 0 <= sample < self.samples:
            raise TimelineError(f"no sample {sample} in a file of {self.samples}")
        index = bisect_right(self.spans, sample, key=lambda span: span.start_sample) - 1
        span = self.spans[index]
        return span.begin_us + _duration_us(sample - span.start_sample, self.rate_hz)


def lay_out(
    *,
    opened_us: int,
    closed_us: int,
    segments: Sequence[Segment],
    gaps: Sequence[Gap],
    part_samples: Mapping[str, int],
    rate_hz: int,
    behavior: PauseBehavior,
    method: PauseMethod = PauseMethod.SEGMENT,
    silences: Silences | None = None,
    zeros: Mapping[int, Zeros] | None = None,
) -> Layout:
    """Place segments and gaps in a file. A lost part is one of 0 samples.

    With method mute, segments may share a part, each at its `offset_us`, unless the `silences` of
    the part tell better where the mutes are. `zeros` are those that a segment's samples, as a
    layout without them has it, begin and end with. An end never seen is taken to be the next thing
    known: the next gap, segment, or the close.

    Raises:
        TimelineError: the input contradicts itself.
    """
    if rate_hz <= 0:
        raise TimelineError(f"a file cannot have {rate_hz} samples a second")
    bounds = check(opened_us, closed_us, segments, gaps, part_samples, method)
    *before, after = bounds.gaps_by_hole
    clock = _Clock(opened_us, rate_hz)
    placing = _Placing(clock, part_samples, method, silences or {}, zeros or {}, closed_us)
    spans: list[Span] = []
    position = 0
    runs = placing.runs(segments)
    sounds = placing.sounds(segments, runs)
    stretches = placing.stretches(segments, bounds.ends_us, runs, sounds)
    for stretch, named in zip(stretches, before, strict=True):
        uncertainty_us = PLACEMENT_US + stretch.segment.took_us
        spans += _hole(clock, position, stretch.start, named, uncertainty_us)
        spans += _audible(clock, stretch)
        position = stretch.end
    spans += _hole(clock, position, max(position, clock.sample(closed_us)), after)
    if behavior is PauseBehavior.SKIP:
        spans = list(_folded(spans))
    anchored = frozenset(segment.part for segment in segments if segment.number in sounds)
    samples = sum(span.samples for span in spans)
    strays_us = {part: run.stray_us() for part, run in runs.items()}
    return Layout(rate_hz, behavior, tuple(spans), samples, anchored, strays_us)


# ------------------------------------------------------------------ placing


def _duration_us(samples: int, rate_hz: int) -> int:
    return (samples * _SECOND_US + rate_hz // 2) // rate_hz


@dataclass(frozen=True, slots=True)
class _Clock:
    opened_us: int
    rate_hz: int

    def samples(self, duration_us: int) -> int:
        return (duration_us * self.rate_hz + _SECOND_US // 2) // _SECOND_US

    def sample(self, call_us: int) -> int:
        return self.samples(call_us - self.opened_us)

    def call_us(self, sample: int) -> int:
        return self.opened_us + _duration_us(sample, self.rate_hz)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A segment's place in the `silence` file: audio, then padding or shortfall up to `end`."""

    segment: Segment
    start: int
    part_start: int
    audio: int
    end: int
    excess: int
    short: bool
    uncertainty_us: int


@dataclass(frozen=True, slots=True)
class _Run:
    """A muted part's monitor, from its begin to its end."""

    began_us: int
    ended_us: int
    held: int
    rate_hz: int
    took_us: int
    """How long the answer to its start took: all later offsets may be early by as much."""

    def lacks_us(self, since_us: int | None = None, sample: int = 0) -> int:
        """How much of the monitor's time since then the part lacks from a sample on."""
        held_us = _duration_us(max(0, self.held - sample), self.rate_hz)
        return self.ended_us - (self.began_us if since_us is None else since_us) - held_us

    def stray_us(self, since_us: int | None = None, sample: int = 0) -> int:
        """How far the part's length is from the monitor's time."""
        return abs(self.lacks_us(since_us, sample))


def _stray_us(run: _Run, segment: Segment, sound: Sound | None) -> int | None:
    """How far a segment's sound may be from its place, where the part's length alone tells.

    None: it lies between two edges that are known. What was said long after the segment can lie
    in its place, where the part stood still over a pause.
    """
    if segment.offset_us and (sound is None or sound.first is None):
        return run.took_us + run.stray_us()
    if sound is None or sound.last is None:
        first = 0 if sound is None or sound.first is None else sound.first
        return run.stray_us(segment.began_us, first)
    return None


@dataclass(frozen=True, slots=True)
class _Placing:
    """What placing a segment takes beside the segment itself."""

    clock: _Clock
    part_samples: Mapping[str, int]
    method: PauseMethod
    silences: Silences
    zeros: Mapping[int, Zeros]
    closed_us: int

    def stretches(
        self,
        segments: Sequence[Segment],
        ends_us: Sequence[int],
        runs: Mapping[str, _Run],
        sounds: Mapping[int, Sound],
    ) -> Iterator[_Stretch]:
        clock = self.clock
        previous: _Stretch | None = None
        followings = (*segments, None)[1:]
        for segment, ended_us, following in zip(segments, ends_us, followings, strict=True):
            start, claimed = clock.sample(segment.began_us), clock.sample(ended_us)
            held = self.part_samples[segment.part]
            skew_us = (ended_us - segment.began_us) * CLOCK_SKEW_PPM // _SECOND_US
            tolerance = clock.samples(TOLERANCE_US + skew_us)
            sound = sounds.get(segment.number)
            if self.method is PauseMethod.MUTE:
                lead, part = self._of_shared_part(
                    segment, sound, claimed - start, previous, following
                )
                start -= lead
            else:
                part = range(held if start + held <= claimed + tolerance else claimed - start)
            audio = len(part)
            if following is not None:
                audio = max(0, min(audio, clock.sample(following.began_us) - start))
            end = max(start + audio, claimed)
            missing = end - start - audio
            excess = held - audio if self.method is PauseMethod.SEGMENT else 0
            unsure_us = _duration_us(max(missing, excess), clock.rate_hz)
            if max(missing, excess) > tolerance:
                # How long it stood still is known from its length, so no better than any length.
                unsure_us += TOLERANCE_US
            if segment.part in runs:
                stray_us = _stray_us(runs[segment.part], segment, sound)
                unsure_us = MARGIN_US + (unsure_us if stray_us is None else stray_us)
                if sound is not None:
                    unsure_us += min(BACKLOG_US, runs[segment.part].stray_us())
            previous = _Stretch(
                segment,
                start,
                part.start,
                audio,
                end,
                excess,
                short=missing > tolerance,
                uncertainty_us=PLACEMENT_US + segment.took_us + unsure_us,
            )
            yield previous

    def runs(self, segments: Sequence[Segment]) -> dict[str, _Run]:
        """Each shared part's monitor.

        One that ends while muted ends, for all that is known, with the next one's beginning.
        """
        if self.method is not PauseMethod.MUTE:
            return {}
        firsts: dict[str, Segment] = {}
        for segment in segments:
            firsts.setdefault(segment.part, segment)
        begans_us = [one.began_us - one.offset_us for one in firsts.values()]
        return {
            one.part: _Run(
                began_us, ended_us, self.part_samples[one.part], self.clock.rate_hz, one.took_us
            )
            for one, began_us, ended_us in zip(
                firsts.values(), begans_us, [*begans_us[1:], self.closed_us], strict=False
            )
        }

    def sounds(self, segments: Sequence[Segment], runs: Mapping[str, _Run]) -> dict[int, Sound]:
        """Each segment's sound in its part, where the part's mutes were found."""
        sounds: dict[int, Sound] = {}
        if not runs:
            return sounds
        for part, own in groupby(segments, key=lambda segment: segment.part):
            run = runs[part]
            sounds |= find_sounds(
                tuple(own),
                self.silences.get(part, ()),
                held=run.held,
                lacks_us=run.lacks_us(),
                rate_hz=run.rate_hz,
            )
        return sounds

    def _of_shared_part(
        self,
        segment: Segment,
        sound: Sound | None,
        claimed: int,
        previous: _Stretch | None,
        following: Segment | None,
    ) -> tuple[int, range]:
        """By how many samples a muted part's stretch begins early, and which samples it takes.

        The margins are open audio or the zeros that the mute wrote; no sample is taken twice. The
        zeros are left out, for they alone tell where the mute was. But those that last longer than
        a mute's own may be are somebody's silence, and up to the segment's edges they belong to it.
        """
        clock = self.clock
        margin = clock.samples(MARGIN_US)
        offset = clock.samples(segment.offset_us)
        held = self.part_samples[segment.part]
        last = held if sound is None or sound.last is None else sound.last
        if sound is not None and sound.first is not None:
            uncovered = clock.samples(BACKLOG_US) - margin
            if claimed <= uncovered:
                return 0, range(sound.first, sound.first)
            if sound.first + uncovered < offset - margin:
                begin = sound.first + uncovered
                stop = min(last, sound.first + claimed + margin)
                return (
                    (-uncovered, range(begin, stop)) if begin < stop else (0, range(begin, begin))
                )
        free = clock.sample(segment.began_us) - (0 if previous is None else previous.end)
        lead = min(margin, offset, free)
        stop = min(last, offset + claimed + margin)
        if previous is not None and previous.segment.part == segment.part:
            lead = min(lead, offset - previous.part_start - previous.audio)
        if following is not None and following.part == segment.part:
            stop = min(stop, clock.samples(following.offset_us))
        if offset - lead >= stop:
            return 0, range(offset - lead, stop)
        zeros = self.zeros.get(segment.number, Zeros())
        most = clock.samples(TOLERANCE_US)
        beyond = max(0, stop - offset - claimed)
        if zeros.before >= stop - offset + lead:
            return 0, range(offset, stop - beyond)
        stop -= zeros.after if zeros.after <= beyond + most else beyond
        if offset:  # the first one's begin is its monitor's, and no mute's end
            lead -= zeros.before if zeros.before <= lead + most else lead
        return lead, range(offset - lead, stop)


def _span(clock: _Clock, kind: SpanKind, start: int, end: int) -> Span:
    return Span(kind, start, end - start, clock.call_us(start), clock.call_us(end))


def _audible(clock: _Clock, stretch: _Stretch) -> Iterator[Span]:
    audio_end = stretch.start + stretch.audio
    segment_end = audio_end if stretch.short else stretch.end
    if segment_end > stretch.start or stretch.excess:
        yield replace(
            _span(clock, SpanKind.SEGMENT, stretch.start, segment_end),
            segment=stretch.segment.number,
            part=stretch.segment.part,
            part_start_sample=stretch.part_start,
            part_samples=stretch.audio,
            excess_samples=stretch.excess,
            uncertainty_us=stretch.uncertainty_us,
        )
    if stretch.short:
        yield replace(
            _span(clock, SpanKind.SHORTFALL, segment_end, stretch.end),
            segment=stretch.segment.number,
            part=stretch.segment.part,
            uncertainty_us=stretch.uncertainty_us,
        )


def _hole(
    clock: _Clock, start: int, end: int, gaps: Sequence[Gap], uncertainty_us: int = PLACEMENT_US
) -> Iterator[Span]:
    """The spans of the hole between two segments: each named gap reaches to the next one.

    What lies around the gaps (the guard, a loss before it was noticed) belongs to them. A named
    gap is listed even where the parts leave it no sample.
    """
    if not gaps and start < end:
        span = _span(clock, SpanKind.GAP, start, end)
        yield replace(span, uncertainty_us=uncertainty_us)
    for index, gap in enumerate(gaps):
        until = end
        if index + 1 < len(gaps):
            until = min(end, max(start, clock.sample(gaps[index + 1].began_us)))
        yield replace(
            _span(clock, SpanKind.GAP, start, until),
            sources=gap.sources,
            node=gap.node,
            uncertainty_us=uncertainty_us,
        )
        start = until


def _folded(spans: Iterable[Span]) -> Iterator[Span]:
    position = 0
    for span in spans:
        samples = span.samples if span.kind is SpanKind.SEGMENT else 0
        yield replace(span, start_sample=position, samples=samples)
        position += samples
