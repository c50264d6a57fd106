"""Runs the checks one after the other; one that fails or breaks is not checked, never a crash."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from turnrec.core.errors import TurnrecError
from turnrec.doctor.checks import CHECKS
from turnrec.doctor.finding import Check, Finding, NotCheckedError, Status
from turnrec.doctor.look import Look


@dataclass(frozen=True, slots=True)
class Checked:
    """A check and what it found."""

    check: Check
    finding: Finding


async def examine(
    look: Look, skip: Collection[str] = (), checks: Sequence[Check] = CHECKS
) -> tuple[Checked, ...]:
    """Run every check but those that are to be skipped; in the table's order."""
    # What the connections say on their way is told by the findings.
    logger = logging.getLogger("turnrec")
    before, logger.propagate = logger.propagate, False
    quiet = logging.NullHandler()
    logger.addHandler(quiet)
    try:
        return tuple([Checked(check, await _run(check, look, skip)) for check in checks])
    finally:
        await look.close()
        logger.removeHandler(quiet)
        logger.propagate = before


async def _run(check: Check, look: Look, skip: Collection[str]) -> Finding:
    if check.id in skip:
        return Finding(Status.NOT_CHECKED, "skipped, as asked")
    try:
        return await check.run(look)
    except NotCheckedError as error:
        return Finding(Status.NOT_CHECKED, str(error))
    except TurnrecError as error:
        return Finding(Status.NOT_CHECKED, f"{error} [{error.id}]")
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return Finding(Status.NOT_CHECKED, f"{error.strerror or type(error).__name__}{where}")
    except Exception as error:  # noqa: BLE001 - the other checks are still of use
        # Its text may hold anything, a secret too.
        return Finding(Status.NOT_CHECKED, f"the check itself broke ({type(error).__name__})")


def worst(found: Collection[Checked]) -> Status:
    """What there is to do at most."""
    there = {one.finding.status for one in found}
    return next((one for one in (Status.PROBLEM, Status.WARNING) if one in there), Status.OK)
