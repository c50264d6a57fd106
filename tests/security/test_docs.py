"""docs/security.md names a test for each threat, and each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[a-z_0-9/]+\.py)(?:::(test_[a-z_0-9]+))?`", TEXT)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_the_threats_name_is_there(file: str, test: str) -> None:
    source = (ROOT / file).read_text("utf-8")
    assert not test or re.search(rf"def {test}\(", source), f"{file} has no {test}"


def test_every_threat_names_a_test_or_says_that_it_is_not_stopped() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| (?!he tries|what|files|---)", line)]
    threats = [row for row in rows if row.count("|") == 4 and ("tests/" in row or "stop" in row)]
    assert len(threats) > 30
    assert all("`tests/" in row or "**not stopped**" in row for row in threats)
