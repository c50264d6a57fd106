"""An export is held against its map, its recording's manifest and the ledger, in every format."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import turnrec.bots
from tests.unit.recordings.parts import Samples, closed, tone
from tests.unit.verify.house import House, build_now, copy, redact
from turnrec.core.policy import PauseBehavior
from turnrec.core.timeline import Gap, Layout, Segment, SpanKind
from turnrec.recordings.export import Source, export, map_path, source_beside
from turnrec.recordings.join import JoinPlan, join
from turnrec.recordings.sound import SoundFormat, SoundReader, hash_file
from turnrec.verify.export_sound import check_opus
from turnrec.verify.exports import load_export
from turnrec.verify.findings import Report, Status
from turnrec.verify.recording import layout_of_manifest, load

FORMS = list(SoundFormat)
VOICE = Path(turnrec.bots.__file__).parent / "audio" / "welcome.wav"
LOSSLESS = [form for form in SoundFormat if form.is_lossless]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_now(tmp_path_factory.mktemp("exports") / "honest", dual_channel=True)


@pytest.fixture
def house(honest: House, tmp_path: Path) -> House:
    return copy(honest, tmp_path / "house")


def source_of(house: House, *, stereo: bool = False) -> Source:
    """What the ledger knows of the recording, by its manifest."""
    manifest = load(house.wav).manifest
    assert manifest is not None
    assert manifest.audio is not None
    assert manifest.stereo is not None
    layout = layout_of_manifest(manifest)
    assert layout is not None
    file = house.wav.with_suffix(".stereo.wav") if stereo else house.wav
    sha256 = manifest.stereo.sha256 if stereo else manifest.audio.sha256
    return Source(house.recording, file, sha256, layout, "the ledger")


def exported(
    house: House,
    form: SoundFormat = SoundFormat.FLAC,
    behavior: PauseBehavior = PauseBehavior.SILENCE,
    *,
    stereo: bool = False,
) -> Path:
    folder = house.folder / "for-somebody"
    folder.mkdir(exist_ok=True)
    source = source_of(house, stereo=stereo)
    return export(source, behavior, form, folder / f"copy.{behavior}.{form}").path


def report_of(house: House, copy_: Path, **given: Any) -> Report:
    given = {"recordings": house.folder / "recordings", **given}
    outcome = house.verify(copy_, **given)
    (report,) = outcome.exports
    assert not outcome.recordings
    return report


def found(house: House, copy_: Path, **given: Any) -> set[str]:
    return report_of(house, copy_, **given).ids()


def change(copy_: Path, edit: Callable[[Samples], None], *, and_its_hash: bool = False) -> None:
    """Lay hands on a copy's samples, and have its map say that it is as it should be."""
    samples, rate_hz = soundfile.read(copy_, dtype="int16")
    form = soundfile.info(copy_)
    edit(samples)
    soundfile.write(copy_, samples, rate_hz, format=form.format, subtype=form.subtype)
    if and_its_hash:
        change_map(copy_, lambda it: it.update(sha256=hash_file(copy_)))


def change_map(copy_: Path, edit: Callable[[Any], object]) -> None:
    path = map_path(copy_)
    known = json.loads(path.read_text())
    edit(known)
    path.write_text(json.dumps(known))


def span(copy_: Path, kind: str, number: int = 0) -> Any:
    known = json.loads(map_path(copy_).read_text())
    spans = [one for one in known["spans"] if one["kind"] == kind and one["samples"]]
    return spans[number]


# ---------------------------------------------------------------- the honest case


@pytest.mark.parametrize("stereo", [False, True])
@pytest.mark.parametrize("behavior", list(PauseBehavior))
@pytest.mark.parametrize("form", FORMS)
def test_a_copy_that_nobody_has_touched_is_proven(
    house: House, form: SoundFormat, behavior: PauseBehavior, stereo: bool
) -> None:
    path = exported(house, form, behavior, stereo=stereo)
    report = report_of(house, path)
    assert report.status is Status.PROVEN, report.findings
    said = "\n".join(report.proven)
    assert "its map is the one that the spans of recording R1 come to" in said
    assert "for each of 2 gaps the ledger's order holds" in said
    if form.is_lossless:
        name = "R1.stereo.wav" if stereo else "R1.wav"
        whole = hash_file(house.wav.with_name(name))
        assert "turned back, it is to the byte the file of recording R1" in said
        assert whole in said
    else:
        assert any("Opus does not keep the very samples" in one for one in report.not_proven)
    assert report_of(house, map_path(path)).status is Status.PROVEN


