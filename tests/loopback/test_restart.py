"""Turnrec ends and comes back in mid-call: two generations, one ledger, one Asterisk.

The second generation knows what the channel's variables and the ledger say, and no more. What it
can't establish is paused, not resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from tests.loopback.fake_asterisk import ASTERISK_SPOOL, HANG_S, FakeAsterisk, FakeChannel
from tests.loopback.house import BOTS, HANG_MS, CheckedRecordings, OneFlow
from turnrec.asterisk.agi import AgiServer
from turnrec.asterisk.ami import AmiClient, AmiSettings
from turnrec.asterisk.paths import Ways
from turnrec.asterisk.spool import Spool
from turnrec.calls import Asker, Calls
from turnrec.core.entry import EntryKind, Origin
from turnrec.core.policy import Flow
from turnrec.core.recorder import Source, State
from turnrec.dialplan import Door
from turnrec.ledger import Ledger, Limits
from turnrec.memory import LedgerMemory
from turnrec.service import LedgerJournal
from turnrec.talks import Talks

SECRET = b"2345 6789 0123"
_TICKS = count(1_790_000_000_000_000, 1_000)
_IDS = count(1)


def tick_us() -> int:
    """What both generations' clock says next."""
    return next(_TICKS)


@dataclass
class Generation:
    """One process of turnrec."""

    calls: Calls
    ledger: Ledger
    memory: LedgerMemory
    server: AgiServer
    recordings: CheckedRecordings

    async def ask(self, caller: FakeChannel, *request: str) -> str:
        status = await caller.gosub(*request)
        async with asyncio.timeout(HANG_S):
            while self.server.session_count:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
        return status

    async def kinds(self) -> list[EntryKind]:
        await self.ledger.flush()
        return [one.entry.kind for one in await self.ledger.entries()]


@asynccontextmanager
async def generation(
    folder: Path, pbx: FakeAsterisk, flow: Flow | None = None
) -> AsyncIterator[Generation]:
    """Start turnrec on a folder, as `serve` puts it together; end it as SIGTERM does."""
    source = OneFlow(flow or Flow(BOTS))
    spool = Spool(folder, ASTERISK_SPOOL)
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}", limits=Limits(gather_ms=0))
    memory = LedgerMemory(ledger, source, folder)
    recordings = CheckedRecordings(spool)
    calls = Calls(
        flow=source,
        journal=LedgerJournal(ledger),
        recordings=recordings,
        memory=memory,
        clock=_TICKS.__next__,
        new_id=lambda: f"ID{next(_IDS):06d}",
        deadline_ms=HANG_MS,
    )
    down = AmiClient(AmiSettings(username="turnrec", secret="none"))
    door = Door(calls, Talks(calls), Ways(spool, _TICKS.__next__, down), lambda _: None)
    server = AgiServer(door.routes, answer_timeout_ms=HANG_MS)
    await server.listen("127.0.0.1", 0)
    pbx.port = server.port
    try:
        yield Generation(calls, ledger, memory, server, recordings)
    finally:
        await server.close(patience_s=HANG_S)
        await calls.settle()
        await ledger.close()
    assert recordings.contradictions == []


@pytest.fixture
def pbx(tmp_path: Path) -> FakeAsterisk:
    return FakeAsterisk(tmp_path)


async def before(folder: Path, pbx: FakeAsterisk, *nodes: str, bot: str = "kyc") -> FakeChannel:
    """A call that the first generation began and took through these turns."""
    caller = pbx.channel()
    async with generation(folder, pbx) as first:
        assert await first.ask(caller, "start", bot) == "OK"
        for node in nodes:
            assert await first.ask(caller, "turn", node) == "OK"
    return caller


