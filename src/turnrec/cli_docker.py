"""`turnrec docker`: what the service `turnrec` of compose.yaml runs, and what one asks of it.

What is recorded is no business of this module: it starts `turnrec serve` as anybody does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from turnrec.cli_base import CommandGroup, settings_of
from turnrec.cli_show import complain, say
from turnrec.core.errors import TurnrecError
from turnrec.web.client import ControlClient

if TYPE_CHECKING:
    from turnrec.pbx.container import Passwords, Place
    from turnrec.settings import Settings

GROUP = CommandGroup("Commands")
app = typer.Typer(
    help="The test PBX of compose.yaml: a call to its bot, its passwords, its services.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_HOME: Final = Path("/var/lib/turnrec")
_KEPT: Final = "access.json"
_KEY_NAME: Final = "docker"
_WATCHDOG_S: Final = 5.0
_READY_S: Final = 60.0
_LOOK_S: Final = 0.5


@GROUP.command("call", "docker compose exec turnrec turnrec docker call")
def call() -> None:
    """Place one call to the sample bot (extension 1000), and check its recording."""
    from rich.console import Console

    from turnrec.demo.outside import one_call
    from turnrec.demo.show import Screen
    from turnrec.pbx.container import DEMO_USER
    from turnrec.pbx.phone import Credentials, PhoneError

    settings = settings_of(None)
    place, passwords = _kept(settings)
    client = ControlClient(settings.server.control_socket)
    if not _becomes_ready(client, _READY_S):
        complain(f"turnrec: it isn't ready after {_READY_S:.0f} s: `docker compose logs` says why")
        raise typer.Exit(1)
    credentials = Credentials(DEMO_USER, passwords.demo)
    try:
        asyncio.run(one_call(client, f"127.0.0.1:{place.sip_port}", credentials, Screen(Console())))
    except PhoneError as error:
        complain(f"turnrec: {error}")
        raise typer.Exit(1) from None


@GROUP.command("access", "docker compose exec turnrec turnrec docker access")
def access() -> None:
    """Say where the page is, its key, and how a softphone registers."""
    place, passwords = _kept(settings_of(None))
    _say_access(place, passwords)


@GROUP.command("serve", "turnrec docker serve      # `docker compose up` does")
def serve() -> None:
    """Run turnrec beside Asterisk: what the service `turnrec` does.

    At its first start it makes the passwords. A frozen server is started anew; when the service
    ends, every monitor of turnrec's is stopped.
    """
    from turnrec import logs
    from turnrec.pbx.container import FOLDERS
    from turnrec.supervise import supervise

    flow = FOLDERS.bots / "flow.yaml"
    if flow.exists():
        os.environ["TURNREC_FLOW__PATH"] = str(flow)
    place, passwords = _prepare()
    settings = settings_of(None)
    logs.set_up(settings.log)
    threading.Thread(target=_welcome, args=(settings, place, passwords), daemon=True).start()
    try:
        status = asyncio.run(supervise(["serve"], settings.server.control_socket, _WATCHDOG_S))
    finally:
        _stop_monitors(settings)
    raise typer.Exit(status)


# ------------------------------------------------------------------ before


def _prepare() -> tuple[Place, Passwords]:
    """Make the passwords if there are none yet, and write Asterisk's configuration."""
    from turnrec.ledger.keys import make_key
    from turnrec.pbx.container import (
        Passwords,
        Place,
        write_configuration,
        write_private,
    )
    from turnrec.pbx.errors import PbxInstallError
    from turnrec.pbx.packages import Release, from_path

    place = Place.read(os.environ)
    installation = from_path(Release.V22)
    if installation is None:
        raise PbxInstallError("there is no Asterisk 22 here: this is for compose.yaml's image")
    home = _HOME
    kept = home / _KEPT
    passwords = Passwords.read(kept)
    if passwords is None:
        passwords = Passwords.made(lambda: _api_key(home / "api-keys.json"))
        passwords.keep(kept)
    write_private(home / "ami.secret", passwords.ami)
    if not (home / "signing.key").exists():
        make_key(home / "signing.key")
    write_configuration(installation, place, passwords)
    return place, passwords


def _api_key(path: Path) -> str:
    """Make the page's key, which may everything; one that was made and not kept is revoked."""
    from turnrec.clock import SteadyClock
    from turnrec.web.access import Right
    from turnrec.web.keys import KeyRing, UnknownKeyError

    keys, now_us = KeyRing(path), SteadyClock()()
    with contextlib.suppress(UnknownKeyError):
        keys.revoke(_KEY_NAME, now_us)
    return keys.make(_KEY_NAME, frozenset(Right), None, now_us)


def _kept(settings: Settings) -> tuple[Place, Passwords]:
    from turnrec.pbx.container import Passwords, Place
    from turnrec.pbx.errors import PbxNotRunningError

    passwords = Passwords.read(settings.api.keys_file.with_name(_KEPT))
    if passwords is None:
        raise PbxNotRunningError(settings.api.keys_file.parent)
    return Place.read(os.environ), passwords


# ------------------------------------------------------------------ while it runs


def _becomes_ready(client: ControlClient, timeout_s: float) -> bool:
    """Wait until calls can be served in full."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            status, _ = client.answer("/readyz")
        except TurnrecError:
            status = 0
        if status == 200:
            return True
        time.sleep(_LOOK_S)
    return False


def _welcome(settings: Settings, place: Place, passwords: Passwords) -> None:
    """Say how to get in, once everything is there."""
    client = ControlClient(settings.server.control_socket, timeout_s=5.0)
    while not _becomes_ready(client, _READY_S):
        complain("turnrec: not ready yet; `docker compose logs` says why")
    _say_access(place, passwords)


def _say_access(place: Place, passwords: Passwords) -> None:
    from turnrec.pbx.configuration import PHONE_USER

    say(f"The page    {place.page}")
    say(f"            key {passwords.api_key}")
    say(f"Softphone   SIP over UDP, server {place.address}:{place.sip_port}, user {PHONE_USER}")
    say(f"            password {passwords.phone}")
    say("            dial 1000 for the bot, 600 for an echo")
    say("Demo call   docker compose exec turnrec turnrec docker call")


# ------------------------------------------------------------------ after


def _stop_monitors(settings: Settings) -> None:
    """Nothing of turnrec's may record on without turnrec."""
    from pathlib import PurePosixPath

    from turnrec import panic
    from turnrec.asterisk.spool import Spool
    from turnrec.service import ami_settings

    recordings = settings.recordings
    spool = Spool(recordings.spool_dir, PurePosixPath(str(recordings.asterisk_spool_dir)))
    try:
        report = asyncio.run(panic.panic(ami_settings(settings.asterisk), spool, "asterisk"))
    except panic.PanicFailedError:
        say("turnrec: Asterisk has ended, and its monitors with it")
        return
    say(f"turnrec: {len(report.stopped)} monitors stopped")
    for line in (*report.still_running, *report.unknown):
        complain(f"turnrec: NOT STOPPED, or not known: {line}")


GROUP.add_to(app)
