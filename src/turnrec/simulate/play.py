"""Plays a path: the dialplan's requests, the agent's coming and going, the time between them.

The dialplan's side is asterisk-conf/turnrec.conf's, the agent's Asterisk's own; what is done about
either is decided by turnrec itself, over the wires.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from turnrec.answer import Status
from turnrec.asterisk.paths import mutes_by_id
from turnrec.asterisk.spool import Spool
from turnrec.core.policy import Action, Bot, Flow
from turnrec.simulate.agi import run_agi
from turnrec.simulate.api_bot import ApiBot
from turnrec.simulate.house import ASTERISK_SPOOL, House
from turnrec.simulate.machine import SimulatedAsterisk, SimulatedChannel
from turnrec.simulate.manager import SimulatedManager
from turnrec.simulate.path import Step, StepKind
from turnrec.simulate.result import Moment, PlayedStep, Simulation
from turnrec.simulate.virtual_loop import VirtualLoop, run
from turnrec.simulate.wire import Tap

BEGAN_US: Final = 1_767_225_600_000_000
"""When every simulated call begins: 2026-01-01, 00:00 UTC."""
RING_MS: Final = 2_000
"""How long an agent's phone rings."""

_PARTING_S: Final = 0.02
"""From the end of a bridge until the caller's dialplan goes on: AMI has told of it by then."""
_AFTERWARDS_S: Final = 1.0
"""What is given to whatever goes on after the hang-up; none of it takes longer."""
_BRIDGE: Final = "bridge-1"
_TALK: Final = "the two hear each other"
_DIAL: Final = "Dial(PJSIP/agent,30,gU(turnrec-agent))"


@dataclass(frozen=True, slots=True)
class World:
    """The Asterisk that a call is played on."""

    version: str = "22.10.1"
    codec: str = "ulaw"
    """The caller's."""
    has_ami: bool = True
    over_http: bool = False
    """Whether the bot asks over the HTTP API instead of in its dialplan."""


def simulate(flow: Flow, bot: Bot, steps: tuple[Step, ...], world: World) -> Simulation:
    """Play a call of `bot`'s through `steps`.

    Raises:
        NotSimulatedError: turnrec sent a command that the simulation can't play.
        OSError: the temporary folder for the parts can't be had.
    """
    with tempfile.TemporaryDirectory(prefix="turnrec-simulate-") as folder:
        return run(lambda loop: _simulate(loop, flow, bot, steps, world, Path(folder)))


async def _simulate(
    loop: VirtualLoop, flow: Flow, bot: Bot, steps: tuple[Step, ...], world: World, folder: Path
) -> Simulation:
    def clock() -> int:
        return BEGAN_US + round(loop.time() * 1_000_000)

    tap = Tap(clock)
    spool = Spool(folder / "spool", ASTERISK_SPOOL)
    asterisk = SimulatedAsterisk(
        spool,
        clock,
        version=world.version,
        mutes_by_id=mutes_by_id(world.version),
        codec=world.codec,
    )
    manager = SimulatedManager(asterisk, tap)
    await manager.open()
    async with House.open(
        flow, spool, folder / "recordings", clock, world.version, has_ami=world.has_ami
    ) as house:
        play = _Play(house, asterisk, tap, clock, bot, over_http=world.over_http)
        await play.through(steps)
    manager.close()
    if manager.failure is not None:
        raise manager.failure
    return Simulation(
        bot.name,
        flow.sha256,
        world.version,
        play.started_us,
        tuple(play.played),
        tuple(house.journal.entries),
    )


