"""An open ledger that is closed again, whatever the test does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.ledger.helpers import QUICK, Errors, url_of
from turnrec.ledger import Ledger


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def errors() -> Errors:
    return Errors()


@pytest.fixture
async def ledger(file: Path, errors: Errors) -> AsyncIterator[Ledger]:
    ledger = Ledger.open(url_of(file), limits=QUICK, on_error=errors)
    yield ledger
    await ledger.close()
