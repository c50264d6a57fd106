"""The chain's definition, and that each way to tamper with it is found and named."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ledger.helpers import entry
from turnrec.ledger.chain import EMPTY, BreakKind, ChainBreak, ChainReport, Walk, link
from turnrec.ledger.entries import Columns, to_columns


def chain(length: int) -> list[Columns]:
    return list(link(EMPTY, [to_columns(entry(at_us=n, n=n)) for n in range(length)]))


def walk(rows: list[Columns]) -> ChainReport:
    walk = Walk()
    walk.over(rows)
    return walk.report()


def test_a_hash_is_what_the_documentation_says() -> None:
    first, second = chain(2)
    columns = {name: second[name] for name in second if name != "hash"}
    text = json.dumps(columns, sort_keys=True, separators=(",", ":"))

    assert (first["seq"], first["prev_hash"]) == (1, "0" * 64)
    assert (second["seq"], second["prev_hash"]) == (2, first["hash"])
    assert second["hash"] == hashlib.sha256(text.encode()).hexdigest()


def test_the_hash_of_a_known_entry_never_changes() -> None:
    # If this fails, every ledger in the field fails its verification.
    assert chain(1)[0]["hash"] == "bb63738063c15d5ae261ec7dfa09e18dddb701214923f20eedaef36de3bd64c2"


def test_an_untouched_chain_is_intact() -> None:
    rows = chain(5)
    report = walk(rows)

    assert report.intact
    assert (report.entries, report.head.seq, report.head.hash) == (5, 5, rows[-1]["hash"])


def test_an_empty_chain_is_intact() -> None:
    assert walk([]) == ChainReport(EMPTY, 0)


@given(st.integers(1, 9), st.data())
def test_links_do_not_depend_on_how_entries_were_batched(length: int, data: st.DataObject) -> None:
    whole = chain(length)
    cut = data.draw(st.integers(0, length))
    columns = [to_columns(entry(at_us=n, n=n)) for n in range(length)]
    first = link(EMPTY, columns[:cut])
    head = walk(list(first)).head

    assert [*first, *link(head, columns[cut:])] == whole


@pytest.mark.parametrize("column", sorted(set(chain(1)[0]) - {"seq", "prev_hash", "hash"}))
def test_an_edited_column_is_found_and_named(column: str) -> None:
    rows = chain(3)
    rows[1] = {**rows[1], column: "changed"}

    assert walk(rows).breaks == (ChainBreak(2, BreakKind.EDITED),)


def test_an_entry_edited_with_its_hash_made_anew_is_found_at_the_next() -> None:
    rows = chain(3)
    forged = link(walk(rows[:1]).head, [to_columns(entry(node="other"))])
    rows[1] = forged[0]

    assert walk(rows).breaks == (ChainBreak(3, BreakKind.UNLINKED),)


def test_a_removed_entry_is_found() -> None:
    rows = chain(3)
    del rows[1]

    assert walk(rows).breaks == (
        ChainBreak(3, BreakKind.MISSING),
        ChainBreak(3, BreakKind.UNLINKED),
    )


def test_a_removed_first_entry_is_found() -> None:
    assert ChainBreak(2, BreakKind.MISSING) in walk(chain(2)[1:]).breaks


def test_reordered_entries_are_found() -> None:
    rows = chain(3)
    rows[0] = {**rows[0], "seq": 2}
    rows[1] = {**rows[1], "seq": 1}

    breaks = walk([rows[1], rows[0], rows[2]]).breaks

    assert {found.seq for found in breaks} == {1, 2, 3}
