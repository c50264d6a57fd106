"""Asking another machine: where the key comes from, where it never goes, and what can go wrong."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli_world import World, call, page, world_at
from turnrec.cli import app
from turnrec.cli_base import connect
from turnrec.web.client import BadAddressError, RemoteClient, this_user

KEY = "trk_abcdefghijkl_" + "s" * 43


@pytest.fixture
async def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[World]:
    async with world_at(tmp_path, monkeypatch, capsys) as made:
        made.api.answers["GET /v1/calls"] = page(call())
        yield made


async def test_it_asks_by_http_with_the_key_of_the_environment(world: World) -> None:
    world.set("TURNREC_API_KEY", KEY)
    for words in (("calls", "--url", world.url), ("calls",)):
        done = await world.run(*words)
        assert (done.status, done.err) == (0, "")
        world.set("TURNREC_URL", world.url)
    assert [one.headers["authorization"] for one in world.api.asked] == [f"Bearer {KEY}"] * 2
    assert "turnrec-actor" not in world.api.asked[0].headers


async def test_it_takes_the_key_from_a_file_that_nobody_else_may_read(world: World) -> None:
    file = world.folder / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    words = ("calls", "--url", world.url, "--key-file", str(file))
    world.set("TURNREC_API_KEY", "trk_another")
    assert (await world.run(*words)).status == 0
    assert world.api.asked[0].headers["authorization"] == f"Bearer {KEY}"
    for mode in (0o640, 0o604, 0o644):
        file.chmod(mode)
        done = await world.run(*words)
        assert done.status == 2
        assert "chmod 600" in done.err
        assert KEY not in done.err
    file.chmod(0o600)
    file.write_text("two words")
    assert (await world.run(*words)).status == 2


def test_no_command_takes_a_key_as_an_argument_that_the_process_list_shows() -> None:
    from typer.main import get_command

    def options(command: Any) -> set[str]:
        inner = getattr(command, "commands", {})
        own = {word for one in command.params for word in one.opts}
        return own.union(*(options(one) for one in inner.values()))

    assert {one for one in options(get_command(app)) if "key" in one} == {
        "--key-file",
        "--public-key",
    }


async def test_a_settings_file_on_the_command_line_beats_an_address_in_the_environment(
    world: World,
) -> None:
    world.set("TURNREC_URL", "http://127.0.0.1:9")
    world.set("TURNREC_API_KEY", KEY)
    assert (await world.run("calls", "--config", str(world.config))).status == 0
    assert "turnrec-actor" in world.api.asked[0].headers
    assert (await world.run("calls")).status == 3


async def test_who_stands_behind_the_key_is_named_to_the_ledger(world: World) -> None:
    world.set("TURNREC_API_KEY", KEY)
    world.api.answers["POST /v1/calls/x/actions"] = {"call": call(), "notice": None}
    assert (await world.run("pause", "x", "--url", world.url)).status == 0
    assert world.api.asked[0].body["actor"] == this_user()


@pytest.mark.parametrize(
    "url",
    ["pbx:8077", "ftp://pbx", "https://", "//pbx", "https://anna:secret@pbx", "https://trk_x@pbx"],
)
def test_an_address_that_is_none_is_wrong_usage_and_not_repeated(url: str) -> None:
    with pytest.raises(BadAddressError) as caught:
        RemoteClient(url, KEY)
    assert "secret" not in str(caught.value)
    assert "trk_x" not in str(caught.value)


async def test_without_a_key_it_says_where_to_put_one(world: World) -> None:
    problem = {"id": "unauthorized", "detail": "give a good API key"}
    world.api.answers["GET /v1/calls"] = (401, problem)
    done = await world.run("calls", "--url", world.url)
    assert done.status == 1
    assert "TURNREC_API_KEY" in done.err
    assert "[unauthorized]" in done.err


async def test_health_may_be_asked_without_a_key(world: World) -> None:
    world.api.answers["GET /readyz"] = {"ready": True, "ami": True, "ledger": True, "room": True}
    assert (await world.run("ready", "--url", world.url)).out == "ready\n"


async def test_nobody_there_is_a_status_of_its_own(world: World) -> None:
    world.set("TURNREC_API_KEY", KEY)
    done = await world.run("calls", "--url", "http://127.0.0.1:9")
    assert (done.status, done.out) == (3, "")
    assert KEY not in done.err


@pytest.mark.parametrize(
    "answer", [(200, b"<html>"), (502, b"<html>"), (302, b""), (500, b"[1]"), (200, b"\xff")]
)
async def test_what_is_no_turnrec_is_told_apart(answer: tuple[int, bytes], world: World) -> None:
    world.set("TURNREC_API_KEY", KEY)
    world.api.answers["GET /v1/calls"] = answer
    done = await world.run("calls", "--url", world.url)
    assert (done.status, done.out) == (1, "")
    assert "[http-error]" in done.err


@pytest.mark.parametrize(
    ("url", "is_in_clear"),
    [
        ("http://pbx:8077", True),
        ("http://10.0.0.7", True),
        ("https://pbx", False),
        ("http://127.0.0.1:1", False),
        ("http://[::1]:1", False),
        ("http://localhost", False),
    ],
)
def test_a_key_that_can_be_read_on_its_way_is_warned_of(
    url: str, is_in_clear: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNREC_API_KEY", KEY)
    connect(None, url)
    assert ("in clear" in capsys.readouterr().err) is is_in_clear


async def test_an_export_from_elsewhere_is_kept_only_as_it_was_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.set("TURNREC_API_KEY", KEY)
    world.set("TURNREC_URL", world.url)
    sound = b"RIFF" * 1000
    world.api.answers["GET /v1/recordings/01REC1/audio"] = sound
    target = world.folder / "x.flac"
    done = await world.run("export", "01REC1", "--behavior", "skip", "-o", str(target), "--json")
    assert done.json["sha256"] == hashlib.sha256(sound).hexdigest()
    assert target.read_bytes() == sound
    assert world.api.asked[0].query == {"format": "flac", "behavior": "skip"}
    again = await world.run("export", "01REC1", "-o", str(target))
    assert again.status == 1
    assert "there already" in again.err
    assert sorted(one.name for one in world.folder.glob("*x.flac*")) == ["x.flac"]
    refusal = (410, {"id": "recording-deleted", "detail": "it is deleted"})
    world.api.answers["GET /v1/recordings/01REC1/audio"] = refusal
    gone = await world.run("export", "01REC1", "-o", str(world.folder / "y.wav"))
    assert gone.err == "turnrec: it is deleted [recording-deleted]\n"
    assert not list(world.folder.glob("*y.wav*"))
