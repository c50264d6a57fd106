"""What is found of mutes in a part: what every best alignment says, and nothing else."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnrec.core.anchors import Reach, Sound, _in_every_best_alignment, find_sounds
from turnrec.core.timeline import Segment

MS, S = 1_000, 1_000_000
PART = "r-001.wav"
WIDE = Reach(early_us=3 * S, late_us=40 * MS)


def calls(*times_us: tuple[int, int]) -> list[Segment]:
    """Segments of one part, each from its begin to its end."""
    return [
        Segment(number, PART, S + begin_us, S + end_us, begin_us)
        for number, (begin_us, end_us) in enumerate(times_us, 1)
    ]


def found(segments: list[Segment], *silences_ms: tuple[int, int]) -> dict[int, Sound]:
    held = [range(begin * 8, end * 8) for begin, end in silences_ms]
    return find_sounds(segments, {PART: held}, {PART: WIDE}, tolerance_us=100 * MS, rate_hz=8000)


THREE = calls((0, 2 * S), (3 * S, 5 * S), (6 * S, 8 * S))
"""Two mutes of a second each."""


def test_mutes_that_are_alike_are_told_apart_by_their_order() -> None:
    assert found(THREE, (1000, 2000), (4000, 5000)) == {
        1: Sound(None, 8_000),
        2: Sound(16_000, 32_000),
        3: Sound(40_000, None),
    }


@pytest.mark.parametrize(
    "silences_ms",
    [
        [(2020, 3020)],
        [(1000, 2000), (2020, 3020), (4000, 5000)],
        [(1000, 2600), (4000, 5600)],
        [(5060, 6060)],
        [],
    ],
    ids=["one for two", "three for two", "too long", "later than anything can be", "none"],
)
def test_what_may_be_another_is_not_found(silences_ms: list[tuple[int, int]]) -> None:
    assert found(THREE, *silences_ms) == {}


def test_what_only_one_mute_can_be_is_found_although_the_other_is_not() -> None:
    assert found(THREE, (1000, 2000)) == {1: Sound(None, 8_000), 2: Sound(16_000, None)}


def test_a_short_mute_is_like_any_silence() -> None:
    assert found(calls((0, 2 * S), (2 * S + 250 * MS, 5 * S)), (2000, 2250)) == {}


def test_a_segment_whose_end_was_never_seen_has_no_mute_of_a_known_length() -> None:
    unseen = [Segment(1, PART, S, None), Segment(2, PART, 4 * S, 6 * S, 3 * S)]
    assert found(unseen, (2000, 3000)) == {}


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=4))
def test_the_alignment_is_what_counting_all_of_them_gives(fits: list[list[bool]]) -> None:
    best = longest(fits)
    expected = set.intersection(*map(set, best)) if best != [()] else set()
    assert set(_in_every_best_alignment(fits)) == expected


def longest(fits: list[list[bool]]) -> list[tuple[tuple[int, int], ...]]:
    """Every longest list of pairs in which both the rows and the columns rise."""
    for size in range(min(len(fits), 4), -1, -1):
        several = [
            tuple(zip(rows, columns, strict=True))
            for rows in combinations(range(len(fits)), size)
            for columns in combinations(range(4), size)
            if all(fits[row][column] for row, column in zip(rows, columns, strict=True))
        ]
        if several:
            return several
    raise AssertionError("the empty one is always there")
