"""Reads a recording's ledger entries as what a manifest says of monitors, pauses and parties.

Pure, and total over any entries: what the ledger has lost is None. The maker of a manifest and
`turnrec verify` use the same reading, so a manifest that says otherwise than the ledger is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from turnrec.core.entry import INT64_MAX, JSON, Entry, EntryKind
from turnrec.core.parties import PartyClass
from turnrec.core.recorder import State
from turnrec.recordings.manifest import (
    ActionRecord,
    EntryAt,
    Instant,
    OtherRecorder,
    PartyFacts,
    Start,
    Stop,
    Who,
    Window,
)

_OUTCOMES: Final = (EntryKind.ACTION_DONE, EntryKind.ACTION_REFUSED, EntryKind.ACTION_FAILED)
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Numbered:
    """An entry and its number in the chain."""

    seq: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Life:
    """One segment's monitor (or, muted, one stretch of it), from its start to its end."""

    number: int
    part: str
    start: Start | None
    stop: Stop | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What a recording's entries come to."""

    opened: Who | None
    lives: tuple[Life, ...]
    """In the order of the ledger."""
    actions: tuple[ActionRecord, ...]
    parties: tuple[PartyFacts, ...]
    windows: tuple[Window, ...]
    other_recorders: tuple[OtherRecorder, ...]

    def life(self, number: int) -> Life | None:
        """The segment with this number."""
        return next((life for life in self.lives if life.number == number), None)

    def done(self, stop: Stop, before_seq: int) -> EntryAt | None:
        """When somebody was told that nothing is recorded any more, after that stop."""
        for action in self.actions:
            outcome = action.outcome
            if outcome is not None and stop.seq < outcome.seq < before_seq:
                return outcome if action.state is not State.RECORDING else None
        return None

    def actions_between(self, after_seq: int, before_seq: int) -> tuple[ActionRecord, ...]:
        """The actions that were asked or answered between two entries."""
        return tuple(action for action in self.actions if _overlaps(action, after_seq, before_seq))


def read_history(entries: Iterable[Numbered], recording_id: str) -> History:
    """Read a call's entries, in the order of the chain, as one of its recordings' history."""
    reading = _Reading()
    for one in entries:
        if one.entry.recording_id == recording_id:
            reading.own(one)
        reading.call(one)
    return reading.history()


def _overlaps(action: ActionRecord, after_seq: int, before_seq: int) -> bool:
    first = action.asked or action.outcome
    last = action.outcome or action.asked
    return (
        first is not None
        and last is not None
        and not (last.seq < after_seq or first.seq > before_seq)
    )


