"""A channel that has another name than turnrec knows: a masquerade that nobody told it of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pbx.callers import FLOW, dialplan, leaks_of, monitored_files, write_prompts
from tests.pbx.rig import rig, until
from tests.pbx.test_restart import go_on, hold_all
from turnrec.core.policy import Action
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

BOT = dialplan("start", "open", "ask", "open")
UNHEARD_OF = "PJSIP/nobody-00000099"


async def test_an_operators_pause_finds_it_by_its_uniqueid(
    asterisk: Installation, tmp_path: Path
) -> None:
    """A pause that finds no such channel stops nothing."""
    async with (
        rig(asterisk, tmp_path, FLOW, BOT, toml={"sweep": {"interval_s": "1"}}) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = await hold_all(here, phone, ("segment", "opened"), ("mute", "opened"))
        running = set(await monitored_files(here))
        assert len(running) == 2
        names = {call.id: call.channel for call in here.service.calls.live()}
        for call in here.service.calls.live():
            call.channel = UNHEARD_OF
            assert (await here.operate(call.id, Action.PAUSE))["state"] == "paused"
        (muted,) = await monitored_files(here)
        assert muted in running
        for call in here.service.calls.live():
            assert (await here.operate(call.id, Action.RESUME))["state"] == "recording"
        assert len(await monitored_files(here)) == 2

        await until(
            lambda: {one.id: one.channel for one in here.service.calls.live()} == names,
            "the next list of the channels tells of the names",
        )
        await go_on(callers)
        assert {one.status for one in await here.recordings(2)} == {"done"}
        assert leaks_of(here) == []
