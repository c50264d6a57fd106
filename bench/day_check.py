"""Holds the ledger of the simulated day against what its calls asked; it changes nothing.

It reads the database by SQL and the peer's journal, and has `turnrec verify` walk the chain.
"""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Final

_MOST_NAMED: Final = 20
_AMISS: Final = ("alarm", "entry_lost", "action_failed", "action_refused", "monitor_lost")
"""Kinds of entries that no such day has."""

_AskedOf = Mapping[str, tuple[list[str], int]]
"""Of each channel's uniqueid: the turns that were asked, and how many recordings they come to."""
_Complain = Callable[[str, str], None]


@dataclass(slots=True)
class Checked:
    """What came of it."""

    entries: int = 0
    calls: int = 0
    turns: int = 0
    recordings: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    amiss: list[str] = field(default_factory=list)
    """What isn't as it should be, as sentences; the first ones of each sort."""
    verify_status: int | None = None
    verify_s: float = 0.0
    sampled: int = 0
    sample_status: int | None = None
    ledger_mib: float = 0.0


def check(ledger: Path, journal: Path, recordings: Path, spool: Path) -> Checked:
    """Compare everything with everything. turnrec must have ended."""
    found = Checked(ledger_mib=round(ledger.stat().st_size / 2**20, 1))
    complaints: Counter[str] = Counter()

    def complain(sort: str, what: str) -> None:
        complaints[sort] += 1
        if complaints[sort] <= _MOST_NAMED:
            found.amiss.append(f"{sort}: {what}")

    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        found.kinds = dict(database.execute("SELECT kind, count(*) FROM entries GROUP BY kind"))
        found.entries = sum(found.kinds.values())
        last = database.execute("SELECT max(seq) FROM entries").fetchone()[0]
        if last != found.entries:
            complain("hole in the ledger", f"{found.entries} entries, the last is {last}")
        for kind in _AMISS:
            if found.kinds.get(kind):
                complain("unexpected entries", f"{found.kinds[kind]} {kind}")
        asked = dict(_asked(journal))
        _check_calls(database, asked, found, complain)
        _check_recordings(database, asked, recordings, found, complain)
    for part in spool.iterdir():
        complain("part left over", part.name)
    found.amiss += [
        f"{sort}: {count} in all" for sort, count in complaints.items() if count > _MOST_NAMED
    ]
    return found


def _asked(journal: Path) -> Iterator[tuple[str, tuple[list[str], int]]]:
    with journal.open(encoding="utf-8") as lines:
        for line in lines:
            uniqueid, nodes, count = json.loads(line)
            yield uniqueid, ([sys.intern(node) for node in nodes], count)


def _check_calls(
    database: sqlite3.Connection, asked: _AskedOf, found: Checked, complain: _Complain
) -> None:
    """Each call begins once, ends once, and has exactly the turns that were asked."""
    told: dict[str, list[str]] = {}
    for uniqueid, node in database.execute(
        "SELECT uniqueid, node FROM entries WHERE kind = 'turn_begun' ORDER BY seq"
    ):
        told.setdefault(uniqueid, []).append(sys.intern(node))
        found.turns += 1
    for uniqueid, (nodes, _) in asked.items():
        if told.get(uniqueid) != nodes:
            pairs = zip_longest(nodes, told.get(uniqueid, []))
            number = next((n for n, (one, other) in enumerate(pairs) if one != other), None)
            complain("turns of a call", f"{uniqueid} differs from what was asked at {number}")
    for uniqueid in told.keys() - asked.keys():
        complain("turns of a call that nobody made", uniqueid)
    for kind in ("call_started", "call_ended"):
        counts = Counter(
            row[0]
            for row in database.execute("SELECT uniqueid FROM entries WHERE kind = ?", (kind,))
        )
        for uniqueid in asked.keys() | counts.keys():
            if uniqueid not in asked or counts[uniqueid] != 1:
                complain(kind, f"{counts[uniqueid]} times for {uniqueid}")
    found.calls = database.execute("SELECT count(*) FROM calls WHERE ended_us > 0").fetchone()[0]


def _check_recordings(
    database: sqlite3.Connection,
    asked: _AskedOf,
    folder: Path,
    found: Checked,
    complain: _Complain,
) -> None:
    """Each recording that was opened is closed once, whole, and its file and manifest are there."""
    # Names alone: a quarter of a million of them.
    files = {str(path.relative_to(folder)) for path in folder.glob("*/*")}
    counts: Counter[str] = Counter()
    closed: Counter[str] = Counter()
    for uniqueid, recording_id, result, detail in database.execute(
        "SELECT uniqueid, recording_id, result, detail FROM entries WHERE kind = 'recording_closed'"
    ):
        counts[uniqueid] += 1
        closed[recording_id] += 1
        known = json.loads(detail)
        file = known.get("file")
        if result != "ok" or known.get("status") != "done":
            complain("recording not whole", recording_id)
        if known.get("samples") == 0 and file is None:
            continue  # nothing was ever audible: there is a manifest, and no sound
        for name in (file, f"{Path(file).parent.name}/{known.get('manifest')}"):
            if name not in files:
                complain("file missing", str(name))
    for uniqueid, (_, count) in asked.items():
        if counts[uniqueid] != count:
            complain(
                "recordings of a call", f"{uniqueid} has {counts[uniqueid]} instead of {count}"
            )
    opened = {
        row[0]
        for row in database.execute(
            "SELECT recording_id FROM entries WHERE kind = 'recording_opened'"
        )
    }
    for recording_id in opened | closed.keys():
        if closed[recording_id] != 1 or recording_id not in opened:
            complain("recording", f"{recording_id} was closed {closed[recording_id]} times")
    found.recordings = len(opened)


def verify(found: Checked, ledger: Path, recordings: Path, sample: int, passing: Path) -> None:
    """Have `turnrec verify` walk the whole ledger, and look at a sample of the recordings."""
    began_s = time.monotonic()
    found.verify_status = _turnrec("verify", str(ledger))
    found.verify_s = round(time.monotonic() - began_s, 1)
    manifests = sorted(recordings.glob("*/*.json"))
    dice = random.Random(1)  # noqa: S311 - no secret
    passing.mkdir()
    chosen = dice.sample(manifests, min(sample, len(manifests)))
    for manifest in chosen:
        for path in (manifest, manifest.with_suffix(".wav")):
            if path.exists():
                (passing / path.name).hardlink_to(path)
    found.sampled = len(chosen)
    found.sample_status = _turnrec("verify", str(passing), "--ledger", str(ledger))


def _turnrec(*arguments: str) -> int:
    done = subprocess.run(  # noqa: S603 - this Python, our own module
        [sys.executable, "-m", "turnrec", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stdout[-4000:])
    return done.returncode
