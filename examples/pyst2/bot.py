#!/usr/bin/env python3
"""A bank's bot as a classic AGI script, written with pyst2: `AGI(bank-bot.py,/path/of/prompts)`."""

from __future__ import annotations

import logging
import sys

from turnrec.bots.agi import Agi, AgiCall
from turnrec.bots.errors import HungUpError, NotConfirmedError

logger = logging.getLogger(__name__)

PATIENCE_MS = 20_000


def talk(agi: Agi, call: AgiCall, sounds: str) -> None:
    """Talk to one caller. No word of a turn is said before turnrec has said OK to it."""
    call.begin("bank")

    with call.turn("welcome"):
        agi.get_data(f"{sounds}/welcome", PATIENCE_MS, 1)

    with call.turn("ask_otp"):  # entered when nothing records any more
        otp = agi.get_data(f"{sounds}/ask-otp", PATIENCE_MS, 4)
        check(otp)  # still the same turn: leaving the block doesn't end it

    with call.turn("thank_you"):  # entered when it records again
        agi.stream_file(f"{sounds}/thank-you")


def check(otp: str) -> bool:
    """Whether the code is the one that was sent."""
    return len(otp) == 4


def main() -> None:
    """Run as Asterisk runs it."""
    agi = Agi()
    try:
        talk(agi, AgiCall(agi), sys.argv[1])
    except HungUpError:
        return
    except NotConfirmedError as error:
        logger.warning("bank-bot: %s", error)  # to Asterisk's console; the dialplan hangs up


if __name__ == "__main__":
    main()
