"""The commands that change what is kept: hold, release, delete, redact. The server decides."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from turnrec.cli_base import CommandGroup, JsonOption, RecordingArgument, asks, url_of
from turnrec.cli_show import complain, say, say_json
from turnrec.web.client import Client

GROUP = CommandGroup("Recordings")
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why: it goes into the ledger with your name.")
]


@GROUP.command("hold", "turnrec hold 01JD4Z... --reason 'case 2026/17'")
@asks
def hold(client: Client, recording: RecordingArgument, *, reason: ReasonOption) -> None:
    """Put a recording under a legal hold: nobody and nothing deletes it."""
    _ask(client, recording, "hold", reason)
    say(f"recording {recording} is held")


@GROUP.command("release", "turnrec release 01JD4Z... --reason 'case 2026/17 is closed'")
@asks
def release(client: Client, recording: RecordingArgument, *, reason: ReasonOption) -> None:
    """Take a legal hold back."""
    _ask(client, recording, "release", reason)
    say(f"recording {recording} is held no more")


@GROUP.command("delete", "turnrec delete 01JD4Z... --reason 'erasure asked for by the caller'")
@asks
def delete(client: Client, recording: RecordingArgument, *, reason: ReasonOption) -> None:
    """Delete a recording with everything beside it. A tombstone stays in the ledger."""
    gone = _ask(client, recording, "delete", reason)
    say(f"recording {recording} is deleted ({gone['deleted_files']} files)")
    _tell_left(gone)


@GROUP.command(
    "redact",
    "turnrec redact 01JD4Z... --from 1:23.5 --to 1:31 --reason 'a card number'",
    "turnrec redact 01JD4Z... --from 2026-11-21T13:05:02Z --to 2026-11-21T13:05:09Z \\",
    "    --reason 'a card number' --delete-original",
)
@asks
def redact(
    client: Client,
    recording: RecordingArgument,
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
    from turnrec.recordings.redact import Stretch

    Stretch.parse(from_, to)  # a mistake is told without a server, too
    body = {"from": from_, "to": to, "delete_original": delete_original}
    made = _ask(client, recording, "redact", reason, **body)
    if as_json:
        say_json(made)
        return
    rate_hz = made["closed_detail"]["rate_hz"]
    say(f"recording {made['id']}: {made['file']}")
    for cut in made["cuts"]:
        begin_s, length_s = cut["start_sample"] / rate_hz, cut["samples"] / rate_hz
        say(f"cut out: {length_s:.3f} s from {begin_s:.3f} s on")
    if not delete_original:
        say(f"recording {recording} still holds it (--delete-original deletes it)")
        return
    say(f"recording {recording} is deleted")
    _tell_left(made)


def _ask(client: Client, recording: str, what: str, reason: str, **more: Any) -> Any:
    body = {"reason": reason, "actor": client.person, **more}
    return client.post(url_of("recordings", recording, what), body)


def _tell_left(gone: dict[str, Any]) -> None:
    for path in gone["left_files"]:
        complain(f"turnrec: {path} would not go; it is tried again")
    if gone["left_files"]:
        raise typer.Exit(1)
