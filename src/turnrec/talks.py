"""The agent's side of the main path: whom the caller meets, and what is recorded of it.

An announced agent comes through the dialplan's door, everybody else is found by the net
(`turnrec.net`). Both end here, under the call's lock, and the tables of `core.agents` decide.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from turnrec.answer import Answer
from turnrec.calls import Asker, Calls
from turnrec.core.agents import (
    commands_after_agent,
    commands_for_agent,
    commands_on_announcement,
    effective_policy,
)
from turnrec.core.call import Party
from turnrec.core.entry import JSON, EntryKind
from turnrec.core.errors import FaultError, NotAllowedError, TurnrecError, UnclassedPartyError
from turnrec.core.parties import PartyClass
from turnrec.core.policy import Action, AgentPolicy
from turnrec.core.recorder import Command, Source
from turnrec.notes import Job
from turnrec.ports import Path

_HUMAN = frozenset({PartyClass.AGENT, PartyClass.UNKNOWN})
"""Whom the agent policy is about: a bot or an announcer is no agent, and nor is somebody who is
only consulted."""


class Talks:
    """What can be asked, and what happens, when a caller meets an agent and returns."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._execution = calls.execution
        self._notes = calls.notes

    async def announce(
        self, path: Path, asker: Asker, override: AgentPolicy | None = None
    ) -> Answer:
        """An agent is about to come: with `off` and `never` nothing is recorded from now on."""

        async def work(job: Job) -> None:
            call = job.call
            self._announced(job, override)
            call.agent_met = False  # nobody is there yet: this one is still to come
            for command in commands_on_announcement(
                call.bot, call.recorder.state, call.agent_override
            ):
                await self._execution.carry_out(job, command)

        return await self._calls.ask(path, asker, work)

    async def agent_comes(
        self, path: Path, asker: Asker, override: AgentPolicy | None = None
    ) -> Answer:
        """Apply the agent policy before the caller and an announced agent hear each other."""

        async def work(job: Job) -> None:
            call = job.call
            self._announced(job, override)
            call.agent_met = True
            for command in commands_for_agent(call.bot, call.recorder.state, call.agent_override):
                await self._execution.carry_out(job, command)

        return await self._calls.ask(path, asker, work)

    async def agent_goes(self, path: Path, asker: Asker) -> Answer:
        """Give the caller back to the bot's rules."""

        async def work(job: Job) -> None:
            call = job.call
            call.leave_agent()
            for command in commands_after_agent(call.bot, call.recorder.state):
                await self._execution.carry_out(job, command)

        return await self._calls.ask(path, asker, work)

    async def lift(self, path: Path, asker: Asker) -> Answer:
        """Record this call's talk with an agent although its policy is `off`, on the record.

        `never` is lifted by nobody (`NotAllowedError`).
        """

        async def work(job: Job) -> None:
            call = job.call
            if AgentPolicy.NEVER in (call.bot.agent, call.agent_override):
                error = NotAllowedError(
                    "the agent policy of this talk is never: nobody can lift it"
                )
                self._notes.note(job, EntryKind.ACTION_REFUSED, result=error.id)
                raise error
            call.agent_override = AgentPolicy.ON
            if Source.AGENT not in call.recorder.holds:
                return
            for command in commands_for_agent(call.bot, call.recorder.state, AgentPolicy.ON):
                await self._execution.carry_out(job, command)

        return await self._calls.ask(path, asker, work)

    def sought(self, uniqueid: str) -> None:
        """The caller's channel is calling somebody: its next turn will be the return."""
        call = self._calls.find(uniqueid)
        if call is not None and call.agent_announced:
            call.agent_met = True

    async def company_changed(
        self,
        path: Path,
        look: Callable[[], Awaitable[frozenset[Party]]],
        seen: Callable[[], int | None],
        asker: Asker,
    ) -> Answer:
        """Apply the agent policy to whom the caller hears now, announced or not.

        Args:
            path: the recorded channel.
            look: whom it hears, asked under the call's lock: what was true before may be past.
            seen: when turnrec first heard of the change, where an event told of it. Asterisk's
                event is 1 to 20 ms old by then.
            asker: who tells.

        Somebody who leaves changes nothing: the next may come before turnrec could know. What an
        agent's coming has set is undone by the caller's return to the bot.
        """

        async def work(job: Job) -> None:
            call = job.call
            now, seen_us = await look(), seen()
            before, call.company = call.company, now
            call.was_bridged |= bool(now)
            left, came = before - now, now - before
            if left:
                self._note_parties(job, EntryKind.PARTY_LEFT, left, seen_us)
            if came:
                self._note_parties(job, EntryKind.PARTY_CAME, came, seen_us)
            humans = frozenset(one for one in came if one.party in _HUMAN)
            if not humans:
                return
            try:
                await self._met(job, humans, seen_us)
            except TurnrecError:
                call.company = before  # not dealt with yet: the sweep tells it again
                raise

        return await self._calls.ask(path, asker, work)

    async def _met(self, job: Job, humans: frozenset[Party], seen_us: int | None) -> None:
        call = job.call
        known = call.agent_announced or all(one.party is PartyClass.AGENT for one in humans)
        first, call.agent_met = not call.agent_met, True
        was_recording = call.recorder.is_recording
        for command in commands_for_agent(
            call.bot, call.recorder.state, call.agent_override, known=known
        ):
            await self._execution.carry_out(job, command)
        if was_recording and not call.recorder.is_recording and job.ended_us is not None:
            # Nobody had said that this one comes: he was recorded until turnrec knew.
            window: dict[str, JSON] = {"from_us": seen_us, "to_us": job.ended_us}
            self._notes.note(job, EntryKind.WINDOW_MEASURED, detail=window)
        await self._begin_anew(job)
        if first and not known:
            unclassed = UnclassedPartyError(sorted(one.channel for one in humans))
            self._notes.alarm(call, unclassed.id, str(unclassed))

    async def _begin_anew(self, job: Job) -> None:
        """Begin the new party's segment. An Asterisk that was slow once doesn't cost the talk."""
        try:
            await self._execution.renew(job)
        except FaultError:
            if job.call.recorder.holds != {Source.FAULT}:
                raise
            await self._execution.carry_out(job, Command(Action.RESUME, Source.TURN))

    def _announced(self, job: Job, override: AgentPolicy | None) -> None:
        call = job.call
        if call.agent_override is not AgentPolicy.NEVER:  # nobody lifts it, no later leg either
            call.agent_override = override or call.agent_override
        call.agent_announced = True
        policy = effective_policy(call.bot, call.agent_override)
        self._notes.note(job, EntryKind.AGENT_ANNOUNCED, detail={"policy": policy.value})

    def _note_parties(
        self, job: Job, kind: EntryKind, parties: frozenset[Party], seen_us: int | None
    ) -> None:
        who: list[JSON] = [
            {"uniqueid": one.uniqueid, "channel": one.channel, "party": one.party.value}
            for one in sorted(parties, key=lambda one: one.uniqueid)
        ]
        announced = job.call.agent_announced
        detail: dict[str, JSON] = {"parties": who, "announced": announced, "seen_us": seen_us}
        self._notes.note(job, kind, detail=detail)
