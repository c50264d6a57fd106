"""Rebuilds calls that an earlier process began, from channel variables and the ledger.

What can't be established is paused, not resumed. It reads the ledger and asks the channel; what it
finds is entered by those who use it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

from turnrec.core.call import Call, FinishedRecording, OpenRecording, Recovered, Standing
from turnrec.core.entry import JSON, Entry, EntryKind, Origin
from turnrec.core.errors import MonitorLostError
from turnrec.core.monitor import DIALPLAN, Begun, Monitor, Start
from turnrec.core.policy import Action, AgentPolicy, Bot
from turnrec.core.recorder import Event, Recorder, Source, State, suffer
from turnrec.core.turns import Turn, plan_turn
from turnrec.ledger.store import Ledger
from turnrec.ledger.views import RecordingRecord
from turnrec.ports import FlowSource, Path

logger = logging.getLogger(__name__)

_PART = re.compile(r"[0-9A-Z]{26}-[0-9]{3,9}\.wav")
_MICROSECONDS = re.compile(r"[0-9]{1,18}")
_WITH_SEGMENT = 3
_TELLING = (EntryKind.ACTION_DONE, EntryKind.RECORDER_CHANGED)
_BEGINNING = (Action.START, Action.RESUME)
_RENEWED = (EntryKind.SEGMENT_ENDED, None, State.RECORDING)
_ANSWERED = (EntryKind.ACTION_DONE, EntryKind.ACTION_REFUSED, EntryKind.SEGMENT_BEGAN)
"""Not ACTION_FAILED: it may come true after that."""
_NUMBERS_APART = 100
_VARIABLES = (
    "TURNREC_CALL_ID",
    "TURNREC_RECORDING_ID",
    "TURNREC_HOLDS",
    "TURNREC_BOT",
    "TURNREC_AGENT",
    "TURNREC_TALK",
    "TURNREC_STATE",
    "TURNREC_PART",
    "TURNREC_SINCE",
    "TURNREC_MIXMON_ID",
)


async def carried(path: Path) -> dict[str, str] | None:
    """What a channel itself remembers of a call of ours; None if it carries none.

    Raises:
        UnansweredError, AsteriskUnreachableError: the channel could not be asked.
    """
    variables = await path.read(*_VARIABLES)
    return variables if variables["TURNREC_CALL_ID"] else None


class LedgerMemory:
    """What the ledger and the channels remember of calls that aren't live in this process."""

    def __init__(self, ledger: Ledger, flow: FlowSource, spool: FilePath) -> None:
        self._ledger = ledger
        self._flow = flow
        self._spool = spool

    async def revive(self, path: Path) -> Call | None:
        """Rebuild the call on a live channel; None if the channel carries none of ours.

        Raises:
            UnansweredError, AsteriskUnreachableError: the channel could not be asked.
        """
        variables = await carried(path)
        if variables is None:
            return None
        call_id = variables["TURNREC_CALL_ID"]
        await self._ledger.flush()
        known = await self._ledger.call(call_id)
        if known is not None and not known.live:
            return None  # heard of its end already
        history = [written.entry for written in await self._ledger.open_history(call_id)]
        call = self._call(call_id, path.uniqueid, path.name, variables["TURNREC_BOT"], history)
        call.recorder = _recorder(variables["TURNREC_STATE"], variables["TURNREC_HOLDS"])
        override = variables["TURNREC_AGENT"]
        call.agent_override = AgentPolicy(override) if override in tuple(AgentPolicy) else None
        call.recall_talk(variables["TURNREC_TALK"])
        call.was_bridged = True  # for all that is known
        since = _Since.read(variables["TURNREC_SINCE"], call.started_us)
        if not history:
            call.started_us = since.opened_us
            detail = {"bot": call.bot.name, "channel": call.channel}
            call.recovered.append(Recovered(EntryKind.CALL_STARTED, detail))
        if call.recorder.is_open:
            self._reopen(call, variables, history, since)
        await self._establish(call, path)
        self._recall_a_start(call, history)
        self._end_what_does_not_run(call)
        logger.info("call %s taken up again: %s", call.id, call.recorder.state)
        return call

    async def is_over(self, call_id: str) -> bool:
        """Whether the ledger knows of the call's end."""
        await self._ledger.flush()
        record = await self._ledger.call(call_id)
        return record is not None and not record.live

    async def was_lost_sight_of(self, call_id: str) -> bool:
        """Whether turnrec died after the last entry of this call: what came then isn't entered."""
        history = await self._ledger.entries(call_id=call_id, limit=None)
        after_seq = history[-1].seq if history else 0
        while later := await self._ledger.entries(after_seq=after_seq):
            for one in later:
                if one.entry.kind in (EntryKind.SERVER_STARTED, EntryKind.SERVER_STOPPED):
                    return one.entry.kind is EntryKind.SERVER_STARTED
            after_seq = later[-1].seq
        return False

    async def stray_parts(self) -> list[str]:
        """The parts in the spool whose recording no entry names: a crash took it before it was
        written, and the call was over before it could be told again.
        """
        names = await asyncio.to_thread(_parts_in, self._spool)
        await self._ledger.flush()
        known = await self._ledger.known_recordings({_recording_of(name) for name in names})
        return sorted(name for name in names if _recording_of(name) not in known)

    async def orphans(self, known: Container[str]) -> list[Call]:
        """The calls that the ledger believes are live, but for those with a known uniqueid."""
        await self._ledger.flush()
        calls = []
        for record in await self._ledger.calls(live=True, limit=100_000):
            if record.uniqueid in known:
                continue
            history = [one.entry for one in await self._ledger.open_history(record.call_id)]
            if not history:
                continue  # it has ended since the list was read
            call = self._call(
                record.call_id,
                record.uniqueid or "",
                record.channel or "",
                record.bot or "",
                history,
            )
            call.recorder = Recorder(record.state or State.INACTIVE, frozenset(record.holds))
            open_id = _open_recording_id(history)
            if open_id is not None:
                call.recording = self._recording(open_id, history, call.started_us)
            # It ended while nobody looked: at the latest sign of it, not when that was noticed.
            part = None if call.recording is None else call.recording.running_part
            written_us = None if part is None else self._written_us(part)
            call.ended_us = max(history[-1].at_us, written_us or 0)
            calls.append(call)
        return calls

    async def unfinished(self) -> list[tuple[FinishedRecording, str]]:
        """Recordings that ended and were never entered as closed, with their channels' uniqueids.

        Their process died between the end and the joined file. What a live call still records
        is not among them.
        """
        await self._ledger.flush()
        found = []
        for record in await self._ledger.unclosed_recordings():
            if await self._is_open(record):
                continue
            written = await self._ledger.entries(recording_id=record.recording_id, limit=None)
            history = [one.entry for one in written]
            bot = self._bot(record.bot or "")
            recording = self._recording(record.recording_id, history, record.opened_us)
            finished = recording.finish(record.call_id or "", bot, history[-1].at_us)
            is_told = any(entry.kind is EntryKind.RECORDING_STOPPED for entry in history)
            finished = replace(finished, end_is_told=is_told)
            found.append((finished, history[0].uniqueid or ""))
        return found

    async def _is_open(self, record: RecordingRecord) -> bool:
        """Whether a live call is still making this recording."""
        call = None if record.call_id is None else await self._ledger.call(record.call_id)
        if call is None or not call.live or call.state is None:
            return False
        history = [one.entry for one in await self._ledger.open_history(call.call_id)]
        is_open = Recorder(call.state).is_open
        return is_open and _open_recording_id(history) == record.recording_id

    def _bot(self, name: str) -> Bot:
        """The bot; one that the flow has lost knows no nodes: every turn of its calls is held."""
        return self._flow.flow.bots.get(name) or Bot(name)

    def _call(
        self, call_id: str, uniqueid: str, channel: str, bot_name: str, history: list[Entry]
    ) -> Call:
        bot = self._bot(bot_name)
        started = next((one for one in history if one.kind is EntryKind.CALL_STARTED), None)
        external_id = None if started is None else started.detail.get("external_id")
        return Call(
            id=call_id,
            uniqueid=uniqueid,
            channel=channel,
            bot=bot,
            started_us=history[0].at_us if history else 0,
            external_id=external_id if isinstance(external_id, str) else None,
            turn=_turn(bot, history),
            told=_told(history),
        )

    def _recording(
        self, recording_id: str, history: Iterable[Entry], started_us: int
    ) -> OpenRecording:
        entries = [entry for entry in history if entry.recording_id == recording_id]
        opened_us = entries[0].at_us if entries else started_us
        recording = OpenRecording(recording_id, opened_us)
        for entry in entries:
            _replay(recording, entry)
        recording.lose_sight()
        # A start that the ledger never heard of may have named parts too.
        on_disk = self._spool.glob(f"{recording_id}-*.wav") if recording_id else ()
        recording.parts = max(recording.parts, *(_number(path) for path in on_disk), 0)
        return recording

    def _reopen(
        self, call: Call, variables: Mapping[str, str], history: list[Entry], since: _Since
    ) -> None:
        """Open the books where they were, by the ledger and by what only the channel knows."""
        recording_id, part = variables["TURNREC_RECORDING_ID"], variables["TURNREC_PART"]
        recording = self._recording(recording_id, history, since.opened_us)
        call.recording = recording
        if not any(entry.recording_id == recording_id for entry in history):
            opened = Recovered(EntryKind.RECORDING_OPENED, {"bot": call.bot.name})
            call.recovered.append(opened)
        known = {segment.part for segment in recording.segments} | {recording.running_part}
        if not part or part in known or since.began_us is None:
            return
        began_us = since.began_us
        monitor = Monitor(variables["TURNREC_MIXMON_ID"], part, began_us - since.offset_us)
        segment = recording.begin_segment(Begun(monitor, began_us, began_us))
        recording.lose_sight()
        detail: dict[str, JSON] = {
            "number": segment.number,
            "part": part,
            "asked_us": began_us,
            "answered_us": began_us,
            "offset_us": since.offset_us,
            "monitor_id": monitor.id,
        }
        call.recovered.append(Recovered(EntryKind.SEGMENT_BEGAN, detail))

    @staticmethod
    async def _establish(call: Call, path: Path) -> None:
        """Compare what the call believes with what runs on its channel.

        The channel's variable may have been overwritten, the ledger may have lost the last
        entries: both are asked, and whatever may run without being wanted is a suspect.
        """
        driver = path.driver(call.bot.pause_method)
        believed = None if call.recording is None else call.recording.running_monitor
        wanted = believed if call.recorder.is_open and not call.recorder.is_paused else None
        if wanted is not None and wanted.id:
            try:
                await driver.look(wanted)
            except MonitorLostError:
                pass
            else:
                call.monitor = wanted
                return
        running = await driver.running()
        if running is not None and wanted is not None and running.part == wanted.part:
            call.monitor = replace(wanted, id=running.id)
            return
        suspects = {one.id: one for one in (believed, running) if one is not None and one.id}
        call.suspects = list(suspects.values())
        event = Event.UNANSWERED if suspects else Event.MONITOR_LOST
        call.recorder = suffer(call.recorder, event).after

    def _recall_a_start(self, call: Call, history: list[Entry]) -> None:
        """Look for the start that the earlier process didn't live to know of: it may come true."""
        asked = None if call.monitor is not None else _asked_start(history)
        recording_id = _open_recording_id(history)
        if asked is None or recording_id is None:
            return
        recording = call.recording
        if recording is None or recording.id != recording_id:
            recording = self._recording(recording_id, history, call.started_us)
        order = DIALPLAN if _is_by_the_dialplan(asked, history) else "an earlier process"
        call.unanswered.append(Start(recording.next_part(), order, asked.at_us))
        # Starts that failed may have used up more numbers, and no name is ever given twice.
        recording.parts += _NUMBERS_APART

    def _end_what_does_not_run(self, call: Call) -> None:
        """Close a segment in the books whose monitor is gone, when its file was last written."""
        recording = call.recording
        if call.monitor is not None or recording is None or recording.running_part is None:
            return
        part = recording.running_part
        written_us = self._written_us(part)
        segment = recording.end_segment(written_us)
        if segment is None:
            return
        ended_us = segment.began_us if segment.ended_us is None else segment.ended_us
        recording.open_gap(
            ended_us, call.recorder.holds, None if call.turn is None else call.turn.node.name
        )
        detail: dict[str, JSON] = {
            "number": segment.number,
            "part": part,
            "asked_us": None,
            "answered_us": ended_us,
            "proof": "not running after a restart",
        }
        call.recovered.append(Recovered(EntryKind.SEGMENT_ENDED, detail))

    def _written_us(self, part: str) -> int | None:
        try:
            return (self._spool / part).stat().st_mtime_ns // 1000
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class _Since:
    """What `OpenRecording.since` wrote on the channel."""

    opened_us: int
    began_us: int | None = None
    offset_us: int = 0

    @classmethod
    def read(cls, text: str, otherwise_us: int) -> _Since:
        """Read it; of one that makes no sense, only that the recording was open is kept."""
        numbers = [int(word) for word in text.split(":") if _MICROSECONDS.fullmatch(word)]
        if len(numbers) == _WITH_SEGMENT:
            return cls(*numbers)
        return cls(numbers[0] if len(numbers) == 1 else otherwise_us)


