"""`turnrec verify` and `turnrec key`: asks, prints, and gives the exit status; it checks nothing.

Exit statuses of `verify`: 0 proven, 1 something is wrong, 2 wrong usage, 3 it can't be checked, or
not to the end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from turnrec.cli_base import epilog
from turnrec.cli_show import progress
from turnrec.config import ConfigError
from turnrec.settings import Settings
from turnrec.verify.findings import Report, Status, Weight

if TYPE_CHECKING:
    from turnrec.verify.run import Evidence, Outcome

_TITLE: Final = "Proof"
_USAGE: Final = 2
_LONGEST_LINE: Final = 2_000
_VERDICTS: Final = {
    Status.PROVEN: "PROVEN",
    Status.WRONG: "WRONG",
    Status.UNPROVEN: "NOT PROVEN",
}
_SIGNS: Final = {Weight.WRONG: "✗", Weight.UNPROVEN: "?"}


def register(app: typer.Typer, load: Callable[[Path | None], Settings]) -> None:
    """Add the two to turnrec's command line. `load` reads the settings."""

    @app.command(
        "verify",
        rich_help_panel=_TITLE,
        epilog=epilog(
            "turnrec verify /var/lib/turnrec/recordings --public-key turnrec.pub",
            "turnrec verify 01JD4Z....wav --ledger ledger.db --json",
        ),
    )
    def verify_command(
        path: Annotated[
            str,
            typer.Argument(
                help="A recording (WAV or manifest), an export (beside its map), a folder of them,"
                " or a ledger."
            ),
        ],
        public_key: Annotated[
            Path | None,
            typer.Option(help="The public key that signed the checkpoints."),
        ] = None,
        checkpoints: Annotated[
            Path | None,
            typer.Option(
                help="The checkpoints [default: those beside the ledger or the recordings]."
            ),
        ] = None,
        ledger: Annotated[
            str | None,
            typer.Option(help="The ledger's file or URL [default: the configured one]."),
        ] = None,
        parts: Annotated[
            Path | None, typer.Option(help="A folder with the parts, where they were kept.")
        ] = None,
        recordings: Annotated[
            Path | None,
            typer.Option(
                help="Where the recording of an export lies [default: beside it, or configured]."
            ),
        ] = None,
        config: Annotated[
            Path | None, typer.Option("--config", "-c", envvar="TURNREC_CONFIG", help="Settings.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    ) -> None:
        """Check recordings against their manifests, the ledger and its signed checkpoints.

        It needs no server and changes nothing. Status 0: proven. 1: something is wrong. 3: it
        can't be checked, or not to the end.
        """
        # What only these commands need is imported in them: it takes a second.
        from turnrec.ledger.keys import KeyFileError, PublicKey
        from turnrec.verify.run import Evidence, NothingToVerifyError, verify

        try:
            key = None if public_key is None else PublicKey.read(public_key)
            given = Evidence(ledger, checkpoints, key, parts, recordings)
            evidence = _evidence(path, given, config, load)
            with progress(f"checking {path}") as tell:
                outcome = verify(path, evidence, tell)
        except (KeyFileError, NothingToVerifyError) as error:
            print(f"turnrec: {error}", file=sys.stderr)
            raise typer.Exit(_USAGE) from None
        print(as_document(outcome) if as_json else as_page(outcome))
        raise typer.Exit(int(outcome.status))

    keys = typer.Typer(
        help="The key that signs the ledger's checkpoints.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.add_typer(keys, name="key", rich_help_panel=_TITLE)

    @keys.command("new", epilog=epilog("turnrec key new /etc/turnrec/signing.key"))
    def new_key(
        path: Annotated[Path, typer.Argument(help="Where the private key goes.")],
    ) -> None:
        """Make a key pair: PATH, for turnrec alone, and PATH.pub, for whoever is to check."""
        from turnrec.ledger.keys import make_key

        public, key = make_key(path)
        print(f"key {key.id}")
        print(f"private: {path} (for [ledger] signing_key_file; nobody else may read it)")
        print(f"public:  {public} (give it to whoever is to check)")

    @keys.command("show", epilog=epilog("turnrec key show turnrec.pub"))
    def show_key(path: Annotated[Path, typer.Argument(help="A public key's file.")]) -> None:
        """Say which key this is, as checkpoints name it."""
        from turnrec.ledger.keys import PublicKey

        print(f"key {PublicKey.read(path).id}")


def _evidence(
    path: str, given: Evidence, config: Path | None, load: Callable[[Path | None], Settings]
) -> Evidence:
    """What was given; the rest from the settings, where there are any."""
    from turnrec.proof import default_checkpoints_file
    from turnrec.verify.run import is_ledger

    if given.ledger is not None or is_ledger(path):
        return given
    try:
        settings = load(config)
    except ConfigError:
        if config is not None:
            raise
        return given
    checkpoints = settings.ledger.checkpoints_file or default_checkpoints_file(settings)
    spool = settings.recordings.spool_dir
    return replace(
        given,
        ledger=settings.ledger.url.get_secret_value(),
        checkpoints=given.checkpoints or (checkpoints if checkpoints.exists() else None),
        parts_dir=given.parts_dir or (spool if spool.is_dir() else None),
        recordings=given.recordings or settings.recordings.dir,
    )


# ------------------------------------------------------------------ saying it


def as_page(outcome: Outcome) -> str:
    """What was found, for people."""
    lines: list[str] = []
    for report in outcome.reports:
        lines += [f"{report.subject}: {_VERDICTS[report.status]}"]
        lines += [f"  {_SIGNS[one.weight]} [{one.id}] {one.sentence}" for one in report.findings]
        lines += [f"  ✓ {sentence}" for sentence in report.proven]
        lines += [f"  · not said: {sentence}" for sentence in report.not_proven]
        lines += [""]
    counted = {"recording": outcome.recordings, "export": outcome.exports}
    what = " and ".join(
        f"{len(found)} {name}{'s' * (len(found) != 1)}"
        for name, found in counted.items()
        if found or (name == "recording" and not outcome.exports)
    )
    lines.append(f"{_VERDICTS[outcome.status]}: {what}{' and the ledger' * bool(outcome.ledger)}")
    return "\n".join(map(_shown, lines))


def _shown(line: str) -> str:
    """A line that does nothing to a terminal: what was checked may have been written by anybody."""
    if len(line) > _LONGEST_LINE:
        line = f"{line[:_LONGEST_LINE]}..."
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)


def as_document(outcome: Outcome) -> str:
    """What was found, for machines."""
    document: dict[str, Any] = {
        "status": outcome.status.name.lower(),
        "exit_status": int(outcome.status),
        "ledger": None if outcome.ledger is None else _described(outcome.ledger),
        "recordings": [_described(report) for report in outcome.recordings],
        "exports": [_described(report) for report in outcome.exports],
    }
    return json.dumps(document, indent=2)


def _described(report: Report) -> dict[str, Any]:
    return {
        "subject": report.subject,
        "status": report.status.name.lower(),
        "findings": [
            {"id": one.id, "weight": one.weight.value, "sentence": one.sentence}
            for one in report.findings
        ],
        "proven": report.proven,
        "not_proven": report.not_proven,
    }
