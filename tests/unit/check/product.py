"""The product's own main path over a channel where everything is confirmed at once.

What it says of a path is held against what `turnrec check` says. Only Asterisk's end is made up
here: `Calls` and `Talks` are those that serve calls.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from turnrec.calls import Asker, Calls
from turnrec.check.steps import Step
from turnrec.core.call import Call, ClosedRecording, FinishedRecording
from turnrec.core.entry import Entry, Origin
from turnrec.core.monitor import Begun, Ended, Monitor, Start
from turnrec.core.policy import Bot, Flow, PauseMethod
from turnrec.core.recorder import Recorder
from turnrec.ports import Path
from turnrec.talks import Talks

ASKER = Asker(Origin.AGI)


class Channel:
    """A caller's channel, the way in by its AGI session, and the driver of its monitors."""

    name = "PJSIP/caller-1"
    uniqueid = "1.1"
    is_dialplan = True

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.monitors: set[str] = set()
        self._ids = itertools.count(1)

    def driver(self, method: PauseMethod) -> Channel:
        return self

    async def read(self, *names: str) -> dict[str, str]:
        return {name: self.variables.get(name, "") for name in names}

    async def publish(self, variables: Mapping[str, str]) -> None:
        self.variables.update(variables)

    async def begin(
        self,
        part: str,
        running: Monitor | None,
        guard_ms: int,
        *,
        sides: bool = False,
        afresh: bool = False,
    ) -> Begun:
        monitor = Monitor(str(next(self._ids)), part, 0)
        self.monitors.add(monitor.id)
        return Begun(monitor, 0, 0)

    async def end(self, monitor: Monitor) -> Ended:
        self.monitors.remove(monitor.id)
        return Ended(0, 0, "gone")

    finish = settle = end

    async def look(self, monitor: Monitor) -> None:
        assert monitor.id in self.monitors

    async def running(self) -> Monitor | None:
        return None

    @property
    def order(self) -> str:
        return "one"

    async def rule_out(self, start: Start) -> bool:
        return True


class Ledger:
    """Takes everything."""

    def append(self, entry: Entry) -> None:
        pass

    def vouches(self) -> bool:
        return True

    async def make_durable(self) -> bool:
        return True


class Files:
    """Joins everything."""

    async def close(self, recording: FinishedRecording) -> ClosedRecording:
        return ClosedRecording(ok=True, detail={})

    async def discard(self, recording_id: str) -> None:
        pass


class NoMemory:
    """There is no earlier process."""

    async def revive(self, path: Path) -> Call | None:
        return None


@dataclass
class OneFlow:
    """The flow in force."""

    flow: Flow


@dataclass
class PlayedCall:
    """One call with a bot, and what the product makes of it."""

    bot: Bot
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        ids = itertools.count(1)
        self._calls = Calls(
            flow=OneFlow(Flow({self.bot.name: self.bot})),
            journal=Ledger(),
            recordings=Files(),
            memory=NoMemory(),
            clock=lambda: 0,
            new_id=lambda: f"id{next(ids)}",
            deadline_ms=600_000,
        )
        self._talks = Talks(self._calls)

    async def begin(self) -> None:
        """`turnrec-start`."""
        await self._calls.start(self.channel, self.bot.name, None, ASKER)

    async def step(self, node: str, step: Step, *, announced_before: bool) -> str | None:
        """Let one step happen as a dialplan does it; return the id of what refused it."""
        if step is Step.AGENT:
            if announced_before:
                await self._talks.announce(self.channel, ASKER)
            answer = await self._talks.agent_comes(self.channel, ASKER)
        else:
            if step is Step.UNANSWERED:
                await self._talks.announce(self.channel, ASKER)
                self.channel.variables["DIALSTATUS"] = "NOANSWER"
            answer = await self._calls.turn(self.channel, node, ASKER)
            self.channel.variables.pop("DIALSTATUS", None)
        await self._calls.settle()
        return None if answer.error is None else answer.error.id

    @property
    def recorder(self) -> Recorder:
        """As the product has it."""
        (call,) = self._calls.live()
        assert bool(self.channel.monitors) is call.recorder.is_recording
        return call.recorder
