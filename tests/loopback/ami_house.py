"""The main path over a FakeAsterisk, with AMI beside it: one Asterisk's two ways in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.loopback.ami_helpers import ready_client
from tests.loopback.fake_ami import FakeAmi
from tests.loopback.fake_manager import speaks_for
from tests.loopback.house import HANG_MS, House


@asynccontextmanager
async def house_with_ami(
    folder: Path, *, deadline_ms: int = HANG_MS, **settings: Any
) -> AsyncIterator[tuple[House, FakeAmi]]:
    """A house whose caller is reached by AMI, too; `settings` are the AMI client's."""
    async with (
        FakeAmi() as peer,
        ready_client(peer, **settings) as client,
        House.open(folder, ami=client, deadline_ms=deadline_ms) as house,
    ):
        speaks_for(peer, house.caller)
        yield house, peer
