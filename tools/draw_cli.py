"""Writes docs/cli.md anew from the commands themselves; it runs none of them.

Run it at the top of the repository: `.venv/bin/python -m tools.draw_cli`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer
from typer.main import get_command

from turnrec.cli import app

DOCS: Final = Path(__file__).parents[1] / "docs" / "cli.md"
_WIDTH: Final = 96
_INTRO: Final = """# The command line

<!-- made by tools/draw_cli.py from the commands' own help: change that, and run it -->

**Here or elsewhere.** A command asks the turnrec of this machine by its control socket: whoever
may open that has all rights, and the ledger names them (`cli:anna`). With `--url
https://pbx:8077`, or `TURNREC_URL`, it asks another machine by HTTP, with an API key from
`TURNREC_API_KEY` or from a file (`--key-file`) that nobody else may read; never as an argument,
where everybody on the machine sees it in the process list. A certificate of your own is trusted by
`SSL_CERT_FILE`. `--config` on the command line beats a `TURNREC_URL` that only lies about.

**Output.** On a terminal, tables that fit it, with each state as a word, a sign and a colour
(`NO_COLOR` turns that off); in a pipe, plain columns that are neither coloured nor cut. `--json`
prints JSON, and JSON lines where it goes on (`watch`, `events`). Times are local; `--utc` makes
them UTC. What is said beside the answer, and every error, is on standard error: one sentence with
the error's id at its end.

**Exit statuses.** 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 nobody answers.
`ready`: 0 ready, 1 not. `verify` and `recording --verify`: 0 proven, 1 something is wrong, 3 it
can't be checked, or not to the end. `watch` and `events --follow` are ended by Ctrl-C, with 0.

**Completion.** `turnrec --install-completion` sets it up for bash, zsh, fish or PowerShell. It
completes commands and options, and asks the server for live calls, recordings and webhooks.

**Nothing is repeated.** A command that got no answer says so and ends. Repeating it is safe; when
to do so is yours to choose.
"""


def drawn() -> str:
    """The page, as it should be."""
    root = get_command(app)
    found = list(_commands(root, "turnrec", None))
    index = "\n".join(
        f"- [`{name}`](#{name.replace(' ', '-')}): {about}" for name, about, _ in found
    )
    parts = [_INTRO, f"\n## Commands\n\n{index}\n"]
    parts += [f"\n### {name}\n\n```text\n{text}\n```\n" for name, _, text in found]
    return "".join(parts)


def _commands(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str, str]]:
    """Each command: its name, what it does, its help. Groups have only their commands."""
    context = typer.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH
    )
    if not hasattr(command, "list_commands"):
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        whole = context.command_path
        yield whole, command.get_short_help_str(200), text
        return
    for inner in command.list_commands(context):
        found = command.get_command(context, inner)
        if found is not None and not found.hidden:
            yield from _commands(found, inner, context)


if __name__ == "__main__":
    DOCS.write_text(drawn(), "utf-8")
