"""Calls and recordings as plain JSON, the one shape that CLI and API show."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from turnrec.core.call import Call
from turnrec.core.entry import JSON, Entry
from turnrec.core.errors import RefusedError
from turnrec.core.policy import Action
from turnrec.core.recorder import Command, Source, decide
from turnrec.ledger.entries import WrittenEntry
from turnrec.ledger.views import CallRecord, RecordingRecord, RecordingStatus


def describe_call(call: Call) -> dict[str, JSON]:
    """A live call."""
    recording = call.recording
    return {
        "id": call.id,
        "uniqueid": call.uniqueid,
        "external_id": call.external_id,
        "channel": call.channel,
        "bot": call.bot.name,
        "started": instant(call.started_us),
        "ended": None,
        "state": call.recorder.state.value,
        "holds": sorted(hold.value for hold in call.recorder.holds),
        "node": None if call.turn is None else call.turn.node.name,
        "turn": None if call.turn is None else call.turn.number,
        "recording": None if recording is None else recording.id,
        "since": instant(call.since_us),
        **_operators_actions(call),
        "company": [
            {"channel": party.channel, "party": party.party.value}
            for party in sorted(call.company, key=lambda one: one.uniqueid)
        ],
        "unconfirmed_monitors": len(call.suspects),
    }


def _operators_actions(call: Call) -> dict[str, JSON]:
    """What an operator's action would change now, and why others would be refused."""
    allowed: list[JSON] = []
    refused: dict[str, JSON] = {}
    for action in Action:
        command = Command(action, Source.OPERATOR)
        try:
            decision = decide(call.recorder, command, stop_is_final=call.bot.stop_is_final)
        except RefusedError as error:
            refused[action.value] = {"id": error.id, "sentence": str(error)}
            continue
        if decision.after != call.recorder:
            allowed.append(action.value)
    return {"allowed": allowed, "refused": refused}


def describe_past_call(record: CallRecord) -> dict[str, JSON]:
    """A call as the ledger holds it."""
    return {
        "id": record.call_id,
        "uniqueid": record.uniqueid,
        "external_id": record.external_id,
        "channel": record.channel,
        "bot": record.bot,
        "started": instant(record.started_us),
        "ended": instant(record.ended_us),
        "state": None if record.state is None else record.state.value,
        "holds": [hold.value for hold in record.holds],
        "node": record.node,
        "turn": record.turn,
        "recording": None,
        "since": instant(record.ended_us),
        "allowed": [],
        "refused": {},
        "company": [],
        "unconfirmed_monitors": 0,
    }


def describe_recording(record: RecordingRecord, folder: Path) -> dict[str, JSON]:
    """A recording as the ledger holds it; `path` is for those on this machine."""
    samples, rate_hz = record.samples, record.rate_hz
    file = None if record.status is RecordingStatus.DELETED else record.file
    return {
        "id": record.recording_id,
        "call": record.call_id,
        "bot": record.bot,
        "opened": instant(record.opened_us),
        "closed": instant(record.closed_us),
        "opened_us": record.opened_us,
        "closed_us": record.closed_us,
        "status": record.status.value,
        "file": file,
        "path": None if file is None else str(folder / file),
        "duration_s": samples / rate_hz if samples is not None and rate_hz else None,
        "rate_hz": rate_hz,
        "samples": samples,
        "sha256": record.sha256,
        "legal_hold": record.legal_hold,
        "pause_behavior": record.behavior,
        "segments": [
            {"number": one.number, **_stretch(one.began_us, one.ended_us)}
            for one in record.segments
        ],
        "gaps": [
            {
                **_stretch(gap.began_us, gap.ended_us),
                "holds": [hold.value for hold in gap.holds],
                "node": gap.node,
                "turn": gap.turn,
            }
            for gap in record.gaps
        ],
    }


def _stretch(began_us: int, ended_us: int | None) -> dict[str, JSON]:
    return {
        "began": instant(began_us),
        "ended": instant(ended_us),
        "began_us": began_us,
        "ended_us": ended_us,
    }


def instant(at_us: int | None) -> str | None:
    """An instant as ISO 8601 in UTC, to the millisecond."""
    if at_us is None:
        return None
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="milliseconds")


def describe_entry(written: WrittenEntry) -> dict[str, JSON]:
    """An entry of the ledger, with its place in the chain."""
    chain: dict[str, JSON] = {"prev_hash": written.prev_hash, "hash": written.hash}
    return describe_unchained(written.seq, written.entry) | chain


def describe_unchained(seq: int, entry: Entry) -> dict[str, JSON]:
    """An entry by itself, with its number."""
    return {
        "seq": seq,
        "kind": entry.kind.value,
        "at_us": entry.at_us,
        "call_id": entry.call_id,
        "uniqueid": entry.uniqueid,
        "recording_id": entry.recording_id,
        "source": entry.source,
        "actor": entry.actor,
        "origin": entry.origin,
        "action": entry.action,
        "node": entry.node,
        "turn": entry.turn,
        "state": entry.state,
        "holds": list(entry.holds),
        "result": entry.result,
        "detail": dict(entry.detail),
    }
