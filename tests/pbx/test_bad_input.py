"""Names, headers and requests that nobody should send: refused or held, and nothing else happens.

What a caller can choose (his user name, his display name, a header) reaches the dialplan as it is;
a careless dialplan passes it on. None of it may run a command, leave turnrec's folders, reach a log
or uncover a paused turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from tests.pbx.callers import (
    FLOW,
    OPEN_S,
    SAY,
    Caller,
    Mark,
    connect,
    dialplan,
    heard,
    leaks_of,
    least_s,
    monitored_files,
    write_prompts,
)
from tests.pbx.process import free_port, ledger_of, serving
from tests.pbx.rig import Rig, rig
from tests.pbx.tones import OPEN_BOT_HZ
from turnrec.core.entry import EntryKind
from turnrec.core.policy import Action
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

SECRET = "5557430691284"  # what only a log that says too much would hold


def nasty(folder: Path) -> dict[str, str]:
    """Names that mean something to a shell, a file system, a dialplan, AGI or AMI."""
    marker = f"$(touch {folder}/executed)"
    return {
        "comma": f"open,{marker},{SECRET}",
        "quote": f'open"{marker}"{SECRET}',
        "newline": f"open\nagi_arg_1: open\n{SECRET}",
        "agi": f"x\nagi_arg_1: open\nagi_arg_2: {SECRET}",
        "early": f"x\n\nagi_arg_1: open {SECRET}",
        "crlf": f"x\r\nAction: Originate\r\nX: {SECRET}",
        "path": f"../../{SECRET}",
        "shell": f"{marker}{SECRET}",
        "backtick": f"`touch {folder}/executed`{SECRET}",
        "pipe": f"open|touch {folder}/executed|{SECRET}",
        "semicolon": f"open;touch {folder}/executed;{SECRET}",
        "variable": "${SHELL(touch " + f"{folder}/executed)}}{SECRET}",
        "expression": f"$[1 + 1]{SECRET}",
        "bracket": f"open){SECRET}(",
        "brace": f"open}}{SECRET}{{",
        "question": f"open?{SECRET}:x",
        "ampersand": f"open&{SECRET}",
        "empty": "",
        "long": "o" * 500 + SECRET,
        "latin": f"ouvré{SECRET}",
    }


def words(folder: Path) -> Iterator[tuple[str, str]]:
    """Each nasty name and how a dialplan gets it: by URIDECODE, which can make line ends."""
    for name, value in nasty(folder).items():
        yield name, "${URIDECODE(" + quote(value, safe="") + ")}"


async def nothing_happened(here: Rig, log: str) -> None:
    """Nothing was run, nothing lies where it shouldn't, no log or ledger repeats it."""
    folder = here.folder
    assert not (folder / "executed").exists()
    recordings = here.settings.recordings
    for path in folder.rglob("*.wav"):
        inside = (recordings.dir, recordings.spool_dir, folder / "sounds", here.pbx.run_dir)
        assert any(path.is_relative_to(one) for one in inside), path
    for path in (*recordings.spool_dir.iterdir(), *recordings.dir.rglob("*.*")):
        assert SECRET not in path.name
    assert SECRET not in log
    assert SECRET.encode() not in b"".join(one.read_bytes() for one in folder.glob("ledger.db*"))


async def test_a_nasty_node_is_held_and_a_nasty_bot_refused(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    names = dict(words(tmp_path))
    sets = [f'ExecIf($["${{W2}}"="{name}"]?Set(EVIL={word}))' for name, word in names.items()]
    tell = f"AGI(${{MARK}}/mark?evil:{SAY}&${{WHO}})"
    bot = dialplan(
        *sets,
        "Gosub(turnrec-start,s,1(${EVIL}))",
        tell,
        "Gosub(turnrec-start,s,1(segment,${EVIL}))",
        tell,
        "start",
        "open",
        "Gosub(turnrec-turn,s,1(${EVIL}))",
        tell,
        "Set(SAID=asked)",
        "Gosub(bot,held,1)",
        "open",
    ).replace("[bot]\n", f"[bot]\nexten => held,1,{HELD}\n same => n,Return()\n")
    toml = {"server": {"agi_port": str(free_port())}}
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot, start=False, toml=toml) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        async with serving(here) as server, ledger_of(here) as ledger:
            callers = {name: Caller(here, f"test-segment-{name}") for name in names}
            await asyncio.gather(*(connect(here, phone, caller) for caller in callers.values()))
            await asyncio.gather(*(caller.reaches_the_end() for caller in callers.values()))
            recordings = await ledger.closed_recordings(len(callers))
            alarms = {one.result for one in await ledger.entries() if one.kind is EntryKind.ALARM}
            await nothing_happened(here, server.log)
        for name, caller in callers.items():
            bad_bot, bad_id, bad_node = caller.all("evil")
            assert bad_bot.status == "REFUSED", name
            assert bad_bot.error in {"invalid-name", "unknown-bot"}, name
            # Split at its commas by Gosub itself, this one is a good name and more arguments.
            good = name in {"empty", "comma"}
            assert (bad_id.status, bad_id.error) == (
                ("OK", "") if good else ("REFUSED", "invalid-name")
            ), name
            if name != "comma":
                assert bad_node.state == "paused", name
                assert bad_node.status == "OK", name
            assert caller.statuses("start", "open") == ["OK"] * 3, name
        assert "unknown-node" in alarms
        assert {one.status for one in recordings} == {"done"}
        assert leaks_of(here) == []


