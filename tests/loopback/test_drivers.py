"""The drivers over real bytes: what they send, in which order, and what they believe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest

from tests.loopback.ami_helpers import ready_client
from tests.loopback.clock import PATIENCE_MS
from tests.loopback.fake_ami import FakeAmi
from tests.loopback.fake_asterisk import (
    ASTERISK_SPOOL,
    DEAD,
    HANG_S,
    Disk,
    Exchange,
    FakeAsterisk,
    FakeChannel,
    answered_with,
    cut_after,
    cut_before,
    held_back,
    ignored,
    never_answered,
    obeyed,
)
from tests.loopback.fake_manager import speaks_for
from turnrec.asterisk.agi import AgiServer, AgiSession
from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.channel import AgiChannel, AmiChannel
from turnrec.asterisk.mixmonitor import MuteDriver, SegmentDriver
from turnrec.asterisk.paths import mutes_by_id
from turnrec.asterisk.spool import Spool
from turnrec.core.errors import (
    AsteriskUnreachableError,
    CommandRefusedError,
    MonitorLostError,
    MonitorStillRunsError,
    SegmentNotStartedError,
    UnansweredError,
)
from turnrec.core.monitor import Begun, Monitor

HANG_MS = int(HANG_S * 1000)
PART = "R1-001.wav"
FILE = str(ASTERISK_SPOOL / PART)

T = TypeVar("T")


@dataclass
class Bench:
    """A channel, and the way to have a driver work on it within an AGI session."""

    pbx: FakeAsterisk
    caller: FakeChannel
    spool: Spool
    clock: Callable[[], int] = field(default_factory=lambda: count(1_000, 10).__next__)
    work: Callable[[AgiSession], Awaitable[None]] | None = None

    async def in_session(self, work: Callable[[AgiSession], Awaitable[T]]) -> T:
        """Run `work` on the channel's own AGI session."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def serve(session: AgiSession) -> None:
            try:
                done.set_result(await work(session))
            except BaseException as error:  # noqa: BLE001 - the test's, its failures too
                done.set_exception(error)

        self.work = serve
        await self.caller.agi("work")
        return await done

    def driver(self, session: AgiSession) -> SegmentDriver:
        return SegmentDriver(AgiChannel(session), self.spool, self.clock)

    async def begin(self, part: str = PART, *, guard_ms: int = 80) -> Begun:
        return await self.in_session(lambda s: self.driver(s).begin(part, None, guard_ms))

    async def end(self, monitor: Monitor) -> str:
        return (await self.in_session(lambda s: self.driver(s).end(monitor))).proof

    async def look(self, monitor: Monitor) -> None:
        await self.in_session(lambda s: self.driver(s).look(monitor))

    async def running(self) -> Monitor | None:
        return await self.in_session(lambda s: self.driver(s).running())


@asynccontextmanager
async def bench(folder: Path, *, answer_timeout_ms: int = HANG_MS) -> AsyncIterator[Bench]:
    pbx = FakeAsterisk(folder)
    made = Bench(pbx, pbx.channel(), Spool(folder, ASTERISK_SPOOL))

    async def work(session: AgiSession) -> None:
        assert made.work is not None
        await made.work(session)

    server = AgiServer({"work": work}, answer_timeout_ms=answer_timeout_ms)
    await server.listen("127.0.0.1", 0)
    pbx.port = server.port
    try:
        yield made
    finally:
        await server.close(patience_s=HANG_S)


# -- a segment begins ----------------------------------------------------------------------------


