"""Which tests share a process: those that listen to a real Asterisk go one after the other.

They judge sound by packets of 20 ms; two of them at once on two cores starve each other, and a
guard of 80 ms is then no guard. Everything else runs beside them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent
ONE_AFTER_THE_OTHER = ("pbx", "chaos", "page", "security")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each test into the group that one process runs (pytest-xdist, `--dist loadgroup`)."""
    for item in items:
        folder = item.path.relative_to(ROOT).parts[0]
        group = "asterisk" if folder in ONE_AFTER_THE_OTHER else str(item.path.relative_to(ROOT))
        item.add_marker(pytest.mark.xdist_group(group))
