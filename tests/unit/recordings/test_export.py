"""Copies of a recording: every span at its exact sample, nothing overwritten, nothing foreign."""

from __future__ import annotations

import json
import random
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.unit.recordings.parts import Samples, audio, closed
from turnrec.core.policy import PauseBehavior
from turnrec.core.timeline import Gap, Layout, Segment, SpanKind
from turnrec.recordings.export import (
    Source,
    export,
    map_path,
    read_map,
    source_beside,
    source_from,
)
from turnrec.recordings.join import JoinPlan, join
from turnrec.recordings.sound import (
    SoundChangedError,
    SoundFormat,
    SoundReader,
    SoundUnreadableError,
)
from turnrec.recordings.spans import (
    SpanMapError,
    laid_out_as,
    layout_from_json,
    span_from_json,
    span_to_json,
)
from turnrec.recordings.wav_writer import (
    RecordingExistsError,
    RecordingNotWrittenError,
)

OPENED_US = 1_700_000_000_123_457
SILENCE, SKIP = PauseBehavior.SILENCE, PauseBehavior.SKIP


def recording(folder: Path, behavior: PauseBehavior, seed: int = 1, segments: int = 5) -> Source:
    """A joined file of noise whose segments and gaps have odd lengths; one part is short."""
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    spool = folder / f"spool-{behavior}"
    spool.mkdir(parents=True)
    at_us, made, gaps = OPENED_US + rng.randrange(200_000), [], []
    for number in range(1, segments + 1):
        length_us = rng.randrange(400_000, 900_000)
        name = f"R1-{number:03d}.wav"
        held = length_us * 8 // 1000 - (2_000 if number == 2 else rng.randrange(100))
        noise = numbers.integers(-9000, 9000, held).astype(np.int16) | 1
        (spool / name).write_bytes(closed(noise))
        made.append(Segment(number, name, at_us, at_us + length_us))
        at_us += length_us
        pause_us = rng.randrange(1_000, 700_000)
        gaps.append(Gap(at_us, at_us + pause_us, ("turn",), "ask"))
        at_us += pause_us
    joined = join(
        JoinPlan(
            "R1",
            spool,
            folder / f"{behavior}.wav",
            OPENED_US,
            at_us + 10_000,
            tuple(made),
            tuple(gaps),
            behavior,
        )
    )
    assert joined.path is not None
    assert joined.sha256 is not None
    return Source("R1", joined.path, joined.sha256, joined.layout, "the ledger")


def read(path: Path) -> Samples:
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == 8000
    found: Samples = np.asarray(samples, dtype=np.int16)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_a_copy_is_what_the_join_would_have_made_of_the_other_behavior(
    tmp_path: Path, seed: int
) -> None:
    silence, skip = (recording(tmp_path, one, seed) for one in (SILENCE, SKIP))
    for source, behavior, expected in ((silence, SKIP, skip), (skip, SILENCE, silence)):
        copy = export(source, behavior, SoundFormat.WAV, tmp_path / f"to-{behavior}.wav")
        assert (audio(copy.path) == audio(expected.path)).all()
        assert copy.layout == expected.layout


@pytest.mark.parametrize("form", list(SoundFormat))
@pytest.mark.parametrize("behavior", list(PauseBehavior))
def test_every_format_has_each_span_at_its_sample(
    tmp_path: Path, form: SoundFormat, behavior: PauseBehavior
) -> None:
    source = recording(tmp_path, SILENCE)
    copy = export(source, behavior, form, tmp_path / f"copy.{form}")
    samples = read(copy.path)
    assert len(samples) == copy.layout.samples
    whole = read(source.path)
    for old, new in zip(source.layout.spans, copy.layout.spans, strict=True):
        theirs = whole[old.start_sample : old.start_sample + old.samples].astype(float)
        ours = samples[new.start_sample : new.start_sample + new.samples].astype(float)
        if new.kind is not SpanKind.SEGMENT:
            assert form is SoundFormat.OPUS or not ours.any()
        elif form.is_lossless:
            assert (ours == theirs).all()
        else:
            loud = old.part_samples - 400
            assert np.corrcoef(theirs[200:loud], ours[200:loud])[0, 1] > 0.5


