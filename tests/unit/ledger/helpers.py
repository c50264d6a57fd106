"""Entries and ledgers for the tests."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from turnrec.core.entry import JSON, Entry, EntryKind, Origin
from turnrec.core.recorder import Source, State
from turnrec.ledger import Ledger, LedgerError, Limits

CALL = "01JCALL00000000000000000AA"
RECORDING = "01JREC000000000000000000AA"
T0_US = 1_700_000_000_000_000

QUICK = Limits(gather_ms=0, busy_timeout_ms=20, retry_first_ms=1, retry_most_ms=4)


def entry(
    kind: EntryKind = EntryKind.TURN_BEGUN,
    at_us: int = 0,
    *,
    call_id: str | None = CALL,
    recording_id: str | None = None,
    state: State | None = None,
    holds: tuple[Source, ...] = (),
    node: str | None = None,
    turn: int | None = None,
    **detail: JSON,
) -> Entry:
    """An entry at `T0_US + at_us`."""
    return Entry(
        kind=kind,
        at_us=T0_US + at_us,
        call_id=call_id,
        uniqueid="pbx-1700000000.7",
        recording_id=recording_id,
        source=Source.TURN,
        actor="bot:kyc",
        origin=Origin.AGI,
        node=node,
        turn=turn,
        state=state,
        holds=holds,
        detail=detail,
    )


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


class Errors:
    """Collects what a ledger reports, and can be waited for."""

    def __init__(self) -> None:
        self.seen: list[LedgerError] = []
        self._reported = threading.Event()

    def __call__(self, error: LedgerError) -> None:
        self.seen.append(error)
        self._reported.set()

    async def first(self) -> LedgerError:
        assert await asyncio.to_thread(self._reported.wait, 30)
        return self.seen[0]


async def stored(ledger: Ledger) -> list[Entry]:
    """All that is durable, in order."""
    return [written.entry for written in await ledger.entries(limit=None)]
