"""The `turnrec` command: reads the settings, builds what a command needs, turns errors into exit
statuses. What is recorded is decided elsewhere: start reading at `turnrec.calls`.

Exit statuses: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 nobody answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from turnrec import __version__, logs
from turnrec.asterisk.spool import Spool
from turnrec.cli_recordings import register as register_recordings
from turnrec.config import ConfigError, load_settings
from turnrec.core.errors import TurnrecError
from turnrec.core.policy import Action, PauseBehavior
from turnrec.core.transcript_text import TranscriptFormat, TranscriptTime
from turnrec.demo.run import demo
from turnrec.demo.show import Screen
from turnrec.flow import FlowError
from turnrec.notify import Notifier
from turnrec.panic import PanicFailedError, panic
from turnrec.pbx.cli import app as pbx_app
from turnrec.pbx.errors import PbxError
from turnrec.pbx.phone import PhoneError
from turnrec.service import Service, ami_settings
from turnrec.settings import Settings
from turnrec.supervise import supervise
from turnrec.verify.cli import register as register_verify
from turnrec.web.client import ControlClient, ServerRefusedError, ServerUnreachableError

logger = logging.getLogger("turnrec")

CONFIG_VARIABLE = "TURNREC_CONFIG"
DEFAULT_CONFIG = Path("/etc/turnrec/turnrec.toml")

_SWITCH_INTERVAL_S = 0.0005
"""A turn waits for the interpreter at most so long: p99 of a resume fell to 0.74 of what it was
with Python's 5 ms (docs/benchmarks.md)."""

app = typer.Typer(
    help="Recording control for voice bots on Asterisk, turn by turn.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(pbx_app, name="pbx")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar=CONFIG_VARIABLE,
        help=f"The TOML file [default: {DEFAULT_CONFIG}, where there is one].",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]


def _settings(config: Path | None) -> Settings:
    if config is None and DEFAULT_CONFIG.exists():
        config = DEFAULT_CONFIG
    environ = {name: value for name, value in os.environ.items() if name != CONFIG_VARIABLE}
    return load_settings(config, environ)


def _client(config: Path | None) -> ControlClient:
    return ControlClient(_settings(config).server.control_socket)


register_verify(app, _settings)
register_recordings(app, _client)


# ------------------------------------------------------------------ the server


@app.command()
def serve(
    config: ConfigOption = None,
    watchdog_s: Annotated[
        float,
        typer.Option(
            help="Restart the server when it hasn't answered for so long (without systemd)."
            " 0: don't.",
            min=0,
        ),
    ] = 0,
) -> None:
    """Run turnrec: FastAGI server, AMI event daemon, ledger.

    SIGTERM ends it in order; calls keep their state and are taken up at the next start. SIGHUP
    reads the flow file anew.
    """
    settings = _settings(config)
    logs.set_up(settings.log)
    if watchdog_s > 0:
        arguments = ["serve"] if config is None else ["serve", "--config", str(config)]
        status = asyncio.run(supervise(arguments, settings.server.control_socket, watchdog_s))
        raise typer.Exit(status)
    asyncio.run(_serve(Service(settings)))


async def _serve(service: Service) -> None:
    told = asyncio.Event()
    reloads: set[asyncio.Task[list[str]]] = set()
    loop = asyncio.get_running_loop()

    def reload() -> None:
        task = loop.create_task(service.reload_flow())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    # The ledger's and the joins' threads give way to the loop ten times as soon as they would.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    notifier = Notifier()
    await service.start()
    notifier.tell("READY=1")
    alive = asyncio.create_task(notifier.keep_alive())
    try:
        await told.wait()
    finally:
        notifier.tell("STOPPING=1")
        alive.cancel()
        await service.stop()


@app.command("panic")
def panic_command(
    config: ConfigOption = None,
    asterisk: Annotated[
        str,
        typer.Option(help="Asterisk's own command, which lists the monitors (AMI can't)."),
    ] = "asterisk",
) -> None:
    """Stop every monitor of turnrec's on this Asterisk, now, with or without the server.

    Status 0 only where it is known that none runs any more.
    """
    settings = _settings(config)
    recordings = settings.recordings
    report = asyncio.run(
        panic(
            ami_settings(settings.asterisk) if settings.asterisk.ami_enabled else None,
            Spool(recordings.spool_dir, PurePosixPath(str(recordings.asterisk_spool_dir))),
            asterisk,
        )
    )
    print(f"{report.channels} channels looked at (by {' and '.join(report.ways)})")
    print(f"{len(report.stopped)} monitors stopped")
    for failure in report.failures:
        print(f"not reached by {failure}", file=sys.stderr)
    for part in report.still_running:
        print(f"STILL RUNNING: {part}", file=sys.stderr)
    for doubt in report.unknown:
        print(f"NOT KNOWN: {doubt}", file=sys.stderr)
    if not report.is_clear:
        raise typer.Exit(1)


@app.command()
def reload(config: ConfigOption = None) -> None:
    """Read the flow file anew. With a mistake in it, the old flow stays in force."""
    mistakes = _client(config).post("/v1/flow/reload")["mistakes"]
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    if mistakes:
        print("the old flow stays in force", file=sys.stderr)
        raise typer.Exit(1)
    print("the flow is in force for new calls")


