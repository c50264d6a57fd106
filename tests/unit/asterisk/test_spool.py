"""What a part's header and size say of the monitor that writes it."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path, PurePosixPath

import pytest

from turnrec.asterisk.spool import WAV_HEADER_BYTES, Spool

HANG_MS = 30_000
PART = "R1-001.wav"


def header(riff_bytes: int) -> bytes:
    return b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVEfmt " + bytes(28)


LIVE, CLOSED, CLOSED_EMPTY = header(0), header(36 + 320), header(36)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, PurePosixPath("/var/spool/asterisk/turnrec"))


def test_a_part_has_two_names_one_for_each_side(spool: Spool, tmp_path: Path) -> None:
    assert spool.path(PART) == tmp_path / PART
    assert spool.asterisk_path(PART) == f"/var/spool/asterisk/turnrec/{PART}"


def test_a_part_that_is_not_there_has_no_size_and_is_not_closed(spool: Spool) -> None:
    assert spool.size_bytes(PART) is None
    assert not spool.is_closed(PART)


@pytest.mark.parametrize(
    ("data", "closed"),
    [
        (b"", False),
        (LIVE[:20], False),
        (CLOSED[: WAV_HEADER_BYTES - 1], False),
        (LIVE, False),
        (LIVE + bytes(32 * 1024), False),
        (CLOSED_EMPTY, True),
        (CLOSED, True),
        (CLOSED + bytes(320), True),
        (header(2**32 - 1), True),
    ],
)
def test_a_part_is_closed_once_its_header_tells_its_size(
    spool: Spool, data: bytes, closed: bool
) -> None:
    spool.path(PART).write_bytes(data)
    assert spool.size_bytes(PART) == len(data)
    assert spool.is_closed(PART) is closed


def test_a_folder_by_the_parts_name_is_not_closed(spool: Spool) -> None:
    spool.path(PART).mkdir()
    assert not spool.is_closed(PART)


@pytest.mark.parametrize("data", [None, b"", LIVE[:43]])
async def test_a_part_without_its_whole_header_is_not_written(
    spool: Spool, data: bytes | None
) -> None:
    if data is not None:
        spool.path(PART).write_bytes(data)
    assert not await spool.wait_written(PART, 1)


async def test_a_live_part_is_written_and_not_closed(spool: Spool) -> None:
    spool.path(PART).write_bytes(LIVE)
    assert await spool.wait_written(PART, 1)
    assert not await spool.wait_closed(PART, 1)


async def test_what_is_true_already_is_seen_without_waiting(spool: Spool) -> None:
    spool.path(PART).write_bytes(CLOSED)
    assert await spool.wait_written(PART, 0)
    assert await spool.wait_closed(PART, 0)


async def test_a_wait_sees_what_comes_late(spool: Spool) -> None:
    written = asyncio.create_task(spool.wait_written(PART, HANG_MS))
    closed = asyncio.create_task(spool.wait_closed(PART, HANG_MS))
    spool.path(PART).write_bytes(b"")
    await asyncio.sleep(0)
    spool.path(PART).write_bytes(LIVE)
    assert await written
    assert not closed.done()
    spool.path(PART).write_bytes(CLOSED)
    assert await closed
