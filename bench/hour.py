"""`python -m bench hour`: joining, proving and verifying a recorded call of one hour, and of two.

Real parts on a real disk, joined by what joins in the server; each step in a process of its own, so
that its memory can be seen. Memory that grows with the call's length would show in the difference
between the lengths.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from turnrec.core.call import FinishedRecording
from turnrec.core.entry import JSON, Entry, EntryKind, Origin
from turnrec.core.policy import Action, PauseBehavior, PauseMethod
from turnrec.core.recorder import Source, State
from turnrec.core.timeline import Gap, Segment
from turnrec.ledger.store import Ledger
from turnrec.proof import ProvingCloser
from turnrec.recordings.closer import Closer
from turnrec.recordings.wav_writer import WavWriter
from turnrec.verify.run import Evidence, verify

_RATE_HZ: Final = 8000
_US: Final = 1_000_000
_T0_US: Final = 1_700_000_000 * _US
_OPEN_S, _PAUSED_S = 50, 10
_AIM: Final = 1000
_ID: Final = "HOUR"


@dataclass(frozen=True, slots=True)
class Measured:
    """One step on one length of call."""

    step: str
    call_s: int
    took_s: float
    cpu_s: float
    before_mib: float
    """Resident when the step began: interpreter and libraries."""
    peak_mib: float

    @property
    def real_time(self) -> float:
        """How many seconds of call a second does."""
        return self.call_s / self.took_s


def main(arguments: Sequence[str]) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench hour", description=__doc__)
    parser.add_argument("--minutes", default="15,60,120", help="lengths [default: 15,60,120]")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args(arguments)
    measured: list[Measured] = []
    for minutes in map(int, given.minutes.split(",")):
        with tempfile.TemporaryDirectory(prefix="turnrec-hour-") as folder:
            _apart(_write_parts, Path(folder), minutes * 60)
            measured += [
                _apart(step, Path(folder), minutes * 60)
                for step in (_close, _verify_with_parts, _verify)
            ]
    if given.json:
        sys.stdout.write(json.dumps([asdict(one) for one in measured], indent=2) + "\n")
        return
    columns = ("step", "call", "s", "CPU s", "x real time", "MiB before", "peak MiB")
    table = Table(*columns, title=f"aim: {_AIM} x real time, memory flat")
    for one in measured:
        table.add_row(
            one.step,
            f"{one.call_s // 60} min",
            f"{one.took_s:.2f}",
            f"{one.cpu_s:.2f}",
            f"{one.real_time:.0f}",
            f"{one.before_mib:.0f}",
            f"{one.peak_mib:.0f}",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _apart(step: Callable[[Path, int], None], folder: Path, call_s: int) -> Measured:
    """Run a step in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure, (step, folder, call_s))


def _measure(step: Callable[[Path, int], None], folder: Path, call_s: int) -> Measured:
    before = _peak_mib()
    cpu, clock = time.process_time(), time.perf_counter()
    step(folder, call_s)
    return Measured(
        step.__name__.strip("_").replace("_", " "),
        call_s,
        time.perf_counter() - clock,
        time.process_time() - cpu,
        before,
        _peak_mib(),
    )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ------------------------------------------------------------------ the call


