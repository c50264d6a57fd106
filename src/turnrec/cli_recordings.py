"""The commands that find recordings and show what is known of them. They change nothing.

What is done to them is `turnrec.cli_archive`'s, copies are `turnrec.cli_export`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.text import Text

from turnrec.cli_base import (
    CommandGroup,
    CursorOption,
    JsonOption,
    LimitOption,
    OutOption,
    RecordingArgument,
    UtcOption,
    asks,
    pages,
    put,
    say_more,
    url_of,
)
from turnrec.cli_calls import BotOption
from turnrec.cli_show import (
    Column,
    busy,
    clean,
    clock_time,
    is_terminal,
    length,
    say,
    say_json,
    show_facts,
    show_table,
    state,
    text,
    when,
)
from turnrec.core.policy import PauseBehavior
from turnrec.core.transcript_text import TranscriptFormat, TranscriptTime
from turnrec.web.client import Client

GROUP = CommandGroup("Recordings")
_STATUSES = ("recording", "paused", "done", "failed", "deleted")
_VERIFIED_WITHIN_S = 600.0
_DAYS_AGO = {"today": 0, "yesterday": 1}

TimeOption = "2026-11-21, 2026-11-21T14:05 (local, unless with its zone), today or yesterday"


def instant(word: str | None, hint: str) -> str | None:
    """A time as somebody wrote it, for the API.

    Raises:
        BadParameter: it is none.
    """
    if word is None:
        return None
    if word in _DAYS_AGO:
        day = datetime.now().astimezone().date() - timedelta(days=_DAYS_AGO[word])
        at = datetime(day.year, day.month, day.day).astimezone()
    else:
        try:
            at = datetime.fromisoformat(word)
        except ValueError:
            raise typer.BadParameter(f"write {TimeOption}", param_hint=hint) from None
        at = at.astimezone()
    return at.isoformat(timespec="milliseconds")


# ------------------------------------------------------------------ looking


@GROUP.command(
    "recordings",
    "turnrec recordings --from today",
    "turnrec recordings --bot kyc --status failed --all",
    "turnrec recordings --call kyc-4711 --json | jq -r '.[].file'",
)
@asks
def recordings(
    client: Client,
    *,
    call: Annotated[
        str | None, typer.Option(help="Only this call's: its id, uniqueid or external id.")
    ] = None,
    bot: BotOption = None,
    status: Annotated[
        str | None,
        typer.Option(
            help="Only those that are: " + ", ".join(_STATUSES),
            autocompletion=lambda: list(_STATUSES),
        ),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help=f"Opened then or later: {TimeOption}.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="Opened before then.")] = None,
    q: Annotated[
        str | None, typer.Option("-q", "--search", help="Whose id or call's name begins so.")
    ] = None,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All pages.")] = False,
    utc: UtcOption = False,
    as_json: JsonOption = False,
) -> None:
    """List recordings, the newest first."""
    query = {
        "call": call,
        "bot": bot,
        "status": status,
        "from": instant(from_, "--from"),
        "to": instant(to, "--to"),
        "q": q,
        "limit": 1000 if everything else limit,
        "cursor": cursor,
    }
    found, more = pages(client, "/v1/recordings", everything=everything, **query)
    if as_json:
        say_json(found)
    else:
        show_table(found, _columns(utc=utc), none="no recordings")
    say_more(more)


def _columns(*, utc: bool) -> list[Column]:
    return [
        Column("id", text, "id", is_whole=True),
        Column("bot", text, "bot"),
        Column("status", state, "status", is_whole=True),
        Column("opened", when(utc=utc), "opened", is_whole=True),
        Column("length", length, "duration_s", is_whole=True, is_number=True),
        Column("gaps", lambda gaps: str(len(gaps)), "gaps", 90, is_number=True),
        Column("held", text, "legal_hold", 100),
        Column("file", lambda one: text(one.get("path") or one["file"]), from_width=160),
    ]


@GROUP.command("recording", "turnrec recording 01JD4Z...", "turnrec recording 01JD4Z... --verify")
@asks
def recording(
    client: Client,
    recording: RecordingArgument,
    *,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Have the server check it: status 0 proven, 1 wrong, 3 not."),
    ] = False,
    utc: UtcOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show one recording: its file, its segments and its gaps."""
    if verify:
        _verify(client, recording, as_json=as_json)
        return
    found = client.get(url_of("recordings", recording))
    if as_json:
        say_json(found)
        return
    show_facts(_facts(found, utc=utc))
    if found["spans"]:
        say()
        show_table(list(_in_file(found["spans"], found["rate_hz"])), _SPANS, none="")
    elif found["gaps"]:
        say()
        show_table(found["gaps"], _gap_columns(utc=utc), none="")


