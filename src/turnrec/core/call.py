"""One call as it stands: its bot, its turn, its recorder and the recordings it has made.

It keeps the books of segments and gaps and never speaks to Asterisk. Instants are UTC
microseconds, given by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from turnrec.core.entry import JSON, EntryKind
from turnrec.core.monitor import Begun, Monitor, Start, name_part
from turnrec.core.parties import PartyClass
from turnrec.core.policy import AgentPolicy, Bot, DualChannel, PauseBehavior, PauseMethod
from turnrec.core.recorder import Recorder, Source, State
from turnrec.core.timeline import Gap, Segment
from turnrec.core.turns import Turn


@dataclass(frozen=True, slots=True)
class FinishedRecording:
    """Everything that turns a recording's parts into one file."""

    id: str
    call_id: str
    bot: str
    opened_us: int
    closed_us: int
    segments: tuple[Segment, ...]
    gaps: tuple[Gap, ...]
    behavior: PauseBehavior
    method: PauseMethod
    doubtful: tuple[tuple[int, int], ...] = ()
    """The segments whose end was not confirmed, by number, with when each was last seen running."""
    dual_channel: bool = False
    """Whether a two-channel file is wanted beside the mix."""
    talk_parts: frozenset[str] | None = None
    """The parts in which the caller talked to somebody, so that a side without a sound is a loss;
    None: every part whose directions were written apart."""
    parts: int = 0
    """How many parts were named, be it that one was never recorded."""
    unwatched_parts: frozenset[str] = frozenset()
    """The parts that somebody else unmuted, or may have: whose silences needn't be our mutes."""
    end_is_told: bool = True
    """Whether the ledger has an entry of its end."""


@dataclass(frozen=True, slots=True)
class ClosedRecording:
    """What became of a finished recording."""

    ok: bool
    detail: Mapping[str, JSON]
    """File, samples, hashes, spans, problems: for the ledger."""

    @property
    def one_sided_parts(self) -> tuple[str, ...]:
        """The parts in which one side of a talk is not heard at all."""
        found = self.detail.get("one_sided")
        if not isinstance(found, Sequence):
            return ()
        return tuple(str(one["part"]) for one in found if isinstance(one, Mapping))


@dataclass(slots=True)
class _OpenGap:
    began_us: int
    sources: set[Source]
    node: str | None


@dataclass(slots=True)
class OpenRecording:
    """The books of a recording that isn't closed yet."""

    id: str
    opened_us: int
    segments: list[Segment] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    parts: int = 0
    """How many parts were named. A failed start leaves its number unused for ever."""
    talk_parts: set[str] = field(default_factory=set)
    """The parts that began while the caller talked to somebody."""
    unwatched_parts: set[str] = field(default_factory=set)
    """The parts to which something may have been done that turnrec knows nothing of."""
    running_monitor: Monitor | None = None
    """The monitor of the running segment, as it was when it began."""
    seen_us: int = 0
    """When it was last looked that the running segment's monitor is there."""
    doubtful: dict[int, int] = field(default_factory=dict)
    """The segments whose end was not confirmed: when each was last seen running."""
    _gap: _OpenGap | None = None
    _running: Segment | None = None

    def next_part(self) -> str:
        """Name the next part. No name is ever given twice."""
        self.parts += 1
        return name_part(self.id, self.parts)

    def begin_segment(self, begun: Begun) -> Segment:
        """Enter an audible stretch; it closes an open gap."""
        self.close_gap(begun.answered_us)
        self.running_monitor = begun.monitor
        self.seen_us = begun.answered_us
        self._running = Segment(
            number=len(self.segments) + 1,
            part=begun.monitor.part,
            began_us=begun.answered_us,
            ended_us=None,
            offset_us=begun.offset_us,
            took_us=max(0, begun.answered_us - begun.asked_us),
        )
        return self._running

    def doubt(self) -> None:
        """Note that the running segment, if there is one, may have ended before it is ended."""
        if self._running is not None:
            self.doubtful[self._running.number] = self.seen_us

    def lose_sight(self) -> None:
        """Note that anybody may have unmuted the parts that there are."""
        self.unwatched_parts.update(one.part for one in self.segments)
        if self._running is not None:
            self.unwatched_parts.add(self._running.part)

    def end_segment(self, ended_us: int | None) -> Segment | None:
        """Enter the end of the running stretch (None: it was never seen); return it."""
        running = self._running
        if running is None:
            return None
        if ended_us is not None:
            ended_us = max(ended_us, running.began_us)
        segment = replace(running, ended_us=ended_us)
        self.segments.append(segment)
        self._running = None
        self.running_monitor = None
        return segment

    def open_gap(self, at_us: int, holds: frozenset[Source], node: str | None) -> None:
        """Enter the beginning of a gap, or a further reason for the one that is open."""
        if self._gap is None:
            self._gap = _OpenGap(at_us, set(holds), node)
        else:
            self._gap.sources |= holds

    def close_gap(self, at_us: int) -> None:
        """Enter the end of the open gap, if there is one."""
        gap, self._gap = self._gap, None
        if gap is not None and gap.began_us < at_us:
            self.gaps.append(Gap(gap.began_us, at_us, tuple(sorted(gap.sources)), gap.node))

    @property
    def gap_began_us(self) -> int | None:
        """When the open gap began; None while there is none."""
        return None if self._gap is None else self._gap.began_us

    @property
    def running(self) -> Segment | None:
        """The segment that runs; None while none does."""
        return self._running

    @property
    def running_part(self) -> str | None:
        """The part of the segment that runs; None while none does."""
        return None if self._running is None else self._running.part

    @property
    def since(self) -> str:
        """When the recording was opened and its running segment began, as a channel variable.

        What the ledger loses in a crash, the channel still knows: `OPENED[:BEGAN:OFFSET]`, in UTC
        microseconds.
        """
        running = self._running
        if running is None:
            return str(self.opened_us)
        return f"{self.opened_us}:{running.began_us}:{running.offset_us}"

    def finish(self, call_id: str, bot: Bot, closed_us: int) -> FinishedRecording:
        """Close the books."""
        dual_channel = bot.dual_channel is DualChannel.ON
        self.end_segment(closed_us)
        self.close_gap(closed_us)
        return FinishedRecording(
            id=self.id,
            call_id=call_id,
            bot=bot.name,
            opened_us=self.opened_us,
            closed_us=max(closed_us, self.opened_us),
            segments=tuple(self.segments),
            gaps=tuple(self.gaps),
            behavior=bot.pause_behavior,
            method=bot.pause_method,
            doubtful=tuple(self.doubtful.items()),
            dual_channel=dual_channel,
            talk_parts=frozenset(self.talk_parts) if dual_channel else None,
            parts=self.parts,
            unwatched_parts=frozenset(self.unwatched_parts),
        )


