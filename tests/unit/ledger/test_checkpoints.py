"""Keys, checkpoints, and when they are made."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.ledger.helpers import QUICK, T0_US, entry, url_of
from turnrec.ledger import Ledger
from turnrec.ledger.chain import Head
from turnrec.ledger.checkpointer import Checkpointer
from turnrec.ledger.checkpoints import CheckpointFile, read_line, read_lines, sign
from turnrec.ledger.keys import (
    KeyExistsError,
    KeyFileError,
    KeyNotPrivateError,
    PublicKey,
    SigningKey,
    make_key,
)

HEAD = Head(7, "b" * 64)
LEDGER = "a" * 64


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "signing.key"
    make_key(path)
    return path


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger.open(url_of(tmp_path / "ledger.db"), limits=QUICK)
    yield ledger
    await ledger.close()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def checkpointer(
    ledger: Ledger, key_file: Path, file: Path, *, every_s: float = 3600
) -> Checkpointer:
    key = SigningKey.read(key_file)
    return Checkpointer(ledger, key, CheckpointFile(file), lambda: T0_US, every_s=every_s)


# ---------------------------------------------------------------- keys


def test_a_new_key_is_private_and_its_public_half_is_not(key_file: Path) -> None:
    public = key_file.with_name("signing.key.pub")
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    assert PublicKey.read(public).id == SigningKey.read(key_file).public.id


def test_a_key_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(KeyExistsError):
        make_key(key_file)
    assert key_file.read_bytes() == before


def test_a_public_key_in_the_way_leaves_no_private_one(tmp_path: Path) -> None:
    (tmp_path / "new.key.pub").write_text("there")
    with pytest.raises(KeyExistsError):
        make_key(tmp_path / "new.key")
    assert not (tmp_path / "new.key").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o700, 0o644])
def test_a_private_key_that_others_may_read_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(KeyNotPrivateError, match="chmod 600"):
        SigningKey.read(key_file)


@pytest.mark.parametrize("data", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\n", b"\xff" * 99])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    path.chmod(0o600)
    for reading in (SigningKey.read, PublicKey.read):
        with pytest.raises(KeyFileError) as caught:
            reading(path)
        assert "garbage" not in str(caught.value)


def test_a_private_key_is_no_public_one_nor_the_other_way_round(key_file: Path) -> None:
    public = key_file.with_name("signing.key.pub")
    public.chmod(0o600)
    with pytest.raises(KeyFileError):
        PublicKey.read(key_file)
    with pytest.raises(KeyFileError):
        SigningKey.read(public)


# ---------------------------------------------------------------- checkpoints


def test_a_checkpoints_line_reads_back_and_is_signed(key_file: Path) -> None:
    key = SigningKey.read(key_file)
    made = sign(key, LEDGER, HEAD, T0_US)
    found = read_line(made.line)
    assert found == made
    assert found.is_signed_by(key.public)
    assert json.loads(made.line)["seq"] == 7


@pytest.mark.parametrize(
    ("member", "value"),
    [("seq", 8), ("hash", "c" * 64), ("ledger", "c" * 64), ("at_us", 1), ("key", "0" * 16)],
)
def test_a_change_in_any_member_breaks_the_signature(
    key_file: Path, member: str, value: object
) -> None:
    key = SigningKey.read(key_file)
    line = json.loads(sign(key, LEDGER, HEAD, T0_US).line) | {member: value}
    assert not read_line(json.dumps(line)).is_signed_by(key.public)


def test_a_line_that_a_crash_cut_off_is_taken_away(key_file: Path, tmp_path: Path) -> None:
    key, path = SigningKey.read(key_file), tmp_path / "checkpoints.jsonl"
    file = CheckpointFile(path)
    file.append(sign(key, LEDGER, HEAD, T0_US))
    whole = path.read_bytes()
    for cut in (1, 40, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        file.append(sign(key, LEDGER, Head(8, "c" * 64), T0_US))
        found = [checkpoint for _, checkpoint in read_lines(path)]
        assert [getattr(one, "head", None) for one in found] == [HEAD, Head(8, "c" * 64)]


def test_a_file_that_is_not_ours_is_not_cut(key_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.jsonl"
    path.write_bytes(b"x" * 10_000)
    CheckpointFile(path).append(sign(SigningKey.read(key_file), LEDGER, HEAD, T0_US))
    assert path.read_bytes().startswith(b"x" * 10_000 + b"\n{")


# ---------------------------------------------------------------- when they are made


async def test_a_checkpoint_is_made_only_when_the_head_has_moved(
    ledger: Ledger, key_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoints.jsonl"
    maker = checkpointer(ledger, key_file, file)
    await maker.checkpoint()
    assert lines(file) == []  # an empty ledger has no head
    for count in (1, 2):
        ledger.append(entry())
        await ledger.flush()
        await maker.checkpoint()
        await maker.checkpoint()
        assert len(lines(file)) == count
    assert read_line(lines(file)[-1]).head == await ledger.head()
    assert read_line(lines(file)[-1]).ledger_id == await ledger.ledger_id()


async def test_a_checkpoint_is_made_when_asked_for_and_as_time_goes_by(
    ledger: Ledger, key_file: Path, tmp_path: Path
) -> None:
    for name, every_s in (("asked", 3600.0), ("timed", 0.01)):
        file = tmp_path / f"{name}.jsonl"
        maker = checkpointer(ledger, key_file, file, every_s=every_s)
        maker.start()
        ledger.append(entry())
        await ledger.flush()
        if name == "asked":
            maker.soon()
        async with asyncio.timeout(30):
            while not lines(file):  # noqa: ASYNC110 - a thread writes it
                await asyncio.sleep(0.005)
        await maker.close()


async def test_a_disk_that_fails_is_logged_and_tried_again(
    ledger: Ledger, key_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "gone" / "checkpoints.jsonl"
    maker = checkpointer(ledger, key_file, file)
    ledger.append(entry())
    await ledger.flush()
    await maker.checkpoint()
    assert "no checkpoint could be made" in caplog.text
    file.parent.mkdir()
    await maker.checkpoint()
    assert len(lines(file)) == 1


async def test_a_checkpoint_is_in_the_log_too(
    ledger: Ledger, key_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ledger.append(entry())
    await ledger.flush()
    await checkpointer(ledger, key_file, tmp_path / "c.jsonl").checkpoint()
    assert lines(tmp_path / "c.jsonl")[0] in caplog.text


def test_a_checkpoints_file_is_readable_by_the_group_alone(key_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.jsonl"
    before = os.umask(0)
    try:
        CheckpointFile(path).append(sign(SigningKey.read(key_file), LEDGER, HEAD, T0_US))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
