"""A writer killed with SIGKILL loses only what was not flushed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.ledger.helpers import url_of
from turnrec.ledger import Ledger

APPEND = """
import asyncio, itertools, sys
from turnrec.core.entry import Entry, EntryKind
from turnrec.ledger import Ledger

async def main():
    ledger = Ledger.open(sys.argv[1])
    for number in itertools.count(1):
        ledger.append(Entry(kind=EntryKind.TURN_BEGUN, at_us=number, call_id="a", turn=number))
        if number % 7 == 0:
            await ledger.flush()
            print(number, flush=True)

asyncio.run(main())
"""


def append_until_killed(url: str, flushes: int) -> int:
    """Kill a process that appends after so many flushes; return how many entries it flushed."""
    with subprocess.Popen(
        [sys.executable, "-c", APPEND, url], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        flushed = [int(process.stdout.readline()) for _ in range(flushes)]
        process.kill()
    return flushed[-1]


@pytest.mark.parametrize("flushes", [1, 40])
async def test_a_killed_writer_leaves_an_intact_chain_of_all_that_was_flushed(
    file: Path, flushes: int
) -> None:
    flushed = append_until_killed(url_of(file), flushes)

    ledger = Ledger.open(url_of(file))
    report = await ledger.verify_chain()
    written = await ledger.entries(limit=None)
    call = await ledger.call("a")

    assert report.intact
    assert report.entries >= flushed
    assert [each.entry.turn for each in written] == list(range(1, report.entries + 1))
    assert call is not None
    await ledger.close()
