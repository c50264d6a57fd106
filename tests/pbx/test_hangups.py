"""A hang-up is heard three ways, and each alone closes the recording, whatever was going on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.pbx.callers import (
    FLOW,
    OPEN_S,
    Caller,
    Mark,
    connect,
    dialplan,
    heard,
    leaks_of,
    least_s,
    write_prompts,
)
from tests.pbx.process import free_port
from tests.pbx.relay import Moment, Point, agi_relay
from tests.pbx.rig import Rig, rig, until
from tests.pbx.tones import OPEN_BOT_HZ
from turnrec.core.entry import Entry, EntryKind, Origin
from turnrec.core.recorder import Source
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

NEVER = {"sweep": {"interval_s": "86400"}}
NO_AMI = {"asterisk": {"ami_enabled": "false"}}
DEAF_USER, DEAF_SECRET = "deaf", "hears-no-call-events"
DEAF_ACCOUNT = f"""
; turnrec's own rights, but for reading calls: it never hears of a Hangup.
[{DEAF_USER}]
secret = {DEAF_SECRET}
read = system
write = system,call,reporting
"""
DEAF = {"asterisk": {"ami_username": f'"{DEAF_USER}"', "ami_secret": f'"{DEAF_SECRET}"'}}

NO_HANDLER = "Set(CHANNEL(hangup_handler_wipe)=)"
WAYS = {
    Origin.AGI: ("", NEVER | NO_AMI),
    Origin.AMI: (NO_HANDLER, NEVER),
    Origin.SWEEP: (NO_HANDLER, {"sweep": {"interval_s": "1"}} | DEAF),
}
"""How a hang-up is noticed: what the dialplan does to its handler, and turnrec's settings."""


@pytest.mark.parametrize("way", WAYS)
async def test_each_way_alone_closes_the_recording(
    asterisk_22: Installation, tmp_path: Path, way: Origin
) -> None:
    wipe, toml = WAYS[way]
    bot = dialplan("start", *([wipe] if wipe else []), "open", "ask", "open")
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot, toml=toml, manager=DEAF_ACCOUNT) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        leaves_in_a_pause = Caller(here, "test-segment-pause")
        leaves_in_a_pause.hold_at("ask")
        leaves_while_recorded = Caller(here, "test-segment-open")
        leaves_while_recorded.hold_at("opened")
        stays = Caller(here, "test-segment-stays")
        callers = (leaves_in_a_pause, leaves_while_recorded, stays)
        await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
        await leaves_in_a_pause.reached("ask")
        await leaves_in_a_pause.leaves()
        await leaves_while_recorded.reached("opened")
        await leaves_while_recorded.leaves()
        await stays.reaches_the_end()
        recordings = await here.recordings(3)
        assert [one.status for one in recordings] == ["done"] * 3
        by_length = sorted((heard([here.file(one)])[OPEN_BOT_HZ], one) for one in recordings)
        for (seconds, one), said_s in zip(by_length, (OPEN_S, OPEN_S, 2 * OPEN_S), strict=True):
            assert least_s(said_s, one, callers) <= seconds <= said_s, one
        assert [one.origin for one in await ended(here)] == [way] * 3
        assert leaks_of(here) == []


async def ended(here: Rig) -> list[Entry]:
    """The ends of calls, as the ledger has them."""
    written = await here.service.ledger.entries(limit=None)
    return [one.entry for one in written if one.entry.kind is EntryKind.CALL_ENDED]


async def test_all_three_ways_together_end_a_call_once(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, dialplan("start", "open", "ask", "open")) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = [Caller(here, f"test-{bot}-{n}") for bot in ("segment", "mute") for n in "123"]
        await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        assert len(await here.recordings(len(callers))) == len(callers)
        # The sweep looks each second: the next call ends after it has.
        later = Caller(here, "test-segment-later")
        await connect(here, phone, later)
        await later.reaches_the_end()
        await here.recordings(len(callers) + 1)
        assert len(await ended(here)) == len(callers) + 1


