"""Transcripts as texts: times that are right for call and file, and gaps without words."""

from __future__ import annotations

import json
import re

from turnrec.core.policy import PauseBehavior
from turnrec.core.timeline import PLACEMENT_US, TOLERANCE_US, Gap, Layout, Segment, lay_out
from turnrec.core.transcript import GapMark, Speaker, Word, make_utterance
from turnrec.core.transcript_text import (
    Scale,
    Shown,
    call_scale,
    file_scale,
    to_json,
    to_vtt,
)

S = 1_000_000
ZERO = 1_790_000_000 * S
STARTED_US = ZERO - S
SHOWN = [
    Shown("R", make_utterance(Speaker.BOT, "Back & <b>on</b>", (ZERO + 6 * S, ZERO + 7 * S))),
    Shown(
        "R",
        make_utterance(Speaker.CALLER, None, None, [Word("hi", ZERO + S, ZERO + S + 250_400)]),
    ),
    Shown("R", GapMark(ZERO + 2 * S, ZERO + 5 * S, ("operator", "turn"), "ask")),
]


def layout(behavior: PauseBehavior) -> Layout:
    return lay_out(
        opened_us=ZERO,
        closed_us=ZERO + 9 * S,
        segments=[
            Segment(1, "R-001.wav", ZERO, ZERO + 2 * S),
            Segment(2, "R-002.wav", ZERO + 5 * S, ZERO + 9 * S),
        ],
        gaps=[Gap(ZERO + 2 * S, ZERO + 5 * S, ("turn",))],
        part_samples={"R-001.wav": 16_000, "R-002.wav": 24_000},
        rate_hz=8_000,
        behavior=behavior,
    )


def test_webvtt_in_call_time() -> None:
    assert to_vtt("C", SHOWN, call_scale(STARTED_US)) == (
        "WEBVTT\n\n"
        "NOTE turnrec call=C time=call zero=2026-09-21T14:13:19.000000+00:00\n\n"
        "00:00:02.000 --> 00:00:02.250\n<v caller>hi\n\n"
        "00:00:03.000 --> 00:00:06.000\n[not recorded: operator+turn]\n\n"
        "00:00:07.000 --> 00:00:08.000\n<v bot>Back &amp; &lt;b&gt;on&lt;/b&gt;\n"
    )


def test_webvtt_in_the_time_of_a_file_that_skips_gaps() -> None:
    assert to_vtt("C", SHOWN, file_scale(layout(PauseBehavior.SKIP))) == (
        "WEBVTT\n\n"
        "NOTE turnrec call=C time=file behavior=skip\n\n"
        "00:00:01.000 --> 00:00:01.250\n<v caller>hi\n\n"
        "NOTE 00:00:02.000 not recorded: operator+turn\n\n"
        "00:00:03.000 --> 00:00:04.000\n<v bot>Back &amp; &lt;b&gt;on&lt;/b&gt;\n"
    )


def test_webvtt_in_the_time_of_a_file_with_silence_in_the_gaps() -> None:
    text = to_vtt("C", SHOWN, file_scale(layout(PauseBehavior.SILENCE)))
    assert "00:00:02.000 --> 00:00:05.000\n[not recorded: operator+turn]" in text
    assert "00:00:06.000 --> 00:00:07.000\n<v bot>" in text


def test_json_says_both_times() -> None:
    found = json.loads(to_json("C", SHOWN, file_scale(layout(PauseBehavior.SKIP))))
    assert (found["version"], found["call"]) == (1, "C")
    assert (found["time"], found["behavior"]) == ("file", "skip")
    hi, gap, back = found["entries"]
    assert hi == {
        "kind": "utterance",
        "recording": "R",
        "begin_us": S,
        "end_us": S + 250_400,
        "uncertainty_us": PLACEMENT_US,
        "began": "2026-09-21T14:13:21.000000+00:00",
        "ended": "2026-09-21T14:13:21.250400+00:00",
        "speaker": "caller",
        "text": "hi",
        "cut": False,
        "words": [{"text": "hi", "begin_us": S, "end_us": S + 250_400}],
    }
    assert (gap["kind"], gap["holds"], gap["node"]) == ("gap", ["operator", "turn"], "ask")
    assert (gap["begin_us"], gap["end_us"]) == (2 * S, 2 * S)
    assert (back["begin_us"], back["text"]) == (3 * S, "Back & <b>on</b>")


def test_an_instant_that_a_file_does_not_have_is_at_its_edge() -> None:
    # Part 2 holds 3 s of 4: the last second is a shortfall, which `skip` leaves out.
    place_us = file_scale(layout(PauseBehavior.SKIP)).place_us
    assert place_us(ZERO - 5 * S) == 0
    assert place_us(ZERO + 8 * S + S // 2) == 5 * S
    assert place_us(ZERO + 99 * S) == 5 * S


def test_a_place_that_is_less_certain_than_usual_says_so() -> None:
    scale = file_scale(layout(PauseBehavior.SILENCE))
    # Part 2 is a second short, and nobody knows where in it that second is missing.
    assert scale.uncertainty_us(ZERO + 6 * S) == PLACEMENT_US + S + TOLERANCE_US


def test_every_cue_ends_after_it_begins_and_no_text_can_begin_one() -> None:
    tricky = make_utterance(
        Speaker.CALLER, "x\n\n00:00:00.000 --> 00:00:09.000\nNOTE y", (ZERO, ZERO + 1)
    )
    text = to_vtt("C", [Shown("R", tricky)], Scale(lambda at_us: at_us - ZERO, ()))
    cues = re.findall(r"^(\S+) --> (\S+)$", text, re.MULTILINE)
    assert cues == [("00:00:00.000", "00:00:00.001")]
    assert len(text.split("\n\n")) == 3
