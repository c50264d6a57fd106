"""Whatever breaks, nothing of a paused turn is recorded, and the call goes on."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.pbx.callers import (
    FLOW,
    OPEN_S,
    Caller,
    Mark,
    connect,
    dial,
    dial_all,
    dialplan,
    extension,
    heard,
    leaks_of,
    least_s,
    monitored_files,
    write_prompts,
)
from tests.pbx.process import LedgerOf, free_port, ledger_of, serving
from tests.pbx.relay import AgiRelay, Moment, Point, agi_relay, ami_relay
from tests.pbx.rig import WAIT_S, Rig, rig, until
from tests.pbx.tones import OPEN_BOT_HZ
from turnrec.asterisk.agi import AgiSession
from turnrec.asterisk.channel import AgiChannel
from turnrec.asterisk.mixmonitor import SegmentDriver
from turnrec.asterisk.paths import AgiPath, Ways
from turnrec.core.policy import PauseMethod
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone
from turnrec.pbx.process import identify, is_alive

pytestmark = pytest.mark.pbx


BOT_OF_SIX_TURNS = dialplan("start", "open", "ask", "open", "ask", "open")
SESSIONS_BEFORE_THE_SECOND_ASK = 4
"""start, open, ask, open: what is killed is one of these."""


def settings_for_a_process() -> dict[str, dict[str, str]]:
    # A call may be held in mid-turn for as long as the others take to come to theirs.
    return {"server": {"agi_port": str(free_port()), "agi_timeout_ms": "60000"}}


async def test_with_turnrec_never_started_calls_go_on_and_nothing_is_recorded(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with rig(asterisk_22, tmp_path, FLOW, BOT_OF_SIX_TURNS, start=False) as here:
        write_prompts(here)
        async with Phone(clock=MediaClock()) as phone:
            caller = await dial(here, phone, "test-segment")
            await caller.reached("asked")
            assert await monitored_files(here) == []
            await caller.reaches_the_end()
        assert caller.statuses("start", "open", "ask") == ["FAILCLOSED"] * 6
        assert list((tmp_path / "spool").iterdir()) == []


# ------------------------------------------------------------------ killed


async def points_of(here: Rig, relay: AgiRelay, phone: Phone, bot: str) -> list[Point]:
    """Every instant of a call's first four sessions at which turnrec can die."""
    caller = await dial(here, phone, f"test-{bot}-whole")
    await caller.reaches_the_end()
    sessions = relay.sessions_of(caller.extension)[:SESSIONS_BEFORE_THE_SECOND_ASK]
    points = []
    for session in sessions:
        last = len(session.commands)
        for command in range(1, last + 1):
            points += [Point(session.number, command, Moment.BEFORE)]
            points += [Point(session.number, command, Moment.SENT)]
        points += [Point(session.number, last, Moment.ANSWERED)]
    return points