def _recorder(state: str, holds: str) -> Recorder:
    """Read the channel's own words; anything else there is held by a fault."""
    try:
        found = frozenset(Source(word) for word in holds.split(":") if word)
        recorder = Recorder(State(state), found)
    except ValueError:
        return Recorder(State.PAUSED, frozenset({Source.FAULT}))
    if recorder.is_paused != bool(found) and recorder.is_open:
        return Recorder(State.PAUSED, found | {Source.FAULT})
    return recorder


def _turn(bot: Bot, history: Iterable[Entry]) -> Turn | None:
    """The turn that the entries tell of, reached as it was: turn by turn."""
    turn: Turn | None = None
    for entry in history:
        if entry.kind is EntryKind.TURN_BEGUN:
            # Entered before its command: the holds are the ones that it met.
            met = Recorder(entry.state or State.PAUSED, frozenset(entry.holds))
            turn = plan_turn(bot, turn, met, entry.node or "").turn
            turn = replace(turn, number=entry.turn or turn.number)
        elif turn is not None and _is_pause_without_a_turn(entry, turn):
            turn = replace(turn, over_pause=True)
    return turn


def _told(history: Iterable[Entry]) -> Standing:
    """How the entries have last told of the recorder (`Call.told`)."""
    told: Standing = (State.INACTIVE, None)
    for entry in history:
        if entry.kind is EntryKind.RECORDING_STOPPED:
            told = (State.INACTIVE, None)
        elif entry.kind in _TELLING and entry.state is not None:
            told = (entry.state, entry.recording_id)
    return told


