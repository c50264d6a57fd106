"""The watchdog's parent: what it does not start anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnrec.supervise import start_patience_s, supervise


async def test_a_child_that_cannot_read_its_configuration_is_not_started_anew(
    tmp_path: Path,
) -> None:
    missing = str(tmp_path / "missing.toml")
    assert await supervise(["serve", "--config", missing], tmp_path / "s", 60) == 2


@pytest.mark.parametrize(
    ("failed", "patience_s"), [(0, 30), (1, 60), (2, 120), (3, 240), (4, 300), (10_000, 300)]
)
def test_a_start_that_was_ended_for_its_length_gets_longer_the_next_time(
    failed: int, patience_s: float
) -> None:
    assert start_patience_s(failed) == patience_s
