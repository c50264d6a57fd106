"""Checks the running turnrec: that it is one, of this version, whole, and watched over."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from turnrec import __version__
from turnrec.doctor.finding import Finding, NotCheckedError, ok, problem, warning
from turnrec.doctor.look import Look

_RESTART: Final = "systemctl restart turnrec"
_UNITS: Final = (
    Path("/etc/systemd/system"),
    Path("/usr/lib/systemd/system"),
    Path("/lib/systemd/system"),
)
_UNIT: Final = "turnrec.service"


async def running(look: Look) -> Finding:
    """One runs, and answers."""
    try:
        found = await look.server()
    except NotCheckedError as error:
        try:
            look.server_process()
        except PermissionError:
            raise NotCheckedError(
                f"{look.settings.server.control_socket} is another user's (see user)"
            ) from None
        except OSError:
            return warning(
                f"no turnrec answers on {look.settings.server.control_socket}:"
                " calls go on, and nothing is recorded",
                "systemctl start turnrec",
            )
        return problem(f"turnrec runs and doesn't answer: {error.__cause__ or error}", _RESTART)
    return ok(f"turnrec runs, with {found['live_calls']} live calls")


async def version(look: Look) -> Finding:
    """It is this one, not the one before an upgrade."""
    return judge_version(str((await look.server())["version"]), __version__)


def judge_version(running_version: str, installed: str) -> Finding:
    """The server's version against the command's."""
    if running_version != installed:
        return problem(
            f"the running turnrec is {running_version}, the installed one {installed}", _RESTART
        )
    return ok(f"the running turnrec is the installed one, {installed}")


async def parts(look: Look) -> Finding:
    """It has all that it needs."""
    found = await look.server()
    if not found["ledger_healthy"]:
        return problem(
            "the running turnrec can't write its ledger", "journalctl -u turnrec -p err", _RESTART
        )
    if look.settings.asterisk.ami_enabled and not found["ami_ready"]:
        return problem(
            "the running turnrec is not logged in to Asterisk's manager: operators, agents and"
            " other recorders are out of its reach",
            "see ami-login; where that is in order: " + _RESTART,
        )
    if found["room"] != "enough":
        return problem(f"the running turnrec records nothing new: {found['room']}", "see room")
    return ok("the running turnrec has AMI, ledger and room")


async def flow(look: Look) -> Finding:
    """The flow in force is the file's."""
    in_force, on_disk = (await look.server())["flow_sha256"], look.flow().sha256
    if in_force != on_disk:
        return warning(
            f"the flow in force is not that of {look.settings.flow.path}: it was changed since",
            "turnrec reload",
        )
    return ok("the flow in force is the file's")


async def watchdog(look: Look) -> Finding:
    """Somebody restarts it when it hangs."""
    await look.server()
    pid, _ = look.server_process()
    watched = _watched_by(pid)
    if watched is None:
        unit = next((folder / _UNIT for folder in _UNITS if (folder / _UNIT).exists()), None)
        return warning(
            "nobody restarts turnrec when it hangs: AGI has no time-out, and callers would wait",
            f"in {unit or _UNIT}: [Service] Type=notify, WatchdogSec=5, Restart=always",
            "or without systemd: turnrec serve --watchdog-s 5",
        )
    return ok(f"turnrec is watched over by {watched}")


def _watched_by(pid: int) -> str | None:
    """Who restarts a process; None: nobody."""
    process = Path("/proc", str(pid))
    try:
        environment = (process / "environ").read_bytes().split(b"\0")
    except PermissionError:
        raise NotCheckedError("turnrec's process is another user's") from None
    if any(one.startswith(b"WATCHDOG_USEC=") and one != b"WATCHDOG_USEC=0" for one in environment):
        return "systemd"
    status = (process / "status").read_text("utf-8", errors="replace")
    parent = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))
    words = Path("/proc", parent, "cmdline").read_bytes().split(b"\0")
    if b"serve" in words and any(word.startswith(b"--watchdog-s") for word in words):
        return "turnrec serve --watchdog-s"
    return None
