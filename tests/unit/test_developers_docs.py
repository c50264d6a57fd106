"""Commands of the pages for developers, which take minutes to hours: each option named is there.

What operators and bots' developers type is run (tests/pbx/test_samples.py and each page's own
test); that no page with commands is forgotten is looked at here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEVELOPERS = ("benchmarks", "faults", "security")
RUN_BY = {
    "README": "tests/pbx/test_samples.py",
    "api": "tests/pbx/test_samples.py",
    "check": "tests/unit/check/test_docs.py",
    "dialplan": "tests/pbx/test_samples.py",
    "docker": "tests/docker/test_docker_pbx.py",
    "doctor": "tests/pbx/test_samples.py",
    "first-call": "tests/pbx/test_samples.py",
    "manifest": "tests/pbx/test_samples.py",
    "running": "tests/unit/deploy/test_docs.py",
    "simulate": "tests/unit/simulate/test_docs.py",
}
"""Which test runs a page's commands. It names the page, which is looked at, too."""


def commands(page: Path) -> list[str]:
    text = page.read_text("utf-8")
    blocks = re.findall(r"^ *```console\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix("$ ").split("  #")[0] for line in lines if line.startswith("$ ")]


def test_no_page_with_commands_is_without_a_test() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    with_commands = {page.stem for page in pages if commands(page)}
    assert with_commands == set(RUN_BY) | set(DEVELOPERS)


@pytest.mark.parametrize(("page", "test"), RUN_BY.items())
def test_the_test_of_a_page_names_it(page: str, test: str) -> None:
    assert f"{page}.md" in (ROOT / test).read_text("utf-8").replace('" / "', "/")


@pytest.mark.parametrize(
    "command", [one for page in DEVELOPERS for one in commands(ROOT / "docs" / f"{page}.md")]
)
def test_a_developers_command_has_the_options_that_it_is_given(command: str) -> None:
    words = [one for one in command.split(" > ")[0].split() if "=" not in one]
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        return
    if "pytest" in words[0]:
        assert all((ROOT / one).exists() for one in words[1:] if not one.startswith("-"))
        return
    assert words[0].endswith("python")
    given = [one for one in words if one.startswith("--")]
    module = [one for one in words[1:4] if not one.startswith("--") and not one[0].isdigit()]
    shown = subprocess.run(
        [sys.executable, *module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [one for one in given if one not in shown.stdout] == []
