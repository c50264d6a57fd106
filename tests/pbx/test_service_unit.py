"""A server that systemd ends and starts again by deploy/systemd/turnrec.service, amid calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pbx.callers import (
    FLOW,
    OPEN_S,
    dialplan,
    heard,
    leaks_of,
    least_s,
    monitored_files,
    write_prompts,
)
from tests.pbx.process import free_port, ledger_of, serving, turnrec
from tests.pbx.rig import rig
from tests.pbx.test_cli import asterisk_command
from tests.pbx.test_restart import go_on, hold_all
from tests.pbx.tones import OPEN_BOT_HZ
from tests.unit.deploy.units import Unit
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

BOT = dialplan("start", "open", "ask", "open", "open")


async def test_between_its_end_and_its_next_start_nothing_records_and_then_calls_go_on(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    stop_post = Unit("turnrec.service").command("ExecStopPost")
    toml = {"server": {"agi_port": str(free_port())}}
    async with (
        rig(asterisk_22, tmp_path, FLOW, BOT, start=False, toml=toml) as here,
        Phone(clock=MediaClock()) as phone,
        serving(here) as server,
    ):
        write_prompts(here)
        callers = await hold_all(here, phone, ("segment", "opened"), ("segment", "asked"))
        assert len(await monitored_files(here)) == 1
        await server.kill()
        panicked = await turnrec(
            here, *stop_post, "--asterisk", asterisk_command(here, asterisk_22)
        )
        assert panicked.status == 0, panicked.err
        assert "1 monitors stopped" in panicked.out
        assert await monitored_files(here) == []
        await server.start()
        await server.wait_ami()
        assert {one["state"] for one in await server.calls()} == {"paused"}
        await go_on(callers)
        async with ledger_of(here) as ledger:
            for record in await ledger.closed_recordings(2):
                assert record.file is not None
                sound = here.settings.recordings.dir / record.file
                # One open turn before the end of the server or none, and two after it.
                assert heard([sound])[OPEN_BOT_HZ] >= least_s(2 * OPEN_S, record, callers)
        assert leaks_of(here) == []