HELD = 'ExecIf($["${W2}"!="comma"]?Playback(${SOUNDS}/bot1000))'


async def test_a_nasty_caller_changes_nothing(asterisk_22: Installation, tmp_path: Path) -> None:
    toml = {"server": {"agi_port": str(free_port())}}
    async with (
        rig(
            asterisk_22,
            tmp_path,
            FLOW,
            dialplan("start", "open", "ask", "open"),
            start=False,
            toml=toml,
        ) as here,
    ):
        write_prompts(here)
        evil = nasty(tmp_path)
        # Nothing, and what ends the environment of the test's own marks too.
        del evil["empty"], evil["early"]
        users = {name: quote(value, safe="") for name, value in evil.items()}
        async with serving(here) as server, ledger_of(here) as ledger:
            callers = {name: Caller(here, f"test-segment-{name}") for name in users}
            await asyncio.gather(
                *(calls_as(here, callers[name], user) for name, user in users.items())
            )
            recordings = await ledger.closed_recordings()
            await ledger.no_call_is_live()
            await nothing_happened(here, server.log)
        assert leaks_of(here) == []
        for name, caller in callers.items():
            assert caller.statuses("start", "open", "ask") == ["OK"] * 4, name
            assert [one.state for one in caller.all("ask")] == ["paused"], name
        assert len(recordings) == len(users)
        for recording in recordings:
            said = heard([here.file(recording)])[OPEN_BOT_HZ]
            assert said >= least_s(2 * OPEN_S, recording, [*callers.values()])


async def calls_as(here: Rig, caller: Caller, user: str) -> None:
    """Call over real SIP with this user name, as display name and in a header too."""
    async with Phone(clock=MediaClock(), user=user) as phone:
        await connect(here, phone, caller, caller_name=user)
        await caller.reaches_the_end()


FORGED = {
    "argument": "x\nagi_arg_1: open\nagi_arg_2: 1",
    "end": "x\n\n200 result=1 (open)",
    "all": "x\nagi_uniqueid: 1.1\nagi_channel: X\nagi_arg_1: open\n\n200 result=0",
}


