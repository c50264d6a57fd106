"""A redacted recording is proven by the one that ran, and whatever is changed in it is found."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.verify.house import RECORDING, House, build, build_now, copy, redact, spans, widen
from turnrec.core.entry import EntryKind
from turnrec.core.policy import PauseBehavior
from turnrec.recordings.manifest import utc
from turnrec.verify.findings import Report, Status

CUT_S = ("0.25", "0.5")
"""In the file: within the first segment, which begins at 0.085 s."""


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build_now(tmp_path_factory.mktemp("redacted") / "honest")
    return asyncio.run(redact(house, *CUT_S))


@pytest.fixture
def house(honest: House, tmp_path: Path) -> House:
    return copy(honest, tmp_path / "house")


def report_of(house: House, **given: Any) -> Report:
    outcome = house.verify(**given)
    (report,) = outcome.recordings
    assert outcome.ledger is not None
    assert outcome.ledger.status is Status.PROVEN, outcome.ledger.findings
    return report


def original(house: House) -> Path:
    return house.wav.with_name(f"{RECORDING}.wav")


def read(house: House) -> Any:
    return json.loads(house.manifest.read_text("utf-8"))


def cut(it: Any) -> Any:
    return next(span for span in it["spans"] if span["kind"] == "redacted")


def hash_anew(house: House) -> None:
    sha256 = hashlib.sha256(house.wav.read_bytes()).hexdigest()
    house.change_manifest(lambda it: it["audio"].update(sha256=sha256))


# ---------------------------------------------------------------- the honest case


def test_a_redacted_recording_is_proven_by_the_one_that_ran(house: House) -> None:
    report = report_of(house)
    assert report.status is Status.PROVEN, report.findings
    said = "\n".join(report.proven)
    assert "it is recording R1 with 1 stretch cut out" in said
    assert "(cli:anna) and why (a number)" in said
    assert "cut out: 0.250 s of segment 1" in said
    assert "there was 0.250 s of recorded sound there" in said
    assert "1 cut of the file holds digital silence alone" in said
    assert "outside of its cuts the file is, sample by sample, R1.wav" in said
    assert "of what was cut out, 1 of 1 stretch can be heard there" in said
    assert "for each of 2 gaps of R1, which ran, the ledger's order holds" in said
    assert house.verify(house.folder).status is Status.PROVEN
    assert len(house.verify(house.folder).recordings) == 2
    assert house.verify(house.ledger).status is Status.PROVEN


def test_its_manifest_names_the_original_and_the_cut(house: House) -> None:
    manifest = read(house)
    sha256 = hashlib.sha256(original(house).read_bytes()).hexdigest()
    assert manifest["redacts"] == {"recording": "R1", "sha256": sha256}
    assert cut(manifest)["samples"] == 2000
    assert cut(manifest)["segment"] == 1
    assert all(span["stop"] for span in spans(manifest, "gap") if span["sources"])


@pytest.mark.parametrize("behavior", PauseBehavior)
async def test_where_the_original_is_deleted_it_says_what_rests_on_the_ledger(
    tmp_path: Path, behavior: PauseBehavior
) -> None:
    house = await build(tmp_path / "house", behavior=behavior)
    house = await redact(house, *CUT_S, delete_original=True)
    assert not original(house).exists()
    report = report_of(house)
    assert report.status is Status.PROVEN, report.findings
    (rest,) = [one for one in report.not_proven if "rests on the ledger alone" in one]
    assert "what is left of segment 1 is its sound" in rest
    assert "R1 was deleted afterwards (entry " in rest
    assert ": a number)" in rest
    assert any("2 of them are, to the byte, the part" in one for one in report.proven)
    assert house.verify(house.ledger).status is Status.PROVEN


def test_where_the_original_is_elsewhere_it_says_so(house: House) -> None:
    original(house).unlink()
    original(house).with_suffix(".json").unlink()
    report = report_of(house)
    assert report.status is Status.PROVEN
    assert any("R1 is not here to be compared" in one for one in report.not_proven)
    # With the parts that Asterisk wrote, nothing rests on the ledger alone.
    report = report_of(house, parts_dir=house.folder / "spool")
    assert any("2 pieces of segments are, sample by sample" in one for one in report.proven)
    assert not any("ledger alone" in one for one in report.not_proven)


async def test_what_was_cut_twice_is_followed_to_the_first(tmp_path: Path) -> None:
    house = await build(tmp_path / "house")
    house = await redact(house, *CUT_S, delete_original=True)
    # Over a gap, and into the segment that is cut already.
    house = await redact(house, "0.45", "2.0", delete_original=True, why="more of it")
    report = report_of(house)
    assert report.status is Status.PROVEN, report.findings
    told = [one for one in report.proven if one.startswith("it is recording")]
    assert [one.split()[3] for one in told] == ["R1x", "R1"]
    assert "with 2 stretches cut out" in told[0]
    (rest,) = [one for one in report.not_proven if "rests on the ledger alone" in one]
    assert "R1x was deleted afterwards" in rest
    assert "R1 was deleted afterwards" in rest


def test_a_segment_that_no_part_can_be_made_of_is_held_against_the_older_manifest(
    house: House,
) -> None:
    original(house).unlink()

    def change(it: Any) -> None:
        for part in it["parts"]:
            part["rebuildable"] = False

    house.change_manifest(change)
    report = report_of(house)
    assert report.ids() == {"manifest-hash"}
    assert any(one.startswith("2 segments that nothing was cut out of") for one in report.proven)
    house.change_manifest(lambda it: spans(it, "segment")[-1].update(audio_sha256="0" * 64))
    assert {"piece-differs", "segment-audio"} <= report_of(house).ids()


# ---------------------------------------------------------------- the file and its manifest


def test_a_cut_widened_in_the_manifest_is_found(house: House) -> None:
    def change(it: Any) -> None:
        widen(it, cut(it), 400)

    house.change_manifest(change)
    found = house.found()
    assert {"redacted-not-silent", "segment-audio", "manifest-hash", "ledger-differs"} <= found


def test_a_cut_moved_in_the_manifest_is_found(house: House) -> None:
    def change(it: Any) -> None:
        index = it["spans"].index(cut(it))
        before, moved, after = it["spans"][index - 1 : index + 2]
        before["samples"] += 800
        before["part_samples"] += 800
        moved["start_sample"] += 800
        after["start_sample"] += 800
        after["samples"] -= 800
        after["part_samples"] -= 800
        after["part_start_sample"] += 800
        for edge in ((before, "end"), (moved, "begin")), ((moved, "end"), (after, "begin")):
            us = edge[0][0][edge[0][1]]["us"] + 100_000
            for span, name in edge:
                span[name] = {"us": us, "utc": utc(us)}

    house.change_manifest(change)
    found = house.found()
    assert {"redacted-not-silent", "segment-audio", "manifest-hash", "ledger-differs"} <= found
    assert "spans-broken" not in found


def test_a_cut_that_the_manifest_hides_is_found(house: House) -> None:
    house.change_manifest(lambda it: it.pop("redacts"))
    assert house.found() == {"manifest-hash", "ledger-differs"}


def test_sound_left_in_a_cut_is_found(house: House) -> None:
    house.change_sample(cut(read(house))["start_sample"] + 1999, value=1)
    assert house.found() == {"audio-hash", "redacted-not-silent"}
    hash_anew(house)
    assert house.found() == {
        "redacted-not-silent",
        "manifest-hash",
        "ledger-differs",
        "map-differs",
    }


@pytest.mark.parametrize("segment", [1, 3])
def test_one_sample_changed_outside_of_a_cut_is_found(house: House, segment: int) -> None:
    span = next(one for one in spans(read(house), "segment") if one["segment"] == segment)
    house.change_sample(span["start_sample"] + 100, value=1)
    found = house.found()
    assert {"audio-hash", "segment-audio", "piece-differs"} <= found


def test_one_sample_changed_and_all_written_to_match_is_found(house: House) -> None:
    """Manifest and ledger are written anew; only what it was made of still tells."""
    span = spans(read(house), "segment")[0]
    house.change_sample(span["start_sample"] + 100, value=1)
    data = house.wav.read_bytes()
    first = 44 + 2 * span["start_sample"]
    sound = hashlib.sha256(data[first : first + 2 * span["part_samples"]]).hexdigest()
    house.change_manifest(lambda it: spans(it, "segment")[0].update(audio_sha256=sound))
    old = read(house)["audio"]["sha256"]
    hash_anew(house)
    manifest_sha256 = hashlib.sha256(house.manifest.read_bytes()).hexdigest()
    closed = house.seq_of(EntryKind.RECORDING_CLOSED, 1)
    named = json.loads(_detail(house, closed))["manifest_sha256"]
    new = read(house)["audio"]["sha256"]
    beside = house.wav.with_name("R1x.wav.map.json")
    beside.write_text(beside.read_text().replace(old, new))
    house.sql(
        f"UPDATE entries SET detail = replace(detail, '{named}', '{manifest_sha256}')",
        f"UPDATE entries SET detail = replace(detail, '{old}', '{new}')",
    )
    house.rechain()
    assert house.found() == {"piece-differs", "checkpoint-head-differs", "not-signed-yet"}


def _detail(house: House, seq: int) -> str:
    connection = sqlite3.connect(house.ledger)
    (detail,) = connection.execute("SELECT detail FROM entries WHERE seq = ?", (seq,)).fetchone()
    connection.close()
    return str(detail)


def test_an_original_that_was_exchanged_is_found(house: House) -> None:
    house.change_sample(12_000, file=original(house))
    assert house.found() == {"original-differs"}


# ---------------------------------------------------------------- the ledger


def edit(house: House, kind: EntryKind, nth: int, change: Callable[[Any], None]) -> None:
    """Write one entry's detail anew, and all hashes after it."""
    seq = house.seq_of(kind, nth)
    detail = json.loads(_detail(house, seq))
    change(detail)
    text = json.dumps(detail, sort_keys=True, separators=(",", ":")).replace("'", "''")
    house.sql(f"UPDATE entries SET detail = '{text}' WHERE seq = {seq}")
    house.rechain(seq)


