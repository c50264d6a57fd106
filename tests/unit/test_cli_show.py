"""How things are shown, and that every command says what it is for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tools.draw_cli import DOCS, drawn
from typer.main import get_command

from turnrec import cli_show
from turnrec.cli import app
from turnrec.cli_recordings import instant
from turnrec.cli_show import Column, clean, length, show_table, state, text, when
from turnrec.recordings.sound import SoundFormat


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_times_are_local_unless_utc_is_wanted() -> None:
    at = "2026-11-21T20:05:00.250+00:00"
    assert when(utc=False)(at) == "2026-11-22 01:35:00"
    assert when(utc=True)(at) == "2026-11-21 20:05:00Z"
    assert when(utc=True)(None) == "-"
    assert instant("2026-11-22T01:35", "--from") == "2026-11-22T01:35:00.000+05:30"
    assert instant("2026-11-22T01:35Z", "--from") == "2026-11-22T07:05:00.000+05:30"
    today = instant("today", "--from")
    assert today is not None
    assert today.endswith("T00:00:00.000+05:30")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0.00 s"), (7.254, "7.25 s"), (125.4, "2:05"), (3723, "1:02:03"), (None, "-")],
)
def test_lengths_are_as_people_read_them(seconds: float | None, words: str) -> None:
    assert length(seconds) == words


def test_what_steers_a_terminal_is_taken_out() -> None:
    assert clean("a\x1b[2J\x07\x9bb\u202e") == "a�[2J��b�"
    assert text("a\nb\tc") == "a b c"
    assert text([]) == "-"


class Terminal:
    """Standard output that somebody looks at."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.written = ""

    def write(self, text: str) -> int:
        self.written += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


COLUMNS = [Column("id", text, "id", is_whole=True), Column("state", state, "state", is_whole=True)]
ROWS = [{"id": "A", "state": "recording"}, {"id": "B", "state": "paused"}]


def shown(monkeypatch: pytest.MonkeyPatch, **environ: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environ}.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    show_table(ROWS, COLUMNS, none="")
    monkeypatch.undo()
    return screen.written


def test_a_terminal_has_states_by_word_sign_and_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    written = shown(monkeypatch)
    assert "\x1b[1;31m● recording" in written
    assert "\x1b[1;33m❚❚ paused" in written


def test_no_color_takes_the_colours_and_leaves_word_and_sign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = shown(monkeypatch, NO_COLOR="1")
    assert "● recording" in written
    assert "31m" not in written
    assert "33m" not in written


def test_a_terminal_without_the_signs_has_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "encoding", "iso-8859-1")
    assert "●" not in shown(monkeypatch)


def test_a_pipe_has_the_words_alone(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(ROWS, COLUMNS, none="")
    assert capsys.readouterr().out == "id  state\nA   recording\nB   paused\n"
    show_table([], COLUMNS, none="nothing")
    assert capsys.readouterr().out == "nothing\n"


def test_progress_is_for_terminals_only(capsys: pytest.CaptureFixture[str]) -> None:
    with cli_show.progress("x") as tell, cli_show.busy("y"):
        tell(1, 2)
    assert capsys.readouterr() == ("", "")


# ------------------------------------------------------------------ help


def commands(command: Any, name: str = "turnrec") -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, one in inner.items():
        yield from commands(one, f"{name} {word}")


COMMANDS = {name: one for name, one in commands(get_command(app)) if "pbx" not in name}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_in_a_line_what_it_is_for_and_shows_how(name: str) -> None:
    command = COMMANDS[name]
    purpose = command.help.splitlines()[0]
    assert 15 < len(purpose) < 100
    assert purpose.endswith((".", "?"))
    assert "Examples:" in (command.epilog or ""), "no examples"
    assert name in command.epilog
    for parameter in command.params:
        assert parameter.name == "help" or parameter.help, f"{name}: {parameter.name}"


def test_whatever_is_shown_can_be_had_as_json() -> None:
    silent = {"manifest", "transcript", "metrics", "reload", "panic", "serve", "demo", "hold"}
    silent |= {
        "release",
        "delete",
        "remove",
        "retry",
        "revoke",
        "new",
        "key show",
        "call",
        "access",
    }
    for name, command in COMMANDS.items():
        if not any(name.endswith(f" {word}") for word in silent):
            assert any("--json" in one.opts for one in command.params), name


def test_the_page_about_the_commands_is_what_they_say_themselves() -> None:
    assert DOCS.read_text("utf-8") == drawn(), "run tools/draw_cli.py"


def test_copies_are_made_in_the_formats_that_there_are() -> None:
    from turnrec.cli_export import CopyFormat

    assert {one.value for one in CopyFormat} == {one.value for one in SoundFormat}
