"""Follows a redacted recording back to the one that was recorded, by the ledger; it reads no sound.

A redacted copy never ran: no monitor was begun or ended for it. What is proven of its gaps is what
is proven of the recording that it was made of; what is proven of its cuts is that an entry says
who made them and why, between which two files, and that they lead from the one's spans to the
other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from turnrec.core.entry import EntryKind
from turnrec.core.errors import InvalidTimeError
from turnrec.core.timeline import Layout, Span, SpanKind
from turnrec.recordings.manifest import utc
from turnrec.recordings.manifest_history import Numbered
from turnrec.recordings.redact import cut_again, new_cuts
from turnrec.recordings.spans import SpanMapError, layout_from_json
from turnrec.verify.entries import closing, entries_of, not_ours
from turnrec.verify.findings import Report
from turnrec.verify.ledgers import CheckedLedger

_CARRIED_ON: Final = ("rate_hz", "samples", "behavior", "method", "parts")
"""What a redaction never changes."""
_MOST_CUTS: Final = 20
"""How many cuts are told one by one."""


@dataclass(frozen=True, slots=True)
class Step:
    """One redaction, from an older recording to a newer one."""

    older_id: str
    older_closed: Numbered
    redacted: Numbered
    """The entry that says of it."""
    deleted: Numbered | None
    """The older one's tombstone."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a recording was made of."""

    steps: tuple[Step, ...]
    """From the newest redaction to the oldest; none for a recording that nothing was cut out of."""
    origin_id: str
    """The recording whose monitors made the sound."""
    origin_entries: tuple[Numbered, ...]
    origin_closed: Numbered

    @property
    def is_redacted(self) -> bool:
        """Whether anything was cut out."""
        return bool(self.steps)


def follow(
    report: Report, ledger: CheckedLedger, recording_id: str, entries: Sequence[Numbered]
) -> Lineage | None:
    """Follow a closed recording back; None where the way breaks off, which is a finding.

    Args:
        report: what is found goes there.
        ledger: the ledger.
        recording_id: the recording.
        entries: its own entries; one of them closes it.
    """
    steps: list[Step] = []
    seen = {recording_id}
    closed = closing(entries)
    while closed is not None and "redacts" in closed.entry.detail:
        older_id = closed.entry.detail["redacts"]
        if not isinstance(older_id, str) or older_id in seen:
            not_ours(report, closed.seq)
            return None
        seen.add(older_id)
        entries = entries_of(report, ledger, older_id)
        step = _step(report, recording_id, closed, older_id, entries)
        if step is None:
            return None
        steps.append(step)
        recording_id, closed = older_id, step.older_closed
    if closed is None:
        return None
    return Lineage(tuple(steps), recording_id, tuple(entries), closed)


def _step(
    report: Report,
    newer_id: str,
    closed: Numbered,
    older_id: str,
    older: Sequence[Numbered],
) -> Step | None:
    """Check one redaction."""
    older_closed = closing(older)
    if older_closed is None:
        report.wrong(
            "redaction-missing",
            f"{newer_id} is said to be a copy of {older_id}, and the ledger has no such recording"
            " that was closed",
        )
        return None
    found = [
        one
        for one in older
        if one.entry.kind is EntryKind.REDACTED and one.entry.detail.get("into") == newer_id
    ]
    if not found:
        report.wrong(
            "redaction-missing",
            f"no entry says who cut something out of {older_id} to make {newer_id}, and why",
        )
        return None
    redacted = found[0]
    deleted = next((one for one in older if one.entry.kind is EntryKind.DELETED), None)
    for difference in _differences(closed, older_closed, found, deleted):
        report.wrong("redaction-differs", f"entry {redacted.seq}: {difference}")
    _check_cuts(report, closed, older_closed, redacted)
    return Step(older_id, older_closed, redacted, deleted)


