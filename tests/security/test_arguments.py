"""What reaches Asterisk as a MixMonitor's arguments: its third one would be run by a shell."""

from __future__ import annotations

import re
from pathlib import Path

from tests.loopback.house import House

EVIL = "x,touch executed"


async def test_mixmonitor_gets_a_file_of_ours_and_options_and_nothing_else(tmp_path: Path) -> None:
    async with House.open(tmp_path) as house:
        assert await house.caller.gosub("start", "kyc", "ext-1") == "OK"
        for node in (EVIL, "ask_aadhaar", f"`{EVIL}`", "confirm", "small_talk", "confirm"):
            await house.caller.gosub("turn", node)
        commands = [line for line in house.caller.commands if "MixMonitor" in line]
        await house.hang_up()
    started = [one for one in commands if one.startswith("EXEC MixMonitor ")]
    assert started
    sound = r"/var/spool/asterisk/turnrec/ID[0-9]+-[0-9]{3}\.wav,i\(TURNREC_MIXMON_ID\)"
    for one in started:
        assert re.fullmatch(f"EXEC MixMonitor {sound}", one), one
    assert all("touch" not in one for one in commands)
