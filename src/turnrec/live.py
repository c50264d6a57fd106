"""The calls that have not ended, by their channel: looked up, revived after a restart, ended once.

It owns who is live and each call's lock. What is done with a call, and in which order, is
`turnrec.calls`' business.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from turnrec.core.call import Call
from turnrec.ports import Memory, Path

_ENDS_REMEMBERED: Final = 10_000
"""Ends that the ledger may not hold yet: a few seconds' of the shortest calls, many times over."""


@dataclass(slots=True)
class Live:
    """A call with its lock."""

    call: Call
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    overrun: bool = False
    """A turn gave up waiting for the lock: whoever holds it must not leave anything recording."""


class LiveCalls:
    """The live calls of this process.

    Args:
        memory: what an earlier process left of a call.
        recovered: told of each call that was taken up from it, and of the way to its channel.
    """

    def __init__(self, memory: Memory, recovered: Callable[[Call, Path], None]) -> None:
        self._memory = memory
        self._recovered = recovered
        self._by_uniqueid: dict[str, Live] = {}
        self._reviving: dict[str, asyncio.Lock] = {}
        self._ended: deque[str] = deque(maxlen=_ENDS_REMEMBERED)

    def all(self) -> list[Call]:
        """Every live call, oldest first."""
        return sorted(
            (one.call for one in self._by_uniqueid.values()), key=lambda call: call.started_us
        )

    def get(self, uniqueid: str) -> Live | None:
        """The live call on a channel that this process knows of."""
        return self._by_uniqueid.get(uniqueid)

    def has(self, live: Live) -> bool:
        """Whether this call is still live."""
        return self._by_uniqueid.get(live.call.uniqueid) is live

    def add(self, call: Call) -> Live:
        """Take a call that begins now."""
        live = self._by_uniqueid[call.uniqueid] = Live(call)
        return live

    def end(self, live: Live) -> bool:
        """Take a call out.

        Returns:
            Whether it was live: a call ends once, however often that is heard of.
        """
        if not self.has(live):
            return False
        del self._by_uniqueid[live.call.uniqueid]
        self._ended.append(live.call.id)
        return True

    def restore(self, call: Call) -> bool:
        """Take up a call that is known from the ledger alone, so that it can be ended.

        Returns:
            Whether it was. One that this process knows, or has ended since the ledger was read,
            is left alone.
        """
        if call.id in self._ended or call.uniqueid in self._by_uniqueid:
            return False
        self.add(call)
        return True

    async def recall(self, path: Path) -> Live | None:
        """The live call on this channel, if need be from before a restart.

        Raises:
            TurnrecError: what an earlier process left could not be asked for.
        """
        live = self.get(path.uniqueid)
        if live is not None:
            return live
        lock = self._reviving.setdefault(path.uniqueid, asyncio.Lock())
        try:
            async with lock:
                return self.get(path.uniqueid) or await self._revive(path)
        finally:
            self._reviving.pop(path.uniqueid, None)

    async def _revive(self, path: Path) -> Live | None:
        call = await self._memory.revive(path)
        if call is None or call.id in self._ended:
            return None  # ended in between; its end may not be entered yet
        self._recovered(call, path)
        return self.get(path.uniqueid) or self.add(call)
