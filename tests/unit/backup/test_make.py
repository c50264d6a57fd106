"""What a backup holds, what leaves it, and what becomes of it when something breaks."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.backup.house import ASKED, NOW_US, World, files_in, spoil
from tests.unit.verify.house import Clock
from turnrec.backup.books import read_books
from turnrec.backup.contents import read_contents
from turnrec.backup.errors import BackupError, BackupFolderError, BackupOtherLedgerError
from turnrec.backup.make import Report, backup
from turnrec.core.entry import Entry, EntryKind, Origin
from turnrec.ledger import Ledger
from turnrec.ledger.errors import LedgerError

DAY = "2023-11-14"


def sound(world: World) -> Path:
    return world.store / "recordings" / DAY / "R1.wav"


def ledger_of(world: World) -> Path:
    return world.store / read_contents(world.store).books / "ledger.db"


def append(world: World, *kinds: EntryKind, recording_id: str | None = None) -> None:
    """Have a server make entries that no rule of turnrec's stands behind."""

    async def write() -> None:
        clock = Clock()
        clock.now_us += 8000 * 1_000_000
        ledger = Ledger.open(world.data.ledger_url)
        for kind in (EntryKind.SERVER_STARTED, *kinds):
            named = None if kind is EntryKind.SERVER_STARTED else recording_id
            detail = {"reason": ASKED.reason} if named else {}
            ledger.append(
                Entry(
                    kind=kind,
                    at_us=clock(),
                    recording_id=named,
                    origin=Origin.SERVER,
                    detail=detail,
                )
            )
        await ledger.close()

    asyncio.run(write())


# ------------------------------------------------------------------ what it holds


def test_it_holds_each_closed_recording_and_all_that_proves_it(world: World) -> None:
    transcript = world.data.recordings / DAY / "R1.transcript.jsonl"
    transcript.write_text("{}\n")
    report = world.back_up()
    assert report.problems == []
    assert (report.recordings, report.entries) == (1, world.house.count())
    data, held = files_in(world.house.folder), files_in(world.store)
    for name in ("wav", "json", "stereo.wav", "transcript.jsonl"):
        assert held[f"recordings/{DAY}/R1.{name}"] == data[f"recordings/{DAY}/R1.{name}"]
    parts = [name for name in held if name.startswith("spool/")]
    assert parts == [name for name in data if name.startswith("spool/")]


def test_its_hashes_are_what_sha256sum_checks(world: World) -> None:
    world.back_up()
    sums = f"{read_contents(world.store).books}/files.sha256"
    check = ["sha256sum", "--check", "--strict", "--quiet", sums]
    assert subprocess.run(check, cwd=world.store, check=False).returncode == 0
    spoil(sound(world))
    assert subprocess.run(check, cwd=world.store, check=False, capture_output=True).returncode == 1


def test_nothing_secret_is_in_it_unless_asked_for(world: World) -> None:
    key = (world.house.folder / "signing.key").read_bytes()
    world.back_up()
    assert not any(key in data for data in files_in(world.store).values())
    assert not list(world.store.rglob("api-keys.json"))
    world.back_up(with_secrets=True)
    (secrets,) = world.store.glob("books-*/secrets")
    assert (secrets / "signing.key").read_bytes() == key
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(one.stat().st_mode) for one in secrets.iterdir()}
    assert modes == {0o600}
    world.back_up()
    assert not any(key in data for data in files_in(world.store).values())


def test_it_is_for_the_service_and_its_group(world: World) -> None:
    umask = os.umask(0)
    try:
        world.back_up()
    finally:
        os.umask(umask)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in world.store.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o750}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o640}


def test_the_next_time_only_what_is_new_is_copied(world: World) -> None:
    first = world.back_up()
    assert first.new_files == first.files == 12
    before = {path: path.stat().st_ino for path in world.store.rglob("R1*")}
    second = world.redact().back_up()
    assert {path.name for path in world.store.rglob("R1x*")} == {
        "R1x.wav", "R1x.json", "R1x.stereo.wav", "R1x.wav.map.json"
    }  # fmt: skip
    assert second.new_files == 4
    assert {path: path.stat().st_ino for path in before} == before


def test_checkpoints_newer_than_its_ledger_are_left_for_the_next(world: World) -> None:
    # With one, `verify` would say that the ledger's end had been cut off.
    behind = world.folder / "behind.db"
    behind.write_bytes(world.data.ledger_file.read_bytes() if world.data.ledger_file else b"")
    world.redact()
    older = replace(world.data, ledger_url=f"sqlite:///{behind}", ledger_file=behind)
    world.back_up(older)
    kept = (world.store / read_contents(world.store).books / "checkpoints.jsonl").read_text()
    lines = world.data.checkpoints.read_text().splitlines()
    assert 0 < len(kept.splitlines()) < len(lines)