@dataclass(slots=True)
class _Reading:
    opened: Who | None = None
    lives: dict[int, Life] = field(default_factory=dict)
    actions: list[ActionRecord] = field(default_factory=list)
    parties: list[PartyFacts] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    others: list[OtherRecorder] = field(default_factory=list)
    last_number: int = 0
    wanted_us: int | None = None
    """When what the next start waits for had happened."""

    def own(self, one: Numbered) -> None:
        entry = one.entry
        match entry.kind:
            case EntryKind.RECORDING_OPENED:
                self.opened = _who(entry)
                self.wanted_us = entry.at_us
            case EntryKind.SEGMENT_BEGAN:
                self._began(one)
            case EntryKind.SEGMENT_ENDED:
                self._ended(one)
            case EntryKind.ACTION_ASKED:
                self.wanted_us = entry.at_us
                self.actions.append(_action(entry, asked=_entry_at(one)))
            case EntryKind.ACTION_DONE | EntryKind.ACTION_REFUSED | EntryKind.ACTION_FAILED:
                self._outcome(one)

    def call(self, one: Numbered) -> None:
        entry = one.entry
        match entry.kind:
            case EntryKind.PARTY_CAME:
                self.parties += _parties(one, "came")
            case EntryKind.PARTY_LEFT:
                self.parties += _parties(one, "left")
            case EntryKind.WINDOW_MEASURED:
                from_us, to_us = _int(entry, "from_us"), _int(entry, "to_us")
                if from_us is not None and to_us is not None:
                    window = Window(seq=one.seq, begin=Instant.at(from_us), end=Instant.at(to_us))
                    self.windows.append(window)
            case EntryKind.OTHER_RECORDER:
                self.others.append(
                    OtherRecorder(
                        seq=one.seq,
                        at=Instant.at(entry.at_us),
                        channel=_text(entry, "channel"),
                        what=_text(entry, "what"),
                        recorders=_int(entry, "recorders"),
                        done=_text(entry, "done"),
                        result=entry.result,
                    )
                )

    def _began(self, one: Numbered) -> None:
        entry = one.entry
        number = _int(entry, "number") or self.last_number + 1
        answered_us = _first(_int(entry, "answered_us"), entry.at_us)
        asked_us = _first(_int(entry, "asked_us"), answered_us)
        guard_us = None if self.wanted_us is None else max(0, asked_us - self.wanted_us)
        start = Start(
            seq=one.seq,
            asked=Instant.at(asked_us),
            acknowledged=Instant.at(answered_us),
            guard_us=guard_us,
            monitor_id=_text(entry, "monitor_id"),
            by=_who(entry),
        )
        self.lives[number] = Life(number, _text(entry, "part") or "", start)
        self.last_number = number
        self.wanted_us = None

    def _ended(self, one: Numbered) -> None:
        entry = one.entry
        number = _int(entry, "number") or self.last_number
        asked_us = _int(entry, "asked_us")
        acknowledged_us = _first(_int(entry, "answered_us"), entry.at_us)
        stop = Stop(
            seq=one.seq,
            asked=None if asked_us is None else Instant.at(asked_us),
            acknowledged=Instant.at(acknowledged_us),
            proof=_text(entry, "proof") or "",
            by=_who(entry),
        )
        life = self.lives.get(number)
        start = None if life is None else life.start
        part = _text(entry, "part") or ("" if life is None else life.part)
        self.lives[number] = Life(number, part, start, stop)
        self.wanted_us = acknowledged_us

    def _outcome(self, one: Numbered) -> None:
        """Join an outcome to what was asked: one thing at a time is done on a call."""
        entry = one.entry
        last = self.actions[-1] if self.actions else None
        asked = None
        if last is not None and last.outcome is None and last.action is entry.action:
            asked = self.actions.pop().asked
        self.actions.append(_action(entry, asked=asked, outcome=_entry_at(one)))

    def history(self) -> History:
        return History(
            opened=self.opened,
            lives=tuple(self.lives[number] for number in sorted(self.lives)),
            actions=tuple(self.actions),
            parties=tuple(self.parties),
            windows=tuple(self.windows),
            other_recorders=tuple(self.others),
        )


# ------------------------------------------------------------------ reading one entry


def _who(entry: Entry) -> Who:
    return Who(
        source=entry.source,
        actor=entry.actor,
        origin=entry.origin,
        node=entry.node,
        turn=entry.turn,
    )


def _entry_at(one: Numbered) -> EntryAt:
    return EntryAt(seq=one.seq, at=Instant.at(one.entry.at_us))


def _action(
    entry: Entry, *, asked: EntryAt | None = None, outcome: EntryAt | None = None
) -> ActionRecord:
    return ActionRecord(
        action=entry.action,
        by=_who(entry),
        asked=asked,
        outcome=outcome,
        result=_UNKNOWN if outcome is None else entry.result,
        state=entry.state,
        holds=tuple(sorted(entry.holds)),
    )


def _parties(one: Numbered, what: Literal["came", "left"]) -> list[PartyFacts]:
    detail = one.entry.detail
    listed = detail.get("parties")
    people = listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()
    return [
        PartyFacts(
            seq=one.seq,
            at=Instant.at(_first(_int(one.entry, "seen_us"), one.entry.at_us)),
            what=what,
            uniqueid=str(who.get("uniqueid", "")),
            channel=str(who.get("channel", "")),
            party=_party(who),
            announced=bool(detail.get("announced")),
        )
        for who in people
        if isinstance(who, Mapping)
    ]


def _party(who: Mapping[str, JSON]) -> PartyClass:
    word = who.get("party")
    return PartyClass(word) if word in tuple(PartyClass) else PartyClass.UNKNOWN


def _int(entry: Entry, key: str) -> int | None:
    value = entry.detail.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT64_MAX:
        return value
    return None


def _first(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _text(entry: Entry, key: str) -> str | None:
    value = entry.detail.get(key)
    return value if isinstance(value, str) else None
