"""How often somebody may ask: bursts, then so many a second, each for themselves."""

from __future__ import annotations

import pytest

from turnrec.web import rates
from turnrec.web.rates import Rates, TooManyRequestsError


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(buckets: Rates, name: str, most: int = 1000) -> int:
    """How many requests are allowed at this instant."""
    for count in range(most):
        try:
            buckets.take(name)
        except TooManyRequestsError:
            return count
    return most


def test_a_burst_is_allowed_and_then_so_many_a_second() -> None:
    clock = Clock()
    buckets = Rates(5, 10, clock)
    assert taken(buckets, "a") == 10
    clock.now += 1
    assert taken(buckets, "a") == 5
    clock.now += 0.1
    assert taken(buckets, "a") == 0
    clock.now += 0.1
    assert taken(buckets, "a") == 1
    clock.now += 3600
    assert taken(buckets, "a") == 10


def test_each_name_has_its_own() -> None:
    buckets = Rates(1, 3, Clock())
    assert taken(buckets, "a") == 3
    assert taken(buckets, "b") == 3


@pytest.mark.parametrize(("per_s", "wait_s"), [(1.0, 1), (0.1, 10), (200.0, 1)])
def test_who_asks_too_often_is_told_when_to_come_again(per_s: float, wait_s: int) -> None:
    clock = Clock()
    buckets = Rates(per_s, 1, clock)
    buckets.take("a")
    with pytest.raises(TooManyRequestsError) as caught:
        buckets.take("a")
    assert caught.value.retry_after_s == wait_s
    clock.now += wait_s
    buckets.take("a")


def test_being_refused_costs_nothing_more() -> None:
    clock = Clock()
    buckets = Rates(1, 1, clock)
    buckets.take("a")
    assert taken(buckets, "a", 50) == 0
    clock.now += 1
    assert taken(buckets, "a") == 1


def test_it_remembers_only_so_many_and_forgets_who_was_longest_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "_MOST", 3)
    buckets = Rates(1, 1, Clock())
    for name in ("a", "b", "c"):
        assert taken(buckets, name) == 1
    assert taken(buckets, "a") == 0
    assert taken(buckets, "d") == 1  # b is forgotten
    assert taken(buckets, "a") == 0
    assert taken(buckets, "b") == 1
