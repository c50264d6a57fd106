"""`turnrec panic` on a real Asterisk whose channels no longer say what records them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.pbx.callers import FLOW, Caller, dialplan, leaks_of, monitored_files, write_prompts
from tests.pbx.process import free_port, turnrec
from tests.pbx.rig import Rig, rig, until
from tests.pbx.test_cli import DONE, REFUSED, asterisk_command, held_at
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

BOT = dialplan("start", "open", "ask", "open")
NO_COMMAND = ("--asterisk", "false")
LOST = {"empty": '""', "stale": "0xdead", "right": None}
"""What becomes of TURNREC_MIXMON_ID on each caller's channel."""


async def ends(here: Rig, *callers: Caller) -> None:
    for caller in callers:
        caller.let_on()
    await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
    assert leaks_of(here) == []


async def test_a_monitor_that_its_channel_no_longer_names_is_stopped_or_told_of(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk, tmp_path, FLOW, BOT) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = {
            lost: await held_at(here, phone, "opened", f"test-segment-{lost}") for lost in LOST
        }
        channels = [call.channel for call in here.service.calls.live()]
        await here.stop_service()
        assert len(await monitored_files(here)) == len(callers)
        for (lost, value), channel in zip(LOST.items(), channels, strict=True):
            if value is not None:
                said = await here.rx(f"dialplan set chanvar {channel} TURNREC_MIXMON_ID {value}")
                assert "Unable" not in said, lost

        by_ami = await turnrec(here, "panic", *NO_COMMAND)
        running = await monitored_files(here)
        assert len(running) == 2
        assert by_ami.status == REFUSED
        assert "1 monitors stopped" in by_ami.out
        for path in running:
            assert f"NOT KNOWN: {path.name}.wav on PJSIP/tester-" in by_ami.err

        by_both = await turnrec(here, "panic", "--asterisk", asterisk_command(here, asterisk))
        assert by_both.status == DONE, by_both.err
        assert "2 monitors stopped" in by_both.out
        assert await monitored_files(here) == []
        await ends(here, *callers.values())


async def test_by_ami_alone_the_spool_tells_that_all_is_well(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk, tmp_path, FLOW, BOT) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = [await held_at(here, phone, "opened", f"test-segment-{n}") for n in "12"]
        await here.stop_service()
        panicked = await turnrec(here, "panic", *NO_COMMAND)
        assert panicked.status == DONE, panicked.err
        assert "2 monitors stopped" in panicked.out
        assert await monitored_files(here) == []
        await ends(here, *callers)


async def test_what_was_dialled_hides_no_monitor(asterisk: Installation, tmp_path: Path) -> None:
    """A Local channel's name holds the dialled words, with blanks and whatever else.

    So does a caller's number, line ends included.
    """
    spool = tmp_path / "spool"
    forged = "49%0APJSIP/x-1!c!s!1!Up!AGI!d!1!!!3!0!!9.9%0A1"
    odd = (
        "[odd]\nexten => _.,1,Answer()\n"
        f" same => n,Set(CALLERID(num)=${{URIDECODE({forged})}})\n"
        f" same => n,MixMonitor({spool}/${{UNIQUEID}}.wav)\n"
    )
    dead_ami = {"asterisk": {"ami_port": str(free_port())}}
    async with rig(
        asterisk, tmp_path, FLOW, BOT + odd + " same => n,Wait(600)\n", start=False
    ) as here:
        here.configure(dead_ami)
        for dialled in ('"Local/a b@odd"', r'"Local/a\"b\\c@odd"', "Local/plain@odd"):
            await here.rx(f"channel originate {dialled} application Wait 600")
        await until(lambda: len(list(spool.glob("*.wav"))) == 3, "three monitors")
        panicked = await turnrec(here, "panic", "--asterisk", asterisk_command(here, asterisk))
        assert panicked.status == DONE, panicked.err
        assert "not reached by AMI" in panicked.err
        assert "3 monitors stopped" in panicked.out
        await here.rx("channel request hangup all")