def _is_pause_without_a_turn(entry: Entry, turn: Turn) -> bool:
    paused = (EntryKind.ACTION_DONE, Source.TURN, Action.PAUSE)
    is_pause = (entry.kind, entry.source, entry.action) == paused
    return is_pause and turn.node.action is not Action.PAUSE


def _asked_start(history: Iterable[Entry]) -> Entry | None:
    """The latest entry that a start may have followed whose outcome no entry tells."""
    asked: Entry | None = None
    for entry in history:
        is_asked = entry.kind is EntryKind.ACTION_ASKED and entry.action in _BEGINNING
        # A new party's segment: the old one is ended, and nobody had asked for it.
        is_renewed = (entry.kind, entry.action, entry.state) == _RENEWED
        if is_asked or (is_renewed and "recovered" not in entry.detail):
            asked = entry
        elif entry.kind in _ANSWERED:
            asked = None
    return asked


def _is_by_the_dialplan(asked: Entry, history: Iterable[Entry]) -> bool:
    """Whether the caller's own channel was asked, not an agent's on his behalf, over AMI."""
    told = [
        one.kind
        for one in history
        if one.kind in (EntryKind.TURN_BEGUN, EntryKind.AGENT_ANNOUNCED)
        and one.at_us <= asked.at_us
    ]
    is_agents = told[-1:] == [EntryKind.AGENT_ANNOUNCED]
    by_bot = (asked.actor or "").startswith("bot:")
    return asked.origin is Origin.AGI and by_bot and not is_agents


