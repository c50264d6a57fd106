"""Plays many rows side by side on one PBX and collects what they left; it judges nothing itself."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.pbx.matrix.cast import BOT_HZ, PROMPT_S
from tests.pbx.matrix.dialplan import dialplan, queues
from tests.pbx.matrix.judge import Evidence, faults
from tests.pbx.matrix.scene import Scene
from tests.pbx.matrix.states import Entry, Row, flow
from tests.pbx.matrix.way import Way
from tests.pbx.rig import WAIT_S, Rig, rig, until, write_tones
from turnrec.ledger.views import Segment
from turnrec.pbx.packages import Installation, Release
from turnrec.pbx.phone import MediaClock

AT_ONCE = 28
"""Calls side by side: with three phones each and turnrec itself in this process, what two cores
carry without losing packets."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a row came to."""

    row: Row
    faults: tuple[str, ...]


async def play(
    installation: Installation, folder: Path, ways: Mapping[str, Way], rows: Sequence[Row]
) -> list[Outcome]:
    """Play all rows, and say of each what is not as it must be."""
    used = {row.way: ways[row.way] for row in rows}
    async with rig(
        installation, folder, flow(), dialplan(used.values()), queues=queues(rows)
    ) as here:
        write_tones(here.folder / "sounds", dict.fromkeys(BOT_HZ, PROMPT_S))
        await _tell_the_dialplan(here)
        troubles = await _play_all(here, ways, rows)
        # Everything that was begun must come to its end by itself: nobody is asked to hurry.
        await until(lambda: not here.service.calls.live(), "every call's end")
        await here.service.calls.settle()
        await here.service.ledger.flush(timeout_s=WAIT_S)
        outcomes = []
        for row in rows:
            evidence = await _evidence(here, row, ways[row.way])
            found = [troubles[row]] if row in troubles else []
            found += ["the call is not in the ledger"] if evidence is None else []
            if evidence is not None:
                found += await asyncio.to_thread(faults, evidence)
            outcomes.append(Outcome(row, tuple(found)))
        return outcomes + await _left_behind(here, rows[0])


async def _tell_the_dialplan(here: Rig) -> None:
    # Queue's gosub is argument 7 in 22 and 8 in 16 (asterisk-facts.md).
    gap = ",,," if here.pbx.release is Release.V16 else ",,"
    values = {"QUEUE_GOSUB": gap[1:]}
    values |= {f"NODE_{entry.name.lower()}": entry.node for entry in Entry}
    for name, value in values.items():
        await here.rx(f"dialplan set global {name} {value}")


async def _play_all(here: Rig, ways: Mapping[str, Way], rows: Iterable[Row]) -> dict[Row, str]:
    gate = asyncio.Semaphore(AT_ONCE)
    clock = MediaClock()
    troubles: dict[Row, str] = {}

    async def one(row: Row) -> None:
        async with gate, Scene(here, row, clock) as scene:
            try:
                await ways[row.way].begin(scene)
                await ways[row.way].script(scene)
            except Exception as error:  # noqa: BLE001 - every row is to be played and reported
                where = traceback.extract_tb(error.__traceback__)
                line = next((f.line for f in where if "matrix" in f.filename), "")
                steps = " | ".join(scene.log.said[-6:])
                troubles[row] = f"{type(error).__name__}: {error} at `{line}` after {steps}"

    await asyncio.gather(*(one(row) for row in rows))
    return troubles


async def _evidence(here: Rig, row: Row, way: Way) -> Evidence | None:
    call = await here.service.ledger.find_call(row.id)
    if call is None:
        return None
    found = await here.service.ledger.recordings(call_id=call.call_id, limit=100)
    recordings = tuple(reversed(found))
    entries = await here.service.ledger.entries(call_id=call.call_id, limit=None)
    spool = here.settings.recordings.spool_dir
    parts = [
        (path, segment)
        for recording in recordings
        for segment in recording.segments
        for path in _files_of(spool, segment)
    ]
    return Evidence(
        row=row,
        way=way,
        files=tuple(here.file(one) for one in recordings if one.file),
        parts=tuple(parts),
        recordings=recordings,
        entries=entries,
    )


async def _left_behind(here: Rig, row: Row) -> list[Outcome]:
    """Files that no ledger entry names, and recordings that nobody closed."""
    recordings = await here.service.ledger.recordings(limit=100_000)
    spool = here.settings.recordings.spool_dir
    named = {
        path
        for recording in recordings
        for segment in recording.segments
        for path in _files_of(spool, segment)
    }
    orphans = [path for path in spool.rglob("*") if path.is_file() and path not in named]
    found = [f"an orphan in the spool: {path.name}" for path in orphans]
    found += [f"never closed: {one}" for one in await here.service.ledger.unclosed_recordings()]
    return [Outcome(row, tuple(found))] if found else []


def _files_of(spool: Path, segment: Segment) -> list[Path]:
    """A segment's part, and each direction of it where there are such."""
    if segment.part is None:
        return []
    part = spool / segment.part
    names = (part.name, f"{part.stem}-r.wav", f"{part.stem}-t.wav")
    return [spool / name for name in names if (spool / name).exists()]
