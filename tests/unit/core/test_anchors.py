"""What is found of mutes in a part: all of them, each where it can only be that one, or nothing."""

from __future__ import annotations

import pytest

from turnrec.core.anchors import Sound, find_sounds
from turnrec.core.timeline import Segment

S = 1_000_000


def segments(*times_s: tuple[float, float]) -> list[Segment]:
    """Segments of one part, each from its begin to its end."""
    times = [(round(begin * S), round(end * S)) for begin, end in times_s]
    return [
        Segment(number, "r-001.wav", S + begin_us, S + end_us, begin_us)
        for number, (begin_us, end_us) in enumerate(times, 1)
    ]


def found(
    given: list[Segment], *silences_s: tuple[float, float], held_s: float
) -> dict[int, Sound]:
    """What is found in a part of so many seconds, whose monitor ran from 0 to the last end."""
    last = given[-1]
    assert last.ended_us is not None
    return find_sounds(
        given,
        [range(round(begin * 8000), round(end * 8000)) for begin, end in silences_s],
        held=round(held_s * 8000),
        lacks_us=last.ended_us - S - round(held_s * S),
        rate_hz=8000,
    )


THREE = segments((0, 2), (3, 5), (6, 8))
"""Two mutes of a second each."""


def test_each_sound_lies_between_the_mutes_around_it() -> None:
    assert found(THREE, (1, 2), (3.5, 4.5), held_s=6.5) == {
        1: Sound(None, 8_000),
        2: Sound(16_000, 28_000),
        3: Sound(36_000, None),
    }


def test_a_part_that_ends_muted_has_one_silence_more() -> None:
    assert found(THREE, (1, 2), (4, 5), (6.5, 7), held_s=7)[3] == Sound(40_000, None)


def test_what_was_queued_before_a_mute_is_muted_too() -> None:
    assert found(THREE, (1.935, 3), (4.94, 6), held_s=8)[2] == Sound(24_000, 39_520)


@pytest.mark.parametrize(
    ("silences_s", "held_s"),
    [
        ([(1, 2)], 7.0),
        ([(1, 2), (2.5, 2.8), (4, 5)], 7.0),
        ([(1, 2.2), (4, 5)], 7.0),
        ([(1, 1.95), (4, 5)], 7.0),
        ([(1, 2), (4.5, 5.5)], 7.6),
        ([(1, 2), (4.7, 5.7)], 7.0),
        ([(2.1, 3.1), (5.1, 6.1)], 8.0),
        ([(1, 2), (4, 5)], 8.0),
        ([], 7.0),
    ],
    ids=[
        "one for two",
        "a caller was silent",
        "a caller was silent beside a mute",
        "a mute that uncovered a pause",
        "it lacks more than the part does, then",
        "it gained",
        "later than the clock says",
        "nothing is lacking",
        "nobody was muted",
    ],
)
def test_where_anything_disagrees_nothing_is_found(
    silences_s: list[tuple[float, float]], held_s: float
) -> None:
    assert found(THREE, *silences_s, held_s=held_s) == {}


def test_a_mute_of_a_moment_is_like_any_silence() -> None:
    assert found(segments((0, 2), (2.3, 5)), (1, 1.3), held_s=4) == {}


def test_a_mute_whose_begin_was_never_seen_is_of_no_known_length() -> None:
    unseen = [
        Segment(1, "r-001.wav", S, None),
        Segment(2, "r-001.wav", 4 * S, 6 * S, 3 * S),
    ]
    assert found(unseen, (1, 2), held_s=4) == {}
