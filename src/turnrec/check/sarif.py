"""Says what a check has found as SARIF 2.1.0, for code review; it finds nothing itself.

The format: "Static Analysis Results Interchange Format (SARIF) Version 2.1.0", OASIS, 2020.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from turnrec import __version__
from turnrec.check.findings import RULES, Finding, Visit
from turnrec.check.report import path_as_text
from turnrec.check.run import Checked
from turnrec.check.steps import Step
from turnrec.core.recorder import State
from turnrec.flow_places import Place

SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_ROOT: Final = "%SRCROOT%"
_RULE_NUMBERS: Final = {id_: number for number, id_ in enumerate(RULES)}
_IS: Final[Mapping[State, str]] = {
    State.INACTIVE: "not recorded",
    State.RECORDING: "recorded",
    State.PAUSED: "paused",
    State.STOPPED: "stopped for good",
    State.ENDED: "over",
}


def as_sarif(checked: Sequence[Checked]) -> dict[str, Any]:
    """One run over all files."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "turnrec check",
                        "version": __version__,
                        "semanticVersion": __version__,
                        "rules": [_rule(id_) for id_ in RULES],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "artifacts": [{"location": _artifact(one.file)} for one in checked],
                "invocations": [
                    {
                        "executionSuccessful": all(one.is_readable for one in checked),
                        "toolExecutionNotifications": [
                            {
                                "level": "note",
                                "message": {"text": f"Not checked: {note.bot}: {note.sentence}."},
                                "locations": [{"physicalLocation": _at(note.file, note.place)}],
                            }
                            for one in checked
                            for note in one.unchecked
                        ],
                    }
                ],
                "results": [_result(found) for one in checked for found in one.findings],
            }
        ],
    }


def _rule(id_: str) -> dict[str, Any]:
    rule = RULES[id_]
    return {
        "id": id_,
        "name": "".join(word.capitalize() for word in id_.split("-")),
        "shortDescription": {"text": _as_sentence(rule.short)},
        "help": {"text": rule.cure},
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _result(finding: Finding) -> dict[str, Any]:
    about = "" if finding.bot is None else f"{finding.bot}: "
    text = _as_sentence(f"{about}{finding.sentence}")
    if finding.path:
        text += f" Path: {path_as_text(finding.path)}."
    location: dict[str, Any] = {"physicalLocation": _at(finding.file, finding.place)}
    if finding.bot is not None:
        name = finding.bot if finding.node is None else f"{finding.bot}/{finding.node}"
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "element"}]
    result: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": _RULE_NUMBERS[finding.id],
        "level": finding.severity.value,
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"turnrecFinding/v1": _fingerprint(finding)},
    }
    if finding.path:
        steps = [_step(finding.file, visit) for visit in finding.path]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    return result


def _step(file: str, visit: Visit) -> dict[str, Any]:
    who = f"an agent talks in {visit.node}" if visit.step is Step.AGENT else visit.node
    return {
        "location": {
            "physicalLocation": _at(file, visit.place),
            "message": {"text": f"{who}: {_IS[visit.state]}"},
        }
    }


def _at(file: str, place: Place | None) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": _artifact(file)}
    if place is not None:
        location["region"] = {"startLine": place.line, "startColumn": place.column}
    return location


def _artifact(file: str) -> dict[str, str]:
    path = PurePath(file)
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix()), "uriBaseId": _ROOT}


def _fingerprint(finding: Finding) -> str:
    """The same finding in the next version of the file, whatever its line."""
    words = (finding.id, finding.bot or "", finding.node or "")
    about = words if finding.bot else (*words, finding.sentence)
    return hashlib.sha256("\0".join(about).encode()).hexdigest()[:32]


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if not text.endswith(".") else text
