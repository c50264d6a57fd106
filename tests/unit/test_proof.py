"""Closing with a manifest: it never loses a recording, and never vouches for one without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.ledger.helpers import QUICK, entry, url_of
from tests.unit.recordings.parts import closed, tone
from tests.unit.recordings.test_closer import DAY, recording
from turnrec.core.entry import EntryKind
from turnrec.ledger import Ledger
from turnrec.proof import ProvingCloser
from turnrec.recordings.closer import Closer
from turnrec.recordings.manifest_file import read_manifest


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.closer = Closer(self.spool, folder / "recordings", self._at_once)
        self.ledger = Ledger.open(url_of(folder / "ledger.db"), limits=QUICK)
        self.proving = ProvingCloser(self.closer, self.ledger, lambda: 5, lambda: "")
        self.manifest = folder / "recordings" / DAY / "R1.json"

    @staticmethod
    async def _at_once(_part: str, _within_ms: int) -> bool:
        return True

    def write(self, *numbers: int) -> list[Path]:
        paths = [self.spool / f"R1-{number:03d}.wav" for number in numbers]
        for path in paths:
            path.write_bytes(closed(tone(400, 8000)))
        return paths


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    house.ledger.append(entry(EntryKind.SERVER_STARTED, call_id=None))
    yield house
    house.closer.shut_down()
    await house.ledger.close()


async def test_the_ledger_gets_the_manifests_name_and_hash(house: House) -> None:
    parts = house.write(1, 2)
    done = await house.proving.close(recording())
    assert done.ok
    manifest, sha256 = read_manifest(house.manifest)
    assert (done.detail["manifest"], done.detail["manifest_sha256"]) == ("R1.json", sha256)
    assert manifest.ledger.head.seq == 1
    assert manifest.recording.asterisk_version is None
    await house.proving.discard("R1")
    assert not any(part.exists() for part in parts)


async def test_a_recording_without_audio_has_a_manifest_that_says_so(house: House) -> None:
    done = await house.proving.close(recording(0))
    assert done.ok
    manifest, _ = read_manifest(house.manifest)
    assert manifest.audio is None
    assert manifest.recording.status == "done"
    assert not house.manifest.with_suffix(".wav").exists()


async def test_a_recording_that_could_not_be_joined_has_a_manifest_that_says_why(
    house: House,
) -> None:
    (house.folder / "recordings" / DAY).mkdir(parents=True)
    (house.folder / "recordings" / DAY / "R1.wav").write_bytes(b"the only whole copy")
    house.write(2)
    done = await house.proving.close(recording())
    assert not done.ok
    manifest, _ = read_manifest(house.manifest)
    assert manifest.recording.status == "failed"
    assert manifest.audio is None
    assert manifest.recording.problems


async def test_without_a_manifest_the_file_stays_and_the_parts_are_kept(house: House) -> None:
    parts = house.write(1, 2)
    house.manifest.mkdir(parents=True)  # nothing can be written there
    done = await house.proving.close(recording())
    assert not done.ok
    assert done.detail["status"] == "failed"
    assert done.detail["file"] == f"{DAY}/R1.wav"
    assert "no manifest" in str(done.detail["problems"])
    assert "manifest" not in done.detail
    await house.proving.discard("R1")
    assert all(part.exists() for part in parts)
    assert house.manifest.with_suffix(".wav").exists()


async def test_a_ledger_that_cannot_be_read_costs_the_manifest_alone(house: House) -> None:
    parts = house.write(1, 2)
    await house.ledger.close()
    done = await house.proving.close(recording())
    assert not done.ok
    assert house.manifest.with_suffix(".wav").exists()
    assert all(part.exists() for part in parts)


async def test_a_manifest_of_a_process_that_died_is_made_anew(house: House) -> None:
    house.write(1, 2)
    assert (await house.proving.close(recording())).ok
    before = house.manifest.read_bytes()
    house.ledger.append(entry())
    assert (await house.proving.close(recording())).ok
    assert house.manifest.read_bytes() != before


async def test_a_manifest_is_not_replaced_by_one_of_a_failure(house: House) -> None:
    parts = house.write(1, 2)
    assert (await house.proving.close(recording())).ok
    before = house.manifest.read_bytes()
    parts[0].unlink()
    done = await house.proving.close(recording())
    assert not done.ok
    assert house.manifest.read_bytes() == before
