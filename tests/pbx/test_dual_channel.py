"""The two-channel file on real calls: whose voice is in which channel, and what is in neither.

Everybody has a tone: see tests.pbx.tones. The caller never falls silent, over every boundary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.pbx.callers import (
    OPEN_S,
    audio_files,
    dial_all,
    dialplan,
    leaks_of,
    write_prompts,
)
from tests.pbx.rig import Rig, rig
from tests.pbx.tones import OPEN_BOT_HZ, OPEN_CALLER_HZ, leaks, presence, read_wav
from turnrec.core.entry import JSON, EntryKind
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone
from turnrec.recordings.sound import hash_file
from turnrec.verify.findings import Status
from turnrec.verify.run import Evidence, verify

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

OPEN_TURNS = 3

FLOW = """
version: 1
defaults: {guard_ms: 80, dual_channel: on}
bots:
  silence: {nodes: {open: resume, ask: pause}}
  skip: {pause_behavior: skip, nodes: {open: resume, ask: pause}}
  mute: {pause_method: mute, nodes: {open: resume, ask: pause}}
"""
STEPS = ("start", "open", "ask", "open", "ask", "open")
EXTENSIONS = [f"test-{bot}-{n}" for bot in ("silence", "skip", "mute") for n in (1, 2)]


async def call_bots(here: Rig, clock: MediaClock) -> list[RecordingRecord]:
    """Have every bot called at once; return their recordings."""
    write_prompts(here)
    async with Phone(clock=clock) as phone:
        callers = await dial_all(here, phone, EXTENSIONS)
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
    return await here.recordings(len(EXTENSIONS))


async def closing(here: Rig, recording: RecordingRecord) -> Mapping[str, JSON]:
    """What was entered when a recording was closed."""
    entries = await here.service.ledger.entries(recording_id=recording.recording_id, limit=None)
    kind = EntryKind.RECORDING_CLOSED
    (detail,) = (one.entry.detail for one in entries if one.entry.kind is kind)
    return detail


async def test_each_voice_is_in_its_own_channel_and_no_paused_one_in_either(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with rig(asterisk_22, tmp_path, FLOW, dialplan(*STEPS)) as here:
        recordings = await call_bots(here, MediaClock())
        assert {one.status for one in recordings} == {"done"}
        for recording in recordings:
            detail = await closing(here, recording)
            stereo = detail["stereo"]
            assert isinstance(stereo, Mapping)
            assert detail["one_sided"] == []
            path = here.settings.recordings.dir / str(stereo["file"])
            assert path == here.file(recording).with_suffix(".stereo.wav")
            assert hash_file(path) == stereo["sha256"]
            left, right = read_wav(path).channels
            (mix,) = read_wav(here.file(recording)).channels
            assert (np.clip(left.astype(int) + right, -32768, 32767) == mix).all()

            assert leaks(left) == leaks(right) == leaks(mix) == []
            # Each in its own channel, as much of it as in the mix, and nothing in the other.
            whole, mine, theirs = (presence(one) for one in (mix, left, right))
            assert whole[OPEN_BOT_HZ] > 0.9 * OPEN_TURNS * OPEN_S
            assert whole[OPEN_CALLER_HZ] > 0.9 * OPEN_TURNS * OPEN_S
            assert mine[OPEN_CALLER_HZ] == pytest.approx(whole[OPEN_CALLER_HZ], abs=0.02)
            assert theirs[OPEN_BOT_HZ] == pytest.approx(whole[OPEN_BOT_HZ], abs=0.02)
            assert leaks(left, tones_hz=[OPEN_BOT_HZ]) == []
            assert leaks(right, tones_hz=[OPEN_CALLER_HZ]) == []
            await here.service.ledger.flush()
            evidence = Evidence(ledger=str(here.folder / "ledger.db"))
            outcome = await asyncio.to_thread(verify, str(path), evidence)
            assert outcome.status is Status.PROVEN, outcome.reports
            assert any("the two, added, are the mix" in one for one in outcome.reports[1].proven)
        # The parts and the directions beside them are kept here: no paused tone in them either.
        assert any(path.stem.endswith("-r") for path in audio_files(here))
        assert leaks_of_mono(here) == []


def leaks_of_mono(here: Rig) -> list[tuple[str, object]]:
    """Every paused tone in any file of one channel; those of two were looked at by channel."""
    return [(name, leak) for name, leak in leaks_of(here) if ".stereo." not in name]


async def test_asterisk_16_has_no_two_channels_and_the_ledger_says_why(
    asterisk_16: Installation, tmp_path: Path
) -> None:
    async with rig(asterisk_16, tmp_path, FLOW, dialplan(*STEPS)) as here:
        recordings = await call_bots(here, MediaClock())
        assert {one.status for one in recordings} == {"done"}
        for recording in recordings:
            stereo = (await closing(here, recording))["stereo"]
            assert isinstance(stereo, Mapping)
            assert stereo["file"] is None
            assert "Asterisk 16" in str(stereo["reason"])
            assert not here.file(recording).with_suffix(".stereo.wav").exists()
            assert presence(read_wav(here.file(recording)).channels[0])[OPEN_BOT_HZ] > 1
        assert leaks_of(here) == []
