"""The watchdog's parent: what it does not start anew."""

from __future__ import annotations

from pathlib import Path

from turnrec.supervise import supervise


async def test_a_child_that_cannot_read_its_configuration_is_not_started_anew(
    tmp_path: Path,
) -> None:
    missing = str(tmp_path / "missing.toml")
    assert await supervise(["serve", "--config", missing], tmp_path / "s", 60) == 2