class _Play:
    """One call while it is played."""

    def __init__(
        self,
        house: House,
        asterisk: SimulatedAsterisk,
        tap: Tap,
        clock: Callable[[], int],
        bot: Bot,
        *,
        over_http: bool,
    ) -> None:
        self._house = house
        self._asterisk = asterisk
        self._tap = tap
        self._clock = clock
        self._bot = bot
        self._caller = asterisk.begin_channel("PJSIP/caller")
        self._api = ApiBot(house.desk, self._caller.uniqueid)
        self._over_http = over_http
        self._agent: SimulatedChannel | None = None
        """Whom the caller talks to."""
        self._moments: list[Moment] = []
        self._told = 0
        """How many commands stand in a moment already."""
        self._entered = 0
        """How many of the ledger's entries do."""
        self.played: list[PlayedStep] = []
        self.started_us = clock()
        self._play: Final[Mapping[StepKind, Callable[[Step], Awaitable[None]]]] = MappingProxyType(
            {
                StepKind.TURN: self._turn,
                StepKind.ACTION: self._action,
                StepKind.AGENT: self._transfer,
                StepKind.NO_ANSWER: self._transfer_in_vain,
                StepKind.BOT: self._back,
                StepKind.OPERATOR: self._operator,
                StepKind.HANGUP: self._hang_up,
            }
        )

    async def through(self, steps: tuple[Step, ...]) -> None:
        """Begin the call, play each step, see everything to its end."""
        if not self._over_http:
            variables = self._caller.variables
            variables["TURNREC_CALLER_CHANNEL"] = self._caller.name
            variables["TURNREC_CALLER_UNIQUEID"] = self._caller.uniqueid
            variables["TURNREC_ASKED_BOT"] = self._bot.name
        began_us = self._clock()
        await self._gosub("start", self._bot.name)
        self._keep_step(0, "", began_us)
        for number, step in enumerate(steps, start=1):
            began_us = self._clock()
            await self._play[step.kind](step)
            at_us = self._clock()
            is_talk = step.kind is StepKind.AGENT and self._agent is not None
            await asyncio.sleep(step.lasts_ms / 1000)
            self._keep_moment(_TALK if is_talk else "meanwhile", at_us, unless_quiet=not is_talk)
            self._keep_step(number, step.text, began_us)

    # -------------------------------------------------------------- steps

    async def _turn(self, step: Step) -> None:
        await self._gosub("turn", step.word)

    async def _action(self, step: Step) -> None:
        await self._gosub("action", step.word, *(("new",) if step.new else ()))

    async def _back(self, _step: Step) -> None:
        await self._gosub("bot")

    async def _transfer(self, step: Step) -> None:
        await self._announce(step)
        at_us = self._clock()
        agent = self._asterisk.begin_channel("PJSIP/agent")
        await self._ring(agent)
        if not self._over_http and not await self._agent_says(agent, at_us):
            self._asterisk.end_channel(agent)
            self._caller.variables["DIALSTATUS"] = "NOANSWER"
            return
        self._agent = agent
        self._caller.variables["DIALSTATUS"] = "ANSWER"
        for channel in (agent, self._caller):
            self._tell_bridge("BridgeEnter", channel)

    async def _transfer_in_vain(self, step: Step) -> None:
        await self._announce(step)
        at_us = self._clock()
        agent = self._asterisk.begin_channel("PJSIP/agent")
        await self._ring(agent)
        self._caller.variables["DIALSTATUS"] = "NOANSWER"
        self._asterisk.end_channel(agent)
        what = "nobody answers"
        self._keep_moment(what if self._over_http else f"{_DIAL}: {what}", at_us)

    async def _operator(self, step: Step) -> None:
        at_us = self._clock()
        said = await self._api.operate(Action(step.word))
        self._keep_moment(said.request, at_us, said.status, said.error)

    async def _hang_up(self, _step: Step) -> None:
        at_us = self._clock()
        await self._part()
        what = "the caller hangs up"
        if not self._over_http:
            what += ": turnrec-hangup"
            await run_agi(self._asterisk, self._tap, self._caller, "hangup")
        self._asterisk.end_channel(self._caller)
        # Asterisk ends what it runs on the channel; turnrec joins what there is.
        await asyncio.sleep(_AFTERWARDS_S)
        await self._house.calls.settle()
        self._keep_moment(what, at_us)

    # -------------------------------------------------------------- the dialplan

    async def _gosub(self, script: str, *words: str) -> None:
        """Call a subroutine of turnrec.conf's on the caller's channel, or ask the API for it."""
        at_us = self._clock()
        if self._agent is not None:
            await self._part()
            self._keep_moment("the agent hangs up", at_us)
        if self._over_http:
            at_us = self._clock()
            said = await self._api.ask(script, *words)
            self._keep_moment(said.request, at_us, said.status, said.error)
            return
        arguments = f"({','.join(words)})" if any(words) else ""
        await self._ask(f"Gosub(turnrec-{script},s,1{arguments})", self._caller, script, *words)

    async def _announce(self, step: Step) -> None:
        self._caller.variables |= {"DIALSTATUS": "", "QUEUESTATUS": ""}
        await self._gosub("agent-pre", step.word)

    async def _ask(
        self,
        line: str,
        channel: SimulatedChannel,
        script: str,
        *words: str,
        at_us: int | None = None,
    ) -> Status:
        """Have a channel's dialplan ask turnrec, and do what it does with the answer."""
        at_us = self._clock() if at_us is None else at_us
        channel.variables["TURNREC_STATUS"] = ""
        await run_agi(self._asterisk, self._tap, channel, script, *words)
        said = channel.variables["TURNREC_STATUS"]
        status = Status(said) if said in set(Status) else Status.FAILCLOSED
        if status is Status.FAILCLOSED and channel is self._caller:
            self._settle()
        self._keep_moment(line, at_us, status, channel.variables.get("TURNREC_ERROR", ""))
        return status

    def _settle(self) -> None:
        """turnrec-settle: what comes back without OK stops our own monitor, and says so."""
        variables = self._caller.variables
        holds = variables.get("TURNREC_HOLDS", "")
        variables["TURNREC_HOLDS"] = f"{holds}:turn:fault" if holds else "turn:fault"
        if variables.get("TURNREC_STATE") == "recording":
            variables["TURNREC_STATE"] = "paused"
        monitor_id = variables.get("TURNREC_MIXMON_ID", "")
        if monitor_id:
            self._asterisk.stop_monitor(self._caller, monitor_id)
        variables |= {"TURNREC_MIXMON_ID": "", "TURNREC_STATUS": Status.FAILCLOSED}

    # -------------------------------------------------------------- the agent

    async def _agent_says(self, agent: SimulatedChannel, at_us: int) -> bool:
        """Dial's U() on the agent's channel; whether the two may be bridged."""
        uniqueid = self._caller.variables["TURNREC_CALLER_UNIQUEID"]  # inherited
        status = await self._ask(_DIAL, agent, "agent", uniqueid, "", at_us=at_us)
        return status is not Status.FAILCLOSED

    async def _ring(self, agent: SimulatedChannel) -> None:
        self._asterisk.tell(
            "DialBegin", self._caller, DestChannel=agent.name, DestUniqueid=agent.uniqueid
        )
        await asyncio.sleep(RING_MS / 1000)

    async def _part(self) -> None:
        """The talk ends, whoever hangs up; a moment later the caller's dialplan goes on."""
        agent, self._agent = self._agent, None
        if agent is None:
            return
        for channel in (agent, self._caller):
            self._tell_bridge("BridgeLeave", channel)
        self._asterisk.end_channel(agent)
        await asyncio.sleep(_PARTING_S)

    def _tell_bridge(self, event: str, channel: SimulatedChannel) -> None:
        self._asterisk.tell(
            event,
            channel,
            BridgeUniqueid=_BRIDGE,
            BridgeType="basic",
            BridgeTechnology="simple_bridge",
            Linkedid=self._caller.uniqueid,
        )

    # -------------------------------------------------------------- books

    def _keep_moment(
        self,
        what: str,
        at_us: int,
        status: Status | None = None,
        error: str = "",
        *,
        unless_quiet: bool = False,
    ) -> None:
        commands = tuple(self._tap.commands[self._told :])
        if unless_quiet and not commands and len(self._house.journal.entries) == self._entered:
            return
        self._told += len(commands)
        state, holds, recorded = self._standing()
        seq = len(self._house.journal.entries)
        self._moments.append(
            Moment(
                what,
                at_us,
                self._clock(),
                range(self._entered + 1, seq + 1),
                commands,
                state,
                holds,
                recorded,
                status,
                error,
            )
        )
        self._entered = seq

    def _keep_step(self, number: int, text: str, began_us: int) -> None:
        moments, self._moments = tuple(self._moments), []
        self.played.append(PlayedStep(number, text, began_us, self._clock(), moments))

    def _standing(self) -> tuple[str, tuple[str, ...], str]:
        """The recorder's state and holds, and what is being recorded."""
        call = self._house.calls.find(self._caller.uniqueid)
        if call is None:
            return "ended", (), ""
        recorder, recording = call.recorder, call.recording
        holds = tuple(sorted(hold.value for hold in recorder.holds))
        if recording is None:
            return recorder.state.value, holds, ""
        running = recording.running
        recorded = f"gap {'+'.join(holds)}" if running is None else f"segment {running.number}"
        return recorder.state.value, holds, recorded
