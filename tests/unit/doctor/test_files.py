"""Folders and files, real ones."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from tests.unit.doctor.house import House, folder_settings
from turnrec.doctor import files
from turnrec.doctor.finding import NotCheckedError, Status


@pytest.mark.parametrize(
    ("check", "name", "mode"),
    [
        (files.secrets_private, "turnrec.toml", 0o644),
        (files.secrets_private, "turnrec.toml", 0o642),
        (files.keys_private, "keys.json", 0o640),
        (files.keys_private, "webhooks.db", 0o604),
    ],
)
async def test_a_secret_that_others_read_is_closed_by_the_cures_own_command(
    house: House, tmp_path: Path, check: object, name: str, mode: int
) -> None:
    assert callable(check)
    path = tmp_path / name
    path.touch()
    path.chmod(mode)
    found = await check(house)
    assert found.status is Status.PROBLEM
    assert str(path) in found.sentence
    command, *arguments = shlex.split(found.cure[0])
    assert command == "chmod"
    path.chmod(int(arguments[0], 8))
    assert (await check(house)).status is Status.OK


async def test_settings_without_a_secret_may_be_read_by_all(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    toml = f'{folder_settings()}[asterisk]\nami_secret_file = "secret"'
    house = House(tmp_path, toml=toml)
    (tmp_path / "turnrec.toml").chmod(0o644)
    assert (await files.secrets_private(house)).status is Status.OK
    secret.chmod(0o644)
    assert (await files.secrets_private(house)).status is Status.PROBLEM


async def test_a_password_in_the_ledgers_url_is_a_secret_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "secret").chmod(0o600)
    toml = (
        '[asterisk]\nami_secret_file = "secret"\n'
        '[ledger]\nurl = "postgresql://turnrec:pw@db/turnrec"\n'
    )
    house = House(tmp_path, toml=toml)
    (tmp_path / "turnrec.toml").chmod(0o644)
    found = await files.secrets_private(house)
    assert found.status is Status.PROBLEM
    assert "pw@" not in repr(found)


async def test_a_signing_key_that_is_missing_or_open_is_a_problem(tmp_path: Path) -> None:
    toml = folder_settings().replace("[ledger]", '[ledger]\nsigning_key_file = "k"')
    house = House(tmp_path, toml=f'{toml}[asterisk]\nami_secret = "s3cret"')
    assert (await files.signing_key(house)).status is Status.PROBLEM
    (tmp_path / "k").touch(0o600)
    assert (await files.signing_key(house)).status is Status.OK
    (tmp_path / "k").chmod(0o640)
    assert (await files.signing_key(house)).status is Status.PROBLEM


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o750, Status.OK), (0o700, Status.OK), (0o755, Status.PROBLEM), (0o770, Status.PROBLEM)],
)
async def test_the_recordings_are_turnrecs_alone(
    house: House, tmp_path: Path, mode: int, expected: Status
) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r").chmod(mode)
    assert (await files.recordings_private(house)).status is expected


async def test_recordings_of_another_user_are_a_problem(house: House, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir(0o750)
    house.user = lambda: os.geteuid() + 1  # type: ignore[method-assign]
    found = await files.recordings_private(house)
    assert found.status is Status.PROBLEM
    assert found.cure == (f"chown turnrec {tmp_path / 'r'}",)


@pytest.mark.parametrize(("mode", "expected"), [(0o2770, Status.OK), (0o2775, Status.PROBLEM)])
async def test_the_spool_is_asterisks_and_turnrecs(
    house: House, tmp_path: Path, mode: int, expected: Status
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p").chmod(mode)
    assert (await files.spool_private(house)).status is expected


async def test_folders_that_the_first_start_makes_are_no_problem(house: House) -> None:
    for check in (files.recordings, files.spool):
        assert (await check(house)).status is Status.OK
    for check in (files.recordings_private, files.spool_private, files.room):
        with pytest.raises(NotCheckedError):
            await check(house)


async def test_a_file_in_a_folders_place_is_a_problem(house: House, tmp_path: Path) -> None:
    (tmp_path / "p").touch()
    assert (await files.spool(house)).status is Status.PROBLEM


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_turnrec_may_not_write_is_a_problem(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "p").mkdir(0o500)
    found = await files.spool(house)
    assert found.status is Status.PROBLEM
    assert "write" in found.sentence


async def test_too_little_room_is_a_problem(tmp_path: Path) -> None:
    least = folder_settings().replace("[recordings]", "[recordings]\nmin_free_mb = 999999999")
    house = House(tmp_path, toml=f'{least}[asterisk]\nami_secret = "s3cret"')
    (tmp_path / "r").mkdir()
    assert (await files.room(house)).status is Status.PROBLEM


# ------------------------------------------------------------------ one spool, two names

LOADED = "module show like res_convert.so"


class Converter(House):
    """An Asterisk whose `file convert` answers so, and may write a file."""

    said = "Converted a to b in 0ms"
    writes: bytes | None = b"\0" * 320
    mode = 0o644

    async def rx(self, command: str) -> str:
        if not command.startswith("file convert"):
            return await super().rx(command)
        sent, came = map(Path, shlex.split(command)[2:])
        assert sent.stat().st_mode & 0o777 == 0o644
        assert len(sent.read_bytes()) == 44 + 320
        if self.writes is not None:
            came.write_bytes(self.writes)
            came.chmod(self.mode)
        return self.said


@pytest.mark.parametrize(
    ("said", "writes", "expected", "word"),
    [
        ("Converted a to b in 0ms", b"\0" * 320, Status.OK, "tried"),
        ("Converted a to b in 0ms", None, Status.PROBLEM, "isn't in"),
        ("Converted a to b in 0ms", b"", Status.WARNING, "empty"),
        ("Unable to open input file: x", None, Status.PROBLEM, "another folder"),
        ("Unable to open output file: x", None, Status.PROBLEM, "may not write"),
    ],
)
async def test_what_asterisk_makes_of_the_probe_is_told_and_cleared_away(
    tmp_path: Path, said: str, writes: bytes | None, expected: Status, word: str
) -> None:
    house = Converter(tmp_path)
    house.said, house.writes = said, writes
    (tmp_path / "p").mkdir()
    found = await files.shared(house)
    assert found.status is expected
    assert word in found.sentence
    assert list((tmp_path / "p").iterdir()) == []


async def test_an_answer_that_is_not_known_proves_nothing(tmp_path: Path) -> None:
    house = Converter(tmp_path)
    house.said = "No such command"
    (tmp_path / "p").mkdir()
    with pytest.raises(NotCheckedError):
        await files.shared(house)
    assert list((tmp_path / "p").iterdir()) == []


async def test_without_its_module_the_spool_is_not_checked(house: House, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    house.answers.cli[LOADED] = "Module\n0 modules loaded\n"
    with pytest.raises(NotCheckedError, match="module load res_convert"):
        await files.shared(house)
    assert list((tmp_path / "p").iterdir()) == []