def _finished(call_s: int) -> FinishedRecording:
    """A call that is paused for 10 seconds of each minute."""
    starts_us = [_T0_US + minute * 60 * _US for minute in range(call_s // 60)]
    return FinishedRecording(
        id=_ID,
        call_id="CALL",
        bot="kyc",
        opened_us=_T0_US,
        closed_us=starts_us[-1] + 60 * _US,
        segments=tuple(
            Segment(number, f"{_ID}-{number:03d}.wav", at_us, at_us + _OPEN_S * _US)
            for number, at_us in enumerate(starts_us, start=1)
        ),
        gaps=tuple(
            Gap(at_us + _OPEN_S * _US, at_us + (_OPEN_S + _PAUSED_S) * _US, ("turn",), "ask")
            for at_us in starts_us
        ),
        behavior=PauseBehavior.SILENCE,
        method=PauseMethod.SEGMENT,
    )


def _write_parts(folder: Path, call_s: int) -> None:
    (folder / "spool").mkdir()
    noise = np.random.default_rng(7)
    for segment in _finished(call_s).segments:
        samples = noise.integers(-8000, 8000, _OPEN_S * _RATE_HZ, dtype=np.int16)
        with WavWriter(folder / "spool" / segment.part, _RATE_HZ) as writer:
            writer.write(samples)
            writer.seal()
            writer.publish()


async def _at_once(_part: str, _within_ms: int) -> bool:
    return True


def _house(folder: Path) -> tuple[Ledger, Closer, ProvingCloser]:
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
    closer = Closer(folder / "spool", folder / "recordings", _at_once)
    return ledger, closer, ProvingCloser(closer, ledger, lambda: _T0_US, lambda: "22")


def _close(folder: Path, call_s: int) -> None:
    """Join, hash, read back, write the manifest, enter it."""

    async def close() -> None:
        ledger, closer, proving = _house(folder)
        finished = _finished(call_s)
        _tell(ledger, finished)
        done = await proving.close(finished)
        if not done.ok:
            raise AssertionError(done.detail)
        _enter(ledger, EntryKind.RECORDING_CLOSED, finished.closed_us + _US, **dict(done.detail))
        closer.shut_down()
        await ledger.close()

    asyncio.run(close())


def _verify_with_parts(folder: Path, _call_s: int) -> None:
    """What `turnrec verify` does where the parts were kept."""
    _verify_by(folder, folder / "spool")


def _verify(folder: Path, _call_s: int) -> None:
    """What it does without them, as is usual."""
    _verify_by(folder, None)


def _verify_by(folder: Path, parts_dir: Path | None) -> None:
    evidence = Evidence(ledger=str(folder / "ledger.db"), parts_dir=parts_dir)
    outcome = verify(str(folder / "recordings"), evidence)
    if outcome.status != 0 or len(outcome.recordings) != 1:
        raise AssertionError(outcome.reports)


def _tell(ledger: Ledger, finished: FinishedRecording) -> None:
    """What the main path would have entered."""
    _enter(ledger, EntryKind.CALL_STARTED, _T0_US, bot="kyc", channel="PJSIP/bench")
    _enter(ledger, EntryKind.RECORDING_OPENED, _T0_US, bot="kyc")
    for segment in finished.segments:
        began_us, ended_us = segment.began_us, segment.ended_us or 0
        if segment.number > 1:
            _enter(ledger, EntryKind.ACTION_ASKED, began_us - 90_000, Action.RESUME)
        _enter(
            ledger,
            EntryKind.SEGMENT_BEGAN,
            began_us + 700,
            Action.RESUME,
            number=segment.number,
            part=segment.part,
            asked_us=began_us - 700 if segment.number > 1 else began_us,
            answered_us=began_us,
        )
        _enter(ledger, EntryKind.ACTION_DONE, began_us + 900, Action.RESUME, State.RECORDING)
        _enter(ledger, EntryKind.ACTION_ASKED, ended_us - 1500, Action.PAUSE)
        _enter(
            ledger,
            EntryKind.SEGMENT_ENDED,
            ended_us + 500,
            Action.PAUSE,
            number=segment.number,
            part=segment.part,
            asked_us=ended_us - 700,
            answered_us=ended_us,
            proof="monitor gone, file closed",
        )
        _enter(ledger, EntryKind.ACTION_DONE, ended_us + 700, Action.PAUSE, State.PAUSED)


def _enter(
    ledger: Ledger,
    kind: EntryKind,
    at_us: int,
    action: Action | None = None,
    state: State | None = None,
    **detail: JSON,
) -> None:
    ledger.append(
        Entry(
            kind=kind,
            at_us=at_us,
            call_id="CALL",
            uniqueid="1.1",
            recording_id=None if kind is EntryKind.CALL_STARTED else _ID,
            source=Source.TURN,
            actor="bot:kyc",
            origin=Origin.AGI,
            action=action,
            state=state,
            holds=(Source.TURN,) if state is State.PAUSED else (),
            detail=detail,
        )
    )