async def test_a_line_end_in_the_caller_id_cannot_choose_the_node(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    bot = dialplan(
        "start",
        "open",
        *(
            f'ExecIf($["${{W3}}"="{name}"]?Set(EVIL=${{URIDECODE({quote(value, safe="")})}}))'
            for name, value in FORGED.items()
        ),
        "Set(CALLERID(${W2})=${EVIL})",
        "Gosub(turnrec-turn,s,1(ask))",
        "Set(CALLERID(${W2})=1)",  # the test's own marks are AGI too
        "Gosub(bot,asking,1)",
        "open",
    )
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        fields = ("name", "num", "dnid", "rdnis")
        callers = [Caller(here, f"test-segment-{one}-{name}") for one in fields for name in FORGED]
        await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
        await asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        await here.recordings(len(callers))
        assert leaks_of(here) == []
        for caller in callers:
            assert [one.state for one in caller.all("ask")] == ["paused"], caller.extension
            assert caller.statuses("open") == ["OK", "OK"], caller.extension


async def test_garbled_actions_are_refused_but_hold_first(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    tell = f"AGI(${{MARK}}/mark?evil:{SAY}&${{WHO}})"
    resume = "Gosub(turnrec-turn,s,1(open))"
    garbled = ["pausse", "PAUSE", "", "stop\\;rm", "resume|start", "${URIDECODE(pause%0Ax)}"]
    bot = dialplan(
        "start",
        "open",
        *(
            step
            for word in garbled
            for step in (
                f"Gosub(turnrec-action,s,1({word}))",
                tell,
                resume,
            )
        ),
        "open",
    )
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        caller = Caller(here, "test-segment")
        await connect(here, phone, caller)
        await caller.reaches_the_end()
        assert caller.all("evil") == [
            Mark("evil", "REFUSED", "unknown-action", "paused"),
        ] * len(garbled)
        assert caller.statuses("open") == ["OK", "OK"]


async def test_turns_asked_twice_late_or_after_the_stop_change_nothing(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    tell = f"AGI(${{MARK}}/mark?turn:{SAY}&${{WHO}})"

    def turn(words: str) -> tuple[str, str]:
        return f"Gosub(turnrec-turn,s,1({words}))", tell

    def action(words: str) -> tuple[str, str]:
        return f"Gosub(turnrec-action,s,1({words}))", tell

    bot = dialplan(
        *turn("ask"),
        "start",
        *turn("open,10"),
        *turn("ask,11"),
        *turn("ask,11"),
        *turn("open,9"),
        *turn("open,11"),
        *turn("open,12"),
        *turn("open,99999999999999999999999"),
        *action("stop"),
        *action("resume"),
        *action("start"),
        *action("pause"),
        *turn("open"),
        *action("stop"),
    )
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        caller = Caller(here, "test-segment")
        await connect(here, phone, caller)
        await caller.reaches_the_end()
        (recording,) = await here.recordings(1)
        stopped = ("REFUSED", "recording-stopped", "stopped")
        assert [(one.status, one.error, one.state) for one in caller.all("turn")] == [
            ("REFUSED", "unknown-call", ""),
            ("OK", "", "recording"),
            ("OK", "", "paused"),
            ("OK", "", "paused"),
            ("REFUSED", "turn-superseded", "paused"),
            ("REFUSED", "turn-superseded", "paused"),
            ("OK", "", "recording"),
            ("OK", "", "recording"),
            ("OK", "", "stopped"),
            stopped,
            stopped,
            stopped,
            stopped,
            ("OK", "", "stopped"),
        ]
        assert recording.status == "done"
        assert len(recording.segments) == 2


async def test_an_operator_and_a_turn_at_the_same_instant_both_get_their_way(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    turns = ["open", "ask"] * 3
    async with (
        rig(asterisk_22, tmp_path, FLOW, dialplan("start", *turns, "open")) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        callers = [
            Caller(here, f"test-{method}-{n}") for method in ("segment", "mute") for n in range(4)
        ]
        await asyncio.gather(*(connect(here, phone, caller) for caller in callers))
        ends = asyncio.gather(*(caller.reaches_the_end() for caller in callers))
        refusals: set[str] = set()
        while not ends.done():
            for action in (Action.PAUSE, Action.RESUME):
                results = await asyncio.gather(
                    *(here.operate(call.id, action) for call in here.service.calls.live()),
                    return_exceptions=True,
                )
                refusals |= {str(getattr(one, "id", "")) for one in results} - {""}
                await asyncio.wait({ends}, timeout=0.02)
        await ends
        recordings = await here.recordings(len(callers))
        statuses = {status for one in callers for status in one.statuses("start", "open", "ask")}
        assert statuses == {"OK"}
        assert refusals <= {"held-by-another", "not-recording", "unknown-call", "call-ended"}
        assert {one.status for one in recordings} == {"done"}
        assert leaks_of(here) == []


async def test_where_no_part_can_be_written_the_call_goes_on_unrecorded_until_it_can(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    bot = dialplan("start", "open", "ask", "open", "ask", "open")
    async with (
        rig(asterisk_22, tmp_path, FLOW, bot) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        write_prompts(here)
        caller = Caller(here, "test-segment")
        caller.hold_at("asked")
        await connect(here, phone, caller)
        await caller.reached("asked")
        spool = here.settings.recordings.spool_dir
        aside = spool.with_name("spool-aside")
        spool.rename(aside)
        spool.write_text("no folder")
        caller.hold_at("opened")
        caller.let_on("asked")
        await caller.reached("opened", 2)
        assert caller.all("open")[1] == Mark("open", "FAILCLOSED", "segment-not-started", "paused")
        assert await monitored_files(here) == []
        spool.unlink()
        aside.rename(spool)
        caller.let_on()
        await caller.reaches_the_end()
        (recording,) = await here.recordings(1)
        written = await here.service.ledger.entries(limit=None)
        alarms = [one.entry.result for one in written if one.entry.kind is EntryKind.ALARM]
        assert caller.statuses("open") == ["OK", "FAILCLOSED", "OK"]
        assert caller.statuses("ask") == ["OK", "OK"]
        assert alarms == ["segment-not-started"]
        (closed,) = [
            one.entry.detail for one in written if one.entry.kind is EntryKind.RECORDING_CLOSED
        ]
        spans = cast("list[dict[str, Any]]", closed["spans"])
        assert ["fault", "turn"] in [span["sources"] for span in spans], spans
        said = heard([here.file(recording)])[OPEN_BOT_HZ]
        assert least_s(2 * OPEN_S, recording, [caller]) <= said <= 2 * OPEN_S
        assert leaks_of(here) == []
