"""Room on the disks: nothing new begins without, what runs goes on, and it begins again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from turnrec.core.entry import Entry
from turnrec.core.errors import DiskLowError
from turnrec.notes import Notes
from turnrec.room import Room, free_bytes

A, B = Path("/a"), Path("/b")


class Disks:
    """Two disks, and who is told that one is full."""

    def __init__(self, **options: float) -> None:
        self.free: dict[Path, int | OSError] = {A: 1_000_000_000, B: 1_000_000_000}
        self.alarms: list[tuple[str, str]] = []
        self.room = Room(
            (A, B, A),
            200,
            lambda *alarm: self.alarms.append(alarm),
            measure=self.measure,
            **options,
        )

    def measure(self, folder: Path) -> int:
        found = self.free[folder]
        if isinstance(found, OSError):
            raise found
        return found


async def test_either_disk_can_lack_room_and_it_is_said_once() -> None:
    disks = Disks()
    await disks.room.look()
    assert disks.room.lack() is None
    disks.free[B] = 199_999_999
    for _ in range(3):
        await disks.room.look()
    assert "199 MB are free in /b" in (disks.room.lack() or "")
    assert [alarm_id for alarm_id, _ in disks.alarms] == ["disk-low"]


async def test_recordings_begin_again_when_there_is_clearly_room() -> None:
    disks = Disks()
    disks.free[A] = 0
    await disks.room.look()
    disks.free[A] = 205_000_000
    await disks.room.look()
    assert disks.room.lack() is not None
    disks.free[A] = 220_000_001
    await disks.room.look()
    assert disks.room.lack() is None
    disks.free[A] = 0
    await disks.room.look()
    assert len(disks.alarms) == 2


async def test_a_disk_that_cannot_be_measured_has_no_room() -> None:
    disks = Disks()
    disks.free[A] = OSError(2, "No such file or directory")
    await disks.room.look()
    assert "can't be measured (No such file or directory)" in (disks.room.lack() or "")


async def test_it_looks_by_itself_from_the_start_on() -> None:
    disks = Disks(interval_s=0.01)
    disks.free[A] = 0
    await disks.room.start()
    assert disks.room.lack() is not None
    disks.free[A] = 1_000_000_000
    async with asyncio.timeout(30):
        while disks.room.lack() is not None:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.01)
    await disks.room.close()


async def test_nobody_looks_where_the_least_is_nothing() -> None:
    room = Room((A,), 0, lambda *alarm: pytest.fail(str(alarm)))
    await room.start()
    assert room.lack() is None
    await room.close()


def test_a_real_disk_can_be_measured(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
    with pytest.raises(OSError, match="No such file"):
        free_bytes(tmp_path / "gone")


class _Journal:
    def append(self, entry: Entry) -> None:
        pass

    def vouches(self) -> bool:
        return True

    async def make_durable(self) -> bool:
        return True


async def test_what_begins_a_recording_is_refused_with_the_reason() -> None:
    disks = Disks()
    notes = Notes(_Journal(), lambda: 0)
    notes.check_vouched()
    notes.room = disks.room
    notes.check_vouched()
    disks.free[A] = 0
    await disks.room.look()
    with pytest.raises(DiskLowError, match="0 MB are free in /a"):
        notes.check_vouched()
