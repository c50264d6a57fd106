"""A server that starts after a crash clears up before it records or serves anything."""

from __future__ import annotations

from pathlib import Path

from tests.loopback.fake_asterisk import FakeAsterisk
from tests.loopback.test_events_http import turnrec
from tests.unit.recordings.parts import closed, tone
from turnrec.core.entry import EntryKind


async def test_files_that_no_entry_names_are_never_served(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    pbx = FakeAsterisk(tmp_path / "spool")
    async with turnrec(tmp_path, pbx) as server:
        assert [one.entry.kind for one in await server.service.ledger.entries()][:1]
    day = tmp_path / "recordings" / "2026-11-21"
    day.mkdir()
    stray = day / "01JSTRAY.wav"
    stray.write_bytes(closed(tone(400, 800)))
    async with turnrec(tmp_path, pbx) as server:
        assert not stray.exists()
        aside = tmp_path / "recordings" / "strays" / day.name / "01JSTRAY.wav.stray"
        assert aside.is_file()
        assert (await server.client.get("/v1/recordings/01JSTRAY")).status_code == 404
        listed = (await server.client.get("/v1/recordings")).json()
        assert "01JSTRAY" not in str(listed)
        await server.service.ledger.flush()
        written = [one.entry for one in await server.service.ledger.entries()]
        alarms = [one for one in written if one.kind is EntryKind.ALARM]
        assert [one.result for one in alarms] == ["stray-files"]
        assert "01JSTRAY.wav" in str(alarms[0].detail["sentence"])
    async with turnrec(tmp_path, pbx) as server:
        written = [one.entry for one in await server.service.ledger.entries()]
        assert sum(one.kind is EntryKind.ALARM for one in written) == 1