@app.command("demo")
def demo_command(
    *,
    folder: Annotated[
        Path, typer.Option("--dir", help="Where the recording and the ledger are kept.")
    ] = Path("turnrec-demo"),
    stay: Annotated[
        bool, typer.Option("--stay", help="Wait for your own softphone instead of calling.")
    ] = False,
) -> None:
    """Place one real call to the sample bot on a real Asterisk, and check its recording."""
    asyncio.run(demo(folder, Screen(Console()), stay=stay))


# ------------------------------------------------------------------ looking


@app.command()
def calls(
    config: ConfigOption = None,
    *,
    ended: Annotated[bool, typer.Option("--all", help="Past calls too.")] = False,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List the calls that are live now."""
    found = _client(config).get("/v1/calls", live=not ended, limit=limit)["items"]
    columns = {
        "id": "id",
        "bot": "bot",
        "node": "node",
        "state": "state",
        "held by": "holds",
        "started": "started",
        "ended": "ended",
        "channel": "channel",
    }
    if not ended:
        del columns["ended"]
    _show(found, columns, as_json=as_json, none="no calls")


@app.command()
def recordings(
    config: ConfigOption = None,
    *,
    call: Annotated[str | None, typer.Option(help="Only this call's (its id).")] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List recordings, the newest first."""
    found = _client(config).get("/v1/recordings", call=call, limit=limit)["items"]
    for one in found:
        one["gap_count"] = len(one["gaps"])
    columns = {
        "id": "id",
        "bot": "bot",
        "status": "status",
        "opened": "opened",
        "seconds": "duration_s",
        "segments": "segments",
        "gaps": "gap_count",
        "held": "legal_hold",
        "file": "file",
    }
    _show(found, columns, as_json=as_json, none="no recordings")


@app.command()
def transcript(
    name: Annotated[
        str, typer.Argument(help="A recording's id, or a call's id, uniqueid or external id.")
    ],
    config: ConfigOption = None,
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
    out: Annotated[
        Path | None, typer.Option(help="Write to this new file instead of standard output.")
    ] = None,
) -> None:
    """Show what was said, as far as it was recorded; the gaps stand there without words."""
    text = _client(config).get_text(
        f"/v1/transcripts/{quote(name, safe='')}", format=form, time=time, behavior=behavior
    )
    if out is None:
        print(text, end="")
        return
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@app.command()
def status(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Say how the server and its connections are."""
    found = _client(config).get("/v1/status")
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):<18} {_cell(value)}")


def _show(rows: list[dict[str, Any]], columns: dict[str, str], *, as_json: bool, none: str) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print(none)
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in columns.values()))
    # A pipe has no width: a file name that is cut is no use to anybody.
    Console(width=None if sys.stdout.isatty() else 1000, markup=False).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


# ------------------------------------------------------------------ an operator's actions


def _act(config: Path | None, call: str, action: Action, *, new: bool = False) -> None:
    body = {"action": action.value, "new": new}
    outcome = _client(config).post(f"/v1/calls/{quote(call, safe='')}/actions", body)
    if outcome["notice"]:
        print(outcome["notice"]["sentence"], file=sys.stderr)
    after = outcome["call"]
    held = f", held by {', '.join(after['holds'])}" if after["holds"] else ""
    print(f"{after['state']}{held}")


CallArgument = Annotated[
    str, typer.Argument(help="The call: its id, its uniqueid or the bot's external id.")
]


@app.command()
def start(
    call: CallArgument,
    config: ConfigOption = None,
    *,
    new: Annotated[bool, typer.Option("--new", help="Finish the open recording first.")] = False,
) -> None:
    """Begin a recording on a live call."""
    _act(config, call, Action.START, new=new)


@app.command()
def pause(call: CallArgument, config: ConfigOption = None) -> None:
    """Pause a live call's recording, on top of what the bot says."""
    _act(config, call, Action.PAUSE)


@app.command()
def resume(call: CallArgument, config: ConfigOption = None) -> None:
    """Take your own pause back. What the bot holds stays held."""
    _act(config, call, Action.RESUME)


@app.command()
def stop(call: CallArgument, config: ConfigOption = None) -> None:
    """Stop a live call's recording; for good, unless the bot's policy says otherwise."""
    _act(config, call, Action.STOP)


def _version(*, wanted: bool) -> None:
    if wanted:
        print(f"turnrec {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=lambda value: _version(wanted=value), is_eager=True),
    ] = False,
) -> None:
    """Recording control for voice bots on Asterisk, turn by turn."""


# ------------------------------------------------------------------ errors


@contextmanager
def _exit_statuses() -> Iterator[None]:
    """Turn every error that is somebody's business into a sentence and a status."""
    try:
        yield
    except (ConfigError, FlowError) as error:
        _say(str(error))
        raise SystemExit(2) from None
    except (ServerUnreachableError, PanicFailedError) as error:
        _say(str(error))
        raise SystemExit(3) from None
    except ServerRefusedError as error:
        _say(f"{error} [{error.refusal_id}]")
        raise SystemExit(1) from None
    except TurnrecError as error:
        _say(f"{error} [{error.id}]")
        raise SystemExit(1) from None
    except (PbxError, PhoneError, OSError) as error:
        _say(str(error))
        raise SystemExit(1) from None


def _say(sentence: str) -> None:
    print(f"turnrec: {sentence}", file=sys.stderr)


def main() -> None:
    """Run the command."""
    with _exit_statuses():
        app()
