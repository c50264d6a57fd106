"""Twenty flows with planted mistakes, each found at its line; twenty sound ones, without an alarm.

A planted file says at the line what is to be found there: `# finds: id, id`. Nothing else may be.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from turnrec.check.findings import RULES
from turnrec.check.run import check_file, exit_status

FLOWS = Path(__file__).parent / "flows"
PLANTED = sorted((FLOWS / "planted").glob("*.yaml"))
SOUND = sorted((FLOWS / "sound").glob("*.yaml"))
POLICIES = {"guard_ms", "unknown_node", "others", "max_pause_action"}
SHIPPED = sorted((Path(__file__).parents[3] / "asterisk-conf").glob("flow.*.yaml"))


def planted(path: Path) -> set[tuple[int, str]]:
    """What a file says is to be found, by line."""
    return {
        (number, id_)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if (found := re.search(r"# finds: (.*)", line))
        for id_ in found[1].split(", ")
    }


def test_there_are_twenty_of_each() -> None:
    assert len(PLANTED) == 20
    assert len(SOUND) == 20
    assert all(map(planted, PLANTED))


@pytest.mark.parametrize("path", PLANTED, ids=lambda path: path.stem)
def test_every_planted_mistake_is_found_at_its_line_and_nothing_else(path: Path) -> None:
    found = [(one.place.line, one.id) for one in check_file(path).findings if one.place]
    assert sorted(found) == sorted(planted(path))


@pytest.mark.parametrize("path", PLANTED, ids=lambda path: path.stem)
def test_a_finding_points_at_the_key_that_it_is_about(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    for one in check_file(path).findings:
        assert one.place is not None
        key = re.match(r"\w+", lines[one.place.line - 1][one.place.column - 1 :])
        assert key is not None
        assert key[0] == one.node or key[0] in {"action", "new", "transfer", *POLICIES}


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.stem)
def test_a_sound_flow_raises_no_alarm(path: Path) -> None:
    checked = check_file(path)
    assert checked.findings == ()
    assert exit_status([checked], strict=True) == 0


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_flows_that_are_shipped_are_clean(path: Path) -> None:
    checked = check_file(path)
    assert checked.findings == ()
    assert checked.unchecked == ()


def test_every_rule_is_planted_somewhere() -> None:
    ids = {id_ for path in PLANTED for _, id_ in planted(path)}
    assert ids == RULES.keys() - {"flow-invalid"}


def test_errors_end_with_one_and_warnings_only_when_asked_for() -> None:
    by_name = {path.stem: check_file(path) for path in PLANTED}
    error, warning = by_name["01_forgotten_resume"], by_name["14_unreachable"]
    assert exit_status([error], strict=False) == 1
    assert exit_status([warning], strict=False) == 0
    assert exit_status([warning], strict=True) == 1
    assert exit_status([warning, error], strict=False) == 1


def test_what_is_no_flow_ends_with_two(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text("version: 1\nbots: {kyc: {nodes: {ask: {action: puase, next: [gone]}}}}\n")
    checked = check_file(path)
    assert exit_status([checked, check_file(PLANTED[0])], strict=False) == 2
    assert [(one.id, one.place and one.place.line) for one in checked.findings] == [
        ("flow-invalid", 2),
        ("flow-invalid", 2),
    ]
    missing = check_file(tmp_path / "none.yaml")
    assert exit_status([missing], strict=False) == 2
    assert [one.place for one in missing.findings] == [None]
