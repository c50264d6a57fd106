"""The tree of errors: every leaf has an id of its own, and the page that lists them is true."""

from __future__ import annotations

import re

import pytest

from turnrec.answer import Status
from turnrec.core import errors
from turnrec.core.errors import (
    AlarmError,
    AsteriskUnreachableError,
    FaultError,
    HeldByAnotherError,
    InvalidNameError,
    RefusedError,
    TurnrecError,
)

ALL = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, TurnrecError)
]
LEAVES = [error for error in ALL if not any(issubclass(o, error) for o in ALL if o is not error)]
# `NotRecordingError         not-recording` in the drawing; branches have no id beside them.
DRAWN = dict(re.findall(r"(\w+Error) +([a-z]+(?:-[a-z]+)+)\b", errors.__doc__ or ""))


def test_the_docstring_draws_every_leaf_with_its_id_and_nothing_else() -> None:
    assert {error.__name__: error.id for error in LEAVES} == DRAWN


def test_no_two_errors_share_an_id() -> None:
    assert len({error.id for error in ALL}) == len(ALL)


@pytest.mark.parametrize("error", ALL)
def test_an_id_may_stand_in_a_dialplan_variable(error: type[TurnrecError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.id)


@pytest.mark.parametrize("error", LEAVES)
def test_every_leaf_is_a_refusal_a_fault_out_of_reach_or_an_alarm(
    error: type[TurnrecError],
) -> None:
    kinds = (RefusedError, FaultError, AsteriskUnreachableError, AlarmError)
    assert sum(issubclass(error, kind) for kind in kinds) == 1


def test_only_a_refusal_leaves_things_alone() -> None:
    assert Status.of(None) is Status.OK
    assert Status.of(RefusedError("no")) is Status.REFUSED
    for error in (FaultError("broken"), AsteriskUnreachableError("down"), TurnrecError("else")):
        assert Status.of(error) is Status.FAILCLOSED


def test_a_recorders_refusal_says_what_was_asked_where_and_why() -> None:
    error = HeldByAnotherError("resume", "paused", "held by: turn")
    assert (error.action, error.state) == ("resume", "paused")
    assert str(error) == "cannot resume: recording is paused by somebody else (held by: turn)"


def test_an_invalid_name_is_not_repeated() -> None:
    assert str(InvalidNameError("node's name")).startswith("the node's name may have 1 to 64")
