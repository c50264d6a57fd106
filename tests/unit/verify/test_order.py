"""The order alone: a ledger that was written anew, well chained, and tells what can't be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.verify.house import RECORDING, House, build_now
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.policy import Action, PauseMethod
from turnrec.ledger.offline import OfflineLedger
from turnrec.recordings.manifest import Manifest, SegmentSpan
from turnrec.recordings.manifest_file import read_manifest
from turnrec.recordings.manifest_history import Numbered, read_history
from turnrec.recordings.manifest_make import describe_spans
from turnrec.verify.audio import check_spans
from turnrec.verify.findings import Report
from turnrec.verify.order import check_order

Change = Callable[[list[Numbered]], None]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_now(tmp_path_factory.mktemp("order") / "house")


def entries_of(house: House) -> list[Numbered]:
    ledger = OfflineLedger(str(house.ledger))
    found = [
        Numbered(one.seq, one.entry)
        for one in ledger.of_recording(RECORDING)
        if one.entry is not None
    ]
    ledger.close()
    return found


def check(entries: list[Numbered]) -> tuple[Report, int]:
    """What is found, and how many gaps hold."""
    closing = next(one for one in entries if one.entry.kind is EntryKind.RECORDING_CLOSED)
    spans: Any = closing.entry.detail["spans"]
    report = Report(RECORDING)
    described = describe_spans(spans, read_history(entries, RECORDING), {})
    return report, check_order(report, entries, described, PauseMethod.SEGMENT).gaps


def nth(entries: list[Numbered], kind: EntryKind, number: int = 0, **having: Any) -> int:
    """Where the n-th entry of a kind is."""
    places = [
        place
        for place, one in enumerate(entries)
        if one.entry.kind is kind
        and all(getattr(one.entry, name) == value for name, value in having.items())
    ]
    return places[number]


def alter(entries: list[Numbered], place: int, **changed: Any) -> None:
    one = entries[place]
    entries[place] = Numbered(one.seq, replace(one.entry, **changed))


def alter_detail(entries: list[Numbered], place: int, **changed: Any) -> None:
    alter(entries, place, detail={**entries[place].entry.detail, **changed})


def entry_of(entries: list[Numbered], place: int) -> Entry:
    return entries[place].entry


def answered_before_asked(entries: list[Numbered]) -> None:
    place = nth(entries, EntryKind.SEGMENT_ENDED)
    asked_us = entry_of(entries, place).detail["asked_us"]
    assert isinstance(asked_us, int)
    alter_detail(entries, place, asked_us=asked_us + 10_000)


def first_start_answered_before_asked(entries: list[Numbered]) -> None:
    place = nth(entries, EntryKind.SEGMENT_BEGAN)
    asked_us = entry_of(entries, place).detail["asked_us"]
    assert isinstance(asked_us, int)
    alter_detail(entries, place, asked_us=asked_us + 10_000)


def let_on_before_seen_gone(entries: list[Numbered]) -> None:
    """The stop's answer came after the entry that let the turn on: the entries are in order."""
    ended = nth(entries, EntryKind.SEGMENT_ENDED)
    done = nth(entries, EntryKind.ACTION_DONE, action=Action.PAUSE)
    answered_us = entry_of(entries, ended).detail["answered_us"]
    assert isinstance(answered_us, int)
    for place in (ended, done):
        alter(entries, place, at_us=answered_us - 100)


def stop_sent_before_it_was_asked(entries: list[Numbered]) -> None:
    ended = nth(entries, EntryKind.SEGMENT_ENDED)
    asked = nth(entries, EntryKind.ACTION_ASKED, action=Action.PAUSE)
    asked_us = entry_of(entries, ended).detail["asked_us"]
    assert isinstance(asked_us, int)
    alter(entries, asked, at_us=asked_us + 100)


def begun_without_being_asked(entries: list[Numbered]) -> None:
    place = nth(entries, EntryKind.ACTION_ASKED, action=Action.RESUME)
    done = nth(entries, EntryKind.ACTION_DONE, action=Action.RESUME)
    del entries[done], entries[place]


def begun_before_it_was_asked(entries: list[Numbered]) -> None:
    place = nth(entries, EntryKind.ACTION_ASKED, action=Action.RESUME)
    alter(entries, place, at_us=entry_of(entries, place).at_us + 84_000)


def begun_before_the_guard(entries: list[Numbered]) -> None:
    alter_detail(entries, nth(entries, EntryKind.SEGMENT_BEGAN, 1), guard_ms=90)


def stopped_later_than_the_gap_says(entries: list[Numbered]) -> None:
    """The gap begins before Asterisk's answer: a monitor ran in what is called a gap."""
    for place in (
        nth(entries, EntryKind.SEGMENT_ENDED),
        nth(entries, EntryKind.ACTION_DONE, 1),
    ):
        alter(entries, place, at_us=entry_of(entries, place).at_us + 50_000)
    ended = nth(entries, EntryKind.SEGMENT_ENDED)
    answered_us = entry_of(entries, ended).detail["answered_us"]
    assert isinstance(answered_us, int)
    alter_detail(entries, ended, answered_us=answered_us + 50_000)


