"""The `turnrec` command as a person uses it, beside a live server and without one."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import wave
from pathlib import Path

import pytest

from tests.pbx.callers import (
    FLOW,
    Caller,
    connect,
    dialplan,
    leaks_of,
    monitored_files,
    write_prompts,
)
from tests.pbx.process import Done, free_port, ledger_of, serving, turnrec
from tests.pbx.rig import Rig, rig, until
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

BOT = dialplan("start", "open", "ask", "open")
DONE, REFUSED, WRONG, NOBODY = 0, 1, 2, 3
"""Exit statuses."""


def same_port(**sections: dict[str, str]) -> dict[str, dict[str, str]]:
    return {"server": {"agi_port": str(free_port())}, **sections}


def refused(done: Done, error_id: str) -> bool:
    """Whether a command was refused with this id, in one sentence and without a traceback."""
    last = done.err.strip().splitlines()[-1:]
    return done.status == REFUSED and last[0].endswith(f"[{error_id}]") and not done.out


async def held_at(here: Rig, phone: Phone, mark: str, extension: str = "test-segment") -> Caller:
    caller = Caller(here, extension)
    caller.hold_at(mark)
    await connect(here, phone, caller)
    await caller.reached(mark)
    return caller


async def test_an_operator_acts_on_a_live_call(asterisk_22: Installation, tmp_path: Path) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, BOT) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        caller = await held_at(here, phone, "opened")
        (call,) = here.service.calls.live()
        paused = await turnrec(here, "pause", call.id)
        assert (paused.status, paused.out) == (DONE, "paused, held by operator\n")
        assert await monitored_files(here) == []
        caller.hold_at("asked")
        caller.let_on("opened")
        await caller.reached("asked")
        resumed = await turnrec(here, "resume", call.uniqueid)
        assert (resumed.status, resumed.out) == (DONE, "paused, held by turn\n")
        assert "held by: turn" in resumed.err
        assert refused(await turnrec(here, "resume", call.id), "held-by-another")
        stopped = await turnrec(here, "stop", call.id)
        assert (stopped.status, stopped.out) == (DONE, "stopped, held by turn\n")
        assert refused(await turnrec(here, "start", call.id), "recording-stopped")
        caller.let_on()
        await caller.reaches_the_end()
        assert leaks_of(here) == []


async def test_it_lists_calls_recordings_and_how_the_server_is(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, BOT) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        caller = await held_at(here, phone, "asked")
        calls, table, status, told = await asyncio.gather(
            turnrec(here, "calls", "--json"),
            turnrec(here, "calls"),
            turnrec(here, "status", "--json"),
            turnrec(here, "status"),
        )
        (call,) = calls.json
        assert call["bot"] == "segment"
        assert call["state"] == "paused"
        assert call["holds"] == ["turn"]
        assert call["node"] == "ask"
        assert call["channel"].startswith("PJSIP/tester-")
        assert call["id"] in table.out
        assert status.json["live_calls"] == 1
        assert status.json["ami_ready"] is True
        assert status.json["ledger_healthy"] is True
        assert status.json["agi_port"] == here.service.agi_port
        assert re.search(r"(?m)^live calls +1$", told.out)
        caller.let_on()
        await caller.reaches_the_end()
        await here.recordings(1)
        none, listed, table, past = await asyncio.gather(
            turnrec(here, "calls"),
            turnrec(here, "recordings", "--json", "--call", call["id"]),
            turnrec(here, "recordings"),
            turnrec(here, "calls", "--all", "--json"),
        )
        assert none.out == "no calls\n"
        (recording,) = listed.json
        assert recording["status"] == "done"
        assert len(recording["segments"]) == 2
        assert recording["path"] in table.out
        with wave.open(recording["path"]) as wav:
            assert wav.getnframes() / wav.getframerate() == recording["duration_s"]
        assert [(one["id"], one["state"]) for one in past.json] == [(call["id"], "ended")]


async def test_a_flow_with_a_mistake_keeps_the_old_one_in_force(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    flow = tmp_path / "flow.yaml"
    async with rig(asterisk_22, tmp_path, FLOW, BOT) as here:
        before = here.service.flow.flow
        flow.write_text(FLOW.replace("ask: pause", "ask: pausee"))
        mistaken = await turnrec(here, "reload")
        assert mistaken.status == REFUSED
        assert "flow.yaml" in mistaken.err
        assert "pause" in mistaken.err
        assert mistaken.err.endswith("the old flow stays in force\n")
        assert here.service.flow.flow == before
        flow.write_text(FLOW.replace("ask: pause", "ask: pause, fresh: resume"))
        mended = await turnrec(here, "reload")
        assert (mended.status, mended.out) == (DONE, "the flow is in force for new calls\n")
        assert "fresh" in here.service.flow.flow.bots["segment"].nodes


async def test_another_machine_does_by_http_and_a_key_what_this_one_does_by_the_socket(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, BOT) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        caller = await held_at(here, phone, "opened")
        (call,) = here.service.calls.live()
        made = await turnrec(
            here, "api-key", "new", "desk", "--right", "read", "--right", "control"
        )
        key = tmp_path / "key"
        key.write_text(made.out)
        key.chmod(0o600)
        elsewhere = ("--url", f"http://127.0.0.1:{here.service.api_port}", "--key-file", str(key))
        paused = await turnrec(here, "pause", call.id, "--reason", "by hand", *elsewhere)
        assert (paused.status, paused.out) == (DONE, "paused, held by operator\n")
        assert await monitored_files(here) == []
        told = await turnrec(here, "events", "--json", *elsewhere)
        assert told.status == DONE
        last = [json.loads(line) for line in told.out.splitlines()][-1]
        assert last["type"] == "recording.paused"
        assert last["data"]["actor"].startswith("key:desk")
        assert last["data"]["reason"] == "by hand"
        after = await turnrec(here, "events", "--since", str(last["seq"]), *elsewhere)
        assert (after.status, after.out) == (DONE, "")
        shown = await turnrec(here, "call", call.uniqueid, *elsewhere)
        assert "held by operator" in shown.out
        refusal = await turnrec(here, "reload", *elsewhere)
        assert refused(refusal, "not-allowed")
        assert (await turnrec(here, "api-key", "revoke", "desk")).status == DONE
        assert refused(await turnrec(here, "calls", *elsewhere), "unauthorized")
        caller.let_on()
        await caller.reaches_the_end()


@pytest.mark.parametrize("ami", ["true", "false"], ids=["by AMI", "by Asterisk's CLI"])
async def test_panic_stops_every_monitor_of_ours_with_the_server_gone_and_no_other(
    asterisk: Installation, tmp_path: Path, ami: str
) -> None:
    foreign = tmp_path / "foreign"
    bot = dialplan(f"MixMonitor({foreign}/${{EXTEN}}.wav)", "start", "open", "ask", "open")
    toml = {"asterisk": {"ami_enabled": ami}}
    async with (
        rig(asterisk, tmp_path, FLOW, bot, toml=toml) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = [await held_at(here, phone, "opened", f"test-segment-{n}") for n in "123"]
        theirs = sorted(foreign / caller.extension for caller in callers)
        await here.stop_service()
        assert len(await monitored_files(here)) == 2 * len(callers)
        panicked = await turnrec(here, "panic", "--asterisk", asterisk_command(here, asterisk))
        assert panicked.status == DONE, panicked.err
        assert "3 monitors stopped" in panicked.out
        assert [path.with_suffix("") for path in await monitored_files(here)] == theirs
        for caller in callers:
            caller.let_on()
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        assert leaks_of(here) == []


def asterisk_command(here: Rig, installation: Installation) -> str:
    """The test PBX's own `asterisk`, as an operator would type it."""
    conf = here.pbx.run_dir / "etc" / "asterisk.conf"
    return shlex.join([str(installation.executable), "-C", str(conf)])


