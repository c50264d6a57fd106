"""What is to be recorded: one table, from which tests and docs are made; it measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tests.pbx.matrix.cast import Phase
from tests.pbx.matrix.states import Entry, Known, Policy, Row


class Heard(StrEnum):
    """What of a phase is in the files."""

    YES = "yes"
    NO = "no"
    WINDOW = "window"
    """Nothing but the stretch between the bridge and the stop, which the ledger measures."""
    EITHER = "either"
    """Not promised."""


_YES, _NO, _WINDOW = Heard.YES, Heard.NO, Heard.WINDOW

# The columns are the states at entry: recording, paused by turn, paused by operator, stopped.
TALK: Final[Mapping[tuple[bool, bool, bool], tuple[Heard, Heard, Heard, Heard]]] = MappingProxyType(
    {
        # (policy is on, announced, known to be an agent)
        (True, True, True): (_YES, _YES, _NO, _NO),
        (True, False, True): (_YES, _YES, _NO, _NO),
        (True, False, False): (_YES, _NO, _NO, _NO),
        (False, True, True): (_NO, _NO, _NO, _NO),
        (False, False, True): (_WINDOW, _NO, _NO, _NO),
        (False, False, False): (_WINDOW, _NO, _NO, _NO),
    }
)
"""The talk with the agent."""

WAIT: Final[Mapping[bool, tuple[Heard, Heard, Heard, Heard]]] = MappingProxyType(
    {
        # (announced before, with off or never)
        False: (_YES, _NO, _NO, _NO),
        True: (_NO, _NO, _NO, _NO),
    }
)
"""Ringing, queue and music: under the bot's rules."""

ENTRY: Final = (_YES, _NO, _NO, _NO)
"""The bot's turn before the transfer."""

BACK: Final = (_YES, _YES, _NO, _NO)
"""The bot's turn after it, whose node says resume."""

_COLUMNS: Final = (Entry.RECORDING, Entry.TURN, Entry.OPERATOR, Entry.STOPPED)
_LATER: Final = {_YES: Heard.EITHER, _WINDOW: _NO, _NO: _NO}


def expected(row: Row, phase: Phase) -> Heard:
    """What of a phase is in the files."""
    column = _COLUMNS.index(row.entry)
    policy_is_on = row.policy is Policy.ON
    talk = TALK[policy_is_on, row.known.is_announced, row.known is not Known.NOT][column]
    match phase:
        case Phase.OPEN:
            return _YES
        case Phase.ENTRY:
            return ENTRY[column]
        case Phase.WAIT:
            return WAIT[row.known is Known.BEFORE and not policy_is_on][column]
        case Phase.TALK:
            return talk
        case Phase.HELD:
            # Held by or between agents: never more than of the talk, and music is no promise.
            return _LATER[talk]
        case Phase.TALK2:
            # The policy's hold stays between two agents, so there is no second window.
            return _NO if talk is _WINDOW else talk
        case Phase.CONSULT | Phase.AWAY:
            return _NO
        case Phase.BACK:
            return BACK[column]