def test_its_recordings_own_file_need_not_be_there(house: House) -> None:
    path = exported(house, behavior=PauseBehavior.SKIP)
    house.wav.unlink()
    assert report_of(house, path).status is Status.PROVEN
    # Nor its manifest, where the ledger is; and beside the copy is as good as anywhere.
    report = report_of(house, path, recordings=None)
    assert report.status is Status.PROVEN, report.findings
    assert any("that the ledger's entry" in one for one in report.proven)
    house.manifest.rename(path.with_name(house.manifest.name))
    assert report_of(house, path, recordings=None).status is Status.PROVEN


def test_a_copy_of_a_copy_is_proven_and_said_to_be_one(house: House) -> None:
    first = exported(house, behavior=PauseBehavior.SKIP)
    back = export(
        source_beside(first), PauseBehavior.SILENCE, SoundFormat.WAV, first.with_name("back.wav")
    )
    report = report_of(house, back.path)
    assert report.status is Status.PROVEN, report.findings
    assert any("a copy of copy.skip.flac" in one for one in report.not_proven)


@pytest.mark.parametrize("behavior", list(PauseBehavior))
def test_a_copy_of_a_redacted_recording_is_proven(house: House, behavior: PauseBehavior) -> None:
    cut = asyncio.run(redact(house, "0.25", "0.5", delete_original=True))
    path = exported(cut, SoundFormat.WAV, behavior)
    report = report_of(cut, path)
    assert report.status is Status.PROVEN, report.findings
    assert any("it is recording R1 with 1 stretch cut out" in one for one in report.proven)
    report = report_of(cut, path, recordings=None)
    assert report.status is Status.PROVEN, report.findings
    place = "redacted" if behavior is PauseBehavior.SILENCE else "segment"
    start = span(path, place)["start_sample"]

    def sound(samples: Samples) -> None:
        samples[start + 5] += 7

    change(path, sound, and_its_hash=True)
    assert found(cut, path) & {"export-not-silent", "export-segment"}


def test_a_folder_is_verified_with_its_exports(house: House) -> None:
    exported(house, SoundFormat.FLAC)
    exported(house, SoundFormat.OPUS, PauseBehavior.SKIP)
    outcome = house.verify(house.folder)
    assert outcome.status is Status.PROVEN, outcome.reports
    assert (len(outcome.recordings), len(outcome.exports)) == (1, 2)


def test_an_export_that_lies_beside_its_recording_is_told_from_it(house: House) -> None:
    path = house.wav.with_suffix(".flac")
    export(source_of(house), PauseBehavior.SILENCE, SoundFormat.FLAC, path)
    outcome = house.verify(house.folder)
    assert (len(outcome.recordings), len(outcome.exports)) == (1, 1)
    assert report_of(house, path).status is Status.PROVEN
    assert report_of(house, map_path(path)).status is Status.PROVEN

    def one(samples: Samples) -> None:
        samples[5000] += 1

    change(path, one)
    assert house.verify(house.wav).status is Status.PROVEN
    assert "export-hash" in found(house, path)


# ---------------------------------------------------------------- the sound


@pytest.mark.parametrize("stereo", [False, True])
@pytest.mark.parametrize("form", LOSSLESS)
def test_a_sample_changed_in_a_segment_is_found(
    house: House, form: SoundFormat, stereo: bool
) -> None:
    path = exported(house, form, PauseBehavior.SKIP, stereo=stereo)
    start = span(path, "segment", 1)["start_sample"]

    def one(samples: Samples) -> None:
        samples[start + 7] += 1

    change(path, one)
    assert {"export-hash", "export-segment"} <= found(house, path)
    change_map(path, lambda it: it.update(sha256=hash_file(path)))
    assert found(house, path) == {"export-segment"}
    assert any(
        one.sentence.startswith("segment 2 is not") for one in report_of(house, path).findings
    )
    # The ledger alone doesn't name each segment's sound; the whole file's hash is enough.
    assert found(house, path, recordings=None) == {"export-not-rebuilt"}


def test_channels_that_were_exchanged_are_found(house: House) -> None:
    path = exported(house, stereo=True)

    def swap(samples: Samples) -> None:
        samples[:] = samples[:, ::-1].copy()

    change(path, swap, and_its_hash=True)
    assert found(house, path) == {"export-not-rebuilt"}


