"""A backup is put back where nothing is, is proven afterwards, and hides no damage."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.backup.house import World, files_in, spoil
from tests.unit.backup.test_make import append, no_file_larger_than
from tests.unit.verify.house import Clock
from turnrec.backup.contents import read_contents
from turnrec.backup.errors import (
    BackupDamagedError,
    BackupError,
    BackupFolderError,
    RestoreRefusedError,
)
from turnrec.core.entry import Entry, EntryKind
from turnrec.ledger import Ledger
from turnrec.ledger.errors import LedgerError
from turnrec.verify.cli import as_page
from turnrec.verify.findings import Status

DAY = "2023-11-14"


def nothing_was_put_there(world: World) -> bool:
    return files_in(world.folder / "new") == {} if (world.folder / "new").exists() else True


# ------------------------------------------------------------------ all is well


def test_what_is_restored_is_proven_and_is_what_it_was(world: World) -> None:
    world = world.redact()
    world.back_up()
    report = world.restore()
    assert report.is_whole
    assert (report.verdict, report.unproven) == ("proven", [])
    outcome = world.verify_restored()
    assert outcome.status is Status.PROVEN, as_page(outcome)
    assert len(outcome.recordings) == 2
    old, new = files_in(world.house.folder), files_in(world.folder / "new")
    assert set(new) == set(old) - {"signing.key", "signing.key.pub", "api-keys.json"}
    names = [name for name in new if name.startswith(("recordings/", "spool/", "checkpoints"))]
    assert {name: new[name] for name in names} == {name: old[name] for name in names}


def test_the_restored_ledger_goes_on_and_so_does_its_backup(world: World) -> None:
    world.back_up()
    world.restore()

    async def go_on() -> None:
        ledger = Ledger.open(world.empty.ledger_url)
        at_us = Clock().now_us + 10_000 * 1_000_000
        ledger.append(Entry(kind=EntryKind.SERVER_STARTED, at_us=at_us))
        await ledger.flush()
        assert (await ledger.verify_chain()).intact
        await ledger.close()

    asyncio.run(go_on())
    report = world.back_up(world.empty)
    assert (report.problems, report.new_files) == ([], 0)
    assert report.entries == world.house.count() + 1


def test_a_deleted_recording_is_not_brought_back_by_a_later_backup(world: World) -> None:
    world.back_up()
    world.keep("delete")
    world.back_up()
    report = world.restore()
    assert report.is_whole
    assert list((world.folder / "new").rglob("R1*")) == []
    assert report.verdict == "proven"


def test_secrets_are_put_back_only_when_asked_for(world: World) -> None:
    world.back_up(with_secrets=True)
    report = world.restore(with_secrets=True)
    assert report.is_whole
    key = world.folder / "new" / "signing.key"
    assert key.read_bytes() == (world.house.folder / "signing.key").read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600


def test_recordings_that_were_being_made_are_named(world: World) -> None:
    append(world, EntryKind.RECORDING_OPENED, recording_id="R2")
    world.back_up()
    report = world.restore()
    assert report.unfinished == ["R2"]
    assert report.is_whole


def test_what_was_missing_when_it_was_made_is_missing_still(world: World) -> None:
    (world.data.recordings / DAY / "R1.wav").unlink()
    world.back_up()
    report = world.restore()
    assert report.missing == [f"{DAY}/R1.wav"]
    assert any("audio-missing" in one for one in report.wrong + report.unproven)
    assert not report.is_whole


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_restores_belongs_to_who_has_the_folder(world: World) -> None:
    world.back_up()
    new = world.folder / "new"
    new.mkdir()
    os.chown(new, 12345, 12346)
    world.restore()
    # The spool's own folder is Asterisk's to give.
    made = {path: path.stat() for path in new.rglob("*") if "spool" not in path.parts}
    assert {"ledger.db", "ledger.db.lock", "R1.wav", "flow.yaml"} <= {one.name for one in made}
    assert {(one.st_uid, one.st_gid) for one in made.values()} == {(12345, 12346)}


# ------------------------------------------------------------------ it overwrites nothing


def put(world: World, name: str) -> None:
    path = world.folder / "new" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("somebody's")


@pytest.mark.parametrize(
    "there",
    ["ledger.db", "ledger.db-wal", f"recordings/{DAY}/R9.wav", "recordings/x", "checkpoints.jsonl"],
)
def test_where_anything_is_it_refuses(world: World, there: str) -> None:
    world.back_up()
    put(world, there)
    before = files_in(world.folder / "new")
    with pytest.raises(RestoreRefusedError, match=r"othing was changed"):
        world.restore()
    assert files_in(world.folder / "new") == before


def test_a_secret_is_not_overwritten(world: World) -> None:
    world.back_up(with_secrets=True)
    put(world, "signing.key")
    with pytest.raises(RestoreRefusedError, match="nothing was changed"):
        world.restore(with_secrets=True)
    assert files_in(world.folder / "new") == {"signing.key": b"somebody's"}


def test_while_a_server_has_the_ledger_it_refuses(world: World) -> None:
    world.back_up()
    holder = (
        "import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT);"
        "fcntl.flock(fd, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    )
    (world.folder / "new").mkdir()
    lock = str(world.folder / "new" / "ledger.db.lock")
    with subprocess.Popen(
        [sys.executable, "-c", holder, lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RestoreRefusedError, match="only one turnrec"):
            world.restore()
        process.kill()
    assert nothing_was_put_there(world)
    assert world.restore().is_whole


def test_while_a_server_answers_it_refuses(world: World) -> None:
    world.back_up()
    (world.folder / "new").mkdir()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(world.empty.control_socket))
        door.listen()
        with pytest.raises(RestoreRefusedError, match="a turnrec runs"):
            world.restore()
    assert nothing_was_put_there(world)


# ------------------------------------------------------------------ a damaged backup


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


RECORDINGS = [
    f"recordings/{DAY}/R1.wav",
    f"recordings/{DAY}/R1.json",
    f"recordings/{DAY}/R1.stereo.wav",
    "spool/R1-002.wav",
]
BOOKS = ["ledger.db", "files.sha256", "checkpoints.jsonl", "flow.yaml", "signing.key.pub"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [*zip(RECORDINGS, (spoil, cut, remove, spoil), strict=True), (RECORDINGS[1], remove)],
)
def test_a_damaged_recording_is_named_and_the_others_are_restored_when_asked(
    world: World, name: str, damage: Callable[[Path], None]
) -> None:
    world = world.redact()
    world.back_up()
    damage(world.store / name)
    with pytest.raises(BackupDamagedError, match=name):
        world.restore()
    assert nothing_was_put_there(world)
    report = world.restore(incomplete=True)
    assert [one.partition(": ")[0] for one in report.damaged] == [name]
    assert not report.is_whole
    if name.startswith("recordings/"):
        assert report.missing == [name.removeprefix("recordings/")]
    assert not (world.folder / "new" / name).exists()
    assert (world.folder / "new" / "recordings" / DAY / "R1x.wav").exists()


@pytest.mark.parametrize(
    ("name", "damage"),
    [*zip(BOOKS, (spoil, cut, remove, spoil, spoil), strict=True), (BOOKS[0], cut)],
)
def test_books_that_are_not_what_they_were_restore_nothing(
    world: World, name: str, damage: Callable[[Path], None]
) -> None:
    world.back_up()
    damage(world.store / read_contents(world.store).books / name)
    with pytest.raises(BackupDamagedError, match="nothing was changed"):
        world.restore(incomplete=True)
    assert nothing_was_put_there(world)


@pytest.mark.parametrize("damage", [cut, remove, lambda path: path.write_text("[]")])
def test_without_its_description_a_folder_is_no_backup(
    world: World, damage: Callable[[Path], object]
) -> None:
    world.back_up()
    damage(world.store / "turnrec-backup.json")
    with pytest.raises((BackupDamagedError, BackupFolderError)):
        world.restore()
    assert nothing_was_put_there(world)


def test_a_list_of_hashes_leads_nowhere_else(world: World) -> None:
    world.back_up()
    books = world.store / read_contents(world.store).books
    (world.folder / "outside.wav").write_bytes(b"x")
    line = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  "
    for name in ("recordings/../../outside.wav", "/etc/passwd", "recordings/2023-11-14/../R1.wav"):
        (books / "files.sha256").write_text(f"{line}{name}\n")
        with pytest.raises(BackupDamagedError):
            world.restore(incomplete=True)
    assert nothing_was_put_there(world)


# ------------------------------------------------------------------ cut short


@pytest.mark.parametrize("room_bytes", [60, 20_000, 50_000])
def test_on_a_full_disk_no_ledger_is_put_there_and_a_second_try_is_whole(
    world: World, room_bytes: int
) -> None:
    world.back_up()
    with no_file_larger_than(room_bytes), pytest.raises((BackupError, LedgerError)):
        world.restore()
    assert not (world.folder / "new" / "ledger.db").exists()
    assert world.restore().is_whole


def test_a_restore_that_was_killed_can_be_repeated(world: World) -> None:
    world.redact().back_up()
    dies = (
        "import os, sys; from pathlib import Path;"
        "from tests.unit.backup.house import places_in;"
        "from turnrec.backup.restore import restore;"
        "restore(places_in(Path(sys.argv[1])), Path(sys.argv[2]),"
        " tell=lambda done, all: os._exit(9) if done == all - 2 else None)"
    )
    command = [sys.executable, "-c", dies, str(world.folder / "new"), str(world.store)]
    assert subprocess.run(command, check=False).returncode == 9
    assert list((world.folder / "new").rglob("R1*"))
    assert not (world.folder / "new" / "ledger.db").exists()
    assert world.restore().is_whole
