"""The manifest: its published schema, its one spelling, and its file."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from tests.unit.verify.house import House, build, build_now
from turnrec.recordings.manifest import GapSpan, Instant, json_schema
from turnrec.recordings.manifest_file import (
    ManifestNotWrittenError,
    ManifestUnreadableError,
    read_manifest,
    to_bytes,
    write_manifest,
)
from turnrec.recordings.manifest_history import read_history
from turnrec.recordings.manifest_make import describe_spans


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_now(tmp_path_factory.mktemp("manifest") / "house")


def test_the_published_schema_is_the_one_that_is_checked() -> None:
    """Make it anew by writing `json_schema()` into the file."""
    published = resources.files("turnrec.recordings").joinpath("manifest.schema.json")
    assert published.read_text("utf-8") == json_schema()


def test_the_schema_forbids_what_it_does_not_name() -> None:
    schema = json.loads(json_schema())
    blocks = [schema, *schema["$defs"].values()]
    objects = [block for block in blocks if block.get("type") == "object"]
    assert len(objects) > 15
    assert all(block["additionalProperties"] is False for block in objects)


def test_a_manifest_reads_back_as_it_was_written(house: House, tmp_path: Path) -> None:
    manifest, sha256 = read_manifest(house.manifest)
    again = tmp_path / "R1.json"
    assert write_manifest(again, manifest) == sha256
    assert again.read_bytes() == house.manifest.read_bytes() == to_bytes(manifest)
    assert again.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["R1.json"]


@pytest.mark.parametrize(
    ("before", "sample", "at_us"),
    [
        ([("segment", 0, 800, 800)], 800, 100_000),
        ([("segment", 0, 800, 600)], 600, 75_000),
        ([("segment", 0, 500, 500), ("shortfall", 500, 300, 0)], 500, 62_500),
        ([("segment", 0, 0, 0), ("shortfall", 0, 800, 0)], 0, 0),
        ([("segment", 0, 500, 400), ("gap", 500, 300, 0)], 800, 100_000),
        ([("gap", 0, 800, 0)], 800, 100_000),
        ([], 0, 0),
    ],
)
def test_a_gap_says_where_the_sound_before_it_ends(
    before: list[tuple[str, int, int, int]], sample: int, at_us: int
) -> None:
    end = sum(samples for _, _, samples, _ in before)
    spans: list[dict[str, object]] = [
        {
            "kind": kind,
            "start_sample": start,
            "samples": samples,
            "begin_us": start * 125,
            "end_us": (start + samples) * 125,
            "segment": None if kind == "gap" else 1,
            "part": None if kind == "gap" else "R1-001.wav",
            "part_start_sample": 0,
            "part_samples": part_samples,
            "excess_samples": 0,
            "sources": ["turn"] if kind == "gap" else [],
            "node": None,
            "uncertainty_us": 20_000,
        }
        for kind, start, samples, part_samples in [*before, ("gap", end, 80, 0)]
    ]
    gap = describe_spans(spans, read_history((), "R1"), {})[-1]
    assert isinstance(gap, GapSpan)
    assert (gap.silent_from_sample, gap.silent_from.us) == (sample, at_us)


def test_a_manifest_that_cannot_be_written_leaves_nothing(house: House, tmp_path: Path) -> None:
    manifest, _ = read_manifest(house.manifest)
    with pytest.raises(ManifestNotWrittenError):
        write_manifest(tmp_path / "gone" / "R1.json", manifest)
    (tmp_path / "R1.json").mkdir()
    with pytest.raises(ManifestNotWrittenError):
        write_manifest(tmp_path / "R1.json", manifest)
    assert [path.name for path in tmp_path.iterdir()] == ["R1.json"]


def test_a_link_or_a_pipe_is_no_manifest(house: House, tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(house.manifest)
    with pytest.raises(ManifestUnreadableError):
        read_manifest(tmp_path / "link.json")


@pytest.mark.parametrize(
    ("us", "utc"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000_000_001, "2023-11-14T22:13:20.000001Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_an_instant_is_spelt_to_the_microsecond(us: int, utc: str) -> None:
    assert Instant.at(us).utc == utc


async def test_a_manifest_says_of_each_gap_what_its_proof_is(tmp_path: Path) -> None:
    house = await build(tmp_path / "house")
    manifest, _ = read_manifest(house.manifest)
    gaps = [span for span in manifest.spans if span.kind == "gap" and span.sources]
    assert len(gaps) == 2
    for gap in gaps:
        assert gap.node == "ask_aadhaar"
        assert gap.stop is not None
        assert gap.stop.asked is not None
        assert gap.stop.proof == "monitor gone, file closed"
        assert gap.done is not None
        assert gap.start is not None
        assert gap.start.guard_us == 83_000
        assert gap.stop.seq < gap.done.seq < gap.start.seq
        assert [one.action for one in gap.actions] == ["pause", "resume"]
        assert {one.by.actor for one in gap.actions} == {"bot:kyc"}
    assert manifest.recording.asterisk_version == "22.10.1"
    assert all(part.rebuildable for part in manifest.parts)
