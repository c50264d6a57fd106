"""Which rows of the matrix there are, and which of them every test run plays; it plays none."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import combinations

from tests.pbx.matrix.states import Entry, Policy, Row
from tests.pbx.matrix.way import Way

SEED = 3


def all_rows(ways: Iterable[Way]) -> list[Row]:
    """Every way x how the agent is known x policy x state at entry."""
    return [
        Row(way.name, known, policy, entry)
        for way in ways
        for known in way.known
        for policy in Policy
        for entry in Entry
    ]


def is_sensitive(row: Row) -> bool:
    """Whether somebody was told beforehand that the agent is not to be recorded."""
    return row.known.is_announced and row.policy is not Policy.ON


def pairwise(rows: Sequence[Row], seed: int = SEED) -> list[Row]:
    """Rows in which every pair of values that occurs together at all occurs at least once."""
    shuffled = list(rows)
    # Repeatable on purpose: no secret depends on it.
    random.Random(seed).shuffle(shuffled)
    missing = set().union(*(_pairs(row) for row in rows))
    chosen: list[Row] = []
    while missing:
        best = max(shuffled, key=lambda row: len(_pairs(row) & missing))
        missing -= _pairs(best)
        chosen.append(best)
    return chosen


def in_every_run(rows: Sequence[Row]) -> list[Row]:
    """Every sensitive row and a seeded pairwise choice of the others, in the rows' order."""
    chosen = {row for row in rows if is_sensitive(row)}
    chosen |= set(pairwise([row for row in rows if not is_sensitive(row)]))
    return [row for row in rows if row in chosen]


def _pairs(row: Row) -> set[frozenset[tuple[str, str]]]:
    values = {"way": row.way, "known": row.known, "policy": row.policy, "entry": row.entry}
    return {frozenset(pair) for pair in combinations(values.items(), 2)}