POINTS = {
    "before it is paused": Point(3, 1, Moment.BEFORE),
    "while it is paused": Point(3, 1, Moment.SENT),
    "when it was paused": Point(3, 1, Moment.ANSWERED),
    "before turnrec has looked": Point(3, 2, Moment.BEFORE),
    "before the bot is told": Point(3, 3, Moment.BEFORE),
    "in the guard": Point(4, 1, Moment.SENT),
    "after the guard": Point(4, 1, Moment.ANSWERED),
    "before it is started": Point(4, 2, Moment.BEFORE),
    "while it is started": Point(4, 2, Moment.SENT),
    "when it was started": Point(4, 2, Moment.ANSWERED),
    "before the first is started": Point(1, 3, Moment.BEFORE),
    "when the first was started": Point(1, 3, Moment.ANSWERED),
    "before the start is told": Point(1, 5, Moment.BEFORE),
}
LONG_GUARD = FLOW.replace("guard_ms: 80", "guard_ms: 1000")


async def test_a_hang_up_in_the_middle_of_a_turn_closes_the_recording_and_leaks_nothing(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk, tmp_path, LONG_GUARD, dialplan("start", "open", "ask", "open")) as here,
        agi_relay(here.service.agi_port) as relay,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        await here.point_at(relay.port)
        callers = {}
        for number, point in enumerate(POINTS.values()):
            caller = Caller(here, f"test-segment-{number}")
            callers[caller] = relay.points[caller.extension] = point
        await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
        await until(lambda: len(relay.held) == len(callers), "every call is held at its point")
        await asyncio.gather(*(caller.leaves() for caller in callers))
        relay.let_on()
        await until(lambda: not here.service.calls.live(), "no call is live")
        recordings = await here.recordings(len(callers))
        assert [one.status for one in recordings] == ["done"] * len(callers)
        assert len(await ended(here)) == len(callers)
        assert leaks_of(here) == []
        for recording in recordings:
            joined = 0.0 if recording.file is None else heard([here.file(recording)])[OPEN_BOT_HZ]
            parts = heard(here.parts(recording))[OPEN_BOT_HZ]
            least = least_s(parts, recording, [*callers]) - 0.02
            assert least <= joined <= parts + 0.02, recording.recording_id


async def test_a_call_whose_handler_meets_no_turnrec_is_closed_when_turnrec_is_back(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    toml = {"server": {"agi_port": str(free_port())}}
    async with (
        rig(asterisk_22, tmp_path, FLOW, dialplan("start", "open", "ask"), toml=toml) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = {name: Caller(here, f"test-segment-{name}") for name in ("opened", "asked")}
        for name, caller in callers.items():
            caller.hold_at(name)
            await connect(here, phone, caller)
        for name, caller in callers.items():
            await caller.reached(name)
        await here.stop_service()
        for caller in callers.values():
            await caller.leaves()
        await until(lambda: "0 active channel" in here.pbx.rx("core show channels"), "hung up")
        await here.start_service()
        recordings = await here.recordings(2)
        assert [one.status for one in recordings] == ["done"] * 2
        for recording in recordings:
            said = heard([here.file(recording)])[OPEN_BOT_HZ]
            assert least_s(OPEN_S, recording, [*callers.values()]) <= said <= OPEN_S
        assert leaks_of(here) == []
        await until(lambda: not here.service.calls.live(), "no call is live")


def held_by(recording: RecordingRecord) -> list[tuple[Source, ...]]:
    """Who held the recorder in each gap."""
    return [gap.holds for gap in recording.gaps]


async def test_a_hang_up_in_a_pause_leaves_a_gap_that_names_its_reason(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, dialplan("start", "open", "ask")) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        caller = Caller(here, "test-segment")
        caller.hold_at("asked")
        await connect(here, phone, caller)
        await caller.reached("asked")
        await caller.leaves()
        (recording,) = await here.recordings(1)
        assert caller.all("ask") == [Mark("ask", "OK", "", "paused")]
        assert held_by(recording)[-1:] == [(Source.TURN,)]
        assert [gap.node for gap in recording.gaps][-1:] == ["ask"]
