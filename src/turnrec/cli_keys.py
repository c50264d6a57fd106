"""`turnrec api-key`: makes, lists and revokes API keys in their file, with or without a server.

A running server reads the file again at the next request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from turnrec.cli_base import CommandGroup, ConfigOption, JsonOption, UtcOption, settings_of
from turnrec.cli_show import Column, complain, say, say_json, show_table, text, when
from turnrec.clock import SteadyClock
from turnrec.core.errors import TurnrecError
from turnrec.spelling import did_you_mean

if TYPE_CHECKING:
    from turnrec.web.access import Right
    from turnrec.web.keys import ApiKey, KeyRing

GROUP = CommandGroup("Commands")
app = typer.Typer(
    help="API keys: made, listed, revoked; with or without a running server.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

RIGHTS: Final = ("read", "control", "bot", "audit", "admin")
"""What `turnrec.web.access.Right` knows; here for the shell's completion."""


def _keys(config: ConfigOption) -> KeyRing:
    from turnrec.web.keys import KeyRing

    return KeyRing(settings_of(config).api.keys_file)


def _rights(words: list[str]) -> frozenset[Right]:
    from turnrec.web.access import Right

    known = [one.value for one in Right]
    for word in words:
        if word not in known:
            raise typer.BadParameter(
                f"there is no right {word!r}{did_you_mean(word, known)}; there are"
                f" {', '.join(known)}",
                param_hint="--right",
            )
    return frozenset(map(Right, words))


def _good_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """What the shell may complete for `revoke`."""
    try:
        found = _keys(ctx.params.get("config")).keys()
    except (TurnrecError, OSError):
        return []
    names = [one.name for one in found if one.revoked_us is None]
    return [name for name in names if name.startswith(incomplete)]


@GROUP.command(
    "new",
    "turnrec api-key new desk --right read --right control",
    "turnrec api-key new kyc-bot --right bot --bot kyc",
    "turnrec api-key new grafana --right read > grafana.key",
)
def new(
    name: Annotated[str, typer.Argument(help="Who will have it, as the ledger names them.")],
    config: ConfigOption = None,
    *,
    rights: Annotated[
        list[str],
        typer.Option(
            "--right",
            help="What it allows: read, control, bot, audit, or admin (everything). Repeatable.",
            autocompletion=lambda: list(RIGHTS),
        ),
    ],
    bots: Annotated[
        list[str] | None,
        typer.Option("--bot", help="Only this bot's calls and recordings. Repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    wanted = _rights(rights)
    settings = settings_of(config)
    limited = frozenset(bots) if bots else None
    key = _keys(config).make(name, wanted, limited, SteadyClock()())
    if as_json:
        say_json(
            {
                "name": name,
                "key": key,
                "rights": sorted(wanted),
                "bots": None if limited is None else sorted(limited),
            }
        )
        return
    say(key)
    api = settings.api
    host = api.host if api.host in _LOOPBACK else "HOST"
    port = api.port or "PORT"
    complain("")
    complain("This is the only time it is shown. Use it so:")
    complain(f"  curl -H 'Authorization: Bearer trk_...' http://{host}:{port}/v1/calls")
    complain(f"  TURNREC_API_KEY=trk_... turnrec calls --url http://{host}:{port}")
    complain(f"  turnrec api-key revoke {name}")
    if not api.enabled:
        complain("The API is off: set `enabled = true` under [api] to use it.")


@GROUP.command("list", "turnrec api-key list", "turnrec api-key list --json")
def list_keys(
    config: ConfigOption = None, *, utc: UtcOption = False, as_json: JsonOption = False
) -> None:
    """List the keys, revoked ones too. Nobody can show a key again."""
    kept = _keys(config).keys()
    found = [_described(one) for one in kept]
    if as_json:
        say_json(found)
        return
    columns = [
        Column("name", text, "name", is_whole=True),
        Column("is", _standing, is_whole=True),
        Column("rights", text, "rights"),
        Column("bots", lambda bots: "all" if bots is None else text(bots), "bots"),
        Column("made", when(utc=utc), "created", 70),
        Column("revoked", when(utc=utc), "revoked", 90),
        Column("id", text, "id", 110),
    ]
    show_table(found, columns, none="no keys; `turnrec api-key new` makes one")


@GROUP.command("revoke", "turnrec api-key revoke desk")
def revoke(
    name: Annotated[
        str,
        typer.Argument(
            help="Whose key, as `turnrec api-key list` shows it.",
            autocompletion=_good_names,
        ),
    ],
    config: ConfigOption = None,
) -> None:
    """Revoke a key: a running server refuses it from the next request on."""
    _keys(config).revoke(name, SteadyClock()())
    say(f"key {name} is revoked")


def _standing(key: object) -> Text:
    is_revoked = isinstance(key, dict) and key["revoked"] is not None
    return Text("revoked", style="dim") if is_revoked else Text("good", style="green")


def _described(key: ApiKey) -> dict[str, object]:
    from turnrec.describe import instant

    return {
        "id": key.id,
        "name": key.name,
        "rights": sorted(key.rights),
        "bots": None if key.bots is None else sorted(key.bots),
        "created": instant(key.created_us),
        "revoked": instant(key.revoked_us),
    }


GROUP.add_to(app)
