"""The auditor finds what was planted: a leak, a loss, a hole of each kind, at its place."""

from __future__ import annotations

import ast
import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.chaos import auditor
from tests.chaos.auditor import RATE_HZ, Report, Samples, audit, leaked_windows, seconds_of

T0_US = 1_800_000_000_000_000
SECOND = 1_000_000
CALL, CHANNEL, RECORDING = "01CALL", "1700000000.1", "01REC"
SCHEMA = """
CREATE TABLE entries (seq INTEGER PRIMARY KEY, at_us INTEGER, kind TEXT, call_id TEXT,
  uniqueid TEXT, recording_id TEXT, source TEXT, actor TEXT, origin TEXT, action TEXT, node TEXT,
  turn INTEGER, state TEXT, holds TEXT, result TEXT, detail TEXT, prev_hash TEXT, hash TEXT)
"""


def tone(hz: int, seconds: float, share: float = 1.0) -> Samples:
    n = np.arange(round(seconds * RATE_HZ))
    return np.rint(8000 * share * np.sin(2 * np.pi * hz * n / RATE_HZ)).astype(np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.int16)


def write_wav(path: Path, sound: Samples, *, is_live: bool = False) -> None:
    data = sound.astype("<i2").tobytes()
    sizes = (0, 0) if is_live else (36 + len(data), len(data))
    header = b"RIFF" + sizes[0].to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    for value, size in ((1, 2), (1, 2), (RATE_HZ, 4), (2 * RATE_HZ, 4), (2, 2), (16, 2)):
        header += value.to_bytes(size, "little")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + b"data" + sizes[1].to_bytes(4, "little") + data)


