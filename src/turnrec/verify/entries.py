"""Reads the ledger's entries of one recording, for all checks; what can't be read is a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from turnrec.core.entry import EntryKind
from turnrec.core.policy import PauseMethod
from turnrec.ledger.offline import FoundEntry
from turnrec.recordings.manifest_history import History, Numbered
from turnrec.recordings.manifest_make import describe_spans
from turnrec.verify.audio import Stretch
from turnrec.verify.findings import Report
from turnrec.verify.ledgers import CheckedLedger


def entries_of(report: Report, ledger: CheckedLedger, recording_id: str) -> list[Numbered]:
    """A recording's own entries, in the order of the chain."""
    return numbered(report, ledger.ledger.of_recording(recording_id))


def numbered(report: Report, found: Iterable[FoundEntry]) -> list[Numbered]:
    """Those that can be read."""
    readable: list[Numbered] = []
    for one in found:
        if one.entry is None:
            not_ours(report, one.seq)
        else:
            readable.append(Numbered(one.seq, one.entry))
    return readable


def not_ours(report: Report, seq: int) -> None:
    """Say once that an entry can't be read."""
    sentence = f"entry {seq} holds what turnrec never writes"
    if sentence not in {finding.sentence for finding in report.findings}:
        report.wrong("entry-unreadable", sentence)


def closing(entries: Iterable[Numbered]) -> Numbered | None:
    """The entry that closed the recording."""
    closings = (one for one in entries if one.entry.kind is EntryKind.RECORDING_CLOSED)
    return next(closings, None)


def method_of(closed: Numbered) -> PauseMethod:
    """How the recording's pauses were made."""
    word = closed.entry.detail.get("method")
    return PauseMethod(word) if word in tuple(PauseMethod) else PauseMethod.SEGMENT


def spans_of(
    report: Report, closed: Numbered, history: History, sounds: Mapping[int, str]
) -> list[Stretch]:
    """What the ledger itself says of the joined file."""
    spans: Any = closed.entry.detail.get("spans", ())
    try:
        return list(describe_spans(spans, history, sounds))
    except (KeyError, TypeError, ValueError, AttributeError):
        not_ours(report, closed.seq)
        return []
