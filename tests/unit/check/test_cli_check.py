"""`turnrec check`: what it prints, where to, and how it ends."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests.unit.cli_world import World

FLOWS = Path(__file__).parent / "flows"
PLANTED = str(FLOWS / "planted" / "13_retry_in_another_state.yaml")
WRONG = str(FLOWS / "planted" / "01_forgotten_resume.yaml")
SOUND = str(FLOWS / "sound" / "01_kyc.yaml")
TWO = str(FLOWS / "planted" / "18_two_bots.yaml")


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> World:
    return World(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([SOUND], 0),
        ([SOUND, "--strict"], 0),
        ([PLANTED], 0),
        ([PLANTED, "--strict"], 1),
        ([WRONG], 1),
        ([SOUND, WRONG], 1),
        ([WRONG, "nowhere.yaml"], 2),
    ],
)
@pytest.mark.parametrize("form", ["text", "json", "sarif", "mermaid", "svg"])
def test_the_exit_status_is_the_same_in_every_format(
    world: World, arguments: list[str], status: int, form: str
) -> None:
    done = world.run_now("check", *arguments, "--format", form)
    assert done.status == status
    assert done.out


def test_json_may_be_asked_for_as_everywhere(world: World) -> None:
    done = world.run_now("check", WRONG, "--json")
    assert done.json["exit_status"] == done.status == 1
    assert done.json["files"][0]["findings"][0]["id"] == "pause-never-resumed"


def test_a_file_is_written_and_the_sum_said(world: World) -> None:
    out = world.folder / "flow.svg"
    done = world.run_now("check", SOUND, "--format", "svg", "--out", str(out))
    assert out.read_text("utf-8").startswith("<svg ")
    assert (done.status, done.out) == (0, "")
    assert done.err == f"{SOUND}: nothing found in 1 bot, 3 nodes\n"


def test_a_file_that_is_there_is_not_written_over(world: World) -> None:
    out = world.folder / "flow.sarif"
    out.write_text("mine")
    done = world.run_now("check", SOUND, "--format", "sarif", "--out", str(out))
    assert done.status == 1
    assert out.read_text() == "mine"


def test_one_bot_is_drawn_alone(world: World) -> None:
    done = world.run_now("check", TWO, "--format", "mermaid", "--bot", "manual")
    assert 'subgraph b0["bot manual"]' in done.out
    assert "bot sound" not in done.out


def test_a_bot_that_is_not_there_is_wrong_usage(world: World) -> None:
    done = world.run_now("check", TWO, "--format", "svg", "--bot", "nobody")
    assert done.status == 2
    assert "no bot is called 'nobody'" in done.err


@pytest.mark.parametrize("form", ["text", "json", "sarif", "mermaid", "svg"])
def test_mistakes_are_told_whatever_the_format(world: World, form: str) -> None:
    path = world.folder / "flow.yaml"
    path.write_text("version: 1\nbots: {kyc: {agnt: on}}\n")
    done = world.run_now("check", str(path), SOUND, "--format", form)
    assert done.status == 2
    assert "nknown policy 'agnt'" in done.out + done.err


def test_what_stands_in_a_file_does_not_steer_a_terminal(world: World) -> None:
    path = world.folder / "flow.yaml"
    path.write_text('version: 1\nbots: {kyc: {"\\e[31m": on}}\n')
    done = world.run_now("check", str(path))
    assert done.status == 2
    assert "\x1b" not in done.out


def test_the_collector_is_on_again_afterwards(world: World) -> None:
    world.run_now("check", SOUND)
    assert gc.isenabled()
