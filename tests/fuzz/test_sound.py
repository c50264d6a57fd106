"""Sound files that lie in every field: what can be read is read whole, the rest has its error."""

# ruff: noqa: PT017 - an error is one of two good outcomes here

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.nasty import fuzzed, mangled, replayed
from tests.unit.recordings.parts import chunk, closed, fmt, riff, tone
from turnrec.recordings import wav as wav_module
from turnrec.recordings.sound import SoundReader, SoundUnreadableError
from turnrec.recordings.wav import Part, PartError, read_part
from turnrec.recordings.wav_writer import wav_header

SOUND = tone(400, 500)
GOOD = [
    closed(SOUND),
    closed(np.stack([SOUND, SOUND]).T.copy(), channels=2),
    riff(fmt(), chunk(b"LIST", b"x" * 7) + b"\0", chunk(b"data", b"\1\2" * 50)),
]
FIELDS = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\x7f",
    b"data",
    b"fmt ",
    b"RIFF",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sound") / "R1-001.wav"


def is_read_whole(path: Path) -> None:
    """Nothing is read that isn't there, and nothing is held that isn't."""
    try:
        part = read_part(path)
    except PartError as error:
        assert error.id.startswith("part-")
        return
    size = path.stat().st_size
    assert part.bytes == size
    assert part.data_offset + part.samples * part.channels * 2 <= size
    assert sum(len(block) for block in part.blocks()) == part.samples
    # What verify makes of it: a header for any part of it.
    assert len(wav_header(part.rate_hz, part.channels, part.samples)) == 44


@pytest.mark.parametrize("at", range(44))
@pytest.mark.parametrize(
    "word", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\1\0\0\0", b"\xee\xff\xff\xff"]
)
def test_a_header_that_lies_anywhere_is_seen_through(place: Path, at: int, word: bytes) -> None:
    for data in GOOD:
        place.write_bytes(data[:at] + word + data[at + 4 :])
        is_read_whole(place)


def test_any_part_is_read_or_named(place: Path) -> None:
    @replayed("wav", mangled(GOOD, FIELDS), 150)
    def fuzz(data: bytes) -> None:
        place.write_bytes(data)
        is_read_whole(place)

    fuzz()


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count what is read, and how often."""
    reads: list[int] = []
    read = wav_module._read

    def counting(file: object, path: Path, size: int) -> bytes:
        reads.append(size)
        return read(file, path, size)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(wav_module, "_read", counting)
        yield reads


def test_a_million_empty_chunks_are_not_gone_through(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write_bytes(riff(fmt()) + b"junk\0\0\0\0" * 1_000_000)
    with counted(monkeypatch) as reads, pytest.raises(PartError, match="disorder"):
        read_part(place)
    assert len(reads) < 2_000


def test_a_file_longer_than_any_wav_is_not_hashed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write_bytes(closed(SOUND))
    os.truncate(place, 1 << 40)  # it takes no room on the disk
    with counted(monkeypatch) as reads, pytest.raises(PartError, match="longer than any WAV"):
        read_part(place)
    assert reads == []


@pytest.mark.parametrize("rate_hz", [0, 192_001, 2**31, 2**32 - 1])
def test_a_rate_that_no_sound_has_is_refused(place: Path, rate_hz: int) -> None:
    body = struct.pack("<HHIIHH", 1, 1, rate_hz, 0, 2, 16)
    place.write_bytes(riff(chunk(b"fmt ", body), chunk(b"data", b"\1\2" * 50)))
    with pytest.raises(PartError, match="Hz"):
        read_part(place)


def test_a_name_with_a_nul_is_no_part(place: Path) -> None:
    with pytest.raises(PartError, match="no file has such a name"):
        read_part(place.with_name("a\0b.wav"))
    with pytest.raises(SoundUnreadableError, match="no file has such a name"):
        SoundReader(place.with_name("a\0b.wav"))


def test_what_is_none_of_our_formats_never_reaches_the_library(place: Path) -> None:
    for magic in (b"FORM", b".snd", b"caff", b"RF64", b"MATL", b"\0\0\0\0", b"ID3\4"):
        place.write_bytes(magic + closed(SOUND)[4:])
        with pytest.raises(SoundUnreadableError):
            SoundReader(place)


def test_any_sound_that_is_handed_out_again_is_read_or_named(place: Path, tmp_path: Path) -> None:
    from turnrec.recordings.sound import SoundFormat, sound_writer

    good = list(GOOD)
    for form in (SoundFormat.FLAC, SoundFormat.OPUS):
        with sound_writer(tmp_path / f"x.{form}", 8000, 1, form) as writer:
            writer.write(SOUND)
            writer.seal()
            good.append(writer.path.read_bytes())

    @replayed("coded", mangled(good, FIELDS), 150)
    def fuzz(data: bytes) -> None:
        place.write_bytes(data)
        with suppress(SoundUnreadableError), SoundReader(place) as reader:
            assert reader.channels >= 1
            most = min(reader.samples, 1 << 20)
            assert sum(len(block) for block in reader.blocks(most)) == most

    fuzz()


def test_what_becomes_shorter_while_it_is_read_is_said(place: Path) -> None:
    @fuzzed(30)
    @given(st.integers(0, 1043))
    def fuzz(size: int) -> None:
        place.write_bytes(closed(SOUND))
        part: Part = read_part(place)
        os.truncate(place, size)
        with pytest.raises(PartError, match="shorter"):
            list(part.blocks())

    fuzz()
