"""All checks together: what breaks is not checked, what is said is calm, and no secret is in it."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from tools.draw_doctor import DOCS, drawn

from tests.unit.doctor.house import House
from turnrec.asterisk.ami import AmiTimeoutError
from turnrec.doctor.checks import CHECKS
from turnrec.doctor.finding import Area, Check, Finding, Status, ok, problem, warning
from turnrec.doctor.look import Look
from turnrec.doctor.run import Checked, examine, worst
from turnrec.doctor.show import document, page


def check_of(check_id: str, finding: Finding | Exception) -> Check:
    async def run(_: Look) -> Finding:
        if isinstance(finding, Exception):
            raise finding
        return finding

    return Check(check_id, Area.FILES, "It is so.", "Make it so.", run)


BROKEN = check_of("broken", ValueError("s3cret"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("s3cret"), "the check itself broke (ValueError)"),
        (PermissionError(13, "Permission denied", "/x"), "Permission denied: /x"),
        (AmiTimeoutError("no answer"), "no answer [ami-timeout]"),
    ],
)
async def test_a_check_that_breaks_is_not_checked_and_the_next_goes_on(
    house: House, error: Exception, said: str
) -> None:
    found = await examine(house, checks=[check_of("one", error), check_of("two", ok("fine"))])
    assert [one.finding.status for one in found] == [Status.NOT_CHECKED, Status.OK]
    assert found[0].finding.sentence == said


async def test_what_is_skipped_is_not_run(house: House) -> None:
    (found,) = await examine(house, {"broken"}, [BROKEN])
    assert found.finding.sentence == "skipped, as asked"


async def test_all_checks_on_an_empty_installation_break_nowhere(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.has_command = False
    found = await examine(house)
    assert not [one for one in found if "itself broke" in one.finding.sentence and not _fake(one)]
    assert len(found) == len(CHECKS)
    assert caplog.records == []


def _fake(one: Checked) -> bool:
    """The captured Asterisk knows only what was captured; that it says so is no check's fault."""
    return "AssertionError" in one.finding.sentence


async def test_without_an_asterisk_nothing_is_logged_beside_the_findings(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "turnrec.toml"
    config.write_text('[asterisk]\nami_port = 1\nami_secret = "s3cret"\n', "utf-8")
    from turnrec.config import load_settings

    look = Look(lambda: load_settings(config, {}), config, "/nonexistent/asterisk")
    found = {one.check.id: one.finding for one in await examine(look)}
    assert found["ami-login"].status is Status.PROBLEM
    assert found["modules"].status is Status.NOT_CHECKED
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("turnrec").propagate


# ------------------------------------------------------------------ what is shown

FINE = Checked(check_of("fine", BROKEN_ERROR := ValueError()), ok("in order"))
WARNED = Checked(check_of("warned", BROKEN_ERROR), warning("a bit\x1b[31m odd", "do this"))
WRONG = Checked(check_of("wrong", BROKEN_ERROR), problem("word " * 40, "paste " * 30 + "end"))
ASIDE = Checked(check_of("aside", BROKEN_ERROR), Finding(Status.NOT_CHECKED, "no reason"))


def shown(found: list[Checked], width: int | None = None, *, verbose: bool = False) -> list[str]:
    return [line.plain for line in page(found, width, verbose=verbose)]


def test_nothing_to_do_is_one_line() -> None:
    assert shown([FINE]) == ["nothing to do: 1 check in order"]
    assert shown([FINE, ASIDE]) == [
        "nothing to do: 1 check in order, 1 not checked (--verbose says why)"
    ]


def test_only_what_is_to_be_done_is_shown() -> None:
    lines = "\n".join(shown([FINE, WARNED, ASIDE]))
    assert "warned" in lines
    assert "→ do this" in lines
    assert "fine" not in lines
    assert lines.endswith("1 warning; 1 check in order, 1 not checked (--verbose says why)")


def test_verbose_shows_all() -> None:
    lines = "\n".join(shown([FINE, WARNED, WRONG, ASIDE], verbose=True))
    assert all(name in lines for name in ("fine", "warned", "wrong", "not checked: no reason"))


def test_a_sentence_is_folded_for_a_terminal_and_what_is_to_be_pasted_never() -> None:
    lines = shown([WRONG], 80)
    assert max(len(line) for line in lines if "paste" not in line) <= 80
    assert sum("paste" in line for line in lines) == 1
    assert not [line for line in shown([WRONG], None) if line.startswith(" ") and "word" not in line
                and "paste" not in line]  # fmt: skip


def test_nothing_that_was_found_steers_the_terminal() -> None:
    assert "\x1b" not in "".join(shown([WARNED]))


def test_the_worst_decides() -> None:
    assert worst([FINE, ASIDE]) is Status.OK
    assert worst([FINE, WARNED]) is Status.WARNING
    assert worst([WARNED, WRONG]) is Status.PROBLEM


def test_scripts_get_all_of_it() -> None:
    found = json.loads(json.dumps(document([WRONG, FINE])))
    assert found["status"] == "problem"
    assert [one["status"] for one in found["checks"]] == ["problem", "ok"]
    assert found["checks"][0]["cure"] == list(WRONG.finding.cure)


# ------------------------------------------------------------------ the table


def test_ids_are_one_word_and_each_is_there_once() -> None:
    ids = [check.id for check in CHECKS]
    assert len({*ids}) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", one) for one in ids)


def test_checks_of_an_area_stand_together() -> None:
    areas = [check.area for check in CHECKS]
    assert areas == sorted(areas, key=list(Area).index)


def test_the_docs_are_the_tables() -> None:
    assert DOCS.read_text("utf-8") == drawn(), "run: .venv/bin/python -m tools.draw_doctor"
