"""A transcript's file: what is in it at every moment, and what becomes of a broken one."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from turnrec.core.call import ClosedRecording, FinishedRecording
from turnrec.core.entry import JSON
from turnrec.core.policy import PauseBehavior, PauseMethod
from turnrec.core.timeline import Gap, Layout, Segment, Span, SpanKind, lay_out
from turnrec.core.transcript import GapMark, Speaker, Utterance, Word, make_utterance
from turnrec.core.transcript_text import TranscriptFormat, TranscriptTime
from turnrec.recordings.spans import span_to_json
from turnrec.recordings.transcript_export import (
    NoFileTimeError,
    NoTranscriptError,
    export_transcripts,
)
from turnrec.recordings.transcript_file import (
    Transcript,
    TranscriptFileError,
    TranscriptFiles,
    read,
    redact_transcript,
    transcript_path,
)

S = 1_000_000
ZERO = 1_790_000_000 * S
FINISHED = FinishedRecording(
    "R",
    "C",
    "kyc",
    ZERO,
    ZERO + 9 * S,
    (
        Segment(1, "R-001.wav", ZERO, ZERO + 4 * S),
        Segment(2, "R-002.wav", ZERO + 6 * S, ZERO + 9 * S),
    ),
    (Gap(ZERO + 4 * S, ZERO + 6 * S, ("turn",), "ask"),),
    PauseBehavior.SILENCE,
    PauseMethod.SEGMENT,
)
LAYOUT = lay_out(
    opened_us=FINISHED.opened_us,
    closed_us=FINISHED.closed_us,
    segments=FINISHED.segments,
    gaps=FINISHED.gaps,
    part_samples={"R-001.wav": 32_000, "R-002.wav": 24_000},
    rate_hz=8_000,
    behavior=PauseBehavior.SILENCE,
)
GAPS = [GapMark(ZERO + 4 * S, ZERO + 6 * S, ("turn",), "ask")]


def closed(layout: Layout | None = LAYOUT) -> ClosedRecording:
    if layout is None:
        return ClosedRecording(False, {"status": "failed"})
    spans: list[JSON] = [span_to_json(span) for span in layout.spans]
    return ClosedRecording(
        True, {"rate_hz": 8_000, "behavior": layout.behavior.value, "spans": spans}
    )


def said(text: str, begin_s: float, end_s: float, *words: Word) -> Utterance:
    times = ZERO + round(begin_s * S), ZERO + round(end_s * S)
    return make_utterance(Speaker.CALLER, text, times, words)


def word(text: str, begin_s: float, end_s: float) -> Word:
    return Word(text, ZERO + round(begin_s * S), ZERO + round(end_s * S))


async def closed_with(folder: Path, *utterances: Utterance) -> Transcript:
    """Have these written as sure, and the recording closed."""
    files = TranscriptFiles(folder)
    if utterances:
        files.append_later("R", "C", ZERO, utterances)
    await files.close(FINISHED, closed(), [], GAPS, 0)
    files.shut_down()
    transcript = read(transcript_path(folder, "R", ZERO))
    assert transcript is not None
    return transcript


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


async def test_the_close_holds_what_was_written_to_the_final_stretches(tmp_path: Path) -> None:
    cut = said("hi secret", 3.5, 4.5, word("hi", 3.5, 3.9), word("secret", 3.95, 4.1))
    transcript = await closed_with(
        tmp_path, said("yes", 6.5, 7), said("secret", 5.5, 6.5), cut, said("secret", 4, 4.01)
    )
    assert [one.text for one in transcript.utterances] == ["hi", "yes"]
    assert transcript.utterances[0].is_cut
    assert transcript.dropped == 3
    assert transcript.gaps == tuple(GAPS)
    assert transcript.layout == LAYOUT
    assert "secret" not in transcript_path(tmp_path, "R", ZERO).read_text("utf-8")
    assert files_in(tmp_path) == ["R.transcript.jsonl"]


async def test_closing_again_changes_nothing(tmp_path: Path) -> None:
    first = await closed_with(tmp_path, said("hello", 1, 2), said("secret", 4.5, 5))
    assert await closed_with(tmp_path) == first


async def test_a_recording_about_which_nothing_was_posted_has_no_file(tmp_path: Path) -> None:
    files = TranscriptFiles(tmp_path)
    await files.close(FINISHED, closed(), [], GAPS, 0)
    assert files_in(tmp_path) == []
    await files.close(FINISHED, closed(), [], GAPS, 3)
    transcript = read(transcript_path(tmp_path, "R", ZERO))
    assert transcript is not None
    assert (transcript.utterances, transcript.gaps, transcript.dropped) == ((), tuple(GAPS), 3)
    files.shut_down()


async def test_a_recording_that_could_not_be_joined_has_its_transcript_in_call_time(
    tmp_path: Path,
) -> None:
    files = TranscriptFiles(tmp_path)
    await files.close(FINISHED, closed(None), [said("hello", 1, 2)], GAPS, 0)
    transcript = await files.read("R", ZERO)
    files.shut_down()
    assert transcript is not None
    text = export_transcripts(
        [transcript], started_us=ZERO, form=TranscriptFormat.VTT, time=TranscriptTime.CALL
    )
    assert "00:00:01.000 --> 00:00:02.000\n<v caller>hello" in text
    with pytest.raises(NoFileTimeError):
        export_transcripts(
            [transcript], started_us=ZERO, form=TranscriptFormat.VTT, time=TranscriptTime.FILE
        )


async def test_a_disk_that_takes_nothing_is_said_without_the_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "2026-09-21").write_text("in the way", "utf-8")
    files = TranscriptFiles(tmp_path)
    files.append_later("R", "C", ZERO, [said("secret", 1, 2)])
    await files.close(FINISHED, closed(), [said("secret", 1, 2)], GAPS, 0)
    files.shut_down()
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.ERROR, logging.ERROR]
    assert "secret" not in caplog.text


# ------------------------------------------------------------------ broken files


async def test_a_line_cut_short_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    await closed_with(tmp_path, said("hello", 1, 2), said("there", 2, 3))
    path = transcript_path(tmp_path, "R", ZERO)
    whole = path.read_bytes()
    lines = whole.split(b"\n")
    for length in range(len(lines[0]) + 1, len(whole)):
        path.write_bytes(whole[:length])
        transcript = read(path)
        assert transcript is not None
        assert {one.text for one in transcript.utterances} <= {"hello", "there"}
    path.write_bytes(b"\n".join([lines[0], lines[1][:20], lines[2], b""]))
    transcript = read(path)
    assert transcript is not None
    assert [one.text for one in transcript.utterances] == ["there"]


@pytest.mark.parametrize(
    "content",
    [
        b"secret",
        b"RIFF\x00\x00secret",
        b"\xff\xfesecret\n",
        b"[]\n",
        b"{}\n",
        b'{"kind": "transcript", "version": 2, "recording": "secret"}\n',
        b'{"kind": "transcript", "version": 1}\n',
        b'{"kind": "transcript", "version": 1, "recording": 1, "call": "C", "opened_us": 1}\n',
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_none_is_refused_without_repeating_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "R.transcript.jsonl"
    path.write_bytes(content)
    with pytest.raises(TranscriptFileError) as refused:
        read(path)
    assert "secret" not in str(refused.value)


def test_an_empty_file_is_no_transcript_and_neither_is_none(tmp_path: Path) -> None:
    path = tmp_path / "R.transcript.jsonl"
    assert read(path) is None
    path.touch()
    assert read(path) is None


@pytest.mark.parametrize("key", ["text", "speaker", "words", "begin_us"])
async def test_a_line_that_makes_no_sense_is_left_out(tmp_path: Path, key: str) -> None:
    await closed_with(tmp_path, said("hello", 1, 2, word("hello", 1, 2)))
    path = transcript_path(tmp_path, "R", ZERO)
    lines = path.read_bytes().splitlines()
    for nonsense in cast("list[JSON]", [None, {}, "x", [["a", "b", "c"]]]):
        utterance = json.loads(lines[1]) | {key: nonsense}
        path.write_bytes(b"\n".join([lines[0], json.dumps(utterance).encode(), *lines[2:], b""]))
        transcript = read(path)
        assert transcript is not None
        if key != "text" or nonsense != "x":
            assert transcript.utterances == ()


# ------------------------------------------------------------------ redacted copies


def cut_out(begin_s: int, end_s: int) -> Layout:
    """The layout with a stretch of its first segment cut out."""
    first, *others = LAYOUT.spans
    begin, end = begin_s * 8_000, end_s * 8_000
    rest = first.samples - end
    spans = (
        replace(first, samples=begin, part_samples=begin, end_us=ZERO + begin_s * S),
        Span(SpanKind.REDACTED, begin, end - begin, ZERO + begin_s * S, ZERO + end_s * S),
        replace(
            first,
            start_sample=end,
            samples=rest,
            part_start_sample=end,
            part_samples=rest,
            begin_us=ZERO + end_s * S,
        ),
        *others,
    )
    return replace(LAYOUT, spans=spans)


async def test_a_redacted_copys_transcript_has_none_of_the_words_that_were_cut_out(
    tmp_path: Path,
) -> None:
    await closed_with(
        tmp_path,
        said("hello", 0.2, 0.5),
        said(
            "my secret is",
            0.6,
            2.4,
            word("my", 0.6, 0.9),
            word("secret", 1.2, 1.9),
            word("is", 2.1, 2.4),
        ),
        said("secret", 0.9, 1.1),
        said("bye", 3, 4),
    )
    path = redact_transcript(tmp_path, "R", ZERO, "R2", cut_out(1, 2))
    assert path == transcript_path(tmp_path, "R2", ZERO)
    copy = read(path)
    assert copy is not None
    assert [one.text for one in copy.utterances] == ["hello", "my", "is", "bye"]
    assert (copy.recording_id, copy.redacts, copy.call_id) == ("R2", "R", "C")
    assert [gap.holds for gap in copy.gaps] == [("redacted",), ("turn",)]
    assert "secret" not in path.read_text("utf-8")
    again = redact_transcript(tmp_path, "R2", ZERO, "R3", cut_out(1, 2))
    assert again is not None
    twice = read(again)
    assert twice == replace(copy, recording_id="R3", redacts="R2")


def test_a_recording_without_a_transcript_has_a_copy_without_one(tmp_path: Path) -> None:
    assert redact_transcript(tmp_path, "R", ZERO, "R2", cut_out(1, 2)) is None
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ export


async def test_a_file_time_of_several_recordings_is_refused_and_names_them(tmp_path: Path) -> None:
    one = await closed_with(tmp_path, said("hello", 1, 2))
    two = replace(one, recording_id="R2")
    for transcripts, error in (([one, two], NoFileTimeError), ([], NoTranscriptError)):
        with pytest.raises(error):
            export_transcripts(
                transcripts,
                started_us=ZERO,
                form=TranscriptFormat.JSON,
                time=TranscriptTime.FILE,
            )
    text = export_transcripts(
        [one, two], started_us=ZERO, form=TranscriptFormat.JSON, time=TranscriptTime.CALL
    )
    assert [entry["recording"] for entry in json.loads(text)["entries"]] == ["R", "R2", "R", "R2"]


async def test_file_time_can_be_of_the_other_behavior(tmp_path: Path) -> None:
    one = await closed_with(tmp_path, said("hello", 1, 2), said("yes", 7, 8))
    found = {
        behavior: [
            entry["begin_us"]
            for entry in json.loads(
                export_transcripts(
                    [one],
                    started_us=ZERO,
                    form=TranscriptFormat.JSON,
                    time=TranscriptTime.FILE,
                    behavior=behavior,
                )
            )["entries"]
        ]
        for behavior in (None, PauseBehavior.SILENCE, PauseBehavior.SKIP)
    }
    assert found == {
        None: [1 * S, 4 * S, 7 * S],
        PauseBehavior.SILENCE: [1 * S, 4 * S, 7 * S],
        PauseBehavior.SKIP: [1 * S, 4 * S, 5 * S],
    }


async def test_what_is_given_to_the_disk_is_read_in_order(tmp_path: Path) -> None:
    files = TranscriptFiles(tmp_path)
    for n in range(50):
        files.append_later("R", "C", ZERO, [said(f"w{n}", 1, 2)])
    transcript = await files.read("R", ZERO)
    assert transcript is not None
    assert [one.text for one in transcript.utterances] == [f"w{n}" for n in range(50)]
    await asyncio.to_thread(files.shut_down)