async def test_a_call_that_was_recorded_goes_on_in_the_same_part(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    caller = await before(tmp_path, pbx, "greeting")
    (monitor,) = caller.running
    async with generation(tmp_path, pbx) as second:
        assert await second.ask(caller, "turn", "small_talk") == "OK"
        assert caller.running == [monitor]
        (call,) = second.calls.live()
        assert (call.recorder.state, call.recorder.holds) == (State.RECORDING, frozenset())
        assert call.turn is not None
        assert (call.turn.number, call.turn.node.name) == (2, "small_talk")
        assert await second.ask(caller, "turn", "ask_aadhaar") == "OK"
        caller.speak(SECRET)
        assert caller.captured == b""
        assert await second.ask(caller, "turn", "confirm") == "OK"
        await caller.hang_up()
        await second.calls.settle()
        (finished,) = second.recordings.finished
    assert [segment.number for segment in finished.segments] == [1, 2]
    assert [gap.node for gap in finished.gaps if gap.sources == ("turn",)] == ["ask_aadhaar"]


async def test_a_paused_call_stays_paused_until_a_turn_resumes_it(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    caller = await before(tmp_path, pbx, "ask_aadhaar")
    async with generation(tmp_path, pbx) as second:
        assert await second.ask(caller, "turn", "small_talk") == "OK"
        caller.speak(SECRET)
        assert caller.captured == b""
        assert second.calls.live()[0].recorder.holds == {Source.TURN}
        assert await second.ask(caller, "turn", "confirm") == "OK"
        assert len(caller.running) == 1


async def test_a_scoped_pause_over_a_sticky_one_gives_the_sticky_one_back(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    caller = await before(tmp_path, pbx, "ask_aadhaar", "ask_otp")
    async with generation(tmp_path, pbx) as second:
        assert await second.ask(caller, "turn", "small_talk") == "OK"
        assert caller.running == []
        assert second.calls.live()[0].recorder.is_paused


async def test_a_monitor_that_was_lost_meanwhile_is_begun_anew_by_a_turn_that_may(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    caller = await before(tmp_path, pbx, "greeting")
    caller.run("StopMixMonitor", "")
    async with generation(tmp_path, pbx) as second:
        assert await second.ask(caller, "turn", "ask_aadhaar") == "OK"
        assert second.calls.live()[0].recorder.holds >= {Source.TURN, Source.FAULT}
        assert await second.ask(caller, "turn", "confirm") == "OK"
        assert len(caller.running) == 1
        assert len({monitor.file for monitor in caller.monitors}) == len(caller.monitors)


async def test_a_monitor_that_should_not_run_is_ended_before_anything_else(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    """Somebody unpaused behind turnrec's back: the variables say paused, and something runs."""
    caller = await before(tmp_path, pbx, "ask_aadhaar")
    part = str(ASTERISK_SPOOL / "ID000002-077.wav")
    caller.run("MixMonitor", f"{part},i(TURNREC_MIXMON_ID)")
    async with generation(tmp_path, pbx) as second:
        assert await second.ask(caller, "turn", "small_talk") == "OK"
        assert caller.running == []


@pytest.mark.parametrize(("name", "value"), [("STATE", "nonsense"), ("HOLDS", "nobody")])
async def test_variables_that_make_no_sense_are_held_by_a_fault(
    tmp_path: Path, pbx: FakeAsterisk, name: str, value: str
) -> None:
    caller = await before(tmp_path, pbx, "greeting")
    caller.variables[f"TURNREC_{name}"] = value
    async with generation(tmp_path, pbx) as second:
        await second.ask(caller, "turn", "ask_aadhaar")
        assert Source.FAULT in second.calls.live()[0].recorder.holds
        caller.speak(SECRET)
        assert caller.captured == b""


async def test_a_bot_that_the_flow_has_lost_records_no_more_turns(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    caller = await before(tmp_path, pbx, "greeting")
    async with generation(tmp_path, pbx, Flow({})) as second:
        assert await second.ask(caller, "turn", "greeting") == "OK"
        assert caller.running == []


async def test_a_call_that_ended_is_not_taken_up_again(tmp_path: Path, pbx: FakeAsterisk) -> None:
    caller = await before(tmp_path, pbx, "greeting")
    async with generation(tmp_path, pbx) as second:
        (orphan,) = await second.memory.orphans(())
        second.calls.restore(orphan)
        assert await second.calls.hang_up(caller.uniqueid, Asker(Origin.SWEEP))
        await second.ledger.flush()
        assert await second.ask(caller, "turn", "confirm") == "REFUSED"
        assert caller.error == "unknown-call"
        assert (await second.kinds()).count(EntryKind.CALL_ENDED) == 1


async def test_a_call_whose_own_end_comes_while_the_ledgers_list_is_gone_through_ends_once(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    """Seen when turnrec was started anew in the second in which a caller hung up."""
    caller = await before(tmp_path, pbx, "greeting")
    async with generation(tmp_path, pbx) as second:
        (orphan,) = await second.memory.orphans(())
        assert not await second.memory.is_over(orphan.id)
        await second.ask(caller, "hangup")
        assert not second.calls.restore(orphan)
        assert not await second.calls.hang_up(caller.uniqueid, Asker(Origin.SWEEP))
        await second.calls.settle()
        assert len(second.recordings.finished) == 1
        assert (await second.kinds()).count(EntryKind.CALL_ENDED) == 1


async def test_a_call_whose_channel_went_meanwhile_is_ended_with_all_its_segments(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    caller = await before(tmp_path, pbx, "ask_aadhaar", "confirm")
    async with generation(tmp_path, pbx) as second:
        (orphan,) = await second.memory.orphans(())
        assert (orphan.uniqueid, orphan.bot.name) == (caller.uniqueid, "kyc")
        second.calls.restore(orphan)
        await second.calls.hang_up(orphan.uniqueid, Asker(Origin.SWEEP))
        await second.calls.settle()
        (finished,) = second.recordings.finished
        assert [segment.number for segment in finished.segments] == [1, 2]
        assert await second.memory.orphans(()) == []


async def test_a_recording_that_ended_and_was_never_entered_is_joined_by_the_next_process(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    caller = await before(tmp_path, pbx, "greeting", bot="restartable")
    async with generation(tmp_path, pbx) as second:
        assert await second.memory.unfinished() == []
        assert await second.ask(caller, "turn", "goodbye") == "OK"
        await second.calls.settle()
        assert await second.memory.unfinished() == []
    async with generation(tmp_path, pbx) as third:
        entries = await third.ledger.entries()
        closing = [one for one in entries if one.entry.kind is EntryKind.RECORDING_CLOSED]
        assert len(closing) == 1
        # As if the second had died between the end of the recording and its entry.
        lost = Ledger.open(f"sqlite:///{tmp_path / 'other.db'}", limits=Limits(gather_ms=0))
        for one in entries:
            if one.entry.kind is not EntryKind.RECORDING_CLOSED:
                lost.append(replace(one.entry, detail=dict(one.entry.detail)))
        memory = LedgerMemory(lost, OneFlow(Flow(BOTS)), tmp_path)
        ((finished, uniqueid),) = await memory.unfinished()
        await lost.close()
    assert finished.end_is_told
    assert uniqueid == caller.uniqueid
    assert [segment.part for segment in finished.segments] == [f"{finished.id}-001.wav"]


@pytest.mark.parametrize("is_lost", [True, False])
async def test_the_end_of_a_recording_is_entered_once_also_where_its_process_died(
    tmp_path: Path, pbx: FakeAsterisk, is_lost: bool
) -> None:
    stopped = EntryKind.RECORDING_STOPPED
    late = (EntryKind.RECORDING_CLOSED, *((stopped,) if is_lost else ()))
    caller = await before(tmp_path, pbx, "greeting", bot="restartable")
    async with generation(tmp_path, pbx) as second:
        assert await second.ask(caller, "turn", "goodbye") == "OK"
        await second.calls.settle()
        await second.ledger.flush()
        entries = await second.ledger.entries()
    folder = tmp_path / "died"
    folder.mkdir()
    crashed = Ledger.open(f"sqlite:///{folder / 'ledger.db'}", limits=Limits(gather_ms=0))
    for one in entries:
        if one.entry.kind not in late:
            crashed.append(replace(one.entry, detail=dict(one.entry.detail)))
    await crashed.close()
    async with generation(folder, pbx) as third:
        for finished, uniqueid in await third.memory.unfinished():
            third.calls.finish_later(finished, uniqueid)
        await third.calls.settle()
        kinds = await third.kinds()
        third.recordings.contradictions.clear()  # its parts lie in the other folder
    assert kinds.count(stopped) == 1
    assert kinds.index(stopped) < kinds.index(EntryKind.RECORDING_CLOSED)
