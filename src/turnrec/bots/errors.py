"""What a bot must catch: why a turn can't be spoken, or that nobody listens any more.

    NotConfirmedError             there was no OK; its `verdict` says what that means
    ├── RefusedByTurnrecError         REFUSED      against the rules; nothing has changed
    ├── FailedClosedError             FAILCLOSED   turnrec's monitor is stopped (AGI only)
    ├── FailedInTurnrecError          UNCONFIRMED  turnrec could not do it (HTTP 5xx)
    └── NoAnswerError                 UNCONFIRMED  no answer that is turnrec's
    HungUpError                   the call is over, and with it every recording

The rule that they all serve: **no word before OK**. Whoever catches a NotConfirmedError must not
speak the turn, with one exception that is his to make: FAILCLOSED says that turnrec records nothing
of this call until a later turn may, so that a bot can go on unrecorded.
"""

from __future__ import annotations

import enum

from turnrec.core.errors import TurnrecError


class Verdict(enum.StrEnum):
    """What a missing OK means."""

    REFUSED = "REFUSED"
    """The request is against the rules. Nothing has changed; asking the same again won't help."""
    FAILCLOSED = "FAILCLOSED"
    """Something broke, and turnrec's monitor was stopped: nothing of the call is recorded by it
    until a turn that may be. The bot may speak."""
    UNCONFIRMED = "UNCONFIRMED"
    """Nobody knows what is recorded. The bot must not speak; it may ask again."""


class HungUpError(Exception):
    """The call is over."""


class NotConfirmedError(TurnrecError):
    """There was no OK: whether anything has happened is not for the bot to guess."""

    id = "not-confirmed"
    verdict = Verdict.UNCONFIRMED


class RefusedByTurnrecError(NotConfirmedError):
    """turnrec refused: asking the same again won't help."""

    verdict = Verdict.REFUSED

    def __init__(self, problem_id: str, sentence: str, status: int | None = None) -> None:
        super().__init__(f"{problem_id}: {sentence}")
        self.problem_id = problem_id
        """The stable id of why."""
        self.status = status
        """The HTTP status, over HTTP."""


class FailedClosedError(NotConfirmedError):
    """Something broke; nothing of this call is recorded by turnrec until a turn that may be."""

    verdict = Verdict.FAILCLOSED

    def __init__(self, problem_id: str) -> None:
        super().__init__(f"{problem_id or 'no answer from turnrec'}: its monitor was stopped")
        self.problem_id = problem_id
        """The stable id of why; empty where turnrec could not say."""


class FailedInTurnrecError(NotConfirmedError):
    """turnrec could not do it (5xx), or not confirm it. It may be asked again."""

    def __init__(self, problem_id: str, sentence: str, status: int) -> None:
        super().__init__(f"{problem_id}: {sentence}")
        self.problem_id = problem_id
        """The stable id of why."""
        self.status = status
        """The HTTP status."""


class NoAnswerError(NotConfirmedError):
    """No answer of turnrec's came: it is down, hangs, or something else answers in its place."""
