"""Reads what Asterisk answers about itself, and turnrec.conf; it asks nobody.

Asterisk's answers are the same in 16.28 and 22.10 (tests/unit/doctor/captured). Secrets in a
configuration are dropped here, before anybody else sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_PRIVILEGES: Final = re.compile(r"\(Priv: ([^)]*)\)\s*$")
_CATEGORY: Final = re.compile(r"Category-(\d+)")
_LINE: Final = re.compile(r"Line-(\d+)-\d+")
_SECRETS: Final = frozenset({"secret", "password", "pass", "md5_cred"})
_EXTEN: Final = re.compile(r"(?:exten|same)\s*=>?\s*(.*)")
_STEP: Final = re.compile(r"(\w+)(?:\((\w+)\))?,(\w+)(?:\((.*)\))?")
_STAMP: Final = re.compile(r"turnrec\.conf (\d+)")
_TRUE: Final = frozenset({"yes", "true", "y", "t", "1", "on"})

STAMP_CONTEXT: Final = "turnrec-version"
CONTEXTS: Final = re.compile(r"turnrec-[a-z-]+")
"""turnrec's own contexts; others may begin so too (a bot's)."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of one of Asterisk's files: its lines in order, without secrets."""

    name: str
    lines: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The last value of a name: Asterisk lets it win."""
        return next((value for key, value in reversed(self.lines) if key == name), None)

    def get_all(self, name: str) -> tuple[str, ...]:
        """All values of a name."""
        return tuple(value for key, value in self.lines if key == name)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the dialplan."""

    context: str
    exten: str
    priority: str
    application: str
    data: str

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.context},{self.exten},{self.priority}"


def is_true(word: str | None) -> bool:
    """Whether Asterisk takes a word for yes."""
    return word is not None and word.strip().lower() in _TRUE


def privileges(fields: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """The actions of `ListCommands`, each with the classes of which one suffices."""
    found = {}
    for name, about in fields:
        match = _PRIVILEGES.search(about)
        if match is not None:
            found[name] = frozenset(match[1].split(",")) - {"<none>"}
    return found


def sections(fields: Iterable[tuple[str, str]]) -> tuple[Section, ...]:
    """The sections of `GetConfig`."""
    names: dict[str, str] = {}
    lines: dict[str, list[tuple[str, str]]] = {}
    for field, text in fields:
        category, line = _CATEGORY.fullmatch(field), _LINE.fullmatch(field)
        if category is not None:
            names[category[1]] = text
        elif line is not None:
            key, _, value = text.partition("=")
            if key.strip().lower() not in _SECRETS:
                lines.setdefault(line[1], []).append((key.strip(), value.strip()))
    return tuple(Section(name, tuple(lines.get(number, ()))) for number, name in names.items())


def table(text: str) -> dict[str, str]:
    """The `name: value` lines that Asterisk's CLI prints."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}


def plan_of(text: str) -> tuple[Step, ...]:
    """The steps of a dialplan file in the plain style of turnrec.conf."""
    steps: list[Step] = []
    context = exten = ""
    priority = 0
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            context = line[1 : line.index("]")]
        found = _EXTEN.fullmatch(line)
        if found is None:
            continue
        rest = found[1]
        if line.startswith("exten"):
            exten, _, rest = rest.partition(",")
            priority = 0
        step = _STEP.fullmatch(rest)
        if step is None:
            continue
        priority = priority + 1 if step[1] == "n" else int(step[1])
        steps.append(Step(context, exten, str(priority), step[3], step[4] or ""))
    return tuple(steps)


def by_context(steps: Iterable[Step]) -> Mapping[str, tuple[Step, ...]]:
    """The steps of each context, in order."""
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault(step.context, []).append(step)
    return {name: tuple(sorted(of, key=_order)) for name, of in found.items()}


def _order(step: Step) -> tuple[str, int]:
    return step.exten, int(step.priority) if step.priority.isdecimal() else 0


def stamp_of(steps: Iterable[Step]) -> int | None:
    """The version that turnrec.conf carries; None: it is older than any."""
    for step in steps:
        match = _STAMP.search(step.data) if step.context == STAMP_CONTEXT else None
        if match is not None:
            return int(match[1])
    return None
