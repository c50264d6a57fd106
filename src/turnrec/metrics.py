"""Counts what is entered and measures the parts, for Prometheus; it decides nothing.

Labels are words of turnrec's own (actions, results, states, alarms): never a call's, a caller's or
a node's name, which could be anything and without end.
"""

from __future__ import annotations

import os
from collections import Counter as Tallied
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from turnrec import __version__
from turnrec.calls import Calls
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.recorder import State

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_ENDS: Final = frozenset({EntryKind.ACTION_DONE, EntryKind.ACTION_REFUSED, EntryKind.ACTION_FAILED})
_MOST_ASKED: Final = 10_000


class Metrics:
    """The numbers of one turnrec."""

    def __init__(
        self,
        calls: Calls,
        parts: Callable[[], Mapping[str, float]],
        folders: Mapping[str, Path],
    ) -> None:
        """Make them.

        Args:
            calls: whose live ones are counted.
            parts: a gauge's name (without `turnrec_`) and value, each time it is asked.
            folders: whose free disk space is measured, by a word for each.
        """
        self._registry = registry = CollectorRegistry()
        self._asked: dict[str, int] = {}
        ProcessCollector(registry=registry)
        registry.register(_Parts(calls, parts, folders))
        build = Gauge("turnrec_build_info", "Which turnrec", ["version"], registry=registry)
        build.labels(__version__).set(1)
        self._entries = Counter(
            "turnrec_entries", "Entries made for the ledger", ["kind"], registry=registry
        )
        self._actions = Counter(
            "turnrec_actions",
            "Recording actions by outcome",
            ["action", "source", "outcome", "result"],
            registry=registry,
        )
        self._action_seconds = Histogram(
            "turnrec_action_seconds",
            "From an action's asking until it was confirmed, refused or had failed",
            ["action"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._turns = Counter("turnrec_turns", "Turns begun", registry=registry)
        self._alarms = Counter("turnrec_alarms", "Alarms raised", ["id"], registry=registry)
        self._recordings = Counter(
            "turnrec_recordings_closed",
            "Recordings that were closed",
            ["result"],
            registry=registry,
        )

    def entered(self, entry: Entry) -> None:
        """Count an entry as it is made."""
        kind = entry.kind
        self._entries.labels(kind.value).inc()
        if kind is EntryKind.TURN_BEGUN:
            self._turns.inc()
        elif kind is EntryKind.ALARM:
            self._alarms.labels(entry.result).inc()
        elif kind is EntryKind.RECORDING_CLOSED:
            self._recordings.labels(entry.result).inc()
        elif kind is EntryKind.ACTION_ASKED and entry.call_id is not None:
            if len(self._asked) >= _MOST_ASKED:
                self._asked.clear()
            self._asked[entry.call_id] = entry.at_us
        elif kind in _ENDS and entry.action is not None:
            self._count_action(entry)

    def _count_action(self, entry: Entry) -> None:
        action = entry.action.value if entry.action is not None else ""
        source = entry.source.value if entry.source is not None else ""
        outcome = entry.kind.value.removeprefix("action_")
        self._actions.labels(action, source, outcome, entry.result).inc()
        asked_us = self._asked.pop(entry.call_id or "", None)
        if asked_us is not None:
            self._action_seconds.labels(action).observe((entry.at_us - asked_us) / 1_000_000)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Parts(Collector):
    """What is measured only when somebody asks."""

    def __init__(
        self,
        calls: Calls,
        parts: Callable[[], Mapping[str, float]],
        folders: Mapping[str, Path],
    ) -> None:
        self._calls = calls
        self._parts = parts
        self._folders = folders

    def collect(self) -> Iterator[GaugeMetricFamily]:
        live = GaugeMetricFamily("turnrec_live_calls", "Live calls by state", labels=["state"])
        counts = Tallied(call.recorder.state for call in self._calls.live())
        for state in State:
            live.add_metric([state.value], counts[state])
        yield live
        for name, value in self._parts().items():
            yield GaugeMetricFamily(f"turnrec_{name}", name.replace("_", " "), value=value)
        free = GaugeMetricFamily(
            "turnrec_free_bytes", "Free disk space for turnrec", labels=["folder"]
        )
        for word, folder in self._folders.items():
            try:
                found = os.statvfs(folder)
            except OSError:
                continue
            free.add_metric([word], found.f_bavail * found.f_frsize)
        yield free