async def test_turnrec_killed_at_any_command_leaves_no_trace_of_a_paused_turn(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with (
        rig(
            asterisk, tmp_path, FLOW, BOT_OF_SIX_TURNS, start=False, toml=settings_for_a_process()
        ) as here,
        agi_relay(here.settings.server.agi_port) as relay,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        async with serving(here) as server, ledger_of(here) as ledger:
            await here.point_at(relay.port)
            callers: dict[Caller, Point] = {}
            bots = ("segment", "mute")
            points = await asyncio.gather(*(points_of(here, relay, phone, bot) for bot in bots))
            for bot, theirs in zip(bots, points, strict=True):
                for number, point in enumerate(theirs):
                    caller = Caller(here, f"test-{bot}-{number}")
                    callers[caller] = relay.points[caller.extension] = point
            await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
            await until(lambda: len(relay.held) == len(callers), "every call is held at its point")
            for caller in callers:
                caller.hold_at("opened", "asked")
            await server.kill()
            relay.cut()
            for caller in callers:
                await until(caller.waits, f"{caller.extension} goes on without turnrec")
            await server.start()
            await server.wait_ami()
            for caller in callers:
                caller.let_on()
            await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
            await ledger.no_call_is_live()
            await ledger.closed_recordings()
            problems = {
                f"{caller.extension}: killed {point}": found
                for caller, point in callers.items()
                if (found := await problems_of(here, ledger, relay, caller, point))
            }
        assert leaks_of(here) == []
        assert problems == {}


async def problems_of(
    here: Rig, ledger: LedgerOf, relay: AgiRelay, caller: Caller, point: Point
) -> list[str]:
    """What is wrong with a call that outlived a turnrec that was killed at `point`."""
    session, *_ = relay.sessions_of(caller.extension)
    turns = caller.statuses("start", "open", "ask")
    was_told = point.moment is not Moment.BEFORE and is_last(relay, caller, point)
    problems = []
    if (turns[point.session - 1] == "OK") is not was_told:
        problems.append(f"answered {turns[point.session - 1]}")
    if turns[4:] != ["OK", "OK"]:
        problems.append(f"not taken up again: {turns}")
    recording = await ledger.recording_of(session.uniqueid)
    if recording is None or recording.status != "done" or recording.file is None:
        return [*problems, f"no whole recording: {recording}"]
    if "-mute-" in caller.extension:
        # Its one part isn't re-anchored: while no RTP came, its clock stood (docs/decisions.md).
        return problems
    joined = heard([here.file(recording)])
    parts = {here.settings.recordings.spool_dir / (one.part or "") for one in recording.segments}
    confirmed = heard(sorted(parts))
    said_s = caller.statuses("open").count("OK") * OPEN_S
    if joined[OPEN_BOT_HZ] < least_s(said_s, recording, [caller]):
        problems.append(f"bot: {joined[OPEN_BOT_HZ]:.2f} s of {said_s:.2f} s are in the recording")
    problems += [
        f"{hz} Hz: {joined[hz]:.2f} s of {seconds:.2f} s in the parts are in the recording"
        for hz, seconds in confirmed.items()
        if joined[hz] < least_s(seconds, recording, [caller])
    ]
    return problems


def is_last(relay: AgiRelay, caller: Caller, point: Point) -> bool:
    """Whether the point's command is its session's last, which tells the dialplan."""
    _, bot, _ = caller.extension.split("-")
    whole = relay.sessions_of(f"test-{bot}-whole")[point.session - 1]
    return point.command == len(whole.commands)


async def test_turnrec_killed_again_and_again_leaves_no_trace_of_a_paused_turn(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    turns = ["open", "ask"] * 8
    instants = random.Random(1)
    async with (
        rig(
            asterisk_22,
            tmp_path,
            FLOW,
            dialplan("start", *turns, "open"),
            start=False,
            toml=settings_for_a_process(),
        ) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        async with serving(here) as server, ledger_of(here) as ledger:
            names = [f"test-{bot}-{n}" for bot in ("segment", "mute") for n in range(12)]
            callers = await dial_all(here, phone, names)
            for caller in callers:
                await caller.reached("opened")
            for time in range(4):
                # Some marks from now, at once: whatever the other calls are about then.
                await marks_reached(callers, instants.randint(1, 60))
                await server.kill()
                # Some turns without it, and then nobody goes on before it is back: how long it
                # takes to start must not decide how many turns there are.
                await marks_reached(callers, len(callers))
                if time == 0:  # they may all be in the same turn, and that needn't be it
                    await until(lambda: closed_in(callers, "ask"), "a pause fails closed")
                for caller in callers:
                    caller.hold_at("opened", "asked")
                await server.start()
                for caller in callers:
                    caller.let_on()
            await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
            await ledger.no_call_is_live()
            recordings = await ledger.closed_recordings()
            assert (await ledger.chain()).breaks == ()
        assert closed_in(callers, "ask")
        assert leaks_of(here) == []
        files = [here.file(one) for one in recordings if one.file is not None]
        assert heard(files)[OPEN_BOT_HZ] > len(callers) * OPEN_S


def closed_in(callers: list[Caller], turn: str) -> bool:
    """Whether anybody's turn of this name has failed closed."""
    return any("FAILCLOSED" in caller.statuses(turn) for caller in callers)


async def marks_reached(callers: list[Caller], count: int) -> None:
    """Wait until the bots have come to so many further marks together."""

    def marks() -> int:
        return sum(len(caller.marks) for caller in callers)

    wanted = marks() + count
    await until(lambda: marks() >= wanted, f"{count} more marks")


# ------------------------------------------------------------------ frozen


async def test_a_frozen_turnrec_holds_the_caller_until_the_watchdog_starts_it_anew(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(
            asterisk_22,
            tmp_path,
            FLOW,
            BOT_OF_SIX_TURNS,
            start=False,
            toml=settings_for_a_process(),
        ) as here,
        agi_relay(here.settings.server.agi_port) as relay,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        async with serving(here, "--watchdog-s", "5") as server:
            await here.point_at(relay.port)
            points = {
                "test-segment-before": Point(3, 1, Moment.BEFORE),
                "test-segment-stopping": Point(3, 1, Moment.ANSWERED),
                "test-segment-starting": Point(4, 2, Moment.ANSWERED),
                "test-mute-before": Point(3, 1, Moment.BEFORE),
            }
            relay.points.update(points)
            callers = await dial_all(here, phone, points)
            await until(lambda: relay.held == set(points), "every call is in mid-turn")
            assert server.watched_pid is not None
            frozen = identify(server.watched_pid)
            await server.freeze(frozen.pid)
            for caller in callers:
                caller.hold_at("opened", "asked")
            relay.let_on()
            told = [len(caller.statuses("ask", "open")) for caller in callers]
            await until(
                lambda: told != [len(caller.statuses("ask", "open")) for caller in callers],
                "the first caller goes on",
            )
            assert not is_alive(frozen), "a caller went on while turnrec was frozen"
            for caller in callers:
                await until(caller.waits, f"{caller.extension} goes on")
            await server.wait_answers()
            for caller in callers:
                caller.let_on()
            await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
            assert "killed" in server.log
        for caller in callers:
            statuses = caller.statuses("start", "open", "ask")
            assert statuses.count("FAILCLOSED") == 1, (caller.extension, statuses)
            assert statuses[-2:] == ["OK", "OK"], caller.extension
        assert leaks_of(here) == []


async def test_a_turnrec_that_thaws_goes_on_where_it_was(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(
            asterisk_22,
            tmp_path,
            FLOW,
            BOT_OF_SIX_TURNS,
            start=False,
            toml=settings_for_a_process(),
        ) as here,
        agi_relay(here.settings.server.agi_port) as relay,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        async with serving(here) as server:
            await here.point_at(relay.port)
            relay.points["test-segment"] = Point(3, 1, Moment.BEFORE)
            caller = await dial(here, phone, "test-segment")
            await until(lambda: bool(relay.held), "in mid-turn")
            await server.freeze()
            relay.let_on()
            await caller.call.wait_sent(packets=50, timeout_s=WAIT_S)
            assert caller.statuses("ask") == []
            server.thaw()
            await caller.reaches_the_end()
        assert caller.statuses("start", "open", "ask")[-2:] == ["OK", "OK"]
        assert leaks_of(here) == []


# ------------------------------------------------------------------ AMI is down


async def test_without_ami_segments_work_and_a_mute_fails_closed(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk, tmp_path, FLOW, BOT_OF_SIX_TURNS, start=False) as here,
        ami_relay(here.pbx.ports.ami_tcp) as relay,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        here.configure({"asterisk": {"ami_port": str(relay.port)}})
        await here.start_service()
        callers = [
            Caller(here, f"test-{bot}-{when}")
            for when in ("lost", "never")
            for bot in ("segment", "mute")
        ]
        before, after = callers[:2], callers[2:]
        for caller in before:
            caller.hold_at("opened")
        await asyncio.gather(*(connect(here, phone, caller) for caller in before))
        for caller in before:
            await caller.reached("opened")
        await relay.cut()
        await until(lambda: not here.service.ami.ready, "AMI is lost")
        for caller in before:
            caller.let_on()
        await asyncio.gather(*(connect(here, phone, caller) for caller in after))
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        recordings = await here.recordings(len(callers))
        failed = Mark("ask", "FAILCLOSED", "asterisk-unreachable", "paused")
        for caller in callers:
            assert caller.statuses("start", "open") == ["OK"] * 4, caller.extension
            if "-mute-" in caller.extension:
                assert caller.all("ask") == [failed] * 2, caller.extension
            else:
                assert caller.statuses("ask") == ["OK"] * 2, caller.extension
        for recording in recordings:
            assert recording.status == "done"
            said = heard([here.file(recording)])[OPEN_BOT_HZ]
            assert said >= least_s(3 * OPEN_S, recording, callers)
        assert leaks_of(here) == []


# ------------------------------------------------------------------ a wrong ID


WRONG_IDS = {"empty": "", "stale": "0xdeadbeef", "unexpanded": "${TURNREC_MIXMON_ID}"}


class _WrongIdChannel(AgiChannel):
    """Sends another ID than it was given, whenever it is to stop a monitor."""

    def __init__(self, session: AgiSession) -> None:
        super().__init__(session)
        self._own_session = session
        self._wrong_id = WRONG_IDS[session.environment.variables["agi_dnid"].split("-")[2]]

    async def stop_monitor(self, monitor_id: str) -> None:
        await self._own_session.execute("StopMixMonitor", self._wrong_id)


class _WrongIdPath(AgiPath):
    def __init__(self, ways: Ways, session: AgiSession) -> None:
        super().__init__(ways, session)
        self._wrong = SegmentDriver(_WrongIdChannel(session), ways.spool, ways.clock)

    def driver(self, method: PauseMethod) -> SegmentDriver:
        return self._wrong


class WaysWithWrongIds(Ways):
    """The defect: it stops monitors by an ID that isn't theirs."""

    def by_agi(self, session: AgiSession) -> AgiPath:
        return _WrongIdPath(self, session)


FOREIGN = 'ExecIf($["${W3}"="%s"]?MixMonitor(${FOREIGN}/${EXTEN}.wav,i(FOREIGN_ID)))'


async def test_a_stop_with_a_wrong_id_is_caught_by_the_look(
    asterisk: Installation, tmp_path: Path
) -> None:
    bot = dialplan(
        f"Set(FOREIGN={tmp_path}/foreign)",
        FOREIGN % "older",
        "start",
        "open",
        FOREIGN % "younger",
        "ask",
        "open",
        "ask",
    )
    async with (
        rig(asterisk, tmp_path, FLOW, bot, make_ways=WaysWithWrongIds) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = [
            Caller(here, f"test-segment-{wrong}-{foreign}")
            for wrong in WRONG_IDS
            for foreign in ("older", "younger", "none")
        ]
        for caller in callers:
            caller.hold_at("ask")
        await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
        for caller in callers:
            await caller.reached("ask")
        spool = here.settings.recordings.spool_dir
        assert [path for path in await monitored_files(here) if path.parent == spool] == []
        for caller in callers:
            caller.let_on()
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        for caller in callers:
            if "-empty-" not in caller.extension:  # which stops the first, be it ours or not
                caught = Mark("ask", "FAILCLOSED", "monitor-still-runs", "paused")
                assert caller.all("ask") == [caught, caught], caller.extension
        assert leaks_of(here) == []


PLANTS = {
    "empty": "Set(TURNREC_MIXMON_ID=)",
    "stale": "Set(TURNREC_MIXMON_ID=0xdeadbeef)",
    "unexpanded": "Set(TURNREC_MIXMON_ID=${URIDECODE(%24%7BTURNREC_MIXMON_ID%7D)})",
}


def planting(*steps: str) -> str:
    """A bot whose dialplan overwrites turnrec's variable as its extension's third word says."""
    plants = [f'ExecIf($["${{W2}}"="{name}"]?{plant})' for name, plant in PLANTS.items()]
    return dialplan(*(one for step in steps for one in (plants if step == "plant" else [step])))


async def test_a_dialplan_that_overwrites_the_id_uncovers_nothing(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    bot = planting("start", "open", "plant", "ask", "plant", "open", "plant", "ask", "open")
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        names = [f"test-{bot}-{plant}" for bot in ("segment", "mute") for plant in PLANTS]
        callers = await dial_all(here, phone, names)
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        await here.recordings(len(callers))
        for caller in callers:
            assert "REFUSED" not in caller.statuses("open", "ask"), caller.extension
        assert leaks_of(here) == []


async def test_a_dialplan_that_overwrites_the_id_before_a_restart_uncovers_nothing(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    bot = planting("start", "open", "plant", "AGI(${MARK}/mark?planted&${WHO})", "ask", "open")
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = [Caller(here, f"test-segment-{plant}") for plant in PLANTS]
        for caller in callers:
            caller.hold_at("planted")
        await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
        for caller in callers:
            await caller.reached("planted")
        await here.stop_service()
        await here.start_service()
        for caller in callers:
            caller.let_on()
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        await here.recordings(len(callers))
        assert leaks_of(here) == []
        assert [caller.statuses("open")[-1] for caller in callers] == ["OK"] * len(callers)


async def test_failing_closed_without_an_id_spares_a_foreign_monitor(
    asterisk: Installation, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign" / "test-segment-1-older"
    bot = dialplan(f"Set(FOREIGN={foreign.parent})", FOREIGN % "older", "start", "open", "ask")
    async with (
        rig(asterisk, tmp_path, FLOW, bot, start=False) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        caller = Caller(here, "test-segment-1-older")
        caller.hold_at("asked")
        await connect(here, phone, caller)
        await caller.reached("asked")
        assert caller.statuses("start", "open", "ask") == ["FAILCLOSED"] * 3
        assert await monitored_files(here) == [foreign]
        caller.let_on()
        await caller.reaches_the_end()


# ------------------------------------------------------------------ refusals

REFUSALS = {
    "call-exists": "Gosub(turnrec-start,s,1(mute))",
    "turn-superseded": "Gosub(turnrec-turn,s,1(ask,1))",
    "unknown-bot": "Gosub(turnrec-start,s,1(nobody))",
}


async def test_a_refused_request_stops_nothing(asterisk_22: Installation, tmp_path: Path) -> None:
    say = "AGI(${MARK}/mark?refused:${TURNREC_STATUS}:${TURNREC_ERROR}:${TURNREC_STATE}&${WHO})"
    bot = dialplan(
        "start",
        "open",
        "Gosub(turnrec-turn,s,1(open,7))",
        REFUSALS["call-exists"],
        say,
        REFUSALS["turn-superseded"],
        say,
        "open",
    ) + extension(
        "_other-.",
        f"Set(FOREIGN={tmp_path}/foreign)",
        FOREIGN % "older",
        REFUSALS["unknown-bot"],
        say,
        "Gosub(turnrec-turn,s,1(open))",
        say,
    )
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        refused, unknown = Caller(here, "test-segment"), Caller(here, "other-segment-1-older")
        for caller in (refused, unknown):
            caller.hold_at("refused")
            await connect(here, phone, caller)
        await refused.reached("refused", 1)
        await unknown.reached("refused", 1)
        before = await monitored_files(here)
        assert len(before) == 2
        for caller in (refused, unknown):
            caller.let_on()
            caller.hold_at("refused")
            await caller.reached("refused", 2)
        assert await monitored_files(here) == before
        for caller in (refused, unknown):
            caller.let_on()
            await caller.reaches_the_end()
        (recording,) = await here.recordings(1)
        assert refused.all("refused") == [
            Mark("refused", "REFUSED", "call-exists", "recording"),
            Mark("refused", "REFUSED", "turn-superseded", "recording"),
        ]
        assert [(one.status, one.error) for one in unknown.all("refused")] == [
            ("REFUSED", "unknown-bot"),
            ("REFUSED", "unknown-bot"),
        ]
        assert len(recording.segments) == 1
        said = heard([here.file(recording)])[OPEN_BOT_HZ]
        assert said >= least_s(2 * OPEN_S, recording, [refused])
