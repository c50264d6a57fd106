"""The dependencies by which a route names the rights it needs; it decides nothing of calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, Request
from pydantic import StringConstraints

from turnrec.web.access import Access, Right

ActorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]
"""Who stands behind a key: the supervisor at the page, the user at the command line."""


def access_of(request: Request) -> Access:
    """The access that the gate has found (`turnrec.web.gate`)."""
    found = request.scope["turnrec.access"]
    assert isinstance(found, Access)  # noqa: S101 - the gate lets nothing else through
    return found


RIGHTS: Final = "__turnrec_rights__"
"""Set on the dependencies that `needs` makes, so that a test can find a route without one."""


def needs(*rights: Right) -> Callable[[Request], Access]:
    """Make the dependency of a route that any one of these rights opens; none: any key does."""

    def check(request: Request) -> Access:
        access = access_of(request)
        if rights:
            access.check(*rights)
        return access

    setattr(check, RIGHTS, frozenset(rights))
    return check


AnyKey = Annotated[Access, Depends(needs())]
Reader = Annotated[Access, Depends(needs(Right.READ))]
Watcher = Annotated[Access, Depends(needs(Right.READ, Right.BOT))]
Auditor = Annotated[Access, Depends(needs(Right.READ, Right.AUDIT))]
LedgerReader = Annotated[Access, Depends(needs(Right.AUDIT))]
BotKey = Annotated[Access, Depends(needs(Right.BOT))]
Actor = Annotated[Access, Depends(needs(Right.CONTROL, Right.BOT))]
Admin = Annotated[Access, Depends(needs(Right.ADMIN))]
