"""Keeping and deleting, on a real ledger and real files: what is entered is what is on the disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import pytest
import soundfile

from tests.unit.recordings.parts import audio, closed, tone
from turnrec.core.call import FinishedRecording
from turnrec.core.entry import Entry, EntryKind, Origin
from turnrec.core.errors import (
    InvalidTimeError,
    LedgerUnavailableError,
    NotAllowedError,
    UnknownRecordingError,
)
from turnrec.core.policy import Bot, Flow, PauseBehavior, PauseMethod
from turnrec.core.recorder import Source, State
from turnrec.core.timeline import Gap, Segment
from turnrec.keeping import Asked, Keeper, ReasonMissingError
from turnrec.ledger.store import Ledger
from turnrec.ledger.views import RecordingRecord, RecordingStatus
from turnrec.notes import Notes
from turnrec.recordings.closer import Closer
from turnrec.recordings.manifest_file import read_manifest
from turnrec.recordings.redact import Stretch
from turnrec.recordings.sound import SoundChangedError, SoundUnreadableError
from turnrec.recordings.sound import hash_file as sha256
from turnrec.recordings.transcript_file import TranscriptFileError
from turnrec.retention import Retention
from turnrec.service import LedgerJournal
from turnrec.verify.findings import Status
from turnrec.verify.run import Evidence, verify

DAY_US = 86_400_000_000
NOW_US = 20_000 * DAY_US
WHY = Asked("the caller asked for it", "cli:anna", Origin.CLI)


@dataclass
class House:
    """A keeper with everything that it needs."""

    folder: Path
    spool: Path
    ledger: Ledger
    journal: LedgerJournal
    keeper: Keeper
    flow: Flow = field(default_factory=lambda: Flow(MappingProxyType({"kyc": Bot("kyc")})))
    now_us: int = NOW_US
    made: int = 0

    async def record(
        self, name: str, *, age_days: int = 0, keep_parts: bool = False, stereo: bool = False
    ) -> Path:
        """A closed recording: a second of sound, a second's gap, a second of sound."""
        opened_us = NOW_US - age_days * DAY_US
        self.ledger.append(
            Entry(
                kind=EntryKind.CALL_STARTED,
                at_us=opened_us,
                call_id=f"C-{name}",
                uniqueid="1.2",
                detail={"bot": "kyc"},
            )
        )
        opened = Entry(
            kind=EntryKind.RECORDING_OPENED,
            at_us=opened_us,
            call_id=f"C-{name}",
            uniqueid="1.2",
            recording_id=name,
            state=State.RECORDING,
            detail={"bot": "kyc"},
        )
        self.ledger.append(opened)
        segments = []
        for number in (1, 2):
            part = f"{name}-{number:03d}.wav"
            (self.spool / part).write_bytes(closed(tone(400 * number, 8000)))
            began_us = opened_us + (number - 1) * 2_000_000
            segments.append(Segment(number, part, began_us, began_us + 1_000_000))
        closer = Closer(self.spool, self.folder, _at_once, keep_parts=keep_parts)
        gap = Gap(opened_us + 1_000_000, opened_us + 2_000_000, ("turn",), "ask")
        done = await closer.close(
            FinishedRecording(
                name,
                f"C-{name}",
                "kyc",
                opened_us,
                opened_us + 3_000_000,
                tuple(segments),
                (gap,),
                PauseBehavior.SILENCE,
                PauseMethod.SEGMENT,
            )
        )
        detail = dict(done.detail)
        path = self.folder / str(detail["file"])
        if stereo:
            two = path.with_suffix(".stereo.wav")
            mix = audio(path)
            soundfile.write(two, mix.repeat(2).reshape(-1, 2), 8000, subtype="PCM_16")
            known = {"file": str(two.relative_to(self.folder)), "sha256": sha256(two)}
            detail["stereo"] = known
        self.ledger.append(
            replace(
                opened,
                kind=EntryKind.RECORDING_CLOSED,
                at_us=opened_us + 3_100_000,
                state=None,
                detail=detail,
            )
        )
        await self.ledger.flush()
        await closer.discard(name)
        closer.shut_down()
        return path

    async def status(self, name: str) -> RecordingStatus:
        await self.ledger.flush()
        record = await self.ledger.recording(name)
        assert record is not None
        return record.status

    async def of(self, name: str, *kinds: EntryKind) -> list[Entry]:
        await self.ledger.flush()
        found = await self.ledger.entries(recording_id=name, limit=None)
        return [one.entry for one in found if one.entry.kind in kinds]

    def present(self) -> list[str]:
        """Every file of every recording."""
        places = (self.folder, self.spool)
        return sorted(path.name for place in places for path in place.rglob("*") if path.is_file())

    def retention(self, *, interval_s: float = 3600, **keep_days: int) -> Retention:
        bots = {name: Bot(name, keep_days=days) for name, days in keep_days.items()}
        self.flow = Flow(MappingProxyType(bots))
        return Retention(
            self.keeper,
            self,
            lambda: self.now_us,
            interval_s=interval_s,
            wall_clock=lambda: self.now_us,
        )


