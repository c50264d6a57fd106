"""Files that a crash left without their entries are told of, and are no recording afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.recordings.parts import closed, tone
from tests.unit.test_keeping import WHY, House, opened
from tests.unit.verify.house import build
from turnrec.core.entry import EntryKind
from turnrec.ledger.errors import LedgerError
from turnrec.ledger.views import RecordingStatus
from turnrec.notes import Notes
from turnrec.recordings.strays import ASIDE
from turnrec.strays import Cleared, Strays
from turnrec.verify.run import Evidence, verify

REDACT_AND_DIE = """
import asyncio, os, signal, sys, time
from pathlib import Path
from tests.unit.test_keeping import WHY, opened
from turnrec.recordings.redact import Stretch

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main(folder, where):
    async with opened(Path(folder)) as house:
        await house.record("R1", stereo=True)
        if where == "reading back":
            import turnrec.recordings.redact as module
            module._read_back = die
        elif where in ("write_map", "redact_transcript", "write_manifest"):
            import turnrec.redaction as module
            setattr(module, where, die)
        else:
            enter = house.journal.append
            def append(entry):
                if entry.kind.value == where:
                    while house.ledger.backlog:  # everything before it is durable
                        time.sleep(0.01)
                    die()
                enter(entry)
            house.journal.append = append
        stretch = Stretch.parse("0.25", "0.5")
        await house.keeper.redact("R1", stretch, WHY, delete_original=True)