def test_a_copy_turned_back_by_its_own_map_is_the_recording_again(tmp_path: Path) -> None:
    source = recording(tmp_path, SILENCE)
    folded = export(source, SKIP, SoundFormat.FLAC, tmp_path / "folded.flac")
    assert folded.layout.samples < source.layout.samples
    back = export(source_beside(folded.path), SILENCE, SoundFormat.WAV, tmp_path / "back.wav")
    assert back.path.read_bytes() == source.path.read_bytes()
    assert back.layout == source.layout


def test_the_map_leads_from_call_time_to_the_very_sample(tmp_path: Path) -> None:
    source = recording(tmp_path, SILENCE)
    copy = export(source, SKIP, SoundFormat.WAV, tmp_path / "copy.wav")
    known = read_map(map_path(copy.path))
    layout = layout_from_json(known["spans"], known["rate_hz"], known["behavior"])
    assert known["sha256"] == copy.sha256
    assert known["file"] == "copy.wav"
    whole, folded = read(source.path), read(copy.path)
    for span in source.layout.spans:
        for sample in range(span.start_sample, span.start_sample + span.samples, 997):
            place_us = layout.file_time_us(source.layout.call_time_us(sample))
            if span.kind is not SpanKind.SEGMENT:
                assert place_us is None
            else:
                assert place_us is not None
                assert folded[round(place_us * 8 / 1000)] == whole[sample]


def test_two_channels_stay_two(tmp_path: Path) -> None:
    source = recording(tmp_path, SILENCE)
    both = np.stack([audio(source.path), audio(source.path)[::-1]], axis=1)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, both, 8000, subtype="PCM_16")
    with SoundReader(path) as reader:
        sha256 = reader.sha256
    stereo = replace(source, path=path, sha256=sha256)
    copy = export(stereo, SILENCE, SoundFormat.FLAC, tmp_path / "stereo.flac")
    samples = read(copy.path)
    span = next(one for one in copy.layout.spans if one.kind is SpanKind.SEGMENT)
    stretch = slice(span.start_sample, span.start_sample + span.samples)
    assert (samples[stretch] == both[stretch]).all()


# ------------------------------------------------------------------ refusals


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    source = recording(tmp_path, SILENCE)
    target = tmp_path / "copy.flac"
    for path in (target, map_path(target)):
        path.write_text("mine")
        with pytest.raises(RecordingExistsError):
            export(source, SKIP, SoundFormat.FLAC, target)
        assert path.read_text() == "mine"
        path.unlink()
    assert not target.exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("damage", ["a sample changed", "cut short", "made longer", "another"])
def test_a_file_that_was_touched_is_refused(tmp_path: Path, damage: str) -> None:
    source = recording(tmp_path, SILENCE)
    data = bytearray(source.path.read_bytes())
    if damage == "a sample changed":
        data[5000] ^= 1
    elif damage == "cut short":
        del data[-2000:]
    elif damage == "made longer":
        data += bytes(2000)
    else:
        data = bytearray(closed(np.ones(8000, dtype=np.int16)))
    source.path.write_bytes(data)
    with pytest.raises(SoundChangedError, match="the ledger"):
        export(source, SKIP, SoundFormat.WAV, tmp_path / "copy.wav")
    assert not (tmp_path / "copy.wav").exists()


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a sound at all" * 10])
def test_what_is_no_sound_is_refused(tmp_path: Path, content: bytes) -> None:
    source = recording(tmp_path, SILENCE)
    source.path.write_bytes(content)
    with pytest.raises((SoundUnreadableError, SoundChangedError)):
        export(source, SKIP, SoundFormat.WAV, tmp_path / "copy.wav")


def test_a_missing_file_and_a_link_are_refused(tmp_path: Path) -> None:
    source = recording(tmp_path, SILENCE)
    moved = source.path.rename(tmp_path / "elsewhere.wav")
    with pytest.raises(SoundUnreadableError, match="missing"):
        export(source, SKIP, SoundFormat.WAV, tmp_path / "copy.wav")
    source.path.symlink_to(moved)
    with pytest.raises(SoundUnreadableError, match="symbolic link"):
        export(source, SKIP, SoundFormat.WAV, tmp_path / "copy.wav")


