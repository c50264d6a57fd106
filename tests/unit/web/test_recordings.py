"""Recordings over the API: found, shown, read, drawn, and by whom; on real files."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import soundfile

from tests.unit.recordings.parts import audio
from tests.unit.test_keeping import NOW_US
from tests.unit.web.recordings_api import UTTERANCE, Api
from turnrec.core.entry import Entry, EntryKind
from turnrec.recordings.peaks import peaks_of
from turnrec.recordings.sound import hash_file as sha256
from turnrec.web.access import Right

# ------------------------------------------------------------------ found


async def test_recordings_are_found_by_every_filter_and_by_all_together(api: Api) -> None:
    key = api.key(Right.READ)
    hour_us = 3_600_000_000
    for number, (bot, status) in enumerate(
        [("kyc", "done"), ("kyc", "failed"), ("shop", "done"), ("shop", None)]
    ):
        await api.enter(f"R{number}", bot, status, NOW_US + number * hour_us)
    assert await api.listed(key) == ["R3", "R2", "R1", "R0"]
    assert await api.listed(key, bot="kyc") == ["R1", "R0"]
    assert await api.listed(key, bot="nobody") == []
    assert await api.listed(key, status="done") == ["R2", "R0"]
    assert await api.listed(key, status="paused") == ["R3"]
    assert await api.listed(key, call="C-R2") == ["R2"]
    assert await api.listed(key, call="ext-R1") == ["R1"]
    assert await api.listed(key, q="ext-R") == ["R3", "R2", "R1", "R0"]
    assert await api.listed(key, q="R1") == ["R1"]
    day = "2024-10-04"
    assert await api.listed(key, from_=f"{day}T02:00:00Z") == ["R3", "R2"]
    assert await api.listed(key, to=f"{day}T03:00:00+01:00") == ["R1", "R0"]
    from_, to = f"{day}T00:30:00Z", f"{day}T02:30:00Z"
    assert await api.listed(key, from_=from_, to=to, bot="kyc", status="failed", q="R") == ["R1"]


@pytest.mark.parametrize(
    "query", [{"from": "yesterday"}, {"to": "2024-10-04T00:00:00"}, {"status": "x"}, {"q": ""}]
)
async def test_a_filter_that_means_nothing_is_refused(api: Api, query: dict[str, str]) -> None:
    answer = await api.ask(f"?{urlencode(query)}", api.key(Right.READ))
    assert (answer.status_code, answer.json()["id"]) == (422, "bad-request")


async def test_pages_are_full_for_a_key_that_sees_few(api: Api) -> None:
    for number in range(30):
        await api.enter(f"R{number:02}", "kyc" if number % 10 == 0 else "shop")
    key = api.key(Right.AUDIT, bots={"kyc", "other"})
    first = (await api.ask("", key, limit=2)).json()
    assert [one["id"] for one in first["items"]] == ["R20", "R10"]
    second = (await api.ask("", key, limit=2, cursor=first["next"])).json()
    assert ([one["id"] for one in second["items"]], second["next"]) == (["R00"], None)
    assert await api.listed(key, bot="shop") == []
    assert await api.listed(key, q="R1") == ["R10"]


async def test_a_recording_is_told_as_the_contract_has_it(api: Api) -> None:
    path = await api.house.record("R1", stereo=True)
    key = api.key(Right.READ)
    (listed,) = (await api.ask("", key)).json()["items"]
    shown = (await api.ask("/R1", key)).json()
    assert {name: shown[name] for name in listed} == listed
    assert listed["file"] == f"2024-10-04/{path.name}"
    assert listed["path"] is None
    assert (await api.ask("/R1", None)).json()["path"] == str(path)
    assert (listed["samples"], listed["rate_hz"], listed["duration_s"]) == (24_000, 8_000, 3.0)
    assert (listed["status"], listed["pause_behavior"]) == ("done", "silence")
    assert listed["sha256"] == sha256(path)
    assert listed["opened_us"] == NOW_US
    spans = [(one["kind"], one["start_sample"], one["samples"]) for one in shown["spans"]]
    assert spans == [("segment", 0, 8000), ("gap", 8000, 8000), ("segment", 16000, 8000)]
    gap = shown["spans"][1]
    assert (gap["node"], gap["sources"]) == ("ask", ["turn"])
    assert gap["end_us"] - gap["begin_us"] == 1_000_000
    assert gap["begin"].endswith("+00:00")
    assert (shown["stereo"], shown["transcript"], shown["redacted_into"]) == (True, False, [])
    assert shown["closed_detail"]["spans"][0]["part"] == "R1-001.wav"


async def test_what_was_said_when_it_was_closed_or_redacted_is_shown(api: Api) -> None:
    await api.enter("R1", "kyc")
    for kind, detail in ((EntryKind.REDACTED, {"into": "R2"}), (EntryKind.LEGAL_HOLD, {})):
        api.house.ledger.append(
            Entry(kind=kind, at_us=NOW_US, recording_id="R1", detail=dict(detail))
        )
    shown = (await api.ask("/R1", api.key(Right.AUDIT))).json()
    assert shown["redacted_into"] == ["R2"]
    assert shown["legal_hold"] == "no reason given"
    assert (shown["spans"], shown["problems"], shown["redacts"]) == ([], [], None)


# ------------------------------------------------------------------ read


async def test_a_transcript_is_read_and_that_is_entered(api: Api) -> None:
    await api.house.record("R1")
    key = api.key(Right.READ)
    answer = await api.ask("/R1/transcript", key)
    assert (answer.status_code, answer.json()["id"]) == (404, "no-transcript")
    assert await api.accesses("R1") == []
    api.transcripts.append_later("R1", "C-R1", NOW_US, [UTTERANCE])
    told = await api.ask("/R1/transcript", key, format="vtt")
    assert told.headers["Content-Type"].startswith("text/vtt")
    assert "hello" in told.text
    assert "hello" in (await api.ask("/R1/transcript", key)).text
    assert (await api.ask("/R1", key)).json()["transcript"] is True
    assert await api.accesses("R1") == [("key:desk", "transcript")]


async def test_a_manifest_that_is_not_there_has_its_own_error(api: Api) -> None:
    await api.house.record("R1")
    await api.enter("OPEN", "kyc", None)
    key = api.key(Right.AUDIT)
    for name, problem in (("R1", (404, "no-manifest")), ("OPEN", (409, "recording-not-closed"))):
        answer = await api.ask(f"/{name}/manifest", key)
        assert (answer.status_code, answer.json()["id"]) == problem


async def test_a_verification_says_what_is_missing(api: Api) -> None:
    await api.house.record("R1")
    found = (await api.ask("/R1/verification", api.key(Right.AUDIT))).json()
    assert found["status"] != "proven"
    assert "manifest-missing" in json.dumps(found["recordings"])
    assert found["sentences"]


async def test_peaks_are_the_lowest_and_highest_of_each_stretch(api: Api) -> None:
    path = await api.house.record("R1")
    key = api.key(Right.READ)
    samples = audio(path) / 32_768
    for points in (1, 7, 1000, 10_000):
        answer = await api.ask("/R1/peaks", key, points=points)
        found: Any = answer.json()
        assert (found["rate_hz"], found["samples"]) == (8_000, 24_000)
        edges = [-(-n * 24_000 // points) for n in range(points + 1)]
        pieces = [samples[a:b] for a, b in pairwise(edges)]
        expected = [[round(one.min(), 4), round(one.max(), 4)] for one in pieces]
        assert np.allclose(found["points"], expected, atol=1e-4)
    again = await api.ask("/R1/peaks", key, points=1000)
    assert len(again.json()["points"]) == 1000
    assert (await api.ask("/R1/peaks", key, points=0)).status_code == 422


def test_the_memory_of_peaks_does_not_grow_with_the_length(tmp_path: Path) -> None:
    most = []
    for minutes in (1, 30):
        path = tmp_path / f"{minutes}.wav"
        rng = np.random.default_rng(minutes)
        with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(rng.integers(-30_000, 30_000, 480_000, dtype=np.int16))
        known = sha256(path)
        tracemalloc.start()
        peaks = peaks_of(path, known, 1000)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert peaks.samples == minutes * 480_000
        assert (peaks.lowest < 0).all()
        assert (peaks.highest > 0).all()
    assert most[1] < 1.5 * most[0]


# ------------------------------------------------------------------ who may


WHATS = ["", "/audio", "/peaks", "/manifest", "/transcript", "/verification"]


@pytest.mark.parametrize("what", WHATS)
async def test_a_key_of_other_bots_hears_of_nothing(api: Api, what: str) -> None:
    path = await api.house.record("R1")
    path.with_suffix(".json").write_bytes(b"{}\n")
    answer = await api.ask(f"/R1{what}", api.key(Right.READ, bots={"shop"}))
    assert (answer.status_code, answer.json()["id"]) == (404, "unknown-recording")
    assert await api.accesses("R1") == []


@pytest.mark.parametrize("what", WHATS)
async def test_listening_takes_the_right_to_read_and_proof_that_to_audit(
    api: Api, what: str
) -> None:
    await api.house.record("R1")
    allowed = set()
    for right in Right:
        answer = await api.ask(f"/R1{what}", api.key(right, name=right))
        if answer.status_code != 403:
            allowed.add(right)
    audits = {Right.AUDIT} if what in ("", "/manifest", "/verification") else set()
    assert allowed == {Right.READ, Right.ADMIN} | audits
