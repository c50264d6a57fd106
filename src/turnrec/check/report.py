"""Says what a check has found, as text for people and JSON for machines; it looks at no flow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from turnrec.check.findings import RULES, Finding, Severity, Visit
from turnrec.check.run import Checked
from turnrec.check.steps import Step
from turnrec.check.walk import is_drawn
from turnrec.core.recorder import State

FORMAT_VERSION: Final = 1
_LONGEST_PATH: Final = 12
_ARROWS: Final = {
    Step.TURN: " → ",
    Step.AGENT: " → ",
    Step.UNANSWERED: " → (nobody answers) → ",
    Step.BACK: " → (back) → ",
}


def as_text(checked: Sequence[Checked]) -> Iterator[str]:
    """Yield lines: one for each finding with the path that shows it, and a sum for each file."""
    for one in checked:
        for finding in one.findings:
            yield f"{_place(finding)}: {finding.severity}: {_sentence(finding)} [{finding.id}]"
            if finding.path:
                yield f"    path: {path_as_text(finding.path)}"
            if finding.id != "flow-invalid":
                yield f"    cure: {RULES[finding.id].cure}"
        for note in one.unchecked:
            place = f"{note.file}:{note.place.line}:{note.place.column}"
            yield f"{place}: not checked: {note.bot}: {note.sentence}"
        yield f"{one.file}: {_sum(one)}"


def path_as_text(path: Sequence[Visit]) -> str:
    """A path in one line: each node with where the recorder stands, where that has changed."""
    words: list[str] = []
    last: State | None = None
    for visit in path:
        name = "an agent" if visit.step is Step.AGENT else visit.node
        state = f" ({visit.state})" if visit.state is not last else ""
        words.append((_ARROWS[visit.step] if words else "") + name + state)
        last = visit.state
    if len(words) > _LONGEST_PATH:
        left_out = len(words) - _LONGEST_PATH
        half = _LONGEST_PATH // 2
        words[half:-half] = [f" → ... {left_out} more"]
    return "".join(words)


def path_to_simulate(path: Sequence[Visit]) -> str | None:
    """A path as `turnrec simulate --path` takes it; None where there is none."""
    forms = {Step.AGENT: "@agent", Step.UNANSWERED: "@noanswer,{0}"}
    return ",".join(forms.get(one.step, "{0}").format(one.node) for one in path) or None


def as_document(checked: Sequence[Checked], status: int) -> dict[str, Any]:
    """What was found, for machines."""
    return {
        "version": FORMAT_VERSION,
        "exit_status": status,
        "files": [
            {
                "file": one.file,
                "readable": one.is_readable,
                "errors": one.errors,
                "warnings": one.warnings,
                "findings": [_finding(finding) for finding in one.findings],
                "not_checked": [
                    {
                        "bot": note.bot,
                        "line": note.place.line,
                        "column": note.place.column,
                        "sentence": note.sentence,
                    }
                    for note in one.unchecked
                ],
                "bots": list(_bots(one)),
            }
            for one in checked
        ],
    }


def _bots(checked: Checked) -> Iterator[dict[str, Any]]:
    """How each node is recorded, on all paths: the data of the picture."""
    for walk in checked.walks:
        known = is_drawn(walk.bot)
        situations = walk.situations() if known else {}
        yield {
            "bot": walk.bot.name,
            "order_known": known,
            "nodes": [
                {
                    "node": node.name,
                    "sensitive": node.sensitive,
                    "states": sorted({one.recorder.state for one in situations.get(number, ())}),
                }
                for number, node in enumerate(walk.nodes)
            ],
        }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity,
        "line": finding.place and finding.place.line,
        "column": finding.place and finding.place.column,
        "bot": finding.bot,
        "node": finding.node,
        "sentence": finding.sentence,
        "cure": RULES[finding.id].cure,
        "path": [
            {"node": visit.node, "step": visit.step, "state": visit.state} for visit in finding.path
        ],
        "simulate": path_to_simulate(finding.path),
    }


def _place(finding: Finding) -> str:
    place = finding.place
    return finding.file if place is None else f"{finding.file}:{place.line}:{place.column}"


def _sentence(finding: Finding) -> str:
    return finding.sentence if finding.bot is None else f"{finding.bot}: {finding.sentence}"


def _sum(checked: Checked) -> str:
    if not checked.is_readable:
        return f"no flow: {_count(len(checked.findings), 'mistake')}"
    nodes = sum(len(walk.nodes) for walk in checked.walks)
    what = f"{_count(len(checked.walks), 'bot')}, {_count(nodes, 'node')}"
    found = {Severity.ERROR: checked.errors, Severity.WARNING: checked.warnings}
    counts = [_count(number, word) for word, number in found.items() if number]
    said = ", ".join(counts) or "nothing found"
    partly = " (not everything can be checked)" if checked.unchecked else ""
    return f"{said} in {what}{partly}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def summary(checked: Iterable[Checked]) -> Iterator[str]:
    """A line for each file."""
    return (f"{one.file}: {_sum(one)}" for one in checked)
