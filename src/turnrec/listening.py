"""Enters in the ledger who listened to a recording or read of it, before they get to.

Who asks for the same kind of thing again within ten minutes is entered once: a player asks for a
file in many ranges. It decides nothing of who may.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from turnrec.core.entry import JSON, Entry, EntryKind
from turnrec.core.errors import LedgerUnavailableError
from turnrec.ledger.views import RecordingRecord
from turnrec.ports import Journal
from turnrec.web.access import Access

ONCE_WITHIN_US: Final = 600_000_000
_MOST: Final = 10_000

What: TypeAlias = Literal["audio", "transcript", "manifest"]
_Key: TypeAlias = "tuple[str, str, str, str]"


@dataclass(frozen=True, slots=True)
class _Entered:
    at_us: int
    durable: asyncio.Task[bool]


class AccessBook:
    """Who listened to what."""

    def __init__(self, journal: Journal, clock: Callable[[], int]) -> None:
        self._journal = journal
        self._clock = clock
        self._entered: OrderedDict[_Key, _Entered] = OrderedDict()

    async def enter(self, access: Access, record: RecordingRecord, what: What) -> None:
        """Return when it is in the ledger, by this request or by one shortly before.

        Raises:
            LedgerUnavailableError: it isn't; nothing may be handed out.
        """
        key = (access.actor(), access.address, record.recording_id, what)
        entered = self._entered.get(key)
        now_us = self._clock()
        if entered is None or not 0 <= now_us - entered.at_us < ONCE_WITHIN_US:
            if not self._journal.vouches():
                raise LedgerUnavailableError("the ledger takes no entries: nothing is handed out")
            self._append(access, record, what, now_us)
            # A request that comes while this one is written waits for it, too.
            durable = asyncio.create_task(self._make_durable(), name="access entry")
            entered = self._entered[key] = _Entered(now_us, durable)
            self._entered.move_to_end(key)
            if len(self._entered) > _MOST:
                self._entered.popitem(last=False)
        if not await asyncio.shield(entered.durable):
            if self._entered.get(key) is entered:
                del self._entered[key]
            raise LedgerUnavailableError("the ledger is behind: nothing is handed out")

    async def _make_durable(self) -> bool:
        # An entry that found no room is counted by the ledger, but it isn't in it.
        return await self._journal.make_durable() and self._journal.vouches()

    def _append(self, access: Access, record: RecordingRecord, what: What, now_us: int) -> None:
        detail: dict[str, JSON] = {"what": what}
        if access.address:
            detail["address"] = access.address
        self._journal.append(
            Entry(
                kind=EntryKind.ACCESSED,
                at_us=now_us,
                call_id=record.call_id,
                recording_id=record.recording_id,
                actor=access.actor(),
                origin=access.origin,
                detail=detail,
            )
        )
