"""Whatever is changed in a recording, its manifest or its ledger is found, and named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.verify.house import T0_US, House, build, build_now, copy, spans, widen
from turnrec.core.entry import EntryKind
from turnrec.core.policy import PauseBehavior
from turnrec.ledger.chain import Head
from turnrec.ledger.checkpoints import CheckpointFile, read_line, sign
from turnrec.ledger.keys import SigningKey, make_key
from turnrec.verify.findings import Status

CHAIN = {"chain-edited", "chain-unlinked", "chain-missing"}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_now(tmp_path_factory.mktemp("verify") / "honest")


@pytest.fixture
def house(honest: House, tmp_path: Path) -> House:
    return copy(honest, tmp_path / "house")


def hash_anew(house: House) -> None:
    """Have the manifest say that the file is as it should be."""
    sha256 = hashlib.sha256(house.wav.read_bytes()).hexdigest()
    house.change_manifest(lambda it: it["audio"].update(sha256=sha256))


def gap(it: Any) -> Any:
    """The first gap that somebody asked for."""
    return next(span for span in spans(it, "gap") if span["sources"])


def read(house: House) -> Any:
    return json.loads(house.manifest.read_text("utf-8"))


# ---------------------------------------------------------------- the honest case


def test_what_nobody_has_touched_is_proven(house: House) -> None:
    outcome = house.verify()
    assert outcome.status is Status.PROVEN, outcome.reports
    assert house.verify(house.manifest).status is Status.PROVEN
    assert house.verify(house.folder).status is Status.PROVEN
    assert house.verify(house.ledger).status is Status.PROVEN
    assert any("each of 2 gaps" in one for one in outcome.recordings[0].proven)


@pytest.mark.parametrize("behavior", PauseBehavior)
async def test_both_behaviors_are_proven(tmp_path: Path, behavior: PauseBehavior) -> None:
    house = await build(tmp_path / "house", behavior=behavior)
    assert house.verify().status is Status.PROVEN


async def test_a_shortfall_is_stated_and_proven_to_be_silent(tmp_path: Path) -> None:
    house = await build(tmp_path / "house", heard_share=0.5)
    outcome = house.verify()
    assert outcome.status is Status.PROVEN, outcome.recordings[0].findings
    said = [one for one in outcome.recordings[0].not_proven if "no audio arrived" in one]
    assert len(said) == 3
    house.change_sample(spans(read(house), "shortfall")[1]["start_sample"] + 10)
    assert house.found() == {"audio-hash", "shortfall-not-silent"}


async def test_parts_longer_than_their_monitors_ran_are_found(tmp_path: Path) -> None:
    house = await build(tmp_path / "house", heard_share=1.5)
    assert house.found() == {"part-too-long"}


def test_verifying_changes_nothing(house: House) -> None:
    def everything() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes())
            for path in house.folder.rglob("*")
            if path.is_file()
        }

    before = everything()
    house.verify(house.folder, parts_dir=house.folder / "spool")
    house.verify(house.ledger)
    assert everything() == before


# ---------------------------------------------------------------- the sound


def test_a_sample_changed_in_a_gap_is_found(house: House) -> None:
    house.change_sample(gap(read(house))["start_sample"] + 100, value=1)
    assert house.found() == {"audio-hash", "gap-not-silent"}


def test_a_sample_changed_outside_of_a_gap_is_found(house: House) -> None:
    house.change_sample(spans(read(house), "segment")[1]["start_sample"] + 100, value=1)
    assert house.found() == {"audio-hash", "segment-audio", "part-differs"}


def test_sound_in_a_gap_is_found_though_the_manifest_was_written_to_match(house: House) -> None:
    house.change_sample(gap(read(house))["start_sample"] + 100)
    hash_anew(house)
    assert house.found() == {"gap-not-silent", "manifest-hash", "ledger-differs"}


def test_a_gap_made_a_segment_in_the_manifest_is_found(house: House) -> None:
    """Sound was put where nothing was recorded, and the manifest calls it recorded."""
    start = gap(read(house))["start_sample"]
    house.change_sample(start + 100)

    def change(it: Any) -> None:
        index = it["spans"].index(gap(it))
        segment = {**it["spans"][index - 1]}
        for name in ("start_sample", "samples", "begin", "end"):
            segment[name] = it["spans"][index][name]
        it["spans"][index] = segment

    house.change_manifest(change)
    hash_anew(house)
    assert {"manifest-hash", "ledger-differs", "segment-audio"} <= house.found()


def test_segments_that_were_swapped_are_found(house: House) -> None:
    first, second, _ = spans(read(house), "segment")
    data = bytearray(house.wav.read_bytes())
    places = [
        slice(44 + 2 * one["start_sample"], 44 + 2 * (one["start_sample"] + one["part_samples"]))
        for one in (first, second)
    ]
    data[places[0]], data[places[1]] = data[places[1]], data[places[0]]
    house.wav.write_bytes(data)
    assert house.found() == {"audio-hash", "segment-swapped", "part-differs"}
    hash_anew(house)
    assert {"segment-swapped", "manifest-hash"} <= house.found()


def test_segments_swapped_in_the_manifest_as_well_are_found(house: House) -> None:
    test_segments_that_were_swapped_are_found(house)

    def change(it: Any) -> None:
        first, second, _ = spans(it, "segment")
        for name in ("audio_sha256", "part"):
            first[name], second[name] = second[name], first[name]

    house.change_manifest(change)
    assert house.found() == {"manifest-hash", "ledger-differs"}


def test_a_gap_widened_in_the_manifest_is_found(house: House) -> None:
    def change(it: Any) -> None:
        gap(it)["samples"] += 400

    house.change_manifest(change)
    assert {"spans-broken", "gap-not-silent", "manifest-hash", "ledger-differs"} <= house.found()


def test_a_gap_widened_at_its_neighbours_cost_is_found(house: House) -> None:
    """The spans fit each other again: only the sound, the monitor's times and the ledger tell."""

    def change(it: Any) -> None:
        widen(it, gap(it), 400)

    house.change_manifest(change)
    found = house.found()
    assert {"gap-not-silent", "segment-audio", "manifest-hash", "ledger-differs"} <= found
    assert "spans-broken" not in found