async def _at_once(_part: str, _within_ms: int) -> bool:
    return True


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[House]:
    folder, spool = tmp_path / "recordings", tmp_path / "spool"
    for place in (folder, spool):
        place.mkdir(exist_ok=True)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    journal = LedgerJournal(ledger)
    ids = (f"NEW{n}" for n in range(100))
    keeper = Keeper(
        ledger,
        journal,
        Notes(journal, lambda: NOW_US),
        folder,
        spool,
        lambda: NOW_US,
        lambda: next(ids),
    )
    try:
        yield House(folder, spool, ledger, journal, keeper)
    finally:
        await ledger.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as house:
        yield house


# ------------------------------------------------------------------ deleting


async def test_a_deletion_takes_all_that_lies_beside_and_leaves_a_tombstone(house: House) -> None:
    path = await house.record("R1", keep_parts=True, stereo=True)
    other = await house.record("R10")
    known = sha256(path)
    for beside in ("R1.json", "R1.transcript.jsonl", "R1.skip.flac", "R1.skip.flac.map.json"):
        (path.parent / beside).write_text("{}")
    (path.parent / ".R1.wav.0123456789abcdef.tmp").write_text("left by a crash")
    (house.spool / "R1-001-r.wav").write_bytes(b"")
    gone = await house.keeper.delete("R1", WHY)
    assert gone["left_files"] == []
    assert house.present() == [other.name]
    assert await house.status("R1") is RecordingStatus.DELETED
    (tombstone,) = await house.of("R1", EntryKind.DELETED)
    assert tombstone.actor == "cli:anna"
    assert tombstone.origin is Origin.CLI
    assert tombstone.at_us == NOW_US
    assert tombstone.detail["reason"] == WHY.reason
    assert tombstone.detail["sha256"] == known
    files = tombstone.detail["files"]
    assert isinstance(files, list)
    assert {"name": "R1.wav", "bytes": 48_044, "sha256": known} in files
    assert len(files) == gone["deleted_files"] == 10
    shown = await house.keeper.show("R1")
    assert shown["file"] is None
    assert shown["sha256"] == known


async def test_what_is_not_there_not_over_or_gone_already_is_not_deleted(house: House) -> None:
    await house.record("R1")
    await house.keeper.delete("R1", WHY)
    with pytest.raises(NotAllowedError, match="is deleted"):
        await house.keeper.delete("R1", WHY)
    with pytest.raises(UnknownRecordingError):
        await house.keeper.delete("R2", WHY)
    house.ledger.append(
        Entry(kind=EntryKind.RECORDING_OPENED, at_us=NOW_US, call_id="C3", recording_id="R3")
    )
    with pytest.raises(NotAllowedError, match="still being made"):
        await house.keeper.delete("R3", WHY)


async def test_a_recording_whose_file_somebody_else_took_still_gets_its_tombstone(
    house: House,
) -> None:
    (await house.record("R1")).unlink()
    await house.keeper.delete("R1", WHY)
    (tombstone,) = await house.of("R1", EntryKind.DELETED)
    assert tombstone.detail["files"] == []


@pytest.mark.parametrize("reason", ["", "   ", "two\nlines", "x" * 501])
def test_nothing_is_done_without_a_reason(reason: str) -> None:
    with pytest.raises(ReasonMissingError):
        Asked(reason, None, Origin.CLI)


