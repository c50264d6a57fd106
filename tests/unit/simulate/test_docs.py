"""docs/simulate.md: its commands print what stands there, its JSON is the JSON that there is."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tests.pbx.test_simulate import OVER_HTTP, PATHS, WITHOUT_AMI
from tests.unit.simulate.calls import played
from turnrec.cli import app
from turnrec.simulate.path import _FORMS
from turnrec.simulate.result import to_json

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "simulate.md").read_text("utf-8")


def samples() -> list[tuple[str, str]]:
    """Each command of the page's console blocks, and what stands below it."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    found = [re.split(r"^\$ ", block, flags=re.MULTILINE)[1:] for block in blocks]
    pairs = (one.partition("\n") for block in found for one in block)
    return [(command, shown) for command, _, shown in pairs]


@pytest.mark.parametrize(
    ("command", "shown"), [pytest.param(*one, id=f"{n}") for n, one in enumerate(samples(), 1)]
)
def test_a_command_prints_what_stands_there(
    command: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert printed(command) == shown


def printed(command: str) -> str:
    """What a command prints; one that needs a shell gets one."""
    if "|" not in command:
        _, *words = shlex.split(command)
        return CliRunner().invoke(app, words).output
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        env=os.environ | {"PATH": path, "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def test_there_are_samples() -> None:
    assert len(samples()) >= 6


def test_so_many_paths_are_compared_with_a_real_asterisk_as_the_page_says() -> None:
    assert f"for {len({**PATHS, **OVER_HTTP, **WITHOUT_AMI})} paths" in PAGE


def keys(value: object, place: str = "") -> Iterator[str]:
    """The places of a JSON document: `steps[].moments[].what`."""
    if isinstance(value, dict) and place != "events[].data":
        for name, inner in value.items():
            yield from keys(inner, f"{place}.{name}" if place else name)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for one in value:
            yield from keys(one, f"{place}[]")
    else:
        yield place


def documented() -> set[str]:
    """The keys of the page's last table; `.name` stands beside the key before it."""
    found: set[str] = set()
    parent = ""
    for row in PAGE.rpartition("| key | |")[2].splitlines():
        for key in re.findall(r"`([^`]+)`", row.split("|")[1] if row.startswith("|") else ""):
            full = f"{parent}{key}" if key.startswith(".") else key
            parent = full.rpartition(".")[0]
            found.add(full)
    return found


def test_every_key_of_the_json_is_on_the_page_and_no_other() -> None:
    document = json.loads(json.dumps(to_json(played("kyc", "hello,ask,@agent,bye,open"))))
    document["ledger"] = None
    found = {key if key != "ledger" else "ledger[]" for key in keys(document)}
    # A list that is empty somewhere is told by what it holds elsewhere.
    there = {one for one in found if not any(key.startswith(f"{one}[]") for key in found)}
    assert documented() == there


def test_every_step_and_option_is_on_the_page() -> None:
    root = get_command(app)
    command = root.commands["simulate"]  # type: ignore[attr-defined]
    options = {name for one in command.params for name in one.opts if name.startswith("--")}
    said = {f"`{name}" for name in options - {"--ami"}} | {f"`@{form}" for form in _FORMS}
    assert [one for one in sorted(said) if one not in PAGE] == []
