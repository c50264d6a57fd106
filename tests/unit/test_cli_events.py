"""The commands that go on: nothing is left out or comes twice, and old is never shown as new."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.unit.cli_world import Asked, World, call, event, frames, world_at
from turnrec import cli_events
from turnrec.cli_events import Board
from turnrec.web.client import Client, ServerRefusedError, ServerUnreachableError, Told


@pytest.fixture
async def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[World]:
    async with world_at(tmp_path, monkeypatch, capsys) as made:
        yield made


ALL = [event(seq, node=f"n{seq}") for seq in (3, 5, 6, 9)]
HEAD = 11


def stream(asked: Asked) -> bytes:
    """The event stream as the server gives it, cut off at its end; 11 entries so far."""
    after = asked.query.get("after")
    told = [one for one in ALL if after is not None and one["seq"] > int(after)]
    if asked.query.get("types"):
        told = [one for one in told if one["type"] in asked.query["types"].split(",")]
    start = after if after is not None else HEAD
    return (
        f"retry: 1000\n\nid: {start}\n\n: alive\n\n".encode()
        + frames(*told)
        + f"id: {HEAD}\n\n".encode()
    )


async def seqs(world: World, *words: str) -> list[int]:
    done = await world.run("events", "--json", *words)
    assert done.status == 0, done.err
    return [json.loads(line)["seq"] for line in done.out.splitlines()]


async def test_events_so_far_are_shown_to_their_end_and_no_further(world: World) -> None:
    world.api.answers["GET /v1/events"] = stream
    assert await seqs(world) == [3, 5, 6, 9]
    assert await seqs(world, "--since", "5") == [6, 9]
    assert await seqs(world, "--since", "9") == []
    assert await seqs(world, "--since", "500") == []
    assert await seqs(world, "--last", "2") == [6, 9]
    assert await seqs(world, "--last", "3") == [5, 6, 9]


async def test_where_nothing_is_wanted_it_ends_all_the_same(world: World) -> None:
    world.api.answers["GET /v1/events"] = stream
    assert await seqs(world, "--since", "0", "--type", "alarm", "--type", "call.started") == []
    assert world.api.asked[-1].query["types"] == "alarm,call.started"


async def test_an_event_is_one_line_for_people(world: World) -> None:
    world.api.answers["GET /v1/events"] = stream
    lines = (await world.run("events", "--utc")).out.splitlines()
    assert len(lines) == len(ALL)
    assert lines[0].split()[:4] == ["13:05:00.250Z", "3", "01CALL1", "turn.begun"]


class Scripted(Client):
    """A server that gives one part of the stream at a time, and is away in between."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts: Iterator[bytes | Exception] = iter(parts)
        self.after: list[Any] = []

    place = "there"
    person = None

    def _open(self) -> Any:
        raise NotImplementedError

    def _unreachable(self, error: Exception) -> ServerUnreachableError:
        raise NotImplementedError

    def listen(self, url: str, **query: str | int | bool | None) -> Iterator[Told]:
        self.after.append(query.get("after"))
        part = next(self._parts)
        if isinstance(part, Exception):
            raise part
        for text in part.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
            if fields:
                told = Told(fields.get("event", "message"), fields.get("data", ""), fields["id"])
                yield told
        if part.endswith(b"!"):
            raise ServerUnreachableError("cut off")


GONE = ServerUnreachableError("gone")


def test_who_is_cut_off_goes_on_after_the_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_events, "_AGAIN_S", 0)
    client = Scripted(
        b"id: 2\n\n" + frames(ALL[0]) + b"!",
        GONE,
        GONE,
        frames(ALL[1]),
        b"id: 8\n\n!",
        frames(*ALL[2:]),
        ServerRefusedError("unauthorized", "the key was revoked"),
    )
    heard: list[int] = []
    with pytest.raises(ServerRefusedError):
        heard.extend(one["seq"] for one in cli_events.heard(client, None, None))
    assert heard == [3, 5, 6, 9]
    assert client.after == [None, 3, 3, 3, 5, 8, 9]


def test_nobody_there_at_the_first_try_is_an_error() -> None:
    with pytest.raises(ServerUnreachableError):
        next(cli_events.heard(Scripted(GONE), None, None))


async def test_ctrl_c_ends_what_goes_on_with_0(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object, **_options: object) -> Iterator[dict[str, Any]]:
        yield event(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_events, "heard", interrupted)
    for words in (("watch", "--events"), ("events", "--follow"), ("events", "--follow", "--json")):
        done = await world.run(*words)
        assert (done.status, done.err) == (0, "")
        assert len(done.out.splitlines()) == 1


# ------------------------------------------------------------------ the live board


def told(name: str, **data: Any) -> Told:
    return Told(name, json.dumps(data), "")


def test_the_board_is_what_was_last_told() -> None:
    board = Board()
    board.hear(told("snapshot", calls=[call(1), call(2)]))
    about = board.hear(
        told("calls", changed=[call(2, state="paused"), call(3)], ended=["01CALL1", "?"])
    )
    assert {one["id"]: one["state"] for one in board.calls.values()} == {
        "01CALL2": "paused",
        "01CALL3": "recording",
    }
    assert [one["state"] for one in about] == ["paused", "recording", "ended"]
    board.hear(told("snapshot", calls=[]))
    assert board.calls == {}


def drawn(board: Board, width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    screen = Console(width=width, no_color=True)
    with screen.capture() as captured:
        screen.print(board)
    return captured.get()


def test_a_board_that_is_lost_says_that_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board()
    board.hear(told("snapshot", calls=[call()]))
    assert "1 live call " in drawn(board, 80, monkeypatch)
    board.lost_at = datetime.now(UTC)
    assert "NOT CONNECTED" in drawn(board, 80, monkeypatch)
    board.hear(told("calls", changed=[], ended=[]))
    assert "NOT CONNECTED" not in drawn(board, 80, monkeypatch)


@pytest.mark.parametrize("width", [80, 100, 132, 200])
def test_the_board_fits_the_terminal_and_names_stay_whole(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board()
    calls = [call(n, id=f"01M7ZF5P8REHA20GHAJNHS45S{n}", holds=["turn"]) for n in range(3)]
    board.hear(told("snapshot", calls=calls))
    lines = drawn(board, width, monkeypatch).splitlines()
    assert max(map(len, lines)) <= width
    for one in calls:
        assert any(one["id"] in line and "recording" in line for line in lines)


async def test_watch_in_a_pipe_prints_what_changes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = f"event: snapshot\ndata: {json.dumps({'calls': [call()]})}\n\n".encode()
    world.api.answers["GET /v1/calls/live"] = snapshot

    def board(client: Client) -> Iterator[Told | None]:
        yield from client.listen("/v1/calls/live")
        yield None
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_events, "_board", board)
    done = await world.run("watch")
    assert (done.status, done.out) == (0, "01CALL1 kyc greeting recording\n")
    assert "not connected" in done.err
    lines = (await world.run("watch", "--json")).out.splitlines()
    assert [json.loads(line) for line in lines] == [{"event": "snapshot", "calls": [call()]}]
