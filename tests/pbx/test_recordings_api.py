"""A real call's recording over HTTP, with real keys: found, heard, drawn, read and proven."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from tests.pbx.mouth import Mouth
from tests.pbx.rig import OPEN_PROMPT, PAUSED_PROMPT, WAIT_S, Rig, rig, write_tones
from tests.pbx.tones import OPEN_CALLER_HZ
from turnrec.core.entry import EntryKind
from turnrec.ledger.keys import make_key
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone
from turnrec.web.access import Right

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

AT = "/v1/recordings"
FLOW = """
version: 1
bots:
  kyc: {nodes: {open: resume, ask: pause}}
  held: {nodes: {ask: pause}}
"""
DIALPLAN = f"""
[turnrec-tests](+)
exten => _api-.,1,Answer()
 same => n,Gosub(turnrec-start,s,1(${{CUT(EXTEN,-,2)}},ext-${{CUT(EXTEN,-,2)}}))
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,Playback(${{SOUNDS}}/{OPEN_PROMPT})
 same => n,Gosub(turnrec-turn,s,1(ask))
 same => n,Playback(${{SOUNDS}}/{PAUSED_PROMPT})
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,Playback(${{SOUNDS}}/{OPEN_PROMPT})
 same => n,Hangup()
"""


async def call(here: Rig, extension: str) -> None:
    """Call the bot, and sound all through the call."""
    media = MediaOptions(source=Mouth().tone(OPEN_CALLER_HZ), keep_chunks=10)
    async with Phone(clock=MediaClock()) as phone:
        talk = await phone.dial(f"sip:{extension}@{here.sip}", media, timeout_s=WAIT_S)
        await talk.wait_ended(timeout_s=WAIT_S)


def client(here: Rig, name: str, *rights: Right, bots: set[str] | None = None) -> httpx.AsyncClient:
    """Somebody with a key of their own."""
    limited = None if bots is None else frozenset(bots)
    key = here.service.keys.make(name, frozenset(rights), limited, here.service.clock())
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{here.service.api_port}",
        headers={"Authorization": f"Bearer {key}"},
        timeout=WAIT_S,
    )


async def test_a_recording_is_found_heard_drawn_read_and_proven_over_http(
    asterisk: Installation, tmp_path: Path
) -> None:
    key_file = tmp_path / "signing.key"
    make_key(key_file)
    toml = {"ledger": {"signing_key_file": f'"{key_file}"'}}
    async with rig(asterisk, tmp_path / "rig", FLOW, DIALPLAN, toml=toml) as here:
        write_tones(here.folder / "sounds", {400: 1.0, 1000: 0.8})
        await call(here, "api-kyc")
        (recording,) = await here.recordings(1)
        name, data = recording.recording_id, here.file(recording).read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        async with (
            client(here, "supervisor", Right.READ) as supervisor,
            client(here, "auditor", Right.AUDIT) as auditor,
            client(here, "stranger", Right.READ, Right.AUDIT, bots={"held"}) as stranger,
        ):
            for query in ({}, {"call": "ext-kyc"}, {"q": name[:20]}, {"status": "done"}):
                (listed,) = (await auditor.get(AT, params=query)).json()["items"]
                assert (listed["id"], listed["sha256"]) == (name, sha256)
            assert [one["node"] for one in listed["gaps"] if "turn" in one["holds"]] == ["ask"]
            shown = (await auditor.get(f"{AT}/{name}")).json()
            assert sum(span["samples"] for span in shown["spans"]) == shown["samples"]

            # Its bytes, all and some; and the same samples in another format.
            whole = await supervisor.get(f"{AT}/{name}/audio")
            assert (whole.content, whole.headers["ETag"]) == (data, f'"{sha256}"')
            part = await supervisor.get(f"{AT}/{name}/audio", headers={"Range": "bytes=1000-1999"})
            assert (part.status_code, part.content) == (206, data[1000:2000])
            tail = await supervisor.get(
                f"{AT}/{name}/audio", headers={"Range": "bytes=-100", "If-Range": f'"{sha256}"'}
            )
            assert (tail.status_code, tail.content) == (206, data[-100:])
            head = await supervisor.head(f"{AT}/{name}/audio")
            assert head.headers["Content-Length"] == str(len(data))
            flac = await supervisor.get(f"{AT}/{name}/audio", params={"format": "flac"})
            samples, rate_hz = soundfile.read(BytesIO(flac.content), dtype="int16")
            assert rate_hz == shown["rate_hz"]
            assert samples.tobytes() == data[44:]
            skip = await supervisor.get(f"{AT}/{name}/audio", params={"behavior": "skip"})
            assert len(skip.content) < len(data)

            # The outline is silent in the gap, and loud around it.
            peaks = (await supervisor.get(f"{AT}/{name}/peaks", params={"points": 500})).json()
            (gap,) = (one for one in shown["spans"] if one["node"] == "ask")
            scale = 500 / shown["samples"]
            begin, end = gap["start_sample"], gap["start_sample"] + gap["samples"]
            points = np.array(peaks["points"])
            assert not points[int(begin * scale) + 1 : int(end * scale) - 1].any()
            assert np.abs(points[: int(begin * scale) - 2]).max() > 0.05

            manifest = await auditor.get(f"{AT}/{name}/manifest")
            entries = await here.service.ledger.entries(recording_id=name, limit=None)
            (closed,) = (one for one in entries if one.entry.kind is EntryKind.RECORDING_CLOSED)
            known = closed.entry.detail["manifest_sha256"]
            assert hashlib.sha256(manifest.content).hexdigest() == known

            proof = (await auditor.get(f"{AT}/{name}/verification")).json()
            assert (proof["status"], proof["exit_status"]) == ("proven", 0), proof
            assert "signed" in str(proof["ledger"]["proven"])

            # Each has listened or read once; of others' recordings nobody hears.
            entries = await here.service.ledger.entries(recording_id=name, limit=None)
            accesses = [
                (one.entry.actor, one.entry.detail["what"], one.entry.detail["address"])
                for one in entries
                if one.entry.kind is EntryKind.ACCESSED
            ]
            assert accesses == [
                ("key:supervisor", "audio", "127.0.0.1"),
                ("key:auditor", "manifest", "127.0.0.1"),
            ]
            assert (await auditor.get(f"{AT}/{name}/audio")).status_code == 403
            assert (await stranger.get(AT)).json()["items"] == []
            for what in ("", "/audio", "/peaks", "/manifest", "/verification", "/transcript"):
                answer = await stranger.get(f"{AT}/{name}{what}")
                assert (answer.status_code, answer.json()["id"]) == (404, "unknown-recording")
        # Who listened is on top of what was signed: the proof still holds, and the chain.
        assert (await here.service.ledger.verify_chain()).intact
