"""The simulated Asterisk and its time: it answers what it knows, and ends where it would guess."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath

import pytest

from turnrec.asterisk.agi import AgiServer, AgiSession
from turnrec.asterisk.ami import AmiClient, AmiSettings
from turnrec.asterisk.ami_errors import AmiConnectionLostError, AmiRefusedError, AmiTimeoutError
from turnrec.asterisk.spool import Spool
from turnrec.core.errors import UnansweredError
from turnrec.recordings.wav import read_part
from turnrec.simulate import agi, manager
from turnrec.simulate.machine import NotSimulatedError, SimulatedAsterisk, SimulatedChannel
from turnrec.simulate.manager import SimulatedManager
from turnrec.simulate.virtual_loop import StandstillError, VirtualLoop, run
from turnrec.simulate.wire import Tap

SPOOL = PurePosixPath("/spool")
A_DAY_S = 86_400


class FarEnd:
    """A machine with one channel, in a world of its own."""

    def __init__(self, loop: VirtualLoop, folder: Path, version: str = "22.10.1") -> None:
        self.clock: Callable[[], int] = lambda: round(loop.time() * 1_000_000)
        self.tap = Tap(self.clock)
        self.spool = Spool(folder, SPOOL)
        self.asterisk = SimulatedAsterisk(
            self.spool, self.clock, version=version, mutes_by_id=True, codec="ulaw"
        )
        self.channel: SimulatedChannel = self.asterisk.begin_channel("PJSIP/caller")

    async def asked(self, handler: Callable[[AgiSession], Awaitable[None]]) -> None:
        """Have the channel run AGI(), and turnrec's own FastAGI server do this with it."""
        server = AgiServer({"test": handler}, answer_timeout_ms=1_000)
        await server.listen(*agi.ADDRESS)
        try:
            await agi.run_agi(self.asterisk, self.tap, self.channel, "test", "word")
        finally:
            await server.close()


def ami_client() -> AmiClient:
    host, port = manager.ADDRESS
    return AmiClient(AmiSettings(host=host, port=port, username="-", secret="-"))


# ------------------------------------------------------------------ time


def test_time_jumps_to_what_is_due_and_nobody_waits() -> None:
    async def main(loop: VirtualLoop) -> list[str]:
        said: list[str] = []

        async def say(word: str, after_s: float) -> None:
            await asyncio.sleep(after_s)
            said.append(f"{word} at {loop.time():g}")

        await asyncio.gather(say("late", A_DAY_S * 3), say("soon", 0.5), say("at once", 0))
        return said

    assert run(main) == ["at once at 0", "soon at 0.5", f"late at {A_DAY_S * 3:g}"]


def test_a_time_out_is_one_in_this_time_too() -> None:
    async def main(loop: VirtualLoop) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await loop.create_future()
        return loop.time()

    assert run(main) == 5


def test_a_world_in_which_everybody_waits_for_ever_ends() -> None:
    with pytest.raises(StandstillError):
        run(lambda loop: _never(loop))


async def _never(loop: VirtualLoop) -> None:
    await loop.create_future()


def test_nobody_is_reached_outside() -> None:
    async def main(_loop: VirtualLoop) -> None:
        with pytest.raises(ConnectionRefusedError, match="nobody listens"):
            await asyncio.open_connection("127.0.0.1", 22)

    run(main)


# ------------------------------------------------------------------ AGI


