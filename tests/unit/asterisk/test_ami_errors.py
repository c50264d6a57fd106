"""The tree of AMI's errors: each with an id, and honest about what it doesn't know."""

from __future__ import annotations

import pytest

from turnrec.asterisk import ami, ami_errors
from turnrec.asterisk.ami_errors import AmiError
from turnrec.core.errors import TurnrecError

ERRORS = [
    error
    for error in vars(ami_errors).values()
    if isinstance(error, type) and issubclass(error, AmiError)
]


def test_ids_are_distinct_and_drawn_in_the_docstring() -> None:
    assert len({error.id for error in ERRORS}) == len(ERRORS) == 7
    for error in ERRORS:
        assert error.id in (ami_errors.__doc__ or "")
        assert error.__name__ in (ami_errors.__doc__ or "")


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_turnrecs_and_public(error: type[AmiError]) -> None:
    assert issubclass(error, TurnrecError)
    assert getattr(ami, error.__name__) is error


def test_outcome_is_unknown_only_after_something_was_sent() -> None:
    unknown = {error.__name__ for error in ERRORS if error.outcome_unknown}
    assert unknown == {"AmiTimeoutError", "AmiConnectionLostError"}
