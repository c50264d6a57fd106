"""Who asks, and what they may; it checks no key and decides nothing of calls."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from turnrec.core.entry import Origin
from turnrec.core.errors import RefusedError, TurnrecError


class Right(enum.StrEnum):
    """What a key allows. None implies another, but `admin` allows everything."""

    READ = "read"
    """See calls, recordings and events; listen; read transcripts and metrics."""
    CONTROL = "control"
    """An operator's start, pause, resume and stop."""
    BOT = "bot"
    """Begin calls and turns, announce agents, post utterances: what a bot does."""
    AUDIT = "audit"
    """Manifests, verification and the ledger."""
    ADMIN = "admin"


class MissingRightError(RefusedError):
    """The key is good, but doesn't allow this."""

    id = "not-allowed"

    def __init__(self, wanted: frozenset[Right]) -> None:
        names = " or ".join(repr(one.value) for one in Right if one in wanted)
        super().__init__(f"this key lacks the right {names}")


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks, as the door has found out."""

    name: str
    """The key's name, or the local user's."""
    rights: frozenset[Right]
    origin: Origin
    bots: frozenset[str] | None = None
    """The only bots whose calls they may see; None: all."""
    address: str = ""
    """Where they ask from; empty at the control socket."""

    def allows(self, *rights: Right) -> bool:
        """Whether any one of the rights is given."""
        return Right.ADMIN in self.rights or not self.rights.isdisjoint(rights)

    def may_see(self, bot: str | None) -> bool:
        """Whether calls of this bot may be known to them."""
        return self.bots is None or bot in self.bots

    def bots_among(self, bot: str | None) -> frozenset[str] | None:
        """The bots that are asked for (None: any) and that they may see; None: all."""
        if bot is None:
            return self.bots
        return frozenset({bot}) if self.may_see(bot) else frozenset()

    def check_sees(self, bot: str | None, otherwise: TurnrecError) -> None:
        """Return where they may see this bot.

        Raises:
            TurnrecError: the one given, which should be the one for what isn't there at all.
        """
        if not self.may_see(bot):
            raise otherwise

    def check(self, *rights: Right) -> None:
        """Return where any one of the rights is given.

        Raises:
            MissingRightError: none is.
        """
        if not self.allows(*rights):
            raise MissingRightError(frozenset(rights))

    def actor(self, person: str | None = None) -> str:
        """Who it was, for the ledger: `cli:root`, `key:desk`, `key:desk:anna`."""
        prefix = "cli" if self.origin is Origin.CLI else "key"
        return ":".join(filter(None, (prefix, self.name, person)))
