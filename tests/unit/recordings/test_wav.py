"""What a part gives, whatever state Asterisk or its disk left it in."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.recordings.parts import RATE_HZ, Samples, chunk, closed, fmt, killed, riff, tone
from turnrec.recordings.wav import (
    BLOCK_FRAMES,
    Part,
    PartEmptyError,
    PartError,
    PartForeignError,
    PartMissingError,
    PartUnreadableError,
    read_part,
)

TONE = tone(400, 1000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r-001.wav"


def read(path: Path, content: bytes) -> Part:
    path.write_bytes(content)
    return read_part(path)


def samples_of(part: Part) -> Samples:
    return np.concatenate([*part.blocks(), np.zeros(0, np.int16)])


def test_a_closed_part_gives_its_samples_and_the_hash_of_its_file(path: Path) -> None:
    part = read(path, closed(TONE))
    assert (part.samples, part.rate_hz, part.channels, part.mended) == (1000, RATE_HZ, 1, False)
    assert part.bytes == 2044
    assert part.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert np.array_equal(samples_of(part), TONE)


def test_a_part_of_a_killed_asterisk_is_mended_by_its_size(path: Path) -> None:
    part = read(path, killed(TONE))
    assert (part.samples, part.mended) == (1000, True)
    assert np.array_equal(samples_of(part), TONE)


def test_half_a_sample_at_the_end_is_dropped(path: Path) -> None:
    part = read(path, killed(TONE, stray=b"\x07"))
    assert (part.samples, part.mended) == (1000, True)


def test_a_killed_part_with_nothing_but_its_header_has_no_samples(path: Path) -> None:
    assert read(path, killed(TONE[:0])).samples == 0


def test_a_part_closed_before_its_first_packet_is_good_and_empty(path: Path) -> None:
    part = read(path, closed(TONE[:0]))
    assert (part.samples, part.mended) == (0, False)
    assert list(part.blocks()) == []


@pytest.mark.parametrize("declared", [2001, 4000, 0xFFFFFFFF])
def test_a_part_shorter_than_its_header_says_gives_what_is_there(path: Path, declared: int) -> None:
    part = read(path, riff(fmt(), chunk(b"data", TONE.tobytes(), declared)))
    assert (part.samples, part.mended) == (1000, True)


@pytest.mark.parametrize("riff_bytes", [None, 0])
def test_a_chunk_after_the_audio_is_no_audio(path: Path, riff_bytes: int | None) -> None:
    trailer = chunk(b"LIST", b"INFOISFT")
    data = chunk(b"data", TONE.tobytes())
    part = read(path, riff(fmt(), data, trailer, declared=riff_bytes))
    assert (part.samples, part.mended) == (1000, False)


def test_chunks_before_the_audio_are_passed_over(path: Path) -> None:
    odd = chunk(b"LIST", b"abc") + b"\0"
    longer_fmt = chunk(b"fmt ", fmt()[8:] + b"\0\0")
    part = read(path, riff(odd, longer_fmt, chunk(b"data", TONE.tobytes())))
    assert np.array_equal(samples_of(part), TONE)


def test_audio_behind_a_stale_size_is_taken_too(path: Path) -> None:
    part = read(path, riff(fmt(), chunk(b"data", TONE.tobytes(), declared=800), declared=836))
    assert (part.samples, part.mended) == (1000, True)


def test_stereo_comes_in_frames(path: Path) -> None:
    part = read(path, closed(TONE, channels=2))
    assert (part.samples, part.channels) == (500, 2)
    assert np.array_equal(samples_of_stereo(part), TONE.reshape(-1, 2))


def samples_of_stereo(part: Part) -> Samples:
    return np.concatenate(list(part.blocks()))


@pytest.mark.parametrize(
    ("start", "count"), [(0, 1), (BLOCK_FRAMES - 1, 2), (5, 2 * BLOCK_FRAMES), (7, 0)]
)
def test_blocks_are_any_stretch_of_the_part(path: Path, start: int, count: int) -> None:
    long = tone(400, 2 * BLOCK_FRAMES + 10)
    blocks = list(read(path, closed(long)).blocks(start, count))
    assert all(len(block) <= BLOCK_FRAMES for block in blocks)
    found = np.concatenate([*blocks, np.zeros(0, np.int16)])
    assert np.array_equal(found, long[start : start + count])


def test_an_hour_is_never_in_memory_at_once(path: Path) -> None:
    path.write_bytes(killed(TONE[:0]))
    os.truncate(path, 44 + 2 * 3600 * RATE_HZ)
    tracemalloc.start()
    try:
        assert sum(len(block) for block in read_part(path).blocks()) == 3600 * RATE_HZ
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2_000_000


# ------------------------------------------------------------------ no audio


def test_a_missing_part_is_named(path: Path) -> None:
    with pytest.raises(PartMissingError, match=r"part r-001\.wav: it is missing"):
        read_part(path)


def test_a_part_of_a_full_disk_is_empty(path: Path) -> None:
    with pytest.raises(PartEmptyError, match="0 bytes"):
        read(path, b"")


@pytest.mark.parametrize("length", range(1, 44))
def test_a_part_cut_inside_its_header_is_empty(path: Path, length: int) -> None:
    with pytest.raises(PartEmptyError, match="inside its header"):
        read(path, closed(TONE)[:length])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"OggS" + bytes(100), "not a WAV"),
        (b"RIFF" + bytes(4) + b"AVI " + bytes(100), "not a WAV"),
        (riff(fmt(codec=7, bits=8), chunk(b"data", bytes(80))), "codec 7, 8 bits"),
        (riff(fmt(codec=3, bits=32), chunk(b"data", bytes(80))), "codec 3, 32 bits"),
        (riff(fmt(channels=3), chunk(b"data", bytes(80))), "3 channels"),
        (riff(fmt(rate_hz=0), chunk(b"data", bytes(80))), "at 0 Hz"),
        (riff(chunk(b"data", bytes(80)), fmt()), "disorder"),
        (riff(chunk(b"fmt ", fmt()[8:], declared=4), chunk(b"data", bytes(8))), "disorder"),
    ],
)
def test_a_foreign_file_is_refused_with_its_reason(path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(PartForeignError, match=reason):
        read(path, content)


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(closed(TONE))
    path.symlink_to(secret)
    with pytest.raises(PartForeignError, match="not a regular file"):
        read_part(path)


def test_a_folder_or_a_pipe_in_the_spool_is_refused_and_not_waited_for(
    path: Path, tmp_path: Path
) -> None:
    with pytest.raises(PartForeignError, match="not a regular file"):
        read_part(tmp_path)
    os.mkfifo(path)
    with pytest.raises(PartForeignError, match="not a regular file"):
        read_part(path)


def test_a_part_that_shrinks_while_it_is_read_is_noticed(path: Path) -> None:
    part = read(path, closed(TONE))
    os.truncate(path, 60)
    with pytest.raises(PartUnreadableError, match="shorter"):
        list(part.blocks())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=120)
    | st.builds(
        lambda at, junk: closed(TONE[:20])[:at] + junk, st.integers(0, 84), st.binary(max_size=40)
    )
)
def test_no_bytes_whatever_do_worse_than_a_part_error(path: Path, content: bytes) -> None:
    try:
        part = read(path, content)
    except PartError:
        return
    assert len(samples_of_stereo(part) if part.samples else []) == part.samples
