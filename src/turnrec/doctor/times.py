"""Checks the clocks and the ledger; of the ledger it reads the last entry, and proves nothing."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from turnrec.doctor.finding import Finding, NotCheckedError, ok, problem, warning
from turnrec.doctor.look import Look
from turnrec.ledger.engine import parse_url, sqlite_file
from turnrec.ledger.errors import LedgerError
from turnrec.ledger.offline import OfflineLedger
from turnrec.ledger.schema import SCHEMA_VERSION

_MOST_S: Final = 2.0
_SYNC: Final = "timedatectl set-ntp true"


async def clock(look: Look) -> Finding:
    """turnrec's and Asterisk's agree."""
    ahead_s, doubt_s = await look.asterisk_ahead_s()
    if abs(ahead_s) - doubt_s > _MOST_S:
        which = "behind" if ahead_s > 0 else "ahead of"
        return problem(
            f"turnrec's clock is {abs(ahead_s):.1f} s {which} Asterisk's: the times in ledger and"
            " manifests don't fit those of Asterisk's logs. A running turnrec keeps the time that"
            " it was started with",
            f"on both machines: {_SYNC}",
            "systemctl restart turnrec",
        )
    return ok(f"turnrec's clock and Asterisk's are {abs(ahead_s):.1f} s apart, at most")


async def ledger_clock(look: Look) -> Finding:
    """The ledger's last entry is not in the future."""
    newest = await asyncio.to_thread(_read, look.settings.ledger.url.get_secret_value())
    if newest is None:
        return ok("the ledger has no entry yet")
    ahead_s = newest / 1e6 - look.now_s()
    if ahead_s > _MOST_S:
        return problem(
            f"the ledger's last entry was made {ahead_s:.0f} s from now: turnrec's clock was or is"
            " wrong, and stays so until its next start",
            _SYNC,
            "systemctl restart turnrec",
        )
    return ok("the ledger's last entry is in the past")


def _read(url: str) -> int | None:
    file = sqlite_file(parse_url(url))
    if file is not None and not file.exists():
        return None
    ledger = OfflineLedger(url)
    try:
        ledger.check()
        newest = ledger.newest()
    except LedgerError as error:
        raise NotCheckedError("the ledger can't be read (see ledger)") from error
    finally:
        ledger.close()
    return None if newest is None or newest.entry is None else newest.entry.at_us


async def ledger(look: Look) -> Finding:
    """It can be read and written, and is of this turnrec's version."""
    return await asyncio.to_thread(_judge, look.settings.ledger.url.get_secret_value())


def _judge(url: str) -> Finding:
    file = sqlite_file(parse_url(url))
    if file is not None and not file.exists():
        above = next(one for one in file.parents if one.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            return problem(
                f"there is no ledger, and turnrec may not make {file}",
                f"install -d -o turnrec -g turnrec -m 0750 {file.parent}",
            )
        return ok(f"there is no ledger yet: the first start makes {file}")
    found = OfflineLedger(url)
    try:
        found.check()
        version, newest = found.version(), found.newest()
    except LedgerError as error:
        return problem(str(error), f"look at it: turnrec verify {found.where}")
    finally:
        found.close()
    if newest is not None and newest.entry is None:
        return problem(
            f"the last entry of {found.where} can't be read", f"turnrec verify {found.where}"
        )
    if file is not None and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        return problem(
            f"turnrec may not write {file}",
            f"chown turnrec:turnrec {file.parent} {file}",
        )
    if file is not None and file.stat().st_mode & 0o007:
        return problem(f"everybody on this machine may read {file}", f"chmod 0640 {file}")
    if version < SCHEMA_VERSION:
        return warning(
            f"{found.where} is of version {version}, and this turnrec's is {SCHEMA_VERSION}:"
            " the next start brings it up, and an older turnrec can't read it then",
            "keep a copy of the ledger, then: systemctl restart turnrec",
        )
    count = 0 if newest is None else newest.seq
    return ok(f"{found.where}: version {version}, {count} entries (`turnrec verify` proves them)")
