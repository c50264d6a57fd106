"""A log line: one JSON object, with what was given and nothing of whom it is about."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from turnrec.logs import JsonFormatter, set_up
from turnrec.settings import LogFormat, LogLevel, LogSettings


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_record_is_one_line_of_json_with_its_extra_fields() -> None:
    record = logging.makeLogRecord(
        {
            "name": "turnrec",
            "levelname": "ERROR",
            "msg": "two\nlines %d",
            "args": (7,),
            "call": "C1",
        }
    )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    fields = json.loads(line)
    assert fields.pop("at").endswith("+00:00")
    assert fields == {
        "level": "error",
        "logger": "turnrec",
        "message": "two\nlines 7",
        "call": "C1",
    }


def test_an_exception_is_in_its_line() -> None:
    error = ValueError("broken")
    record = logging.getLogger().makeRecord(
        "turnrec", logging.ERROR, __file__, 1, "x", (), (ValueError, error, None)
    )
    assert "ValueError: broken" in json.loads(JsonFormatter().format(record))["exception"]


@pytest.mark.parametrize("form", list(LogFormat))
def test_below_the_level_nothing_is_logged(
    form: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(LogSettings(level=LogLevel.WARNING, format=form))
    logging.getLogger("turnrec").info("quiet")
    logging.getLogger("turnrec").warning("loud")
    written = capsys.readouterr().err
    assert "loud" in written
    assert "quiet" not in written


def test_a_library_that_logs_whole_messages_is_kept_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """panoramisk writes each AMI message, digits and all, to its log at debug."""
    set_up(LogSettings(level=LogLevel.DEBUG, format=LogFormat.CONSOLE))
    logging.getLogger("panoramisk.manager").debug("Digit: 4")
    assert capsys.readouterr().err == ""
