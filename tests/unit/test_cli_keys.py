"""`turnrec api-key`: without a server, once, and with words that are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli_world import World
from turnrec.cli_keys import RIGHTS
from turnrec.web.access import Right
from turnrec.web.keys import KeyRing


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> World:
    return World(tmp_path, monkeypatch, capsys)


def new(world: World, *words: str) -> str:
    done = world.run_now("api-key", "new", *words)
    assert done.status == 0, done.err
    return done.out


def test_a_new_key_is_alone_on_standard_output_and_how_to_use_it_beside(world: World) -> None:
    done = world.run_now("api-key", "new", "desk", "--right", "read", "--right", "control")
    key = done.out.strip()
    access = KeyRing(world.folder / "keys.json").recognise(key)
    assert access is not None
    assert access.rights == {Right.READ, Right.CONTROL}
    assert access.bots is None
    assert "Authorization: Bearer" in done.err
    assert key not in done.err


def test_a_key_is_limited_to_its_bots(world: World) -> None:
    key = new(world, "b", "--right", "bot", "--bot", "kyc", "--bot", "survey").strip()
    access = KeyRing(world.folder / "keys.json").recognise(key)
    assert access is not None
    assert access.bots == frozenset({"kyc", "survey"})


def test_an_unknown_right_is_refused_with_a_hint_and_nothing_is_made(world: World) -> None:
    done = world.run_now("api-key", "new", "desk", "--right", "contrl")
    assert (done.status, done.out) == (2, "")
    assert "did you mean 'control'" in done.err
    assert world.run_now("api-key", "new", "desk").status == 2
    assert not (world.folder / "keys.json").exists()


def test_what_the_shell_offers_are_all_rights_there_are() -> None:
    assert set(RIGHTS) == {one.value for one in Right}


def test_keys_are_listed_without_what_opens_and_revoked_by_name(world: World) -> None:
    assert "api-key new" in world.run_now("api-key", "list").out
    key = new(world, "desk", "--right", "admin").strip()
    (listed,) = world.run_now("api-key", "list", "--json").json
    assert set(listed) == {"id", "name", "rights", "bots", "created", "revoked"}
    assert key[17:] not in str(listed)
    assert world.run_now("api-key", "revoke", "desk").status == 0
    assert KeyRing(world.folder / "keys.json").recognise(key) is None
    assert "revoked" in world.run_now("api-key", "list").out
    done = world.run_now("api-key", "revoke", "desk")
    assert (done.status, done.out) == (1, "")
    assert "[unknown-api-key]" in done.err


def test_a_name_that_is_taken_or_is_none_is_refused(world: World) -> None:
    new(world, "desk", "--right", "read")
    taken = world.run_now("api-key", "new", "desk", "--right", "read")
    assert (taken.status, "[api-key-exists]" in taken.err) == (1, True)
    bad = world.run_now("api-key", "new", "a b", "--right", "read")
    assert (bad.status, "[invalid-name]" in bad.err) == (1, True)
