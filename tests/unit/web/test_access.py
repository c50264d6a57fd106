"""Who may see what: a key that is limited to some bots is limited in every way it can ask."""

from __future__ import annotations

import pytest

from turnrec.core.entry import Origin
from turnrec.web.access import Access


@pytest.mark.parametrize(
    ("bots", "asked", "seen"),
    [
        (None, None, None),
        (None, "kyc", {"kyc"}),
        ({"kyc", "survey"}, None, {"kyc", "survey"}),
        ({"kyc", "survey"}, "kyc", {"kyc"}),
        ({"survey"}, "kyc", set()),
        (set(), None, set()),
        (set(), "kyc", set()),
    ],
)
def test_what_is_asked_for_is_narrowed_to_what_may_be_seen(
    bots: set[str] | None, asked: str | None, seen: set[str] | None
) -> None:
    access = Access("desk", frozenset(), Origin.HTTP, None if bots is None else frozenset(bots))
    assert access.bots_among(asked) == seen
