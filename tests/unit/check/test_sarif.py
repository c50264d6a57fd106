"""The SARIF that is written has SARIF 2.1.0's structure, and points at the file's own lines.

The schema below is that of the parts that are used, from the standard's chapters 3.13 to 3.58, with
nothing else allowed; the standard's own schema is 120 kB, and no package has it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest

from turnrec.check.findings import RULES
from turnrec.check.run import check_file
from turnrec.check.sarif import as_sarif

FLOWS = Path(__file__).parent / "flows"


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


def _array(items: Any, at_least: int = 0) -> dict[str, Any]:
    return {"type": "array", "minItems": at_least, "items": items}


_TEXT: Final = {"type": "string", "minLength": 1}
_COUNT: Final = {"type": "integer", "minimum": 1}
_LEVEL: Final = {"enum": ["none", "note", "warning", "error"]}
_MESSAGE: Final = _object("text", text=_TEXT)
_ARTIFACT: Final = _object(
    "uri", uri={"type": "string", "format": "uri-reference"}, uriBaseId=_TEXT
)
_PHYSICAL: Final = _object(
    "artifactLocation",
    artifactLocation=_ARTIFACT,
    region=_object("startLine", startLine=_COUNT, startColumn=_COUNT),
)
_LOCATION: Final = _object(
    "physicalLocation",
    physicalLocation=_PHYSICAL,
    message=_MESSAGE,
    logicalLocations=_array(_object("fullyQualifiedName", fullyQualifiedName=_TEXT, kind=_TEXT)),
)
_RULE: Final = _object(
    "id",
    id=_TEXT,
    name={"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
    shortDescription=_MESSAGE,
    help=_MESSAGE,
    defaultConfiguration=_object("level", level=_LEVEL),
)
_FLOW: Final = _object(
    "threadFlows",
    threadFlows=_array(
        _object("locations", locations=_array(_object("location", location=_LOCATION), 1)), 1
    ),
)
_RESULT: Final = _object(
    "ruleId ruleIndex level message locations partialFingerprints",
    ruleId=_TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=_LEVEL,
    message=_MESSAGE,
    locations=_array(_LOCATION, 1),
    codeFlows=_array(_FLOW, 1),
    partialFingerprints={"type": "object", "additionalProperties": _TEXT},
)
_NOTIFICATION: Final = _object(
    "message", level=_LEVEL, message=_MESSAGE, locations=_array(_LOCATION)
)
_RUN: Final = _object(
    "tool results",
    tool=_object(
        "driver",
        driver=_object(
            "name",
            name=_TEXT,
            version=_TEXT,
            semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
            rules=_array(_RULE),
        ),
    ),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    artifacts=_array(_object("location", location=_ARTIFACT)),
    invocations=_array(
        _object(
            "executionSuccessful",
            executionSuccessful={"type": "boolean"},
            toolExecutionNotifications=_array(_NOTIFICATION),
        )
    ),
    results=_array(_RESULT),
)
SCHEMA: Final = _object(
    "version runs",
    **{"$schema": {"type": "string", "format": "uri"}},
    version={"const": "2.1.0"},
    runs=_array(_RUN, 1),
)


@pytest.fixture
def everything(tmp_path: Path) -> dict[str, Any]:
    """What is said of all the flows there are here, and of two that can't be read."""
    no_flow = tmp_path / "no flow#1.yaml"
    no_flow.write_text("bots: {kyc: {nodes: {ask: {action: puase}}}}\n")
    paths = [*sorted(FLOWS.glob("*/*.yaml")), no_flow, tmp_path / "missing.yaml"]
    made: dict[str, Any] = json.loads(json.dumps(as_sarif([check_file(path) for path in paths])))
    return made


def test_it_has_the_standards_structure(everything: dict[str, Any]) -> None:
    validator = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)
    assert [str(error) for error in validator.iter_errors(everything)] == []


def test_every_result_names_a_rule_by_its_place_in_the_list(everything: dict[str, Any]) -> None:
    (run,) = everything["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        rule = rules[result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert rule["defaultConfiguration"]["level"] == result["level"]
    assert {result["ruleId"] for result in run["results"]} == RULES.keys()


def test_a_path_ends_at_what_it_shows(everything: dict[str, Any]) -> None:
    shown = [result for result in everything["runs"][0]["results"] if "codeFlows" in result]
    assert shown
    for result in shown:
        if result["ruleId"] not in {"sensitive-recorded", "pause-not-resumed-here"}:
            continue
        last = result["codeFlows"][0]["threadFlows"][0]["locations"][-1]["location"]
        assert last["physicalLocation"] == result["locations"][0]["physicalLocation"]


def test_a_file_that_is_no_flow_is_a_result_and_not_a_success(everything: dict[str, Any]) -> None:
    (run,) = everything["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False
    invalid = [one for one in run["results"] if one["ruleId"] == "flow-invalid"]
    places = [one["locations"][0]["physicalLocation"] for one in invalid]
    assert [place["artifactLocation"]["uri"].rpartition("/")[2] for place in places] == [
        "no%20flow%231.yaml",
        "no%20flow%231.yaml",
        "missing.yaml",
    ]
    assert ["region" in place for place in places] == [True, True, False]


def test_names_of_files_are_relative_to_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FLOWS)
    made = as_sarif([check_file(Path("planted/14_unreachable.yaml"))])
    assert made["runs"][0]["artifacts"] == [
        {"location": {"uri": "planted/14_unreachable.yaml", "uriBaseId": "%SRCROOT%"}}
    ]


def test_a_finding_is_known_again_when_the_lines_above_it_change(tmp_path: Path) -> None:
    text = (FLOWS / "planted" / "14_unreachable.yaml").read_text("utf-8")
    prints = []
    for before in ("", "# a line\n# and another\n"):
        path = tmp_path / "flow.yaml"
        path.write_text(before + text)
        (run,) = as_sarif([check_file(path)])["runs"]
        prints.append([one["partialFingerprints"] for one in run["results"]])
    assert prints[0] == prints[1]
    assert prints[0][0] != prints[0][1]
