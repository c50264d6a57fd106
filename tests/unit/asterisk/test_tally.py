"""Who did what to a channel's monitors: ours are counted, whatever exceeds them is a stranger's."""

from __future__ import annotations

from turnrec.asterisk.tally import Deed, Tally

CHANNEL = "1790000000.1"


def test_our_own_commands_are_nobody_elses() -> None:
    tally = Tally()
    tally.ours(CHANNEL, Deed.START)
    assert not tally.seen(CHANNEL, Deed.START)
    assert tally.foreign(CHANNEL, Deed.START) == 0


def test_one_more_event_is_a_strangers_and_stays_known() -> None:
    tally = Tally()
    assert tally.seen(CHANNEL, Deed.START)
    tally.ours(CHANNEL, Deed.START)
    assert tally.seen(CHANNEL, Deed.START)
    assert tally.foreign(CHANNEL, Deed.START) == 1


def test_what_has_been_dealt_with_is_not_told_again() -> None:
    tally = Tally()
    tally.seen(CHANNEL, Deed.MUTE)
    tally.acknowledge(CHANNEL, Deed.MUTE)
    tally.ours(CHANNEL, Deed.MUTE)
    assert not tally.seen(CHANNEL, Deed.MUTE)


def test_a_refused_command_hides_no_stranger() -> None:
    tally = Tally()
    tally.ours(CHANNEL, Deed.MUTE)
    tally.undone(CHANNEL, Deed.MUTE)
    assert tally.seen(CHANNEL, Deed.MUTE)


def test_commands_while_ami_is_away_hide_no_stranger_and_known_ones_stay() -> None:
    tally = Tally()
    tally.seen(CHANNEL, Deed.START)
    tally.ours(CHANNEL, Deed.START)
    tally.seen(CHANNEL, Deed.START)
    tally.rest()
    for _ in range(3):
        tally.ours(CHANNEL, Deed.START)
    tally.begin()
    assert tally.foreign(CHANNEL, Deed.START) == 1
    assert tally.seen(CHANNEL, Deed.START)
    assert tally.foreign(CHANNEL, Deed.START) == 2


def test_nothing_is_left_of_a_channel_that_is_gone() -> None:
    tally = Tally()
    tally.ours(CHANNEL, Deed.START)
    tally.seen(CHANNEL, Deed.MUTE)
    tally.forget(CHANNEL)
    assert len(tally) == 0


def test_a_channel_whose_hang_up_nobody_told_of_is_forgotten_with_the_next_list() -> None:
    tally = Tally()
    tally.ours(CHANNEL, Deed.START)
    tally.seen("1790000000.2", Deed.START)
    tally.seen("1790000000.3", Deed.MUTE)
    tally.forget_all_but({CHANNEL, "1790000000.4"})
    assert len(tally) == 1
    assert not tally.seen(CHANNEL, Deed.START)
