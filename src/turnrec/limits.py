"""Watches that no pause outlasts `max_pause_s`; what then happens is the operator's choice.

An agent's talk that may not be recorded is no pause that somebody forgot: it isn't counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from turnrec.asterisk.paths import Ways
from turnrec.calls import Asker, Calls
from turnrec.core.call import Call
from turnrec.core.entry import Origin
from turnrec.core.errors import PauseTooLongError
from turnrec.core.policy import Action, MaxPauseAction
from turnrec.core.recorder import Command, Source
from turnrec.notes import Job
from turnrec.periodic import Periodic

_ASKER = Asker(Origin.SERVER, "turnrec:max_pause_s")
_LOOK_EVERY_S: Final = 0.5
_SECOND_US: Final = 1_000_000

COMMANDS: Final[Mapping[MaxPauseAction, tuple[Command, ...]]] = {
    MaxPauseAction.ALERT: (),
    MaxPauseAction.STOP: (Command(Action.STOP, Source.TURN),),
    # Only what a turn or an operator forgot is released: never an agent's hold.
    MaxPauseAction.RESUME: (
        Command(Action.RESUME, Source.OPERATOR),
        Command(Action.RESUME, Source.TURN),
    ),
}
"""What each choice asks of the recorder, in order; the alarm comes with every one."""


class Limits:
    """Looks at every pause."""

    def __init__(self, calls: Calls, ways: Ways, clock: Callable[[], int]) -> None:
        self._calls = calls
        self._ways = ways
        self._clock = clock
        self._looks = Periodic(
            self.look,
            _LOOK_EVERY_S,
            name="limits",
            complaint="a look at the pauses failed; the next one comes",
        )

    def start(self) -> None:
        """Begin to look."""
        self._looks.start()

    async def close(self) -> None:
        """Stop looking."""
        await self._looks.close()

    async def look(self) -> None:
        """Deal with every pause that has become too long since the last look."""
        overdue = [call for call in self._calls.live() if self._is_overdue(call)]
        await asyncio.gather(*(self._deal_with(call) for call in overdue))

    def _is_overdue(self, call: Call) -> bool:
        began_us = None if call.recording is None else call.recording.gap_began_us
        if not call.bot.max_pause_s or began_us is None or Source.AGENT in call.recorder.holds:
            return False
        lasted_us = self._clock() - began_us
        is_new = call.overlong_gap_us != began_us
        return is_new and lasted_us > call.bot.max_pause_s * _SECOND_US

    async def _deal_with(self, call: Call) -> None:
        async def work(job: Job) -> None:
            if not self._is_overdue(call) or call.recording is None:
                return
            call.overlong_gap_us = call.recording.gap_began_us
            action = call.bot.max_pause_action
            late = PauseTooLongError(call.bot.max_pause_s, action.value)
            self._calls.notes.alarm(call, late.id, str(late))
            for command in COMMANDS[action]:
                if command.action is Action.RESUME and command.source not in call.recorder.holds:
                    continue
                await self._calls.execution.carry_out(job, command)

        path = self._ways.by_ami(call.channel, call.uniqueid)
        await self._calls.ask(path, _ASKER, work)
