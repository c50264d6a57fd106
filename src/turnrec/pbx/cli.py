"""`turnrec pbx`: the test PBX for people. Never point it at an Asterisk that somebody uses."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from turnrec.pbx import instance, packages
from turnrec.pbx.beside import pbx_settings, write_settings
from turnrec.pbx.instance import Pbx

app = typer.Typer(
    help="Start and stop a test PBX: a real Asterisk on loopback.", no_args_is_help=True
)

RunDirOption = Annotated[
    Path | None,
    typer.Option("--dir", help="The PBX's folder [default: one for this user in the temp folder]."),
]


def default_run_dir() -> Path:
    """Where a person's test PBX lives, unless told otherwise."""
    return Path(tempfile.gettempdir()) / f"turnrec-pbx-{os.getuid()}"


@app.command()
def up(
    run_dir: RunDirOption = None,
    release: Annotated[
        packages.Release, typer.Option("--asterisk", help="Which release of Asterisk.")
    ] = packages.Release.V22,
    agi_port: Annotated[
        int, typer.Option(help="Where turnrec will listen for FastAGI.", min=1, max=65_535)
    ] = 4573,
) -> None:
    """Fetch Asterisk if need be, start it with turnrec's dialplan and the sample bot."""
    folder = run_dir or default_run_dir()
    installation = packages.ensure(release, say=print)
    spool = folder / "spool" / "turnrec"
    pbx = instance.start(installation, pbx_settings(folder, spool, f"agi://127.0.0.1:{agi_port}"))
    _print(pbx)
    config = write_settings(folder / "turnrec", pbx, spool, agi_port=agi_port)
    print(f"\nNext: turnrec serve --config {config}")


@app.command()
def down(run_dir: RunDirOption = None) -> None:
    """Stop the test PBX."""
    instance.find(run_dir or default_run_dir()).stop()
    print("stopped")


@app.command()
def status(run_dir: RunDirOption = None) -> None:
    """Say where the test PBX listens and how to call it."""
    _print(instance.find(run_dir or default_run_dir()))


def _print(pbx: Pbx) -> None:
    print(f"Asterisk {pbx.release} runs as process {pbx.pid} from {pbx.run_dir}")
    print(f"SIP      127.0.0.1:{pbx.ports.sip_udp} (UDP), dial 1000 for the bot, 600 for an echo")
    print(f"         a softphone registers as {pbx.phone_user}, password {pbx.secrets.phone}")
    print(f"AMI      127.0.0.1:{pbx.ports.ami_tcp}, user {pbx.ami_user}")
    print(f"log      {pbx.log_path}")