@pytest.mark.parametrize("stereo", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_sound_put_into_a_gap_is_found(house: House, form: SoundFormat, stereo: bool) -> None:
    path = exported(house, form, stereo=stereo)
    gap = span(path, "gap", 1)
    middle = gap["start_sample"] + gap["samples"] // 2

    def speak(samples: Samples) -> None:
        sound = tone(700, 400) // (1 if form.is_lossless else 40)
        samples[middle : middle + 400] += sound if samples.ndim == 1 else sound[:, None]

    change(path, speak, and_its_hash=True)
    assert found(house, path) == {"export-not-silent"}
    (finding,) = report_of(house, path).findings
    assert finding.sentence.startswith("the gap of ask_aadhaar: sample ")


def test_segments_that_were_swapped_are_found(house: House) -> None:
    path = exported(house, SoundFormat.WAV)
    first, second = (span(path, "segment", number)["start_sample"] for number in (0, 1))

    def swap(samples: Samples) -> None:
        one = samples[first : first + 4000].copy()
        samples[first : first + 4000] = samples[second : second + 4000]
        samples[second : second + 4000] = one

    change(path, swap, and_its_hash=True)
    assert found(house, path) == {"export-segment"}


# ---------------------------------------------------------------- bad files


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: b"", {"export-unreadable"}),
        (lambda data: data[:20], {"export-unreadable"}),
        (lambda data: b"\x7fELF" * 100, {"export-unreadable"}),
        (lambda data: data[: len(data) * 2 // 3], {"export-hash", "export-length"}),
        (lambda data: data + data, {"export-hash", "export-length"}),
    ],
)
def test_a_file_that_is_not_the_export_is_named(
    house: House, form: SoundFormat, damage: Callable[[bytes], bytes], expected: set[str]
) -> None:
    path = exported(house, form)
    path.write_bytes(damage(path.read_bytes()))
    named = found(house, path)
    assert named & (expected | {"export-unreadable"})
    assert report_of(house, path).status is Status.WRONG


def test_a_file_or_a_map_that_is_gone_is_named(house: House) -> None:
    path = exported(house)
    path.unlink()
    assert found(house, map_path(path)) == {"export-missing"}
    map_path(path).unlink()
    assert load_export(path).report.ids() == {"map-missing"}


def test_another_format_under_the_maps_name_is_named(house: House) -> None:
    path = exported(house, SoundFormat.WAV)
    data = exported(house, SoundFormat.OPUS).read_bytes()
    path.write_bytes(data)
    change_map(path, lambda it: it.update(sha256=hash_file(path)))
    assert found(house, path) == {"map-differs"}
    rate_hz = 8000
    soundfile.write(path, np.zeros(100, dtype=np.int16), rate_hz, format="WAV", subtype="PCM_24")
    assert "export-unreadable" in found(house, path)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda it: it.update(sha256="0" * 64), {"export-hash"}),
        (lambda it: it.update(samples=1), {"export-length"}),
        (lambda it: it.update(channels=2), {"export-length"}),
        (lambda it: it.update(format="opus"), {"map-differs"}),
        (lambda it: it.update(behavior="skip"), {"map-differs"}),
        (lambda it: it.update(source=None), {"map-differs"}),
        (lambda it: it["source"].update(sha256="0" * 64), {"map-differs"}),
        (lambda it: it["source"].update(behavior="skip"), {"map-differs"}),
        (lambda it: it["spans"][1].update(uncertainty_us=1), {"map-differs"}),
        (lambda it: it["spans"][1].update(segment=7), {"map-differs"}),
        (lambda it: it["spans"][2].update(node="other"), {"map-differs"}),
        (lambda it: it["spans"][0].update(samples=5), {"map-unreadable"}),
        (lambda it: it["spans"].pop(), {"export-length"}),
        (lambda it: it.update(spans="all"), {"map-unreadable"}),
        (lambda it: it.update(recording="../R1"), {"map-unreadable"}),
        (lambda it: it.update(recording="R2"), {"recording-unknown", "recording-not-given"}),
        (lambda it: it.update(turnrec_offset_map=2), {"map-version"}),
        (lambda it: it.pop("turnrec_offset_map"), {"map-unreadable"}),
    ],
)
def test_a_map_that_says_otherwise_is_named(
    house: House, edit: Callable[[Any], object], expected: set[str]
) -> None:
    path = exported(house)
    change_map(path, edit)
    assert found(house, path) == expected


def test_a_gap_narrowed_in_the_map_is_found(house: House) -> None:
    path = exported(house)

    def narrow(it: Any) -> None:
        gap, after = it["spans"][2:4]
        for name in ("samples", "part_samples"):
            after[name] += 80
        gap["samples"] -= 80
        after["start_sample"] -= 80
        gap["end_us"] -= 10_000
        after["begin_us"] -= 10_000

    change_map(path, narrow)
    assert found(house, path) == {"map-differs"}


def test_without_a_manifest_and_a_ledger_nothing_is_known_of_the_recording(house: House) -> None:
    path = exported(house)
    assert found(house, path, recordings=None, ledger=None) == {"recording-not-given"}
    report = report_of(house, path, ledger=None)
    assert report.status is Status.UNPROVEN
    assert report.ids() == {"ledger-not-given"}
    assert any("turned back, it is to the byte" in one for one in report.proven)


