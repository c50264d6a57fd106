"""docs/running.md: its commands print what stands there, and what it names is there."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from tests.unit.verify.house import build_now
from turnrec.cli import app, main
from turnrec.cli_files import FILES, shipped
from turnrec.ledger.schema import SCHEMA_VERSION

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "running.md").read_text("utf-8")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
SETTINGS = """
[server]
control_socket = "control.sock"
[asterisk]
ami_enabled = false
[recordings]
dir = "recordings"
spool_dir = "spool"
[ledger]
url = "sqlite:///ledger.db"
checkpoints_file = "checkpoints.jsonl"
[flow]
path = "flow.yaml"
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def samples() -> Iterator[tuple[str, str]]:
    """Each command of the console blocks, and what stands below it."""
    for block in blocks("console"):
        for one in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = one.partition("\n")
            yield command, shown


def test_its_commands_print_what_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build_now(tmp_path / "old")
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path)
    for folder in ("old", "new"):
        (tmp_path / folder / "turnrec.toml").write_text(SETTINGS)
    found = list(samples())
    assert [command.split()[1] for command, _ in found] == ["files", "backup", "restore"]
    for command, shown in found:
        where = "new" if " restore " in command else "old"
        monkeypatch.setenv("TURNREC_CONFIG", str(tmp_path / where / "turnrec.toml"))
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        umask = os.umask(0o027)
        with pytest.raises(SystemExit) as ended:
            main()
        os.umask(umask)
        assert not ended.value.code, command
        assert _TIME.sub("NOW", capsys.readouterr().out) == _TIME.sub("NOW", shown)


def test_every_file_that_is_shipped_is_written_out_and_no_other_is_named() -> None:
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "deploy").rglob("*") if path.is_file()}
    there |= {
        str(path.relative_to(ROOT)) for path in (ROOT / "asterisk-conf").iterdir() if path.is_file()
    }
    of_the_demo = {"asterisk-conf/sample-bot.conf", "asterisk-conf/flow.sample-bot.yaml"}
    assert there - of_the_demo == set(FILES)
    assert all(shipped(name).is_file() for name in FILES)
    named = set(re.findall(r"\b(?<!/)(?:deploy|asterisk-conf)/[a-z0-9./_-]*[a-z0-9]", PAGE))
    assert named <= there | {"deploy/systemd/turnrec-backup"}  # ".*" follows


def test_every_command_that_it_types_is_one_of_turnrecs() -> None:
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    text = "\n".join(
        line.partition("#")[0] for block in blocks("sh") for line in block.splitlines()
    )
    typed = re.findall(r"(?:^|&& |turnrec )turnrec ([a-z-]+)", text, re.MULTILINE)
    assert set(typed) >= {"files", "doctor", "backup"}
    assert set(typed) <= commands
    assert {one.split()[0] for one in re.findall(r"`turnrec ([a-z-]+)", PAGE)} <= commands


def test_the_copy_of_an_older_ledger_is_called_as_it_says() -> None:
    assert re.search(rf"`ledger\.db\.v{SCHEMA_VERSION - 1}-\d+\.bak`", PAGE)
