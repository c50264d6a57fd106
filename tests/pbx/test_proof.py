"""A real call's recording is proven, and its gaps' edges are where the sound says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.pbx.mouth import Mouth
from tests.pbx.rig import OPEN_PROMPT, PAUSED_PROMPT, WAIT_S, Rig, rig, write_tones
from tests.pbx.tones import OPEN_CALLER_HZ, read_wav
from turnrec.ledger.keys import PublicKey, make_key
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone
from turnrec.recordings.manifest import GapSpan, Manifest, SegmentSpan
from turnrec.recordings.manifest_file import read_manifest
from turnrec.verify.cli import as_page
from turnrec.verify.findings import Status
from turnrec.verify.run import Evidence, verify

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

EDGE_MS = 20.0
QUIET = 200
FLOW = """
version: 1
defaults: {guard_ms: 80}
bots:
  kyc:
    nodes: {open: resume, ask: pause}
  skip:
    pause_behavior: skip
    nodes: {open: resume, ask: pause}
  mute:
    pause_method: mute
    nodes: {open: resume, ask: pause}
"""
DIALPLAN = f"""
[turnrec-tests](+)
exten => _proof-.,1,Answer()
 same => n,Set(LEFT=3)
 same => n,Gosub(turnrec-start,s,1(${{CUT(EXTEN,-,2)}}))
 same => n(open),Gosub(turnrec-turn,s,1(open))
 same => n,Playback(${{SOUNDS}}/{OPEN_PROMPT})
 same => n,GotoIf($[${{LEFT}} = 0]?end)
 same => n,Gosub(turnrec-turn,s,1(ask))
 same => n,Playback(${{SOUNDS}}/{PAUSED_PROMPT})
 same => n,Set(LEFT=$[${{LEFT}} - 1])
 same => n,Goto(open)
 same => n(end),Hangup()
"""


async def call(here: Rig, extension: str) -> None:
    """Call the bot, and sound all through the call."""
    mouth = Mouth()
    media = MediaOptions(source=mouth.tone(OPEN_CALLER_HZ), keep_chunks=10)
    async with Phone(clock=MediaClock()) as phone:
        talk = await phone.dial(f"sip:{extension}@{here.sip}", media, timeout_s=WAIT_S)
        await talk.wait_ended(timeout_s=WAIT_S)


def silence_around(file: Path, sample: int) -> tuple[int, int]:
    """Where a file in which somebody always sounds is silent around a sample, by sound alone."""
    loud = np.flatnonzero(np.abs(read_wav(file).channels[0].astype(np.int32)) > QUIET)
    index = int(np.searchsorted(loud, sample))
    return int(loud[index - 1]) + 1, int(loud[index])


def gaps_of(manifest: Manifest) -> list[GapSpan]:
    return [one for one in manifest.spans if isinstance(one, GapSpan) and one.sources]


@pytest.mark.parametrize("bot", ["kyc", "mute", "skip"])
async def test_a_real_call_is_proven_and_its_gaps_are_where_the_sound_says(
    asterisk: Installation, tmp_path: Path, bot: str
) -> None:
    key_file = tmp_path / "signing.key"
    public, _ = make_key(key_file)
    toml = {"ledger": {"signing_key_file": f'"{key_file}"'}}
    async with rig(asterisk, tmp_path / "rig", FLOW, DIALPLAN, toml=toml) as here:
        write_tones(here.folder / "sounds", {400: 1.0, 1000: 0.8})
        await call(here, f"proof-{bot}")
        (recording,) = await here.recordings(1)
        file = here.file(recording)
        spool = here.settings.recordings.spool_dir

    evidence = Evidence(
        ledger=str(here.folder / "ledger.db"),
        checkpoints=here.settings.recordings.dir / "checkpoints.jsonl",
        public_key=PublicKey.read(public),
        parts_dir=spool,
    )
    outcome = verify(str(file), evidence)
    assert outcome.status is Status.PROVEN, as_page(outcome)
    print(as_page(outcome))

    manifest, sha256 = read_manifest(file.with_suffix(".json"))
    assert hashlib.sha256(file.with_suffix(".json").read_bytes()).hexdigest() == sha256
    assert manifest.recording.asterisk_version == asterisk.version
    gaps = gaps_of(manifest)
    assert [gap.node for gap in gaps] == ["ask"] * 3
    assert all(gap.done is not None and gap.start is not None for gap in gaps)
    assert manifest.audio is not None
    assert {part.name for part in manifest.parts} == {one.name for one in spool.iterdir()}
    if bot == "skip":
        assert all(gap.samples == 0 for gap in gaps)
        return
    found = edges(manifest, file)
    print(f"{bot} on {asterisk.version}, ms after what the manifest says: {found}")
    assert len(found) == len(gaps)
    assert all(one.sound_ends_ms <= EDGE_MS for one in found)
    assert all(one.sound_begins_ms >= -EDGE_MS for one in found)
    assert all(one.sound_ends_ms >= -EDGE_MS for one in found)
    assert all(one.sound_begins_ms <= EDGE_MS for one in found)


@dataclass(frozen=True, slots=True)
class Edge:
    """How much later than the manifest says the sound itself has a gap's edges."""

    sound_ends_ms: float
    """After the last recorded sample of the segment before."""
    answered_ms: float
    """After Asterisk's answer to the stop, where the gap begins: what was still on its way."""
    sound_begins_ms: float
    """After the gap's end."""


def edges(manifest: Manifest, file: Path) -> list[Edge]:
    """Hold each gap's edges against where the file is silent."""
    assert manifest.audio is not None
    samples_a_ms = manifest.audio.rate_hz / 1000
    found = []
    recorded = 0
    for span in manifest.spans:
        if isinstance(span, SegmentSpan):
            recorded = span.start_sample + span.part_samples
        if isinstance(span, GapSpan) and span.sources:
            begin, end = span.start_sample, span.start_sample + span.samples
            ends, begins = silence_around(file, (begin + end) // 2)
            off = [ends - recorded, ends - begin, begins - end]
            found.append(Edge(*(round(one / samples_a_ms, 1) for one in off)))
    return found


async def test_a_real_calls_gap_that_is_filled_afterwards_is_found(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with rig(asterisk_22, tmp_path / "rig", FLOW, DIALPLAN) as here:
        write_tones(here.folder / "sounds", {400: 1.0, 1000: 0.8})
        await call(here, "proof-kyc")
        (recording,) = await here.recordings(1)
        file = here.file(recording)
    manifest, _ = read_manifest(file.with_suffix(".json"))
    sample = gaps_of(manifest)[1].start_sample + 1000
    data = bytearray(file.read_bytes())
    data[44 + 2 * sample : 46 + 2 * sample] = b"\x00\x10"
    file.write_bytes(data)
    outcome = verify(str(file), Evidence(ledger=str(here.folder / "ledger.db")))
    assert outcome.status is Status.WRONG
    assert {"audio-hash", "gap-not-silent"} <= outcome.recordings[0].ids()
