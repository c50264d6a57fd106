"""THE MAIN PATH: turn -> recorder -> Asterisk -> ledger.

A turn or an action comes in, the recorder's tables decide, the driver has Asterisk do it and looks
that it is true, the ledger takes it, and only then is it answered. One lock a call keeps turns
(AGI) and actions (AMI, HTTP, events) from crossing on one channel.

This module owns the order of things. It never speaks to Asterisk, a disk or a
database itself: it drives the Protocols of `turnrec.ports`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from turnrec.answer import Answer, Status
from turnrec.core.agents import BACK, commands_after_agent
from turnrec.core.call import Call, FinishedRecording
from turnrec.core.entry import EntryKind, Origin
from turnrec.core.errors import (
    CallEndedError,
    CallExistsError,
    InternalError,
    RecorderBusyError,
    TurnrecError,
    TurnSupersededError,
    UnansweredError,
    UnknownActionError,
    UnknownBotError,
    UnknownCallError,
    UnknownNodeError,
)
from turnrec.core.policy import Action, Bot, Default, UnknownNode, check_name
from turnrec.core.recorder import Command, Event, Recorder, Source, suffer
from turnrec.core.turns import plan_turn
from turnrec.execution import Execution
from turnrec.live import Live, LiveCalls
from turnrec.notes import Job, Notes
from turnrec.ports import (
    FlowSource,
    Journal,
    Listeners,
    Memory,
    OtherRecorders,
    Path,
    Recordings,
)
from turnrec.spelling import nearest

logger = logging.getLogger(__name__)

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and from where, for the ledger."""

    origin: Origin
    actor: str | None = None
    reason: str | None = None
    """Why, in their own words."""


