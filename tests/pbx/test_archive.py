"""Recordings after their call, on a real Asterisk, by the commands that people type.

Several recordings in one call, their order and times; then what can be done with them; and what
becomes of calls while a disk has no room.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.pbx.callers import (
    BOT,
    OPEN_S,
    SAY,
    Caller,
    connect,
    extension,
    leaks_of,
    write_prompts,
)
from tests.pbx.rig import Rig, rig, until
from tests.pbx.tones import OPEN_BOT_HZ, leaks, presence, read_wav
from turnrec.core.entry import EntryKind
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

FLOW = """
version: 1
bots:
  manual:
    default: off
    stop_is_final: false
    nodes:
      begin: start
      anew: {action: start, new: true}
      stop: stop
      ask: pause
      open: resume
      plain:
  kyc: {nodes: {ask: pause, open: resume}}
"""

# In capitals: its prompt must be in a file. Three recordings: 1, 1 and 2 prompts.
MANUAL = "plain BEGIN stop plain BEGIN ANEW ask OPEN stop plain"
PROMPTS = [1, 1, 2]


def steps(bot: str, turns: str) -> list[str]:
    """A bot's call; each turn is marked before it is asked for and after it was answered."""
    lines = [f"Gosub(turnrec-start,s,1({bot}))"]
    for node in turns.split():
        prompt = "bot400" if node.isupper() else "bot1000"
        if node != "ask":
            lines.append("AGI(${MARK}/mark?opening&${WHO})")  # the caller, too, says nothing more
        lines += [
            f"AGI(${{MARK}}/mark?{node.lower()}-asked&${{WHO}})",
            f"Gosub(turnrec-turn,s,1({node.lower()}))",
            f"AGI(${{MARK}}/mark?{node.lower()}:{SAY}&${{WHO}})",
            f"Playback(${{SOUNDS}}/{prompt})",
        ]
    return lines


