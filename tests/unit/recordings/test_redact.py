"""Cutting a stretch out: the whole stretch, nothing else, and never in the old file."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.recordings.parts import audio
from tests.unit.recordings.test_export import OPENED_US, SILENCE, SKIP, recording
from turnrec.core.errors import InvalidTimeError
from turnrec.core.policy import PauseBehavior
from turnrec.core.timeline import Layout, SpanKind
from turnrec.recordings.export import export
from turnrec.recordings.redact import Stretch, cut_again, new_cuts, redact, redacted_layout
from turnrec.recordings.sound import SoundChangedError, SoundFormat
from turnrec.recordings.spans import layout_from_json, span_to_json
from turnrec.recordings.wav_writer import RecordingExistsError


def file_stretch(first: int, last: int) -> Stretch:
    """From one sample to before another."""
    return Stretch(first * 125, last * 125, in_call_time=False)


def read_again(layout: Layout) -> Layout:
    """The map as somebody else reads it, who checks every span of it."""
    spans = [span_to_json(span) for span in layout.spans]
    return layout_from_json(spans, layout.rate_hz, layout.behavior.value)


@pytest.mark.parametrize("behavior", [SILENCE, SKIP])
@pytest.mark.parametrize("seed", range(10))
def test_exactly_the_stretch_is_silent_afterwards(
    tmp_path: Path, behavior: PauseBehavior, seed: int
) -> None:
    source = recording(tmp_path, behavior, seed)
    before, data = audio(source.path), source.path.read_bytes()
    rng = random.Random(seed)
    segment = rng.choice([one for one in source.layout.spans if one.kind is SpanKind.SEGMENT])
    first = segment.start_sample + rng.randrange(segment.samples - 1)
    last = rng.randrange(first + 1, source.layout.samples)
    layout = redacted_layout(source.layout, file_stretch(first, last))
    redact(source, layout, tmp_path / "new.wav")
    after = audio(tmp_path / "new.wav")
    assert not after[first:last].any()
    assert (after[:first] == before[:first]).all()
    assert (after[last:] == before[last:]).all()
    assert source.path.read_bytes() == data
    assert read_again(layout) == layout
    cuts = [(span.start_sample, span.samples) for span in new_cuts(source.layout, layout)]
    assert cut_again(source.layout, cuts) == layout
    cut = np.zeros(len(after), dtype=bool)
    for span in new_cuts(source.layout, layout):
        cut[span.start_sample : span.start_sample + span.samples] = True
    heard = np.zeros(len(after), dtype=bool)
    for span in layout.spans:
        heard[span.start_sample : span.start_sample + span.samples] = span.kind is SpanKind.SEGMENT
    assert not (cut & heard).any()
    assert not cut[:first].any()
    assert not cut[last:].any()
    assert not heard[first:last].any()
    assert sum(span.part_samples for span in layout.spans) == (
        source.layout.audible_samples
        - sum(
            len(
                range(
                    max(first, span.start_sample),
                    min(last, span.start_sample + span.part_samples),
                )
            )
            for span in source.layout.spans
        )
    )


@pytest.mark.parametrize("behavior", [SILENCE, SKIP])
def test_a_stretch_in_call_time_is_cut_with_what_is_not_known_of_it(
    tmp_path: Path,
    behavior: PauseBehavior,
) -> None:
    source = recording(tmp_path, behavior)
    segment = next(one for one in source.layout.spans if one.segment == 3)
    from_us, to_us = segment.begin_us + 100_000, segment.begin_us + 200_000
    layout = redacted_layout(source.layout, Stretch(from_us, to_us, in_call_time=True))
    (cut,) = new_cuts(source.layout, layout)
    assert cut.begin_us == from_us - segment.uncertainty_us
    assert cut.end_us == to_us + segment.uncertainty_us
    assert cut.start_sample == segment.start_sample + (100_000 - segment.uncertainty_us) // 125


def test_audio_that_may_lie_anywhere_in_a_segment_with_a_shortfall_goes_with_it(
    tmp_path: Path,
) -> None:
    source = recording(tmp_path, SILENCE)
    short = next(one for one in source.layout.spans if one.kind is SpanKind.SHORTFALL)
    segment = next(one for one in source.layout.spans if one.segment == short.segment)
    # No sound was written for this instant; what was said then may lie before it.
    stretch = Stretch(short.begin_us + 1_000, short.begin_us + 2_000, in_call_time=True)
    (cut,) = new_cuts(source.layout, redacted_layout(source.layout, stretch))
    assert segment.uncertainty_us > 200_000
    said_us = short.begin_us + 1_000 - segment.uncertainty_us
    assert cut.begin_us <= max(segment.begin_us, said_us) + 125
    assert cut.end_us == segment.end_us


def test_a_second_stretch_leaves_the_first_cut(tmp_path: Path) -> None:
    source = recording(tmp_path, SILENCE)
    segment = next(one for one in source.layout.spans if one.segment == 1)
    at = segment.start_sample
    first = redacted_layout(source.layout, file_stretch(at + 100, at + 200))
    second = redacted_layout(first, file_stretch(at + 150, at + 300))
    assert [(one.start_sample - at, one.samples) for one in new_cuts(first, second)] == [(200, 100)]
    assert not any(
        one.kind is SpanKind.SEGMENT and at + 100 <= one.start_sample < at + 300
        for one in second.spans
    )


def test_a_redacted_recording_is_exported_like_any_other(tmp_path: Path) -> None:
    source = recording(tmp_path, SILENCE)
    segment = next(one for one in source.layout.spans if one.segment == 1)
    at = segment.start_sample
    layout = redacted_layout(source.layout, file_stretch(at + 800, at + 1600))
    sha256 = redact(source, layout, tmp_path / "new.wav")
    new = replace(source, path=tmp_path / "new.wav", layout=layout, sha256=sha256)
    folded = export(new, SKIP, SoundFormat.FLAC, tmp_path / "folded.flac")
    audible = sum(one.samples for one in source.layout.spans if one.kind is SpanKind.SEGMENT)
    assert folded.layout.samples == audible - 800
    back = replace(
        new, path=folded.path, sha256=folded.sha256, layout=folded.layout, known_by="its map"
    )
    export(back, SILENCE, SoundFormat.WAV, tmp_path / "back.wav")
    assert (tmp_path / "back.wav").read_bytes() == (tmp_path / "new.wav").read_bytes()


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("from_", "to"),
    [
        ("", "1"),
        ("1", ""),
        ("x", "2"),
        ("-1", "2"),
        ("2", "1"),
        ("1", "1"),
        ("nan", "1"),
        ("1e3", "2e3"),
        ("2026-11-21T13:05:02", "2026-11-21T13:05:03"),
        ("2026-11-21T13:05:02Z", "3"),
        ("1:2:3:4", "2:0:0:0"),
        ("1\n", "2"),
        ("٣", "4"),
    ],
)
def test_what_is_no_stretch_is_refused(from_: str, to: str) -> None:
    with pytest.raises(InvalidTimeError):
        Stretch.parse(from_, to)


@pytest.mark.parametrize(
    ("from_", "to", "stretch"),
    [
        ("83.5", "1:24", Stretch(83_500_000, 84_000_000, in_call_time=False)),
        ("0", "1:00:00.000001", Stretch(0, 3_600_000_001, in_call_time=False)),
        (
            "1970-01-01T00:00:01Z",
            "1970-01-01T01:00:01.5+01:00",
            Stretch(1_000_000, 1_500_000, in_call_time=True),
        ),
    ],
)
def test_a_stretch_is_read_as_it_was_written(from_: str, to: str, stretch: Stretch) -> None:
    assert Stretch.parse(from_, to) == stretch


def test_a_stretch_outside_of_the_recording_is_refused(tmp_path: Path) -> None:
    layout = recording(tmp_path, SILENCE).layout
    end_us = layout.spans[-1].end_us
    for stretch in (
        Stretch(OPENED_US - 1, OPENED_US + 500_000, in_call_time=True),
        Stretch(end_us - 100_000, end_us + 1, in_call_time=True),
        Stretch(0, 1, in_call_time=True),
        file_stretch(layout.samples - 100, layout.samples + 1),
        file_stretch(layout.samples + 10, layout.samples + 20),
    ):
        with pytest.raises(InvalidTimeError, match="outside"):
            redacted_layout(layout, stretch)


def test_a_stretch_in_which_nothing_is_recorded_is_refused(tmp_path: Path) -> None:
    layout = recording(tmp_path, SILENCE).layout
    gap = max(
        (one for one in layout.spans if one.kind is SpanKind.GAP), key=lambda one: one.samples
    )
    stretch = file_stretch(gap.start_sample, gap.start_sample + gap.samples)
    with pytest.raises(InvalidTimeError, match="nothing is recorded"):
        redacted_layout(layout, stretch)


def test_cuts_that_no_redaction_makes_are_refused(tmp_path: Path) -> None:
    layout = recording(tmp_path, SILENCE).layout
    segment = next(one for one in layout.spans if one.kind is SpanKind.SEGMENT)
    gap = next(one for one in layout.spans if one.kind is SpanKind.GAP)
    at = segment.start_sample
    for cuts in (
        [(gap.start_sample, 10)],
        [(layout.samples, 10)],
        [(at, 0)],
        [(at, -5)],
        [(at, segment.samples + 1)],
        [(at, 10), (at + 10, 10)],
    ):
        with pytest.raises(InvalidTimeError):
            cut_again(layout, cuts)


def test_a_changed_file_is_not_redacted_and_none_is_overwritten(tmp_path: Path) -> None:
    source = recording(tmp_path, SILENCE)
    segment = next(one for one in source.layout.spans if one.segment == 1)
    at = segment.start_sample
    layout = redacted_layout(source.layout, file_stretch(at, at + 100))
    target = tmp_path / "new.wav"
    target.write_text("mine")
    with pytest.raises(RecordingExistsError):
        redact(source, layout, target)
    assert target.read_text() == "mine"
    target.unlink()
    data = bytearray(source.path.read_bytes())
    data[-1] ^= 1
    source.path.write_bytes(data)
    with pytest.raises(SoundChangedError):
        redact(source, layout, target)
    assert not target.exists()
