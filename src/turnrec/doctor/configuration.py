"""Checks the settings and the flow, and who asks; it reads them as the server does."""

from __future__ import annotations

import asyncio
import os
import pwd

from turnrec.check.run import check_file
from turnrec.doctor.finding import Finding, NotCheckedError, listed, ok, problem, warning
from turnrec.doctor.look import Look
from turnrec.flow import FlowError, FlowFile


async def settings(look: Look) -> Finding:
    """They can be read."""
    if look.mistakes:
        told = "; ".join(look.mistakes)
        if "Permission denied" in told:
            return problem(told, "sudo -u turnrec turnrec doctor")
        where = "in the environment (TURNREC_...)" if look.config is None else f"in {look.config}"
        return problem(told, f"mend that {where}")
    source = "the environment and the defaults" if look.config is None else str(look.config)
    return ok(f"{source} can be read and has no mistake")


async def flow(look: Look) -> Finding:
    """It can be read."""
    path = look.settings.flow.path
    try:
        found = FlowFile.load(path).flow
    except FlowError as error:
        return problem(
            "; ".join(map(str, error.mistakes)),
            f"mend {path} at these places, then: turnrec reload",
        )
    names = listed(sorted(found.bots))
    return ok(f"{path} can be read and has no mistake: bot{'s' * (len(found.bots) != 1)} {names}")


async def flow_paths(look: Look) -> Finding:
    """What it records is what its own words ask for, on every path."""
    path = look.settings.flow.path
    checked = await asyncio.to_thread(check_file, path)
    if not checked.is_readable:
        raise NotCheckedError("the flow file can't be read (see flow)")
    if not checked.findings:
        return ok("on every path of the flow is recorded what its words ask for")
    told = listed([f"{one.sentence} [{one.id}]" for one in checked.findings], 3)
    cure = (f"turnrec check {path}", "mend what it shows, then: turnrec reload")
    return problem(told, *cure) if checked.errors else warning(told, *cure)


async def user(look: Look) -> Finding:
    """It is the service's user who asks: another one sees other rights."""
    try:
        _, owner = look.server_process()
    except OSError:
        try:
            owner = look.settings.recordings.dir.stat().st_uid
        except FileNotFoundError:
            return ok(f"asked as {_name(look.user())}; nothing of turnrec's belongs to anybody yet")
        except PermissionError:
            return warning(
                f"{_name(look.user())} may not look at turnrec's folders, and rights to files are"
                " judged for who asks",
                "sudo -u turnrec turnrec doctor",
            )
    if owner == look.user():
        return ok(f"asked as turnrec's own user, {_name(owner)}")
    return warning(
        f"turnrec's user is {_name(owner)}, and {_name(look.user())} asks:"
        " rights to files are judged for the wrong one",
        f"sudo -u {_name(owner)} turnrec doctor",
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid) if uid != os.geteuid() else f"user {uid}"