def _differences(
    closed: Numbered,
    older_closed: Numbered,
    found: Sequence[Numbered],
    deleted: Numbered | None,
) -> list[str]:
    redacted = found[0]
    said, new, old = redacted.entry.detail, closed.entry.detail, older_closed.entry.detail
    reason = said.get("reason")
    wrong = {
        "it is not the only one of this redaction": len(found) > 1,
        "the file that it names as the old one is not the one that was closed": (
            said.get("old_sha256") != old.get("sha256")
        ),
        "the file that it names as the new one is not the one that was closed": (
            said.get("new_sha256") != new.get("sha256")
        ),
        "it gives no reason": not isinstance(reason, str) or not reason.strip(),
        "it does not lie between the closing of the two": (
            not older_closed.seq < redacted.seq < closed.seq
        ),
        "what it was made of was deleted before": (
            deleted is not None and deleted.seq < redacted.seq
        ),
    }
    for name in _CARRIED_ON:
        wrong[f"the new recording's {name} is not the old one's"] = new.get(name) != old.get(name)
    return [sentence for sentence, is_wrong in wrong.items() if is_wrong]


def _check_cuts(
    report: Report, closed: Numbered, older_closed: Numbered, redacted: Numbered
) -> None:
    """The cuts that were entered lead from the old spans to the new ones, and nothing else does."""
    older, newer = layout_of(report, older_closed), layout_of(report, closed)
    if older is None or newer is None:
        return
    try:
        cuts = [
            (int(cut["start_sample"]), int(cut["samples"]), cut["begin_us"], cut["end_us"])
            for cut in _list(redacted.entry.detail.get("cuts"))
        ]
        expected = cut_again(older, [(start, samples) for start, samples, _, _ in cuts])
    except InvalidTimeError as error:
        report.wrong("redaction-differs", f"entry {redacted.seq}: {error}")
        return
    except (KeyError, TypeError, ValueError):
        not_ours(report, redacted.seq)
        return
    times = [
        (span.start_sample, span.samples, span.begin_us, span.end_us)
        for span in new_cuts(older, expected)
    ]
    if not cuts or cuts != times:
        report.wrong("redaction-differs", f"entry {redacted.seq}: its cuts have other times")
    elif expected.spans != newer.spans:
        report.wrong(
            "redaction-differs",
            f"entry {redacted.seq}: its cuts don't lead from the spans of entry"
            f" {older_closed.seq} to those of entry {closed.seq}",
        )


def _list(value: object) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise TypeError
    return value


def layout_of(report: Report, closed: Numbered) -> Layout | None:
    """The spans of a joined file, as its closing entry has them; None, said, where it has none."""
    detail = closed.entry.detail
    try:
        return layout_from_json(detail.get("spans"), detail.get("rate_hz"), detail.get("behavior"))
    except SpanMapError:
        not_ours(report, closed.seq)
        return None


# ------------------------------------------------------------------ in words


def say_redactions(report: Report, lineage: Lineage, closed: Numbered) -> None:
    """Say who cut out what, and why, where all of it holds."""
    if any(one.id in ("redaction-differs", "entry-unreadable") for one in report.findings):
        return
    newer = layout_of(report, closed)
    for step in lineage.steps:
        older = layout_of(report, step.older_closed)
        if older is None or newer is None:
            return
        entry = step.redacted.entry
        cuts = new_cuts(older, newer)
        what = "1 stretch" if len(cuts) == 1 else f"{len(cuts)} stretches"
        report.proven.append(
            f"it is recording {step.older_id} with {what} cut out: entry {step.redacted.seq} says"
            f" by whom ({entry.actor or 'nobody named'}) and why ({entry.detail.get('reason')}),"
            " and names both files by their hashes"
        )
        report.proven += [_tell_cut(cut, older, step) for cut in cuts[:_MOST_CUTS]]
        newer = older


def _tell_cut(cut: Span, older: Layout, step: Step) -> str:
    inside = next(
        span
        for span in older.spans
        if span.kind is SpanKind.SEGMENT and span.start_sample <= cut.start_sample < _end(span)
    )
    audible_to = inside.start_sample + inside.part_samples
    sound = max(0, min(cut.start_sample + cut.samples, audible_to) - cut.start_sample)
    return (
        f"cut out: {cut.samples / older.rate_hz:.3f} s of segment {cut.segment} from"
        f" {utc(cut.begin_us)} on; by entry {step.older_closed.seq} there was"
        f" {sound / older.rate_hz:.3f} s of recorded sound there"
    )


def _end(span: Span) -> int:
    return span.start_sample + span.samples
