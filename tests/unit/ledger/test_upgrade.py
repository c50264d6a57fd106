"""A ledger that an older turnrec has written is copied, upgraded, and goes on."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.unit.ledger.helpers import entry, url_of
from turnrec.core.entry import EntryKind
from turnrec.core.recorder import State
from turnrec.ledger import Ledger, LedgerReader, LedgerVersionError
from turnrec.ledger.checkpoints import Checkpoint, read_lines
from turnrec.ledger.errors import LedgerNotUpgradedError
from turnrec.ledger.keys import PublicKey
from turnrec.ledger.projections import rebuild
from turnrec.ledger.schema import SCHEMA_VERSION, metadata
from turnrec.ledger.search import RecordingSearch
from turnrec.ledger.views import RecordingStatus
from turnrec.verify.findings import Status
from turnrec.verify.run import Evidence, verify

OLDER = Path(__file__).parent / "older"
VERSIONS = {1: 48}
"""Each older version of which there is a ledger, as its own turnrec wrote it, and its entries."""


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, Path]:
    """An older ledger, and its version."""
    version: int = request.param
    path = tmp_path / "ledger.db"
    shutil.copy(OLDER / f"v{version}.db", path)
    return version, path


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def all_entries(path: Path) -> list[tuple[object, ...]]:
    return rows(path, "SELECT * FROM entries ORDER BY seq")


def test_there_is_a_ledger_of_each_older_version() -> None:
    assert set(VERSIONS) == set(range(1, SCHEMA_VERSION))


async def test_an_older_ledger_is_upgraded_and_goes_on(old: tuple[int, Path]) -> None:
    version, path = old
    before = all_entries(path)
    assert len(before) == VERSIONS[version]
    ledger = Ledger.open(url_of(path))
    ledger.append(entry(EntryKind.ACCESSED, at_us=8_000_000_000))  # a kind that version 1 lacked
    await ledger.flush()
    report = await ledger.verify_chain()
    await ledger.close()
    assert report.intact
    assert report.entries == len(before) + 1
    assert all_entries(path)[: len(before)] == before
    assert rows(path, "SELECT version FROM ledger_version") == [(SCHEMA_VERSION,)]
    wanted = {index.name for table in metadata.sorted_tables for index in table.indexes}
    there = {name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert {name for name in wanted if not str(name).endswith("_prefix")} <= there


async def test_an_upgraded_ledger_answers_what_is_asked_now(old: tuple[int, Path]) -> None:
    _, path = old
    await Ledger.open(url_of(path)).close()
    reader = LedgerReader(url_of(path))
    found = {one.recording_id: one for one in await reader.recordings()}
    assert {name: one.status for name, one in found.items()} == {
        "R1": RecordingStatus.DONE,
        "R2": RecordingStatus.DONE,
        "R3": RecordingStatus.DELETED,
        "R4": RecordingStatus.PAUSED,
    }
    assert found["R2"].legal_hold == "a case"
    (live,) = await reader.calls(live=True)
    assert (live.call_id, live.state) == ("C4", State.PAUSED)
    assert len(await reader.search_recordings(RecordingSearch())) == 4
    await reader.close()


async def test_its_tables_are_what_its_entries_come_to_today(old: tuple[int, Path]) -> None:
    _, path = old
    await Ledger.open(url_of(path)).close()
    tables = ("SELECT * FROM calls ORDER BY 1", "SELECT * FROM recordings ORDER BY 1")
    upgraded = [rows(path, table) for table in tables]
    engine = create_engine(url_of(path))
    with engine.begin() as connection:
        rebuild(connection)
    engine.dispose()
    assert [rows(path, table) for table in tables] == upgraded


async def test_before_it_is_upgraded_there_is_a_copy(old: tuple[int, Path]) -> None:
    version, path = old
    before = all_entries(path)
    await Ledger.open(url_of(path)).close()
    copy = path.with_name(f"ledger.db.v{version}-{VERSIONS[version]}.bak")
    assert rows(copy, "SELECT version FROM ledger_version") == [(version,)]
    assert all_entries(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o640
    written = copy.stat()
    await Ledger.open(url_of(path)).close()
    assert copy.stat() == written
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "ledger.db", "ledger.db.lock", copy.name
    ]  # fmt: skip


async def test_the_copy_can_take_the_ledgers_place_again(old: tuple[int, Path]) -> None:
    version, path = old
    await Ledger.open(url_of(path)).close()
    path.with_name(f"ledger.db.v{version}-{VERSIONS[version]}.bak").replace(path)
    assert rows(path, "SELECT version FROM ledger_version") == [(version,)]
    ledger = Ledger.open(url_of(path))
    assert (await ledger.verify_chain()).intact
    await ledger.close()


@pytest.mark.parametrize("in_the_way", ["disk", "folder"])
def test_where_no_copy_can_be_made_it_is_left_as_it_is(
    old: tuple[int, Path], in_the_way: str
) -> None:
    version, path = old
    before = path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if in_the_way == "disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limit[1]))
        else:
            path.with_name(f"ledger.db.v{version}-{VERSIONS[version]}.bak").mkdir()
        with pytest.raises(LedgerNotUpgradedError, match=r"was left as it is.*start it again"):
            Ledger.open(url_of(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*.tmp"))


async def test_a_copy_that_a_crash_cut_off_is_made_anew(old: tuple[int, Path]) -> None:
    version, path = old
    copy = path.with_name(f"ledger.db.v{version}-{VERSIONS[version]}.bak")
    copy.write_bytes(path.read_bytes()[:5000])
    await Ledger.open(url_of(path)).close()
    assert len(all_entries(copy)) == VERSIONS[version]


async def test_what_was_signed_then_vouches_for_the_upgraded_ledger(old: tuple[int, Path]) -> None:
    version, path = old
    checkpoints = OLDER / f"v{version}.checkpoints.jsonl"
    assert all(isinstance(one, Checkpoint) for _, one in read_lines(checkpoints))
    await Ledger.open(url_of(path)).close()
    key = PublicKey.read(OLDER / f"v{version}.pub")
    outcome = verify(str(path), Evidence(checkpoints=checkpoints, public_key=key))
    assert outcome.ledger is not None
    assert outcome.ledger.status is Status.PROVEN, outcome.ledger.findings


async def test_an_older_ledger_is_verified_without_being_upgraded(old: tuple[int, Path]) -> None:
    version, path = old
    before = path.read_bytes()
    outcome = verify(str(path), Evidence())
    assert outcome.ledger is not None
    assert outcome.ledger.status is Status.PROVEN
    assert path.read_bytes() == before
    assert rows(path, "SELECT version FROM ledger_version") == [(version,)]


def test_a_newer_ledger_is_left_as_it_is_and_without_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(OLDER / "v1.db", path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE ledger_version SET version = ?", (SCHEMA_VERSION + 1,))
    before = path.read_bytes()
    with pytest.raises(LedgerVersionError, match="upgrade turnrec"):
        Ledger.open(url_of(path))
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.bak"))
