"""Quantiles of turns, and how far their ratio can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

_RESAMPLES: Final = 2000
_SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Ratio:
    """turnrec's quantile over the bare handler's, with its 95 % interval (bootstrap)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of turn at one level; times in milliseconds."""

    bare_count: int
    turnrec_count: int
    bare_ms: dict[str, float]
    turnrec_ms: dict[str, float]
    ratios: dict[str, Ratio]


_QUANTILES: Final = {"p50": 50.0, "p99": 99.0}


def compare(bare: Sequence[float], turnrec: Sequence[float]) -> Compared:
    """Compare times in milliseconds. An arm that wasn't run has no quantiles and no ratio."""
    rng = np.random.default_rng(_SEED)
    arms = [np.asarray(bare, float), np.asarray(turnrec, float)]
    found = [
        {name: float(np.percentile(arm, q)) for name, q in _QUANTILES.items()} if len(arm) else {}
        for arm in arms
    ]
    ratios = {}
    if len(bare) and len(turnrec):
        drawn = [rng.choice(arm, (_RESAMPLES, len(arm))) for arm in arms]
        for name, q in _QUANTILES.items():
            again = np.percentile(drawn[1], q, axis=1) / np.percentile(drawn[0], q, axis=1)
            low, high = np.percentile(again, [2.5, 97.5])
            ratios[name] = Ratio(found[1][name] / found[0][name], float(low), float(high))
    return Compared(len(bare), len(turnrec), found[0], found[1], ratios)
