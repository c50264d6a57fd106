"""What bodies of requests have in common: strict, and silent about what was wrong in them."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

from turnrec.core.entry import REASON, REASON_LETTERS

_SAFE_MAX: Final = 2**53 - 1
"""The largest whole number that every reader of JSON takes for itself (RFC 7493, section 2.2)."""


class Body(BaseModel):
    """A request's body: nothing unknown in it, and no error repeats what was."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def _integral(value: object) -> object:
    """JSON knows no integers: 1.0 is 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, Strict(), Field(ge=0, le=_SAFE_MAX), BeforeValidator(_integral)]
"""A whole number from 0 on; not a text that looks like one."""

Reason = Annotated[
    str,
    Field(
        min_length=1, max_length=REASON_LETTERS, pattern=REASON, description="why, for the ledger"
    ),
]