def test_a_file_without_a_map_beside_it_is_refused(tmp_path: Path) -> None:
    source = recording(tmp_path, SILENCE)
    with pytest.raises(SoundUnreadableError, match=r"map\.json"):
        source_beside(source.path)


def changed_spans(layout: Layout) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Maps that somebody got wrong, each in one way."""
    plain = [dict(span_to_json(span)) for span in layout.spans]

    def with_(index: int, **values: object) -> list[dict[str, object]]:
        return [{**span, **values} if n == index else dict(span) for n, span in enumerate(plain)]

    yield "a span is gone", [dict(span) for span in plain[:1] + plain[2:]]
    yield "two are swapped", [dict(span) for span in (plain[1], plain[0], *plain[2:])]
    yield "one is longer", with_(1, samples=plain[1]["samples"] + 1)  # type: ignore[operator]
    yield "one begins elsewhere", with_(1, start_sample=0)
    yield "a time is moved", with_(2, begin_us=1)
    yield "a number is a word", with_(1, samples="many")
    yield "a number is negative", with_(0, samples=-1)
    yield "a kind is unknown", with_(0, kind="music")
    yield "a number is missing", [{"kind": "gap"}]
    yield "sources are no words", with_(0, sources=[1])
    yield "a part is fuller than its span", with_(1, part_samples=10**9)


def test_a_map_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    source = recording(tmp_path, SILENCE)
    for what, spans in changed_spans(source.layout):
        known = {"sha256": source.sha256, "spans": spans, "rate_hz": 8000, "behavior": "silence"}
        with pytest.raises(SpanMapError):
            print(what, source_from(source.path, known, "a map"))


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"sha256": "x"},
        {"sha256": "x", "spans": [], "rate_hz": 8000, "behavior": "silence"},
        {"sha256": "x", "spans": "gap", "rate_hz": 8000, "behavior": "silence"},
        {"sha256": "x", "spans": [None], "rate_hz": 8000, "behavior": "silence"},
        {"sha256": "x", "spans": [None], "rate_hz": 0, "behavior": "silence"},
        {"sha256": "x", "spans": [None], "rate_hz": 8000, "behavior": "loud"},
    ],
)
def test_a_map_that_is_none_is_refused(tmp_path: Path, known: dict[str, object]) -> None:
    with pytest.raises(SpanMapError):
        source_from(tmp_path / "x.wav", known, "a map")


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"turnrec_offset_map": 99}'])
def test_a_file_that_is_no_offset_map_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.wav").write_bytes(b"")
    map_path(tmp_path / "x.wav").write_text(text)
    with pytest.raises(SpanMapError):
        source_beside(tmp_path / "x.wav")


def test_a_segment_of_another_length_than_its_times_has_no_place_in_another_layout(
    tmp_path: Path,
) -> None:
    layout = recording(tmp_path, SKIP).layout
    index, span = next((n, s) for n, s in enumerate(layout.spans) if s.kind is SpanKind.SEGMENT)
    spans = list(layout.spans)
    spans[index] = replace(span, samples=span.samples - 1)
    with pytest.raises(SpanMapError, match="call times say"):
        laid_out_as(replace(layout, spans=tuple(spans)), SILENCE)


def test_a_span_comes_back_from_json_as_it_was(tmp_path: Path) -> None:
    for span in recording(tmp_path, SILENCE).layout.spans:
        assert span_from_json(json.loads(json.dumps(span_to_json(span)))) == span


@pytest.mark.parametrize("form", list(SoundFormat))
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, form: SoundFormat) -> None:
    source = recording(tmp_path, SILENCE, segments=12)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))
    try:
        with pytest.raises((RecordingNotWrittenError, SoundUnreadableError)):
            export(source, SILENCE, form, tmp_path / f"copy.{form}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob("*copy*"))
