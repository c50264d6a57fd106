"""What an entry tells: one event or none, and always the same one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from turnrec.core.entry import JSON, Entry, EntryKind, Origin
from turnrec.core.event import RULES, EventType, project
from turnrec.core.policy import Action
from turnrec.core.recorder import Source, State

T0_US = 1_700_000_000_000_000
DOCS = Path(__file__).parents[3] / "docs" / "events.md"


def entry(kind: EntryKind, state: State | None = None, **detail: JSON) -> Entry:
    return Entry(
        kind=kind,
        at_us=T0_US,
        call_id="CALL",
        uniqueid="pbx-1.7",
        recording_id="REC",
        source=Source.TURN,
        actor="bot:kyc",
        origin=Origin.AGI,
        action=Action.PAUSE,
        node="ask_otp",
        turn=2,
        state=state,
        holds=(Source.TURN,),
        detail=detail,
    )


def type_of(one: Entry) -> EventType | None:
    event = project(7, one, "kyc")
    return None if event is None else event.type


@pytest.mark.parametrize(
    ("was", "state", "expected"),
    [
        ("inactive", State.RECORDING, EventType.RECORDING_STARTED),
        ("inactive", State.PAUSED, EventType.RECORDING_STARTED),
        ("recording", State.PAUSED, EventType.RECORDING_PAUSED),
        ("paused", State.RECORDING, EventType.RECORDING_RESUMED),
        ("recording", State.STOPPED, None),  # its recording's end has an entry of its own
        ("paused", State.INACTIVE, None),
        (None, State.PAUSED, None),  # it was so before
        ("no such state", State.PAUSED, None),
        (7, State.PAUSED, None),
    ],
)
@pytest.mark.parametrize("kind", [EntryKind.ACTION_DONE, EntryKind.RECORDER_CHANGED])
def test_a_recorder_that_changed_is_told_of_and_no_other(
    kind: EntryKind, was: JSON, state: State, expected: EventType | None
) -> None:
    detail: dict[str, JSON] = {} if was is None else {"was": was}
    assert type_of(entry(kind, state, **detail)) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [("done", EventType.RECORDING_DONE), ("failed", EventType.RECORDING_FAILED)],
)
def test_a_closed_recording_is_done_or_failed(status: str, expected: EventType) -> None:
    one = entry(EntryKind.RECORDING_CLOSED, status=status, file="a.wav", sha256="ab", spans=[])
    event = project(7, one, "kyc")
    assert event is not None
    assert event.type is expected
    assert (event.data["file"], event.data["sha256"]) == ("a.wav", "ab")
    assert "spans" not in event.data  # they are the manifest's


def test_what_says_nothing_of_its_end_has_failed() -> None:
    assert type_of(entry(EntryKind.RECORDING_CLOSED)) is EventType.RECORDING_FAILED


@pytest.mark.parametrize(
    ("parties", "is_told"),
    [
        ([{"party": "agent"}], True),
        ([{"party": "unknown"}], True),
        ([{"party": "announcement"}, {"party": "agent"}], True),
        ([{"party": "announcement"}], False),
        ([{"party": "consultation"}], False),
        ([], False),
        ("agent", False),
        (["agent"], False),
        (None, False),
    ],
)
def test_only_an_agent_or_somebody_unknown_is_bridged_or_gone(parties: JSON, is_told: bool) -> None:
    came = type_of(entry(EntryKind.PARTY_CAME, parties=parties))
    left = type_of(entry(EntryKind.PARTY_LEFT, parties=parties))
    assert came is (EventType.AGENT_BRIDGED if is_told else None)
    assert left is (EventType.AGENT_GONE if is_told else None)


def test_lost_entries_are_an_alarm_with_a_sentence() -> None:
    event = project(7, entry(EntryKind.ENTRY_LOST, count=3, kinds={"turn_begun": 3}), None)
    assert event is not None
    assert event.type is EventType.ALARM
    assert event.data["result"] == "entries-lost"
    assert event.data["sentence"] == "3 entries of the ledger were lost"


def test_an_event_says_who_where_and_why() -> None:
    one = entry(EntryKind.ACTION_DONE, State.PAUSED, was="recording", reason="the caller asked")
    event = project(7, one, "kyc")
    assert event is not None
    assert (event.seq, event.at_us) == (7, T0_US)
    assert (event.call, event.recording, event.bot) == ("CALL", "REC", "kyc")
    assert event.data == {
        "uniqueid": "pbx-1.7",
        "node": "ask_otp",
        "turn": 2,
        "state": "paused",
        "holds": ["turn"],
        "source": "turn",
        "actor": "bot:kyc",
        "origin": "agi",
        "action": "pause",
        "result": "ok",
        "was": "recording",
        "reason": "the caller asked",
    }


def test_every_kind_is_told_in_one_way_or_not_at_all() -> None:
    silent = {
        EntryKind.SERVER_STARTED,
        EntryKind.SERVER_STOPPED,
        EntryKind.ACTION_ASKED,
        EntryKind.RECORDING_OPENED,
        EntryKind.SEGMENT_BEGAN,
        EntryKind.SEGMENT_ENDED,
        EntryKind.MONITOR_LOST,
        EntryKind.WINDOW_MEASURED,
        EntryKind.OTHER_RECORDER,
        EntryKind.LEGAL_HOLD,
        EntryKind.HOLD_RELEASED,
        EntryKind.ACCESSED,
        EntryKind.ACCESS_REFUSED,
        EntryKind.KEY_CHANGED,
    }
    assert set(EntryKind) == silent | set(RULES)
    assert all(type_of(entry(kind)) is None for kind in silent)


def test_every_type_comes_of_some_entry() -> None:
    agent: JSON = [{"party": "agent"}]
    told = {
        type_of(entry(kind, state, was=was, status=status, parties=agent))
        for kind in EntryKind
        for state in (State.RECORDING, State.PAUSED)
        for was in ("inactive", "recording", "paused")
        for status in ("done", "failed")
    }
    assert told - {None} == set(EventType)


def test_the_docs_name_every_type_and_show_an_example_of_each() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z.]+)` \|", text, re.MULTILINE) == list(EventType)
    examples = [json.loads(one) for one in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    assert [one["type"] for one in examples] == list(EventType)
    common = {"type", "seq", "timestamp", "call", "recording", "bot", "data"}
    assert all(set(one) == common for one in examples)
    usual = project(7, entry(EntryKind.TURN_BEGUN), None)
    assert usual is not None
    assert all(set(usual.data) <= set(one["data"]) for one in examples)