async def test_nothing_goes_before_its_tombstone_is_durable(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await house.record("R1")

    async def never() -> bool:
        return False

    monkeypatch.setattr(house.journal, "make_durable", never)
    with pytest.raises(LedgerUnavailableError):
        await house.keeper.delete("R1", WHY)
    assert path.exists()


async def test_nothing_goes_where_the_ledger_has_lost_the_tombstone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await house.record("R1")
    monkeypatch.setattr(house.journal, "append", lambda entry: None)
    with pytest.raises(LedgerUnavailableError, match="tombstone"):
        await house.keeper.delete("R1", WHY)
    assert path.exists()


async def test_what_a_crash_left_after_the_tombstone_goes_at_the_next_look(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        path = await house.record("R1")
        kept = await house.record("R2")
        house.ledger.append(Entry(kind=EntryKind.DELETED, at_us=NOW_US, recording_id="R1"))
    async with opened(tmp_path) as house:
        assert await house.retention(kyc=0).sweep() == 0
    assert not path.exists()
    assert kept.exists()


async def test_however_many_files_there_are_a_look_holds_a_few_names_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnrec.retention._BATCH", 2)
    for n in range(7):
        await house.record(f"R{n}")
        (house.spool / f"R{n}-1.wav").touch()
    for name in ("R0", "R3", "R6"):
        house.ledger.append(Entry(kind=EntryKind.DELETED, at_us=NOW_US, recording_id=name))
    await house.ledger.flush()
    asked: list[Collection[str]] = []
    look = house.ledger.deleted_recordings

    async def look_and_tell(among: Collection[str]) -> tuple[RecordingRecord, ...]:
        asked.append(among)
        return await look(among)

    monkeypatch.setattr(house.ledger, "deleted_recordings", look_and_tell)
    await house.retention(kyc=0).sweep()
    left = {name.partition("-")[0].partition(".")[0] for name in house.present()}
    assert left == {"R1", "R2", "R4", "R5"}
    assert len(asked) > 3
    assert max(map(len, asked)) <= 3


async def test_files_that_will_not_go_are_said_aloud_and_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await house.record("R1")
    with monkeypatch.context() as patch:

        def refuse(self: Path, missing_ok: bool = False) -> None:
            raise PermissionError(13, "no")

        patch.setattr(Path, "unlink", refuse)
        gone = await house.keeper.delete("R1", WHY)
    assert gone["left_files"] == [str(path)]
    await house.ledger.flush()
    alarms = [
        one.entry.result
        for one in await house.ledger.entries(limit=None)
        if one.entry.kind is EntryKind.ALARM
    ]
    assert alarms == ["deletion-incomplete"]
    await house.retention(kyc=0).sweep()
    assert not path.exists()


# ------------------------------------------------------------------ legal hold


async def test_nobody_deletes_what_is_held(house: House) -> None:
    path = await house.record("R1", age_days=400)
    held = await house.keeper.hold("R1", Asked("case 17", "cli:ben", Origin.CLI))
    assert held["legal_hold"] == "case 17"
    with pytest.raises(NotAllowedError, match="case 17"):
        await house.keeper.delete("R1", WHY)
    with pytest.raises(NotAllowedError, match="case 17"):
        await house.keeper.redact("R1", Stretch(0, 1000, False), WHY, delete_original=True)
    assert await house.retention(kyc=1).sweep() == 0
    assert house.present() == [path.name]
    assert (await house.keeper.release("R1", WHY))["legal_hold"] is None
    with pytest.raises(NotAllowedError, match="no legal hold"):
        await house.keeper.release("R1", WHY)
    assert await house.retention(kyc=1).sweep() == 1
    assert house.present() == []


async def test_a_hold_outlasts_a_restart_and_a_rebuilt_ledger(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        await house.record("R1")
        await house.keeper.hold("R1", WHY)
    async with opened(tmp_path) as house:
        await house.ledger.rebuild()
        with pytest.raises(NotAllowedError):
            await house.keeper.delete("R1", WHY)


async def test_a_hold_asked_for_during_a_deletion_comes_too_late_and_says_so(house: House) -> None:
    await house.record("R1")
    deletion = asyncio.create_task(house.keeper.delete("R1", WHY))
    await asyncio.sleep(0)
    with pytest.raises(NotAllowedError, match="is deleted"):
        await house.keeper.hold("R1", WHY)
    await deletion


# ------------------------------------------------------------------ days


async def test_what_was_kept_for_its_days_goes_and_the_rest_stays(house: House) -> None:
    for name, age_days in (("OLD", 31), ("JUST", 29), ("FRESH", 0)):
        await house.record(name, age_days=age_days)
    assert await house.retention(kyc=30).sweep() == 1
    assert house.present() == ["FRESH.wav", "JUST.wav"]
    (tombstone,) = await house.of("OLD", EntryKind.DELETED)
    assert tombstone.origin is Origin.SERVER
    assert tombstone.detail["reason"] == "kept for 30 days (bot kyc)"
    assert await house.retention(kyc=30).sweep() == 0


async def test_without_days_and_without_its_bot_a_recording_is_kept(house: House) -> None:
    await house.record("OLD", age_days=10_000)
    assert await house.retention(kyc=0).sweep() == 0
    assert await house.retention(other=1).sweep() == 0
    assert house.present() == ["OLD.wav"]


async def test_more_than_a_page_goes_and_what_is_held_keeps_nothing_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnrec.retention._PAGE", 2)
    for n in range(7):
        await house.record(f"R{n}", age_days=50)
    for name in ("R0", "R1", "R4"):
        await house.keeper.hold(name, WHY)
    assert await house.retention(kyc=30).sweep() == 4
    assert house.present() == ["R0.wav", "R1.wav", "R4.wav"]


async def test_a_clock_that_was_ahead_deletes_nothing_once_it_is_put_right(house: House) -> None:
    await house.record("R1")
    retention = house.retention(kyc=30)
    retention._clock = lambda: NOW_US + 3650 * DAY_US  # this process began with a wrong clock
    assert await retention.sweep() == 0
    assert house.present() == ["R1.wav"]


async def test_it_looks_by_itself(house: House) -> None:
    await house.record("R1", age_days=50)
    retention = house.retention(interval_s=0.01, kyc=30)
    retention.start()
    async with asyncio.timeout(30):
        while await house.status("R1") is not RecordingStatus.DELETED:  # noqa: ASYNC110 - a ledger's
            await asyncio.sleep(0.01)
    await retention.close()


# ------------------------------------------------------------------ redacting


async def test_a_redaction_makes_a_new_recording_and_says_all_of_it(house: House) -> None:
    path = await house.record("R1", age_days=3, stereo=True)
    data, before = path.read_bytes(), audio(path)
    stretch = Stretch.parse("0.25", "0.5")
    made = await house.keeper.redact("R1", stretch, WHY, delete_original=False)
    assert made["id"] == "NEW0"
    new = path.with_name("NEW0.wav")
    assert made["path"] == str(new)
    after = audio(new)
    assert not after[2000:4000].any()
    assert (after[:2000] == before[:2000]).all()
    assert (after[4000:] == before[4000:]).all()
    assert path.read_bytes() == data
    two = soundfile.read(new.with_suffix(".stereo.wav"), dtype="int16")[0]
    assert (two[:, 0] == after).all()
    assert (two[:, 1] == after).all()
    (entry,) = await house.of("R1", EntryKind.REDACTED)
    assert entry.actor == "cli:anna"
    assert entry.detail["reason"] == WHY.reason
    assert entry.detail["into"] == "NEW0"
    assert entry.detail["old_sha256"] == sha256(path)
    assert entry.detail["new_sha256"] == sha256(new) == made["sha256"]
    (cut,) = _list(entry.detail["cuts"])
    assert (cut["start_sample"], cut["samples"]) == (2000, 2000)
    (closing,) = await house.of("NEW0", EntryKind.RECORDING_CLOSED)
    assert closing.detail["redacts"] == "R1"
    spans = _list(closing.detail["spans"])
    assert [one["kind"] for one in spans[:4]] == ["segment", "redacted", "segment", "gap"]
    beside = json.loads(new.with_name("NEW0.wav.map.json").read_text())
    assert beside["spans"] == spans
    assert beside["sha256"] == sha256(new)
    record = await house.ledger.recording("NEW0")
    old = await house.ledger.recording("R1")
    assert record is not None
    assert old is not None
    assert (record.opened_us, record.bot, record.call_id) == (old.opened_us, "kyc", "C-R1")
    assert record.status is RecordingStatus.DONE
    assert len(record.segments) == 3
    assert [gap.holds for gap in record.gaps] == [(), (Source.TURN,)]


def _list(value: object) -> Sequence[dict[str, object]]:
    assert isinstance(value, list)
    return value


async def test_a_redacted_recording_has_a_manifest_that_nothing_contradicts(house: House) -> None:
    path = await house.record("R1", age_days=1)
    await house.keeper.redact("R1", Stretch.parse("0.25", "0.5"), WHY, delete_original=True)
    manifest, digest = read_manifest(path.with_name("NEW0.json"))
    (closing,) = await house.of("NEW0", EntryKind.RECORDING_CLOSED)
    assert closing.detail["manifest_sha256"] == digest
    assert manifest.recording.id == "NEW0"
    (told,) = manifest.recording.problems
    assert "0.250 s from sample 2000 on were cut out of recording R1 afterwards" in told
    ledger = str(house.folder.parent / "ledger.db")
    for given in (str(path.with_name("NEW0.wav")), str(house.folder)):
        outcome = await asyncio.to_thread(verify, given, Evidence(ledger=ledger))
        assert outcome.status is not Status.WRONG, [one.findings for one in outcome.reports]
    outcome = await asyncio.to_thread(verify, ledger, Evidence())
    assert outcome.status is not Status.WRONG, [one.findings for one in outcome.reports]


async def test_a_transcript_that_cannot_be_redacted_keeps_the_recording_from_being(
    house: House,
) -> None:
    path = await house.record("R1")
    transcript = path.with_suffix(".transcript.jsonl")
    transcript.write_text("no transcript at all")
    with pytest.raises(TranscriptFileError):
        await house.keeper.redact("R1", Stretch.parse("0.25", "0.5"), WHY, delete_original=True)
    assert house.present() == [transcript.name, path.name]
    assert await house.status("R1") is RecordingStatus.DONE


async def test_the_original_goes_only_when_that_is_asked_for(house: House) -> None:
    await house.record("R1")
    stretch = Stretch.parse("0.25", "0.5")
    await house.keeper.redact("R1", stretch, WHY, delete_original=True)
    assert house.present() == ["NEW0.json", "NEW0.wav", "NEW0.wav.map.json"]
    assert await house.status("R1") is RecordingStatus.DELETED
    again = await house.keeper.redact(
        "NEW0", Stretch.parse("0.6", "0.7"), WHY, delete_original=False
    )
    spans = _list(_dict(again["closed_detail"])["spans"])
    assert sum(one["kind"] == "redacted" for one in spans) == 2
    await house.ledger.rebuild()
    assert await house.status("NEW0") is RecordingStatus.DONE
    with pytest.raises(NotAllowedError, match="is deleted"):
        await house.keeper.redact("R1", stretch, WHY, delete_original=False)


def _dict(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


async def test_a_redacted_recording_is_as_old_as_its_original(house: House) -> None:
    await house.record("R1", age_days=31)
    await house.keeper.redact("R1", Stretch.parse("0.25", "0.5"), WHY, delete_original=False)
    assert await house.retention(kyc=30).sweep() == 2
    assert house.present() == []


async def test_a_file_that_is_not_the_ledgers_is_not_redacted(house: House) -> None:
    path = await house.record("R1")
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    stretch = Stretch.parse("0.25", "0.5")
    with pytest.raises(SoundChangedError, match="the ledger"):
        await house.keeper.redact("R1", stretch, WHY, delete_original=True)
    path.unlink()
    with pytest.raises(SoundUnreadableError):
        await house.keeper.redact("R1", stretch, WHY, delete_original=True)
    assert await house.status("R1") is RecordingStatus.DONE
    assert house.present() == []


async def test_of_a_redaction_that_fails_halfway_nothing_is_left(house: House) -> None:
    path = await house.record("R1", stereo=True)
    two = path.with_suffix(".stereo.wav")
    two.write_bytes(two.read_bytes()[:-2])
    stretch = Stretch.parse("0.25", "0.5")
    with pytest.raises(SoundChangedError):
        await house.keeper.redact("R1", stretch, WHY, delete_original=False)
    assert house.present() == [two.name, path.name]
    assert await house.of("R1", EntryKind.REDACTED) == []


async def test_what_cannot_be_redacted_is_refused(house: House) -> None:
    await house.record("R1")
    for from_, to in (("2.9", "3.1"), ("1.2", "1.8"), ("1999-01-01T00:00Z", "1999-01-02T00:00Z")):
        with pytest.raises(InvalidTimeError):
            await house.keeper.redact("R1", Stretch.parse(from_, to), WHY, delete_original=False)
    with pytest.raises(UnknownRecordingError):
        await house.keeper.redact("R2", Stretch.parse("1", "2"), WHY, delete_original=False)
    assert house.present() == ["R1.wav"]
