"""`turnrec doctor`: asks for a look at the whole installation, prints it, gives the exit status."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from turnrec.cli_base import DEFAULT_CONFIG, CommandGroup, ConfigOption, JsonOption, settings_of
from turnrec.cli_show import console, is_terminal, say_json

GROUP = CommandGroup("Server")


@GROUP.command(
    "doctor",
    "sudo -u turnrec turnrec doctor",
    "turnrec doctor --asterisk 'docker exec pbx asterisk' --verbose",
    "turnrec doctor --skip other-recorders --json",
)
def doctor(
    context: typer.Context,
    *,
    config: ConfigOption = None,
    asterisk: Annotated[
        str, typer.Option(help="Asterisk's own command, for what AMI doesn't tell.")
    ] = "asterisk",
    skip: Annotated[
        list[str] | None,
        typer.Option(help="A check that isn't made, by its id; may be given several times."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what is in order, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look the whole installation over, and say what to do. It changes nothing.

    Settings, Asterisk, its dialplan, folders, clocks and open doors, with or without a running
    turnrec; run it as turnrec's own user. It places no call: it leaves a file of 20 ms of silence
    in the spool for as long as Asterisk takes to copy it. Status 0: no problem, warnings perhaps.
    1: a problem. 2: wrong usage, or settings that can't be read.
    """
    from turnrec.doctor.checks import CHECKS
    from turnrec.doctor.finding import Status
    from turnrec.doctor.look import Look
    from turnrec.doctor.run import Checked, examine, worst
    from turnrec.doctor.show import document, page

    skipped = frozenset(skip or ())
    if unknown := skipped - {check.id for check in CHECKS}:
        raise typer.BadParameter(f"there is no check {min(unknown)!r}", param_hint="--skip")
    file = DEFAULT_CONFIG if config is None and DEFAULT_CONFIG.exists() else config
    source = context.get_parameter_source("asterisk")
    is_named = getattr(source, "name", "") == "COMMANDLINE"

    async def look_over() -> tuple[tuple[Checked, ...], bool]:
        look = Look(lambda: settings_of(file), file, asterisk, is_asterisk_named=is_named)
        return await examine(look, skipped), bool(look.mistakes)

    found, has_mistakes = asyncio.run(look_over())
    if as_json:
        say_json(document(found))
    else:
        screen = console() if is_terminal() else None
        for line in page(found, screen.width if screen else None, verbose=verbose):
            if screen is None:
                typer.echo(line.plain)
            else:
                # What is to be pasted isn't broken, however long.
                screen.print(line, soft_wrap=True)
    if has_mistakes:
        raise typer.Exit(2)
    if worst(found) is Status.PROBLEM:
        raise typer.Exit(1)