def test_a_manifest_that_was_changed_is_found_by_its_export(house: House) -> None:
    path = exported(house)
    house.change_manifest(lambda it: it["spans"][2].update(node="other"))
    assert {"manifest-hash", "map-differs"} <= found(house, path)


@pytest.mark.parametrize("samples", [5, 2**40])
def test_a_manifest_of_absurd_lengths_is_named_and_nothing_is_made_of_it(
    house: House, samples: int
) -> None:
    path = exported(house, behavior=PauseBehavior.SKIP)
    house.change_manifest(lambda it: it["spans"][2].update(samples=samples))
    assert "spans-broken" in found(house, path)
    house.change_manifest(lambda it: it["audio"].update(samples=samples + 26_000))
    assert found(house, path) & {"spans-broken", "export-not-rebuilt"}


def test_a_redacted_recordings_own_map_is_held_against_its_manifest(house: House) -> None:
    cut = asyncio.run(redact(house, "0.25", "0.5"))
    assert cut.verify().status is Status.PROVEN
    beside = map_path(cut.wav)
    known = json.loads(beside.read_text())
    known["spans"][2]["uncertainty_us"] += 1
    beside.write_text(json.dumps(known))
    assert cut.found() == {"map-differs"}
    beside.write_text("no map")
    assert cut.found() == {"map-unreadable"}


# ---------------------------------------------------------------- what Opus leaves


def _sounds(samples: int, numbers: np.random.Generator) -> list[Samples]:
    """Noise, a square wave, tones and speech, all at full scale."""
    square = np.sign(np.sin(2 * np.pi * 300 * (np.arange(samples) + 0.5) / 8000)) * 32_767
    said = soundfile.read(VOICE, dtype="int16")[0]
    start = int(numbers.integers(0, len(said) - samples))
    speech = np.clip(4 * said[start : start + samples].astype(int), -32_768, 32_767)
    return [
        numbers.integers(-32_768, 32_767, samples).astype(np.int16),
        square.astype(np.int16),
        *(tone(hz, samples) * 2 for hz in (60, 400, 3700)),
        speech.astype(np.int16),
    ]


def _loudest(path: Path, layout: Layout) -> dict[int, int]:
    """How loud the gaps are from so many ms after their begin on, but for their last 10 ms."""
    samples = np.abs(soundfile.read(path, dtype="int16")[0].astype(int))
    found = dict.fromkeys((30, 60, 100, 200, 300), 0)
    for one in layout.spans:
        if one.kind is SpanKind.GAP:
            for after_ms in found:
                first, last = one.start_sample + 8 * after_ms, one.start_sample + one.samples - 80
                if first < last:
                    found[after_ms] = max(found[after_ms], int(samples[first:last].max()))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_what_opus_leaves_of_the_loudest_sound_is_no_sound_in_a_gap(
    tmp_path: Path, seed: int
) -> None:
    """Full scale up to the gap's very edge; an honest copy is never said to be wrong.

    `pytest -s -k leaves` prints the loudest that was left.
    """
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    at_us = opened_us = 1_700_000_000_000_000
    segments, gaps = [], []
    for number, sound in enumerate(_sounds(8000, numbers), 1):
        name = f"R1-{number:03d}.wav"
        (tmp_path / name).write_bytes(closed(sound))
        segments.append(Segment(number, name, at_us, at_us + 1_000_000))
        pause_us = rng.randrange(1_000, 1_500_000)
        gaps.append(Gap(at_us + 1_000_000, at_us + 1_000_000 + pause_us, ("turn",), "ask"))
        at_us += 1_000_000 + pause_us
    made = join(
        JoinPlan(
            "R1",
            tmp_path,
            tmp_path / "R1.wav",
            opened_us,
            at_us,
            tuple(segments),
            tuple(gaps),
            PauseBehavior.SILENCE,
        )
    )
    assert made.path is not None
    assert made.sha256 is not None
    source = Source("R1", made.path, made.sha256, made.layout, "the ledger")
    path = export(source, PauseBehavior.SILENCE, SoundFormat.OPUS, tmp_path / "copy.opus").path
    loudest = _loudest(path, made.layout)
    print(f"\nseed {seed}, the loudest in the gaps by ms after their begin: {loudest}")
    report = Report("copy.opus")
    with SoundReader(path) as reader:
        check_opus(report, made.layout, reader)
    assert report.findings == []
    assert sum(one.kind is SpanKind.GAP for one in made.layout.spans) >= 5
