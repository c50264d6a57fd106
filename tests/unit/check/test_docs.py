"""docs/check.md says what the command says: each sample is run, and its answer compared.

A YAML block that begins with a comment `# name` is a file of that name. What stands below a command
is all that it prints; where nothing stands, what it prints isn't shown there.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.unit.cli_world import World
from turnrec.check.findings import RULES

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "check.md"
PICTURE = ROOT / "docs" / "check.svg"


def samples() -> list[tuple[str, str]]:
    """The page's commands, with what it shows of their answers."""
    blocks = re.findall(
        r"^```console\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    found = [one.partition("\n") for block in blocks for one in block.split("$ ") if one]
    return [(command, answer) for command, _, answer in found if command.startswith("turnrec ")]


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> World:
    """A folder with the page's files."""
    made = World(tmp_path, monkeypatch, capsys)
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text("utf-8")
    for block in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if name := re.match(r"# (\S+\.yaml)\n", block):
            Path(name[1]).write_text(block)
    return made


def test_every_sample_answers_as_the_page_says(world: World) -> None:
    found = samples()
    assert len(found) == 8
    for command, answer in found:
        done = world.run_now(*shlex.split(command)[1:])
        assert done.status in {0, 1}, command
        if answer:
            assert done.out + done.err == answer, command
    assert Path("flow.svg").read_text("utf-8") == PICTURE.read_text("utf-8")


def test_the_table_of_findings_is_the_codes() -> None:
    rows = [
        f"| `{id_}` | {rule.severity} | {rule.short} | {rule.cure} |" for id_, rule in RULES.items()
    ]
    assert "\n".join(rows) in PAGE.read_text("utf-8")
