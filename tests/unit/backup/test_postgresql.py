"""A ledger in PostgreSQL: its recordings are backed up, the rest is pg_dump's.

`make test-postgresql`; the database is emptied. `make test` starts no database server.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.unit.backup.house import NOW_US, World, places_in
from tests.unit.verify.house import build_now
from turnrec.backup.errors import RestoreRefusedError
from turnrec.backup.make import backup
from turnrec.backup.places import Places
from turnrec.backup.restore import restore
from turnrec.ledger.engine import parse_url, writer_engine

URL = os.environ.get("TURNREC_TEST_POSTGRESQL", "")
pytestmark = pytest.mark.postgresql


def in_postgresql(folder: Path) -> Places:
    return replace(places_in(folder), ledger_url=URL, ledger_file=None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    assert URL, "set TURNREC_TEST_POSTGRESQL to the URL of an empty database"
    engine = create_engine(URL)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return World(tmp_path, build_now(tmp_path / "data", ledger_url=URL))


def test_its_recordings_are_backed_up_and_restored_and_proven(world: World) -> None:
    report = backup(in_postgresql(world.house.folder), world.store, NOW_US)
    assert report.problems == []
    assert report.recordings == 1
    assert any("pg_dump" in note for note in report.notes)
    assert list(world.store.glob("books-*/ledger.db")) == []
    again = backup(in_postgresql(world.house.folder), world.store, NOW_US)
    assert (again.problems, again.new_files) == ([], 0)
    back = restore(in_postgresql(world.folder / "new"), world.store)
    assert back.is_whole
    assert (back.verdict, back.unproven) == ("proven", [])


def test_while_a_server_writes_it_nothing_is_restored(world: World) -> None:
    backup(in_postgresql(world.house.folder), world.store, NOW_US)
    engine = writer_engine(parse_url(URL), busy_timeout_ms=1000)
    try:
        with engine.connect(), pytest.raises(RestoreRefusedError, match="only one turnrec"):
            restore(in_postgresql(world.folder / "new"), world.store)
    finally:
        engine.dispose()
    assert not (world.folder / "new").exists()


def test_its_backup_cannot_be_restored_to_a_machine_without_it(world: World) -> None:
    backup(in_postgresql(world.house.folder), world.store, NOW_US)
    with pytest.raises(RestoreRefusedError, match="was in PostgreSQL"):
        restore(world.empty, world.store)