@dataclass(frozen=True, slots=True)
class Recovered:
    """An entry that a crash took from the ledger, as far as it can be told again."""

    kind: EntryKind
    detail: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody whom a caller hears."""

    uniqueid: str
    channel: str
    party: PartyClass


@dataclass(frozen=True, slots=True)
class Hushed:
    """Recorders that aren't ours on one channel, kept from recording."""

    channel: str
    recorders: int


Standing: TypeAlias = "tuple[State, str | None]"


@dataclass(slots=True)
class Call:
    """A call of ours: one recorded channel and what belongs to it."""

    id: str
    uniqueid: str
    channel: str
    bot: Bot
    started_us: int
    external_id: str | None = None
    recorder: Recorder = field(default_factory=Recorder)
    since_us: int = 0
    """When its state or holds last changed, as far as this process knows."""
    turn: Turn | None = None
    recording: OpenRecording | None = None
    monitor: Monitor | None = None
    suspects: list[Monitor] = field(default_factory=list)
    """Monitors that may run although nobody wants them: their end was never confirmed."""
    unanswered: list[Start] = field(default_factory=list)
    """Starts that may come true yet, or have, unseen; those that were given up among them."""
    agent_override: AgentPolicy | None = None
    """This transfer's policy, as announced before it; the agent's leg need not repeat it."""
    agent_announced: bool = False
    """The dialplan has said that an agent comes: the next party is no stranger."""
    agent_met: bool = False
    """Somebody who counts as an agent has been sought or met since: a turn now is the return."""
    company: frozenset[Party] = frozenset()
    """Whom the caller hears, as last seen."""
    was_bridged: bool = False
    """Whether the caller has been put through to somebody: that changes his channel's formats."""
    hushed: dict[str, Hushed] = field(default_factory=dict)
    """The recorders that aren't ours and have been hushed, by uniqueid."""
    overlong_gap_us: int | None = None
    """The beginning of the gap that has already been found too long."""
    put_right: int = 0
    """How often somebody else's meddling with our monitor has been put right."""
    ended_us: int | None = None
    """When it ended, where that was found out later; None: now."""
    recovered: list[Recovered] = field(default_factory=list)
    """What the ledger had lost and the channel still knew; entered anew by whoever revives it."""
    published: dict[str, str] = field(default_factory=dict)
    """What the channel's variables say, as far as we know."""
    told: Standing = (State.INACTIVE, None)
    """How the ledger's entries have last told of the recorder."""

    @property
    def standing(self) -> Standing:
        """The recorder's state, and the recording that it is about."""
        return self.recorder.state, None if self.recording is None else self.recording.id

    def take_change(self) -> State | None:
        """The state that was told before, if the recorder stands otherwise now; now it is told.

        It is `INACTIVE` where the recording is another one.
        """
        (before, told_recording), self.told = self.told, self.standing
        state, recording = self.standing
        if (before, told_recording) == (state, recording):
            return None
        return before if recording in (told_recording, None) else State.INACTIVE

    def __post_init__(self) -> None:
        self.since_us = self.since_us or self.started_us

    @property
    def may_run_unseen(self) -> bool:
        """Whether a monitor of ours may run that nobody wants."""
        return bool(self.suspects or self.unanswered)

    def become(self, recorder: Recorder, at_us: int) -> None:
        """Let the recorder change."""
        if recorder != self.recorder:
            self.since_us = at_us
        self.recorder = recorder

    @property
    def talk(self) -> str:
        """How far an agent's coming has gone, as a channel variable."""
        flags = {"announced": self.agent_announced, "met": self.agent_met}
        return ":".join(word for word, is_so in flags.items() if is_so)

    def recall_talk(self, words: str) -> None:
        """Read `talk` back after a restart."""
        found = words.split(":")
        self.agent_announced, self.agent_met = "announced" in found, "met" in found

    def wants_sides(self, part: str) -> bool:
        """Whether a part that begins now has its two directions written apart; notes a talk."""
        talks = bool(self.company) or self.agent_met
        if talks and self.recording is not None:
            self.recording.talk_parts.add(part)
        return talks or self.bot.dual_channel is DualChannel.ON

    def hears(self, uniqueid: str) -> bool:
        """Whether this channel is one of the caller's company."""
        return any(party.uniqueid == uniqueid for party in self.company)

    def leave_agent(self) -> None:
        """Forget the transfer: the caller is back with the bot."""
        self.agent_override = None
        self.agent_announced = self.agent_met = False
        self.was_bridged = True

    def pause_beneath(self) -> None:
        """Let a pause that no turn asked for outlast a pause for one turn."""
        if self.turn is not None:
            self.turn = replace(self.turn, over_pause=True)
