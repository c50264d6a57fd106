"""What the commands share: their options, how they reach a turnrec, and how they are gathered.

It holds no command. What only one command needs is imported inside it, here and in all modules of
the command line: `turnrec calls` needs no database and no sound.
"""

from __future__ import annotations

import functools
import inspect
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import quote

import typer

from turnrec.cli_show import complain
from turnrec.config import ConfigError, load_settings
from turnrec.core.errors import TurnrecError, UnknownCallError, UnknownRecordingError
from turnrec.settings import Settings
from turnrec.web.client import BadAddressError, Client, ControlClient, RemoteClient

P = ParamSpec("P")
Command = TypeVar("Command", bound=Callable[..., None])

CONFIG_VARIABLE: Final = "TURNREC_CONFIG"
URL_VARIABLE: Final = "TURNREC_URL"
KEY_VARIABLE: Final = "TURNREC_API_KEY"
DEFAULT_CONFIG: Final = Path("/etc/turnrec/turnrec.toml")
_CLIENT_VARIABLES: Final = frozenset({CONFIG_VARIABLE, URL_VARIABLE, KEY_VARIABLE})
_COMPLETION_TIMEOUT_S: Final = 1.0
_MAX_COMPLETIONS: Final = 100
_MAX_KEY_BYTES: Final = 4096
_UNKNOWN: Final = {"recordings": UnknownRecordingError}
NOBODY: Final = 3
"""Exit status: nobody answers."""

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar=CONFIG_VARIABLE,
        help=f"The TOML file [default: {DEFAULT_CONFIG}, where there is one].",
    ),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", envvar=URL_VARIABLE, help="Ask the turnrec there, instead of this machine's."
    ),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file", help=f"The file with the API key for --url [default: ${KEY_VARIABLE}]."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print JSON lines, for scripts.")]