def test_it_is_made_while_the_ledger_is_written(world: World) -> None:
    written, enough = threading.Event(), threading.Event()

    async def write() -> None:
        ledger = Ledger.open(world.data.ledger_url)
        at_us = Clock().now_us + 9000 * 1_000_000
        while not enough.is_set():
            at_us += 1
            ledger.append(Entry(kind=EntryKind.TURN_BEGUN, at_us=at_us, call_id="C2"))
            await ledger.flush()
            written.set()
        await ledger.close()

    writer = threading.Thread(target=lambda: asyncio.run(write()))
    writer.start()
    try:
        assert written.wait(60)
        reports = [world.back_up() for _ in range(3)]
    finally:
        enough.set()
        writer.join()
    assert all(report.problems == [] for report in reports)
    assert reports[0].entries < reports[2].entries
    chain = read_books(str(ledger_of(world))).chain
    assert chain.intact
    assert chain.entries == reports[2].entries


# ------------------------------------------------------------------ what leaves it


def test_what_is_deleted_leaves_the_backup_and_its_tombstone_stays(world: World) -> None:
    world.back_up()
    world.keep("delete")
    report = world.back_up()
    assert report.pruned == ["R1"]
    assert report.problems == []
    assert list(world.store.rglob("R1*")) == []
    known = read_books(str(ledger_of(world))).recordings["R1"]
    assert known.is_deleted


def test_a_redacted_copy_stays_and_its_deleted_original_goes(world: World) -> None:
    world.back_up()
    report = world.redact(delete_original=True).back_up()
    assert report.pruned == ["R1"]
    assert report.problems == []
    assert {path.name for path in world.store.rglob("R1*")} == {
        "R1x.wav", "R1x.json", "R1x.stereo.wav", "R1x.wav.map.json"
    }  # fmt: skip


def test_what_is_held_stays_even_where_an_entry_says_that_it_is_deleted(world: World) -> None:
    world.back_up()
    world.keep("hold")
    append(world, EntryKind.DELETED, recording_id="R1")
    sound_before = sound(world).read_bytes()
    (world.data.recordings / DAY / "R1.wav").unlink()
    report = world.back_up()
    assert report.pruned == []
    assert any("under a legal hold" in one for one in report.problems)
    assert sound(world).read_bytes() == sound_before


def test_a_released_recording_that_is_deleted_goes(world: World) -> None:
    world.keep("hold")
    world.back_up()
    world.keep("release", "delete")
    assert world.back_up().pruned == ["R1"]


# ------------------------------------------------------------------ what is wrong at its place


def spoil_sound(world: World) -> None:
    spoil(world.data.recordings / DAY / "R1.wav")


def cut_sound(world: World) -> None:
    os.truncate(world.data.recordings / DAY / "R1.wav", 1000)


def lose_sound(world: World) -> None:
    (world.data.recordings / DAY / "R1.wav").unlink()


def lose_manifest(world: World) -> None:
    (world.data.recordings / DAY / "R1.json").unlink()


def exchange_stereo(world: World) -> None:
    stereo = world.data.recordings / DAY / "R1.stereo.wav"
    stereo.unlink()
    stereo.symlink_to(world.house.folder / "signing.key")


FAULTS = [cut_sound, lose_sound, lose_manifest, exchange_stereo]


@pytest.mark.parametrize("fault", [spoil_sound, *FAULTS])
def test_what_is_wrong_at_its_place_is_told_of(
    world: World, fault: Callable[[World], None]
) -> None:
    fault(world)
    report = world.back_up()
    assert len(report.problems) == 1, report.problems
    assert str(world.data.recordings) in report.problems[0]
    key = (world.house.folder / "signing.key").read_bytes()
    assert key not in files_in(world.store).values()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_good_copy_is_never_exchanged_for_a_bad_one(
    world: World, fault: Callable[[World], None]
) -> None:
    world.back_up()
    before = {name: data for name, data in files_in(world.store).items() if "R1" in name}
    fault(world)
    report = world.back_up()
    assert len(report.problems) == 1
    assert report.pruned == []
    after = {name: data for name, data in files_in(world.store).items() if "R1" in name}
    assert after == before


# ------------------------------------------------------------------ when nothing comes of it


def whole(world: World) -> dict[str, bytes]:
    """The backup, as it was made; `restore` would take it."""
    return files_in(world.store)