async def test_without_anybody_to_ask_it_says_so(asterisk_22: Installation, tmp_path: Path) -> None:
    toml = {"asterisk": {"ami_enabled": "false"}}
    async with rig(asterisk_22, tmp_path, FLOW, BOT, start=False, toml=toml) as here:
        calls, pause, panicked = await asyncio.gather(
            turnrec(here, "calls"),
            turnrec(here, "pause", "x"),
            turnrec(here, "panic", "--asterisk", "false"),
        )
        for done in (calls, pause, panicked):
            assert done.status == NOBODY, done
            assert "Traceback" not in done.err
        assert "turnrec serve" in calls.err


async def test_wrong_words_and_wrong_settings_have_a_status_of_their_own(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with rig(asterisk_22, tmp_path, FLOW, BOT) as here:
        usage, second, *unknown = await asyncio.gather(
            turnrec(here, "paus", "x"),
            turnrec(here, "serve"),
            turnrec(here, "pause", "PJSIP/tester-00000001"),
            turnrec(here, "pause", "../flow/reload?"),
        )
        assert usage.status == WRONG
        assert second.status == REFUSED
        assert "Traceback" not in second.err
        for answer in unknown:
            assert refused(answer, "unknown-call"), answer
        (tmp_path / "flow.yaml").write_text("version: 1\nbots: {x: {nodes: {a: pausee}}}\n")
        flow = await turnrec(here, "serve")
        (tmp_path / "turnrec.toml").write_text("[server]\nagi_prot = 1\n")
        toml = await turnrec(here, "serve")
        for done, place in ((flow, "flow.yaml"), (toml, "turnrec.toml")):
            assert done.status == WRONG, done
            assert place in done.err
            assert "Traceback" not in done.err


async def test_no_digit_that_a_caller_keys_reaches_a_log_or_the_ledger(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    digits = "735192846017"
    bot = dialplan(
        "start", "open", "Gosub(turnrec-turn,s,1(ask))", "Read(KEYED,,12,,1,60)", "open", "open"
    )
    toml = same_port(log={"level": '"debug"'})
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot, start=False, toml=toml) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        async with serving(here) as server, ledger_of(here) as ledger:
            caller = Caller(here, "test-segment")
            await connect(here, phone, caller)
            await caller.reached("opened")
            await until(lambda: "Read" in here.pbx.rx("core show channels"), "the bot listens")
            await caller.call.send_digits(digits)
            await caller.reaches_the_end()
            await ledger.closed_recordings(1)
            log = server.log
    assert here.pbx.secrets.ami not in log
    assert "DTMF" not in log
    written = ledger_bytes(here)
    for run in (digits, digits[:8], digits[-8:]):
        assert run not in log
        assert run.encode() not in written


def ledger_bytes(here: Rig) -> bytes:
    """The ledger's files as they lie on disk."""
    return b"".join(path.read_bytes() for path in here.folder.glob("ledger.db*"))
