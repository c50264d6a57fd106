"""Which words may be kept: those that lie wholly in an audible stretch, whatever was posted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnrec.core.call import FinishedRecording, OpenRecording
from turnrec.core.monitor import Begun, Monitor
from turnrec.core.policy import PauseBehavior, PauseMethod
from turnrec.core.timeline import Segment, Span, SpanKind
from turnrec.core.transcript import (
    MAX_TEXT,
    MAX_WORD,
    MAX_WORDS,
    BadUtteranceError,
    Speaker,
    Stretch,
    Utterance,
    Word,
    final_stretches,
    gate,
    make_utterance,
    stretches_so_far,
)

CALLER = Speaker.CALLER
OPEN = (Stretch(100, 200, 200), Stretch(300, 400, 400))


def words(*times: tuple[int, int]) -> tuple[Word, ...]:
    return tuple(Word(f"w{begin}", begin, end) for begin, end in times)


def said(*times: tuple[int, int], text: str | None = None) -> Utterance:
    return make_utterance(CALLER, text, None, words(*times))


def unworded(begin_us: int, end_us: int) -> Utterance:
    return make_utterance(CALLER, "a secret", (begin_us, end_us))


# ------------------------------------------------------------------ the gate


def test_what_lies_in_one_stretch_is_kept_as_it_was_given() -> None:
    utterance = said((100, 150), (150, 200), text="Given, with punctuation.")
    assert gate(utterance, OPEN) == (utterance,)
    assert gate(unworded(300, 400), OPEN) == (unworded(300, 400),)


def test_one_that_straddles_is_cut_at_the_words_times() -> None:
    (piece,) = gate(said((180, 190), (195, 205), (210, 220), text="w180 all secret"), OPEN)
    assert (piece.text, piece.begin_us, piece.end_us) == ("w180", 180, 190)
    assert piece.is_cut
    assert piece.words == words((180, 190))


def test_one_that_straddles_without_word_times_is_dropped() -> None:
    assert gate(unworded(199, 201), OPEN) == ()
    assert gate(unworded(150, 350), OPEN) == ()
    assert gate(unworded(290, 400), OPEN) == ()


def test_one_around_a_gap_becomes_a_piece_on_each_side_of_it() -> None:
    before, after = gate(said((150, 190), (210, 290), (310, 350)), OPEN)
    assert (before.text, after.text) == ("w150", "w310")
    assert (before.begin_us, before.end_us, after.begin_us, after.end_us) == (150, 190, 310, 350)


def test_a_word_that_takes_no_time_lies_on_no_edge() -> None:
    assert not OPEN[0].holds(200, 200)
    assert not OPEN[0].holds(100, 100)
    assert OPEN[0].holds(150, 150)


@st.composite
def stretches(draw: st.DrawFn) -> tuple[Stretch, ...]:
    edges = sorted(draw(st.sets(st.integers(0, 1000), max_size=12)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    return tuple(Stretch(begin, end, end) for begin, end in pairs)


@st.composite
def utterances(draw: st.DrawFn) -> Utterance:
    begin = draw(st.integers(0, 990))
    end = draw(st.integers(begin + 1, 1000))
    inside = st.tuples(st.integers(begin, end), st.integers(begin, end)).map(sorted)
    times = draw(st.lists(inside, max_size=8))
    said_words = tuple(Word(f"word{n}", first, last) for n, (first, last) in enumerate(times))
    return make_utterance(
        CALLER, draw(st.none() | st.just("text")) or "text", (begin, end), said_words
    )


@given(utterances(), stretches())
def test_nothing_outside_an_audible_stretch_survives(
    utterance: Utterance, audible: tuple[Stretch, ...]
) -> None:
    inside = [
        word.text
        for word in utterance.words
        if any(one.holds(word.begin_us, word.end_us) for one in audible)
    ]
    for piece in gate(utterance, audible):
        assert any(one.holds(piece.begin_us, piece.end_us) for one in audible)
        assert all(word.text in inside for word in piece.words)
        if piece != utterance:
            assert piece.text == " ".join(word.text for word in piece.words)


@given(utterances(), stretches())
def test_gating_again_changes_nothing(utterance: Utterance, audible: tuple[Stretch, ...]) -> None:
    pieces = gate(utterance, audible)
    assert tuple(again for piece in pieces for again in gate(piece, audible)) == pieces


@given(utterances(), stretches(), st.integers(0, 1000))
def test_a_stretch_that_turns_out_shorter_takes_its_words_with_it(
    utterance: Utterance, audible: tuple[Stretch, ...], end: int
) -> None:
    shorter = tuple(
        replace(one, end_us=min(one.end_us, end)) for one in audible if one.begin_us < end
    )
    once = gate(utterance, shorter)
    twice = [again for piece in gate(utterance, audible) for again in gate(piece, shorter)]
    kept = {word for piece in once for word in piece.words}
    assert {word for piece in twice for word in piece.words} <= kept
    assert all(any(one.holds(piece.begin_us, piece.end_us) for one in shorter) for piece in twice)


# ------------------------------------------------------------------ what can't be one


@pytest.mark.parametrize(
    ("text", "times", "given_words"),
    [
        ("a secret", None, ()),
        ("a secret", (10, 10), ()),
        ("a secret", (11, 10), ()),
        ("", (10, 20), ()),
        (" \n\t\x00", (10, 20), ()),
        (None, (10, 20), ()),
        ("a secret", (10, 20), (Word("secret", 9, 15),)),
        ("a secret", (10, 20), (Word("secret", 15, 21),)),
        ("a secret", (10, 20), (Word("secret", 15, 14),)),
        (None, None, (Word(" ", 10, 20),)),
        (None, None, (Word("secret" * MAX_WORD, 10, 20),)),
        ("secret" * MAX_TEXT, (10, 20), ()),
        (None, None, (Word("secret", 10, 20),) * (MAX_WORDS + 1)),
    ],
)
def test_what_can_not_be_one_is_refused_without_repeating_it(
    text: str | None, times: tuple[int, int] | None, given_words: tuple[Word, ...]
) -> None:
    with pytest.raises(BadUtteranceError) as refused:
        make_utterance(CALLER, text, times, given_words)
    assert "secret" not in str(refused.value)
    assert refused.value.__context__ is None


def test_a_text_is_one_line_without_controls() -> None:
    assert make_utterance(CALLER, " a\r\n\n-->\x00b\u2028c ", (1, 2)).text == "a --> b c"


# ------------------------------------------------------------------ stretches


def recording() -> OpenRecording:
    one = OpenRecording("R", 50)
    one.begin_segment(Begun(Monitor("0x1", "R-001.wav", 100), 90, 100))
    return one


def test_the_stretch_that_runs_ends_now_and_is_sure_until_the_last_look() -> None:
    books = recording()
    assert stretches_so_far(books, 150) == (Stretch(100, 150, 100),)
    books.seen_us = 130
    assert stretches_so_far(books, 150) == (Stretch(100, 150, 130),)


def test_during_a_pause_no_stretch_reaches_until_now() -> None:
    books = recording()
    books.end_segment(200)
    assert stretches_so_far(books, 900) == (Stretch(100, 200, 200),)


def test_a_segment_whose_end_was_not_confirmed_is_sure_until_the_last_look() -> None:
    books = recording()
    books.seen_us = 130
    books.doubt()
    books.end_segment(200)
    assert stretches_so_far(books, 900) == (Stretch(100, 200, 130),)


def finished(*segments: Segment, doubtful: tuple[tuple[int, int], ...] = ()) -> FinishedRecording:
    return FinishedRecording(
        "R", "C", "kyc", 50, 900, segments, (), PauseBehavior.SILENCE, PauseMethod.SEGMENT, doubtful
    )


def span(segment: int, begin_us: int, end_us: int) -> Span:
    return Span(SpanKind.SEGMENT, 0, 1, begin_us, end_us, segment=segment)


def test_a_closed_recordings_stretches_are_its_segments() -> None:
    books = finished(Segment(1, "R-001.wav", 100, 200), Segment(2, "R-002.wav", 300, 400))
    # A part may be shorter (no RTP came) or longer than its segment: its answers bound it.
    assert final_stretches(books, [span(1, 100, 180), span(2, 300, 420)]) == OPEN


@pytest.mark.parametrize(
    ("ended_us", "audio_end_us", "expected"),
    [
        (200, 160, 160),  # the sound ends before the end that was only noticed
        (200, 260, 200),
        (200, 110, 130),  # it was seen running later than that
        (200, None, 130),  # the part is lost
        (None, 160, 160),
        (None, None, 130),
    ],
)
def test_a_segment_with_a_doubtful_end_reaches_as_far_as_it_was_seen_or_has_sound(
    ended_us: int | None, audio_end_us: int | None, expected: int
) -> None:
    books = finished(Segment(1, "R-001.wav", 100, ended_us), doubtful=((1, 130),))
    spans = [] if audio_end_us is None else [span(1, 100, audio_end_us)]
    assert final_stretches(books, spans) == (Stretch(100, expected, expected),)


def test_a_segment_whose_end_nobody_saw_is_no_longer_than_its_sound() -> None:
    assert final_stretches(finished(Segment(1, "R-001.wav", 100, None)), []) == (
        Stretch(100, 100, 100),
    )