def test_a_kept_part_that_was_changed_is_found(house: House) -> None:
    parts_dir = house.folder / "spool"
    outcome = house.verify(parts_dir=parts_dir)
    assert outcome.status is Status.PROVEN
    assert "3 parts that Asterisk wrote lie there unchanged" in outcome.recordings[0].proven
    part = parts_dir / "R1-002.wav"
    whole = part.read_bytes()
    for changed in (whole[:-2], whole + b"\0\0", whole[:-2] + b"\1\0", b"", b"text"):
        part.write_bytes(changed)
        assert house.found(parts_dir=parts_dir) == {"kept-part-differs"}


# ---------------------------------------------------------------- the ledger


@pytest.mark.parametrize("kind", [EntryKind.SEGMENT_ENDED, EntryKind.ACTION_DONE])
def test_a_row_that_was_edited_is_found(house: House, kind: EntryKind) -> None:
    house.sql(f"UPDATE entries SET at_us = at_us - 1 WHERE seq = {house.seq_of(kind)}")
    assert "chain-edited" in house.found()
    assert "chain-edited" in house.found(house.ledger)


def test_a_row_that_was_edited_and_hashed_anew_is_found(house: House) -> None:
    seq = house.seq_of(EntryKind.ACTION_DONE, 1)
    house.sql(f"UPDATE entries SET actor = 'bot:other' WHERE seq = {seq}")
    house.rechain(seq)
    found = house.found()
    assert "checkpoint-head-differs" in found
    assert {"head-differs", "ledger-differs"} <= found
    assert not found & CHAIN


def test_a_row_that_was_removed_is_found(house: House) -> None:
    house.sql(f"DELETE FROM entries WHERE seq = {house.seq_of(EntryKind.SEGMENT_ENDED)}")
    assert {"chain-missing", "chain-unlinked"} <= house.found()


def test_a_row_that_was_removed_and_the_rest_closed_up_is_found(house: House) -> None:
    seq = house.seq_of(EntryKind.SEGMENT_ENDED)
    house.sql(
        f"DELETE FROM entries WHERE seq = {seq}",
        f"UPDATE entries SET seq = -seq WHERE seq > {seq}",
        "UPDATE entries SET seq = -seq - 1 WHERE seq < 0",
    )
    house.rechain(seq)
    found = house.found()
    assert {"checkpoint-head-differs", "checkpoint-head-missing", "order-overlap"} <= found
    assert not found & CHAIN


def test_a_ledger_that_was_cut_off_at_its_end_is_found(house: House) -> None:
    house.sql("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")
    assert house.found() == {"checkpoint-head-missing"}
    house.sql("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")
    assert {"checkpoint-head-missing", "recording-not-closed"} <= house.found()


def reorder(house: House) -> int:
    """Have the pause confirmed before its monitor was seen gone."""
    ended = house.seq_of(EntryKind.SEGMENT_ENDED)
    house.sql(
        f"UPDATE entries SET seq = -1 WHERE seq = {ended}",
        f"UPDATE entries SET seq = {ended} WHERE seq = {ended + 1}",
        f"UPDATE entries SET seq = {ended + 1} WHERE seq = -1",
    )
    return ended


def test_rows_that_were_reordered_are_found(house: House) -> None:
    reorder(house)
    assert {"chain-edited", "chain-unlinked", "order-turn-before-stop"} <= house.found()


def test_rows_that_were_reordered_and_hashed_anew_are_found(house: House) -> None:
    house.rechain(reorder(house))
    found = house.found()
    assert {"checkpoint-head-differs", "order-turn-before-stop", "order-time"} <= found
    assert not found & CHAIN
    # Also where there are no checkpoints, the order itself is what gives it away.
    nothing: dict[str, Any] = {"checkpoints": None, "public_key": None}
    assert "order-turn-before-stop" in house.found(**nothing)