def _open_recording_id(history: Iterable[Entry]) -> str | None:
    opened: str | None = None
    for entry in history:
        if entry.kind is EntryKind.RECORDING_OPENED:
            opened = entry.recording_id
        elif entry.kind is EntryKind.RECORDING_CLOSED and entry.recording_id == opened:
            opened = None
    return opened


def _replay(recording: OpenRecording, entry: Entry) -> None:
    detail = entry.detail
    if entry.kind is EntryKind.SEGMENT_BEGAN:
        part, answered_us = str(detail.get("part")), _int(detail.get("answered_us"), entry.at_us)
        offset_us = _int(detail.get("offset_us"), 0)
        monitor = Monitor(str(detail.get("monitor_id")), part, answered_us - offset_us)
        asked_us = _int(detail.get("asked_us"), answered_us)
        recording.begin_segment(Begun(monitor, asked_us, answered_us))
        recording.parts += 1
    elif entry.kind is EntryKind.SEGMENT_ENDED:
        ended_us = _int(detail.get("answered_us"), entry.at_us)
        recording.end_segment(ended_us)
        recording.open_gap(ended_us, frozenset(entry.holds), entry.node)
    elif recording.gap_began_us is not None:
        # The recorder changes only once its segment's end is proven: the holds come afterwards.
        recording.open_gap(recording.gap_began_us, frozenset(entry.holds), entry.node)


def _parts_in(spool: FilePath) -> list[str]:
    if not spool.is_dir():
        return []
    return [path.name for path in spool.iterdir() if _PART.fullmatch(path.name)]


def _recording_of(part: str) -> str:
    return part.partition("-")[0]


def _int(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _number(part: FilePath) -> int:
    digits = part.stem.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0
