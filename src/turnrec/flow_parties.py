"""Reads the flow file's `parties`: by what an operator tells agents from bots; it asks no channel.

What the rules mean is in `turnrec.core.parties`.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Final

import yaml

from turnrec.core.parties import PartyClass, PartyRule
from turnrec.flow_yaml import Checker, is_empty, quoted, shown

_CLASS: Final = "class"
_CRITERIA: Final = tuple(one.name for one in fields(PartyRule) if one.name != "party")
_LOOKED_AT: Final = tuple(name for name in _CRITERIA if name != "value")
# AMI's Getvar takes a function too. Where the name comes from decides what Asterisk runs, so it is
# the operator's file alone, and no more than a name.
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}(?:\([A-Za-z0-9_.,:-]{0,79}\))?")


def party_rules(check: Checker, node: yaml.Node | None) -> tuple[PartyRule, ...]:
    """Return the rules that are sound, in their order; the others' mistakes are noted."""
    if node is not None and is_empty(node):
        return ()
    rules = []
    lines: dict[tuple[str, ...], int] = {}  # of each rule's criteria
    for item in check.items(node, "parties", "'- class: agent' lines"):
        rule = _rule(check, item)
        if rule is None:
            continue
        criteria = tuple(getattr(rule, name) for name in _CRITERIA)
        line = lines.setdefault(criteria, item.start_mark.line + 1)
        if line != item.start_mark.line + 1:
            check.note(item, f"never reached: the party in line {line} is known by the same")
        rules.append(rule)
    return tuple(rules)


def _rule(check: Checker, item: yaml.Node) -> PartyRule | None:
    if not isinstance(item, yaml.MappingNode):
        check.note(item, f"a party must be a mapping like {{class: agent, ...}}, not {shown(item)}")
        return None
    written = check.known(item, "a party", (_CLASS, *_CRITERIA), "party setting")
    if _CLASS not in written:
        classes = ", ".join(PartyClass)
        check.note(item, f"class is missing: say what this party is ({classes})")
    party = check.choice(written.get(_CLASS), _CLASS, PartyClass)
    criteria = {name: _criterion(check, name, written[name]) for name in _CRITERIA & written.keys()}
    if not criteria.keys() & set(_LOOKED_AT):
        *most, last = _LOOKED_AT
        names = f"{', '.join(most)} or {last}"
        check.note(item, f"nothing says who this is: give {names} ('*' is anybody)")
    if "value" in written and "variable" not in written:
        check.note(written["value"], "value goes with variable only: name the variable, too")
    return None if party is None else PartyRule(party, **criteria)


def _criterion(check: Checker, name: str, node: yaml.Node) -> str:
    word = check.word(node, name) or ""
    if name == "variable" and word and _VARIABLE.fullmatch(word) is None:
        check.note(
            node,
            f"variable must be the name of one, like TURNREC_PARTY or CHANNEL(accountcode), "
            f"not {quoted(word)}{_hint(word)}",
        )
    return word


def _hint(word: str) -> str:
    """What the name most likely meant, as the end of a message."""
    plain = word.removeprefix("${").removesuffix("}").lstrip("_")
    return f" (did you mean {plain!r}?)" if _VARIABLE.fullmatch(plain) else ""
