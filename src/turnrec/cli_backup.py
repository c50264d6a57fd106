"""`turnrec backup` and `turnrec restore`: asks, prints, gives the exit status; it copies nothing.

Exit statuses: 0 done, and whole; 1 refused, failed, or something is missing; 2 wrong settings.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from turnrec.cli_base import (
    DEFAULT_CONFIG,
    CommandGroup,
    ConfigOption,
    JsonOption,
    settings_of,
)
from turnrec.cli_show import complain, progress, say, say_json

GROUP = CommandGroup("Server")
_MOST_NAMED: Final = 20

FolderArgument = Annotated[Path, typer.Argument(help="The backup's folder.")]


@GROUP.command(
    "backup",
    "turnrec backup /mnt/backup/turnrec",
    "turnrec backup /mnt/vault/turnrec --with-secrets",
)
def backup(
    folder: FolderArgument,
    *,
    with_secrets: Annotated[
        bool,
        typer.Option(
            "--with-secrets",
            help="Also the signing key, API keys, webhooks, settings and AMI's secret.",
        ),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Back up ledger and recordings, while calls run. The next time, only what is new.

    What the ledger says is deleted leaves the backup, too. Status 0: all is there. 1: something is
    missing, or isn't what the ledger says; or there is no new backup.
    """
    from turnrec.backup.make import backup as make
    from turnrec.backup.places import places_of

    places = places_of(settings_of(config), _config_file(config))
    now_us = time.time_ns() // 1000
    with progress(f"backing up to {folder}") as tell:
        report = make(places, folder, now_us, with_secrets=with_secrets, tell=tell)
    if as_json:
        say_json(asdict(report))
    else:
        say(
            f"{folder}: {_many(report.entries, 'entr', 'y', 'ies')},"
            f" {_many(report.recordings, 'recording')} in {_many(report.files, 'file')},"
            f" {_size(report.bytes)}"
        )
        say(f"new: {_many(report.new_files, 'file')}, {_size(report.new_bytes)}")
        if report.pruned:
            gone = _many(len(report.pruned), "recording")
            say(f"deleted, and so gone from the backup: {gone}")
        if report.unfinished:
            left = _many(len(report.unfinished), "recording")
            say(f"still being made, and in the next backup: {left}")
        for note in report.notes:
            say(f"not in it: {note}")
    _name_all("PROBLEM", report.problems)
    if report.problems:
        raise typer.Exit(1)


@GROUP.command(
    "restore",
    "turnrec restore /mnt/backup/turnrec",
    "turnrec restore /mnt/backup/turnrec --incomplete",
)
def restore(
    folder: FolderArgument,
    *,
    incomplete: Annotated[
        bool,
        typer.Option(
            "--incomplete", help="Restore what is whole of a backup that has been damaged."
        ),
    ] = False,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Put the secrets back, too.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup where the settings say, and verify it. It overwrites nothing.

    It refuses while a server runs, and where there is a ledger or a recording already. Status 0:
    all is there and proven sound. 1: it was refused, or something is missing or wrong.
    """
    from turnrec.backup.places import places_of
    from turnrec.backup.restore import restore as put_back

    places = places_of(settings_of(config), _config_file(config))
    with progress(f"restoring {folder}") as tell:
        report = put_back(
            places, folder, incomplete=incomplete, with_secrets=with_secrets, tell=tell
        )
    made = _iso(report.made_us)
    if as_json:
        say_json(asdict(report))
    else:
        say(
            f"restored: {_many(report.entries, 'entr', 'y', 'ies')},"
            f" {_many(report.recordings, 'recording')} in {_many(report.files, 'file')},"
            f" {_size(report.bytes)}, as of {made}"
        )
        say(f"turnrec verify: {report.verdict}")
        if report.unfinished:
            left = _many(len(report.unfinished), "recording")
            say(f"without sound: {left}, still being made then; the server closes them as failed")
        say(
            f"what came after entry {report.last_entry} is not in it; what was deleted after it is"
            " back: delete it again"
        )
    _name_all("DAMAGED", report.damaged)
    _name_all("MISSING", report.missing)
    _name_all("WRONG", report.wrong)
    _name_all("not proven", report.unproven)
    if not report.is_whole:
        raise typer.Exit(1)


def _config_file(config: Path | None) -> Path | None:
    if config is not None:
        return config
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def _name_all(what: str, sentences: list[str]) -> None:
    for sentence in sentences[:_MOST_NAMED]:
        complain(f"{what}: {sentence}")
    if len(sentences) > _MOST_NAMED:
        complain(f"{what}: and {len(sentences) - _MOST_NAMED} more (--json names all)")


def _many(count: int, stem: str, one: str = "", many: str = "s") -> str:
    return f"{count} {stem}{one if count == 1 else many}"


def _size(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.1f} {unit}" if unit != "bytes" else f"{count} bytes"


def _iso(at_us: int) -> str:
    from turnrec.recordings.manifest import utc

    return utc(at_us)
