"""Makes `v1.db` with the turnrec of that time; it is no test, and runs in that one's tree alone.

    git archive c8e7e84 | tar -x -C TREE          # the last commit whose ledgers have version 1
    cd TREE && PYTHONPATH=src:. python make_v1.py OUT

c8e7e84 is the commit before 22e8134, which made it 2. OUT/ledger.db is v1.db, OUT/checkpoints.jsonl
and OUT/signing.key.pub are v1.checkpoints.jsonl and v1.pub; the private key was thrown away.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from tests.unit.verify.house import T0_US, build

from turnrec.core.entry import Entry, EntryKind, Origin
from turnrec.core.recorder import Source, State
from turnrec.ledger import Ledger
from turnrec.ledger.checkpointer import Checkpointer
from turnrec.ledger.checkpoints import CheckpointFile
from turnrec.ledger.keys import SigningKey

LATER_US = 7_200_000_000
DETAIL = {"status": "done", "file": "2023-11-14/R2.wav", "samples": 8000, "rate_hz": 8000}


async def main(folder: Path) -> None:
    """One recording that is done, one that is held, one that is deleted, one under way."""
    await build(folder)
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
    at_us = T0_US + LATER_US

    def enter(
        kind: EntryKind, call: str | None = None, recording: str | None = None, **more: Any
    ) -> None:
        nonlocal at_us
        at_us += 1000
        ledger.append(
            Entry(kind=kind, at_us=at_us, call_id=call, recording_id=recording,
                  origin=Origin.AGI, **more)
        )  # fmt: skip

    enter(EntryKind.SERVER_STARTED)
    for number in (2, 3, 4):
        call, recording = f"C{number}", f"R{number}"
        bot = {"bot": "kyc", "external_id": f"ext-{number}", "channel": f"PJSIP/x-{number}"}
        enter(EntryKind.CALL_STARTED, call, uniqueid=f"170000000{number}.1", detail=bot)
        enter(EntryKind.RECORDING_OPENED, call, recording, state=State.INACTIVE,
              detail={"bot": "kyc"})  # fmt: skip
        enter(EntryKind.SEGMENT_BEGAN, call, recording, state=State.RECORDING,
              detail={"number": 1, "part": f"{recording}-001.wav"})  # fmt: skip
        enter(EntryKind.TURN_BEGUN, call, recording, state=State.RECORDING, node="ask", turn=1)
        enter(EntryKind.SEGMENT_ENDED, call, recording, state=State.PAUSED, holds=(Source.TURN,))
    for number in (2, 3):
        call, recording = f"C{number}", f"R{number}"
        enter(EntryKind.CALL_ENDED, call, state=State.ENDED)
        enter(EntryKind.RECORDING_CLOSED, call, recording, detail=DETAIL)
    enter(EntryKind.LEGAL_HOLD, "C2", "R2", actor="cli:anna", detail={"reason": "a case"})
    enter(EntryKind.DELETED, "C3", "R3", actor="cli:anna", detail={"reason": "asked for"})
    await ledger.flush()
    checkpointer = Checkpointer(
        ledger,
        SigningKey.read(folder / "signing.key"),
        CheckpointFile(folder / "checkpoints.jsonl"),
        lambda: at_us,
        every_s=3600,
    )
    await checkpointer.checkpoint()
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
