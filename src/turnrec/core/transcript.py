"""What of a transcript may be kept: words that lie wholly in an audible stretch, and no others.

The stretches' own edges, as Asterisk's answers bounded them and after the guard, are the only
truth. It decides; it stores nothing, and no message of its errors holds a word that was said.
Instants are UTC microseconds.
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from turnrec.core.call import FinishedRecording, OpenRecording
from turnrec.core.errors import RefusedError
from turnrec.core.timeline import Span, SpanKind

MAX_TEXT: Final = 10_000
"""Characters of one utterance."""
MAX_WORD: Final = 200
MAX_WORDS: Final = 2_000


class BadUtteranceError(RefusedError):
    """An utterance that can't be one: its times, its length, its words. It never says which."""

    id = "bad-utterance"


class Speaker(enum.StrEnum):
    """Who spoke."""

    CALLER = "caller"
    BOT = "bot"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Word:
    """One word and when it was said."""

    text: str
    begin_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """What somebody said, from `begin_us` to `end_us`, with its words where they are known."""

    speaker: Speaker
    text: str
    begin_us: int
    end_us: int
    words: tuple[Word, ...] = ()
    is_final: bool = True
    is_cut: bool = False
    """Whether words of it were left out, because they were said while nothing was recorded."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """An audible stretch, both edges included."""

    begin_us: int
    end_us: int
    sure_us: int
    """Until when it is known that it was audible. What was said later waits for that."""

    def holds(self, begin_us: int, end_us: int) -> bool:
        """Whether all of this lies in it. What takes no time at all lies on no edge of it."""
        if begin_us == end_us:
            return self.begin_us < begin_us < self.end_us
        return self.begin_us <= begin_us and end_us <= self.end_us


@dataclass(frozen=True, slots=True)
class GapMark:
    """Stands for what was not recorded: when, and who held the recorder. No words."""

    begin_us: int
    end_us: int
    holds: tuple[str, ...] = ()
    node: str | None = None


def make_utterance(
    speaker: Speaker,
    text: str | None,
    times: tuple[int, int] | None,
    words: Sequence[Word] = (),
    *,
    is_final: bool = True,
) -> Utterance:
    """Make one of what was posted, its spaces and control characters set straight.

    Raises:
        BadUtteranceError: it can't be one.
    """
    if len(words) > MAX_WORDS or len(text or "") > MAX_TEXT:
        raise BadUtteranceError(f"at most {MAX_TEXT} characters and {MAX_WORDS} words, please")
    said = tuple(_word(word) for word in words)
    if times is None:
        if not said:
            raise BadUtteranceError("an utterance needs begin and end, or words that have them")
        times = min(word.begin_us for word in said), max(word.end_us for word in said)
    begin_us, end_us = times
    if begin_us >= end_us:
        raise BadUtteranceError("an utterance ends after it begins")
    if any(not begin_us <= word.begin_us <= word.end_us <= end_us for word in said):
        raise BadUtteranceError("a word's times lie inside its utterance's, its end not first")
    plain = _plain(text) if text is not None else _joined(said)
    if not plain:
        raise BadUtteranceError("an utterance says something")
    return Utterance(speaker, plain, begin_us, end_us, said, is_final)


def gate(utterance: Utterance, stretches: Iterable[Stretch]) -> tuple[Utterance, ...]:
    """What of an utterance may be kept.

    All of it where it lies wholly in one stretch. Otherwise the words that lie wholly in one, a
    piece a stretch; the text as it was given is dropped then, for it may say more than the words.
    Without word times nothing is left.
    """
    pieces = []
    for stretch in stretches:
        if stretch.holds(utterance.begin_us, utterance.end_us):
            return (utterance,)
        words = tuple(word for word in utterance.words if stretch.holds(word.begin_us, word.end_us))
        if words:
            pieces.append(
                replace(
                    utterance,
                    text=_joined(words),
                    begin_us=min(word.begin_us for word in words),
                    end_us=max(word.end_us for word in words),
                    words=words,
                    is_cut=True,
                )
            )
    # A stretch of another recording, or a piece that takes no time, is nobody's to place.
    return tuple(piece for piece in pieces if piece.begin_us < piece.end_us)


def stretches_so_far(recording: OpenRecording, now_us: int) -> tuple[Stretch, ...]:
    """The audible stretches of a recording that isn't closed; the one that runs ends now."""
    ended = [
        Stretch(
            segment.began_us,
            segment.ended_us,
            recording.doubtful.get(segment.number, segment.ended_us),
        )
        for segment in recording.segments
        if segment.ended_us is not None
    ]
    running = recording.running
    if running is not None and running.began_us <= now_us:
        sure_us = min(max(running.began_us, recording.seen_us), now_us)
        ended.append(Stretch(running.began_us, now_us, sure_us))
    return tuple(ended)


def final_stretches(recording: FinishedRecording, spans: Iterable[Span]) -> tuple[Stretch, ...]:
    """The audible stretches of a recording that is closed and joined.

    Where the end of one wasn't confirmed, it is known until it was last looked at, and for as long
    as its part has sound.
    """
    audio_ends_us = {span.segment: span.end_us for span in spans if span.kind is SpanKind.SEGMENT}
    doubtful = dict(recording.doubtful)
    stretches = []
    for segment in recording.segments:
        end_us = segment.ended_us
        if end_us is None or segment.number in doubtful:
            audio_end_us = audio_ends_us.get(segment.number, segment.began_us)
            if end_us is not None:
                audio_end_us = min(audio_end_us, end_us)
            end_us = max(audio_end_us, doubtful.get(segment.number, segment.began_us))
        stretches.append(Stretch(segment.began_us, end_us, end_us))
    return tuple(stretches)


def stretches_without_cuts(spans: Sequence[Span]) -> tuple[Stretch, ...]:
    """What a redacted file leaves of its call: the stretches around what was cut out.

    Where the sound of a word is, is no more certain than its span: so much more is left out.
    """
    stretches = []
    begin_us = spans[0].begin_us if spans else 0
    for span in spans:
        if span.kind is SpanKind.REDACTED:
            end_us = span.begin_us - span.uncertainty_us
            if begin_us <= end_us:
                stretches.append(Stretch(begin_us, end_us, end_us))
            begin_us = span.end_us + span.uncertainty_us
    end_us = spans[-1].end_us if spans else 0
    if begin_us <= end_us:
        stretches.append(Stretch(begin_us, end_us, end_us))
    return tuple(stretches)


def _word(word: Word) -> Word:
    plain = _plain(word.text)
    if not plain or len(word.text) > MAX_WORD:
        raise BadUtteranceError(f"a word has 1 to {MAX_WORD} characters")
    return replace(word, text=plain)


def _joined(words: Iterable[Word]) -> str:
    return " ".join(word.text for word in words)


def _plain(text: str) -> str:
    """One line: no file format that it goes to gives a line break or a control a meaning."""
    cleared = "".join(
        " " if unicodedata.category(letter) in {"Cc", "Cs"} else letter for letter in text
    )
    return " ".join(cleared.split())
