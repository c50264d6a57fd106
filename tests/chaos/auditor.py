"""The auditor: judges a run by its files and by the journal of what was sent; knows no turnrec.

    python tests/chaos/auditor.py --journal J.jsonl --recordings DIR --spool DIR --ledger FILE

It imports nothing of the product and nothing of the tests, so that a mistake of theirs can't be
its own: tones are looked for with its own windows, WAV files are taken apart by their bytes, the
ledger is read by SQL and its chain is computed again from what docs/manifest.md and the schema say.

It reports leaked windows, lost open audio, recordings without a call, calls without a recording,
holes in the ledger, and calls that were dropped or stuck; each with its file and place. Exit
status 0 only if there is none.

The journal holds one JSON object a line, times in UTC microseconds:

    {"kind": "dialled", "call", "at_us", "bot", "loss", "jitter_ms"}   a caller was answered
    {"kind": "mark", "call", "uniqueid", "at_us", "name", "turn", "status", "error", "state"}
                                                              what turnrec told the bot
    {"kind": "tone", "call", "hz", "packets", "first_packet", "from_us", "to_us", "in_time"}
                                                              packets of 20 ms, sent in a row
    {"kind": "ended", "call", "at_us", "how"}                 end, hung_up, cut, dropped, stuck
    {"kind": "fault", "name", "from_us", "to_us"}             what was broken meanwhile
    {"kind": "problem", "place", "says"}                      what the runner itself saw go wrong
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

FORBIDDEN_HZ: Final = (1000, 1300)
BOT_HZ: Final = 400
CALLER_HZ: Final = 500
_LACKING: Final = re.compile(r"part \S+: ([0-9.]+) s lie between its length and its monitor's time")
AMPLITUDE: Final = 8000.0
RATE_HZ: Final = 8000
PACKET_US: Final = 20_000
SECOND_US: Final = 1_000_000

LOUD: Final = 0.4
"""Of a tone's own amplitude: whatever merely begins or ends stays below 0.32 of another's."""
FAINT: Final = 0.045
FAINT_WINDOWS: Final = 10
"""A faint tone must last 25 ms: what an edge smears over the spectrum is over before."""
HOP: Final = 20
WINDOW: Final = 80

UNFLUSHED_S: Final = 2.1
"""Asterisk writes a part in steps of 32 KiB: so much of one is lost when it is killed."""
EDGE_US: Final = 100_000
"""At either end of a stretch: audio on its way, and the first packet, which MixMonitor misses."""
SLACK_SHARE: Final = 0.05
LOSS_SLACK, JITTER_SLACK = 0.1, 0.05
"""Which packets the network lost isn't known, only how many on the average; what comes 40 ms late
may be dropped by Asterisk."""
SLACK_S: Final = 0.15
AFTER_FREEZE_US: Final = 500_000

Samples = npt.NDArray[np.int16]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where."""

    kind: str
    place: str
    says: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.place}: {self.says}"


@dataclass(slots=True)
class Report:
    """What an audit came to."""

    findings: list[Finding] = field(default_factory=list)
    numbers: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def of(self, kind: str) -> list[Finding]:
        """The findings of one kind."""
        return [one for one in self.findings if one.kind == kind]

    def add(self, kind: str, place: str, says: str) -> None:
        """Enter a finding."""
        self.findings.append(Finding(kind, place, says))

    def text(self) -> str:
        """For people."""
        lines = [str(one) for one in self.findings]
        lines += [f"{count:8d} {what}" for what, count in sorted(self.numbers.items())]
        lines += [f"{value:8.1f} s {what}" for what, value in sorted(self.seconds.items())]
        lines.append("CLEAN" if self.is_clean else f"{len(self.findings)} FINDINGS")
        return "\n".join(lines)


# ------------------------------------------------------------------ sound


