"""What fuzzing has found and what was mended: each by itself, so that it stays mended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.verify.house import House, build_now
from turnrec.core.entry import Entry, EntryKind
from turnrec.recordings.manifest_history import Numbered, read_history
from turnrec.recordings.spans import SpanMapError, layout_from_json
from turnrec.recordings.transcript_file import TranscriptFileError, read
from turnrec.verify.cli import as_page
from turnrec.verify.entries import method_of

GAP = {"kind": "gap", "start_sample": 0, "samples": 1, "begin_us": 0, "end_us": 125}
HEAD = {"kind": "transcript", "version": 1, "recording": "R", "call": "C", "opened_us": 0}
SAID = {"kind": "utterance", "speaker": "caller", "begin_us": 0, "end_us": 1, "cut": False}


@pytest.mark.parametrize("behavior", [[], {}, None, 1, "both"])
def test_a_layout_of_no_behavior_is_none(behavior: Any) -> None:
    with pytest.raises(SpanMapError, match="behavior"):
        layout_from_json([GAP], 8000, behavior)


@pytest.mark.parametrize("change", [{"end_us": 10**18}, {"samples": 2**33}, {"begin_us": True}])
def test_a_span_beyond_all_time_and_sound_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(SpanMapError):
        layout_from_json([{**GAP, **change}], 8000, "silence")


@pytest.mark.parametrize(
    "change",
    [
        {"text": "x", "words": [["x", 1e999, 1]]},
        {"text": "x", "words": [["x", 0.5, 1]]},
        {"text": "\ud800", "words": []},
        {"text": "x", "words": [], "begin_us": 2**63},
        {"text": "x", "words": [], "begin_us": -1},
    ],
)
def test_an_utterance_that_makes_no_sense_is_left_out(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "R.transcript.jsonl"
    good = {**SAID, "text": "hello", "words": []}
    path.write_text("\n".join(map(json.dumps, (HEAD, {**SAID, **change}, good))), "utf-8")
    found = read(path)
    assert found is not None
    assert [one.text for one in found.utterances] == ["hello"]


def test_a_transcript_whose_end_has_no_behavior_is_named(tmp_path: Path) -> None:
    path = tmp_path / "R.transcript.jsonl"
    end = {"kind": "closed", "dropped": 0, "rate_hz": 8000, "behavior": [], "spans": [GAP]}
    path.write_text("\n".join(map(json.dumps, (HEAD, end))), "utf-8")
    with pytest.raises(TranscriptFileError):
        read(path)


@pytest.mark.parametrize("word", [[], {}, None, "x"])
def test_a_party_or_a_method_of_no_kind_is_unknown(word: Any) -> None:
    came = Entry(kind=EntryKind.PARTY_CAME, at_us=1, detail={"parties": [{"party": word}]})
    (party,) = read_history([Numbered(1, came)], "R").parties
    assert party.party.value == "unknown"
    closed = Entry(kind=EntryKind.RECORDING_CLOSED, at_us=1, detail={"method": word})
    assert method_of(Numbered(1, closed)).value == "segment"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_now(tmp_path_factory.mktemp("mended") / "house")


@pytest.fixture
def changed(house: House) -> Any:
    before = house.manifest.read_bytes()
    yield house
    house.manifest.write_bytes(before)


def test_a_manifest_writes_nothing_to_the_terminal_of_who_checks_it(changed: House) -> None:
    changed.change_manifest(
        lambda it: it["spans"][0].update(kind="\x1b]0;x\x07\u202e" + "y" * 9_000)
    )
    page = as_page(changed.verify())
    assert "manifest-schema" in page
    assert all(one.isprintable() for one in page.replace("\n", ""))
    assert max(map(len, page.splitlines())) < 2_100


@pytest.mark.parametrize("name", ["../spool/R1-001.wav", "/etc/passwd", "..", "/", "a\0b"])
def test_a_manifest_leads_to_no_other_folder(changed: House, name: str) -> None:
    changed.change_manifest(lambda it: it["audio"].update(file=name))
    changed.change_manifest(lambda it: it["parts"][0].update(name=name))
    found = changed.found(parts_dir=changed.folder / "spool")
    assert found & {"audio-missing", "audio-foreign"}
    assert "audio-hash" not in found
