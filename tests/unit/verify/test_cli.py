"""`turnrec verify` and `turnrec key` as somebody types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.verify.house import House, build_now, copy
from turnrec.core.policy import PauseBehavior
from turnrec.recordings.export import Source, export
from turnrec.recordings.sound import SoundFormat
from turnrec.verify.recording import layout_of_manifest, load


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_now(tmp_path_factory.mktemp("verify") / "honest")


def turnrec(*words: object, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "turnrec", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environ},
        check=False,
    )


def test_the_exit_status_says_what_was_found(honest: House, tmp_path: Path) -> None:
    house = copy(honest, tmp_path / "house")
    public = house.folder / "signing.key.pub"
    given = ("--ledger", house.ledger, "--public-key", public)
    proven = turnrec("verify", house.wav, *given, cwd=tmp_path)
    assert (proven.returncode, proven.stderr) == (0, "")
    assert proven.stdout.endswith("PROVEN: 1 recording and the ledger\n")

    alone = turnrec("verify", house.wav, cwd=tmp_path)
    assert alone.returncode == 3
    assert "[ledger-not-given]" in alone.stdout

    house.change_sample(10)
    wrong = turnrec("verify", house.folder, *given, "--json", cwd=tmp_path)
    assert wrong.returncode == 1
    assert json.loads(wrong.stdout)["status"] == "wrong"


def test_an_export_is_verified_by_its_name_or_its_maps(honest: House, tmp_path: Path) -> None:
    house = copy(honest, tmp_path / "house")
    manifest = load(house.wav).manifest
    assert manifest is not None
    assert manifest.audio is not None
    layout = layout_of_manifest(manifest)
    assert layout is not None
    source = Source("R1", house.wav, manifest.audio.sha256, layout, "the manifest")
    made = export(source, PauseBehavior.SKIP, SoundFormat.FLAC, tmp_path / "x.flac")
    public = house.folder / "signing.key.pub"
    signed = ("--public-key", public, "--checkpoints", house.checkpoints)
    given = ("--ledger", house.ledger, *signed)
    for name in (made.path, made.map_path):
        proven = turnrec(
            "verify", name, *given, "--recordings", house.folder / "recordings", cwd=tmp_path
        )
        assert (proven.returncode, proven.stderr) == (0, "")
        assert proven.stdout.endswith("PROVEN: 1 export and the ledger\n")
    # Without the recording's manifest the ledger will do; without either nothing is proven.
    alone = turnrec("verify", made.path, *given, "--json", cwd=tmp_path)
    assert (alone.returncode, len(json.loads(alone.stdout)["exports"])) == (0, 1)
    unknown = turnrec("verify", made.path, cwd=tmp_path)
    assert unknown.returncode == 3
    assert "[recording-not-given]" in unknown.stdout
    made.path.write_bytes(made.path.read_bytes()[:-100])
    assert turnrec("verify", made.path, *given, cwd=tmp_path).returncode == 1


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "none.wav"),
        ("verify", "."),
        ("verify",),
        ("verify", "none.wav", "--public-key", "none"),
        ("verify", "none.wav", "--config", "none.toml"),
    ],
)
def test_wrong_usage_is_status_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = turnrec(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_what_is_configured_need_not_be_given(honest: House, tmp_path: Path) -> None:
    house = copy(honest, tmp_path / "house")
    (house.folder / "turnrec.toml").write_text(
        "[asterisk]\nami_enabled = false\n"
        '[recordings]\ndir = "recordings"\nspool_dir = "spool"\n'
        '[ledger]\nurl = "sqlite:///ledger.db"\ncheckpoints_file = "checkpoints.jsonl"\n'
    )
    result = turnrec(
        "verify",
        house.wav,
        "--public-key",
        house.folder / "signing.key.pub",
        cwd=tmp_path,
        TURNREC_CONFIG=str(house.folder / "turnrec.toml"),
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "3 parts that Asterisk wrote lie there unchanged" in result.stdout


@pytest.mark.parametrize("place", [".", "recordings", "recordings/2023-11-14"])
def test_checkpoints_are_found_where_the_server_puts_them(
    honest: House, tmp_path: Path, place: str
) -> None:
    house = copy(honest, tmp_path / "house")
    text = house.checkpoints.read_text()
    house.checkpoints.unlink()
    (house.folder / place / "checkpoints.jsonl").write_text(text)
    assert house.verify(checkpoints=None).status == 0


def test_a_server_with_a_key_that_others_may_read_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("version: 1\nbots: {kyc: {nodes: {open: resume}}}\n")
    turnrec("key", "new", "signing.key", cwd=tmp_path)
    (tmp_path / "signing.key").chmod(0o644)
    (tmp_path / "turnrec.toml").write_text(
        "[asterisk]\nami_enabled = false\n[api]\nport = 0\n"
        "[server]\nagi_port = 0\ncontrol_socket = 'c.sock'\n"
        "[recordings]\ndir = 'recordings'\nspool_dir = 'spool'\n[flow]\npath = 'flow.yaml'\n"
        "[ledger]\nurl = 'sqlite:///ledger.db'\nsigning_key_file = 'signing.key'\n"
    )
    result = turnrec("serve", "--config", "turnrec.toml", cwd=tmp_path)
    assert result.returncode == 1
    assert "[key-not-private]" in result.stderr
    assert "chmod 600" in result.stderr


def test_a_new_key_is_made_once_and_named(tmp_path: Path) -> None:
    made = turnrec("key", "new", "signing.key", cwd=tmp_path)
    assert made.returncode == 0
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600
    shown = turnrec("key", "show", "signing.key.pub", cwd=tmp_path)
    assert shown.stdout.splitlines()[0] == made.stdout.splitlines()[0]
    again = turnrec("key", "new", "signing.key", cwd=tmp_path)
    assert again.returncode == 1
    assert "[key-exists]" in again.stderr
