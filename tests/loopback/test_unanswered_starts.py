"""A start whose outcome isn't known may come true later: it is found before anybody hears OK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

import pytest

from tests.loopback import ami_house
from tests.loopback.clock import PATIENCE_MS, leap
from tests.loopback.fake_ami import FakeAction, FakeAmi, success
from tests.loopback.fake_asterisk import (
    ASTERISK_SPOOL,
    HANG_S,
    FakeAsterisk,
    FakeChannel,
    done_but_answered_with,
)
from tests.loopback.fake_manager import speaks_for
from tests.loopback.house import HANG_MS, SOON_MS, House, OneFlow
from tests.loopback.test_restart import before, generation, tick_us
from turnrec.answer import Status
from turnrec.asterisk.mixmonitor import STUCK_S
from turnrec.calls import Asker
from turnrec.core.entry import Entry, EntryKind, Origin
from turnrec.core.errors import UnansweredError
from turnrec.core.monitor import Start
from turnrec.core.policy import Action, Flow
from turnrec.core.recorder import Source, State
from turnrec.ledger import Ledger, Limits
from turnrec.meddling import Meddling
from turnrec.net import Net

BOT = Asker(Origin.HTTP, "key:bot")
REFUSED = b"510 Invalid or unknown command\n"
SECRET = b"4321 8765 2109"
MANY = 200


# -- by the dialplan -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "first"), list(product(["start", "resume", "pause"], range(1, 6)))
)
async def test_whatever_is_done_and_answered_with_a_refusal_from_now_on_no_pause_is_recorded(
    tmp_path: Path, request_: str, first: int
) -> None:
    async with House.open(tmp_path) as house:
        if request_ != "start":
            await house.hear("greeting", *(["ask_aadhaar"] if request_ == "resume" else []))
        for number in range(first, first + MANY):
            house.caller.on(number, done_but_answered_with(REFUSED))
        if request_ == "start":
            await house.ask("start", "kyc")
        elif request_ == "resume":
            await house.ask("turn", "confirm")
        await house.ask("turn", "ask_aadhaar")
        house.caller.speak(SECRET)
        assert house.caller.running == []
        house.caller.heal()
        assert await house.ask("turn", "ask_aadhaar") == "OK"
        assert await house.ask("turn", "confirm") == "OK"
        assert len(house.caller.running) == 1


# -- by AMI --------------------------------------------------------------------------------------


@asynccontextmanager
async def house_with_ami(
    folder: Path, deadline_ms: int = HANG_MS
) -> AsyncIterator[tuple[House, FakeAmi]]:
    """A call that is paused."""
    opened = ami_house.house_with_ami(
        folder, deadline_ms=deadline_ms, action_timeout_ms=PATIENCE_MS
    )
    async with opened as (house, peer):
        await house.hear("greeting", "ask_aadhaar")
        yield house, peer


class StuckDisk:
    """Asterisk hangs in MixMonitor, and with it the session that it came by."""

    def __init__(self, house: House, peer: FakeAmi) -> None:
        self._house = house
        self._peer = peer
        self._start: FakeAction | None = None
        self.has_thawed = False
        peer.on("MixMonitor", self._hang)
        peer.on("Getvar", lambda _: leap())

    def _hang(self, action: FakeAction) -> None:
        self._start = action
        leap()

    def thaw(self) -> None:
        """The start comes true."""
        assert self._start is not None
        file, options = self._start.get("File"), self._start.get("Options")
        self._house.caller.run("MixMonitor", f"{file},{options}")
        self.has_thawed = True

    def thaw_at_setvar(self) -> None:
        """The start comes true right before the next variable is set."""

        def set_variable(action: FakeAction) -> None:
            if not self.has_thawed:
                self.thaw()
            self._house.caller.variables[action.get("Variable") or ""] = action.get("Value") or ""
            action.answer("Success")

        self._peer.on("Setvar", set_variable)

    async def break_the_session(self) -> None:
        """A resume hangs in it, its session breaks, and another one is there."""
        resume = asyncio.create_task(http_turn(self._house, "confirm"))
        await self._peer.received("MixMonitor")
        await session_breaks(self._peer)
        assert await resume is Status.FAILCLOSED
        speaks_for(self._peer, self._house.caller)
        await session_is_back(self._house, self._peer)


async def session_breaks(peer: FakeAmi) -> None:
    (await peer.session()).abort()


async def session_is_back(house: House, peer: FakeAmi) -> None:
    await peer.session(2)
    await house.ways.ami.wait_ready(PATIENCE_MS * 10)


async def http_turn(house: House, node: str) -> Status:
    return (await house.calls.turn(house.by_ami, node, BOT)).status


async def test_a_start_that_comes_true_while_its_failure_is_told_keeps_its_name(
    tmp_path: Path,
) -> None:
    """Seen when a disk hung: the variables written next were done after it, and wiped its ID."""
    async with house_with_ami(tmp_path) as (house, peer):
        disk = StuckDisk(house, peer)
        disk.thaw_at_setvar()
        assert await http_turn(house, "confirm") is Status.FAILCLOSED
        assert disk.has_thawed
        assert len(house.caller.running) == 1, "the start has come true"
        speaks_for(peer, house.caller)
        assert await http_turn(house, "confirm") is Status.OK
        assert len(house.caller.running) == 1, "that one was ended first"
        assert await http_turn(house, "ask_aadhaar") is Status.OK
        house.caller.speak(SECRET)
        assert house.caller.running == []


async def test_no_turn_is_ok_while_a_start_by_a_session_that_broke_may_come_true(
    tmp_path: Path,
) -> None:
    async with house_with_ami(tmp_path) as (house, peer):
        disk = StuckDisk(house, peer)
        await disk.break_the_session()
        for node in ("confirm", "ask_aadhaar"):
            assert await http_turn(house, node) is Status.FAILCLOSED
        assert await house.ask("turn", "ask_otp") == "FAILCLOSED"
        disk.thaw()
        assert await http_turn(house, "ask_aadhaar") is Status.OK
        house.caller.speak(SECRET)
        assert house.caller.running == []


async def test_another_monitor_of_ours_is_seen_when_the_known_one_is_stopped(
    tmp_path: Path,
) -> None:
    async with house_with_ami(tmp_path) as (house, _):
        assert await house.ask("turn", "confirm") == "OK"
        assert house.call.recording is not None
        stray = house.spool.asterisk_path(f"{house.call.recording.id}-009.wav")
        house.caller.run("MixMonitor", f"{stray},i(TURNREC_MIXMON_ID)")
        assert await house.ask("turn", "ask_aadhaar") == "FAILCLOSED"
        assert house.caller.running == []


async def test_a_start_by_a_way_that_is_gone_is_given_up_in_the_end(tmp_path: Path) -> None:
    async with house_with_ami(tmp_path) as (house, _):
        driver = house.by_ami.driver(house.call.bot.pause_method)
        now_us = house.ways.clock()
        start = Start("R1-001.wav", "ami 0", now_us)
        with pytest.raises(UnansweredError):
            await driver.rule_out(start)
        assert await driver.rule_out(Start("R1-001.wav", driver.order, now_us))
        long_ago_us = now_us - STUCK_S * 1_000_000
        assert not await driver.rule_out(Start("R1-001.wav", "ami 0", long_ago_us))


async def test_a_monitor_that_begins_after_a_turn_gave_up_waiting_is_stopped_before_anything_else(
    tmp_path: Path,
) -> None:
    """AMI is slow: whatever were told first would be told while the turn's prompt is recorded."""
    async with house_with_ami(tmp_path, deadline_ms=SOON_MS) as (house, peer):
        held: list[FakeAction] = []
        peer.on("MixMonitor", held.append)
        resume = asyncio.create_task(http_turn(house, "confirm"))
        await peer.received("MixMonitor")
        assert await house.ask("turn", "ask_otp") == "FAILCLOSED"

        def speaking(action: FakeAction) -> None:
            house.caller.speak(SECRET)
            action.answer("Success")

        peer.on("Setvar", speaking)
        (start,) = held
        house.caller.run("MixMonitor", f"{start.get('File')},{start.get('Options')}")
        start.answer("Success")
        assert await resume is Status.FAILCLOSED
        assert house.caller.running == []
        assert house.caller.captured == b""
        await house.hang_up()
        (finished,) = house.recordings.finished
        assert [one.part for one in finished.segments] == [f"{finished.id}-001.wav"]