class Calls:
    """The live calls, and everything that can be asked of them."""

    def __init__(
        self,
        *,
        flow: FlowSource,
        journal: Journal,
        recordings: Recordings,
        memory: Memory,
        clock: Clock,
        new_id: Callable[[], str],
        deadline_ms: int,
    ) -> None:
        self._flow = flow
        self._clock = clock
        self._new_id = new_id
        self._deadline_ms = deadline_ms
        self.notes = Notes(journal, clock)
        self.execution = Execution(self.notes, recordings, clock, new_id)
        self._live = LiveCalls(
            memory, lambda call, path: self.notes.recovered(Job(call, path, Origin.SERVER))
        )
        self._working: set[asyncio.Task[Answer]] = set()
        self.others: OtherRecorders | None = None
        """Set by whoever puts the two together: each knows the other."""
        self.listeners: Listeners | None = None
        """Likewise."""

    # -------------------------------------------------------------- looking

    def live(self) -> list[Call]:
        """The calls that have not ended, oldest first."""
        return self._live.all()

    def find(self, uniqueid: str) -> Call | None:
        """The live call on a channel."""
        live = self._live.get(uniqueid)
        return None if live is None else live.call

    def search(self, name: str) -> Call | None:
        """The live call with this id, uniqueid or external id."""
        for call in self.live():
            if name in (call.id, call.uniqueid, call.external_id):
                return call
        return None

    # -------------------------------------------------------------- asking

    async def start(
        self, path: Path, bot_name: str, external_id: str | None, asker: Asker
    ) -> Answer:
        """Begin a call with a bot; it is recorded from now on where the bot's default is on.

        A second start by the same bot is the first one again.
        """
        try:
            live = await self._live.recall(path)
            if live is None:
                live = self._begin_call(path, bot_name, external_id, asker)
        except TurnrecError as error:
            self.notes.alarm(None, error.id, str(error), uniqueid=path.uniqueid)
            return await self._turn_away(path, error)

        async def work(job: Job) -> None:
            call = job.call
            if call.bot.name != bot_name:
                raise CallExistsError(path.uniqueid, call.bot.name)
            if call.recording is None and call.turn is None and call.bot.default is Default.ON:
                await self.execution.carry_out(job, Command(Action.START, Source.TURN))

        return await self._work(live, path, asker, work)

    async def turn(
        self, path: Path, node: str, asker: Asker, *, sequence: int | None = None
    ) -> Answer:
        """Begin a turn. When this returns, what its node asks is true, or it has failed closed.

        Args:
            path: the recorded channel.
            node: the flow's node; an unknown one is held (`unknown_node`).
            asker: who asks.
            sequence: the bot's running number; a turn older than the current one is refused.
        """

        async def work(job: Job) -> None:
            call = job.call
            try:
                plan = plan_turn(call.bot, call.turn, call.recorder, node, sequence)
            except TurnSupersededError as error:
                self.notes.note(job, EntryKind.ACTION_REFUSED, source=Source.TURN, result=error.id)
                raise
            call.turn = plan.turn
            if not plan.repeated:
                self.notes.note(job, EntryKind.TURN_BEGUN, source=Source.TURN)
            # A channel whose own dialplan begins a turn talks to nobody else: the agent has gone.
            if path.is_dialplan and (call.agent_met or await self._was_not_reached(job)):
                await self._come_back(job, plan.command)
            elif plan.command is None:
                await self.execution.look(job)
            else:
                await self.execution.carry_out(job, plan.command)
            if not plan.turn.known:
                name = plan.turn.node.name
                unknown = UnknownNodeError(call.bot.name, name, nearest(name, call.bot.nodes))
                self.notes.alarm(call, unknown.id, str(unknown))
                job.notice = job.notice or unknown

        return await self.ask(path, asker, work)

    async def act(
        self, path: Path, action: Action, source: Source, asker: Asker, *, new: bool = False
    ) -> Answer:
        """Carry out one recording action on behalf of `source`."""

        async def work(job: Job) -> None:
            if (action, source) == (Action.PAUSE, Source.TURN):
                job.call.pause_beneath()
            await self.execution.carry_out(job, Command(action, source, new))

        return await self.ask(path, asker, work)

    async def act_unknown(self, path: Path, word: str, asker: Asker) -> Answer:
        """Refuse a word that is no action; but first hold, as a node that isn't known is held."""
        error = UnknownActionError(word[:16])

        async def work(job: Job) -> None:
            call = job.call
            self.notes.alarm(call, error.id, "the dialplan asked for no action that there is")
            if call.bot.unknown_node is UnknownNode.PAUSE:
                call.pause_beneath()
                await self.execution.carry_out(job, Command(Action.PAUSE, Source.TURN))
            raise error

        return await self.ask(path, asker, work)

    async def ask(self, path: Path, asker: Asker, work: Callable[[Job], Awaitable[None]]) -> Answer:
        """Do `work` on the call of a channel, under its lock, and answer for what came of it.

        Args:
            path: the recorded channel.
            asker: who asks.
            work: what is asked; it may raise any `TurnrecError`.
        """
        try:
            live = await self._live.recall(path)
            if live is None:
                live, work = await self._begin_late(path, asker, work)
        except TurnrecError as error:
            self.notes.refused_at_the_door(error, path.uniqueid, asker.origin, asker.actor)
            return await self._turn_away(path, error)
        return await self._work(live, path, asker, work)

    async def hang_up(self, uniqueid: str, asker: Asker, path: Path | None = None) -> bool:
        """End a call: close its gap and its recording. Heard of twice, it ends once.

        Args:
            uniqueid: the channel that is gone or going.
            asker: which of the three ways (handler, event, sweep) noticed it.
            path: the way to the channel, while there is still one.

        Returns:
            Whether there was a call to end.
        """
        live = self._live.get(uniqueid)
        if live is None and path is not None:
            live = await self._live.recall(path)
        if live is None:
            return False
        async with self._locked(live, patient=True):
            if not self._live.end(live):
                return False
            job = Job(live.call, path, asker.origin, asker.actor)
            live.call.recorder = suffer(live.call.recorder, Event.HANGUP).after
            await self.execution.end_call(job)
            if self.others is not None:
                await self.others.release(job)
            if self.listeners is not None:
                self.listeners.ended(live.call)
        return True

    async def adopt(self, path: Path) -> Call | None:
        """Take up a call of an earlier process, if this channel carries one."""
        live = await self._live.recall(path)
        return None if live is None else live.call

    def restore(self, call: Call) -> bool:
        """Take up a call that is known from the ledger alone, so that it can be ended.

        Returns:
            Whether it was: not if this process knows it, or has ended it since the ledger was read.
        """
        return self._live.restore(call)

    def finish_later(self, finished: FinishedRecording, uniqueid: str) -> None:
        """Join and enter a recording whose process died before it could."""
        if not finished.end_is_told:
            self.notes.recording_found_ended(finished, uniqueid)
        self.execution.join_later(finished, uniqueid, Origin.SERVER)

    async def settle(self, *, joins_within_s: float | None = None) -> None:
        """Wait until requests under way and finished recordings are through and entered.

        What isn't joined after `joins_within_s` is left to the next start (`finish_later`).
        """
        while self._working:
            await asyncio.wait(self._working)
        await self.execution.settle(joins_within_s)

    # -------------------------------------------------------------- inside

    @staticmethod
    async def _was_not_reached(job: Job) -> bool:
        """Whether the agent who was announced has been called in vain.

        Dial and Queue say how they ended, also where nobody ever rang; turnrec-agent-pre cleared
        what they said before.
        """
        if not job.call.agent_announced or job.path is None:
            return False
        return any((await job.path.read("DIALSTATUS", "QUEUESTATUS")).values())

    async def _come_back(self, job: Job, command: Command | None) -> None:
        """Give the caller back to the bot's rules, in the order that the turn's action asks."""
        call = job.call
        call.leave_agent()
        back = BACK[None if command is None else command.action]
        was_recording = call.recorder.is_recording
        if command is not None and back.turn_first:
            await self.execution.carry_out(job, command)
        for one in commands_after_agent(call.bot, call.recorder.state, starts=back.starts):
            await self.execution.carry_out(job, one)
        if command is not None and not back.turn_first:
            await self.execution.carry_out(job, command)
        if was_recording and call.recorder.is_recording:
            # The bot is somebody new, too: a segment is of one company, and can be judged.
            await self.execution.renew(job)

    def _begin_call(self, path: Path, bot_name: str, external_id: str | None, asker: Asker) -> Live:
        bot = self._bot(check_name(bot_name, "bot's name"))
        if external_id:
            check_name(external_id, "external id")
        call = Call(
            id=self._new_id(),
            uniqueid=path.uniqueid,
            channel=path.name,
            bot=bot,
            started_us=self._clock(),
            external_id=external_id or None,
        )
        live = self._live.add(call)
        job = Job(call, path, asker.origin, asker.actor)
        self.notes.note(
            job,
            EntryKind.CALL_STARTED,
            detail={"bot": bot.name, "external_id": call.external_id, "channel": call.channel},
        )
        return live

    async def _begin_late(
        self, path: Path, asker: Asker, work: Callable[[Job], Awaitable[None]]
    ) -> tuple[Live, Callable[[Job], Awaitable[None]]]:
        """Begin a call whose turnrec-start was cut off before turnrec could answer it.

        What came of that start isn't known, so the call begins held, as the dialplan left it: the
        first turn that may be recorded finds out what runs on the channel, and begins.

        Raises:
            UnknownCallError: no bot was ever asked for on this channel.
        """
        asked = "TURNREC_ASKED_BOT"
        bot_name = (await path.read(asked))[asked] if path.is_dialplan else ""
        if not bot_name:
            raise UnknownCallError(path.uniqueid)
        live = self._begin_call(path, bot_name, None, asker)
        live.call.recorder = Recorder(holds=frozenset({Source.TURN, Source.FAULT}))

        async def begin(job: Job) -> None:
            if job.call.recording is None and job.call.bot.default is Default.ON:
                await self.execution.carry_out(job, Command(Action.START, Source.TURN))
            await work(job)

        return live, begin

    def _bot(self, name: str) -> Bot:
        bots = self._flow.flow.bots
        if name not in bots:
            raise UnknownBotError(name, nearest(name, bots))
        return bots[name]

    async def _work(
        self,
        live: Live,
        path: Path,
        asker: Asker,
        work: Callable[[Job], Awaitable[None]],
    ) -> Answer:
        """Do `work` under the call's lock, and answer for what came of it.

        An asker that goes away in the middle doesn't take the work with it: a monitor that was
        begun must be known.
        """
        task = asyncio.create_task(self._work_through(live, path, asker, work))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return await asyncio.shield(task)

    async def _work_through(
        self,
        live: Live,
        path: Path,
        asker: Asker,
        work: Callable[[Job], Awaitable[None]],
    ) -> Answer:
        call = live.call
        actor = asker.actor or f"bot:{call.bot.name}"
        job = Job(call, path, asker.origin, actor, lambda: live.overrun, reason=asker.reason)
        try:
            async with self._locked(live, dialplan=path.is_dialplan):
                # Whoever waited for the lock may have waited for the call's end.
                has_ended = not self._live.has(live)
                error = (
                    CallEndedError("go on", call.recorder.state)
                    if has_ended
                    else await self._try(job, work)
                )
                if self.listeners is not None and not has_ended:
                    # The recorder is as it should be; nobody has been told so yet.
                    await self.listeners.keep(job)
                if self.others is not None and not has_ended:
                    await self.others.keep(job)
                answer = None if live.overrun else await self.execution.conclude(job, error)
                if answer is None or live.overrun:
                    answer = await self._give_way(job)
                if self.listeners is not None and not has_ended:
                    await self.listeners.keep(job)  # what failed closed while it was concluded
                return answer
        except RecorderBusyError as error:
            self.notes.refused_at_the_door(error, call.uniqueid, asker.origin, asker.actor)
            return await self._turn_away(path, error)

    async def _give_way(self, job: Job) -> Answer:
        """Fail closed for a turn that gave up waiting for this command.

        Its dialplan has stopped the monitor that it knew of, not the one begun since. What it
        would have asked isn't known; it counts as a pause.
        """
        call = job.call
        error = UnansweredError("a turn could not wait for this command")
        call.pause_beneath()
        held = replace(call.recorder, holds=call.recorder.holds | {Source.TURN})
        await self.execution.fail(job, error, held)
        return await self.execution.conclude(job, error)

    async def _try(self, job: Job, work: Callable[[Job], Awaitable[None]]) -> TurnrecError | None:
        error: TurnrecError | None = None
        try:
            await work(job)
        except TurnrecError as caught:
            error = caught
        except Exception as defect:
            logger.exception("a defect in turnrec; the call fails closed")
            error = InternalError(type(defect).__name__)
            await self.execution.fail(job, error, job.call.recorder)
        if Status.of(error) is not Status.FAILCLOSED:
            try:
                await self.execution.make_sure(job)
            except TurnrecError as still:
                error = still
        return error

    @asynccontextmanager
    async def _locked(
        self, live: Live, *, dialplan: bool = False, patient: bool = False
    ) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(None if patient else self._deadline_ms / 1000):
                await live.lock.acquire()
        except TimeoutError:
            # A dialplan that gets no OK stops the monitor itself. What the holder of the lock is
            # about to start would escape it.
            live.overrun = live.overrun or dialplan
            raise RecorderBusyError(self._deadline_ms) from None
        try:
            yield
        finally:
            live.overrun = False
            live.lock.release()

    async def _turn_away(self, path: Path, error: TurnrecError) -> Answer:
        """Answer where there is no recorder to answer for."""
        answer = Answer(Status.of(error), error)
        if not path.is_dialplan:
            return answer
        try:
            await path.publish(answer.variables())
        except TurnrecError as untold:
            # Without a status it stops whatever monitor it knows of.
            logger.warning("channel %s could not be told: %s", path.uniqueid, untold)
            return Answer(Status.FAILCLOSED, untold)
        return answer