async def test_a_segment_begins_after_its_guard_and_is_looked_at(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        begun = await b.begin()
        assert b.caller.wire == [
            "> EXEC Wait 0.080",
            "< 200 result=0",
            f"> EXEC MixMonitor {FILE},i(TURNREC_MIXMON_ID)",
            "< 200 result=0",
            "> GET FULL VARIABLE ${TURNREC_MIXMON_ID}|${MIXMONITOR(${TURNREC_MIXMON_ID},filename)}",
            f"< 200 result=1 ({begun.monitor.id}|{FILE})",
        ]
        assert b.caller.waited_ms == 80
        assert begun.monitor == Monitor(b.caller.running[0].id, PART, begun.answered_us)
        assert begun.asked_us < begun.answered_us
        assert begun.offset_us == 0


async def test_without_a_guard_nothing_waits(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.begin(guard_ms=0)
        assert "Wait" not in b.caller.verbs


async def test_a_segment_that_writes_late_is_waited_for(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.pbx.disk = Disk.SLOW
        begin = asyncio.create_task(b.begin())
        await b.caller.received("GET FULL VARIABLE")
        await b.pbx.round_trip()
        assert not begin.done()
        b.pbx.catch_up()
        assert (await begin).monitor.part == PART


@pytest.mark.parametrize(
    ("disk", "why"), [(Disk.READ_ONLY, "is not there"), (Disk.FULL, "has 0 bytes")]
)
async def test_a_segment_without_a_file_has_not_started_and_its_monitor_is_stopped(
    tmp_path: Path, disk: Disk, why: str
) -> None:
    async with bench(tmp_path) as b:
        b.pbx.disk = disk
        with pytest.raises(SegmentNotStartedError, match=why):
            await b.begin()
        assert b.caller.running == []


@pytest.mark.parametrize("reply", [b"200 result=0\n", b"200 result=-2\n", DEAD])
async def test_a_start_that_did_nothing_is_seen_whatever_was_answered(
    tmp_path: Path, reply: bytes
) -> None:
    async with bench(tmp_path) as b:
        b.caller.on("MixMonitor", answered_with(reply))
        with pytest.raises(SegmentNotStartedError, match="no monitor writes"):
            await b.begin()
        assert "StopMixMonitor" not in b.caller.verbs


async def test_a_start_that_did_nothing_does_not_stop_what_the_old_id_names(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b:
        stranger = b.caller.start_foreign_monitor()
        b.caller.variables["TURNREC_MIXMON_ID"] = stranger.id
        b.caller.on("MixMonitor", ignored)
        with pytest.raises(SegmentNotStartedError):
            await b.begin()
        assert b.caller.running == [stranger]


async def test_a_segment_never_begins_over_a_monitor_that_runs(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        running = (await b.begin()).monitor
        with pytest.raises(SegmentNotStartedError, match="still runs"):
            await b.in_session(lambda s: b.driver(s).begin("R1-002.wav", running, 80))
        assert len(b.caller.monitors) == 1


# -- a segment ends ------------------------------------------------------------------------------


async def test_a_segment_ends_by_its_own_id_and_is_looked_at(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        monitor = (await b.begin()).monitor
        b.caller.wire.clear()
        assert await b.end(monitor) == "monitor gone, file closed"
        assert b.caller.wire == [
            f"> EXEC StopMixMonitor {monitor.id}",
            "< 200 result=0",
            "> GET FULL VARIABLE ${TURNREC_MIXMON_ID}|${MIXMONITOR(${TURNREC_MIXMON_ID},filename)}",
            f"< 200 result=1 ({monitor.id}|)",
        ]


@pytest.mark.parametrize(
    "monitor_id",
    ["", " ", "${TURNREC_MIXMON_ID}", "0x", "7f01", "0x1 ", "0x1,0x2", "0x" + "1" * 17],
)
async def test_an_id_that_asterisk_never_printed_is_never_sent(
    tmp_path: Path, monitor_id: str
) -> None:
    """An empty one would stop the first monitor found; an unexpanded one stops nothing."""
    async with bench(tmp_path) as b:
        stranger = b.caller.start_foreign_monitor()
        await b.begin()
        sent = len(b.caller.commands)
        with pytest.raises(UnansweredError, match="not sent"):
            await b.end(Monitor(monitor_id, PART, 0))
        assert len(b.caller.commands) == sent
        assert len(b.caller.running) == 2
        assert stranger in b.caller.running


async def test_a_stop_by_a_stale_id_is_caught_by_the_channels_own_variable(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        monitor = (await b.begin()).monitor
        with pytest.raises(MonitorStillRunsError, match="still being recorded"):
            await b.end(Monitor("0x7fdead", monitor.part, monitor.started_us))
        assert len(b.caller.running) == 1


async def test_a_stop_by_a_stale_id_is_caught_by_the_open_file_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        monitor = (await b.begin()).monitor
        b.caller.variables["TURNREC_MIXMON_ID"] = ""
        with pytest.raises(MonitorStillRunsError, match="still open"):
            await b.end(Monitor("0x7fdead", monitor.part, monitor.started_us))


async def test_a_stop_is_caught_by_the_id_when_the_variable_is_lost(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        monitor = (await b.begin()).monitor
        b.caller.variables["TURNREC_MIXMON_ID"] = ""
        b.caller.on("StopMixMonitor", ignored)
        with pytest.raises(MonitorStillRunsError, match="still being recorded"):
            await b.end(monitor)


@pytest.mark.parametrize("reply", [b"200 result=0\n", b"200 result=-1\n", DEAD])
async def test_a_stop_that_did_nothing_is_seen_whatever_was_answered(
    tmp_path: Path, reply: bytes
) -> None:
    async with bench(tmp_path) as b:
        monitor = (await b.begin()).monitor
        b.caller.on("StopMixMonitor", answered_with(reply))
        with pytest.raises(MonitorStillRunsError):
            await b.end(monitor)


async def test_on_a_channel_that_may_not_be_asked_no_end_is_confirmed(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        monitor = (await b.begin()).monitor
        b.caller.on(None, answered_with(DEAD), times=9)
        with pytest.raises(CommandRefusedError):
            await b.end(monitor)


async def test_an_end_is_not_reported_before_asterisk_has_answered(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        monitor = (await b.begin()).monitor
        release = asyncio.Event()
        b.caller.on("StopMixMonitor", held_back(release, done_at_once=False))
        end = asyncio.create_task(b.end(monitor))
        await b.caller.received("StopMixMonitor")
        await b.pbx.round_trip()
        assert not end.done()
        assert b.caller.verbs[-1] == "StopMixMonitor"
        release.set()
        await end
        assert b.caller.running == []


async def test_an_id_that_has_come_again_for_a_stranger_does_not_count_as_ours(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b:
        monitor = (await b.begin()).monitor
        await b.end(monitor)
        stranger = b.caller.start_foreign_monitor()
        assert stranger.id == monitor.id
        assert await b.running() is None
        with pytest.raises(MonitorLostError):
            await b.look(monitor)


async def test_of_two_monitors_only_the_named_one_is_stopped(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        stranger = b.caller.start_foreign_monitor()
        monitor = (await b.begin()).monitor
        await b.end(monitor)
        assert b.caller.running == [stranger]


# -- looking -------------------------------------------------------------------------------------


async def test_a_look_sees_a_monitor_that_runs(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.look((await b.begin()).monitor)


async def test_a_look_sees_that_somebody_stopped_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        monitor = (await b.begin()).monitor
        b.caller.run("StopMixMonitor", monitor.id)
        with pytest.raises(MonitorLostError, match=PART):
            await b.look(monitor)


async def test_what_runs_is_found_by_the_channels_variable(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        assert await b.running() is None
        monitor = (await b.begin()).monitor
        found = await b.running()
        assert found is not None
        assert (found.id, found.part) == (monitor.id, monitor.part)


async def test_a_monitor_outside_the_spool_is_none_of_ours(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for file in (f"/elsewhere/{PART}", str(ASTERISK_SPOOL / "deeper" / PART)):
            stranger = b.caller.start_foreign_monitor(file)
            b.caller.variables["TURNREC_MIXMON_ID"] = stranger.id
            assert await b.running() is None


# -- broken connections --------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("fault", [cut_before, cut_after, never_answered])
async def test_a_begin_that_is_cut_short_is_unanswered(
    tmp_path: Path, fault: Callable[..., Awaitable[None]], number: int
) -> None:
    async with bench(tmp_path, answer_timeout_ms=PATIENCE_MS) as b:
        b.caller.on(number, fault)
        with pytest.raises(UnansweredError):
            await b.begin()
        assert len(b.caller.commands) == number


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("fault", [cut_before, cut_after, never_answered])
async def test_an_end_that_is_cut_short_is_unanswered(
    tmp_path: Path, fault: Callable[..., Awaitable[None]], number: int
) -> None:
    async with bench(tmp_path, answer_timeout_ms=PATIENCE_MS) as b:
        monitor = (await b.begin()).monitor
        sent = len(b.caller.commands)
        b.caller.on(number, fault)
        with pytest.raises(UnansweredError):
            await b.end(monitor)
        assert len(b.caller.commands) == sent + number


# -- variables -----------------------------------------------------------------------------------


async def test_variables_are_written_in_one_command_and_read_in_one(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.in_session(
            lambda s: AgiChannel(s).publish({"TURNREC_STATE": "paused", "TURNREC_STATUS": "OK"})
        )
        names = ("TURNREC_STATE", "TURNREC_NODE", "TURNREC_STATUS")
        read = await b.in_session(lambda s: AgiChannel(s).read(*names))
        assert read == {"TURNREC_STATE": "paused", "TURNREC_NODE": "", "TURNREC_STATUS": "OK"}
        assert b.caller.verbs == ["MSet", "GET FULL VARIABLE"]


async def test_variables_that_somebody_spoiled_are_not_mixed_up(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.caller.variables |= {"TURNREC_STATE": "a|b", "TURNREC_NODE": "c"}
        with pytest.raises(UnansweredError, match="changed by somebody else"):
            await b.in_session(lambda s: AgiChannel(s).read("TURNREC_STATE", "TURNREC_NODE"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLERID", "x"),
        ("TURNREC_", "x"),
        ("TURNREC_STATE", "a,TURNREC_STATUS=OK"),
        ("TURNREC_STATE", "${SHELL(id)}"),
        ("TURNREC_STATE", 'a"b'),
        ("TURNREC_STATE", "a\nb"),
        ("TURNREC_STATE", "x" * 201),
    ],
)
async def test_a_value_that_the_dialplan_would_read_is_never_written(
    tmp_path: Path, name: str, value: str
) -> None:
    async with bench(tmp_path) as b:
        with pytest.raises(ValueError, match=r"TURNREC|turnrec"):
            await b.in_session(lambda s: AgiChannel(s).publish({name: value}))
        assert b.caller.commands == []


# -- what a channel's own translation keeps ------------------------------------------------------

NATIVE, READ, RECEIVED = (
    f"CHANNEL({one})" for one in ("audionativeformat", "audioreadformat", "rtcp,rxcount")
)
AFRESH = "EXEC WaitForSilence 1,1,1"


async def begin_afresh(b: Bench) -> list[str]:
    """Begin a segment after a talk; return what was sent."""
    await b.in_session(lambda s: b.driver(s).begin(PART, None, 80, afresh=True))
    assert len(b.caller.running) == 1
    return b.caller.commands


@pytest.mark.parametrize("formats", ["(g722)", "(g722|ulaw)", "(opus|g722|alaw)"])
async def test_a_resampled_caller_who_sends_nothing_is_read_afresh(
    tmp_path: Path, formats: str
) -> None:
    async with bench(tmp_path) as b:
        b.caller.variables |= {NATIVE: formats, READ: "slin16", RECEIVED: "215"}
        sent = await begin_afresh(b)
        monitor = next(one for one in sent if one.startswith("EXEC MixMonitor"))
        assert sent.index("EXEC Wait 0.080") < sent.index(AFRESH) < sent.index(monitor)


@pytest.mark.parametrize(
    ("formats", "read"),
    [("(ulaw|alaw)", "slin"), ("(alaw)", "alaw"), ("(g722)", "g722"), ("(ulaw|g722)", "ulaw")],
)
async def test_a_caller_who_is_not_resampled_is_not_waited_for(
    tmp_path: Path, formats: str, read: str
) -> None:
    async with bench(tmp_path) as b:
        b.caller.variables |= {NATIVE: formats, READ: read, RECEIVED: "215"}
        assert AFRESH not in await begin_afresh(b)


async def test_a_resampled_caller_who_goes_on_sending_is_not_waited_for(tmp_path: Path) -> None:
    async def wait_and_receive(exchange: Exchange) -> None:
        exchange.channel.variables[RECEIVED] = "219"
        await obeyed(exchange)

    async with bench(tmp_path) as b:
        b.caller.variables |= {NATIVE: "(g722)", READ: "slin16", RECEIVED: "215"}
        b.caller.on("Wait", wait_and_receive)
        assert AFRESH not in await begin_afresh(b)


# -- over AMI ------------------------------------------------------------------------------------


@asynccontextmanager
async def manager(b: Bench) -> AsyncIterator[tuple[FakeAmi, AmiClient]]:
    async with FakeAmi() as peer, ready_client(peer) as client:
        speaks_for(peer, b.caller)
        yield peer, client


def by_ami(b: Bench, client: AmiClient) -> AmiChannel:
    return AmiChannel(client, b.caller.name, b.caller.uniqueid)


async def test_a_segment_over_ami_begins_after_a_ping_and_ends_by_its_id(tmp_path: Path) -> None:
    async with bench(tmp_path) as b, manager(b) as (peer, client):
        driver = SegmentDriver(by_ami(b, client), b.spool, b.clock)
        begun = await driver.begin(PART, None, 1)
        assert [one.name for one in peer.actions if one.name != "Login"][:2] == [
            "Ping",
            "MixMonitor",
        ]
        b.caller.speak(b"open")
        assert (await driver.end(begun.monitor)).proof == "monitor gone, file closed"
        assert b.caller.running == []
        assert (await peer.received("MixMonitor")).get("Command") is None


async def test_a_channel_that_got_another_name_unheard_is_found(tmp_path: Path) -> None:
    """A masquerade while AMI was down: a pause that finds no such channel stops nothing."""
    async with bench(tmp_path) as b, manager(b) as (_, client):
        driver = SegmentDriver(by_ami(b, client), b.spool, b.clock)
        begun = await driver.begin(PART, None, 1)
        b.caller.name = "PJSIP/other-00000009"
        await driver.end(begun.monitor)
        assert b.caller.running == []


async def test_a_channel_whose_name_a_caller_spoilt_is_asked_for_by_its_uniqueid(
    tmp_path: Path,
) -> None:
    """Of no channel at all, Getvar reads a global variable, and StopMixMonitor stops nothing."""
    async with bench(tmp_path) as b, manager(b) as (peer, client):
        nameless = AmiChannel(client, "", b.caller.uniqueid)
        await nameless.read("TURNREC_STATE")
        assert (await peer.received("Getvar")).get("Channel") == b.caller.uniqueid


async def test_while_ami_is_down_nothing_is_sent_and_it_is_said_so(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        async with manager(b) as (_, client):
            driver = SegmentDriver(by_ami(b, client), b.spool, b.clock)
            begun = await driver.begin(PART, None, 0)
        with pytest.raises(AsteriskUnreachableError):
            await driver.end(begun.monitor)
        assert len(b.caller.running) == 1


def muting(b: Bench, client: AmiClient, session: AgiSession, *, by_id: bool = True) -> MuteDriver:
    segments = SegmentDriver(AgiChannel(session), b.spool, b.clock)
    return MuteDriver(
        AgiChannel(session), by_ami(b, client), by_id=by_id, segments=segments, clock=b.clock
    )


async def test_a_mute_keeps_the_monitor_and_hears_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b, manager(b) as (_, client):

        async def work(session: AgiSession) -> None:
            driver = muting(b, client, session)
            begun = await driver.begin(PART, None, 80)
            b.caller.speak(b"open")
            ended = await driver.end(begun.monitor)
            assert ended.monitor == begun.monitor
            b.caller.speak(b"secret")
            again = await driver.begin(PART, ended.monitor, 80)
            b.caller.speak(b"open again")
            await driver.finish(again.monitor)
            assert again.offset_us > 0

        await b.in_session(work)
        assert b.caller.captured == b"openopen again"
        assert len(b.caller.monitors) == 1


async def test_an_unmute_comes_after_a_ping_and_a_guard_in_which_silence_is_played(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b, manager(b) as (peer, client):

        async def work(session: AgiSession) -> None:
            driver = muting(b, client, session)
            begun = await driver.begin(PART, None, 0)
            ended = await driver.end(begun.monitor)
            waited = b.caller.waited_ms
            unmute = asyncio.create_task(driver.begin(PART, ended.monitor, 80))
            await peer.received("MixMonitorMute", 2)
            assert b.caller.waited_ms == waited + 80
            assert b.caller.wire[-6::2] == [
                "> EXEC PlayTones 0/1000",
                "> EXEC Wait 0.080",
                "> EXEC StopPlayTones ",
            ]
            assert b.caller.tones == ""
            await unmute

        await b.in_session(work)
        names = [one.name for one in peer.actions]
        assert names.index("Ping") < len(names) - 1 - names[::-1].index("MixMonitorMute")


@pytest.mark.parametrize("formats", ["(g722)", "(ulaw|opus)", "(slin16)", "(ilbc)", ""])
async def test_what_does_not_come_in_whole_steps_is_ended_and_not_muted(
    tmp_path: Path, formats: str
) -> None:
    async with bench(tmp_path) as b, manager(b) as (peer, client):
        b.caller.variables["CHANNEL(audionativeformat)"] = formats

        async def work(session: AgiSession) -> None:
            driver = muting(b, client, session)
            begun = await driver.begin(PART, None, 0)
            ended = await driver.end(begun.monitor)
            assert (ended.monitor, ended.proof) == (None, "monitor gone, file closed")

        await b.in_session(work)
        assert b.caller.running == []
        assert "MixMonitorMute" not in [one.name for one in peer.actions]


async def test_a_monitor_that_is_gone_cannot_be_muted(tmp_path: Path) -> None:
    async with bench(tmp_path) as b, manager(b) as (_, client):

        async def work(session: AgiSession) -> None:
            driver = muting(b, client, session)
            begun = await driver.begin(PART, None, 0)
            b.caller.run("StopMixMonitor", begun.monitor.id)
            with pytest.raises(MonitorLostError):
                await driver.end(begun.monitor)

        await b.in_session(work)


async def test_a_success_that_muted_nothing_is_seen_where_ids_are_not_known(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b, manager(b) as (_, client):

        async def work(session: AgiSession) -> None:
            driver = muting(b, client, session, by_id=False)
            begun = await driver.begin(PART, None, 0)
            b.caller.run("StopMixMonitor", begun.monitor.id)
            with pytest.raises(MonitorLostError):
                await driver.end(begun.monitor)

        await b.in_session(work)


@pytest.mark.parametrize(
    ("version", "by_id"),
    [
        ("16.28.0~dfsg-0+deb11u4", False),
        ("18.17.1", False),
        ("18.18.0", True),
        ("19.8.1", False),
        ("20.2.1", False),
        ("20.3.0", True),
        ("21.0.0", True),
        ("22.10.1", True),
        ("certified/18.9-cert5", False),
        ("GIT-master-abc", False),
        ("", False),
    ],
)
def test_a_mute_is_by_id_only_where_asterisk_honours_it(version: str, by_id: bool) -> None:
    assert mutes_by_id(version) is by_id
