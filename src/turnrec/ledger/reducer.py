"""What an entry makes of its call's and its recording's record; pure, and total over any entry.

An entry of a call or recording whose beginning is missing (lost in a crash) makes a record with
what it tells, for a call must be found even so. What has ended stays ended.
"""

from __future__ import annotations

from dataclasses import replace

from turnrec.core.entry import Entry, EntryKind
from turnrec.core.recorder import State
from turnrec.ledger.views import (
    CallRecord,
    RecordingRecord,
    RecordingStatus,
    detail_int,
    detail_text,
)


def reduce_call(record: CallRecord | None, seq: int, entry: Entry) -> CallRecord:
    """Return the call's record after entry number `seq`, which carries its id."""
    if entry.call_id is None:
        raise ValueError("only an entry with a call_id concerns a call")
    if record is None:
        record = CallRecord(entry.call_id, seq, started_us=entry.at_us)
    if record.uniqueid is None and entry.uniqueid is not None:
        record = replace(record, uniqueid=entry.uniqueid)
    if entry.kind is EntryKind.CALL_STARTED:
        record = replace(
            record,
            bot=detail_text(entry, "bot") or record.bot,
            external_id=detail_text(entry, "external_id") or record.external_id,
            channel=detail_text(entry, "channel") or record.channel,
        )
    if entry.node is not None:
        record = replace(record, node=entry.node, turn=entry.turn)
    if entry.state is not None:
        record = replace(record, state=entry.state, holds=entry.holds)
    if entry.kind is EntryKind.CALL_ENDED and record.ended_us is None:
        record = replace(record, ended_us=entry.at_us)
    if record.ended_us is not None and record.state is not State.ENDED:
        record = replace(record, state=State.ENDED)
    return record


_STATUS_BY_STATE = {
    State.RECORDING: RecordingStatus.RECORDING,
    State.PAUSED: RecordingStatus.PAUSED,
}


def reduce_recording(
    record: RecordingRecord | None, seq: int, entry: Entry, call: CallRecord | None
) -> RecordingRecord:
    """Return the recording's record after entry number `seq`, which carries its id."""
    if entry.recording_id is None:
        raise ValueError("only an entry with a recording_id concerns a recording")
    if record is None:
        # A redacted recording is as old as the one that it was made of.
        opened_us = detail_int(entry, "opened_us") or entry.at_us
        record = RecordingRecord(entry.recording_id, seq, opened_us=opened_us)
    if record.call_id is None and entry.call_id is not None:
        record = replace(record, call_id=entry.call_id)
    if record.bot is None:
        record = replace(record, bot=call.bot if call else detail_text(entry, "bot"))
    if entry.kind is EntryKind.DELETED:
        closed_us = entry.at_us if record.closed_us is None else record.closed_us
        record = replace(record, status=RecordingStatus.DELETED, closed_us=closed_us)
    elif not record.status.closed:
        record = replace(record, status=_status(record.status, entry))
    if entry.kind in (EntryKind.RECORDING_OPENED, EntryKind.RECORDING_CLOSED):
        record = replace(record, rate_hz=detail_int(entry, "rate_hz") or record.rate_hz)
    if entry.kind is EntryKind.RECORDING_CLOSED and record.closed_us is None:
        record = replace(
            record,
            closed_us=entry.at_us,
            file=detail_text(entry, "file"),
            samples=detail_int(entry, "samples"),
            sha256=detail_text(entry, "sha256"),
        )
    return record


def _status(status: RecordingStatus, entry: Entry) -> RecordingStatus:
    """Return an open recording's status after `entry`. What isn't said to be done has failed."""
    match entry.kind:
        case EntryKind.RECORDING_CLOSED:
            done = detail_text(entry, "status") == RecordingStatus.DONE
            return RecordingStatus.DONE if done else RecordingStatus.FAILED
        case EntryKind.SEGMENT_BEGAN:
            return RecordingStatus.RECORDING
        case EntryKind.SEGMENT_ENDED | EntryKind.MONITOR_LOST | EntryKind.CALL_ENDED:
            return RecordingStatus.PAUSED
        case EntryKind.ACTION_DONE if entry.state is not None:
            # With `pause_method: mute` the segment goes on, and only the action tells.
            return _STATUS_BY_STATE.get(entry.state, status)
    return status