def test_a_row_that_was_appended_is_found(house: House) -> None:
    house.append(EntryKind.RECORDING_CLOSED, hashed=False)
    found = house.found()
    assert "chain-edited" in found
    assert "order-after-close" in found


def test_a_row_that_was_appended_and_hashed_is_found_or_said_to_be_unsigned(house: House) -> None:
    house.append(EntryKind.SEGMENT_BEGAN)
    found = house.found()
    assert {"entry-after-stop", "order-after-close"} <= found
    assert not found & CHAIN


async def test_what_is_appended_to_a_running_ledger_is_said_to_be_unsigned(tmp_path: Path) -> None:
    house = await build(tmp_path / "house", stop=False)
    house.append(EntryKind.TURN_BEGUN)
    outcome = house.verify()
    assert outcome.status is Status.PROVEN
    assert outcome.ledger is not None
    (sentence,) = outcome.ledger.not_proven
    assert f"the entries from {house.count()} to {house.count()} rest on the chain" in sentence


def test_a_ledger_written_anew_as_a_whole_is_found(house: House) -> None:
    house.sql("UPDATE entries SET at_us = at_us + 1")
    house.rechain()
    found = house.found()
    assert {"checkpoint-other-ledger", "ledger-other"} <= found
    assert not found & CHAIN


def test_times_that_contradict_the_order_are_found(house: House) -> None:
    seq = house.seq_of(EntryKind.SEGMENT_BEGAN, 1)
    house.sql(
        f"UPDATE entries SET detail = replace(detail, '\"asked_us\":', '\"asked_us\":1')"
        f" WHERE seq = {seq}"
    )
    house.rechain(seq)
    assert "order-time" in house.found()


def test_a_row_that_turnrec_never_writes_is_found(house: House) -> None:
    seq = house.seq_of(EntryKind.TURN_BEGUN)
    house.sql(f"UPDATE entries SET kind = x'ff00' WHERE seq = {seq}")
    assert {"chain-edited", "entry-unreadable"} <= house.found()


# ---------------------------------------------------------------- checkpoints


def test_a_checkpoint_from_another_key_is_found(house: House) -> None:
    other = house.folder / "other.key"
    make_key(other)
    lines = house.checkpoints.read_text().splitlines()
    honest = read_line(lines[-1])
    forged = sign(SigningKey.read(other), honest.ledger_id, honest.head, honest.at_us)
    CheckpointFile(house.checkpoints).append(forged)
    assert house.found() == {"checkpoint-foreign-key"}
    # And one that borrows the honest key's name.
    borrowed = forged.line.replace(forged.key_id, honest.key_id)
    house.checkpoints.write_text("\n".join([*lines, borrowed]) + "\n")
    assert house.found() == {"checkpoint-signature"}


def test_with_another_public_key_nothing_is_signed(house: House) -> None:
    other = house.folder / "other.key"
    make_key(other)
    found = house.found(public_key=SigningKey.read(other).public)
    assert found == {"checkpoint-foreign-key", "not-signed-yet"}


def test_a_checkpoint_that_was_edited_is_found(house: House) -> None:
    text = house.checkpoints.read_text()
    house.checkpoints.write_text(text.replace('"at_us":17', '"at_us":18', 1))
    assert house.found() == {"checkpoint-signature"}


def test_a_checkpoint_of_a_head_that_the_ledger_lost_is_found(house: House) -> None:
    key = SigningKey.read(house.folder / "signing.key")
    honest = read_line(house.checkpoints.read_text().splitlines()[0])
    later = sign(key, honest.ledger_id, Head(1000, "a" * 64), T0_US)
    CheckpointFile(house.checkpoints).append(later)
    assert house.found() == {"checkpoint-head-missing"}


@pytest.mark.parametrize("line", ["{", "[]", '{"v":1}', "null", "\udcff", "[" * 3000])
def test_a_line_that_is_no_checkpoint_is_found(house: House, line: str) -> None:
    with house.checkpoints.open("ab") as file:
        file.write(line.encode("utf-8", "surrogateescape") + b"\n")
    assert house.found() == {"checkpoint-unreadable"}


def test_checkpoints_written_twice_say_nothing_new(house: House) -> None:
    house.checkpoints.write_text(house.checkpoints.read_text() * 2)
    assert house.verify().status is Status.PROVEN


def test_with_a_key_and_without_checkpoints_it_cannot_be_checked(house: House) -> None:
    house.checkpoints.write_bytes(b"")
    assert house.found() == {"checkpoints-missing", "not-signed-yet"}
    assert house.verify().status is Status.UNPROVEN
    house.checkpoints.unlink()
    assert house.verify(checkpoints=None).status is Status.UNPROVEN


def test_without_a_key_the_words_say_that_nothing_is_signed(house: House) -> None:
    outcome = house.verify(public_key=None)
    assert outcome.status is Status.PROVEN
    assert outcome.ledger is not None
    assert any("nobody has checked its signature" in one for one in outcome.ledger.not_proven)