@dataclass
class House:
    """One call: 2 s open, 1 s of a pause, 2 s open. Everything is as it should be."""

    folder: Path
    sound: Samples = field(
        default_factory=lambda: np.concatenate(
            [tone(500, 2.0) + tone(400, 2.0), silence(1.0), tone(500, 2.0)]
        )
    )
    entries: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)
    skips: set[int] = field(default_factory=set)
    """Entries that are left out after the chain was made, by seq."""

    @property
    def file(self) -> Path:
        return self.folder / "recordings" / "day" / f"{RECORDING}.wav"

    @property
    def part(self) -> Path:
        return self.folder / "spool" / f"{RECORDING}-001.wav"

    def build(self) -> None:
        """Write the files, and the entries and journal lines that go with them."""
        for folder in ("recordings", "spool"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        write_wav(self.file, self.sound)
        write_wav(self.part, tone(500, 2.0))
        spans = [
            self.span("segment", 0, 2, part=self.part.name),
            self.span("gap", 2, 3),
            self.span("segment", 3, 5, part=f"{RECORDING}-002.wav"),
        ]
        self.detail = {
            "status": "done",
            "file": "day/01REC.wav",
            "sha256": hashlib.sha256(self.file.read_bytes()).hexdigest(),
            "parts": [],
            "spans": spans,
            "problems": [],
        }
        self.enter("server_started", call_id=None, uniqueid=None, recording_id=None)
        self.enter("call_started", recording_id=None)
        self.enter("action_asked", recording_id=None, action="start")
        self.enter("recording_opened")
        self.enter("action_done", action="start")
        self.enter("turn_begun", node="ask", turn=2)
        self.enter("action_asked", action="pause")
        self.enter("action_done", action="pause")
        self.enter("action_asked", action="resume")
        self.enter("action_done", action="resume")
        self.enter("call_ended")
        self.enter("recording_closed")
        self.enter("server_stopped", call_id=None, uniqueid=None, recording_id=None)
        self.say("dialled", at_us=T0_US, bot="segment", loss=0.0)
        self.mark("open", 0, "recording")
        self.mark("opened", 2)
        self.mark("ask", 2, "paused", turn=2)
        self.mark("open", 3, "recording")
        self.mark("end", 5)
        for hz, begin, end in ((500, 0, 2), (1300, 2, 3), (500, 3, 5)):
            count = (end - begin) * 50
            times = {"from_us": T0_US + begin * SECOND, "to_us": T0_US + end * SECOND - 20_000}
            self.say("tone", hz=hz, packets=count, in_time=count, first_packet=0, **times)
        self.say("ended", at_us=T0_US + 5 * SECOND, how="end")

    def span(self, kind: str, begin: int, end: int, part: str | None = None) -> dict[str, Any]:
        return {
            "kind": kind,
            "start_sample": begin * RATE_HZ,
            "samples": (end - begin) * RATE_HZ,
            "begin_us": T0_US + begin * SECOND,
            "end_us": T0_US + end * SECOND,
            "part": part,
        }

    def enter(self, kind: str, **columns: Any) -> None:
        given = {"call_id": CALL, "uniqueid": CHANNEL, "recording_id": RECORDING, **columns}
        self.entries.append({"at_us": T0_US + len(self.entries), "kind": kind, **given})

    def mark(self, name: str, at_s: float, state: str = "", turn: int = 0) -> None:
        told = {"status": "OK" if state else "", "state": state, "error": "", "turn": turn}
        at_us = T0_US + round(at_s * SECOND)
        self.say("mark", uniqueid=CHANNEL, name=name, at_us=at_us, **told)

    def say(self, kind: str, **fields: Any) -> None:
        self.lines.append({"kind": kind, "call": "chaos-1", **fields})

    def find(self, kind: str) -> dict[str, Any]:
        return next(one for one in self.entries if one["kind"] == kind)

    def audit(self) -> Report:
        """Write ledger and journal, and have all of it judged."""
        with sqlite3.connect(self.folder / "ledger.db") as database:
            database.execute(SCHEMA)
            last = "0" * 64
            for seq, given in enumerate(self.entries, 1):
                entry = dict.fromkeys(auditor.COLUMNS) | {"holds": "", "result": "ok"} | given
                if entry["kind"] == "recording_closed":
                    entry["detail"] = json.dumps(self.detail)
                entry["detail"] = entry["detail"] or "{}"
                entry |= {"seq": seq, "prev_hash": last}
                last = entry["hash"] = given.get("hash") or auditor.hash_of(entry)
                values = [entry[name] for name in auditor.COLUMNS]
                if seq not in self.skips:
                    marks = ",".join("?" * len(values))
                    database.execute(f"INSERT INTO entries VALUES ({marks})", values)
        database.close()
        journal = self.folder / "journal.jsonl"
        journal.write_text("".join(json.dumps(line) + "\n" for line in self.lines), "utf-8")
        return audit(*self.paths)

    @property
    def paths(self) -> tuple[Path, Path, Path, Path]:
        names = ("journal.jsonl", "recordings", "spool", "ledger.db")
        return tuple(self.folder / name for name in names)  # type: ignore[return-value]


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.build()
    return made


def test_a_run_without_a_fault_is_clean(house: House) -> None:
    report = house.audit()
    assert report.findings == []
    assert report.seconds["of it in the files"] == pytest.approx(3.6, abs=0.05)


def test_it_imports_nothing_of_the_product_and_nothing_of_the_tests() -> None:
    tree = ast.parse(Path(auditor.__file__).read_text("utf-8"))
    modules = {
        (one.module or "") if isinstance(one, ast.ImportFrom) else one.names[0].name
        for one in ast.walk(tree)
        if isinstance(one, ast.Import | ast.ImportFrom)
    }
    outside = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert outside == {"numpy"}


def test_the_command_says_what_it_found_and_fails(house: House) -> None:
    write_wav(house.part, tone(1300, 0.5))
    house.audit()
    names = ("journal", "recordings", "spool", "ledger")
    given = [
        word for name, path in zip(names, house.paths, strict=True) for word in (f"--{name}", path)
    ]
    done = subprocess.run(
        [sys.executable, auditor.__file__, *given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "leaked windows: 01REC-001.wav at 0.000 s" in done.stdout


# ------------------------------------------------------------------ leaks


@pytest.mark.parametrize("hz", [1000, 1300])
@pytest.mark.parametrize("offset", [0, 1, 33, 79])
def test_a_leak_of_10_ms_is_found_wherever_it_lies(hz: int, offset: int) -> None:
    sound = np.concatenate([silence(0.5), np.zeros(offset, np.int16), tone(hz, 0.01), silence(0.5)])
    ((found, sample, _, _),) = leaked_windows(sound)
    assert found == hz
    assert abs(sample - 4000 - offset) <= 80


def test_a_leak_beneath_the_open_tones_is_found() -> None:
    sound = tone(400, 1.0) + tone(500, 1.0)
    sound[4000:4160] += tone(1300, 0.02)
    assert [one[0] for one in leaked_windows(sound)] == [1300]


def test_a_faint_leak_that_lasts_is_found() -> None:
    sound = tone(400, 1.0)
    sound[4000:4400] += tone(1000, 0.05, share=0.1)
    assert [one[0] for one in leaked_windows(sound)] == [1000]


def test_open_tones_that_begin_and_end_are_no_leak() -> None:
    pieces = [np.concatenate([tone(500, 0.013 * n), silence(0.02)]) for n in range(1, 40)]
    assert leaked_windows(np.concatenate(pieces)) == []


def test_a_leak_in_a_part_that_its_writer_never_closed_is_found(house: House) -> None:
    write_wav(house.part, np.concatenate([silence(1), tone(1000, 0.1)]), is_live=True)
    (found,) = house.audit().findings
    assert (found.kind, found.place) == ("leaked windows", "01REC-001.wav at 0.993 s (channel 1)")


def test_sound_in_a_gap_is_a_leak(house: House) -> None:
    house.sound[2 * RATE_HZ + 100] = 7
    write_wav(house.file, house.sound)
    house.detail["sha256"] = hashlib.sha256(house.file.read_bytes()).hexdigest()
    (found,) = house.audit().findings
    assert found.kind == "leaked windows"
    assert "not silent" in found.says


# ------------------------------------------------------------------ losses


def lose(house: House, begin: float, end: float) -> None:
    house.sound[round(begin * RATE_HZ) : round(end * RATE_HZ)] = 0
    write_wav(house.file, house.sound)
    house.detail["sha256"] = hashlib.sha256(house.file.read_bytes()).hexdigest()


def test_open_audio_that_is_missing_is_a_loss(house: House) -> None:
    lose(house, 3.5, 4.3)
    (found,) = house.audit().findings
    assert found.kind == "lost open audio"
    assert f"the turn told at {T0_US + 3 * SECOND} us" in found.says


def test_a_loss_that_the_ledger_states_is_none(house: House) -> None:
    lose(house, 3.5, 5.0)
    house.detail["spans"][2:] = [
        house.span("segment", 3, 4),
        house.span("shortfall", 4, 5),
    ]
    house.detail["spans"][2]["samples"] = RATE_HZ // 2
    house.detail["spans"][2]["end_us"] -= SECOND // 2
    house.detail["spans"][3]["begin_us"] -= SECOND // 2
    report = house.audit()
    assert report.findings == []
    assert report.seconds["of it stated in the ledger as lost"] == pytest.approx(1.4, abs=0.1)


def test_what_an_asterisk_that_died_had_not_written_is_no_loss(house: House) -> None:
    lose(house, 3.0, 5.0)
    house.detail |= {"parts": [{"mended": True}], "status": "failed", "problems": ["it died"]}
    assert house.audit().findings == []


def test_what_lies_in_a_part_that_the_ledger_names_as_left_out_is_no_loss(house: House) -> None:
    lose(house, 3.0, 5.0)
    says = "part 01REC-002.wav belongs to no segment; it was left out and is still in the spool"
    house.detail["problems"] = [says]
    write_wav(house.part.with_name("01REC-002.wav"), tone(500, 2.0))
    assert house.audit().findings == []
    house.part.with_name("01REC-002.wav").unlink()
    assert [one.kind for one in audit(*house.paths).findings] == ["lost open audio"]


@pytest.mark.parametrize(
    ("bot", "lacks", "found"),
    [
        ("mute", "1.500", []),
        ("mute", "0.500", ["lost open audio"]),
        ("segment", "1.500", ["lost open audio"]),
    ],
)
def test_what_a_muted_part_is_said_to_lack_somewhere_is_no_loss(
    house: House, bot: str, lacks: str, found: list[str]
) -> None:
    lose(house, 3.5, 5.0)
    (dialled,) = (line for line in house.lines if "bot" in line)
    dialled["bot"] = bot
    house.detail["problems"] = [
        f"part 01REC-001.wav: {lacks} s lie between its length and its monitor's time (it was lost)"
    ]
    assert [one.kind for one in house.audit().findings] == found


def test_a_recording_that_failed_as_a_whole_is_no_loss_where_the_ledger_says_why(
    house: House,
) -> None:
    house.file.unlink()
    problems = {"problems": ["no space left"]}
    house.detail = {"status": "failed", "file": None} | problems
    report = house.audit()
    assert report.findings == []
    assert report.seconds == {}
    assert sum("failed as a whole" in what for what in report.numbers) == 1


def test_what_the_ledger_says_that_a_crash_has_taken_is_no_finding(house: House) -> None:
    lose(house, 3.0, 5.0)
    with_a_stray_part(house)
    says = json.dumps({"sentence": "no entry names the recording of 02REC-001.wav"})
    house.enter("alarm", result="stray-parts", detail=says, call_id=None, uniqueid=None)
    assert {one.kind for one in house.audit().findings} == {"lost open audio"}
    (house.folder / "ledger.db").unlink()
    house.enter("alarm", result="ended-unseen")
    assert house.audit().findings == []


def test_what_was_never_called_recorded_is_no_loss(house: House) -> None:
    lose(house, 3.0, 5.0)
    told = [line for line in house.lines if line.get("name") == "open"]
    told[1]["status"] = "FAILCLOSED"
    assert house.audit().findings == []


# ------------------------------------------------------------------ books


def without_recording(house: House) -> None:
    house.entries = [one for one in house.entries if one["recording_id"] is None]
    house.file.unlink()
    house.part.unlink()


def without_its_file(house: House) -> None:
    house.file.unlink()


def with_a_stray_file(house: House) -> None:
    write_wav(house.file.with_name("02REC.wav"), silence(1))


def with_a_stray_part(house: House) -> None:
    write_wav(house.part.with_name("02REC-001.wav"), silence(1))


def with_an_unknown_channel(house: House) -> None:
    for one in house.entries:
        one["uniqueid"] = one["uniqueid"] and "1700000000.9"


def with_another_file(house: House) -> None:
    write_wav(house.file, tone(500, 5.0))


def never_closed(house: House) -> None:
    house.entries.remove(house.find("recording_closed"))


def never_ended(house: House) -> None:
    house.entries.remove(house.find("call_ended"))


def failed_silently(house: House) -> None:
    house.detail["status"] = "failed"


def asked_without_outcome(house: House) -> None:
    house.entries.remove([one for one in house.entries if one["kind"] == "action_done"][-1])


def with_an_entry_cut_out(house: House) -> None:
    house.skips = {6}


def with_an_edited_entry(house: House) -> None:
    house.entries[5]["hash"] = "f" * 64


def dropped(house: House) -> None:
    house.lines[-1]["how"] = "dropped"


def stuck(house: House) -> None:
    house.lines[-1]["how"] = "stuck"


def told_and_not_entered(house: House) -> None:
    house.entries.remove(house.find("turn_begun"))


def with_a_problem(house: House) -> None:
    house.lines.append({"kind": "problem", "place": "here", "says": "it did not end"})


PLANTED: dict[Callable[[House], None], tuple[str, str]] = {
    without_recording: ("call without a recording", "chaos-1"),
    without_its_file: ("call without a recording", "recording 01REC"),
    with_a_stray_file: ("recording without a call", "02REC.wav"),
    with_a_stray_part: ("recording without a call", "02REC-001.wav"),
    with_an_unknown_channel: ("recording without a call", "recording 01REC"),
    with_another_file: ("ledger hole", "recording 01REC"),
    never_closed: ("ledger hole", "recording 01REC"),
    never_ended: ("ledger hole", "ledger entry 2 (call 01CALL)"),
    failed_silently: ("ledger hole", "recording 01REC"),
    asked_without_outcome: ("ledger hole", "ledger entry 9 (call 01CALL)"),
    with_an_entry_cut_out: ("ledger hole", "ledger entry 7"),
    with_an_edited_entry: ("ledger hole", "ledger entry 6"),
    dropped: ("call dropped or stuck", "chaos-1 (channel 1700000000.1)"),
    stuck: ("call dropped or stuck", "chaos-1 (channel 1700000000.1)"),
    with_a_problem: ("problem", "here"),
    told_and_not_entered: ("ledger hole", "chaos-1 (channel 1700000000.1)"),
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_what_is_planted_is_found_at_its_place(
    house: House, plant: Callable[[House], None]
) -> None:
    plant(house)
    found = {(one.kind, one.place) for one in house.audit().findings}
    assert PLANTED[plant] in found


def test_a_crash_of_the_server_explains_what_was_asked_and_has_no_outcome(house: House) -> None:
    asked_without_outcome(house)
    asked = [one for one in house.entries if one["kind"] == "action_asked"][-1]
    nobody = {"call_id": None, "uniqueid": None, "recording_id": None}
    started = {"at_us": T0_US, "kind": "server_started", **nobody}
    house.entries.insert(house.entries.index(asked) + 1, started)
    report = house.audit()
    assert report.findings == []
    assert report.numbers["asked, and a crash came before the outcome"] == 1


def test_a_ledger_that_can_not_be_read_is_a_hole(house: House) -> None:
    house.audit()
    (house.folder / "ledger.db").write_bytes(b"\xff" * 4096)
    (found,) = audit(*house.paths).findings
    assert found.kind == "ledger hole"


def test_presence_is_measured_in_seconds() -> None:
    assert seconds_of(np.concatenate([silence(1), tone(500, 0.7)]), 500) == pytest.approx(
        0.7, abs=0.02
    )
    assert seconds_of(tone(400, 1.0), 500) == pytest.approx(0.0, abs=0.01)
