"""The two-channel file is the ledger's, adds up to the mix, and is silent wherever the mix is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.verify.house import House, build_now, copy, redact, spans
from turnrec.verify.findings import Status


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_now(tmp_path_factory.mktemp("stereo") / "honest", dual_channel=True)


@pytest.fixture
def house(honest: House, tmp_path: Path) -> House:
    return copy(honest, tmp_path / "house")


def stereo(house: House) -> Path:
    return house.wav.with_suffix(".stereo.wav")


def read(house: House) -> Any:
    return json.loads(house.manifest.read_text("utf-8"))


def sentences(house: House) -> list[str]:
    return [finding.sentence for one in house.verify().reports for finding in one.findings]


def test_a_two_channel_file_that_nobody_has_touched_is_proven(house: House) -> None:
    outcome = house.verify()
    assert outcome.status is Status.PROVEN, outcome.reports
    assert any("the two, added, are the mix" in one for one in outcome.recordings[0].proven)
    assert house.verify(stereo(house)).status is Status.PROVEN
    assert len(house.verify(house.folder).recordings) == 1


@pytest.mark.parametrize(("side", "name"), [(0, "left"), (1, "right")])
def test_sound_put_into_a_gap_of_one_channel_is_found(house: House, side: int, name: str) -> None:
    gap = next(one for one in spans(read(house), "gap") if one["sources"])
    sample = gap["start_sample"] + 50
    house.change_sample(2 * sample + side, value=1, file=stereo(house))
    assert house.found() == {"stereo-hash", "stereo-not-silent"}
    assert any(f"sample {sample} sounds in the {name} channel" in one for one in sentences(house))


@pytest.mark.parametrize("side", [0, 1])
def test_a_sample_changed_in_one_channel_is_found_at_its_place(house: House, side: int) -> None:
    sample = spans(read(house), "segment")[1]["start_sample"] + 77
    house.change_sample(2 * sample + side, value=1, file=stereo(house))
    assert house.found() == {"stereo-hash", "stereo-differs"}
    assert any(one.startswith("segment 2: at sample") for one in sentences(house))
    assert any(f"at sample {sample} the two channels" in one for one in sentences(house))


def test_sound_moved_from_one_channel_to_the_other_is_found_by_the_hash(house: House) -> None:
    data = bytearray(stereo(house).read_bytes())
    place = 44 + 4 * (spans(read(house), "segment")[1]["start_sample"] + 77)
    data[place : place + 4] = data[place + 2 : place + 4] + data[place : place + 2]
    stereo(house).write_bytes(data)
    assert house.found() == {"stereo-hash"}


def test_a_two_channel_file_that_is_gone_cut_or_foreign_is_named(house: House) -> None:
    whole = stereo(house).read_bytes()
    for data, found in (
        (whole[:-4000], {"stereo-hash", "stereo-length"}),
        (house.wav.read_bytes(), {"stereo-hash", "stereo-length"}),
        (b"", {"stereo-unreadable"}),
        (b"no sound", {"stereo-unreadable"}),
    ):
        stereo(house).write_bytes(data)
        assert house.found() == found
    stereo(house).unlink()
    assert house.found() == {"stereo-missing"}


def test_a_manifest_that_names_another_or_none_is_found(house: House) -> None:
    house.change_manifest(lambda it: it["stereo"].update(sha256="0" * 64))
    assert house.found() == {"stereo-hash", "manifest-hash", "ledger-differs"}
    house.change_manifest(lambda it: it.pop("stereo"))
    assert house.found() == {"stereo-unknown", "manifest-hash", "ledger-differs"}
    stereo(house).unlink()
    assert house.found() == {"manifest-hash", "ledger-differs"}


def test_a_redacted_one_has_its_cut_in_both_channels(house: House) -> None:
    cut = asyncio.run(redact(house, "0.25", "0.5", delete_original=True))
    assert read(cut)["stereo"]["file"] == "R1x.stereo.wav"
    assert cut.verify().status is Status.PROVEN, cut.verify().reports
    cut.change_sample(2 * 2500 + 1, value=1, file=stereo(cut))
    assert cut.found() == {"stereo-hash", "stereo-not-silent"}
    assert any(one.startswith("the cut in segment 1: sample 2500") for one in sentences(cut))
