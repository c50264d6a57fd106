"""`turnrec webhook`: who is called when something happens. It asks the server, which calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import typer
from rich.text import Text

from turnrec.cli_base import (
    CommandGroup,
    CursorOption,
    JsonOption,
    LimitOption,
    UtcOption,
    asks,
    completes,
    pages,
    say_more,
    url_of,
)
from turnrec.cli_show import Column, complain, say, say_json, show_facts, show_table, text, when
from turnrec.web.client import Client

GROUP = CommandGroup("Commands")
app = typer.Typer(
    help="Webhooks: who is called when something happens.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_KIND: Final = "webhooks"


def _names(client: Client) -> Iterator[tuple[str, str]]:
    for one in client.get("/v1/webhooks")["items"]:
        yield one["id"], one["url"]


HookArgument = Annotated[
    str,
    typer.Argument(
        metavar="WEBHOOK",
        help="The webhook's id, as `turnrec webhook list` shows it.",
        autocompletion=completes(_names),
    ),
]


@GROUP.command(
    "add",
    "turnrec webhook add https://crm.example/turnrec",
    "turnrec webhook add https://pager.example/in --type alarm --type recording.failed",
    "turnrec webhook add https://crm.example/kyc --type 'recording.*' --bot kyc",
)
@asks
def add(
    client: Client,
    address: Annotated[str, typer.Argument(help="Where events are posted to.")],
    *,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            help="Only these: a type (recording.done) or a group ('recording.*'). Repeatable.",
        ),
    ] = None,
    bots: Annotated[
        list[str] | None, typer.Option("--bot", help="Only this bot's events. Repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Have events posted to an address. Prints the secret that signs them, once."""
    body = {"url": address, "types": types or None, "bots": bots or None}
    made = client.post("/v1/webhooks", body)
    if as_json:
        say_json(made)
        return
    say(f"webhook {made['id']}")
    say(f"secret  {made['secret']}")
    complain("")
    complain("This is the only time the secret is shown. The receiver verifies each request with")
    complain("it, as the Standard Webhooks convention says: webhook-id, webhook-timestamp,")
    complain("webhook-signature.")


@GROUP.command("list", "turnrec webhook list")
@asks
def list_hooks(client: Client, *, utc: UtcOption = False, as_json: JsonOption = False) -> None:
    """List the webhooks, and how much waits for each."""
    found, _ = pages(client, "/v1/webhooks", everything=True)
    if as_json:
        say_json(found)
        return
    columns = [
        Column("id", text, "id", is_whole=True),
        Column("is", _standing, is_whole=True),
        Column("waiting", text, "waiting", is_number=True),
        Column("dead", text, "dead_letters", is_number=True),
        Column("types", _all, "types"),
        Column("bots", _all, "bots", 100),
        Column("made", when(utc=utc), "created", 120),
        Column("address", text, "url"),
    ]
    show_table(found, columns, none="no webhooks; `turnrec webhook add` makes one")


@GROUP.command("show", "turnrec webhook show WEBHOOK")
@asks
def show(
    client: Client, hook: HookArgument, *, utc: UtcOption = False, as_json: JsonOption = False
) -> None:
    """Show one webhook."""
    found = client.get(url_of(_KIND, hook))
    if as_json:
        say_json(found)
        return
    show_facts(
        [
            ("webhook", text(found["id"])),
            ("is", _standing(found)),
            ("address", text(found["url"])),
            ("types", _all(found["types"])),
            ("bots", _all(found["bots"])),
            ("made", when(utc=utc)(found["created"])),
            ("waiting", text(found["waiting"])),
            ("dead letters", text(found["dead_letters"])),
        ]
    )


@GROUP.command("remove", "turnrec webhook remove WEBHOOK")
@asks
def remove(client: Client, hook: HookArgument) -> None:
    """Remove a webhook, with all that waits for it."""
    client.delete(url_of(_KIND, hook))
    say(f"webhook {hook} is removed")


@GROUP.command("dead", "turnrec webhook dead WEBHOOK")
@asks
def dead(
    client: Client,
    hook: HookArgument,
    *,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All pages.")] = False,
    utc: UtcOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the events that a webhook's receiver never took, the newest first."""
    found, more = pages(
        client,
        url_of(_KIND, hook, "dead-letters"),
        everything=everything,
        limit=1000 if everything else limit,
        cursor=cursor,
    )
    if as_json:
        say_json(found)
    else:
        columns = [
            Column("id", text, "id", is_whole=True),
            Column("event", text, "type", is_whole=True),
            Column("number", text, "seq", is_number=True),
            Column("tries", text, "attempts", is_number=True),
            Column("last answer", lambda one: text(one["status"] or one["error"])),
            Column("given up", when(utc=utc), "given_up", is_whole=True),
        ]
        show_table(found, columns, none="no dead letters")
    say_more(more)


@GROUP.command("retry", "turnrec webhook retry WEBHOOK 17", "turnrec webhook retry WEBHOOK --all")
@asks
def retry(
    client: Client,
    hook: HookArgument,
    letter: Annotated[
        int | None, typer.Argument(help="The dead letter, as `turnrec webhook dead` lists it.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
) -> None:
    """Have a dead letter sent anew, with as many tries as at first."""
    if (letter is None) != everything:
        raise typer.BadParameter("name one dead letter, or give --all", param_hint="LETTER")
    url = url_of(_KIND, hook, "dead-letters")
    letters = [letter]
    if everything:
        found, _ = pages(client, url, everything=True, limit=1000)
        letters = [one["id"] for one in reversed(found)]
    for one in letters:
        client.post(f"{url}/{one}/retry")
    count = len(letters)
    say(f"{count} dead letter{'s' * (count != 1)} will be sent anew")


def _all(names: object) -> str:
    return "all" if names is None else text(names)


def _standing(hook: object) -> Text:
    why = hook["disabled"] if isinstance(hook, dict) else None
    return Text("on", style="green") if not why else Text(f"off: {text(why)}", style="bold red")


GROUP.add_to(app)
