"""From parts to one file: every tone is found where its segment was, and nothing anywhere else."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.recordings.parts import Samples, audio, closed, killed, tone
from turnrec.core.policy import PauseBehavior, PauseMethod
from turnrec.core.timeline import Gap, Segment, SpanKind, TimelineError
from turnrec.recordings.join import (
    Joined,
    JoinedPart,
    JoinPlan,
    JoinStatus,
    RecordingNotVerifiedError,
    UnsafeNameError,
    discard_parts,
    join,
    verify,
)
from turnrec.recordings.wav import Part, PartMissingError, read_part
from turnrec.recordings.wav_writer import RecordingExistsError

OPENED_US = 1_790_000_000_000_000
S = 1_000_000
ID = "01J0000000000000000000TEST"
BOT, CALLER, SECRET = 400, 500, 1300


@dataclass
class Bench:
    """A spool, a folder for the joined files, and a plan that grows."""

    spool: Path
    target: Path
    segments: list[Segment] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def add(
        self, began_s: float, ended_s: float, content: bytes | None, offset_s: float = 0
    ) -> str:
        number = len(self.segments) + 1
        name = f"{ID}-{number:03d}.wav"
        began_us, ended_us = (OPENED_US + round(s * S) for s in (began_s, ended_s))
        self.segments.append(Segment(number, name, began_us, ended_us, round(offset_s * S)))
        if content is not None:
            (self.spool / name).write_bytes(content)
        return name

    def pause(self, began_s: float, ended_s: float) -> None:
        began_us, ended_us = (OPENED_US + round(s * S) for s in (began_s, ended_s))
        self.gaps.append(Gap(began_us, ended_us, ("turn",), "ask_pan"))

    def plan(self, closed_s: float, behavior: PauseBehavior = PauseBehavior.SILENCE) -> JoinPlan:
        return JoinPlan(
            recording_id=ID,
            spool=self.spool,
            target=self.target,
            opened_us=OPENED_US,
            closed_us=OPENED_US + round(closed_s * S),
            segments=tuple(self.segments),
            gaps=tuple(self.gaps),
            behavior=behavior,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    for name in ("spool", "joined"):
        (tmp_path / name).mkdir()
    return Bench(tmp_path / "spool", tmp_path / "joined" / f"{ID}.wav")


@pytest.fixture
def paused(bench: Bench) -> Bench:
    """A question, a paused turn of two seconds, and the talk after it; 16 ms too long each."""
    bench.add(0, 1, closed(tone(BOT, 8128)))
    bench.pause(1, 3)
    bench.add(3, 5, closed(tone(CALLER, 16_128)))
    return bench


def zeros(samples: int) -> Samples:
    return np.zeros(samples, np.int16)


def test_tones_are_found_to_the_sample_and_the_gap_is_digital_silence(paused: Bench) -> None:
    joined = join(paused.plan(5))
    assert joined.status is JoinStatus.WRITTEN
    assert joined.path == paused.target
    assert np.array_equal(
        audio(paused.target),
        np.concatenate([tone(BOT, 8128), zeros(24_000 - 8128), tone(CALLER, 16_128)]),
    )
    assert joined.sha256 == hashlib.sha256(paused.target.read_bytes()).hexdigest()
    assert (joined.samples, joined.rate_hz, joined.problems) == (40_128, 8000, ())
    assert [span.kind for span in joined.spans] == ["segment", "gap", "segment"]


def test_parts_keep_their_names_and_hashes_in_what_is_returned(paused: Bench) -> None:
    joined = join(paused.plan(5))
    assert [part.name for part in joined.parts] == [one.part for one in paused.segments]
    for part in joined.parts:
        content = (paused.spool / part.name).read_bytes()
        assert (part.sha256, part.bytes) == (hashlib.sha256(content).hexdigest(), len(content))


def test_skip_writes_the_audible_stretches_one_after_the_other(paused: Bench) -> None:
    joined = join(paused.plan(5, PauseBehavior.SKIP))
    assert np.array_equal(
        audio(paused.target), np.concatenate([tone(BOT, 8128), tone(CALLER, 16_128)])
    )
    assert joined.samples == 24_256


def test_after_100_s_and_50_parts_nothing_has_drifted(bench: Bench) -> None:
    for i in range(50):
        bench.add(2 * i, 2 * i + 1, closed(tone(300 + 10 * i, 8128 - 4 * (i % 32))))
        bench.pause(2 * i + 1, 2 * i + 2)
    join(bench.plan(100))
    samples = audio(bench.target)
    assert len(samples) == 800_000
    for i in range(50):
        part = tone(300 + 10 * i, 8128 - 4 * (i % 32))
        turn = samples[16_000 * i : 16_000 * (i + 1)]
        assert np.array_equal(turn[: len(part)], part)
        assert not turn[len(part) :].any()


def test_the_end_of_a_killed_asterisk_costs_only_what_it_had_not_written(bench: Bench) -> None:
    bench.add(0, 1, closed(tone(BOT, 8000)))
    name = bench.add(1, 5, killed(tone(CALLER, 16_000), stray=b"\x01"))
    bench.segments[-1] = replace(bench.segments[-1], ended_us=None)
    joined = join(bench.plan(5))
    assert np.array_equal(
        audio(bench.target), np.concatenate([tone(BOT, 8000), tone(CALLER, 16_000), zeros(16_000)])
    )
    assert [part.mended for part in joined.parts] == [False, True]
    assert [problem.split(":")[0] for problem in joined.problems] == [f"part {name}", "segment 2"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "it is missing"),
        (b"", "it has 0 bytes"),
        (b"OggS" + bytes(99), "it is not a WAV file"),
        (closed(tone(BOT, 32_000, 16_000), 16_000), "1 channel(s) at 16000 Hz"),
        (closed(tone(BOT, 16_000), channels=2), "2 channel(s) at 8000 Hz"),
    ],
)
def test_a_part_that_gives_no_audio_costs_its_own_stretch_only(
    bench: Bench, content: bytes | None, reason: str
) -> None:
    bench.add(0, 1, closed(tone(BOT, 8000)))
    name = bench.add(1, 2, content)
    bench.add(2, 3, closed(tone(CALLER, 8000)))
    joined = join(bench.plan(3))
    assert np.array_equal(
        audio(bench.target), np.concatenate([tone(BOT, 8000), zeros(8000), tone(CALLER, 8000)])
    )
    assert joined.spans[1].kind is SpanKind.SHORTFALL
    assert len(joined.problems) == 1
    assert joined.problems[0].startswith(f"part {name}: ")
    assert reason in joined.problems[0]
    assert len(joined.parts) == 2


def test_a_part_that_heard_a_paused_turn_is_cut_at_the_pause_and_reported(bench: Bench) -> None:
    """The worst case: the monitor did not stop. Nothing of what it heard is in the file."""
    bench.add(0, 1, closed(np.concatenate([tone(BOT, 8000), tone(SECRET, 16_000)])))
    bench.pause(1, 3)
    bench.add(3, 4, closed(tone(CALLER, 8000)))
    joined = join(bench.plan(4))
    assert np.array_equal(
        audio(bench.target), np.concatenate([tone(BOT, 8000), zeros(16_000), tone(CALLER, 8000)])
    )
    assert len(joined.problems) == 1
    assert "goes on for 2.000 s" in joined.problems[0]


def test_a_part_that_no_segment_names_is_left_out_and_reported(paused: Bench) -> None:
    stray = paused.spool / f"{ID}-007.wav"
    stray.write_bytes(closed(tone(SECRET, 8000)))
    side = paused.spool / f"{ID}-005-t.wav"
    side.touch()
    (paused.spool / "another-001.wav").write_bytes(b"")
    assert join(replace(paused.plan(5), parts=8)).problems == tuple(
        f"part {one.name} belongs to no segment; it was left out and is still in the spool"
        for one in (side, stray)
    )


def test_a_muted_part_is_silenced_between_its_audible_stretches(bench: Bench) -> None:
    name = bench.add(0, 1, closed(tone(BOT, 32_000)))
    later = Segment(2, name, OPENED_US + 3 * S, OPENED_US + 4 * S, 3 * S)
    plan = replace(bench.plan(4), method=PauseMethod.MUTE, segments=(*bench.segments, later))
    joined = join(plan)
    expected = tone(BOT, 32_000)
    expected[8000 + 320 : 24_000 - 320] = 0
    assert np.array_equal(audio(bench.target), expected)
    assert len(joined.parts) == 1


def test_a_muted_parts_edges_are_where_its_own_zeros_begin_and_end(bench: Bench) -> None:
    sound = tone(BOT, 32_000)
    sound[7_900:24_100] = 0  # the mute, as Asterisk applied it
    name = bench.add(0, 1, closed(sound))
    later = Segment(2, name, OPENED_US + 3 * S, OPENED_US + 4 * S, 3 * S)
    plan = replace(bench.plan(4), method=PauseMethod.MUTE, segments=(*bench.segments, later))
    joined = join(plan)
    first, hole, second = joined.spans
    assert (first.samples, first.part_samples) == (8_000, 7_900)
    assert (hole.start_sample, second.start_sample, second.samples) == (8_000, 24_100, 7_900)
    assert joined.problems == ()
    assert np.array_equal(audio(bench.target), sound)


def test_a_muted_part_that_stood_still_is_a_problem_and_its_segments_are_uncertain(
    bench: Bench,
) -> None:
    name = bench.add(0, 3, closed(tone(BOT, 40_000)))
    later = Segment(2, name, OPENED_US + 5 * S, OPENED_US + 7 * S, 5 * S)
    joined = join(
        replace(bench.plan(8), method=PauseMethod.MUTE, segments=(*bench.segments, later))
    )
    assert joined.problems[0] == (
        f"part {name}: 3.000 s lie between its length and its monitor's time (no audio arrived, or"
        " it was lost); nothing tells where, so its segments may be that much out of place, or miss"
        " as much"
    )
    assert [span.uncertainty_us for span in joined.spans if span.segment] == [3_060_000] * 3


def test_what_follows_a_mute_is_in_its_place_although_the_part_stood_still_before(
    bench: Bench,
) -> None:
    """A phone stalled for 517 ms in the first stretch."""
    stalled = 8 * 517
    before, after = tone(BOT, 24_000 - stalled), tone(CALLER, 24_000)
    before[-1] = after[0] = 1
    name = bench.add(0, 3, closed(np.concatenate([before, np.zeros(16_000, np.int16), after])))
    later = Segment(2, name, OPENED_US + 5 * S, OPENED_US + 8 * S, 5 * S)
    joined = join(
        replace(bench.plan(8), method=PauseMethod.MUTE, segments=(*bench.segments, later))
    )
    heard = audio(bench.target)
    assert np.array_equal(heard[: len(before)], before)
    left_out = 60 * 8  # what an unmute may uncover
    assert not heard[len(before) : 40_000 + left_out].any()
    assert np.array_equal(heard[40_000 + left_out :], after[left_out:])
    (problem,) = joined.problems
    assert problem.startswith("segment 1: 0.517 s are not in part")


def test_silences_of_a_part_that_anybody_may_have_unmuted_place_nothing(bench: Bench) -> None:
    sound = tone(BOT, 60_000)
    sound[20_000:36_000] = 0  # half a second before the clock's mute
    name = bench.add(0, 3, closed(sound))
    later = Segment(2, name, OPENED_US + 5 * S, OPENED_US + 8 * S, 5 * S)
    plan = replace(bench.plan(8), method=PauseMethod.MUTE, segments=(*bench.segments, later))
    assert join(plan).layout.anchored == {name}
    bench.target.unlink()
    unwatched = join(replace(plan, unwatched_parts=frozenset({name})))
    assert unwatched.layout.anchored == frozenset()
    assert any("nothing tells where" in problem for problem in unwatched.problems)


# ------------------------------------------------------------------ no file


@pytest.mark.parametrize("behavior", PauseBehavior)
def test_a_call_paused_throughout_gets_no_file(bench: Bench, behavior: PauseBehavior) -> None:
    bench.pause(0, 60)
    joined = join(bench.plan(60, behavior))
    assert joined.status is JoinStatus.NO_AUDIO
    assert (joined.path, joined.sha256, joined.samples, joined.problems) == (None, None, 0, ())
    assert [span.sources for span in joined.spans] == [("turn",)]
    assert list(bench.target.parent.iterdir()) == []


def test_a_recording_whose_parts_are_all_lost_gets_no_file_and_says_why(bench: Bench) -> None:
    bench.add(0, 1, None)
    joined = join(bench.plan(1))
    assert joined.status is JoinStatus.NO_AUDIO
    assert len(joined.problems) == 1


def test_an_existing_file_is_not_overwritten(paused: Bench) -> None:
    paused.target.write_bytes(b"an older recording")
    with pytest.raises(RecordingExistsError):
        join(paused.plan(5))
    assert paused.target.read_bytes() == b"an older recording"
    assert list(paused.target.parent.iterdir()) == [paused.target]


def test_segments_that_contradict_each_other_make_no_file(bench: Bench) -> None:
    bench.add(0, 5, closed(tone(BOT, 40_000)))
    bench.pause(1, 3)
    with pytest.raises(TimelineError):
        join(bench.plan(5))
    assert list(bench.target.parent.iterdir()) == []


FULL_DISK = """
import resource, sys
from pathlib import Path
from turnrec.core.timeline import Segment
from turnrec.recordings.join import JoinPlan, join
from turnrec.recordings.wav import Part, PartMissingError, read_part
from turnrec.recordings.wav_writer import RecordingNotWrittenError
spool, target, name, recording_id, limit = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
segments = (Segment(1, name, 0, 10_000_000),)
try:
    join(JoinPlan(recording_id, Path(spool), Path(target), 0, 10_000_000, segments))
