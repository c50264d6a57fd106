"""`turnrec simulate`: what it prints, to people and to scripts, and its exit statuses."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.unit.simulate.calls import TEXT
from turnrec.cli import app, main

DONE, REFUSED, WRONG = 0, 1, 2


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    path = tmp_path / "flow.yaml"
    path.write_bytes(TEXT)
    return path


def simulate(flow: Path, *options: str, bot: str = "kyc") -> Any:
    return CliRunner().invoke(app, ["simulate", str(flow), "--bot", bot, *options])


def simulated(flow: Path, *options: str, bot: str = "kyc") -> Any:
    done = simulate(flow, *options, "--json", bot=bot)
    assert done.exit_code == DONE, done.output
    return json.loads(done.stdout)


def test_a_pipe_gets_plain_columns_with_each_command_and_what_is_recorded(flow: Path) -> None:
    done = simulate(flow, "--path", "hello=2s,ask=8s,open")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["TIME", "STEP", "ANSWER", "STATE", "RECORDED", "WHAT"]
    (asked,) = (line for line in lines if "2 ask" in line)
    assert asked.split() == [
        *("2.087", "2", "ask", "OK", "paused", "(turn)", "gap", "turn"),
        "Gosub(turnrec-turn,s,1(ask))",
    ]
    after = lines[lines.index(asked) + 1 :]
    assert after[0].endswith("  * turn.begun")
    assert after[1].endswith('  AGI EXEC "StopMixMonitor" "0x7f0000000001"  ->  200 result=0')
    assert "\x1b" not in done.stdout
    assert "recording 1, SIM2: done" in done.stdout
    assert lines[-1] == "refused or failed closed: nothing"
    assert (done.exit_code, done.stderr) == (DONE, "")


def test_an_action_of_several_lines_is_shown_in_one(flow: Path) -> None:
    done = simulate(flow, "--path", "ask", bot="mute")
    (mute,) = (line for line in done.stdout.splitlines() if "Action: MixMonitorMute" in line)
    assert mute.endswith(
        "AMI Action: MixMonitorMute | Channel: PJSIP/caller-00000001 | Direction: both | State: 1"
        " | MixMonitorID: 0x7f0000000001  ->  Success"
    )


def test_a_refusal_is_an_outcome_and_with_strict_a_status(flow: Path) -> None:
    path = ("--path", "bye,open")
    assert simulate(flow, *path).exit_code == DONE
    strict = simulate(flow, *path, "--strict")
    assert strict.exit_code == REFUSED
    assert strict.stdout.splitlines()[-1] == "refused or failed closed: 2 open"
    assert simulate(flow, "--path", "bye", "--strict").exit_code == DONE


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--path", "helo"), "did you mean 'hello'?"),
        (("--path", "hello", "--each", "fast"), "'fast' is no duration"),
        (("--path", "hello", "--asterisk", "13"), "no version from 16 on"),
        (("--path", "hello", "--asterisk", "22.x"), "no version from 16 on"),
        (("--path", "hello", "--codec", "a b"), "no codec as Asterisk names it"),
        (("--path", "hello", "--http", "--no-ami"), "what the API asks for takes the manager"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_with_status_2(
    flow: Path, options: tuple[str, ...], complaint: str
) -> None:
    done = simulate(flow, *options)
    assert (done.exit_code, done.stdout) == (WRONG, "")
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_bot_is_named_where_there_are_several(flow: Path) -> None:
    unnamed = CliRunner().invoke(app, ["simulate", str(flow), "--path", "hello"])
    assert (unnamed.exit_code, unnamed.stderr) == (
        WRONG,
        "turnrec: the flow has several bots, name one: --bot"
        " kyc, skip, mute, manual, kept, never, late, wide\n",
    )
    wrong = simulate(flow, "--path", "hello", bot="kycc")
    assert (wrong.exit_code, "did you mean 'kyc'?" in wrong.stderr) == (WRONG, True)


def test_the_only_bot_needs_no_name(tmp_path: Path) -> None:
    flow = tmp_path / "flow.yaml"
    flow.write_text("version: 1\nbots: {only: {nodes: {hello: }}}\n", "utf-8")
    done = CliRunner().invoke(app, ["simulate", str(flow), "--path", "hello"])
    assert done.exit_code == DONE


@pytest.mark.parametrize("text", ["version: 1\nbots: {kyc: {nods: {}}}\n", None])
def test_a_flow_with_mistakes_is_status_2(
    tmp_path: Path,
    text: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flow = tmp_path / "flow.yaml"
    if text is not None:
        flow.write_text(text, "utf-8")
    monkeypatch.setattr("sys.argv", ["turnrec", "simulate", str(flow), "--path", "hello"])
    umask = os.umask(0o077)  # main() sets one for its process
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        os.umask(umask)
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (WRONG, "")
    assert str(flow) in said.err


def test_json_has_every_command_with_its_answer(flow: Path) -> None:
    found = simulated(flow, "--path", "hello,ask=4s,open")
    assert (found["format"], found["bot"], found["asterisk"]) == (1, "kyc", "22.10.1")
    asked = found["steps"][2]
    assert (asked["step"], asked["refused"]) == ("ask", False)
    (moment,) = asked["moments"]
    assert moment["status"] == "OK"
    assert (moment["state"], moment["holds"], moment["recorded"]) == (
        "paused",
        ["turn"],
        "gap turn",
    )
    assert moment["commands"][0] == {
        "over": "agi",
        "channel": "PJSIP/caller-00000001",
        "at_s": 3.087,
        "sent": 'EXEC "StopMixMonitor" "0x7f0000000001"',
        "answer": "200 result=0",
        "answered_s": 3.088,
    }
    (recording,) = found["recordings"]
    assert recording["timeline"][2]["sources"] == ["turn"]
    assert [event["type"] for event in found["events"]][-1] == "recording.done"
    assert [entry["seq"] for entry in found["ledger"]] == list(range(1, len(found["ledger"]) + 1))


def test_versions_are_given_as_people_say_them(flow: Path) -> None:
    for said, meant in (("22", "22.10.1"), ("16", "16.28.0"), ("18.9", "18.9"), ("20", "20.0")):
        assert simulated(flow, "--path", "hello", "--asterisk", said)["asterisk"] == meant


def test_nothing_is_logged_and_nothing_is_left_behind(
    flow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    done = simulate(flow, "--path", "hello,@turn:nobody_knows,ask,@agent:off,bye")
    assert (done.exit_code, done.stderr) == (DONE, "")
    assert list(folder.iterdir()) == []
    assert caplog.records == []
    assert logging.getLogger("turnrec").propagate
