"""Every way to a human agent x policy x state at entry, on a real Asterisk with real phones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.pbx.matrix.harness import play
from tests.pbx.matrix.rows import all_rows, in_every_run, is_sensitive, pairwise
from tests.pbx.matrix.states import Row
from tests.pbx.matrix.table import DOCS, drawn
from tests.pbx.matrix.ways import WAYS
from turnrec.pbx.packages import Installation

ROWS = all_rows(WAYS.values())
CORE_ROWS = all_rows(way for way in WAYS.values() if way.core)


async def check(installation: Installation, folder: Path, rows: Sequence[Row]) -> None:
    """Play these rows; all that is not as it must be is said at once."""
    outcomes = await play(installation, folder, WAYS, rows)
    report = [f"{one.row.id}: {fault}" for one in outcomes for fault in one.faults]
    assert not report, "\n".join([f"{len(rows)} rows played", *report])


@pytest.mark.pbx
async def test_the_sensitive_rows_and_a_pairwise_choice_of_the_others(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    await check(asterisk_22, tmp_path, in_every_run(ROWS))


@pytest.mark.pbx
async def test_a_pairwise_choice_of_the_core_ways_on_16(
    asterisk_16: Installation, tmp_path: Path
) -> None:
    await check(asterisk_16, tmp_path, pairwise(CORE_ROWS))


@pytest.mark.matrix
async def test_every_row(asterisk_22: Installation, tmp_path: Path) -> None:
    await check(asterisk_22, tmp_path, ROWS)


@pytest.mark.matrix
async def test_every_row_of_the_core_ways_on_16(asterisk_16: Installation, tmp_path: Path) -> None:
    await check(asterisk_16, tmp_path, CORE_ROWS)


def test_every_run_plays_each_sensitive_row_and_each_pair_of_values() -> None:
    chosen = in_every_run(ROWS)
    assert {row for row in ROWS if is_sensitive(row)} <= set(chosen)
    for one, other in (
        ("way", "policy"),
        ("way", "entry"),
        ("known", "entry"),
        ("policy", "entry"),
    ):
        pairs = {(getattr(row, one), getattr(row, other)) for row in ROWS}
        assert pairs == {(getattr(row, one), getattr(row, other)) for row in chosen}


def test_the_docs_show_the_table_that_the_tests_run_on() -> None:
    text = DOCS.read_text("utf-8")
    assert text == drawn(text, WAYS.values()), "run tools/draw_matrix.py"
