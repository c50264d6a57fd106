"""A backup while a real call runs and is paused, its next ones, and what comes back from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pbx.callers import FLOW, Caller, connect, dialplan, leaks_of, write_prompts
from tests.pbx.process import free_port, ledger_of, serving, turnrec
from tests.pbx.rig import rig
from turnrec.ledger.keys import make_key
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]


def elsewhere(folder: Path, key: Path) -> Path:
    """The settings of an empty machine."""
    folder.mkdir()
    config = folder / "turnrec.toml"
    config.write_text(
        '[server]\ncontrol_socket = "run/control.sock"\n[asterisk]\nami_enabled = false\n'
        '[recordings]\ndir = "recordings"\nspool_dir = "spool"\n'
        f'[ledger]\nurl = "sqlite:///ledger.db"\nsigning_key_file = "{key}"\n'
        '[api]\nkeys_file = "api-keys.json"\n[flow]\npath = "flow.yaml"\n'
    )
    return config


async def test_a_backup_while_a_call_is_paused_and_what_comes_back_from_it(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    key, store = tmp_path / "signing.key", str(tmp_path / "backup")
    public, _ = make_key(key)
    toml = {
        "server": {"agi_port": str(free_port())},
        "ledger": {"signing_key_file": f'"{key}"', "checkpoint_every_s": "1"},
    }
    bot = dialplan("start", "open", "ask", "open")
    async with (
        rig(asterisk_22, tmp_path / "rig", FLOW, bot, start=False, toml=toml) as here,
        serving(here) as server,
        Phone(clock=MediaClock()) as phone,
        ledger_of(here) as ledger,
    ):
        write_prompts(here)
        first = Caller(here, "test-segment-1")
        await connect(here, phone, first)
        await first.reaches_the_end()
        (old,) = await ledger.closed_recordings(1)
        caller = Caller(here, "test-segment-2")
        caller.hold_at("asked")
        await connect(here, phone, caller)
        await caller.reached("asked")
        during = await turnrec(here, "backup", store, "--json")
        assert (during.status, during.err) == (0, "")
        assert during.json["recordings"] == len(during.json["unfinished"]) == 1
        refused = await turnrec(here, "restore", store)
        assert refused.status == 1
        assert "a turnrec runs" in refused.err
        (live,) = await server.calls()
        assert live["state"] == "paused"
        caller.let_on()
        await caller.reaches_the_end()
        assert leaks_of(here) == []
        _, new = await ledger.closed_recordings(2)
        told = await turnrec(here, "delete", old.recording_id, "--reason", "asked for")
        assert told.status == 0, told.err
        after = await turnrec(here, "backup", store, "--json")
        assert (after.status, after.err) == (0, "")
        assert after.json["pruned"] == [old.recording_id]
        assert (after.json["recordings"], after.json["unfinished"]) == (1, [])
        assert await server.end() == 0
        last = await turnrec(here, "backup", store, "--json")
        assert last.json["new_files"] == 0

        config = elsewhere(tmp_path / "new", key)
        back = await turnrec(here, "restore", store, "--config", str(config), "--json")
        assert (back.status, back.err) == (0, ""), back
        assert (back.json["verdict"], back.json["unproven"]) == ("proven", [])
        recordings = str(tmp_path / "new" / "recordings")
        proven = await turnrec(
            here, "verify", recordings, "--config", str(config), "--public-key", str(public)
        )
        assert proven.status == 0, proven.out
        sound = Path(recordings) / (new.file or "")
        original = here.settings.recordings.dir / (new.file or "")
        assert sound.read_bytes() == original.read_bytes()
