"""The `turnrec` command: gathers the commands, and turns errors into exit statuses.

What is recorded is decided elsewhere: `turnrec serve` is `turnrec.cli_server`, and from there the
path to read is `turnrec.service`, `turnrec.calls`.

Exit statuses: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 nobody answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from turnrec import __version__
from turnrec.cli_archive import GROUP as ARCHIVE
from turnrec.cli_backup import GROUP as BACKUP
from turnrec.cli_base import epilog, settings_of
from turnrec.cli_calls import GROUP as CALLS
from turnrec.cli_check import GROUP as CHECK
from turnrec.cli_docker import app as docker_app
from turnrec.cli_doctor import GROUP as DOCTOR
from turnrec.cli_events import GROUP as EVENTS
from turnrec.cli_export import GROUP as EXPORT
from turnrec.cli_files import GROUP as FILES
from turnrec.cli_keys import app as keys_app
from turnrec.cli_recordings import GROUP as RECORDINGS
from turnrec.cli_server import GROUP as SERVER
from turnrec.cli_show import complain
from turnrec.cli_simulate import GROUP as SIMULATE
from turnrec.cli_webhooks import app as webhooks_app
from turnrec.config import ConfigError
from turnrec.core.errors import TurnrecError
from turnrec.flow import FlowError
from turnrec.pbx.cli import app as pbx_app
from turnrec.pbx.errors import PbxError
from turnrec.verify.cli import register as register_verify
from turnrec.web.client import BadAddressError, ServerRefusedError, ServerUnreachableError

__all__ = ["app", "main"]


class _GroupedHelp(TyperGroup):
    """Help in which commands that belong together stand together, on a terminal and in a pipe."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by their groups, in the order in which they were added."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                title = getattr(command, "rich_help_panel", None)
                title = title if isinstance(title, str) else "Commands"
                groups.setdefault(title, []).append((name, command.get_short_help_str(90)))
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)


app = typer.Typer(
    cls=_GroupedHelp,
    help="Recording control for voice bots on Asterisk, turn by turn.",
    epilog=epilog(
        "turnrec calls                            what is live, and how it is recorded",
        "turnrec pause 1731402.17                 pause one of them",
        "turnrec recordings --from today          what was recorded",
        "turnrec --install-completion             have the shell complete commands and calls",
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"turnrec {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _version(wanted=value),
            is_eager=True,
            help="Say which version this is.",
        ),
    ] = False,
) -> None:
    """Recording control for voice bots on Asterisk, turn by turn.

    The commands ask the turnrec of this machine by its control socket; with --url, or TURNREC_URL,
    and an API key in TURNREC_API_KEY that of another one.

    Exit statuses: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 nobody answers.
    """


for _group in (CALLS, EVENTS, RECORDINGS, ARCHIVE, EXPORT):
    _group.add_to(app)
register_verify(app, settings_of)
CHECK.add_to(app)
SIMULATE.add_to(app)
SERVER.add_to(app)
BACKUP.add_to(app)
FILES.add_to(app)
DOCTOR.add_to(app)
app.add_typer(webhooks_app, name="webhook", rich_help_panel=SERVER.title)
app.add_typer(keys_app, name="api-key", rich_help_panel=SERVER.title)
app.add_typer(pbx_app, name="pbx", rich_help_panel=SERVER.title)
app.add_typer(docker_app, name="docker", rich_help_panel=SERVER.title)


# ------------------------------------------------------------------ errors


@contextmanager
def _exit_statuses() -> Iterator[None]:
    """Turn every error that is somebody's business into a sentence and a status."""
    try:
        yield
    except (ConfigError, FlowError) as error:
        complain(f"turnrec: {error}")
        raise SystemExit(2) from None
    except BadAddressError as error:
        complain(f"turnrec: {error} [{error.id}]")
        raise SystemExit(2) from None
    except ServerUnreachableError as error:
        complain(f"turnrec: {error}")
        raise SystemExit(3) from None
    except ServerRefusedError as error:
        complain(f"turnrec: {error} [{error.refusal_id}]")
        raise SystemExit(1) from None
    except TurnrecError as error:
        complain(f"turnrec: {error} [{error.id}]")
        raise SystemExit(1) from None
    except (PbxError, OSError) as error:
        complain(f"turnrec: {error}")
        raise SystemExit(1) from None


def main() -> None:
    """Run the command. Nothing that it makes is for others, missing folders above it included."""
    os.umask(os.umask(0o077) | 0o027)
    with _exit_statuses():
        app()
