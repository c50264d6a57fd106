"""The commands that go on: the live board and the event stream. They show, and forget nothing.

Whoever loses the server in the middle comes back to it by themselves, and goes on after the last
event that was heard. Ctrl-C is how they are meant to end: status 0.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from turnrec.cli_base import CommandGroup, JsonLinesOption, UtcOption, asks
from turnrec.cli_calls import event_line
from turnrec.cli_show import (
    Column,
    complain,
    console,
    is_terminal,
    length,
    say_json_line,
    say_rich,
    state,
    table,
    text,
)
from turnrec.web.client import Client, ServerUnreachableError, Told

GROUP = CommandGroup("Events")
_AGAIN_S: Final = 1.0
_REDRAWN_PER_S: Final = 4

TypeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        help="Only these: a type (recording.paused) or a group ('recording.*'). Repeatable.",
    ),
]
CallOption = Annotated[
    str | None, typer.Option("--call", help="Only this call's: its id, uniqueid or external id.")
]


# ------------------------------------------------------------------ the live board


class Board:
    """The live calls, as last told."""

    def __init__(self) -> None:
        self.calls: dict[str, dict[str, Any]] = {}
        self.lost_at: datetime | None = None
        """Since when nothing has been heard; None: it is live."""

    def hear(self, told: Told) -> list[dict[str, Any]]:
        """Take over what was told; the calls that it was about."""
        data = json.loads(told.data)
        self.lost_at = None
        if told.name == "snapshot":
            self.calls = {one["id"]: one for one in data["calls"]}
            return list(self.calls.values())
        ended = [self.calls[one] for one in data["ended"] if one in self.calls]
        changed = {one["id"]: one for one in data["changed"]}
        # Made anew: the thread that draws may be going through the old one.
        kept = {name: one for name, one in self.calls.items() if name not in data["ended"]}
        self.calls = kept | changed
        return [*changed.values(), *({**one, "state": "ended", "holds": []} for one in ended)]

    def __rich__(self) -> Group:
        """The table, newest first, for the terminal as it is now."""
        rows = sorted(self.calls.values(), key=lambda one: str(one["id"]), reverse=True)
        count = f"{len(rows)} live call{'s' * (len(rows) != 1)}"
        head = Text(f"{count}    Ctrl-C ends this", style="dim")
        if self.lost_at is not None:
            head = Text(
                f"NOT CONNECTED for {_ago(self.lost_at)}: what stands here is old",
                style="bold white on red",
            )
        return Group(head, Text(), table(rows, _COLUMNS, console().width))


def _since(call: Mapping[str, Any]) -> str:
    try:
        since = datetime.fromisoformat(call["since"])
    except (TypeError, ValueError):
        return "-"
    return _ago(since)


def _ago(since: datetime) -> str:
    seconds = int(max(0.0, (datetime.now(UTC) - since).total_seconds()))
    return f"{seconds} s" if seconds < 60 else length(seconds)


_COLUMNS: Final = (
    Column("id", text, "id", is_whole=True),
    Column("bot", text, "bot"),
    Column("node", text, "node"),
    Column("state", state, "state", is_whole=True),
    Column("for", _since, is_whole=True, is_number=True),
    Column("held by", text, "holds"),
    Column("external id", text, "external_id", 110),
    Column("channel", text, "channel", 140),
)


@GROUP.command("watch", "turnrec watch", "turnrec watch --events", "turnrec watch --json | jq .")
@asks
def watch(
    client: Client,
    *,
    events: Annotated[
        bool, typer.Option("--events", help="What happens, line by line, instead of a table.")
    ] = False,
    utc: UtcOption = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Show the live calls and how they change, until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        if events:
            _show_events(heard(client, None, None), utc=utc, as_json=as_json)
        elif as_json or not is_terminal():
            _print_board(client, as_json=as_json)
        else:
            _draw_board(client)


def _draw_board(client: Client) -> None:
    board = Board()
    board.hear(_first(client))
    with Live(board, console=console(), screen=True, refresh_per_second=_REDRAWN_PER_S) as live:
        for told in _board(client):
            if told is None:
                board.lost_at = board.lost_at or datetime.now(UTC)
            else:
                board.hear(told)
            live.refresh()


def _print_board(client: Client, *, as_json: bool) -> None:
    board = Board()
    _first(client)
    for told in _board(client):
        if told is None:
            complain("turnrec: not connected; trying again")
            continue
        about = board.hear(told)
        if as_json:
            say_json_line({"event": told.name, **json.loads(told.data)})
            continue
        for call in about:
            held = f" held by {text(call['holds'])}" if call["holds"] else ""
            say_rich(
                Text(f"{call['id']} {call['bot']} {call['node'] or '-'} {call['state']}{held}")
            )


def _first(client: Client) -> Told:
    """The first thing told. Where nobody answers now, it is an error and no interruption."""
    return next(client.listen("/v1/calls/live"))


def _board(client: Client) -> Iterator[Told | None]:
    """What the board tells, for ever; None: it is lost just now."""
    is_lost = False
    while True:
        try:
            for told in client.listen("/v1/calls/live"):
                is_lost = False
                if told.data:
                    yield told
        except ServerUnreachableError:
            if not is_lost:
                yield None
            is_lost = True
            time.sleep(_AGAIN_S)


# ------------------------------------------------------------------ events


@GROUP.command(
    "events",
    "turnrec events --last 100",
    "turnrec events --follow --type 'recording.*' --type alarm",
    "turnrec events --since 4711 --json > events.jsonl",
)
@asks
def events(
    client: Client,
    *,
    since: Annotated[
        int | None, typer.Option("--since", min=0, help="All after the event with this number.")
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=1, help="Without --since and --follow: so many.")
    ] = 20,
    types: TypeOption = None,
    call: CallOption = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")
    ] = False,
    utc: UtcOption = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Show what has happened, in order, each event once."""
    query = {"types": ",".join(types) if types else None, "call": call}
    with suppress(KeyboardInterrupt):
        if follow:
            found = heard(client, since, None, **query)
        else:
            head = _head(client)
            if since is None:
                found = iter(_last(client, last, head, query))
            else:
                found = heard(client, since, head, **query)
        _show_events(found, utc=utc, as_json=as_json)


