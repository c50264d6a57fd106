"""What turnrec remembers of a call ends with it."""

from __future__ import annotations

from pathlib import Path

from tests.loopback.house import House
from turnrec.others import OtherRecorders


async def test_without_ami_nothing_is_remembered_of_a_channel_that_has_hung_up(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        house.calls.others = OtherRecorders(house.calls, house.ways)
        await house.hear("greeting", "ask_aadhaar", "confirm")
        assert len(house.ways.tally) == 1
        await house.hang_up()
        assert len(house.ways.tally) == 0
