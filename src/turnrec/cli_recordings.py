"""The commands for past recordings: export, redact, hold, release, delete; it decides nothing.

`export` reads the sound itself and asks the server only what the ledger knows of it. All others
ask the server, which alone writes the ledger.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from turnrec.core.errors import NotAllowedError, UnknownRecordingError
from turnrec.core.policy import PauseBehavior
from turnrec.recordings.export import Source, export, map_path, source_beside, source_from
from turnrec.recordings.join import RECORDING_ID
from turnrec.recordings.redact import Stretch
from turnrec.recordings.sound import FORMAT_BY_SUFFIX, SoundFormat, SoundUnreadableError
from turnrec.web.client import ControlClient

Connect = Callable[[Path | None], ControlClient]

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="TURNREC_CONFIG", help="The TOML file."),
]
RecordingArgument = Annotated[
    str, typer.Argument(help="The recording's id, as `turnrec recordings` lists it.")
]
ReasonOption = Annotated[
    str, typer.Option(help="Why: it is entered in the ledger, with your name.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

_STEREO: Final = ".stereo"


def register(app: typer.Typer, connect: Connect) -> None:
    """Add the commands; `connect` gives the running server's client for a settings file."""

    @app.command("export")
    def export_command(
        recording: Annotated[
            str,
            typer.Argument(
                metavar="RECORDING|FILE",
                help="A recording's id; or a file: a joined one, or an earlier export beside its"
                " map.",
            ),
        ],
        config: ConfigOption = None,
        *,
        behavior: Annotated[
            PauseBehavior | None,
            typer.Option(help="What pauses are in the copy. [default: as in the recording]"),
        ] = None,
        form: Annotated[
            SoundFormat | None,
            typer.Option("--format", help="[default: by the name in --out, or wav]"),
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option(
                "--out",
                "-o",
                help="The copy, or the folder for it. Never overwritten."
                " [default: RECORDING.BEHAVIOR.FORMAT here]",
            ),
        ] = None,
        stereo: Annotated[
            bool, typer.Option("--stereo", help="The two channels instead of the mix.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Copy a recording into another format, or with its pauses cut out or put back.

        Beside the copy lies COPY.map.json, which says where each instant of the call is in it.
        """
        source = _source(recording, stereo=stereo, connect=lambda: connect(config))
        chosen = behavior or source.layout.behavior
        form = form or _format_of(out) or SoundFormat.WAV
        stem = source.recording_id + (_STEREO if stereo else "")
        target = Path(f"{stem}.{chosen}.{form}") if out is None else out
        if target.is_dir():
            target /= f"{stem}.{chosen}.{form}"
        if not target.absolute().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {target.parent}", param_hint="--out")
        done = export(source, chosen, form, target)
        rate_hz = done.layout.rate_hz
        if as_json:
            facts = {
                "file": str(done.path),
                "map": str(done.map_path),
                "sha256": done.sha256,
                "samples": done.layout.samples,
                "rate_hz": rate_hz,
                "behavior": chosen.value,
                "format": form.value,
            }
            print(json.dumps(facts, indent=2))
            return
        print(f"{done.path} ({done.layout.samples / rate_hz:.2f} s, {chosen}, {form})")
        print(f"{done.map_path} (call time to file time)")

    @app.command("redact")
    def redact_command(
        recording: RecordingArgument,
        config: ConfigOption = None,
        *,
        from_: Annotated[
            str,
            typer.Option(
                "--from",
                help="A call time with its zone (2026-11-21T13:05:02.5Z), or a file time in"
                " seconds or h:mm:ss (83.5, 1:23.5).",
            ),
        ],
        to: Annotated[str, typer.Option("--to", help="Likewise.")],
        reason: ReasonOption,
        delete_original: Annotated[
            bool,
            typer.Option("--delete-original", help="Then delete the old one, with a tombstone."),
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Cut a stretch out of a recording. It makes a new recording; the old one stays.

        A stretch in call times is cut wider by what isn't known of them (20 ms, or more where
        audio was lost).
        """
        Stretch.parse(from_, to)  # a mistake is told without a server, too
        body = {
            "from": from_,
            "to": to,
            "reason": reason,
            "delete_original": delete_original,
        }
        made = connect(config).post(_url(recording, "redact"), body)
        if as_json:
            print(json.dumps(made, indent=2))
            return
        rate_hz = made["closed_detail"]["rate_hz"]
        print(f"recording {made['id']}: {made['file']}")
        for cut in made["cuts"]:
            begin_s, length_s = cut["start_sample"] / rate_hz, cut["samples"] / rate_hz
            print(f"cut out: {length_s:.3f} s from {begin_s:.3f} s on")
        if not delete_original:
            print(f"recording {recording} still holds it (--delete-original deletes it)")
            return
        print(f"recording {recording} is deleted")
        _tell_left(made)

    @app.command("hold")
    def hold_command(
        recording: RecordingArgument, config: ConfigOption = None, *, reason: ReasonOption
    ) -> None:
        """Put a recording under a legal hold: nobody and nothing deletes it."""
        _ask(connect(config), recording, "hold", reason)
        print(f"recording {recording} is held")

    @app.command("release")
    def release_command(
        recording: RecordingArgument, config: ConfigOption = None, *, reason: ReasonOption
    ) -> None:
        """Take a legal hold back."""
        _ask(connect(config), recording, "release", reason)
        print(f"recording {recording} is held no more")

    @app.command("delete")
    def delete_command(
        recording: RecordingArgument, config: ConfigOption = None, *, reason: ReasonOption
    ) -> None:
        """Delete a recording with everything beside it. A tombstone stays in the ledger."""
        gone = _ask(connect(config), recording, "delete", reason)
        print(f"recording {recording} is deleted ({gone['deleted_files']} files)")
        _tell_left(gone)


def _ask(client: ControlClient, recording: str, what: str, reason: str) -> Any:
    return client.post(_url(recording, what), {"reason": reason})


def _tell_left(gone: dict[str, Any]) -> None:
    for path in gone["left_files"]:
        print(f"turnrec: {path} would not go; it is tried again", file=sys.stderr)
    if gone["left_files"]:
        raise typer.Exit(1)


def _url(recording: str, what: str = "") -> str:
    if RECORDING_ID.fullmatch(recording) is None:
        raise UnknownRecordingError(recording[:64])
    return f"/v1/recordings/{quote(recording)}" + (f"/{what}" if what else "")


def _format_of(out: Path | None) -> SoundFormat | None:
    if out is None or not out.suffix or out.is_dir():
        return None
    form = FORMAT_BY_SUFFIX.get(out.suffix.lower())
    if form is None:
        raise typer.BadParameter(
            f"{out.suffix!r} is no format: end it with .wav, .flac or .opus, or give --format",
            param_hint="--out",
        )
    return form


def _source(named: str, *, stereo: bool, connect: Callable[[], ControlClient]) -> Source:
    """What is to be copied, and what is known of it: by the map beside a file, or by the ledger."""
    path = Path(named)
    if path.is_file() and map_path(path).exists():
        return source_beside(path)
    is_path = path.is_file() or len(path.parts) > 1 or path.suffix in FORMAT_BY_SUFFIX
    if is_path and not path.is_file():
        raise SoundUnreadableError(path, "it is missing")
    recording_id = path.name.partition(".")[0] if is_path else named
    shown = connect().get(_url(recording_id))
    if shown["status"] == "deleted":
        raise NotAllowedError(f"recording {recording_id} is deleted")
    closed = shown["closed_detail"]
    if not isinstance(shown["file"], str):
        raise NotAllowedError(f"recording {recording_id} has no file ({shown['status']})")
    file = Path(shown["file"])
    wants_stereo = stereo or (is_path and path.stem.endswith(_STEREO))
    if wants_stereo:
        two = closed.get("stereo") or {}
        if not two.get("file"):
            why = two.get("reason", "`dual_channel` was off")
            raise NotAllowedError(f"recording {recording_id} has no two channels: {why}")
        closed = {**closed, "sha256": two["sha256"]}
        file = file.with_name(Path(two["file"]).name)
    known = {**closed, "recording": recording_id}
    return source_from(path if is_path else file, known, "the ledger")
