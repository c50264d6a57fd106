"""Writes a transcript as WebVTT or JSON, in call time or in file time; it decides nothing of it.

Call time counts from the call's start, file time from the file's first sample. What was not
recorded stands there as a marker without words.
"""

from __future__ import annotations

import enum
import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from turnrec.core.entry import JSON
from turnrec.core.timeline import Layout, Span
from turnrec.core.transcript import GapMark, Utterance

VERSION: Final = 1
_SECOND_US: Final = 1_000_000


class TranscriptFormat(enum.StrEnum):
    """How it is written."""

    VTT = "vtt"
    JSON = "json"


class TranscriptTime(enum.StrEnum):
    """What its times count from."""

    CALL = "call"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Scale:
    """How an instant is shown."""

    place_us: Callable[[int], int]
    """Microseconds since the scale's zero, of a UTC instant."""
    about: tuple[tuple[str, str], ...]
    """What the scale is, for the reader: `time`, `behavior`, `zero`."""
    uncertainty_us: Callable[[int], int] = lambda _: 0
    """How far off the sound of an instant may be from its place (`Span.uncertainty_us`)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One utterance or gap marker of one recording."""

    recording_id: str
    what: Utterance | GapMark


def call_scale(started_us: int) -> Scale:
    """Times since the call's start."""
    about = (("time", TranscriptTime.CALL.value), ("zero", _instant(started_us)))
    return Scale(lambda call_us: call_us - started_us, about)


def file_scale(layout: Layout) -> Scale:
    """Times in a file of this layout. An instant that the file leaves out is where it would be."""
    about = (("time", TranscriptTime.FILE.value), ("behavior", layout.behavior.value))

    def span_of(call_us: int) -> Span | None:
        index = bisect_right(layout.spans, call_us, key=lambda span: span.begin_us) - 1
        return None if index < 0 else layout.spans[index]

    def uncertainty_us(call_us: int) -> int:
        span = span_of(call_us)
        return 0 if span is None else span.uncertainty_us

    def place_us(call_us: int) -> int:
        span = span_of(call_us)
        if span is None:
            return 0
        start_us, length_us = (
            (samples * _SECOND_US + layout.rate_hz // 2) // layout.rate_hz
            for samples in (span.start_sample, span.samples)
        )
        return start_us + min(call_us - span.begin_us, length_us)

    return Scale(place_us, about, uncertainty_us)


def to_json(call_id: str, shown: Sequence[Shown], scale: Scale) -> str:
    """Write it as JSON."""
    whole: dict[str, JSON] = {"version": VERSION, "call": call_id, **dict(scale.about)}
    whole["entries"] = [_entry(one, scale) for one in _in_order(shown)]
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def to_vtt(call_id: str, shown: Sequence[Shown], scale: Scale) -> str:
    """Write it as WebVTT. A gap that takes no time in the file is a NOTE, any other a cue."""
    about = " ".join(f"{name}={value}" for name, value in (("call", call_id), *scale.about))
    blocks = ["WEBVTT", f"NOTE turnrec {about}"]
    for one in _in_order(shown):
        begin_ms, end_ms = (
            max(0, scale.place_us(at_us) + 500) // 1000
            for at_us in (one.what.begin_us, one.what.end_us)
        )
        if isinstance(one.what, GapMark):
            text = f"[{_not_recorded(one.what)}]"
            if begin_ms == end_ms:
                blocks.append(f"NOTE {_clock(begin_ms)} {_not_recorded(one.what)}")
                continue
        else:
            text = f"<v {one.what.speaker.value}>{_escaped(one.what.text)}"
        # A cue ends after it begins, by a millisecond at least.
        end_ms = max(end_ms, begin_ms + 1)
        blocks.append(f"{_clock(begin_ms)} --> {_clock(end_ms)}\n{text}")
    return "\n\n".join(blocks) + "\n"


def _in_order(shown: Iterable[Shown]) -> list[Shown]:
    return sorted(shown, key=lambda one: (one.what.begin_us, one.what.end_us))


def _entry(one: Shown, scale: Scale) -> dict[str, JSON]:
    what = one.what
    is_gap = isinstance(what, GapMark)
    entry: dict[str, JSON] = {
        "kind": "gap" if is_gap else "utterance",
        "recording": one.recording_id,
        "begin_us": scale.place_us(what.begin_us),
        "end_us": scale.place_us(what.end_us),
        "uncertainty_us": scale.uncertainty_us(what.begin_us),
        "began": _instant(what.begin_us),
        "ended": _instant(what.end_us),
    }
    if isinstance(what, GapMark):
        return entry | {"holds": list(what.holds), "node": what.node}
    return entry | {
        "speaker": what.speaker.value,
        "text": what.text,
        "cut": what.is_cut,
        "words": [
            {
                "text": word.text,
                "begin_us": scale.place_us(word.begin_us),
                "end_us": scale.place_us(word.end_us),
            }
            for word in what.words
        ],
    }


def _not_recorded(gap: GapMark) -> str:
    return "not recorded" + (f": {'+'.join(gap.holds)}" if gap.holds else "")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(at_ms: int) -> str:
    seconds, ms = divmod(at_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"


def _instant(at_us: int) -> str:
    # From whole microseconds: a float would round them.
    seconds, rest_us = divmod(at_us, _SECOND_US)
    at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_us)
    return at.isoformat(timespec="microseconds")
