"""Opening: who may, what is made, and what is refused without touching it."""

# ruff: noqa: ASYNC240 - a test's event loop has nothing else to do

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.unit.ledger.helpers import entry, stored, url_of
from turnrec.ledger import (
    Ledger,
    LedgerClosedError,
    LedgerDamagedError,
    LedgerError,
    LedgerForeignError,
    LedgerLockedError,
    LedgerReader,
    LedgerVersionError,
)
from turnrec.ledger.schema import SCHEMA_VERSION

HOLD = """
import sys
from pathlib import Path
from turnrec.ledger import Ledger
lock_dir = Path(sys.argv[2]) if len(sys.argv) > 2 else None
Ledger.open(sys.argv[1], lock_dir=lock_dir)
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a ledger open, until it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


async def test_what_was_written_is_there_after_opening_again(file: Path) -> None:
    first = Ledger.open(url_of(file))
    first.append(entry(at_us=1))
    await first.close()
    second = Ledger.open(url_of(file))
    second.append(entry(at_us=2))
    await second.flush()

    assert await stored(second) == [entry(at_us=1), entry(at_us=2)]
    assert (await second.verify_chain()).intact
    await second.close()


async def test_folders_and_files_are_for_the_service_and_its_group(tmp_path: Path) -> None:
    file = tmp_path / "var" / "lib" / "ledger.sqlite"
    locks = tmp_path / "run"
    umask = os.umask(0)
    try:
        ledger = Ledger.open(url_of(file), lock_dir=locks)
        ledger.append(entry())
        await ledger.flush()
    finally:
        os.umask(umask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    await ledger.close()

    assert modes == {
        "var": 0o750, "lib": 0o750, "run": 0o750,
        "ledger.sqlite": 0o640, "ledger.sqlite-wal": 0o640, "ledger.sqlite-shm": 0o640,
        "ledger.sqlite.lock": 0o640, "ledger.lock": 0o640,
    }  # fmt: skip


def test_a_second_writer_is_refused_and_told_who_is_the_first(file: Path) -> None:
    with holder(url_of(file)) as process, pytest.raises(LedgerLockedError) as caught:
        Ledger.open(url_of(file))

    assert caught.value.holder == f"process {process.pid}"
    assert f"held by process {process.pid};" in str(caught.value)


def test_a_second_writer_makes_no_file_in_the_place_of_one_that_is_away(file: Path) -> None:
    # Whoever opens an empty file deletes the -wal beside it, and with it what was committed.
    with holder(url_of(file)):
        file.rename(file.with_suffix(".away"))
        with pytest.raises(LedgerLockedError):
            Ledger.open(url_of(file))

        assert not file.exists()


def test_another_path_to_the_same_file_is_the_same_ledger(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(file)

    with holder(url_of(file)), pytest.raises(LedgerLockedError):
        Ledger.open(url_of(link))


def test_a_lock_folder_is_locked_whatever_the_database(tmp_path: Path) -> None:
    with holder(url_of(tmp_path / "a.sqlite"), str(tmp_path)), pytest.raises(LedgerLockedError):
        Ledger.open(url_of(tmp_path / "b.sqlite"), lock_dir=tmp_path)


async def test_a_killed_writer_leaves_no_lock(file: Path) -> None:
    with holder(url_of(file)):
        pass

    await Ledger.open(url_of(file)).close()


async def test_a_closed_ledger_leaves_no_lock_and_takes_no_entries(file: Path) -> None:
    ledger = Ledger.open(url_of(file))
    await ledger.close()
    await ledger.close()

    with pytest.raises(LedgerClosedError):
        ledger.append(entry())
    assert not ledger.healthy
    await Ledger.open(url_of(file)).close()


async def test_a_forked_process_cannot_append(ledger: Ledger) -> None:
    ledger._pid += 1  # what a child sees; forking a process with threads is no test's business

    with pytest.raises(LedgerClosedError):
        ledger.append(entry())


async def test_a_newer_ledger_is_refused(file: Path) -> None:
    await Ledger.open(url_of(file)).close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE ledger_version SET version = 99")

    with pytest.raises(LedgerVersionError, match=r"has version 99.*upgrade turnrec"):
        Ledger.open(url_of(file))


async def test_an_older_ledger_is_raised_to_this_version_and_its_entries_stay(file: Path) -> None:
    first = Ledger.open(url_of(file))
    first.append(entry(at_us=1))
    await first.close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE ledger_version SET version = 1")
        connection.execute("DROP INDEX recordings_by_opening")
        before = connection.execute("SELECT * FROM entries").fetchall()
    second = Ledger.open(url_of(file))
    second.append(entry(at_us=2))
    await second.flush()
    assert (await second.verify_chain()).intact
    await second.close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT version FROM ledger_version").fetchall() == [
            (SCHEMA_VERSION,)
        ]
        assert connection.execute("SELECT * FROM entries WHERE seq = 1").fetchall() == before
        indexes = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
        assert ("recordings_by_opening",) in indexes.fetchall()
    assert SCHEMA_VERSION > 1


def test_somebody_elses_database_is_left_alone(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = file.read_bytes()

    with pytest.raises(LedgerForeignError, match="no turnrec ledger"):
        Ledger.open(url_of(file))
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    assert len(file.read_bytes()) == len(before)


def test_a_file_that_is_no_database_is_left_as_it_is(file: Path) -> None:
    file.write_bytes(b"not a database, " * 1000)

    with pytest.raises(LedgerDamagedError, match=r"left it as it is.*Restore a backup"):
        Ledger.open(url_of(file))
    assert file.read_bytes() == b"not a database, " * 1000


async def test_a_ledger_with_a_damaged_first_page_is_left_as_it_is(file: Path) -> None:
    await Ledger.open(url_of(file)).close()
    damaged = file.read_bytes()[:100] + b"\xff" * 3996 + file.read_bytes()[4096:]
    file.write_bytes(damaged)

    with pytest.raises(LedgerDamagedError):
        Ledger.open(url_of(file))
    assert file.read_bytes() == damaged


async def test_a_failed_opening_leaves_no_lock(file: Path) -> None:
    file.write_bytes(b"not a database, " * 1000)
    with pytest.raises(LedgerDamagedError):
        Ledger.open(url_of(file))
    file.unlink()

    await Ledger.open(url_of(file)).close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("mysql://user:secret@host/db", "not in mysql"),
        ("not a url, secret", "can't be read"),
        ("postgresql+nosuch://user:secret@host/db", "driver that is not installed"),
        ("sqlite:////proc/nowhere/ledger.sqlite", "cannot be used"),
    ],
)
def test_an_impossible_url_is_explained_without_its_password(url: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message) as caught:
        Ledger.open(url)
    assert "secret" not in str(caught.value)


async def test_a_reader_needs_no_lock_and_cannot_write(ledger: Ledger, file: Path) -> None:
    ledger.append(entry())
    await ledger.flush()
    reader = LedgerReader(url_of(file))

    assert [written.seq for written in await reader.entries()] == [1]
    with pytest.raises(LedgerError, match="readonly"):
        await reader._in_thread(lambda connection: connection.exec_driver_sql("DROP TABLE calls"))
    await reader.close()