def _show_events(found: Iterator[dict[str, Any]], *, utc: bool, as_json: bool) -> None:
    for event in found:
        if as_json:
            say_json_line(event)
        else:
            say_rich(event_line(event, utc=utc, names_call=True))


def _head(client: Client) -> int:
    """The number up to which everything has been told."""
    return next(int(told.id) for told in client.listen("/v1/events") if told.id)


def _last(client: Client, count: int, head: int, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The last `count` events: looked for from ever further back, as few entries are events."""
    reach = 4 * count
    while True:
        after = max(0, head - reach)
        found = list(heard(client, after, head, **query))
        if len(found) >= count or after == 0:
            return found[-count:]
        reach *= 4


def heard(
    client: Client, after: int | None, until: int | None, **query: Any
) -> Iterator[dict[str, Any]]:
    """Each event after one number and up to another; without that one, for ever.

    Raises:
        ServerUnreachableError: nobody answers at the first try, or in a stream that has an end.
        ServerRefusedError: they can't be had.
    """
    was_heard = is_lost = False
    while until is None or (after or 0) < until:
        try:
            for told in client.listen("/v1/events", after=after, **query):
                was_heard, is_lost = True, False
                after = int(told.id) if told.id else after
                if until is not None and (after or 0) > until:
                    return
                if told.data:
                    yield json.loads(told.data)
                if after == until:
                    return
        except ServerUnreachableError:
            if not was_heard or until is not None:
                raise
            if not is_lost:
                complain(f"turnrec: not connected; it goes on after event {after}")
            is_lost = True
            time.sleep(_AGAIN_S)