async def test_a_start_that_was_given_up_is_looked_for_with_every_request_all_the_same(
    tmp_path: Path,
) -> None:
    async with house_with_ami(tmp_path) as (house, peer):
        disk = StuckDisk(house, peer)
        await disk.break_the_session()
        for _ in range(STUCK_S * 1_000):  # ticks of a millisecond
            house.ways.clock()
        disk.thaw_at_setvar()
        assert await http_turn(house, "ask_aadhaar") is Status.OK, "it took too long"
        assert disk.has_thawed
        assert await http_turn(house, "ask_otp") is Status.OK
        house.caller.speak(SECRET)
        assert house.caller.running == []


async def test_what_came_true_under_the_id_of_one_that_ended_is_found(tmp_path: Path) -> None:
    """IDs come again: the suspect is gone, and what runs by its ID writes another part."""
    async with house_with_ami(tmp_path) as (house, peer):
        assert await house.ask("turn", "confirm") == "OK"
        recording, monitor = house.call.recording, house.call.monitor
        assert recording is not None
        assert monitor is not None
        for action in ("StopMixMonitor", "Getvar"):
            peer.on(action, lambda _: leap())
        assert await http_turn(house, "ask_aadhaar") is Status.FAILCLOSED
        house.caller.run("StopMixMonitor", monitor.id)
        speaks_for(peer, house.caller)
        stray = house.spool.asterisk_path(f"{recording.id}-009.wav")
        house.caller.run("MixMonitor", f"{stray},i(TURNREC_MIXMON_ID)")
        assert [one.id for one in house.caller.running] == [monitor.id]
        assert await http_turn(house, "ask_aadhaar") is Status.OK
        assert house.caller.running == []


