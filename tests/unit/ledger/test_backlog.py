"""The backlog keeps order and bounds, and states every loss in its place."""

from __future__ import annotations

import pytest

from tests.unit.ledger.helpers import T0_US, entry
from turnrec.core.entry import EntryKind
from turnrec.ledger import LedgerClosedError, LedgerStalledError
from turnrec.ledger.backlog import Backlog
from turnrec.ledger.entries import Columns, from_columns, to_columns

LARGE = 10**9


def numbered(number: int) -> Columns:
    return to_columns(entry(at_us=number, number=number))


def take_all(backlog: Backlog) -> list[Columns]:
    return backlog.take(1000, gather_s=0)


def full_backlog() -> Backlog:
    """A backlog that holds entries 0 to 3 and has refused entry 4."""
    backlog = Backlog(limit_bytes=4 * 2100)
    for number in range(4):
        backlog.put(numbered(number))
    with pytest.raises(LedgerStalledError):
        backlog.put(numbered(4))
    return backlog


def test_entries_come_out_in_the_order_they_went_in() -> None:
    backlog = Backlog(LARGE)
    for number in range(5):
        backlog.put(numbered(number))

    assert backlog.take(3, gather_s=0) == [numbered(0), numbered(1), numbered(2)]
    assert take_all(backlog) == [numbered(3), numbered(4)]


def test_taking_waits_for_company_only_while_nobody_waits() -> None:
    backlog = Backlog(LARGE)
    backlog.put(numbered(0))
    backlog.call_when_settled(lambda: None)

    # Would hang the test if it waited.
    assert backlog.take(10, gather_s=3600) == [numbered(0)]


def test_a_full_batch_is_taken_at_once() -> None:
    backlog = Backlog(LARGE)
    backlog.put(numbered(0))
    backlog.put(numbered(1))

    assert len(backlog.take(2, gather_s=3600)) == 2


def test_what_is_taken_counts_until_it_is_settled() -> None:
    backlog = Backlog(LARGE)
    backlog.put(numbered(0))
    batch = take_all(backlog)
    assert backlog.depth == 1

    backlog.settle(batch)

    assert backlog.depth == 0


def test_a_callback_waits_for_what_was_there_before_it_and_for_no_more() -> None:
    backlog, called = Backlog(LARGE), []
    backlog.put(numbered(0))
    backlog.put(numbered(1))
    backlog.call_when_settled(lambda: called.append("both"))
    backlog.put(numbered(2))

    backlog.settle(backlog.take(1, gather_s=0))
    assert called == []
    backlog.settle(backlog.take(1, gather_s=0))
    assert called == ["both"]


def test_a_callback_on_an_empty_backlog_is_called_at_once() -> None:
    called: list[str] = []

    Backlog(LARGE).call_when_settled(lambda: called.append("now"))

    assert called == ["now"]


def test_a_full_backlog_refuses_until_half_of_it_is_settled() -> None:
    backlog = full_backlog()
    assert backlog.full

    backlog.settle(backlog.take(1, gather_s=0))
    with pytest.raises(LedgerStalledError):
        backlog.put(numbered(5))
    backlog.settle(backlog.take(1, gather_s=0))

    assert not backlog.full
    backlog.put(numbered(6))


def test_losses_are_stated_where_the_lost_entries_would_be() -> None:
    backlog = full_backlog()
    with pytest.raises(LedgerStalledError):
        backlog.put(to_columns(entry(EntryKind.ALARM, at_us=5)))
    backlog.settle(backlog.take(2, gather_s=0))
    backlog.put(numbered(6))

    rows = take_all(backlog)
    stated = from_columns(rows[2])

    assert [rows[0], rows[1], rows[3]] == [numbered(2), numbered(3), numbered(6)]
    assert stated.kind is EntryKind.ENTRY_LOST
    assert stated.result == "ledger-stalled"
    assert stated.detail == {
        "count": 2,
        "kinds": {"turn_begun": 1, "alarm": 1},
        "first_us": T0_US + 4,
        "last_us": T0_US + 5,
    }


def test_losses_are_stated_at_the_close_too() -> None:
    backlog = full_backlog()

    backlog.close()

    assert take_all(backlog)[-1]["kind"] == "entry_lost"


def test_an_entry_larger_than_the_limit_still_goes_into_an_empty_backlog() -> None:
    backlog = Backlog(limit_bytes=1)

    backlog.put(numbered(0))
    backlog.settle(take_all(backlog))
    backlog.put(numbered(1))

    assert not backlog.full


def test_a_closed_backlog_gives_what_it_has_then_nothing() -> None:
    backlog = Backlog(LARGE)
    backlog.put(numbered(0))
    backlog.close()

    with pytest.raises(LedgerClosedError):
        backlog.put(numbered(1))
    assert take_all(backlog) == [numbered(0)]
    assert take_all(backlog) == []
