"""The two-channel file: it adds up to the mix, sample by sample, or there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.pbx.tones import read_wav
from tests.unit.recordings.parts import Samples, audio, closed, tone
from tests.unit.recordings.test_closer import DAY, _at_once, recording
from turnrec.core.call import FinishedRecording
from turnrec.core.policy import PauseBehavior
from turnrec.recordings.closer import Closer

DUAL = replace(recording(), dual_channel=True, talk_parts=frozenset())


@pytest.fixture
async def closer(tmp_path: Path) -> AsyncIterator[Closer]:
    (tmp_path / "spool").mkdir()
    closer = Closer(tmp_path / "spool", tmp_path / "recordings", _at_once)
    yield closer
    closer.shut_down()


def write_part(tmp_path: Path, number: int, left: Samples, right: Samples) -> None:
    """A part and its two directions, as Asterisk 22 writes them."""
    mix = np.clip(left.astype(np.int32) + right, -32768, 32767).astype(np.int16)
    stem = tmp_path / "spool" / f"R1-{number:03d}"
    for suffix, samples in (("", mix), ("-r", left), ("-t", right)):
        Path(f"{stem}{suffix}.wav").write_bytes(closed(samples))


def write_parts(tmp_path: Path) -> None:
    # Loud enough that the sum is cut off at the top.
    for number in (1, 2):
        write_part(tmp_path, number, 2 * tone(500, 8000), 2 * tone(400 * number, 8000))


async def stereo(closer: Closer, wanted: FinishedRecording = DUAL) -> dict[str, object]:
    done = await closer.close(wanted)
    assert done.ok
    found = done.detail["stereo"]
    assert isinstance(found, dict)
    return found


async def test_the_caller_is_left_and_everybody_else_right(closer: Closer, tmp_path: Path) -> None:
    write_parts(tmp_path)
    assert (await stereo(closer))["file"] == f"{DAY}/R1.stereo.wav"
    left, right = read_wav(tmp_path / "recordings" / DAY / "R1.stereo.wav").channels
    mix = audio(tmp_path / "recordings" / DAY / "R1.wav")
    assert (left[:8000] == 2 * tone(500, 8000)).all()
    assert (right[16_000:] == 2 * tone(800, 8000)).all()
    assert not left[8000:16_000].any()
    assert not right[8000:16_000].any()
    assert (np.clip(left.astype(int) + right, -32768, 32767) == mix).all()


async def test_it_is_laid_out_like_the_mix_in_skip_too(closer: Closer, tmp_path: Path) -> None:
    write_parts(tmp_path)
    await stereo(closer, replace(DUAL, behavior=PauseBehavior.SKIP))
    left, _ = read_wav(tmp_path / "recordings" / DAY / "R1.stereo.wav").channels
    assert len(left) == 16_000


@pytest.mark.parametrize("late", [1, 160, 320])
async def test_directions_of_which_one_is_late_make_no_file(
    closer: Closer, tmp_path: Path, late: int
) -> None:
    write_parts(tmp_path)
    left = np.concatenate((np.zeros(late, dtype=np.int16), 2 * tone(500, 8000)[:-late]))
    (tmp_path / "spool" / "R1-002-r.wav").write_bytes(closed(left))
    found = await stereo(closer)
    assert found["file"] is None
    assert "early or late" in str(found["reason"])
    assert [path.name for path in (tmp_path / "recordings" / DAY).iterdir()] == ["R1.wav"]


async def test_directions_of_another_length_make_no_file(closer: Closer, tmp_path: Path) -> None:
    write_parts(tmp_path)
    (tmp_path / "spool" / "R1-001-r.wav").write_bytes(closed(2 * tone(500, 7680)))
    found = await stereo(closer)
    assert found["file"] is None
    assert "8000 samples, R1-001-r.wav 7680 (as Asterisk 16" in str(found["reason"])


async def test_directions_that_are_not_there_make_no_file_and_the_mix_is_whole(
    closer: Closer, tmp_path: Path
) -> None:
    write_parts(tmp_path)
    (tmp_path / "spool" / "R1-001-t.wav").unlink()
    found = await stereo(closer)
    assert found["file"] is None
    assert "R1-001-t.wav: it is missing" in str(found["reason"])


async def test_nothing_audible_makes_no_file(closer: Closer) -> None:
    found = await stereo(closer, replace(recording(0), dual_channel=True))
    assert found == {"file": None, "reason": "nothing audible was recorded"}


async def test_without_the_policy_there_is_no_second_file(closer: Closer, tmp_path: Path) -> None:
    write_parts(tmp_path)
    done = await closer.close(recording())
    assert "stereo" not in done.detail
    assert not (tmp_path / "recordings" / DAY / "R1.stereo.wav").exists()


async def test_what_a_dead_process_made_is_made_anew(closer: Closer, tmp_path: Path) -> None:
    write_parts(tmp_path)
    await stereo(closer)
    assert (await stereo(closer))["file"] is not None


async def test_a_silent_side_is_a_loss_only_in_a_talk(closer: Closer, tmp_path: Path) -> None:
    silence = np.zeros(8000, dtype=np.int16)
    for number in (1, 2):
        write_part(tmp_path, number, silence, tone(400, 8000))
    assert (await closer.close(DUAL)).one_sided_parts == ()
    talked = replace(DUAL, talk_parts=frozenset({"R1-002.wav"}))
    assert (await closer.close(talked)).one_sided_parts == ("R1-002.wav",)


async def test_the_directions_go_with_the_parts(closer: Closer, tmp_path: Path) -> None:
    write_parts(tmp_path)
    await stereo(closer)
    await closer.discard("R1")
    assert list((tmp_path / "spool").iterdir()) == []
