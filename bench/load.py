"""Keeps a number of calls up: two Local channels each, a bot on one and a caller on the other."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence

from bench.dialplan import CONTEXT, extension
from bench.plan import Arm, Level
from turnrec.asterisk.ami import AmiClient, AmiError, AmiEvent

logger = logging.getLogger(__name__)


class Load:
    """The calls of one level, half of them each arm's; each that ends is followed by another."""

    def __init__(self, ami: AmiClient, level: Level, arms: Sequence[Arm]) -> None:
        self._ami = ami
        self._level = level
        self._arms = arms
        self._live: Counter[Arm] = Counter()
        self._latest = arms[-1]
        self._random = random.Random(level.calls)  # noqa: S311 - a spread, no secret
        self._running = True
        self._dialling: set[asyncio.Task[None]] = set()
        self._unsubscribe = ami.subscribe("Hangup", handler=self._on_hangup)

    async def ramp(self) -> None:
        """Place the calls, evenly over the ramp, each with a part of its talk already over."""
        for _ in range(self._level.calls):
            await self._dial(self._random.randint(1, self._level.pairs))
            await asyncio.sleep(self._level.ramp_s / self._level.calls)

    def stop(self) -> None:
        """Place no more calls."""
        self._running = False
        self._unsubscribe()

    @property
    def live(self) -> int:
        """How many calls are up."""
        return self._live.total()

    async def _dial(self, pairs: int) -> None:
        arm = self._next_arm()
        self._live[arm] += 1
        await self._ami.action(
            "Originate",
            Channel=f"Local/{extension(arm, pairs, self._level.talk_s)}@{CONTEXT}/n",
            Context=CONTEXT,
            Exten="caller",
            Priority="1",
            Async="true",
        )

    def _next_arm(self) -> Arm:
        fewest = min(self._live[arm] for arm in self._arms)
        candidates = [arm for arm in self._arms if self._live[arm] == fewest]
        others = [arm for arm in candidates if arm is not self._latest]
        self._latest = (others or candidates)[0]
        return self._latest

    def _on_hangup(self, event: AmiEvent) -> None:
        channel = event.get("Channel") or ""
        if not (channel.startswith("Local/call-") and channel.endswith(";2")):
            return
        self._live[Arm(channel.split("-")[1])] -= 1
        if self._running:
            task = asyncio.create_task(self._redial())
            self._dialling.add(task)
            task.add_done_callback(self._dialling.discard)

    async def _redial(self) -> None:
        try:
            await self._dial(self._level.pairs)
        except AmiError as error:
            logger.warning("a call could not be placed: %s", error)
