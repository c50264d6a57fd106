"""`turnrec export`: a copy of a recording, made of the file on this machine or sent by another.

Here it reads the sound itself and asks the server only what the ledger knows of it. With --url the
server makes the copy, and this checks that it came as it was sent.
"""

from __future__ import annotations

import enum
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from turnrec.cli_base import CommandGroup, JsonOption, asks, url_of
from turnrec.cli_show import busy, progress, say, say_json
from turnrec.core.errors import NotAllowedError, UnknownRecordingError
from turnrec.core.policy import PauseBehavior
from turnrec.web.client import Client, ControlClient, ServerRefusedError

if TYPE_CHECKING:
    from turnrec.recordings.export import Source

GROUP = CommandGroup("Recordings")
_STEREO: Final = ".stereo"


class CopyFormat(enum.StrEnum):
    """What a copy is written as; `SoundFormat`'s words, without what is needed to write it."""

    WAV = "wav"
    FLAC = "flac"
    OPUS = "opus"


@GROUP.command(
    "export",
    "turnrec export 01JD4Z... --behavior skip --out calls/4711.flac",
    "turnrec export recordings/2026-11-21/01JD4Z....wav --format opus",
    "TURNREC_API_KEY=trk_... turnrec export 01JD4Z... --url https://pbx:8077",
)
@asks
def export_command(
    client: Client,
    recording: Annotated[
        str,
        typer.Argument(
            metavar="RECORDING|FILE",
            help="A recording's id; or a file: a joined one, or an earlier export beside its map.",
        ),
    ],
    *,
    behavior: Annotated[
        PauseBehavior | None,
        typer.Option(help="What pauses are in the copy. [default: as in the recording]"),
    ] = None,
    form: Annotated[
        CopyFormat | None,
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

    Beside the copy lies COPY.map.json, which says where each instant of the call is in it; not
    beside one that another machine has sent (--url).
    """
    from turnrec.recordings.export import export
    from turnrec.recordings.sound import SoundFormat

    form = form or _format_of(out) or CopyFormat.WAV
    if not isinstance(client, ControlClient):
        _fetch(client, recording, behavior, form, out, stereo=stereo, as_json=as_json)
        return
    source = _source(recording, stereo=stereo, ask=client.get)
    chosen = behavior or source.layout.behavior
    target = _target(out, f"{source.recording_id}{_STEREO * stereo}.{chosen}.{form}")
    with busy(f"copying {source.path.name}"):
        done = export(source, chosen, SoundFormat(form), target)
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
        say_json(facts)
        return
    say(f"{done.path} ({done.layout.samples / rate_hz:.2f} s, {chosen}, {form})")
    say(f"{done.map_path} (call time to file time)")


def _fetch(
    client: Client,
    recording: str,
    behavior: PauseBehavior | None,
    form: CopyFormat,
    out: Path | None,
    *,
    stereo: bool,
    as_json: bool,
) -> None:
    from turnrec.recordings.join import RECORDING_ID

    if RECORDING_ID.fullmatch(recording) is None:
        raise UnknownRecordingError(recording[:64])
    named = f".{behavior}" if behavior else ""
    target = _target(out, f"{recording}{_STEREO * stereo}{named}.{form}")
    if target.exists():
        raise FileExistsError(f"{target} is there already; nothing was fetched")
    query: dict[str, Any] = {"format": form, "behavior": behavior, "stereo": stereo or None}
    digest, size = hashlib.sha256(), 0
    with (
        client.download(url_of("recordings", recording, "audio"), **query) as answer,
        tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".turnrec-") as folder,
        progress(f"fetching {recording}") as tell,
    ):
        declared = answer.headers.get("content-length", "")
        total = int(declared) if declared.isdigit() else None
        part = Path(folder) / "part"
        with part.open("xb") as file:
            for piece in answer.iter_bytes():
                file.write(piece)
                digest.update(piece)
                size += len(piece)
                tell(size, total)
        sent = answer.headers.get("etag", "").removeprefix("W/").strip('"')
        if total not in (None, size) or (len(sent) == 64 and sent != digest.hexdigest()):
            raise ServerRefusedError(
                "http-error", f"{recording} did not come as it was sent: nothing was kept"
            )
        target.hardlink_to(part)  # which never overwrites
    facts = {"file": str(target), "sha256": digest.hexdigest(), "bytes": size, "format": form.value}
    if as_json:
        say_json(facts)
    else:
        say(f"{target} ({size} bytes, {form})")


def _target(out: Path | None, name: str) -> Path:
    target = Path(name) if out is None else out
    if target.is_dir():
        target /= name
    if not target.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {target.parent}", param_hint="--out")
    return target


def _format_of(out: Path | None) -> CopyFormat | None:
    from turnrec.recordings.sound import FORMAT_BY_SUFFIX

    if out is None or not out.suffix or out.is_dir():
        return None
    form = FORMAT_BY_SUFFIX.get(out.suffix.lower())
    if form is None:
        raise typer.BadParameter(
            f"{out.suffix!r} is no format: end it with .wav, .flac or .opus, or give --format",
            param_hint="--out",
        )
    return CopyFormat(form)


def _source(named: str, *, stereo: bool, ask: Callable[[str], Any]) -> Source:
    """What is to be copied, and what is known of it: by the map beside a file, or by the ledger."""
    from turnrec.recordings.export import map_path, source_beside, source_from
    from turnrec.recordings.join import RECORDING_ID
    from turnrec.recordings.sound import FORMAT_BY_SUFFIX, SoundUnreadableError

    path = Path(named)
    if path.is_file() and map_path(path).exists():
        return source_beside(path)
    is_path = path.is_file() or len(path.parts) > 1 or path.suffix in FORMAT_BY_SUFFIX
    if is_path and not path.is_file():
        raise SoundUnreadableError(path, "it is missing")
    recording_id = path.name.partition(".")[0] if is_path else named
    if RECORDING_ID.fullmatch(recording_id) is None:
        raise UnknownRecordingError(recording_id[:64])
    shown = ask(url_of("recordings", recording_id))
    if shown["status"] == "deleted":
        raise NotAllowedError(f"recording {recording_id} is deleted")
    closed = shown["closed_detail"]
    if not isinstance(shown["path"], str):
        raise NotAllowedError(f"recording {recording_id} has no file ({shown['status']})")
    file = Path(shown["path"])
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