def break_chain(world: World) -> None:
    world.house.sql("UPDATE entries SET node = 'other' WHERE seq = 5")


def cut_ledger(world: World) -> None:
    os.truncate(world.house.ledger, world.house.ledger.stat().st_size // 2)


def spoil_ledger(world: World) -> None:
    size = world.house.ledger.stat().st_size
    with world.house.ledger.open("r+b") as file:
        for page in range(1, size // 4096):
            file.seek(4096 * page)
            file.write(b"\xff" * 64)


def lose_ledger(world: World) -> None:
    world.house.ledger.unlink()


def another_ledger(world: World) -> None:
    lose_ledger(world)
    append(world)


def rewritten_ledger(world: World) -> None:
    world.house.sql("UPDATE entries SET node = 'other' WHERE seq = 5")
    world.house.rechain()


def shortened_ledger(world: World) -> None:
    world.house.sql("DELETE FROM entries WHERE seq > 20")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (break_chain, BackupError),
        (cut_ledger, LedgerError),
        (spoil_ledger, LedgerError),
        (lose_ledger, LedgerError),
        (another_ledger, BackupOtherLedgerError),
        (rewritten_ledger, BackupOtherLedgerError),
        (shortened_ledger, BackupOtherLedgerError),
    ],
)
def test_with_a_ledger_that_does_not_hold_the_backup_stays_as_it_was(
    world: World, fault: Callable[[World], None], error: type[Exception]
) -> None:
    world.back_up()
    before = whole(world)
    fault(world)
    with pytest.raises(error):
        world.back_up()
    assert whole(world) == before


@contextmanager
def no_file_larger_than(count_bytes: int) -> Iterator[None]:
    """What a full disk comes to: a write that fails halfway. (A quota of this process's.)"""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room_bytes", [100, 20_000, 100_000])
def test_on_a_full_disk_the_backup_stays_as_it_was_and_the_next_one_is_whole(
    world: World, room_bytes: int
) -> None:
    world.back_up()
    before = whole(world)
    world.redact()
    with no_file_larger_than(room_bytes), pytest.raises((BackupError, LedgerError)):
        world.back_up()
    after = whole(world)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if ".passing" in name or ".tmp" in name]
    assert world.back_up().problems == []
    assert world.restore().is_whole


def test_an_end_in_the_middle_leaves_the_backup_as_it_was_and_the_next_one_is_whole(
    world: World,
) -> None:
    world.back_up()
    before = whole(world)
    world.redact()
    dies = (
        "import os, sys; from pathlib import Path;"
        "from tests.unit.backup.house import places_in;"
        "from turnrec.backup.make import backup;"
        "backup(places_in(Path(sys.argv[1])), Path(sys.argv[2]), 1,"
        " tell=lambda done, _: os._exit(9) if done else None)"
    )
    command = [sys.executable, "-c", dies, str(world.house.folder), str(world.store)]
    assert subprocess.run(command, check=False).returncode == 9
    after = whole(world)
    assert {name: after[name] for name in before} == before
    assert len(list(world.store.glob("books-*"))) == 2
    assert world.back_up().problems == []
    assert len(list(world.store.glob("books-*"))) == 1
    assert world.restore().is_whole


# ------------------------------------------------------------------ where it may lie


@pytest.mark.parametrize("where", ["data/recordings", "data/recordings/backup", "data/spool", "."])
def test_it_lies_apart_from_what_it_is_of(world: World, where: str) -> None:
    with pytest.raises(BackupFolderError, match="must lie outside"):
        backup(world.data, world.folder / where, NOW_US)


def test_a_folder_with_anything_else_in_it_is_left_alone(world: World) -> None:
    world.store.mkdir()
    (world.store / "photos").mkdir()
    with pytest.raises(BackupFolderError, match="isn't empty"):
        world.back_up()
    assert sorted(one.name for one in world.store.iterdir()) == ["backup.lock", "photos"]


def test_two_at_once_do_not_get_into_each_others_way(world: World) -> None:
    caught: list[str] = []

    def second(_done: int, _total: int | None) -> None:
        try:
            world.back_up()
        except BackupFolderError as error:
            caught.append(str(error))

    report: Report = backup(world.data, world.store, NOW_US, tell=second)
    assert caught
    assert "another backup or restore" in caught[0]
    assert report.problems == []


def test_recordings_that_are_still_being_made_come_with_the_next_one(world: World) -> None:
    append(world, EntryKind.RECORDING_OPENED, recording_id="R2")
    report = world.back_up()
    assert (report.unfinished, report.problems, report.recordings) == (["R2"], [], 1)
