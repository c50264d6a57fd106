"""API keys in their file: made, recognised, revoked. A bad file holds no good key."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from turnrec.core.entry import Origin
from turnrec.core.errors import InvalidNameError
from turnrec.web.access import Right
from turnrec.web.keys import (
    ApiKey,
    KeyExistsError,
    KeyRing,
    KeysFileError,
    UnknownKeyError,
)

READ = frozenset({Right.READ})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api-keys.json"


def other_letter(key: str, place: int) -> str:
    letter = "b" if key[place] == "a" else "a"
    return key[:place] + letter + key[place + 1 :]


# ------------------------------------------------------------------ recognising


def test_a_key_is_recognised_with_its_rights_and_bots(path: Path) -> None:
    ring = KeyRing(path)
    key = ring.make("desk", frozenset({Right.READ, Right.CONTROL}), frozenset({"kyc"}), 1)
    access = ring.recognise(key)
    assert access is not None
    assert (access.name, access.origin, access.actor("anna")) == (
        "desk",
        Origin.HTTP,
        "key:desk:anna",
    )
    assert access.rights == {Right.READ, Right.CONTROL}
    assert access.may_see("kyc")
    assert not access.may_see("other")


def test_only_the_very_key_is_good(path: Path) -> None:
    ring = KeyRing(path)
    key = ring.make("desk", READ, None, 1)
    bad = [
        "",
        "trk_",
        key[:-1],
        key + "a",
        key.upper(),
        f" {key}",
        f"{key}\n",
        key.replace("trk_", "trk-", 1),
        key + "\x00",
        "é" * 60,
        "trk_" + "a" * 12 + "_" + "b" * 43,
        *(other_letter(key, place) for place in (5, 20, len(key) - 2)),
    ]
    assert [one for one in bad if ring.recognise(one) is not None] == []
    assert ring.recognise(key) is not None


def test_the_hash_in_the_file_opens_nothing(path: Path) -> None:
    ring = KeyRing(path)
    ring.make("desk", READ, None, 1)
    (kept,) = ring.keys()
    for presented in (kept.sha256, f"trk_{kept.id}_{kept.sha256}", f"trk_{kept.id}_"):
        assert ring.recognise(presented) is None


def test_a_file_that_is_not_there_holds_no_key(path: Path) -> None:
    ring = KeyRing(path)
    assert ring.keys() == ()
    assert not ring.has_any
    assert ring.recognise("trk_" + "a" * 12 + "_" + "b" * 43) is None


def test_a_key_revoked_by_another_process_is_refused_at_the_very_next_request(path: Path) -> None:
    server, cli = KeyRing(path), KeyRing(path)
    keys = [cli.make(f"n{number}", READ, None, number) for number in range(20)]
    for number, key in enumerate(keys):
        assert server.recognise(key) is not None
        cli.revoke(f"n{number}", 100 + number)
        assert server.recognise(key) is None
    assert not server.has_any


def test_a_key_made_by_another_process_is_good_at_the_very_next_request(path: Path) -> None:
    server = KeyRing(path)
    assert not server.has_any
    key = KeyRing(path).make("desk", READ, None, 1)
    assert server.recognise(key) is not None


def test_with_the_file_gone_no_key_is_good(path: Path) -> None:
    ring = KeyRing(path)
    key = ring.make("desk", READ, None, 1)
    assert ring.recognise(key) is not None
    path.unlink()
    assert ring.recognise(key) is None


def test_what_changes_while_it_is_looked_at_is_told_once(path: Path) -> None:
    told: list[tuple[str, str]] = []

    def note(key: ApiKey, change: str) -> None:
        told.append((key.name, change))

    cli = KeyRing(path)
    cli.make("old", READ, None, 1)
    server = KeyRing(path, on_change=note)
    assert server.has_any
    assert told == []
    cli.make("desk", READ, None, 2)
    server.keys()
    server.keys()
    cli.revoke("old", 3)
    server.keys()
    cli.make("brief", READ, None, 4)
    cli.revoke("brief", 5)
    server.keys()
    path.unlink()
    server.keys()
    assert told == [
        ("desk", "made"),
        ("old", "revoked"),
        ("brief", "made"),
        ("brief", "revoked"),
        ("desk", "revoked"),
    ]


# ------------------------------------------------------------------ making and revoking


def test_only_its_hash_is_on_the_disk_and_nobody_else_may_read_it(path: Path) -> None:
    key = KeyRing(path).make("desk", READ, None, 1)
    secret = key.rpartition("_")[2] if "_" not in key[17:] else key[17:]
    for file in path.parent.iterdir():
        assert key not in file.read_text()
        assert secret not in file.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_is_taken_by_one_good_key(path: Path) -> None:
    ring = KeyRing(path)
    first = ring.make("desk", READ, None, 1)
    with pytest.raises(KeyExistsError):
        ring.make("desk", READ, None, 2)
    ring.revoke("desk", 3)
    second = ring.make("desk", READ, None, 4)
    assert ring.recognise(first) is None
    assert ring.recognise(second) is not None


def test_names_that_could_be_anything_are_refused(path: Path) -> None:
    ring = KeyRing(path)
    for name in ("", "a b", "x" * 65, "a/b", "a\n"):
        with pytest.raises(InvalidNameError):
            ring.make(name, READ, None, 1)
        with pytest.raises(InvalidNameError):
            ring.make("desk", READ, frozenset({name}), 1)
    assert not path.exists()


def test_who_has_no_good_key_has_none_to_revoke(path: Path) -> None:
    ring = KeyRing(path)
    ring.make("desk", READ, None, 1)
    ring.revoke("desk", 2)
    for name in ("desk", "nobody"):
        with pytest.raises(UnknownKeyError, match="api-key list"):
            ring.revoke(name, 3)


def test_keys_made_at_the_same_time_are_all_kept(path: Path) -> None:
    def make(number: int) -> None:
        KeyRing(path).make(f"n{number}", READ, None, number)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.name for one in KeyRing(path).keys()} == {f"n{number}" for number in range(12)}  # noqa: SIM118 - not a dict's


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for others")
def test_a_file_that_root_makes_is_the_services_user_s(path: Path) -> None:
    os.chown(path.parent, 12_345, 12_346)
    KeyRing(path).make("desk", READ, None, 1)
    for file in path.parent.iterdir():
        assert (file.stat().st_uid, file.stat().st_gid) == (12_345, 12_346), file


# ------------------------------------------------------------------ a file that is no good


def document(path: Path) -> dict[str, object]:
    KeyRing(path).make("desk", READ, None, 1)
    found: dict[str, object] = json.loads(path.read_text())
    return found


GARBAGE: dict[str, object] = {
    "an older version": {"version": 0},
    "a newer version": {"version": 2},
    "no version": {"version": None},
    "no keys": {"keys": None},
    "a word for keys": {"keys": "desk"},
    "a key that is a word": {"keys": ["desk"]},
    "a right nobody knows": {"rights": ["root"]},
    "a word for rights": {"rights": "read"},
    "a word for bots": {"bots": "kyc"},
    "a bot's name that is none": {"bots": ["a b"]},
    "a name that is none": {"name": "a b"},
    "no hash": {"sha256": "é"},
    "a number for a hash": {"sha256": 7},
    "an endless time": {"created_us": float("inf")},
    "no time": {"created_us": None},
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_in_the_file_is_an_error_and_opens_nothing(name: str, path: Path) -> None:
    found = document(path)
    change = GARBAGE[name]
    assert isinstance(change, dict)
    keys = found["keys"]
    assert isinstance(keys, list)
    if set(change) <= set(found):
        found |= change
    else:
        keys[0] |= change
    path.write_text(json.dumps(found))
    ring = KeyRing(path)
    for _ in range(2):
        with pytest.raises(KeysFileError):
            ring.recognise("trk_" + "a" * 12 + "_" + "b" * 43)
    with pytest.raises(KeysFileError):
        ring.make("other", READ, None, 2)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 200_000, b"{}", b"null", b"[]", b"7"])
def test_what_is_no_document_at_all_is_an_error(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(KeysFileError):
        KeyRing(path).keys()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_opens_nothing(mode: int, path: Path) -> None:
    ring = KeyRing(path)
    key = ring.make("desk", READ, None, 1)
    path.chmod(mode)
    with pytest.raises(KeysFileError, match="chmod 600"):
        KeyRing(path).recognise(key)


def test_a_file_that_turns_bad_closes_the_door_until_it_is_good_again(path: Path) -> None:
    ring = KeyRing(path)
    key = ring.make("desk", READ, None, 1)
    good = path.read_text()
    assert ring.recognise(key) is not None
    path.write_text("{")
    for _ in range(2):
        with pytest.raises(KeysFileError):
            ring.recognise(key)
    path.write_text(good)
    assert ring.recognise(key) is not None
