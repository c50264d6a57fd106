"""Entries have one stored form, which no database refuses and nobody can change."""

from __future__ import annotations

import dataclasses
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ledger.helpers import entry
from turnrec.core.entry import INT64_MAX, JSON, Entry, EntryKind, Origin
from turnrec.core.policy import Action
from turnrec.core.recorder import Source, State
from turnrec.ledger.entries import canonical_json, from_columns, storable, to_columns

plain_text = st.text(string.ascii_letters + "._-é中", max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
details = st.dictionaries(st.text(max_size=8), json_values, max_size=4)
entries = st.builds(
    Entry,
    kind=st.sampled_from(EntryKind),
    at_us=st.integers(0, INT64_MAX),
    call_id=st.none() | plain_text,
    uniqueid=st.none() | plain_text,
    recording_id=st.none() | plain_text,
    source=st.none() | st.sampled_from(Source),
    actor=st.none() | plain_text,
    origin=st.none() | st.sampled_from(Origin),
    action=st.none() | st.sampled_from(Action),
    node=st.none() | plain_text,
    turn=st.none() | st.integers(0, INT64_MAX),
    state=st.none() | st.sampled_from(State),
    holds=st.sets(st.sampled_from(Source)).map(lambda holds: tuple(sorted(holds))),
    result=plain_text,
    detail=details,
)


@given(entries)
def test_the_stored_form_reads_back_as_the_entry(given_entry: Entry) -> None:
    assert from_columns(to_columns(given_entry)) == given_entry


@given(st.text(st.characters(), max_size=20))
def test_any_text_becomes_storable_and_stays_so(text: str) -> None:
    stored = storable(text)

    assert "\0" not in stored
    stored.encode("utf-8")
    assert storable(stored) == stored


def test_an_undecodable_byte_is_kept_as_an_escape() -> None:
    assert storable(b"PJSIP/caf\xe9\0".decode(errors="surrogateescape")) == r"PJSIP/caf\udce9\x00"


def test_equal_details_have_one_spelling() -> None:
    assert canonical_json({"b": [1, "é"], "a": None}) == r'{"a":null,"b":[1,"\u00e9"]}'


def test_changing_a_detail_afterwards_does_not_change_what_was_stored() -> None:
    parts = ["one"]
    columns = to_columns(entry(parts=parts))

    parts.append("two")

    assert columns["detail"] == '{"parts":["one"]}'


def test_a_detail_that_is_not_json_is_refused() -> None:
    with pytest.raises(TypeError):
        to_columns(dataclasses.replace(entry(), detail={"x": object()}))  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_columns(entry(x=float("nan")))


@pytest.mark.parametrize("at_us", [-1, INT64_MAX + 1])
def test_a_time_that_no_database_holds_is_refused(at_us: int) -> None:
    with pytest.raises(ValueError, match="at_us"):
        Entry(kind=EntryKind.ALARM, at_us=at_us)


def test_a_negative_turn_is_refused() -> None:
    with pytest.raises(ValueError, match="turn"):
        Entry(kind=EntryKind.ALARM, at_us=0, turn=-1)


@pytest.mark.parametrize(
    ("column", "value"),
    [("kind", "nonsense"), ("kind", 7), ("at_us", "x"), ("detail", "[1]"), ("holds", "nobody")],
)
def test_a_row_that_turnrec_never_wrote_is_an_error(column: str, value: JSON) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        from_columns({**to_columns(entry()), column: value})
