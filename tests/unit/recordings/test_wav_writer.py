"""A file is there whole, under its own name, or not at all."""

from __future__ import annotations

import errno
import os
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.unit.recordings.parts import audio, tone
from turnrec.recordings.wav import BLOCK_FRAMES
from turnrec.recordings.wav_writer import (
    Link,
    RecordingExistsError,
    RecordingNotWrittenError,
    WavWriter,
)

TONE = tone(400, 1000)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "r.wav"


def refuse_links(source: Path, target: Path) -> None:
    """A file system without hard links, as FAT and many network ones."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def test_the_file_is_what_was_written(target: Path) -> None:
    silence = 2 * BLOCK_FRAMES + 3
    with WavWriter(target, 8000) as writer:
        writer.write(TONE)
        writer.write_silence(silence)
        writer.write(TONE)
        writer.seal()
        writer.publish()
    with wave.open(str(target)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (8000, 1, 2)
        assert read.getnframes() == 2 * len(TONE) + silence
    assert np.array_equal(audio(target), np.concatenate([TONE, np.zeros(silence, np.int16), TONE]))


def test_stereo_is_written_in_frames(target: Path) -> None:
    with WavWriter(target, 16_000, channels=2) as writer:
        writer.write(TONE.reshape(-1, 2))
        writer.write_silence(10)
        writer.seal()
        writer.publish()
    with wave.open(str(target)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getnframes()) == (16_000, 2, 510)


def test_the_name_is_given_only_when_it_is_published(target: Path) -> None:
    with WavWriter(target, 8000) as writer:
        writer.write(TONE)
        assert not target.exists()
        writer.seal()
        assert not target.exists()
        writer.publish()
        assert target.exists()
    assert list(target.parent.iterdir()) == [target]


def test_what_was_not_published_is_taken_away(target: Path) -> None:
    with WavWriter(target, 8000) as writer:
        writer.write(TONE)
        writer.seal()
    assert list(target.parent.iterdir()) == []


def test_an_unsealed_file_cannot_be_published(target: Path) -> None:
    with WavWriter(target, 8000) as writer, pytest.raises(ValueError, match="sealed"):
        writer.publish()
    assert list(target.parent.iterdir()) == []


def test_the_group_may_read_and_others_nothing_whatever_the_umask(target: Path) -> None:
    umask = os.umask(0o077)
    try:
        with WavWriter(target, 8000) as writer:
            writer.seal()
            writer.publish()
    finally:
        os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o640


def test_an_existing_file_is_refused_at_once(target: Path) -> None:
    target.write_bytes(b"mine")
    with pytest.raises(RecordingExistsError, match=r"r\.wav exists"):
        WavWriter(target, 8000)
    assert target.read_bytes() == b"mine"


def test_a_dangling_link_at_the_target_is_something_that_exists(
    target: Path, tmp_path: Path
) -> None:
    target.symlink_to(tmp_path / "elsewhere.wav")
    with pytest.raises(RecordingExistsError):
        WavWriter(target, 8000)


@pytest.mark.parametrize("link", [os.link, refuse_links])
def test_a_file_that_appears_meanwhile_is_not_overwritten(target: Path, link: Link) -> None:
    with WavWriter(target, 8000, link=link) as writer:
        writer.seal()
        target.write_bytes(b"mine")
        with pytest.raises(RecordingExistsError):
            writer.publish()
    assert target.read_bytes() == b"mine"
    assert list(target.parent.iterdir()) == [target]


def test_a_file_system_without_hard_links_will_do(target: Path) -> None:
    with WavWriter(target, 8000, link=refuse_links) as writer:
        writer.write(TONE)
        writer.seal()
        writer.publish()
    assert np.array_equal(audio(target), TONE)
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_folder_that_is_not_there_is_an_error_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(RecordingNotWrittenError, match=r"r\.wav could not be written: No such"):
        WavWriter(tmp_path / "nowhere" / "r.wav", 8000)