UtcOption = Annotated[bool, typer.Option("--utc", help="Times in UTC instead of local time.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]
CursorOption = Annotated[
    str | None,
    typer.Option("--cursor", help="Go on where a page ended, as it has said."),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Write to this new file instead of standard output."),
]


# ------------------------------------------------------------------ reaching a turnrec


def settings_of(config: Path | None) -> Settings:
    """The settings that a command works by.

    Raises:
        ConfigError: they are wrong.
    """
    if config is None and DEFAULT_CONFIG.exists():
        config = DEFAULT_CONFIG
    environ = {name: text for name, text in os.environ.items() if name not in _CLIENT_VARIABLES}
    return load_settings(config, environ)


def connect(
    config: Path | None, url: str | None = None, key_file: Path | None = None, **options: float
) -> Client:
    """Make the client of the turnrec that is meant.

    Raises:
        ConfigError, BadAddressError: it can't be known, or there is no key for it.
    """
    if url is None:
        return ControlClient(settings_of(config).server.control_socket, **options)
    key = os.environ.get(KEY_VARIABLE) if key_file is None else _read_key(key_file)
    client = RemoteClient(url, key or None, **options)
    if client.is_in_clear and not options:
        complain(f"turnrec: the key goes to {url} in clear text: https is safe")
    return client


def _read_key(path: Path) -> str:
    with path.open("rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            others = os.fstat(file.fileno()).st_mode & 0o077
            if others:
                raise BadAddressError(f"others may read the key in {path}: chmod 600 it")
        return file.read(_MAX_KEY_BYTES).decode("ascii", "replace").strip()


def asks(command: Callable[Concatenate[Client, P], None]) -> Callable[..., None]:
    """Give a command the client of the turnrec that its options name, and these options."""
    signature = inspect.signature(command, eval_str=True)
    _, *own = signature.parameters.values()
    shared = {
        "context": (typer.Context, inspect.Parameter.empty),
        "config": (ConfigOption, None),
        "url": (UrlOption, None),
        "key_file": (KeyFileOption, None),
    }

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        context, config, url, key_file = (options.pop(name) for name in shared)
        command(connect(config, _address(context, url), key_file), *args, **options)

    parameters = [
        *own,
        *(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint
            )
            for name, (hint, default) in shared.items()
        ),
    ]
    del run.__wrapped__
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _address(context: typer.Context, url: str | None) -> str | None:
    """The address, unless a settings file was named and the address only lay about."""
    given = {
        name: getattr(context.get_parameter_source(name), "name", "") for name in ("config", "url")
    }
    is_overruled = given["config"] == "COMMANDLINE" and given["url"] != "COMMANDLINE"
    return None if is_overruled else url


def url_of(kind: str, name: str, *rest: str) -> str:
    """An address under `/v1`; a name can't leave its place in it.

    Raises:
        TurnrecError: a name that nothing can have: a path's separator ends it even when quoted.
    """
    if "/" in name or name in ("", ".", ".."):
        raise _UNKNOWN.get(kind, UnknownCallError)(name[:64])
    return "/".join(["/v1", kind, *(quote(one, safe="") for one in (name, *rest))])


def pages(client: Client, url: str, *, everything: bool, **query: Any) -> tuple[list[Any], Any]:
    """A page's items, or those of all pages, and the cursor of what was left."""
    found = client.get(url, **query)
    items = list(found["items"])
    while everything and found["next"] is not None:
        found = client.get(url, **{**query, "cursor": found["next"]})
        items += found["items"]
    return items, found["next"]


def say_more(cursor: object) -> None:
    """Say that there is more, and how to get it."""
    if cursor is not None:
        complain(f"there is more: --cursor {cursor}, or --all")


def write_new(path: Path, content: bytes) -> None:
    """Write a file that wasn't there.

    Raises:
        OSError: it was, or it can't be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def put(content: bytes, out: Path | None) -> None:
    """Write to a new file or, byte by byte, to standard output."""
    if out is not None:
        write_new(out, content)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


# ------------------------------------------------------------------ gathering commands


class CommandGroup:
    """Commands that stand together in the help."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._commands: list[tuple[str, tuple[str, ...], Callable[..., None]]] = []

    def command(self, name: str, *examples: str) -> Callable[[Command], Command]:
        """Make a function a command, with examples of how it is used."""

        def note(function: Command) -> Command:
            self._commands.append((name, examples, function))
            return function

        return note

    def add_to(self, app: typer.Typer) -> None:
        """Put the commands under an application."""
        for name, examples, function in self._commands:
            app.command(name, epilog=epilog(*examples), rich_help_panel=self.title)(function)


def epilog(*examples: str) -> str | None:
    """Examples as they stand below a command's help."""
    if not examples:
        return None
    # A backspace alone on its line keeps the paragraph's lines as they are.
    return "\b\n" + "\n".join(["Examples:", *(f"  {one}" for one in examples)])


# ------------------------------------------------------------------ completion


def completes(names: Callable[[Client], Iterable[tuple[str, str]]]) -> Callable[..., Any]:
    """Make a completion of what a running turnrec knows: names, each with a word about it.

    Where nobody answers at once, nothing is offered: no error belongs into a half-typed line.
    """

    def complete(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
        given = ctx.params
        try:
            client = connect(
                given.get("config") or _from_environ(CONFIG_VARIABLE, Path),
                given.get("url") or _from_environ(URL_VARIABLE, str),
                given.get("key_file"),
                timeout_s=_COMPLETION_TIMEOUT_S,
            )
            found = [one for one in names(client) if one[0].startswith(incomplete)]
        except (TurnrecError, ConfigError, OSError, ValueError, KeyError, TypeError):
            return
        yield from found[:_MAX_COMPLETIONS]

    return complete


def _from_environ(name: str, kind: Callable[[str], Any]) -> Any:
    found = os.environ.get(name)
    return kind(found) if found else None


def _live_calls(client: Client) -> Iterator[tuple[str, str]]:
    for call in client.get("/v1/calls", limit=_MAX_COMPLETIONS)["items"]:
        about = f"{call['bot']} {call['node'] or '-'} {call['state']}"
        yield call["id"], about
        yield from ((name, about) for name in (call["external_id"], call["uniqueid"]) if name)


def _recordings(client: Client) -> Iterator[tuple[str, str]]:
    for one in client.get("/v1/recordings", limit=_MAX_COMPLETIONS)["items"]:
        yield one["id"], f"{one['bot']} {one['status']} {one['opened']}"


CallArgument = Annotated[
    str,
    typer.Argument(
        help="The call: its id, its uniqueid or the bot's external id.",
        autocompletion=completes(_live_calls),
    ),
]
RecordingArgument = Annotated[
    str,
    typer.Argument(
        help="The recording's id, as `turnrec recordings` lists it.",
        autocompletion=completes(_recordings),
    ),
]
