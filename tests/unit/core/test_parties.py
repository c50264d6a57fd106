"""Who a leg is: the first rule that fits, and what a whole company comes to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnrec.core.bridges import Leg
from turnrec.core.parties import (
    BUILTIN_RULES,
    PRECEDENCE,
    PartyClass,
    PartyRule,
    classify,
    classify_company,
    variables_for,
)

AGENT, BOT = PartyClass.AGENT, PartyClass.BOT
LEG = Leg("1.2", "PJSIP/agent-00000002", "agents", "300", queue="support")


@pytest.mark.parametrize(
    "rule",
    [
        PartyRule(AGENT, channel="PJSIP/agent-*"),
        PartyRule(AGENT, channel="PJSIP/agent-????????"),
        PartyRule(AGENT, context="agents"),
        PartyRule(AGENT, exten="[1-3]00"),
        PartyRule(AGENT, queue="supp*"),
        PartyRule(AGENT, channel="*"),
        PartyRule(AGENT, variable="ROLE"),
        PartyRule(AGENT, variable="ROLE", value="hum*"),
        PartyRule(AGENT, channel="PJSIP/*", context="agents", queue="support", variable="ROLE"),
    ],
)
def test_a_rule_fits_when_all_that_it_says_matches(rule: PartyRule) -> None:
    assert classify(LEG, [rule], {"ROLE": "human"}) is AGENT


@pytest.mark.parametrize(
    "rule",
    [
        PartyRule(AGENT, channel="pjsip/agent-*"),
        PartyRule(AGENT, channel="PJSIP/agent"),
        PartyRule(AGENT, channel="PJSIP/*", context="bots"),
        PartyRule(AGENT, queue="sales"),
        PartyRule(AGENT, exten="30"),
        PartyRule(AGENT, variable="OTHER"),
        PartyRule(AGENT, variable="ROLE", value="robot"),
        PartyRule(AGENT, context="bots", variable="ROLE"),
        PartyRule(AGENT),
        PartyRule(AGENT, value="human"),
    ],
)
def test_a_rule_fits_nobody_when_anything_of_it_does_not(rule: PartyRule) -> None:
    assert classify(LEG, [rule], {"ROLE": "human"}) is PartyClass.UNKNOWN


def test_the_first_rule_that_fits_decides() -> None:
    rules = [
        PartyRule(BOT, context="b*"),
        PartyRule(BOT, context="a*"),
        PartyRule(AGENT, exten="*"),
    ]
    assert classify(LEG, rules, {}) is BOT
    assert classify(LEG, rules[::-1], {}) is AGENT


def test_a_queue_that_is_asked_for_must_have_called() -> None:
    rule = PartyRule(AGENT, queue="*")
    assert classify(Leg("1", "PJSIP/x-1"), [rule], {}) is AGENT, "'*' is any queue, and none"
    assert classify(Leg("1", "PJSIP/x-1"), [PartyRule(AGENT, queue="?*")], {}) is not AGENT


@pytest.mark.parametrize(
    "name",
    [
        "Announcer/ARI-00000001;2",
        "Recorder/ARI-00000001;2",
        "CBAnn/room-00000001;2",
        "CBRec/room-1",
    ],
)
def test_what_asterisk_plays_or_records_with_is_an_announcement(name: str) -> None:
    assert classify(Leg("1", name), [], {}) is PartyClass.ANNOUNCEMENT


@pytest.mark.parametrize("party", list(PartyClass))
def test_the_dialplan_may_say_who_a_leg_is(party: PartyClass) -> None:
    assert classify(LEG, [], {"TURNREC_PARTY": party.value}) is party


def test_an_operators_rule_comes_before_what_the_dialplan_says() -> None:
    rules = [PartyRule(BOT, context="agents")]
    assert classify(LEG, rules, {"TURNREC_PARTY": "agent"}) is BOT


def test_a_word_that_the_dialplan_got_wrong_says_nothing() -> None:
    assert classify(LEG, [], {"TURNREC_PARTY": "Agent"}) is PartyClass.UNKNOWN


# -- what has to be asked ------------------------------------------------------------------------


def test_nothing_is_asked_where_a_rule_decides_without() -> None:
    assert variables_for(LEG, [PartyRule(BOT, context="agents")]) == ()
    assert variables_for(Leg("1", "CBAnn/x;2"), []) == ()


def test_only_what_could_decide_before_is_asked_and_each_once() -> None:
    rules = [
        PartyRule(BOT, context="bots", variable="NEVER"),
        PartyRule(BOT, variable="ROLE", value="robot"),
        PartyRule(AGENT, variable="ROLE", value="human"),
        PartyRule(AGENT, exten="300", variable="SHIFT"),
        PartyRule(AGENT, queue="support"),
        PartyRule(BOT, variable="LATE"),
    ]
    assert variables_for(LEG, rules) == ("ROLE", "SHIFT")
    assert variables_for(Leg("1", "PJSIP/x-1"), rules) == ("ROLE", "LATE", "TURNREC_PARTY")


words = st.sampled_from(["", "a", "b", "*", "?", "a*"])
rules = st.builds(PartyRule, st.sampled_from(PartyClass), words, words, words, words, words, words)


@given(
    st.lists(rules, max_size=5),
    st.builds(Leg, st.just("1"), words, words, words, st.just(""), words),
    st.dictionaries(st.sampled_from(["a", "b", "a*", "TURNREC_PARTY"]), words),
)
def test_what_is_not_asked_decides_nothing(
    operators: list[PartyRule], leg: Leg, variables: dict[str, str]
) -> None:
    asked = variables_for(leg, operators)
    known = {name: variables.get(name, "") for name in asked}
    assert classify(leg, operators, known) is classify(leg, operators, variables)


# -- a company -----------------------------------------------------------------------------------


def companies() -> Sequence[tuple[PartyClass, ...]]:
    sizes = range(1, len(PartyClass) + 1)
    return list(chain.from_iterable(combinations(PartyClass, size) for size in sizes))


@pytest.mark.parametrize("company", companies())
def test_an_agent_is_never_hidden_by_others_nor_the_unknown_by_bots(
    company: tuple[PartyClass, ...],
) -> None:
    whole = classify_company(company)
    assert whole in company
    assert (whole is AGENT) == (AGENT in company)
    if AGENT not in company and PartyClass.UNKNOWN in company:
        assert whole is PartyClass.UNKNOWN
    if whole in (BOT, PartyClass.ANNOUNCEMENT):
        assert set(company) <= {BOT, PartyClass.ANNOUNCEMENT}


def test_nobody_is_no_class() -> None:
    assert classify_company([]) is None


def test_every_class_has_its_place_and_every_built_in_rule_can_fit() -> None:
    assert sorted(PRECEDENCE) == sorted(PartyClass)
    assert all(rule.channel or rule.variable for rule in BUILTIN_RULES)