async def test_a_guard_that_ami_did_not_answer_is_no_start(tmp_path: Path) -> None:
    """AMI hangs, and is connected anew: nothing was sent that could come true."""
    async with house_with_ami(tmp_path) as (house, peer):
        for action in ("Ping", "Getvar"):
            peer.on(action, lambda _: leap())
        assert await http_turn(house, "confirm") is Status.FAILCLOSED
        assert peer.count("MixMonitor") == 0
        await session_breaks(peer)
        await session_is_back(house, peer)
        speaks_for(peer, house.caller)
        peer.on("Ping", success())
        assert await http_turn(house, "confirm") is Status.OK
        assert len(house.caller.running) == 1


async def test_what_may_run_is_looked_for_again_although_nobody_asks(tmp_path: Path) -> None:
    """The bot is silent, no event comes, and the next sweep is far."""
    async with house_with_ami(tmp_path) as (house, peer):
        disk = StuckDisk(house, peer)
        await disk.break_the_session()
        calls, ways = house.calls, house.ways
        net = Net(
            calls, house.talks, Meddling(calls, ways), ways, ways.ami, OneFlow(Flow({})), ways.clock
        )
        asked = peer.count("Getvar")
        await net.sync([])
        await peer.received("Getvar", asked + 1)
        disk.thaw()
        async with asyncio.timeout(HANG_S):
            while house.caller.running:
                leap(1_000)
                await house.pbx.round_trip()
        await net.close()


async def test_what_somebody_else_unmuted_and_could_not_be_muted_again_is_stopped(
    tmp_path: Path,
) -> None:
    """An unmute that wasn't ours is as good as a start that nobody asked for."""
    async with ami_house.house_with_ami(tmp_path, action_timeout_ms=PATIENCE_MS) as (house, peer):
        await house.hear("greeting", "ask_aadhaar", bot="muting")
        (monitor,) = house.caller.running
        monitor.muted = False
        peer.on("MixMonitorMute", lambda _: leap())
        meddling = Meddling(house.calls, house.ways)
        await meddling.muted(house.call, house.caller.uniqueid, muted=False)
        assert await house.ask("turn", "ask_otp") == "OK"
        house.caller.speak(SECRET)
        assert house.caller.captured == b""


async def test_a_part_that_somebody_else_unmuted_or_may_have_is_known(tmp_path: Path) -> None:
    """Its silences needn't be our mutes, and place nothing when it is joined."""
    async with ami_house.house_with_ami(tmp_path, action_timeout_ms=PATIENCE_MS) as (house, _):
        await house.hear("greeting", "ask_aadhaar", bot="muting")
        recording = house.call.recording
        assert recording is not None
        assert recording.unwatched_parts == set()
        meddling = Meddling(house.calls, house.ways)
        await meddling.muted(house.call, house.caller.uniqueid, muted=False)
        (part,) = {one.part for one in recording.segments}
        assert recording.unwatched_parts == {part}


# -- by an earlier process -----------------------------------------------------------------------


async def died_in_a_resume(folder: Path, pbx: FakeAsterisk, origin: Origin) -> FakeChannel:
    """A paused call whose process was asked to resume and died before it knew what came of it."""
    caller = await before(folder, pbx, "ask_aadhaar")
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}", limits=Limits(gather_ms=0))
    asked = Entry(
        kind=EntryKind.ACTION_ASKED,
        at_us=tick_us(),
        call_id=caller.variables["TURNREC_CALL_ID"],
        uniqueid=caller.uniqueid,
        recording_id=caller.variables["TURNREC_RECORDING_ID"],
        source=Source.TURN,
        actor="bot:kyc",
        origin=origin,
        action=Action.RESUME,
        state=State.PAUSED,
        holds=(Source.TURN,),
    )
    ledger.append(asked)
    await ledger.close()
    return caller


async def test_a_start_of_an_earlier_process_that_may_come_true_is_looked_for(
    tmp_path: Path,
) -> None:
    pbx = FakeAsterisk(tmp_path)
    caller = await died_in_a_resume(tmp_path, pbx, Origin.HTTP)
    part = f"{caller.variables['TURNREC_RECORDING_ID']}-002.wav"
    async with generation(tmp_path, pbx) as second:
        assert await second.ask(caller, "turn", "ask_aadhaar") == "FAILCLOSED"
        caller.run("MixMonitor", f"{ASTERISK_SPOOL / part},i(TURNREC_MIXMON_ID)")
        assert await second.ask(caller, "turn", "ask_aadhaar") == "OK"
        caller.speak(SECRET)
        assert caller.running == []
        assert await second.ask(caller, "turn", "confirm") == "OK"
        assert len({monitor.file for monitor in caller.monitors}) == len(caller.monitors)


async def test_a_start_by_the_dialplan_has_been_done_when_the_next_process_is_asked(
    tmp_path: Path,
) -> None:
    pbx = FakeAsterisk(tmp_path)
    caller = await died_in_a_resume(tmp_path, pbx, Origin.AGI)
    async with generation(tmp_path, pbx) as second:
        assert await second.ask(caller, "turn", "ask_aadhaar") == "OK"
        assert await second.ask(caller, "turn", "confirm") == "OK"
