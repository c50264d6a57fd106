"""`turnrec check`: what a flow file would record on each of its paths. It asks no server.

Exit statuses: 0 clean, 1 errors (with `--strict` warnings, too), 2 a file can't be read or is no
flow.
"""

from __future__ import annotations

import enum
import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turnrec.cli_base import CommandGroup, JsonOption, OutOption, put
from turnrec.cli_show import clean, complain

if TYPE_CHECKING:
    from turnrec.check.run import Checked

GROUP = CommandGroup("Flows")
_COLOURS = {": error: ": "red", ": warning: ": "yellow", ": not checked: ": "cyan"}


class Format(enum.StrEnum):
    """How it is said."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    MERMAID = "mermaid"
    SVG = "svg"


PICTURES = frozenset({Format.MERMAID, Format.SVG})


@GROUP.command(
    "check",
    "turnrec check /etc/turnrec/flow.yaml",
    "turnrec check flow.yaml --strict --format sarif --out flow.sarif",
    "turnrec check flow.yaml --format svg --bot kyc --out kyc.svg",
)
def check(
    flows: Annotated[list[Path], typer.Argument(metavar="FLOW...", help="The flow files.")],
    *,
    format_: Annotated[
        Format,
        typer.Option("--format", "-f", help="What to print: findings, or a picture of the flow."),
    ] = Format.TEXT,
    as_json: JsonOption = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors, too.")] = False,
    bot: Annotated[
        str | None, typer.Option("--bot", help="Draw this bot only (mermaid, svg).")
    ] = None,
    out: OutOption = None,
) -> None:
    """Walk all paths of a flow file, and say where the recording goes wrong, and on which path.

    It needs no server. Status 0: clean. 1: errors were found. 2: a file can't be read, or is no
    flow.
    """
    # What only this command needs is imported in it.
    from turnrec.check.run import check_file, exit_status

    format_ = Format.JSON if as_json else format_
    gc.disable()  # what it reads is looked at and gone, before anything is worth collecting
    try:
        checked = [check_file(path) for path in flows]
    finally:
        gc.enable()
    status = exit_status(checked, strict=strict)
    text = _text(format_, checked, status, bot)
    if out is None and format_ is Format.TEXT:
        for line in text.splitlines():
            _say(line)
    else:
        put(text.encode(), out)
    if format_ in PICTURES or out is not None:
        from turnrec.check.report import as_text, summary

        for one in checked:
            is_told = one.is_readable or format_ not in PICTURES
            for line in summary([one]) if is_told else as_text([one]):
                complain(line)
    raise typer.Exit(status)


def _text(format_: Format, checked: Sequence[Checked], status: int, bot: str | None) -> str:
    import json

    from turnrec.check.mermaid import as_mermaid
    from turnrec.check.report import as_document, as_text
    from turnrec.check.sarif import as_sarif
    from turnrec.check.svg import as_svg

    if format_ is Format.TEXT:
        return "".join(f"{line}\n" for line in as_text(checked))
    if format_ is Format.JSON:
        return json.dumps(as_document(checked, status), indent=2) + "\n"
    if format_ is Format.SARIF:
        return json.dumps(as_sarif(checked), indent=2) + "\n"
    walks = [walk for one in checked for walk in one.walks if bot in (None, walk.bot.name)]
    if bot is not None and not walks:
        raise typer.BadParameter(f"no bot is called {bot!r}", param_hint="--bot")
    findings = [finding for one in checked for finding in one.findings]
    draw = as_mermaid if format_ is Format.MERMAID else as_svg
    return draw(walks, findings)


def _say(line: str) -> None:
    """Print a line; a terminal shows how bad it is in colour."""
    line = clean(line)
    for word, colour in _COLOURS.items():
        before, found, after = line.partition(word)
        if found:
            line = f"{before}: {typer.style(word[2:], fg=colour, bold=True)}{after}"
            break
    typer.echo(line)  # without colours where there is no terminal
