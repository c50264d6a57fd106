"""Names in the API's addresses that mean something to a file system lead nowhere."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.unit.web.recordings_api import serving
from turnrec.web.access import Right

NAMES = ("..", "%2e%2e", "..%2f..%2foutside", "%2fetc%2fpasswd", "outside.wav", "R%00", "R.wav",
         "..%5coutside", "%c0%ae%c0%ae", "day%2f..%2foutside", "~", "%ff", "." * 3)  # fmt: skip
WHAT = ("", "/audio", "/audio?format=flac", "/manifest", "/transcript", "/peaks", "/verify")
WORDS = "what lies outside"


@pytest.mark.parametrize("name", NAMES)
async def test_no_name_leads_out_of_the_recordings(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path, tmp_path.parent):
        for suffix in (".wav", ".json", ".transcript.jsonl", ""):
            (folder / f"outside{suffix}").write_text(WORDS, "utf-8")
    async with serving(tmp_path) as api:
        key = api.key(Right.ADMIN)
        transport = httpx.ASGITransport(app=api.gate)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            for what in WHAT:
                answer = await client.get(f"/v1/recordings/{name}{what}", headers=headers)
                assert answer.status_code in (404, 405, 409, 422), (what, answer.text)
                assert WORDS not in answer.text
                assert "Traceback" not in answer.text
