"""Whatever lies where a recording should, `verify` says what is wrong with it, and never breaks."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.nasty import fuzzed, mangled, misfit, spelt
from tests.unit.verify.house import House, build_now, copy
from turnrec.core.policy import PauseBehavior
from turnrec.recordings.export import export, map_path, source_from
from turnrec.recordings.manifest_file import canonical
from turnrec.recordings.sound import SoundFormat
from turnrec.verify.cli import as_document, as_page
from turnrec.verify.run import Outcome

MAX_LETTERS = 200_000
"""Of a page about one recording, whatever somebody wrote into it."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_now(tmp_path_factory.mktemp("fuzz") / "house", dual_channel=True)


@pytest.fixture(scope="module")
def exported(house: House) -> Path:
    folder = house.folder / "exports"
    folder.mkdir()
    with sqlite3.connect(house.ledger) as connection:
        query = "SELECT detail FROM entries WHERE kind = 'recording_closed'"
        ((detail,),) = connection.execute(query).fetchall()
    connection.close()
    known = {**json.loads(detail), "recording": house.recording}
    source = source_from(house.wav, known, "the ledger")
    export(source, PauseBehavior.SKIP, SoundFormat.FLAC, folder / "copy.flac")
    return folder / "copy.flac"


def is_said(outcome: Outcome) -> None:
    """It comes to a page and a document that a terminal and a program can take."""
    page = as_page(outcome)
    assert len(page) < MAX_LETTERS
    page.encode()
    assert "\x1b" not in page
    json.loads(as_document(outcome))


def test_any_manifest_is_judged(house: House) -> None:
    good = json.loads(house.manifest.read_bytes())
    before = house.manifest.read_bytes()

    @fuzzed(60)
    @given(misfit(good), st.booleans())
    def fuzz(document: Any, is_canonical: bool) -> None:
        try:
            data = canonical(document) if is_canonical else spelt(document)
        except ValueError:  # what no spelling of ours has
            data = spelt(document)
        house.manifest.write_bytes(data)
        is_said(house.verify(parts_dir=house.folder / "spool"))

    try:
        fuzz()
    finally:
        house.manifest.write_bytes(before)


def test_any_map_of_an_export_is_judged(house: House, exported: Path) -> None:
    beside = map_path(exported)
    before = beside.read_bytes()

    @fuzzed(60)
    @given(misfit(json.loads(before)).map(spelt) | mangled([before]))
    def fuzz(data: bytes) -> None:
        beside.write_bytes(data)
        is_said(house.verify(exported, recordings=house.folder / "recordings"))

    try:
        fuzz()
    finally:
        beside.write_bytes(before)


@pytest.mark.parametrize(
    "kind", ["recording_closed", "segment_began", "action_asked", "call_started"]
)
def test_any_entry_of_a_ledger_that_was_written_anew_is_judged(
    house: House, tmp_path: Path, kind: str
) -> None:
    mine = copy(house, tmp_path / "house")
    connection = sqlite3.connect(mine.ledger)
    for trigger in ("entries_in_order", "entries_no_update", "entries_no_delete"):
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    query = "SELECT seq, detail FROM entries WHERE kind = ? ORDER BY seq LIMIT 1"
    seq, detail = connection.execute(query, (kind,)).fetchone()

    @fuzzed(30)
    @given(misfit({**json.loads(detail), "parties": [{"party": "agent", "uniqueid": "1.1"}]}))
    def fuzz(document: Any) -> None:
        connection.execute(
            "UPDATE entries SET detail = ? WHERE seq = ?", (spelt(document).decode(), seq)
        )
        connection.commit()
        is_said(mine.verify())
        is_said(mine.verify(mine.ledger))

    try:
        fuzz()
    finally:
        connection.close()


COLUMNS = (
    "at_us",
    "kind",
    "call_id",
    "uniqueid",
    "recording_id",
    "source",
    "actor",
    "origin",
    "action",
    "node",
    "turn",
    "state",
    "holds",
    "result",
    "prev_hash",
    "hash",
    "detail",
)


def test_any_column_of_a_ledger_is_judged(house: House, tmp_path: Path) -> None:
    mine = copy(house, tmp_path / "house")
    pristine = mine.ledger.read_bytes()
    count = mine.count()
    words = st.sampled_from(
        (None, -1, 0, 2**62, 1.5, "", "x", "{}", "[]", "null", "turn,turn", b"\xff")
    )

    @fuzzed(40)
    @given(st.integers(1, count), st.sampled_from(COLUMNS), words)
    def fuzz(seq: int, column: str, value: Any) -> None:
        mine.ledger.write_bytes(pristine)
        connection = sqlite3.connect(mine.ledger)
        for trigger in ("entries_in_order", "entries_no_update", "entries_no_delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        try:
            connection.execute(f"UPDATE entries SET {column} = ? WHERE seq = ?", (value, seq))
            connection.commit()
        except sqlite3.IntegrityError:
            return
        finally:
            connection.close()
        is_said(mine.verify())
        is_said(mine.verify(mine.ledger))

    fuzz()


def test_any_bytes_of_a_database_are_judged(house: House, tmp_path: Path) -> None:
    mine = copy(house, tmp_path / "house")
    pristine = mine.ledger.read_bytes()

    @fuzzed(30)
    @given(mangled([pristine]))
    def fuzz(data: bytes) -> None:
        mine.ledger.write_bytes(data)
        is_said(mine.verify())

    fuzz()


def test_any_checkpoints_are_judged(house: House) -> None:
    before = house.checkpoints.read_bytes()
    line = json.loads(before.splitlines()[0])

    @fuzzed(60)
    @given(misfit(line).map(spelt) | mangled([before]), st.booleans())
    def fuzz(data: bytes, has_key: bool) -> None:
        house.checkpoints.write_bytes(before + data)
        is_said(house.verify() if has_key else house.verify(public_key=None))

    try:
        fuzz()
    finally:
        house.checkpoints.write_bytes(before)


def test_any_sound_is_judged(house: House, exported: Path) -> None:
    before, coded = house.wav.read_bytes(), exported.read_bytes()
    stereo = house.wav.with_suffix(".stereo.wav")
    both = stereo.read_bytes()
    tokens = (b"RIFF", b"fmt ", b"data", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80", b"\2\0")

    @fuzzed(60)
    @given(
        mangled([before[:200], before], tokens),
        mangled([coded], tokens),
        mangled([both[:200]], tokens),
    )
    def fuzz(mix: bytes, copied: bytes, sides: bytes) -> None:
        house.wav.write_bytes(mix)
        exported.write_bytes(copied)
        stereo.write_bytes(sides)
        is_said(house.verify())
        is_said(house.verify(exported, recordings=house.folder / "recordings"))

    try:
        fuzz()
    finally:
        house.wav.write_bytes(before)
        exported.write_bytes(coded)
        stereo.write_bytes(both)
