"""What a crash took from the ledger, and no channel can tell again, is told of at the restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.loopback.house import BOTS, OneFlow
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.policy import Flow
from turnrec.ledger.store import Ledger
from turnrec.memory import LedgerMemory

CALL = "01JCALL"
RECORDING = "01JRECORDING0000000000000A"
UNKNOWN = "01JUNKNOWN00000000000000AB"


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    await opened.close()


def enter(ledger: Ledger, *kinds: EntryKind, call_id: str | None = None) -> None:
    for kind in kinds:
        recording = RECORDING if kind is EntryKind.RECORDING_OPENED else None
        ledger.append(Entry(kind=kind, at_us=1, call_id=call_id, recording_id=recording))


async def test_a_call_whose_server_died_after_its_last_entry_was_lost_sight_of(
    tmp_path: Path, ledger: Ledger
) -> None:
    memory = LedgerMemory(ledger, OneFlow(Flow(BOTS)), tmp_path)
    enter(ledger, EntryKind.SERVER_STARTED)
    enter(ledger, EntryKind.CALL_STARTED, EntryKind.RECORDING_OPENED, call_id=CALL)
    await ledger.flush()
    assert not await memory.was_lost_sight_of(CALL)
    enter(ledger, EntryKind.CALL_STARTED, call_id="01JOTHER")
    enter(ledger, EntryKind.SERVER_STARTED)
    await ledger.flush()
    assert await memory.was_lost_sight_of(CALL)


async def test_a_call_that_outlived_a_server_that_ended_in_order_was_not(
    tmp_path: Path, ledger: Ledger
) -> None:
    memory = LedgerMemory(ledger, OneFlow(Flow(BOTS)), tmp_path)
    enter(ledger, EntryKind.SERVER_STARTED)
    enter(ledger, EntryKind.CALL_STARTED, call_id=CALL)
    enter(ledger, EntryKind.SERVER_STOPPED, EntryKind.SERVER_STARTED)
    await ledger.flush()
    assert not await memory.was_lost_sight_of(CALL)


async def test_a_part_whose_recording_no_entry_names_is_a_stray(
    tmp_path: Path, ledger: Ledger
) -> None:
    spool = tmp_path / "spool"
    memory = LedgerMemory(ledger, OneFlow(Flow(BOTS)), spool)
    assert await memory.stray_parts() == []
    spool.mkdir()
    enter(ledger, EntryKind.RECORDING_OPENED, call_id=CALL)
    for name in (f"{RECORDING}-001.wav", f"{UNKNOWN}-001.wav", "queue-2026-001.wav", "notes.txt"):
        (spool / name).touch()
    assert await memory.stray_parts() == [f"{UNKNOWN}-001.wav"]