def channels_of(path: Path) -> list[Samples]:
    """A WAV file's channels, by its bytes; its header may give no size (its writer died)."""
    data = path.read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return [np.frombuffer(data[: len(data) // 2 * 2], "<i2")]
    count, at = 1, 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        if name == b"fmt ":
            count = int.from_bytes(data[at + 2 : at + 4], "little") or 1
        if name == b"data":
            break
        at += size + size % 2
    # Whatever the header says: all that lies on the disk can be listened to.
    sound = np.frombuffer(data[at : at + (len(data) - at) // (2 * count) * 2 * count], "<i2")
    return [sound[n::count].astype(np.int16) for n in range(count)]


def shares(sound: Samples, hz: int, hop: int = HOP) -> npt.NDArray[np.float64]:
    """How loud a tone is in each window of 10 ms, as a share of its own amplitude."""
    padded = np.concatenate([np.zeros(WINDOW - hop), sound, np.zeros(WINDOW - hop)])
    turn = 2 * np.pi * hz * np.arange(len(padded)) / RATE_HZ
    # Running sums: a window's correlation is the difference of two of them.
    real = np.concatenate([[0.0], np.cumsum(padded * np.cos(turn))])
    imaginary = np.concatenate([[0.0], np.cumsum(padded * np.sin(turn))])
    starts = np.arange(0, max(1, len(padded) - WINDOW + 1), hop)
    ends = np.minimum(starts + WINDOW, len(padded))
    size = np.hypot(real[ends] - real[starts], imaginary[ends] - imaginary[starts])
    found: npt.NDArray[np.float64] = 2 * size / WINDOW / AMPLITUDE
    return found


def leaked_windows(sound: Samples) -> list[tuple[int, int, int, float]]:
    """(frequency, first sample, number of 10 ms windows, loudest share) of each leak."""
    found = []
    for hz in FORBIDDEN_HZ:
        loud = shares(sound, hz)
        flags = np.concatenate([[False], loud > FAINT, [False]]).astype(np.int8)
        edges = np.flatnonzero(np.diff(flags))
        for first, after in edges.reshape(-1, 2):
            peak = float(loud[first:after].max())
            if peak > LOUD or after - first >= FAINT_WINDOWS:
                sample = max(0, int(first) * HOP - (WINDOW - HOP))
                found.append((hz, sample, max(1, int(after - first) * HOP // WINDOW), peak))
    return found


def seconds_of(sound: Samples, hz: int) -> float:
    """For how long a tone sounds."""
    if len(sound) < WINDOW:
        return 0.0
    loud = shares(sound, hz, WINDOW)
    loud = np.where(loud > 0.1, np.minimum(loud, 1.0), 0.0)
    # Coded twice, or decoded from another codec, a tone keeps 0.9 of its amplitude: it is there.
    return float(np.where(loud > 0.85, 1.0, loud).sum()) * WINDOW / RATE_HZ


# ------------------------------------------------------------------ the journal


@dataclass(slots=True)
class Told:
    """A turn that turnrec has told the bot is recorded: what is said in it must be there."""

    from_us: int
    to_us: int
    is_whole: bool
    """Whether the bot's prompt was said to its end."""


@dataclass(slots=True)
class Called:
    """One call, as its caller knows it."""

    name: str
    bot: str = ""
    loss: float = 0.0
    jitter_ms: float = 0.0
    uniqueid: str = ""
    tones: list[Json] = field(default_factory=list)
    marks: list[Json] = field(default_factory=list)
    how: str = ""
    ended_us: int = 0

    def open_turns(self) -> Iterator[Told]:
        """Every stretch that was confirmed as recorded, to the mark that follows."""
        since: Json | None = None
        for mark in self.marks:
            if since is not None:
                yield Told(since["at_us"], mark["at_us"], mark["name"] == "opened")
                since = None
            if mark["name"] == "open" and is_recorded(mark):
                since = mark
        if since is not None and self.ended_us:
            yield Told(since["at_us"], self.ended_us, is_whole=False)

    @property
    def slack(self) -> float:
        """Which share of what was said may be missing without anybody's fault."""
        return SLACK_SHARE + LOSS_SLACK * bool(self.loss) + JITTER_SLACK * bool(self.jitter_ms)

    @property
    def was_recorded(self) -> bool:
        """Whether the bot was ever told that the call is recorded."""
        return any(is_recorded(mark) for mark in self.marks)


def is_recorded(mark: Json) -> bool:
    """Whether turnrec has said that the call is recorded now."""
    return bool(mark.get("status") == "OK" and mark.get("state") == "recording")


@dataclass(slots=True)
class Journal:
    """What the callers and the runner wrote down."""

    calls: dict[str, Called] = field(default_factory=dict)
    faults: list[Json] = field(default_factory=list)
    problems: list[Json] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Read it; a line that is cut off at the end is left out."""
        journal = cls()
        for line in path.read_text("utf-8").splitlines():
            try:
                one: Json = json.loads(line)
            except ValueError:
                continue
            if one["kind"] == "fault":
                journal.faults.append(one)
            elif one["kind"] == "problem":
                journal.problems.append(one)
            if "call" not in one:
                continue
            call = journal.calls.setdefault(one["call"], Called(one["call"]))
            if one["kind"] == "dialled":
                call.bot = one.get("bot", "")
                call.loss = float(one.get("loss", 0.0))
                call.jitter_ms = float(one.get("jitter_ms", 0.0))
            elif one["kind"] == "mark":
                call.uniqueid = one.get("uniqueid") or call.uniqueid
                call.marks.append(one)
            elif one["kind"] == "tone":
                call.tones.append(one)
            elif one["kind"] == "ended":
                call.how, call.ended_us = one["how"], one["at_us"]
        for call in journal.calls.values():
            call.marks.sort(key=lambda mark: int(mark["at_us"]))
        return journal

    def when(self, *names: str) -> list[tuple[int, int]]:
        """The stretches of time of the faults whose names begin so."""
        return [
            (int(one["from_us"]), int(one["to_us"]))
            for one in self.faults
            if one["name"].startswith(names)
        ]


def overlap_us(from_us: int, to_us: int, others: Iterable[tuple[int, int]]) -> int:
    """How much of a stretch the others cover (they may overlap each other)."""
    covered, reached = 0, from_us
    for begin, end in sorted(others):
        begin = max(begin, reached)
        if end > begin and begin < to_us:
            covered += min(end, to_us) - begin
            reached = min(end, to_us)
    return covered


# ------------------------------------------------------------------ the ledger

COLUMNS: Final = [
    "seq",
    "at_us",
    "kind",
    "call_id",
    "uniqueid",
    "recording_id",
    "source",
    "actor",
    "origin",
    "action",
    "node",
    "turn",
    "state",
    "holds",
    "result",
    "detail",
    "prev_hash",
    "hash",
]
OUTCOMES: Final = ("action_done", "action_refused", "action_failed")


@dataclass(slots=True)
class Ledger:
    """The entries, as they lie in the database."""

    entries: list[Json]

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Read all entries. It changes nothing."""
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30) as database:
            rows = database.execute(f"SELECT {', '.join(COLUMNS)} FROM entries ORDER BY seq")
            return cls([dict(zip(COLUMNS, row, strict=True)) for row in rows])

    def of_alarm(self, name: str) -> Iterator[Json]:
        """The alarms of one name."""
        return (one for one in self.kind("alarm") if one["result"] == name)

    def kind(self, *kinds: str) -> Iterator[Json]:
        """The entries of some kinds."""
        return (one for one in self.entries if one["kind"] in kinds)


def hash_of(entry: Mapping[str, Any]) -> str:
    """SHA-256 over all columns but `hash`: JSON, keys sorted, no spaces, ASCII."""
    columns = {name: value for name, value in entry.items() if name != "hash"}
    text = json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def audit_chain(ledger: Ledger, report: Report) -> None:
    """Every entry follows the one before, and is what was hashed."""
    seq, last = 0, "0" * 64
    for entry in ledger.entries:
        place = f"ledger entry {entry['seq']}"
        if entry["seq"] != seq + 1:
            report.add("ledger hole", place, f"entries {seq + 1} to {entry['seq'] - 1} are missing")
        if entry["prev_hash"] != last:
            report.add("ledger hole", place, "it does not follow the entry before it")
        if hash_of(entry) != entry["hash"]:
            report.add("ledger hole", place, "it is not what was hashed")
        seq, last = entry["seq"], entry["hash"]
    report.numbers["ledger entries"] = len(ledger.entries)


def audit_outcomes(ledger: Ledger, report: Report) -> None:
    """Whatever was asked has an outcome, or a crash came between, and the ledger says so."""
    asked: dict[str, Json] = {}
    is_running = False
    for entry in ledger.entries:
        kind, call = entry["kind"], entry["call_id"]
        if kind == "server_started":
            if is_running:
                report.numbers["crashes of the server, as the ledger tells"] += 1
                report.numbers["asked, and a crash came before the outcome"] += len(asked)
            else:
                _without_outcome(asked.values(), report)
            asked.clear()
            is_running = True
        elif kind == "server_stopped":
            is_running = False
        elif kind == "entry_lost":
            report.numbers["entries lost, as the ledger tells"] += int(
                json.loads(entry["detail"]).get("count", 0)
            )
            asked.pop(call, None)
        elif kind == "action_asked":
            report.numbers["actions asked"] += 1
            if call in asked and not _is_renewed(entry, asked[call]):
                _without_outcome([asked[call]], report)
            asked[call] = entry
        elif kind in OUTCOMES and call is not None:
            asked.pop(call, None)
    _without_outcome(asked.values(), report)
    if not is_running and not any(ledger.kind("server_started")):
        report.add("ledger hole", "ledger", "no server was ever started")


def _is_renewed(entry: Json, before: Json) -> bool:
    """A turn's resume that found its monitor gone is asked anew, as the same action."""
    return all(entry[name] == before[name] for name in ("action", "turn", "source"))


def _without_outcome(asked: Iterable[Json], report: Report) -> None:
    for one in asked:
        place = f"ledger entry {one['seq']} (call {one['call_id']})"
        report.add("ledger hole", place, f"{one['action']} was asked for and has no outcome")


def audit_told(ledger: Ledger, journal: Journal, report: Report) -> None:
    """As many turns are entered as bots were told of, but for those that a crash has lost."""
    # A turn whose predecessor turnrec never heard of may be the one before again, to it.
    begun = Counter((entry["uniqueid"], entry["node"]) for entry in ledger.kind("turn_begun"))
    begun |= Counter((entry["uniqueid"], entry["node"]) for entry in ledger.kind("action_done"))
    crashes = list(_crashes(ledger))
    is_set = bool(journal.when("clock"))
    for call in journal.calls.values():
        told: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        for mark in call.marks:
            if mark.get("status") == "OK" and mark.get("turn"):
                told[mark["name"]] += 1
                at_us = mark["at_us"]
                lost[mark["name"]] += is_set or any(a <= at_us <= b for a, b in crashes)
        for node, count in told.items():
            missing = count - begun[call.uniqueid, node]
            if missing > lost[node]:
                says = f"its bot was told OK in {count} turns {node}, {missing} are not entered"
                report.add("ledger hole", f"{call.name} (channel {call.uniqueid})", says)
            elif missing > 0:
                report.numbers["turns told, and lost by a crash of the server"] += missing


def _crashes(ledger: Ledger) -> Iterator[tuple[int, int]]:
    """From the last entry that was written in time to the next start, around each crash."""
    before: Json | None = None
    for entry in ledger.entries:
        is_start = entry["kind"] == "server_started"
        if is_start and before is not None and before["kind"] != "server_stopped":
            yield before["at_us"] - SECOND_US, entry["at_us"]
        before = entry


# ------------------------------------------------------------------ recordings


@dataclass(slots=True)
class Recording:
    """One recording, as the ledger tells of it."""

    id: str
    call_id: str | None = None
    uniqueid: str | None = None
    opened: Json | None = None
    closed: Json | None = None
    redacts: bool = False

    @property
    def detail(self) -> Json:
        """What was entered at its close."""
        return {} if self.closed is None else json.loads(self.closed["detail"])

    @property
    def is_lost_and_said_so(self) -> bool:
        """Whether no file could be made, and the ledger says that and why."""
        detail = self.detail
        failed = detail.get("status") == "failed" and bool(detail.get("problems"))
        return failed and not detail.get("spans")

    @property
    def spans(self) -> list[Json]:
        """What lies where in its file."""
        return list(self.detail.get("spans") or ())


def recordings_of(ledger: Ledger) -> dict[str, Recording]:
    """All recordings that the ledger knows."""
    found: dict[str, Recording] = {}
    for entry in ledger.entries:
        name = entry["recording_id"]
        if not name:
            continue
        one = found.setdefault(name, Recording(name))
        one.call_id = one.call_id or entry["call_id"]
        one.uniqueid = one.uniqueid or entry["uniqueid"]
        if entry["kind"] == "recording_opened":
            one.opened = entry
        elif entry["kind"] == "recording_closed":
            if one.closed is not None:
                one.closed = {**entry, "again": True}
            one.closed = entry
    return found


@dataclass
class Files:
    """Everything with sound in it."""

    recordings: Path
    spool: Path

    def wavs(self) -> list[Path]:
        """Joined files, and those that were put aside because no entry names them."""
        names = ("*.wav", "*.stray")
        found = {one for name in names for one in self.recordings.rglob(name) if one.is_file()}
        return sorted(found)

    @cached_property
    def parts_of(self) -> dict[str, list[Path]]:
        """The parts by the recording that their names say."""
        found: dict[str, list[Path]] = defaultdict(list)
        for path in self.parts():
            found[path.stem.rpartition("-")[0]].append(path)
        return found

    def parts(self) -> list[Path]:
        """Whatever Asterisk has left."""
        return sorted(one for one in self.spool.rglob("*") if one.is_file())


def audit_leaks(files: Files, report: Report) -> None:
    """No window of any file may hold what was said in a paused turn."""
    for path in (*files.wavs(), *files.parts()):
        for number, sound in enumerate(channels_of(path)):
            report.numbers["windows of 10 ms looked at"] += len(sound) // WINDOW
            for hz, sample, windows, peak in leaked_windows(sound):
                place = f"{path.name} at {sample / RATE_HZ:.3f} s (channel {number + 1})"
                says = f"{hz} Hz in {windows} windows of 10 ms, {peak:.2f} of its amplitude"
                report.add("leaked windows", place, says)
                report.numbers["leaked windows"] += windows
    report.numbers["joined files"] = len(files.wavs())
    report.numbers["parts"] = len(files.parts())


def audit_books(ledger: Ledger, files: Files, journal: Journal, report: Report) -> None:
    """Calls have their recordings, recordings their calls, and files are what was hashed."""
    recordings = recordings_of(ledger)
    by_uniqueid: dict[str, list[Recording]] = defaultdict(list)
    for one in recordings.values():
        by_uniqueid[one.uniqueid or ""].append(one)
    known = {call.uniqueid for call in journal.calls.values() if call.uniqueid}
    ended = {entry["call_id"] for entry in ledger.kind("call_ended")}
    begun = {entry["call_id"]: entry for entry in ledger.kind("call_started")}
    for call_id, entry in begun.items():
        if call_id not in ended:
            place = f"ledger entry {entry['seq']} (call {call_id})"
            report.add("ledger hole", place, "the call began and has no end")
    for one in recordings.values():
        _audit_recording(one, known, begun, files, report)
    named = {one.detail.get("file") for one in recordings.values()}
    for path in files.wavs():
        if path.name.endswith((".stereo.wav", ".stray")):
            continue
        if str(path.relative_to(files.recordings)) not in named:
            report.add(
                "recording without a call", str(path.name), "no ledger entry names this file"
            )
    told_of = " ".join(entry["detail"] for entry in ledger.of_alarm("stray-parts"))
    for path in files.parts():
        if path.suffix != ".wav" or path.stem.split("-")[0] in recordings:
            continue
        if path.name in told_of:
            report.numbers["parts of no recording, as the ledger tells"] += 1
        else:
            report.add("recording without a call", path.name, "a part whose recording nobody knows")
    crashes = list(_crashes(ledger))
    for call in journal.calls.values():
        if call.was_recorded and not by_uniqueid.get(call.uniqueid):
            told = [int(mark["at_us"]) for mark in call.marks if is_recorded(mark)]
            if all(any(begin <= at <= end for begin, end in crashes) for at in told):
                report.numbers["calls told, and lost by a crash of the server"] += 1
                continue
            says = f"the bot was told that it is recorded; channel {call.uniqueid} has no recording"
            report.add("call without a recording", call.name, says)
    report.numbers["calls"] = len(journal.calls)
    report.numbers["calls in the ledger"] = len(begun)
    report.numbers["recordings"] = len(recordings)


def _audit_recording(
    one: Recording, known: set[str], begun: Mapping[str, Json], files: Files, report: Report
) -> None:
    place = f"recording {one.id}"
    if one.call_id not in begun and not one.detail.get("redacts"):
        report.add("recording without a call", place, f"no call {one.call_id} was ever begun")
    elif one.uniqueid not in known:
        report.add("recording without a call", place, f"nobody called on channel {one.uniqueid}")
    if one.opened is None and not one.detail.get("redacts"):
        report.add("ledger hole", place, "it was never opened")
    if one.closed is None:
        report.add("ledger hole", place, "it was opened and never closed")
        return
    detail = one.detail
    report.numbers[f"recordings {detail.get('status')}"] += 1
    if detail.get("status") != "done" and not detail.get("problems"):
        report.add("ledger hole", place, "it failed, and the ledger doesn't say why")
    name = detail.get("file")
    if name is None:
        return
    path = files.recordings / name
    if not path.is_file():
        report.add("call without a recording", place, f"its file {name} is not there")
        return
    if hashlib.sha256(path.read_bytes()).hexdigest() != detail.get("sha256"):
        report.add("ledger hole", place, f"{name} is not the file that was hashed")
    _audit_manifest(path, detail, report)
    sound = channels_of(path)[0]
    for span in one.spans:
        if span["kind"] == "gap":
            gap = sound[span["start_sample"] : span["start_sample"] + span["samples"]]
            if gap.any():
                at_s = span["start_sample"] / RATE_HZ
                report.add("leaked windows", f"{name} at {at_s:.3f} s", "a gap is not silent")


def _audit_manifest(path: Path, detail: Json, report: Report) -> None:
    manifest = path.with_suffix(".json")
    if detail.get("manifest_sha256") is None:
        return
    if not manifest.is_file():
        report.add("ledger hole", manifest.name, "the manifest is not there")
    elif hashlib.sha256(manifest.read_bytes()).hexdigest() != detail["manifest_sha256"]:
        report.add("ledger hole", manifest.name, "it is not the manifest that was entered")


# ------------------------------------------------------------------ what was said and what is there


def audit_losses(ledger: Ledger, files: Files, journal: Journal, report: Report) -> None:
    """What was said in turns that turnrec called recorded is there, or its loss is stated."""
    by_uniqueid: dict[str, list[Recording]] = defaultdict(list)
    for one in recordings_of(ledger).values():
        by_uniqueid[one.uniqueid or ""].append(one)
    unseen = {entry["uniqueid"] for entry in ledger.of_alarm("ended-unseen")}
    for call in journal.calls.values():
        if call.uniqueid in unseen:
            report.numbers["calls whose end turnrec did not live to see, as the ledger tells"] += 1
        elif call.uniqueid and by_uniqueid.get(call.uniqueid):
            _audit_call(call, by_uniqueid[call.uniqueid], files, journal, report)


def _audit_call(
    call: Called, recordings: list[Recording], files: Files, journal: Journal, report: Report
) -> None:
    loaded = [(one, *_sound_of(one, files)) for one in recordings]
    frozen = [
        (begin, end + AFTER_FREEZE_US)
        for begin, end in journal.when("asterisk-freeze", "asterisk-kill", "disk-blocked")
    ]
    # A clock that was set makes the ledger's times another's than the callers'; and the one part of
    # a muted recording isn't placed anew after each pause. There all that was said is compared with
    # all that is there.
    is_placed = call.bot != "mute" and not journal.when("clock")
    if any(one.is_lost_and_said_so for one in recordings):
        report.numbers["calls with a recording that failed as a whole, as the ledger tells"] += 1
        return
    said = found = stated = 0.0
    worst: tuple[float, str] = (0.0, "")
    for turn in call.open_turns():
        begin, end = turn.from_us + EDGE_US, turn.to_us - EDGE_US
        said_s = _said_s(call, begin, end, frozen)
        if said_s <= 0:
            continue
        said += said_s
        stated += _stated_s(begin, end, loaded)
        if is_placed:
            found_s = sum(
                seconds_of(piece, CALLER_HZ)
                for one, sound, _ in loaded
                for piece in _pieces(one, sound, begin, end)
            )
            found += min(found_s, said_s)
            if said_s - found_s > worst[0]:
                worst = (said_s - found_s, f"the turn told at {turn.from_us} us")
    if not is_placed:
        found = min(said, sum(seconds_of(sound, CALLER_HZ) for _, sound, _ in loaded))
    mended_s = UNFLUSHED_S * sum(mended for _, _, mended in loaded)
    stated += sum(_left_out_s(one, files) for one in recordings)
    if not is_placed:
        stated += sum(_lacking_s(one) for one in recordings)
    lost = said - found
    report.seconds["of open audio said in turns called recorded"] += said
    report.seconds["of it in the files"] += found
    report.seconds["of it stated in the ledger as lost"] += min(max(lost, 0), stated + mended_s)
    allowed = stated + mended_s + call.slack * said + SLACK_S
    if lost > allowed:
        names = ", ".join(one.id for one in recordings)
        report.add(
            "lost open audio",
            f"{call.name} (channel {call.uniqueid}, {names})",
            f"{found:.2f} s of {said:.2f} s are there; the ledger states {stated + mended_s:.2f} s;"
            f" most is missing of {worst[1]}",
        )


def _left_out_s(one: Recording, files: Files) -> float:
    """What lies in parts that the ledger names as left out, and that are still in the spool."""
    problems = [str(text) for text in one.detail.get("problems") or ()]
    named = [text.split(" ")[1] for text in problems if " belongs to no segment; " in text]
    paths = [files.spool / name for name in named]
    return sum(seconds_of(channels_of(path)[0], CALLER_HZ) for path in paths if path.is_file())


def _lacking_s(one: Recording) -> float:
    """What the ledger says that parts lack, where it can't say where."""
    text = " ".join(map(str, one.detail.get("problems") or ()))
    return sum(map(float, _LACKING.findall(text)))


def _sound_of(one: Recording, files: Files) -> tuple[Samples, int]:
    """A recording's sound, and how many of its parts Asterisk died over.

    Of a recording without a file the parts, which are kept then, are what there is.
    """
    detail = one.detail
    mended = sum(bool(part.get("mended")) for part in detail.get("parts") or ())
    name = detail.get("file")
    if name is not None and (files.recordings / name).is_file():
        return channels_of(files.recordings / name)[0], mended
    parts = files.parts_of.get(one.id, [])
    sounds = [channels_of(path)[0] for path in parts]
    return (np.concatenate(sounds) if sounds else np.zeros(0, np.int16)), mended


def _pieces(one: Recording, sound: Samples, begin_us: int, end_us: int) -> Iterator[Samples]:
    """Where in the file the stretch lies: by the spans, as the ledger has them."""
    if one.detail.get("file") is None:
        yield sound  # its parts, unplaced
        return
    for span in one.spans:
        if span["kind"] != "segment":
            continue
        first, last = max(begin_us, span["begin_us"]), min(end_us, span["end_us"])
        if first < last:
            at = span["start_sample"] + (first - span["begin_us"]) * RATE_HZ // 1_000_000
            length = (last - first) * RATE_HZ // 1_000_000
            yield sound[at : min(at + length, span["start_sample"] + span["samples"])]


def _said_s(call: Called, begin_us: int, end_us: int, not_then: Sequence[tuple[int, int]]) -> float:
    """How long the caller's open tone was on the wire in time, within a stretch."""
    packets = 0.0
    for run in call.tones:
        if run["hz"] != CALLER_HZ or not run["packets"]:
            continue
        from_us, to_us = int(run["from_us"]), int(run["to_us"]) + PACKET_US
        first, last = max(begin_us, from_us), min(end_us, to_us)
        if first >= last:
            continue
        heard_us = last - first - overlap_us(first, last, not_then)
        packets += run["in_time"] * heard_us / max(1, to_us - from_us)
    return packets * PACKET_US / 1_000_000 * (1 - call.loss)


def _stated_s(
    begin_us: int,
    end_us: int,
    loaded: Sequence[tuple[Recording, Samples, int]],
) -> float:
    """How much of a stretch the ledger itself says is not recorded, and why."""
    stretches = [
        (span["begin_us"], span["end_us"])
        for one, _, _ in loaded
        for span in one.spans
        if span["kind"] in ("gap", "shortfall")
    ]
    return overlap_us(begin_us, end_us, stretches) / 1_000_000


def audit_calls(journal: Journal, report: Report) -> None:
    """No call was dropped or held up by turnrec, and nothing else was seen to go wrong."""
    for one in journal.problems:
        report.add("problem", one["place"], one["says"])
    for call in journal.calls.values():
        report.numbers[f"calls: {call.how or 'without an end'}"] += 1
        if call.how in ("dropped", "stuck", ""):
            last = call.marks[-1]["name"] if call.marks else "nothing"
            says = f"{call.how or 'no end'}; the last that its bot did: {last}"
            report.add("call dropped or stuck", f"{call.name} (channel {call.uniqueid})", says)


def audit(journal: Path, recordings: Path, spool: Path, ledger: Path) -> Report:
    """Judge one run."""
    report = Report()
    heard, files = Journal.read(journal), Files(recordings, spool)
    audit_leaks(files, report)
    audit_calls(heard, report)
    try:
        entries = Ledger.read(ledger)
    except sqlite3.Error as error:
        report.add("ledger hole", str(ledger.name), f"it can't be read: {error}")
        return report
    audit_chain(entries, report)
    audit_outcomes(entries, report)
    audit_told(entries, heard, report)
    audit_books(entries, files, heard, report)
    audit_losses(entries, files, heard, report)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Judge a run by its files and its journal.")
    for name in ("journal", "recordings", "spool", "ledger"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args(arguments)
    report = audit(given.journal, given.recordings, given.spool, given.ledger)
    print(report.text())
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
