"""turnrec or Asterisk ends and comes back in the middle of calls."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from tests.pbx.callers import (
    FLOW,
    OPEN_S,
    Caller,
    connect,
    dialplan,
    heard,
    leaks_of,
    least_s,
    monitored_files,
    write_prompts,
)
from tests.pbx.process import eventually, free_port, ledger_of, serving
from tests.pbx.relay import ami_relay
from tests.pbx.rig import Rig, rig, until
from tests.pbx.tones import OPEN_BOT_HZ
from turnrec.core.entry import EntryKind
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

BOT = dialplan("start", "open", "ask", "open", "ask", "open")
BOTH_METHODS = ("segment", "mute")
FLUSHED_BYTES = 40_000
"""Asterisk writes a part in steps of 32 KiB."""


def same_port(**sections: dict[str, str]) -> dict[str, dict[str, str]]:
    return {"server": {"agi_port": str(free_port())}, **sections}


async def hold_all(here: Rig, phone: Phone, *where: tuple[str, str]) -> list[Caller]:
    """Have a caller wait at each of these marks: (extension's words, mark)."""
    callers = []
    for words, mark in where:
        caller = Caller(here, f"test-{words}-{mark}")
        caller.hold_at(mark)
        callers.append(caller)
    await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
    for caller, (_, mark) in zip(callers, where, strict=True):
        await caller.reached(mark)
    return callers


async def go_on(callers: list[Caller]) -> None:
    """Let everybody go on to the end."""
    for caller in callers:
        caller.let_on()
    await asyncio.gather(*(caller.reaches_the_end() for caller in callers))


# ------------------------------------------------------------------ turnrec ends and comes back


async def test_a_call_keeps_its_state_over_a_restart(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk, tmp_path, FLOW, BOT) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        where = [(method, mark) for method in BOTH_METHODS for mark in ("opened", "asked")]
        callers = await hold_all(here, phone, *where)
        before = await monitored_files(here)
        await here.stop_service()
        assert await monitored_files(here) == before
        service = await here.start_service()
        await until(lambda: len(service.calls.live()) == len(callers), "taken up by AMI")
        states = {(one.bot.name, str(one.recorder.state)) for one in service.calls.live()}
        assert states == {(m, s) for m in BOTH_METHODS for s in ("recording", "paused")}
        after = await monitored_files(here)
        # A mute can't be read back: the first sweep or turn after the restart ends what was muted.
        assert set(after) <= set(before)
        assert len(after) >= len(BOTH_METHODS)
        await go_on(callers)
        await all_is_recorded(here, callers, await here.recordings(len(callers)))
        assert (await service.ledger.verify_chain()).breaks == ()


async def all_is_recorded(
    here: Rig, callers: list[Caller], recordings: list[RecordingRecord]
) -> None:
    """Every turn was answered OK, every open one is in its recording, and nothing else."""
    for caller in callers:
        statuses = caller.statuses("start", "open", "ask")
        assert statuses == ["OK"] * 6, (caller.extension, statuses)
    for recording in recordings:
        assert recording.status == "done"
        said = heard([here.file(recording)])[OPEN_BOT_HZ]
        assert said >= least_s(3 * OPEN_S, recording, callers), recording
    assert leaks_of(here) == []


async def test_sigterm_ends_turnrec_in_order_and_its_calls_go_on(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, BOT, start=False, toml=same_port()) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        async with serving(here) as server, ledger_of(here) as ledger:
            callers = await hold_all(here, phone, ("segment", "opened"), ("mute", "asked"))
            before = await monitored_files(here)
            assert await server.end() == 0
            assert await monitored_files(here) == before
            await server.start()
            await go_on(callers)
            recordings = await ledger.closed_recordings(len(callers))
            kinds = [one.kind for one in await ledger.entries()]
        assert kinds.count(EntryKind.SERVER_STOPPED) == 1
        await all_is_recorded(here, callers, recordings)


async def test_a_call_is_taken_up_by_its_next_turn_alone(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    toml = {"asterisk": {"ami_enabled": "false"}}
    async with (
        rig(asterisk_22, tmp_path, FLOW, BOT, toml=toml) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = await hold_all(here, phone, ("segment", "opened"), ("segment", "asked"))
        await here.stop_service()
        await here.start_service()
        await go_on(callers)
        await all_is_recorded(here, callers, await here.recordings(len(callers)))


async def test_what_was_answered_for_is_kept_if_turnrec_is_killed_at_once(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    bot = dialplan("start", "open", "ask", "open")
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot, start=False, toml=same_port()) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        async with serving(here) as server, ledger_of(here) as ledger:
            (resumed,) = await hold_all(here, phone, ("segment", "asked"))
            resumed.hold_at("open")
            started = Caller(here, "test-segment-start")
            started.hold_at("start")
            await connect(here, phone, started)
            await started.reached("start")
            resumed.let_on("asked")
            await resumed.reached("open", 2)
            await server.kill()
            await server.start()
            await server.wait_ami()
            await go_on([resumed, started])
            await ledger.no_call_is_live()
            recordings = await ledger.closed_recordings(2)
        for recording in recordings:
            assert recording.status == "done"
            assert recording.file is not None
            said = heard([here.file(recording)])[OPEN_BOT_HZ]
            assert least_s(2 * OPEN_S, recording, [resumed, started]) <= said <= 2 * OPEN_S
        assert leaks_of(here) == []


async def test_an_operators_resume_cut_by_a_kill_uncovers_nothing(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    bot = dialplan("start", "open", "ask", "open")
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot, start=False) as here,
        ami_relay(here.pbx.ports.ami_tcp) as relay,
        Phone(clock=MediaClock()) as phone,
    ):
        here.configure(same_port(asterisk={"ami_port": str(relay.port), "ami_timeout_ms": "60000"}))
        write_prompts(here)
        async with serving(here) as server:
            callers = await hold_all(here, phone, ("segment", "opened"), ("segment-2", "opened"))
            uniqueids = [one["uniqueid"] for one in await server.calls()]
            for uniqueid in uniqueids:
                assert (await server.act(uniqueid, "pause"))["state"] == "paused"
            assert await monitored_files(here) == []
            relay.hold_answers_after("MixMonitor")
            resumes = [asyncio.create_task(server.act(one, "resume")) for one in uniqueids]
            await eventually(lambda: are_monitored(here, len(callers)), "their monitors run")
            await server.kill()
            cut = await asyncio.gather(*resumes, return_exceptions=True)
            assert all(isinstance(one, httpx.HTTPError) for one in cut)
            relay.let_on()
            meets_nobody, meets_the_next = callers
            meets_nobody.hold_at("asked")
            meets_nobody.let_on("opened")
            await meets_nobody.reached("asked")
            await server.start()
            await server.wait_ami()
            await go_on(callers)
        assert meets_nobody.statuses("ask") == ["FAILCLOSED"]
        assert [one.state for one in meets_the_next.all("ask")] == ["paused"]
        assert leaks_of(here) == []


async def are_monitored(here: Rig, count: int) -> bool:
    """Whether so many MixMonitors run."""
    return len(await monitored_files(here)) == count


# ------------------------------------------------------------------ Asterisk ends and comes back


async def test_asterisk_killed_leaves_a_failed_recording_with_what_is_on_disk(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, BOT) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        where = [(method, mark) for method in BOTH_METHODS for mark in ("opened", "asked")]
        callers = await hold_all(here, phone, *where)
        monitored = await monitored_files(here)
        spool = here.settings.recordings.spool_dir
        writing = [spool / f"{path.stem}.wav" for path in monitored]
        await until(
            lambda: any(path.stat().st_size > FLUSHED_BYTES for path in writing), "audio on disk"
        )
        here.pbx.kill(signal.SIGKILL)
        assert await asyncio.to_thread(here.pbx.wait_gone)
        for caller in callers:
            caller.let_on()
        await until(lambda: not here.service.ami.ready, "AMI is lost")
        await here.restart_pbx()
        recordings = await here.recordings(len(where))
        for recording in recordings:
            mended = any(path in writing for path in here.parts(recording))
            assert recording.status == ("failed" if mended else "done"), recording
            assert recording.file is not None
            joined, parts = heard([here.file(recording)]), heard(here.parts(recording))
            assert joined[OPEN_BOT_HZ] >= least_s(parts[OPEN_BOT_HZ], recording, callers)
        assert sum(heard(writing).values()) > 0
        assert leaks_of(here) == []
        assert here.service.calls.live() == []


async def test_calls_are_recorded_again_after_asterisk_was_restarted(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, BOT) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        ended = await hold_all(here, phone, ("segment", "opened"), ("mute", "asked"))
        for caller in ended:
            caller.let_on()
        await here.rx("core restart now")
        await until(lambda: not here.service.ami.ready, "AMI is lost")
        await until(lambda: here.service.ami.ready, "AMI is back")
        before = await here.recordings(2)
        assert [one.status for one in before] == ["done"] * 2
        await here.point_at(here.service.agi_port)
        callers = [Caller(here, f"test-{method}-again") for method in BOTH_METHODS]
        await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        for caller in callers:
            assert caller.statuses("start", "open", "ask") == ["OK"] * 6
        for recording in await here.recordings(4):
            assert recording.status == "done"
        assert leaks_of(here) == []
        written = await here.service.ledger.entries(limit=None)
        ends = [one for one in written if one.entry.kind is EntryKind.CALL_ENDED]
        assert len(ends) == 4
