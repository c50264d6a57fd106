"""Closing a recording: its file, its words for the ledger, and what becomes of the parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.recordings.parts import audio, closed, killed, tone
from turnrec.core.call import FinishedRecording
from turnrec.core.policy import PauseBehavior, PauseMethod
from turnrec.core.timeline import Gap, Segment
from turnrec.recordings.closer import Closer

DAY = "1970-01-01"


async def _at_once(_part: str, _within_ms: int) -> bool:
    return True


@pytest.fixture
async def closer(tmp_path: Path) -> AsyncIterator[Closer]:
    (tmp_path / "spool").mkdir()
    closer = Closer(tmp_path / "spool", tmp_path / "recordings", _at_once)
    yield closer
    closer.shut_down()


def recording(parts: int = 2) -> FinishedRecording:
    """Segments of one second, each followed by a gap of one second but the last."""
    seconds = [n * 2_000_000 for n in range(parts)]
    return FinishedRecording(
        id="R1",
        call_id="C1",
        bot="kyc",
        opened_us=0,
        closed_us=seconds[-1] + 1_000_000 if seconds else 1_000_000,
        segments=tuple(
            Segment(n + 1, f"R1-{n + 1:03d}.wav", at, at + 1_000_000)
            for n, at in enumerate(seconds)
        ),
        gaps=tuple(Gap(at + 1_000_000, at + 2_000_000, ("turn",), "ask") for at in seconds[:-1]),
        behavior=PauseBehavior.SILENCE,
        method=PauseMethod.SEGMENT,
    )


def write(tmp_path: Path, number: int, data: bytes) -> Path:
    path = tmp_path / "spool" / f"R1-{number:03d}.wav"
    path.write_bytes(data)
    return path


async def test_a_recording_is_one_file_of_its_day_with_all_that_proves_it(
    closer: Closer, tmp_path: Path
) -> None:
    for number in (1, 2):
        write(tmp_path, number, closed(tone(400, 8000)))
    done = await closer.close(recording())
    assert done.ok
    assert done.detail["status"] == "done"
    assert done.detail["file"] == f"{DAY}/R1.wav"
    assert done.detail["samples"] == 24_000
    assert done.detail["problems"] == []
    samples = audio(tmp_path / "recordings" / DAY / "R1.wav")
    assert not samples[8000:16_000].any()
    assert samples[:8000].any()


async def test_parts_go_only_once_they_are_discarded(closer: Closer, tmp_path: Path) -> None:
    paths = [write(tmp_path, number, closed(tone(400, 8000))) for number in (1, 2)]
    await closer.close(recording())
    assert all(path.exists() for path in paths)
    await closer.discard("R1")
    assert not any(path.exists() for path in paths)
    await closer.discard("R1")


async def test_parts_stay_where_they_shall_be_kept(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    closer = Closer(tmp_path / "spool", tmp_path / "recordings", _at_once, keep_parts=True)
    path = write(tmp_path, 1, closed(tone(400, 8000)))
    await closer.close(recording(1))
    await closer.discard("R1")
    closer.shut_down()
    assert path.exists()


async def test_a_part_of_a_killed_asterisk_fails_the_recording_and_keeps_its_audio(
    closer: Closer, tmp_path: Path
) -> None:
    write(tmp_path, 1, closed(tone(400, 8000)))
    write(tmp_path, 2, killed(tone(500, 8000)))
    done = await closer.close(recording())
    assert not done.ok
    assert done.detail["status"] == "failed"
    assert audio(tmp_path / "recordings" / DAY / "R1.wav")[16_000:].any()


async def test_a_part_that_is_gone_fails_the_recording_and_not_the_rest(
    closer: Closer, tmp_path: Path
) -> None:
    write(tmp_path, 1, closed(tone(400, 8000)))
    done = await closer.close(recording())
    assert not done.ok
    assert "R1-002.wav" in str(done.detail["problems"])
    assert (tmp_path / "recordings" / DAY / "R1.wav").exists()


async def test_a_recording_that_was_paused_throughout_has_no_file_and_is_whole(
    closer: Closer,
) -> None:
    done = await closer.close(recording(0))
    assert done.ok
    assert done.detail["file"] is None


async def test_a_file_that_a_dead_process_joined_is_joined_anew(
    closer: Closer, tmp_path: Path
) -> None:
    write(tmp_path, 1, closed(tone(400, 8000)))
    target = tmp_path / "recordings" / DAY / "R1.wav"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"half")
    assert (await closer.close(recording(1))).ok
    assert audio(target).any()


async def test_the_only_whole_copy_is_never_overwritten(closer: Closer, tmp_path: Path) -> None:
    """Its process died while it discarded the parts."""
    write(tmp_path, 2, closed(tone(400, 8000)))
    target = tmp_path / "recordings" / DAY / "R1.wav"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"whole")
    assert not (await closer.close(recording())).ok
    assert target.read_bytes() == b"whole"


async def test_a_recordings_folder_that_cannot_be_made_is_an_outcome(
    closer: Closer, tmp_path: Path
) -> None:
    part = write(tmp_path, 1, closed(tone(400, 8000)))
    (tmp_path / "recordings").write_text("a file stands here")
    done = await closer.close(recording(1))
    assert (done.ok, done.detail["status"]) == (False, "failed")
    assert part.exists()
