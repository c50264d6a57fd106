"""`turnrec backup` and `turnrec restore` as they are typed: what they say, how they end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.backup.house import World, spoil
from turnrec.backup.places import places_of
from turnrec.cli import main
from turnrec.config import load_settings

DAY = "2023-11-14"


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


def configure(folder: Path) -> Path:
    """Settings of a turnrec in that folder, beside its data."""
    folder.mkdir(exist_ok=True)
    config = folder / "turnrec.toml"
    config.write_text(
        '[server]\ncontrol_socket = "control.sock"\n'
        '[api]\nkeys_file = "api-keys.json"\n[asterisk]\nami_secret = "a secret of AMI"\n'
        '[recordings]\ndir = "recordings"\nspool_dir = "spool"\nkeep_parts = true\n'
        '[ledger]\nurl = "sqlite:///ledger.db"\nsigning_key_file = "signing.key"\n'
        'checkpoints_file = "checkpoints.jsonl"\n'
    )
    return config


Typed = Callable[..., Done]


@pytest.fixture
def turnrec(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    """Run one command in this process, with a settings file."""
    umask = os.umask(0o022)

    def run(config: Path, *words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["turnrec", *words])
        monkeypatch.setenv("TURNREC_CONFIG", str(config))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    yield run
    os.umask(umask)


def test_a_backup_and_its_restore_are_two_commands(world: World, turnrec: Typed) -> None:
    config = configure(world.house.folder)
    store = str(world.store)
    done = turnrec(config, "backup", store)
    assert (done.status, done.err) == (0, ""), done
    assert "1 recording in 12 files" in done.out
    empty = configure(world.folder / "new")
    done = turnrec(empty, "restore", store)
    assert (done.status, done.err) == (0, ""), done
    assert "turnrec verify: proven" in done.out
    done = turnrec(empty, "restore", store)
    assert done.status == 1
    assert done.err.endswith("[restore-refused]\n")


def test_what_is_wrong_is_named_and_ends_in_status_1(world: World, turnrec: Typed) -> None:
    config = configure(world.house.folder)
    (world.data.recordings / DAY / "R1.json").unlink()
    done = turnrec(config, "backup", str(world.store), "--json")
    assert done.status == 1
    assert done.err.startswith("PROBLEM: ")
    said: dict[str, Any] = json.loads(done.out)
    assert len(said["problems"]) == 1
    empty = configure(world.folder / "new")
    spoil(world.store / "recordings" / DAY / "R1.stereo.wav")
    assert "[backup-damaged]" in turnrec(empty, "restore", str(world.store)).err
    done = turnrec(empty, "restore", str(world.store), "--incomplete")
    assert done.status == 1
    for word in ("DAMAGED: ", f"MISSING: {DAY}/R1.json", "WRONG: "):
        assert word in done.err


def test_the_places_are_those_of_the_settings(world: World) -> None:
    config = configure(world.house.folder)
    places = places_of(load_settings(config, {}), config)
    for name in ("ledger_file", "recordings", "spool", "checkpoints", "public_key", "flow"):
        if name != "flow":  # of the settings' default
            assert getattr(places, name) == getattr(world.data, name), name
    assert set(places.secrets) == {"api-keys.json", "webhooks.db", "signing.key", "turnrec.toml"}


@pytest.mark.parametrize("words", [["backup", "x"], ["restore", "x"]])
def test_without_settings_neither_does_anything(
    words: list[str], tmp_path: Path, turnrec: Typed
) -> None:
    done = turnrec(tmp_path / "none.toml", *words)
    assert done.status == 2
    assert list(tmp_path.iterdir()) == []