except RecordingNotWrittenError as error:
    print(error)
"""


@pytest.mark.parametrize("limit_bytes", [0, 10, 44, 100_000, 160_043])
def test_a_full_disk_leaves_no_half_file(bench: Bench, limit_bytes: int) -> None:
    name = bench.add(0, 10, closed(tone(BOT, 80_000)))
    done = subprocess.run(
        [
            *(sys.executable, "-c", FULL_DISK),
            *(str(bench.spool), str(bench.target), name, ID, str(limit_bytes)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{bench.target.name} could not be written: File too large\n"
    assert list(bench.target.parent.iterdir()) == []
    assert (bench.spool / name).exists()


# ------------------------------------------------------------------ hostile names


@pytest.mark.parametrize(
    "recording_id", ["", ".", "..", "../x", "a/b", "a\0b", "a b", "a\n", "-x", "ä", "x" * 65, "a.b"]
)
def test_a_recording_id_may_not_leave_its_folder(bench: Bench, recording_id: str) -> None:
    with pytest.raises(UnsafeNameError):
        join(replace(bench.plan(1), recording_id=recording_id))


@pytest.mark.parametrize(
    "part",
    [
        f"../{ID}-001.wav",
        f"/etc/{ID}-001.wav",
        f"{ID}-001.wav\n",
        f"{ID}-001.wav,,touch y",
        f"{ID}-1.wav",
        f"{ID}-٠٠١.wav",
        f"{ID}-001.gsm",
        "another-001.wav",
        f"x{ID}-001.wav",
    ],
)
def test_a_part_may_only_be_named_after_its_recording(bench: Bench, part: str) -> None:
    segment = Segment(1, part, OPENED_US, OPENED_US + S)
    with pytest.raises(UnsafeNameError, match="the part of segment 1"):
        join(replace(bench.plan(1), segments=(segment,)))


@pytest.mark.parametrize(
    "target", ["../r.wav", "joined/../../r.wav", ".r.wav", "r.mp3", "r", "a b.wav"]
)
def test_a_target_is_a_plain_path_to_a_wav(bench: Bench, tmp_path: Path, target: str) -> None:
    with pytest.raises(UnsafeNameError):
        join(replace(bench.plan(1), target=tmp_path / target))


def test_a_part_that_is_a_link_out_of_the_spool_is_not_read(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(closed(tone(SECRET, 8000)))
    name = bench.add(0, 1, None)
    (bench.spool / name).symlink_to(secret)
    joined = join(bench.plan(1))
    assert joined.status is JoinStatus.NO_AUDIO
    assert "not a regular file" in joined.problems[0]


# ------------------------------------------------------------------ verifying


@pytest.fixture
def joined(paused: Bench) -> Joined:
    return join(paused.plan(5))


@pytest.fixture
def parts(paused: Bench) -> dict[str, Part]:
    return {one.part: read_part(paused.spool / one.part) for one in paused.segments}


def test_what_was_joined_can_be_verified_again(
    paused: Bench, joined: Joined, parts: dict[str, Part]
) -> None:
    assert verify(paused.target, joined.layout, parts) == joined.sha256


@pytest.mark.parametrize(
    ("sample", "finding"),
    [
        (0, "segment 1 is not what part"),
        (8127, "segment 1 is not what part"),
        (8128, "the gap at sample 8128 is not silent"),
        (23_999, "the gap at sample 8128 is not silent"),
        (40_127, "segment 2 is not what part"),
    ],
)
def test_a_single_wrong_sample_is_found(
    paused: Bench, joined: Joined, parts: dict[str, Part], sample: int, finding: str
) -> None:
    content = bytearray(paused.target.read_bytes())
    content[44 + 2 * sample] ^= 1
    paused.target.write_bytes(content)
    with pytest.raises(RecordingNotVerifiedError, match=finding):
        verify(paused.target, joined.layout, parts)


def test_a_file_of_another_length_is_found(
    paused: Bench, joined: Joined, parts: dict[str, Part]
) -> None:
    paused.target.write_bytes(closed(audio(paused.target)[:-1]))
    with pytest.raises(RecordingNotVerifiedError, match="40127 samples at 8000 Hz were written"):
        verify(paused.target, joined.layout, parts)


def test_a_file_that_is_no_wav_is_found(
    paused: Bench, joined: Joined, parts: dict[str, Part]
) -> None:
    paused.target.write_bytes(b"")
    with pytest.raises(RecordingNotVerifiedError, match="no WAV"):
        verify(paused.target, joined.layout, parts)


def test_a_part_that_grows_while_it_is_joined_is_found(
    paused: Bench, joined: Joined, parts: dict[str, Part]
) -> None:
    """Its monitor had not ended: what it holds now is not what was hashed."""
    name = paused.segments[0].part
    with (paused.spool / name).open("ab") as part:
        part.write(tone(SECRET, 800).tobytes())
    with pytest.raises(RecordingNotVerifiedError, match=f"part {name} changed"):
        verify(paused.target, joined.layout, parts)
    (paused.spool / name).unlink()
    with pytest.raises(PartMissingError):
        verify(paused.target, joined.layout, parts)


# ------------------------------------------------------------------ discarding


def test_parts_go_once_their_file_is_verified(paused: Bench) -> None:
    joined = join(paused.plan(5))
    assert discard_parts(joined, paused.spool) == tuple(one.part for one in paused.segments)
    assert list(paused.spool.iterdir()) == []
    assert discard_parts(joined, paused.spool) == ()


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_no_part_goes_when_the_file_is_no_longer_the_verified_one(
    paused: Bench, damage: str
) -> None:
    joined = join(paused.plan(5))
    content = paused.target.read_bytes()
    paused.target.unlink()
    if damage == "changed":
        paused.target.write_bytes(content[:-2] + b"\1\1")
    with pytest.raises(RecordingNotVerifiedError):
        discard_parts(joined, paused.spool)
    assert len(list(paused.spool.iterdir())) == 2


def test_a_part_that_has_changed_since_is_kept(paused: Bench) -> None:
    joined = join(paused.plan(5))
    kept = paused.spool / paused.segments[0].part
    kept.write_bytes(closed(tone(BOT, 9000)))
    assert discard_parts(joined, paused.spool) == (paused.segments[1].part,)
    assert list(paused.spool.iterdir()) == [kept]


def test_without_a_file_only_parts_without_audio_go(bench: Bench) -> None:
    empty = bench.add(0, 0.01, closed(tone(BOT, 0)))
    bench.add(1, 2, b"OggS")
    joined = join(bench.plan(2))
    assert joined.status is JoinStatus.NO_AUDIO
    assert discard_parts(joined, bench.spool) == (empty,)
    assert len(list(bench.spool.iterdir())) == 1


def test_nothing_outside_the_spool_is_ever_discarded(paused: Bench, joined: Joined) -> None:
    hostile = JoinedPart("../joined/x.wav", "0" * 64, 0, 0, mended=False)
    with pytest.raises(UnsafeNameError):
        discard_parts(replace(joined, parts=(*joined.parts, hostile)), paused.spool)
    assert len(list(paused.spool.iterdir())) == 2
