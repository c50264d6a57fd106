"""Who a leg is, by the operator's rules: agent, bot, announcement or consultation.

It knows names, contexts, queues and variables as values; it asks no channel and reads no file
(`turnrec.flow` reads the rules, below `parties:`). What no rule names is unknown, and an unknown
party counts as an agent where the talk with one is not to be recorded.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from turnrec.core.bridges import Leg

PARTY_VARIABLE: Final = "TURNREC_PARTY"
"""The channel variable by which a dialplan says who a leg is, in `PartyClass`'s words."""


class PartyClass(enum.StrEnum):
    """Who somebody is whom the caller hears."""

    AGENT = "agent"
    BOT = "bot"
    ANNOUNCEMENT = "announcement"
    CONSULTATION = "consultation"
    """Somebody who is only asked, and is not to change what is recorded."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PartyRule:
    """One line of the operator's: legs like this are of this class.

    `*`, `?` and `[...]` are wildcards, and case counts. What is left empty is not looked at; all
    the rest must match. A rule with nothing to look at matches nobody.
    """

    party: PartyClass
    channel: str = ""
    context: str = ""
    exten: str = ""
    queue: str = ""
    """The queue that called the leg."""
    variable: str = ""
    """A variable of the leg's channel: set to something, or to `value` where that is given."""
    value: str = ""

    def fits(self, leg: Leg) -> bool:
        """Say whether all but the variable match."""
        looked_at = (
            (self.channel, leg.name),
            (self.context, leg.context),
            (self.exten, leg.exten),
            (self.queue, leg.queue),
        )
        given = [(glob, text) for glob, text in looked_at if glob]
        return bool(given or self.variable) and all(fnmatchcase(text, glob) for glob, text in given)

    def accepts(self, variables: Mapping[str, str]) -> bool:
        """Say whether the variable matches, or isn't looked at."""
        if not self.variable:
            return True
        return fnmatchcase(variables.get(self.variable, ""), self.value or "?*")


BUILTIN_RULES: Final[tuple[PartyRule, ...]] = (
    # Channels that Asterisk makes by itself, to play into a bridge or to record it.
    PartyRule(PartyClass.ANNOUNCEMENT, channel="Announcer/*"),
    PartyRule(PartyClass.ANNOUNCEMENT, channel="Recorder/*"),
    PartyRule(PartyClass.ANNOUNCEMENT, channel="CBAnn/*"),
    PartyRule(PartyClass.ANNOUNCEMENT, channel="CBRec/*"),
    *(PartyRule(party, variable=PARTY_VARIABLE, value=party.value) for party in PartyClass),
)
"""Looked at after the operator's."""

PRECEDENCE: Final = (
    PartyClass.AGENT,
    PartyClass.UNKNOWN,
    PartyClass.CONSULTATION,
    PartyClass.BOT,
    PartyClass.ANNOUNCEMENT,
)
"""A company is what the first of these is that it has: a bot beside an agent changes nothing, and
a bridge with only a bot or an announcer is no agent's."""


def classify(leg: Leg, rules: Sequence[PartyRule], variables: Mapping[str, str]) -> PartyClass:
    """The class of the first rule that fits, the operator's before the built-in ones."""
    for rule in (*rules, *BUILTIN_RULES):
        if rule.fits(leg) and rule.accepts(variables):
            return rule.party
    return PartyClass.UNKNOWN


def variables_for(leg: Leg, rules: Sequence[PartyRule]) -> tuple[str, ...]:
    """The variables of the leg's channel that `classify` needs to know, each once.

    None where a rule that looks at none decides: it saves asking Asterisk.
    """
    needed: dict[str, None] = {}  # in their order
    for rule in (*rules, *BUILTIN_RULES):
        if not rule.fits(leg):
            continue
        if not rule.variable:
            break
        needed[rule.variable] = None
    return tuple(needed)


def classify_company(classes: Collection[PartyClass]) -> PartyClass | None:
    """The class of all whom a caller hears; None where that is nobody."""
    return next((party for party in PRECEDENCE if party in classes), None)