def test_a_missing_entry_of_the_redaction_is_found(house: House) -> None:
    seq = house.seq_of(EntryKind.REDACTED)
    house.sql(f"DELETE FROM entries WHERE seq = {seq}")
    assert {"redaction-missing", "chain-missing"} <= house.found()
    assert {"redaction-missing", "chain-missing"} <= house.found(house.ledger)


def test_a_redaction_that_became_another_entry_is_found(house: House) -> None:
    seq = house.seq_of(EntryKind.REDACTED)
    house.sql(f"UPDATE entries SET kind = 'legal_hold' WHERE seq = {seq}")
    house.rechain(seq)
    found = house.found()
    assert {"redaction-missing", "checkpoint-head-differs"} <= found
    assert "redaction-missing" in house.found(house.ledger)


def _other_times(it: Any) -> None:
    it["cuts"][0]["begin_us"] += 1


def _wider(it: Any) -> None:
    it["cuts"][0]["samples"] += 8
    it["cuts"][0]["end_us"] += 1000


def _moved(it: Any) -> None:
    it["cuts"][0]["start_sample"] += 8
    it["cuts"][0]["begin_us"] += 1000
    it["cuts"][0]["end_us"] += 1000


def _into_a_gap(it: Any) -> None:
    it["cuts"][0]["start_sample"] = 9500


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.update(old_sha256="0" * 64),
        lambda it: it.update(new_sha256="0" * 64),
        lambda it: it.update(reason=" "),
        lambda it: it.pop("reason"),
        lambda it: it.update(cuts=[]),
        lambda it: it["cuts"].append({**it["cuts"][0], "start_sample": 1000}),
        _other_times,
        _wider,
        _moved,
        _into_a_gap,
    ],
)
def test_an_entry_of_the_redaction_that_says_otherwise_is_found(
    house: House, change: Callable[[Any], None]
) -> None:
    edit(house, EntryKind.REDACTED, 0, change)
    assert {"redaction-differs", "checkpoint-head-differs"} <= house.found()
    assert "redaction-differs" in house.found(house.ledger)


@pytest.mark.parametrize("cuts", [None, "all", [{}], [{"start_sample": "a"}], [None]])
def test_cuts_that_turnrec_never_writes_are_found(house: House, cuts: Any) -> None:
    edit(house, EntryKind.REDACTED, 0, lambda it: it.update(cuts=cuts))
    assert "entry-unreadable" in house.found()


def test_a_copy_that_is_said_to_be_of_itself_or_of_none_is_found(house: House) -> None:
    edit(house, EntryKind.RECORDING_CLOSED, 1, lambda it: it.update(redacts="R1x"))
    assert "entry-unreadable" in house.found()
    edit(house, EntryKind.RECORDING_CLOSED, 1, lambda it: it.update(redacts="R9"))
    assert "redaction-missing" in house.found()


def test_an_order_that_the_original_breaks_is_found_in_its_copy(house: House) -> None:
    seq = house.seq_of(EntryKind.SEGMENT_ENDED)
    house.sql(f"UPDATE entries SET kind = 'turn_begun' WHERE seq = {seq}")
    house.rechain(seq)
    assert "order-turn-before-stop" in house.found()