@dataclass(frozen=True, slots=True)
class Result:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def turnrec(here: Rig, *words: str, cwd: Path | None = None) -> Result:
    """Run a turnrec command as a user does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "turnrec",
        *words,
        "--config",
        str(here.folder / "turnrec.toml"),
        cwd=cwd or here.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Result(process.returncode, out.decode(), err.decode())


async def call(here: Rig, extension: str) -> dict[str, list[int]]:
    """Call a bot and hear it out; return when each of its marks was reached."""
    times: dict[str, list[int]] = {}
    async with Phone(clock=MediaClock()) as phone:
        caller = Caller(here, extension)
        handler = here.marks[extension]

        async def timed(dialled: str, word: str) -> None:
            times.setdefault(word.partition(":")[0], []).append(here.service.clock())
            await handler(dialled, word)

        here.marks[extension] = timed
        await connect(here, phone, caller)
        await caller.reaches_the_end()
    return times


async def test_starts_and_stops_make_a_list_of_recordings_with_their_times(
    asterisk: Installation, tmp_path: Path
) -> None:
    bots = BOT + extension("test-manual", *steps("manual", MANUAL))
    async with rig(asterisk, tmp_path, FLOW, bots) as here:
        write_prompts(here)
        times = await call(here, "test-manual")
        recordings = await here.recordings(3)
        assert leaks_of(here) == []
        (call_id,) = {one.call_id for one in recordings}
        listed = (await turnrec(here, "recordings", "--call", str(call_id), "--json")).json
        # The newest first, as it says of itself.
        assert [one["id"] for one in listed] == [one.recording_id for one in reversed(recordings)]
        assert [one["opened"] for one in listed] == sorted(
            (one["opened"] for one in listed), reverse=True
        )
        nobodys = await turnrec(here, "recordings", "--call", "somebody-else", "--json")
        assert nobodys.json == []

        begins = [*zip(times["begin-asked"], times["begin"], strict=True)]
        begins += zip(times["anew-asked"], times["anew"], strict=True)
        ends = [
            (times["stop-asked"][0], times["stop"][0]),
            (times["anew-asked"][0], times["anew"][0]),
            (times["stop-asked"][1], times["stop"][1]),
        ]
        for one, begin, end, prompts in zip(recordings, begins, ends, PROMPTS, strict=True):
            assert begin[0] <= one.opened_us <= begin[1]
            shown = (await turnrec(here, "recordings", "--json")).json
            (mine,) = (row for row in shown if row["id"] == one.recording_id)
            assert one.segments[0].began_us >= one.opened_us
            last = one.segments[-1].ended_us
            assert last is not None
            assert end[0] <= last <= end[1]
            # Its length is the call's own time between the two, to what a boundary may take.
            assert mine["duration_s"] * 1e6 == pytest.approx(last - one.opened_us, abs=60_000)
            heard = presence(read_wav(here.file(one)).channels[0])
            assert round(heard[OPEN_BOT_HZ] / OPEN_S) == prompts


async def test_a_recording_is_exported_redacted_held_and_deleted_by_command(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    bots = BOT + extension("test-kyc", *steps("kyc", "OPEN ask OPEN"))
    async with rig(asterisk_22, tmp_path, FLOW, bots) as here:
        write_prompts(here)
        await call(here, "test-kyc")
        (recording,) = await here.recordings(1)
        name, file = recording.recording_id, here.file(recording)
        whole, data = read_wav(file).channels[0], file.read_bytes()

        done = await turnrec(here, "export", name, "--behavior", "skip", "--out", "x.opus")
        assert (done.status, done.err) == (0, "")
        audible, rate_hz = soundfile.read(tmp_path / "x.opus", dtype="int16")
        assert (rate_hz, leaks(audible)) == (8000, [])
        assert len(audible) < len(whole)
        again = await turnrec(here, "export", name, "--out", "x.opus")
        assert again.status == 1
        assert "recording-exists" in again.err
        folded = await turnrec(here, "export", str(file), "--behavior", "skip", "-o", "x.flac")
        assert folded.status == 0
        back = await turnrec(here, "export", "x.flac", "--behavior", "silence", "-o", "back.wav")
        assert back.status == 0
        assert (tmp_path / "back.wav").read_bytes() == data
        named = await turnrec(here, "export", name, "--json")
        assert named.json["file"] == f"{name}.silence.wav"
        for words in (
            ("export", "NOSUCH"),
            ("export", "../x"),
            ("export", "missing.wav"),
            ("export", name, "--stereo"),
            ("hold", "NOSUCH", "--reason", "x"),
            ("delete", name, "--reason", " "),
            ("release", name, "--reason", "x"),
            ("redact", name, "--from", "0.1", "--to", "999", "--reason", "x"),
            ("redact", name, "--from", "2020-01-01T00:00Z", "--to", "0.3", "--reason", "x"),
        ):
            refused = await turnrec(here, *words)
            assert refused.status == 1, (words, refused)
            assert refused.err.startswith("turnrec: "), refused
            assert refused.err.rstrip().endswith("]"), refused
        assert (await turnrec(here, "export", name, "-o", "x.mp3")).status == 2

        made = await turnrec(
            here, "redact", name, "--from", "0.2", "--to", "0.5", "--reason", "a name", "--json"
        )
        assert made.status == 0, made
        assert file.read_bytes() == data
        new = read_wav(here.settings.recordings.dir / made.json["file"]).channels[0]
        assert not new[1600:4000].any()
        assert (new[4000:] == whole[4000:]).all()

        assert (await turnrec(here, "hold", name, "--reason", "case 17")).status == 0
        held = await turnrec(here, "delete", name, "--reason", "asked for")
        assert held.status == 1
        assert "[not-allowed]" in held.err
        assert "case 17" in (await turnrec(here, "recordings")).out
        assert (await turnrec(here, "release", name, "--reason", "settled")).status == 0
        assert (await turnrec(here, "delete", name, "--reason", "asked for")).status == 0
        assert list(file.parent.glob(f"{name}*")) == []
        assert list(here.settings.recordings.spool_dir.glob(f"{name}*")) == []
        shown = {one["id"]: one for one in (await turnrec(here, "recordings", "--json")).json}
        assert (shown[name]["status"], shown[name]["file"]) == ("deleted", None)
        assert shown[made.json["id"]]["status"] == "done"
        assert (await turnrec(here, "export", name)).status == 1
        for given in (str(here.settings.recordings.dir), str(tmp_path / "ledger.db")):
            verified = await turnrec(here, "verify", given, "--ledger", str(tmp_path / "ledger.db"))
            assert verified.status == 0, verified
            assert f"it is recording {name} with 1 stretch cut out" in verified.out
        # The recording is deleted, and its manifest; the ledger still knows what its copies hold.
        for copy in ("x.opus", "x.flac", "back.wav", named.json["file"]):
            verified = await turnrec(here, "verify", copy, "--ledger", str(tmp_path / "ledger.db"))
            assert verified.status == 0, verified
            assert ("turned back, it is to the byte" in verified.out) == (copy != "x.opus")
        kinds = [one.entry.kind for one in await here.service.ledger.entries(limit=None)]
        for kind in (
            EntryKind.REDACTED,
            EntryKind.LEGAL_HOLD,
            EntryKind.HOLD_RELEASED,
            EntryKind.DELETED,
        ):
            assert kinds.count(kind) == 1
        assert (await here.service.ledger.verify_chain()).intact


async def test_a_file_that_was_changed_is_not_exported(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    bots = BOT + extension("test-kyc", *steps("kyc", "OPEN"))
    async with rig(asterisk_22, tmp_path, FLOW, bots) as here:
        write_prompts(here)
        await call(here, "test-kyc")
        (recording,) = await here.recordings(1)
        file = here.file(recording)
        data = bytearray(file.read_bytes())
        data[3000] ^= 1
        file.write_bytes(data)
        for words in (
            ("export", recording.recording_id),
            ("export", str(file)),
            ("redact", recording.recording_id, "--from", "0", "--to", "0.1", "--reason", "x"),
        ):
            refused = await turnrec(here, *words)
            assert refused.status == 1
            assert "[recording-changed]" in refused.err
            assert "ledger" in refused.err


async def test_without_room_nothing_begins_the_call_goes_on_and_recording_comes_back(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    bots = BOT + extension("test-kyc", *steps("kyc", "ask ask OPEN"))
    enough = 2**60
    async with rig(asterisk_22, tmp_path, FLOW, bots) as here:
        write_prompts(here)
        room = here.service._room
        room._measure = lambda folder: 0
        await until(lambda: room.lack() is not None, "no room")
        seen: list[str] = []
        async with Phone(clock=MediaClock()) as phone:
            caller = Caller(here, "test-kyc")
            caller.hold_at("open-asked")
            await connect(here, phone, caller)
            await caller.reached("open-asked")
            seen += caller.statuses("ask")
            room._measure = lambda folder: enough
            await until(lambda: room.lack() is None, "room again")
            caller.let_on()
            await caller.reaches_the_end()
            seen += caller.statuses("open")
        assert seen[-1] == "OK"
        (recording,) = await here.recordings(1)
        heard = presence(read_wav(here.file(recording)).channels[0])
        assert round(heard[OPEN_BOT_HZ] / OPEN_S) == 1
        assert leaks_of(here) == []
        alarms = {
            one.entry.result
            for one in await here.service.ledger.entries(limit=None)
            if one.entry.kind is EntryKind.ALARM
        }
        assert "disk-low" in alarms