def started_earlier_than_the_gap_says(entries: list[Numbered]) -> None:
    place = nth(entries, EntryKind.SEGMENT_BEGAN, 1)
    detail = entry_of(entries, place).detail
    answered_us, asked_us = detail["answered_us"], detail["asked_us"]
    assert isinstance(answered_us, int)
    assert isinstance(asked_us, int)
    alter_detail(entries, place, asked_us=asked_us - 9000, answered_us=answered_us - 9000)


def an_end_that_is_gone(entries: list[Numbered]) -> None:
    del entries[nth(entries, EntryKind.SEGMENT_ENDED)]


def a_start_that_is_gone(entries: list[Numbered]) -> None:
    del entries[nth(entries, EntryKind.SEGMENT_BEGAN, 1)]


def nobody_was_told(entries: list[Numbered]) -> None:
    del entries[nth(entries, EntryKind.ACTION_DONE, action=Action.PAUSE)]


def the_clock_went_back(entries: list[Numbered]) -> None:
    alter(entries, nth(entries, EntryKind.TURN_BEGUN, 1), at_us=5)


def entries_were_lost(entries: list[Numbered]) -> None:
    place = nth(entries, EntryKind.TURN_BEGUN, 1)
    alter(entries, place, kind=EntryKind.ENTRY_LOST)


def test_the_honest_order_holds(house: House) -> None:
    report, gaps = check(entries_of(house))
    assert report.findings == []
    assert gaps == 2


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        (answered_before_asked, {"order-time"}),
        (first_start_answered_before_asked, {"order-time"}),
        (let_on_before_seen_gone, {"order-time"}),
        (stop_sent_before_it_was_asked, {"order-time"}),
        (begun_without_being_asked, {"order-unasked"}),
        (begun_before_it_was_asked, {"order-time"}),
        (begun_before_the_guard, {"order-guard"}),
        (stopped_later_than_the_gap_says, {"gap-times"}),
        (started_earlier_than_the_gap_says, {"gap-times"}),
        (an_end_that_is_gone, {"order-overlap", "order-turn-before-stop", "gap-unproven"}),
        (a_start_that_is_gone, {"gap-unproven"}),
        (nobody_was_told, {"gap-unproven"}),
        (the_clock_went_back, {"order-time"}),
        (entries_were_lost, {"entries-lost"}),
    ],
)
def test_an_order_that_cannot_be_is_found(house: House, change: Change, findings: set[str]) -> None:
    entries = entries_of(house)
    change(entries)
    report, _ = check(entries)
    assert report.ids() == findings


def test_a_turn_let_on_too_early_is_said_in_words(house: House) -> None:
    entries = entries_of(house)
    let_on_before_seen_gone(entries)
    report, gaps = check(entries)
    assert any("let on before" in finding.sentence for finding in report.findings)
    assert gaps == 1


# ---------------------------------------------------------------- the manifest by itself


def with_segment(manifest: Manifest, **changed: Any) -> Manifest:
    """The manifest with its second segment changed."""
    spans = list(manifest.spans)
    place = [index for index, span in enumerate(spans) if isinstance(span, SegmentSpan)][1]
    spans[place] = spans[place].model_copy(update=changed)
    return manifest.model_copy(update={"spans": tuple(spans)})


def second(manifest: Manifest) -> SegmentSpan:
    return [span for span in manifest.spans if isinstance(span, SegmentSpan)][1]


def findings_of(manifest: Manifest) -> set[str]:
    report = Report(RECORDING)
    check_spans(report, manifest)
    return report.ids()


def test_a_part_longer_than_its_monitors_time_is_found(house: House) -> None:
    manifest, _ = read_manifest(house.manifest)
    assert findings_of(manifest) == set()
    parts = tuple(part.model_copy(update={"samples": 9000}) for part in manifest.parts)
    assert findings_of(manifest.model_copy(update={"parts": parts})) == {"part-too-long"}


@pytest.mark.parametrize("edge", ["start", "stop"])
def test_a_segment_outside_of_its_monitors_time_is_found(house: House, edge: str) -> None:
    manifest, _ = read_manifest(house.manifest)
    bound = getattr(second(manifest), edge)
    by_us = 200_000 if edge == "start" else -200_000
    moved = bound.acknowledged.at(bound.acknowledged.us + by_us)
    changed = bound.model_copy(update={"acknowledged": moved})
    # The part no longer fits into what is left of its monitor's time, either.
    found = findings_of(with_segment(manifest, **{edge: changed}))
    assert "segment-times" in found


def test_a_segment_that_takes_more_than_its_part_has_is_found(house: House) -> None:
    manifest, _ = read_manifest(house.manifest)
    assert findings_of(with_segment(manifest, part_start_sample=1)) == {"spans-broken"}
    assert findings_of(with_segment(manifest, part="R1-009.wav")) == {"spans-broken"}


def test_a_segment_that_takes_what_an_earlier_one_has_taken_is_found(house: House) -> None:
    manifest, _ = read_manifest(house.manifest)
    first = next(span for span in manifest.spans if isinstance(span, SegmentSpan))
    assert "spans-broken" in findings_of(with_segment(manifest, part=first.part))
