"""Plays many rows side by side on one PBX and collects what they left; it judges nothing itself."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.pbx.matrix.cast import PROMPT_S, PROMPTS_HZ, Phase, Speaker, hz
from tests.pbx.matrix.dialplan import dialplan, queues
from tests.pbx.matrix.judge import Evidence, faults
from tests.pbx.matrix.scene import Scene
from tests.pbx.matrix.states import Entry, Row, flow
from tests.pbx.matrix.way import Way
from tests.pbx.rig import WAIT_S, Rig, rig, until, write_tones
from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.ami_settings import AmiSettings
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


@dataclass(frozen=True, slots=True)
class _Played:
    """How the people fared."""

    trouble: str
    said_s: Mapping[Phase, float]


async def play(
    installation: Installation, folder: Path, ways: Mapping[str, Way], rows: Sequence[Row]
) -> list[Outcome]:
    """Play all rows, and say of each what is not as it must be."""
    used = {row.way: ways[row.way] for row in rows}
    async with rig(
        installation, folder, flow(), dialplan(used.values()), queues=queues(rows)
    ) as here:
        write_tones(here.folder / "sounds", dict.fromkeys(PROMPTS_HZ, PROMPT_S))
        await _tell_the_dialplan(here)
        played = await _play_all(here, ways, rows)
        # Everything that was begun must come to its end by itself: nobody is asked to hurry.
        await until(lambda: not here.service.calls.live(), "every call's end")
        await here.service.calls.settle()
        await here.service.ledger.flush(timeout_s=WAIT_S)
        outcomes = []
        for row in rows:
            evidence = await _evidence(here, row, ways[row.way], played[row])
            found = [played[row].trouble] if played[row].trouble else []
            found += ["the call is not in the ledger"] if evidence is None else []
            if evidence is not None and not found:
                found += await asyncio.to_thread(faults, evidence)
            outcomes.append(Outcome(row, tuple(found)))
        return outcomes + await _left_behind(here, rows[0])


async def _tell_the_dialplan(here: Rig) -> None:
    # Queue's gosub is argument 7 in 22 and 8 in 16 (asterisk-facts.md).
    gap = ",," if here.pbx.release is Release.V16 else ","
    values = {"QUEUE_GAP": gap, "LIMIT_HZ": str(hz(Phase.TALK, Speaker.ANNOUNCER))}
    values |= {f"NODE_{entry.name.lower()}": entry.node for entry in Entry}
    for name, value in values.items():
        await here.rx(f"dialplan set global {name} {value}")


async def _play_all(here: Rig, ways: Mapping[str, Way], rows: Iterable[Row]) -> dict[Row, _Played]:
    gate = asyncio.Semaphore(AT_ONCE)
    clock = MediaClock()
    program = AmiClient(
        AmiSettings(
            port=here.pbx.ports.ami_tcp,
            username=here.pbx.test_user,
            secret=here.pbx.secrets.test,
            action_timeout_ms=10_000,
            event_classes=("system",),
        )
    )
    played: dict[Row, _Played] = {}

    async def one(row: Row) -> None:
        way = ways[row.way]
        async with gate, Scene(here, program, row, clock, way.first_sequence) as scene:
            trouble = ""
            try:
                await way.begin(scene)
                await way.script(scene)
            except Exception as error:  # noqa: BLE001 - every row is to be played and reported
                trouble = _trouble(error, scene)
            played[row] = _Played(trouble, scene.said_s)

    await program.start()
    try:
        await program.wait_ready(10_000)
        await asyncio.gather(*(one(row) for row in rows))
    finally:
        await program.close()
    return played


def _trouble(error: Exception, scene: Scene) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [one.line for one in frames if "/matrix/" in one.filename]
    line = lines[1] if len(lines) > 1 else ""
    steps = " | ".join(scene.log.said[-6:])
    return f"{type(error).__name__}: {error} at `{line}` after {steps}"


async def _evidence(here: Rig, row: Row, way: Way, played: _Played) -> Evidence | None:
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
        said_s=played.said_s,
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
