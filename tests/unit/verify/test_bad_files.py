"""Truncated, doubled, foreign and empty files, and manifests of other versions: each is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.verify.house import House, build, build_now, copy
from turnrec.ledger.schema import SCHEMA_VERSION
from turnrec.verify.findings import FINDINGS, Report, Status
from turnrec.verify.run import NothingToVerifyError, verify

DOC = Path(__file__).parents[3] / "docs" / "manifest.md"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_now(tmp_path_factory.mktemp("verify") / "honest")


@pytest.fixture
def house(honest: House, tmp_path: Path) -> House:
    return copy(honest, tmp_path / "house")


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda data: b"", "audio-empty"),
        (lambda data: data[:30], "audio-empty"),
        (lambda data: data[:-1000], "audio-truncated"),
        (lambda data: data + data, "audio-hash"),
        (lambda data: data[:44] + data[44:] * 2, "audio-hash"),
        (lambda data: b"fLaC" + data[4:], "audio-foreign"),
        (lambda data: b"\x7fELF" * 100, "audio-foreign"),
    ],
)
def test_a_file_that_is_not_the_recording_is_named(
    house: House, change: Callable[[bytes], bytes], finding: str
) -> None:
    house.wav.write_bytes(change(house.wav.read_bytes()))
    assert finding in house.found()
    assert house.verify().status is Status.WRONG


def test_a_file_that_is_gone_is_named(house: House) -> None:
    house.wav.unlink()
    assert house.found() == {"audio-missing"}


def test_a_link_in_a_files_place_is_not_followed(house: House) -> None:
    moved = house.folder / "elsewhere.wav"
    house.wav.rename(moved)
    house.wav.symlink_to(moved)
    assert house.found() == {"audio-foreign"}


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda data: b"", "manifest-unreadable"),
        (lambda data: b"\n", "manifest-unreadable"),
        (lambda data: data[:-200], "manifest-unreadable"),
        (lambda data: data + data, "manifest-unreadable"),
        (lambda data: b"\xff" + data, "manifest-unreadable"),
        (lambda data: b"[" * 200_000, "manifest-unreadable"),
        (lambda data: b'{"a":1}\n', "manifest-foreign"),
        (lambda data: b"[]\n", "manifest-foreign"),
        (
            lambda data: data.replace(b'"schema_version":1', b'"schema_version":2'),
            "manifest-version",
        ),
        (
            lambda data: data.replace(b'"schema_version":1', b'"schema_version":0'),
            "manifest-version",
        ),
        (
            lambda data: data.replace(b'"schema_version":1', b'"schema_version":true'),
            "manifest-version",
        ),
        (lambda data: data.replace(b'"kind":"gap"', b'"kind":"song"', 1), "manifest-schema"),
        (lambda data: data.replace(b'"bot":', b'"boot":', 1), "manifest-schema"),
        (lambda data: data.replace(b'"seq":24', b'"seq":"24"', 1), "manifest-schema"),
        (lambda data: data.replace(b'Z"', b'+"', 1), "manifest-schema"),
        (lambda data: data.replace(b":20.", b":21.", 1), "manifest-schema"),
        (lambda data: data.rstrip(b"\n"), "manifest-not-canonical"),
        (lambda data: data.replace(b",", b", ", 1), "manifest-not-canonical"),
        (lambda data: b'{"audio":null,' + data[1:], "manifest-not-canonical"),
    ],
)
def test_a_manifest_that_is_none_is_named(
    house: House, change: Callable[[bytes], bytes], finding: str
) -> None:
    before = house.manifest.read_bytes()
    house.manifest.write_bytes(change(before))
    assert house.manifest.read_bytes() != before
    # The ledger names this manifest by its hash: whatever is there now is not it.
    assert house.found() == {finding, "manifest-hash"}
    assert house.verify().status is Status.WRONG


@pytest.mark.parametrize("version", [0, 2, 99])
def test_a_manifest_of_another_version_alone_cannot_be_checked(house: House, version: int) -> None:
    house.change_manifest(lambda it: it.update(schema_version=version))
    outcome = house.verify(ledger=None)
    assert outcome.status is Status.UNPROVEN
    assert outcome.recordings[0].ids() == {"manifest-version"}
    assert ("upgrade" in outcome.recordings[0].findings[0].sentence) == (version > 1)


def test_a_manifest_that_is_gone_is_named(house: House) -> None:
    house.manifest.unlink()
    assert house.found() == {"manifest-missing", "manifest-hash"}
    assert house.verify(ledger=None).status is Status.UNPROVEN


def test_another_recordings_manifest_in_its_place_is_named(house: House) -> None:
    other = house.wav.with_name("R2.wav")
    house.wav.rename(other)
    house.manifest.rename(other.with_suffix(".json"))
    assert {"manifest-misplaced", "audio-missing"} <= house.found(other)


def test_without_a_ledger_a_file_proves_nothing(house: House) -> None:
    outcome = house.verify(ledger=None)
    assert outcome.status is Status.UNPROVEN
    assert outcome.recordings[0].ids() == {"ledger-not-given"}
    assert len(outcome.recordings[0].proven) == 3


@pytest.mark.parametrize(
    ("change", "finding", "status"),
    [
        (lambda data: b"", "ledger-foreign", Status.UNPROVEN),
        (lambda data: b"nothing of the kind", "ledger-damaged", Status.WRONG),
        (lambda data: data[: len(data) // 2], "ledger-damaged", Status.WRONG),
        (lambda data: data[:100], "ledger-damaged", Status.WRONG),
    ],
)
def test_a_ledger_that_cannot_be_read_is_named(
    house: House, change: Callable[[bytes], bytes], finding: str, status: Status
) -> None:
    house.ledger.write_bytes(change(house.ledger.read_bytes()))
    outcome = house.verify()
    assert outcome.ledger is not None
    assert outcome.ledger.ids() == {finding}
    assert outcome.ledger.status is status


def test_a_ledger_that_is_not_there_is_named_and_not_made(house: House) -> None:
    outcome = house.verify(ledger=str(house.folder / "other.db"))
    assert outcome.ledger is not None
    assert outcome.ledger.ids() == {"ledger-missing"}
    assert not (house.folder / "other.db").exists()


def test_a_ledger_of_a_newer_turnrec_is_named(house: House) -> None:
    house.sql("UPDATE ledger_version SET version = 99")
    outcome = house.verify()
    assert outcome.ledger is not None
    assert outcome.ledger.ids() == {"ledger-version"}
    assert outcome.status is Status.UNPROVEN


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_ledger_of_any_version_up_to_this_ones_is_read(house: House, version: int) -> None:
    house.sql(f"UPDATE ledger_version SET version = {version}")
    assert house.verify().status is Status.PROVEN


async def test_a_pause_that_was_not_confirmed_is_not_proven(tmp_path: Path) -> None:
    house = await build(tmp_path / "house", proof="not confirmed")
    outcome = house.verify()
    assert outcome.status is Status.UNPROVEN
    assert outcome.recordings[0].ids() == {"gap-unproven"}


def test_nothing_is_not_verified(tmp_path: Path) -> None:
    for given in (tmp_path, tmp_path / "none.wav"):
        with pytest.raises(NothingToVerifyError):
            verify(str(given), House(tmp_path, None).evidence())  # type: ignore[arg-type]


def test_no_finding_has_a_name_of_its_own_making() -> None:
    with pytest.raises(ValueError, match="no finding"):
        Report("R1").wrong("something-else", "")


def test_the_page_for_auditors_lists_every_finding() -> None:
    text = DOC.read_text("utf-8")
    assert [finding for finding in FINDINGS if f"`{finding}`" not in text] == []


def test_json_says_what_the_page_says(house: House) -> None:
    from turnrec.verify.cli import as_document, as_page

    house.change_sample(100)
    outcome = house.verify()
    document: Any = json.loads(as_document(outcome))
    page = as_page(outcome)
    assert document["exit_status"] == 1
    for one in document["recordings"][0]["findings"]:
        assert f"[{one['id']}] {one['sentence']}" in page
