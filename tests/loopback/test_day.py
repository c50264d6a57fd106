"""A day of calls at speed, in short: nothing is left over, and the ledger is what was asked."""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from bench import day, day_check, day_plan

TURNS = 200
ONCE_AND_FOR_ALL = 12
"""Descriptors that are opened with the first call: the ledger's readers."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("day")


@pytest.fixture(scope="module")
def found(folder: Path) -> day.Found:
    given = argparse.Namespace(
        turns=TURNS, at_once=12, seed=7, every=0.5, most_minutes=60.0, sample=10, ami=True
    )
    return day.run(folder, given)


def check(folder: Path) -> day_check.Checked:
    names = ("ledger.db", "journal", "recordings", "spool")
    return day_check.check(*(folder / name for name in names))


def test_every_turn_is_answered_and_entered_once_and_every_call_has_its_recordings(
    found: day.Found,
) -> None:
    calls = list(day_plan.calls(7, TURNS))
    assert found.checked.amiss == []
    assert set(found.statuses) == {"OK"}
    assert (found.turns, found.calls) == (TURNS, len(calls))
    assert found.checked.turns == sum(len(one.turns_begun) for one in calls)
    assert found.checked.recordings == sum(map(day_plan.recordings, calls))
    assert found.checked.verify_status == found.checked.sample_status == 0


def test_calls_leave_no_task_and_no_descriptor_behind(found: day.Found) -> None:
    assert found.tasks_left <= 0
    assert found.descriptors_left <= ONCE_AND_FOR_ALL < found.calls


def lose_a_turn(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        database.execute("DROP TRIGGER entries_no_delete")
        database.execute(
            "DELETE FROM entries"
            " WHERE seq = (SELECT max(seq) FROM entries WHERE kind = 'turn_begun')"
        )
        database.commit()


def ask_one_more(folder: Path) -> None:
    *lines, last = (folder / "journal").read_text().splitlines()
    uniqueid, nodes, count = json.loads(last)
    lines.append(json.dumps([uniqueid, [*nodes, "small_talk"], count]))
    (folder / "journal").write_text("\n".join(lines) + "\n")


def lose_a_call(folder: Path) -> None:
    _, *lines = (folder / "journal").read_text().splitlines()
    (folder / "journal").write_text("\n".join(lines) + "\n")


def lose_a_recording(folder: Path) -> None:
    next((folder / "recordings").glob("*/*.wav")).unlink()


def leave_a_part(folder: Path) -> None:
    (folder / "spool" / "left.wav").touch()


@pytest.mark.parametrize(
    "spoil", [leave_a_part, ask_one_more, lose_a_call, lose_a_recording, lose_a_turn]
)
def test_what_is_amiss_is_found(
    found: day.Found, folder: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    del found
    for name in ("ledger.db", "journal"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    for name in ("recordings", "spool"):
        for path in [folder / name, *(folder / name).rglob("*")]:
            target = tmp_path / path.relative_to(folder)
            target.mkdir() if path.is_dir() else target.hardlink_to(path)
    assert check(tmp_path).amiss == []
    spoil(tmp_path)
    assert check(tmp_path).amiss != []
