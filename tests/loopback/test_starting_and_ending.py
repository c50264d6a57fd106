"""A start serves bots first, an end waits for nothing that the next start can do as well."""

from __future__ import annotations

import asyncio
import threading
import wave
from pathlib import Path

import pytest

from tests.loopback.fake_asterisk import ASTERISK_SPOOL, HANG_S, FakeAsterisk, ignored
from tests.loopback.house import CheckedRecordings, House
from tests.loopback.test_events_http import settings_in, turnrec
from turnrec.asterisk.spool import Spool
from turnrec.core.call import ClosedRecording, FinishedRecording
from turnrec.core.entry import EntryKind
from turnrec.front import Front
from turnrec.ledger import Ledger
from turnrec.ledger.views import RecordingStatus
from turnrec.service import Service

HOUR_MS = 3_600_000


@pytest.fixture
def pbx(tmp_path: Path) -> FakeAsterisk:
    spool = tmp_path / "spool"
    spool.mkdir()
    return FakeAsterisk(spool)


async def kinds(folder: Path) -> list[EntryKind]:
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
    try:
        return [one.entry.kind for one in await ledger.entries(limit=None)]
    finally:
        await ledger.close()


async def test_a_part_that_stays_open_holds_up_no_end_and_is_joined_after_the_next_start(
    tmp_path: Path, pbx: FakeAsterisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnrec.recordings.closer._WAIT_CLOSED_MS", HOUR_MS)
    caller = pbx.channel()
    async with turnrec(tmp_path, pbx) as server:
        await server.talk(caller, "greeting")
        caller.on("StopMixMonitor", ignored)
        await caller.agi("hangup")
        async with asyncio.timeout(HANG_S):
            while server.service.calls.live():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
    told = await kinds(tmp_path)
    assert EntryKind.RECORDING_STOPPED in told
    assert EntryKind.RECORDING_CLOSED not in told
    assert told[-1] is EntryKind.SERVER_STOPPED

    caller.destroy()
    (part,) = pbx.spool.iterdir()
    with wave.open(str(part), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(16))
    async with turnrec(tmp_path, pbx) as server:
        await server.service.calls.settle()
        await server.service.ledger.flush()
        (record,) = await server.service.ledger.recordings()
        assert record.status is RecordingStatus.DONE
        assert list(pbx.spool.iterdir()) == []
    assert (await kinds(tmp_path)).count(EntryKind.RECORDING_CLOSED) == 1


async def test_bots_are_served_while_the_api_is_still_being_made(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    class SlowToOpen(Service):
        let_on, asked = threading.Event(), threading.Event()

        def _make_front(self) -> Front:
            self.asked.set()
            assert self.let_on.wait(HANG_S)
            return super()._make_front()

    service = SlowToOpen(settings_in(tmp_path, pbx))
    starting = asyncio.create_task(service.start())
    try:
        assert await asyncio.to_thread(service.asked.wait, HANG_S)
        pbx.port = service.agi_port
        caller = pbx.channel()
        assert await caller.gosub("start", "kyc") == "OK"
        assert await caller.gosub("turn", "ask_aadhaar") == "OK"
        assert not starting.done()
        assert service.api_port == 0
    finally:
        service.let_on.set()
        await starting
        await service.stop()


async def test_a_recording_that_a_defect_keeps_from_being_joined_is_told_of_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    class Defective(CheckedRecordings):
        async def close(self, recording: FinishedRecording) -> ClosedRecording:
            raise RuntimeError(recording.id)

    spool = Spool(tmp_path, ASTERISK_SPOOL)
    async with House.open(tmp_path, around=lambda _: Defective(spool)) as house:
        await house.hear("greeting")
        await house.hang_up()
        assert EntryKind.RECORDING_CLOSED not in house.journal.kinds()
        alarm = house.journal.entries[-1]
        assert (alarm.kind, alarm.result) == (EntryKind.ALARM, "recording-failed")
        assert alarm.recording_id is not None