asyncio.run(main(*sys.argv[1:]))
"""


def strays(house: House) -> Strays:
    return Strays(house.ledger, house.journal, Notes(house.journal, lambda: 0), house.folder)


async def alarms(house: House) -> list[str]:
    await house.ledger.flush()
    return [
        str(one.entry.detail["sentence"])
        for one in await house.ledger.entries(limit=None)
        if one.entry.kind is EntryKind.ALARM and one.entry.result == "stray-files"
    ]


async def recordings(house: House) -> set[str]:
    return {one.recording_id for one in await house.ledger.recordings()}


@pytest.mark.parametrize(
    ("where", "is_removed"),
    [
        ("reading back", False),
        ("write_map", False),
        ("redact_transcript", True),
        ("write_manifest", True),
        ("redacted", True),
        ("recording_closed", True),
    ],
)
async def test_what_a_killed_redaction_left_is_cleared_at_the_next_start(
    tmp_path: Path, where: str, is_removed: bool
) -> None:
    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", REDACT_AND_DIE, str(tmp_path), where],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    async with opened(tmp_path) as house:
        left = [name for name in house.present() if name.lstrip(".").startswith("NEW0")]
        assert left
        cleared = await strays(house).clear()
        assert cleared == (Cleared(removed=("NEW0",)) if is_removed else Cleared(aside=("NEW0",)))
        there = house.present()
        assert [name for name in there if "R1" in name] == ["R1.stereo.wav", "R1.wav"]
        aside = [name for name in there if name.endswith(".stray")]
        assert len(there) == 2 + len(aside)
        assert len(aside) == (0 if is_removed else len(left))
        (sentence,) = await alarms(house)
        assert all(name in sentence for name in left)
        assert await recordings(house) == {"R1"}
        assert await house.status("R1") is RecordingStatus.DONE
        assert await strays(house).clear() == Cleared()
    ledger = str(tmp_path / "ledger.db")
    outcome = await asyncio.to_thread(verify, str(house.folder), Evidence(ledger=ledger))
    assert [one.subject for one in outcome.recordings] == ["R1"]
    assert outcome.exports == []


async def test_a_joined_file_that_no_entry_names_is_put_aside(tmp_path: Path) -> None:
    """The database had stalled for the whole call, and then the process died."""
    async with opened(tmp_path) as house:
        day = (await house.record("R1")).parent
        for name in ("R9.wav", "R9.stereo.wav", "R9.json"):
            (day / name).write_bytes(closed(tone(400, 800)))
        (day / ".R8.wav.0123456789abcdef.tmp").write_bytes(b"")
        assert await strays(house).clear() == Cleared(aside=("R8", "R9"))
        there = sorted(path.name for path in (house.folder / ASIDE / day.name).iterdir())
        assert there == [
            "R8.wav.0123456789abcdef.tmp.stray",
            "R9.json.stray",
            "R9.stereo.wav.stray",
            "R9.wav.stray",
        ]
        assert len(await alarms(house)) == 2
        assert await recordings(house) == {"R1"}


async def test_what_is_no_file_of_a_recordings_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        path = await house.record("R1")
        await house.keeper.delete("R1", WHY)
        others = [
            path.with_name("R9.transcript.jsonl"),  # of a call that goes on
            path.with_name("notes.txt"),
            path.with_name("R9.skip.flac"),
            house.folder / "R9.wav",
            house.folder / "checkpoints.jsonl",
            house.folder / "elsewhere" / "R9.wav",
        ]
        for one in others:
            one.parent.mkdir(exist_ok=True)
            one.write_text("theirs")
        path.write_text("the tombstone's")  # its own look takes it away
        assert await strays(house).clear() == Cleared()
        assert all(one.exists() for one in [*others, path])
        assert await alarms(house) == []


async def test_recordings_of_another_ledger_are_left_alone(tmp_path: Path) -> None:
    other = await build(tmp_path / "other")
    async with opened(tmp_path) as house:
        path = await house.record("R2")
        data, manifest = other.wav.read_bytes(), other.manifest.read_bytes()
        (path.parent / "R1.wav").write_bytes(data)
        (path.parent / "R1.json").write_bytes(manifest)
        before_us = 0
        (path.parent / "R7.wav").write_bytes(data)
        os.utime(path.parent / "R7.wav", ns=(before_us, before_us))
        assert await strays(house).clear() == Cleared(foreign=("R1", "R7"))
        assert (path.parent / "R1.wav").exists()
        assert (path.parent / "R7.wav").exists()
        assert await alarms(house) == []
        # With this ledger's name in its manifest it is a crash's.
        known = json.loads(manifest)
        known["ledger"]["id"] = await house.ledger.ledger_id()
        text = json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        (path.parent / "R1.json").write_text(text + "\n")
        assert (await strays(house).clear()).aside == ("R1",)


async def test_a_copy_without_its_original_is_put_aside_and_not_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        path = await house.record("R1")
        new = path.with_name("R9.wav")
        new.write_bytes(path.read_bytes())
        content = {"recording": "R9", "source": {"file": "R1.wav"}}
        new.with_name("R9.wav.map.json").write_text(json.dumps(content))
        await house.keeper.delete("R1", WHY)
        path.write_bytes(b"left by a crash after the tombstone")
        assert await strays(house).clear() == Cleared(aside=("R9",))


async def test_nothing_is_touched_before_its_alarm_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as house:
        path = (await house.record("R1")).with_name("R9.wav")
        path.write_bytes(b"")

        async def never() -> bool:
            return False

        monkeypatch.setattr(house.journal, "make_durable", never)
        await strays(house).clear()
        assert path.exists()


async def test_what_will_not_go_is_said_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as house:
        path = (await house.record("R1")).with_name("R9.wav")
        path.write_bytes(b"")

        def refuse(self: Path, target: Path) -> None:
            raise PermissionError(13, "no")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", refuse)
            await strays(house).clear()
        assert path.exists()
        assert "would not go" in (await alarms(house))[1]
        assert (await strays(house).clear()).aside == ("R9",)


async def test_a_ledger_that_cannot_be_read_clears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as house:
        path = (await house.record("R1")).with_name("R9.wav")
        path.write_bytes(b"")

        async def fail(_ids: object) -> frozenset[str]:
            raise LedgerError("no")

        monkeypatch.setattr(house.ledger, "known_recordings", fail)
        with pytest.raises(LedgerError):
            await strays(house).clear()
        assert path.exists()


async def test_a_thousand_recordings_are_looked_through_in_a_few_queries(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        day = (await house.record("R1")).parent
        for number in range(1200):
            (day / f"S{number:04d}.wav").touch()
        assert len(await house.ledger.known_recordings(["R1", "R2", *map(str, range(1200))])) == 1
        assert len((await strays(house).clear()).aside) == 1200