def test_an_agi_session_is_told_who_it_is_and_answered(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        far_end = FarEnd(loop, tmp_path)
        seen: list[str] = []

        async def handler(session: AgiSession) -> None:
            seen.extend([session.environment.channel, session.environment.argument(1)])
            await session.execute("MSet", "TURNREC_A=1,__TURNREC_B=2")
            seen.append(await session.expand("${TURNREC_A}|${TURNREC_B}|${NOT_SET}"))
            await session.set_variable("TURNREC_A", 'a "quoted" \\ value')
            seen.append(await session.expand("${TURNREC_A}"))
            await session.execute("Wait", "2.5")

        await far_end.asked(handler)
        assert seen == [far_end.channel.name, "word", "1|2|", 'a "quoted" \\ value']
        assert loop.time() > 2.5
        assert far_end.tap.commands[-1].sent == 'EXEC "Wait" "2.5"'

    run(main)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("EXEC", "Playback", "x"), "the application Playback"),
        (("STREAM FILE", "x", ""), "the AGI command STREAM FILE x"),
        (("GET FULL VARIABLE", "${SHELL(id)}"), "the function SHELL(id)"),
        (("EXEC", "MixMonitor", "/tmp/x.wav,"), "a monitor that writes outside the spool"),
    ],
)
def test_what_it_doesn_t_know_ends_the_simulation(
    tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    async def main(loop: VirtualLoop) -> None:
        async def handler(session: AgiSession) -> None:
            with pytest.raises(UnansweredError):
                await session.command(*words)

        await FarEnd(loop, tmp_path).asked(handler)

    with pytest.raises(NotSimulatedError) as unknown:
        run(main)
    assert named in str(unknown.value)


# ------------------------------------------------------------------ monitors and parts


def test_a_part_is_as_long_as_its_time_and_zero_where_it_is_muted(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        far_end = FarEnd(loop, tmp_path)
        asterisk, channel = far_end.asterisk, far_end.channel
        asterisk.start_monitor(channel, str(SPOOL / "a.wav"), "i(TURNREC_MIXMON_ID)")
        monitor_id = channel.variables["TURNREC_MIXMON_ID"]
        assert asterisk.value(channel, f"MIXMONITOR({monitor_id},filename)") == "/spool/a.wav"
        assert far_end.spool.size_bytes("a.wav") == 44
        assert not far_end.spool.is_closed("a.wav")
        await asyncio.sleep(2)
        assert asterisk.mute_monitors(channel, monitor_id, muted=True)
        await asyncio.sleep(1)
        assert asterisk.mute_monitors(channel, monitor_id, muted=False)
        await asyncio.sleep(0.5)
        assert not asterisk.mute_monitors(channel, "0x1", muted=True)
        assert asterisk.stop_monitor(channel, monitor_id)
        assert not asterisk.stop_monitor(channel, monitor_id)
        assert asterisk.value(channel, f"MIXMONITOR({monitor_id},filename)") == ""
        assert far_end.spool.is_closed("a.wav")

    run(main)
    blocks = list(read_part(tmp_path / "a.wav").blocks())
    heard = [bool(sample) for block in blocks for sample in block]
    assert heard == [True] * 16_000 + [False] * 8_000 + [True] * 4_000


def test_a_channel_that_hangs_up_ends_its_monitors(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        far_end = FarEnd(loop, tmp_path)
        far_end.asterisk.start_monitor(far_end.channel, str(SPOOL / "a.wav"), "")
        far_end.asterisk.end_channel(far_end.channel)
        assert far_end.spool.is_closed("a.wav")
        assert far_end.asterisk.find(far_end.channel.name) is None

    run(main)


@pytest.mark.parametrize(
    ("version", "told"),
    [("16.16.0", False), ("16.28.0", True), ("17.5", False), ("18.2.0", False), ("18.3", True)],
)
def test_older_ones_don_t_tell_of_monitors(tmp_path: Path, version: str, *, told: bool) -> None:
    async def main(loop: VirtualLoop) -> list[str]:
        far_end = FarEnd(loop, tmp_path, version)
        heard: list[str] = []
        far_end.asterisk.announce = lambda name, _fields: heard.append(name)
        far_end.asterisk.start_monitor(far_end.channel, str(SPOOL / "a.wav"), "")
        return heard

    assert run(main) == (["MixMonitorStart"] if told else [])


# ------------------------------------------------------------------ AMI


def test_turnrec_s_own_ami_client_logs_in_and_is_answered(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        far_end = FarEnd(loop, tmp_path)
        far_manager = SimulatedManager(far_end.asterisk, far_end.tap)
        await far_manager.open()
        client = ami_client()
        await client.start()
        await client.wait_ready(1_000)
        channel = far_end.channel
        await client.action("Setvar", Channel=channel.name, Variable="TURNREC_A", Value="1")
        found = await client.action("Getvar", Channel=channel.uniqueid, Variable="TURNREC_A")
        assert found.get("Value") == "1"
        with pytest.raises(AmiRefusedError, match="No such channel"):
            await client.action("Getvar", Channel="PJSIP/nobody", Variable="TURNREC_A")
        with pytest.raises(AmiRefusedError, match="No such MixMonitor"):
            await client.action("StopMixMonitor", Channel=channel.name)
        assert [one.sent.split("\r\n")[0] for one in far_end.tap.commands] == [
            "Action: Setvar",
            "Action: Getvar",
            "Action: Getvar",
            "Action: StopMixMonitor",
        ]
        await client.close()
        far_manager.close()

    run(main)


def test_an_action_that_it_doesn_t_know_is_never_answered_and_is_named(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        far_end = FarEnd(loop, tmp_path)
        far_manager = SimulatedManager(far_end.asterisk, far_end.tap)
        await far_manager.open()
        client = ami_client()
        await client.start()
        await client.wait_ready(1_000)
        with pytest.raises((AmiTimeoutError, AmiConnectionLostError)):
            await client.action("Originate", Channel=far_end.channel.name)
        assert str(far_manager.failure) == "the action Originate"
        await client.close()
        far_manager.close()

    run(main)