def _facts(found: Mapping[str, Any], *, utc: bool) -> Iterator[tuple[str, str | Text]]:
    yield "recording", text(found["id"])
    yield "status", state(found["status"])
    yield "call", text(found["call"])
    yield "bot", text(found["bot"])
    yield "opened", when(utc=utc)(found["opened"])
    if found["closed"]:
        yield "closed", when(utc=utc)(found["closed"])
    if found["duration_s"] is not None:
        yield "length", length(found["duration_s"])
    if found["file"]:
        yield "file", text(found.get("path") or found["file"])
    if found["sha256"]:
        yield "sha256", text(found["sha256"])
    if found["stereo"]:
        yield "stereo", "the two sides lie beside it"
    if found["transcript"]:
        yield "transcript", f"turnrec transcript {found['id']}"
    if found["redacts"]:
        yield "redacts", text(found["redacts"])
    if found["redacted_into"]:
        yield "redacted", f"into {text(found['redacted_into'])}"
    if found["legal_hold"]:
        yield "legal hold", Text(text(found["legal_hold"]), style="bold yellow")
    for part in found["one_sided"]:
        yield "one-sided", Text(f"{part['part']}: nothing of {text(part['silent'])}", "bold yellow")
    for problem in found["problems"]:
        yield "problem", Text(text(problem), style="bold red")


def _in_file(spans: list[dict[str, Any]], rate_hz: int) -> Iterator[dict[str, Any]]:
    for span in spans:
        begin_s, length_s = span["start_sample"] / rate_hz, span["samples"] / rate_hz
        is_nobodys = span["kind"] == "gap" and not span["sources"]
        yield {
            "from": f"{begin_s:.3f}",
            "to": f"{begin_s + length_s:.3f}",
            "kind": span["kind"],
            "why": "nobody" if is_nobodys else text(span["sources"]),
            "node": span["node"],
        }


def _kind(word: object) -> Text:
    styles = {"segment": "red", "gap": "yellow"}
    return Text(text(word), style=styles.get(text(word), "magenta"))


_SPANS = (
    Column("from s", text, "from", is_number=True),
    Column("to s", text, "to", is_number=True),
    Column("what", _kind, "kind"),
    Column("held by", text, "why"),
    Column("node", text, "node"),
)


def _gap_columns(*, utc: bool) -> tuple[Column, ...]:
    def time(value: object) -> str:
        return clock_time(value, utc=utc) if isinstance(value, str) else "-"

    return (
        Column("gap from", time, "began"),
        Column("to", time, "ended"),
        Column("held by", text, "holds"),
        Column("node", text, "node"),
    )


def _verify(client: Client, recording: str, *, as_json: bool) -> None:
    client.timeout_s = _VERIFIED_WITHIN_S
    with busy(f"{client.place} checks {recording}"):
        found = client.get(url_of("recordings", recording, "verification"))
    if as_json:
        say_json(found)
    else:
        for sentence in found["sentences"]:
            say(sentence)
    if found["exit_status"]:
        raise typer.Exit(int(found["exit_status"]))


@GROUP.command("manifest", "turnrec manifest 01JD4Z... --out 01JD4Z....json")
@asks
def manifest(client: Client, recording: RecordingArgument, *, out: OutOption = None) -> None:
    """Print a recording's manifest, byte by byte as it was written."""
    put(client.get_bytes(url_of("recordings", recording, "manifest")), out)


@GROUP.command(
    "transcript", "turnrec transcript 01JD4Z...", "turnrec transcript kyc-4711 --format json"
)
@asks
def transcript(
    client: Client,
    name: Annotated[
        str, typer.Argument(help="A recording's id, or a call's id, uniqueid or external id.")
    ],
    *,
    form: Annotated[
        TranscriptFormat, typer.Option("--format", help="WebVTT or JSON.")
    ] = TranscriptFormat.VTT,
    time: Annotated[
        TranscriptTime, typer.Option(help="Times from the call's start, or in the file.")
    ] = TranscriptTime.CALL,
    behavior: Annotated[
        PauseBehavior | None,
        typer.Option(help="Of the file that --time file is of [default: as it was joined]."),
    ] = None,
    out: OutOption = None,
) -> None:
    """Show what was said, as far as it was recorded; the gaps stand there without words."""
    words = client.get_text(url_of("transcripts", name), format=form, time=time, behavior=behavior)
    # What somebody said, or a recogniser made of it, steers no terminal.
    shown = clean(words) if out is None and is_terminal() else words
    put(shown.encode(), out)
