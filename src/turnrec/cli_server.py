"""The commands for the server itself: run it, ask how it is, stop every monitor without it."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from turnrec import logs
from turnrec.cli_base import NOBODY, CommandGroup, ConfigOption, JsonOption, asks, settings_of
from turnrec.cli_show import complain, say, say_json, show_facts, text
from turnrec.notify import Notifier
from turnrec.web.client import Client, ServerRefusedError

if TYPE_CHECKING:
    from turnrec.service import Service

GROUP = CommandGroup("Server")
_OPEN_FILES: Final = 65_536
_SWITCH_INTERVAL_S = 0.0005
"""A turn waits for the interpreter at most so long: p99 of a resume fell to 0.74 of what it was
with Python's 5 ms (docs/benchmarks.md)."""
_PARTS: Final = {
    "ami": "Asterisk's manager doesn't answer",
    "ledger": "the ledger takes no entries, or is behind",
    "room": "the disks have too little room",
}


@GROUP.command(
    "serve", "turnrec serve --config /etc/turnrec/turnrec.toml", "turnrec serve --watchdog-s 5"
)
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
    """Run turnrec: FastAGI server, AMI event daemon, API, ledger.

    SIGTERM ends it in order; calls keep their state and are taken up at the next start. SIGHUP
    reads the flow file anew.
    """
    settings = settings_of(config)
    logs.set_up(settings.log)
    if watchdog_s > 0:
        from turnrec.supervise import supervise

        arguments = ["serve"] if config is None else ["serve", "--config", str(config)]
        status = asyncio.run(supervise(arguments, settings.server.control_socket, watchdog_s))
        raise typer.Exit(status)
    from turnrec.service import Service

    _allow_open_files()
    asyncio.run(_serve(Service(settings)))
    # All is closed and entered. To take itself apart, the interpreter would need another 0.2 s of
    # processor time, in which nobody is served.
    logging.shutdown()
    os._exit(0)


def _allow_open_files() -> None:
    """As many as the system lets: the usual 1024 are fewer than connections alone may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


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


@GROUP.command("status", "turnrec status", "turnrec status --json | jq .live_calls")
@asks
def status(client: Client, *, as_json: JsonOption = False) -> None:
    """Say how the server and its connections are."""
    found = client.get("/v1/status")
    if as_json:
        say_json(found)
        return
    show_facts((name.replace("_", " "), _shown(name, value)) for name, value in found.items())


def _shown(name: str, value: object) -> str | Text:
    is_wrong = value is False or (name == "room" and value != "enough")
    return Text(text(value), style="bold red") if is_wrong else text(value)


@GROUP.command("ready", "turnrec ready || echo 'not all of turnrec is there'")
@asks
def ready(client: Client, *, as_json: JsonOption = False) -> None:
    """Say whether calls can be served in full. Status 0: yes, 1: no, 3: nobody answers."""
    _, found = client.answer("/readyz")
    if not isinstance(found, dict) or not isinstance(found.get("ready"), bool):
        raise ServerRefusedError("http-error", f"{client.place} doesn't say whether it is ready")
    if as_json:
        say_json(found)
    elif found["ready"]:
        say("ready")
    else:
        say("not ready")
        for part, sentence in _PARTS.items():
            if not found.get(part, True):
                complain(f"{part}: {sentence}")
    if not found["ready"]:
        raise typer.Exit(1)


@GROUP.command("whoami", "TURNREC_API_KEY=trk_... turnrec whoami --url https://pbx:8077")
@asks
def whoami(client: Client, *, as_json: JsonOption = False) -> None:
    """Say whose key this is, and what it allows."""
    found = client.get("/v1/me")
    if as_json:
        say_json(found)
        return
    bots = "all" if found["bots"] is None else text(found["bots"])
    show_facts([("name", text(found["name"])), ("rights", text(found["rights"])), ("bots", bots)])


@GROUP.command("metrics", "turnrec metrics | grep turns")
@asks
def metrics(client: Client) -> None:
    """Print the server's metrics, as Prometheus reads them."""
    typer.echo(client.get_text("/metrics"), nl=False)


@GROUP.command("reload", "turnrec reload")
@asks
def reload(client: Client) -> None:
    """Read the flow file anew. With a mistake in it, the old flow stays in force."""
    mistakes: list[Any] = client.post("/v1/flow/reload")["mistakes"]
    for mistake in mistakes:
        complain(str(mistake))
    if mistakes:
        complain("the old flow stays in force")
        raise typer.Exit(1)
    say("the flow is in force for new calls")


@GROUP.command("panic", "turnrec panic", "turnrec panic --asterisk 'sudo asterisk'")
def panic(
    config: ConfigOption = None,
    asterisk: Annotated[
        str,
        typer.Option(help="Asterisk's own command, which lists the monitors (AMI can't)."),
    ] = "asterisk",
) -> None:
    """Stop every monitor of turnrec's on this Asterisk, now, with or without the server.

    Status 0 only where it is known that none runs any more.
    """
    from turnrec import panic as stopping
    from turnrec.asterisk.spool import Spool
    from turnrec.service import ami_settings

    settings = settings_of(config)
    recordings = settings.recordings
    try:
        report = asyncio.run(
            stopping.panic(
                ami_settings(settings.asterisk) if settings.asterisk.ami_enabled else None,
                Spool(recordings.spool_dir, PurePosixPath(str(recordings.asterisk_spool_dir))),
                asterisk,
            )
        )
    except stopping.PanicFailedError as error:
        complain(f"turnrec: {error}")
        raise typer.Exit(NOBODY) from None
    say(f"{report.channels} channels looked at (by {' and '.join(report.ways)})")
    say(f"{len(report.stopped)} monitors stopped")
    for failure in report.failures:
        complain(f"not reached by {failure}")
    for part in report.still_running:
        complain(f"STILL RUNNING: {part}")
    for doubt in report.unknown:
        complain(f"NOT KNOWN: {doubt}")
    if not report.is_clear:
        raise typer.Exit(1)


@GROUP.command("demo", "turnrec demo", "turnrec demo --stay --dir /tmp/demo")
def demo(
    *,
    folder: Annotated[
        Path, typer.Option("--dir", help="Where the recording and the ledger are kept.")
    ] = Path("turnrec-demo"),
    stay: Annotated[
        bool, typer.Option("--stay", help="Wait for your own softphone instead of calling.")
    ] = False,
) -> None:
    """Place one real call to the sample bot on a real Asterisk, and check its recording."""
    from turnrec.demo import run
    from turnrec.demo.show import Screen
    from turnrec.pbx.phone import PhoneError

    try:
        asyncio.run(run.demo(folder, Screen(Console()), stay=stay))
    except PhoneError as error:
        complain(f"turnrec: {error}")
        raise typer.Exit(1) from None
