"""Checks one flow file: reads it, has each bot looked at, and gathers what was found, in order."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from turnrec.check.any_order import AnyOrder
from turnrec.check.findings import Finding, Severity, Unchecked
from turnrec.check.paths import Paths
from turnrec.check.policies import contradictions
from turnrec.check.walk import Walk, is_drawn
from turnrec.core.policy import Bot, Flow
from turnrec.flow import FlowError, parse_flow_and_places, read_flow
from turnrec.flow_places import Place, Places


@dataclass(frozen=True, slots=True)
class Checked:
    """One file, and what was found in it."""

    file: str
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...] = ()
    walks: tuple[Walk, ...] = ()
    """Each bot's. Of one whose order isn't known, no path is said to be possible."""
    is_readable: bool = True

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(one.severity is Severity.ERROR for one in self.findings)

    @property
    def warnings(self) -> int:
        """How many findings are warnings."""
        return len(self.findings) - self.errors


def exit_status(checked: Sequence[Checked], *, strict: bool) -> int:
    """0: clean. 1: errors, or with `strict` anything. 2: some file is no flow."""
    if not all(one.is_readable for one in checked):
        return 2
    return int(any(one.errors or (strict and one.warnings) for one in checked))


def check_file(path: Path) -> Checked:
    """Check a file; one that can't be read, or is no flow, is what was found."""
    try:
        flow, places = read_flow(path)
    except FlowError as error:
        return _unreadable(str(path), error)
    return check_flow(flow, places, str(path))


def check_text(data: bytes, file: str) -> Checked:
    """Check a flow's text; `file` is what it is called."""
    try:
        flow, places = parse_flow_and_places(data, file)
    except FlowError as error:
        return _unreadable(file, error)
    return check_flow(flow, places, file)


def check_flow(flow: Flow, places: Places, file: str) -> Checked:
    """Check a flow that was read."""
    findings: list[Finding] = []
    unchecked: list[Unchecked] = []
    walks = []
    for bot in flow.bots.values():
        walk = Walk(bot)
        walks.append(walk)
        place = functools.partial(places.of, "bots", bot.name, "nodes")
        if is_drawn(bot):
            findings += Paths(walk, file, place).findings()
        else:
            any_order = AnyOrder(bot, file, place)
            findings += any_order.findings()
            at = places.of("bots", bot.name)
            unchecked += [
                Unchecked(file, at, sentence, bot.name) for sentence in any_order.not_checked()
            ]
        findings += _contradictions(bot, flow, places, file)
    findings.sort(key=lambda one: (one.place or Place(0, 0), one.id, one.bot or ""))
    return Checked(file, tuple(findings), tuple(unchecked), tuple(walks))


def _contradictions(bot: Bot, flow: Flow, places: Places, file: str) -> Iterator[Finding]:
    def writes(policy: str) -> bool:
        return places.has("bots", bot.name, policy)

    anybody_limits = any(one.max_pause_s for one in flow.bots.values())
    for id_, policy, sentence in contradictions(bot, writes, anybody_limits):
        above = ("bots", bot.name) if writes(policy) else ("defaults",)
        yield Finding(id_, file, places.of(*above, policy), sentence, bot.name)


def _unreadable(file: str, error: FlowError) -> Checked:
    findings = tuple(
        Finding(
            "flow-invalid",
            file,
            Place(mistake.line, mistake.column) if mistake.line else None,
            mistake.message,
        )
        for mistake in error.mistakes
    )
    return Checked(file, findings, is_readable=False)
