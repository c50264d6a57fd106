"""An action's fields become exactly the lines that they say, or nothing is sent."""

from __future__ import annotations

import pytest

from turnrec.asterisk.ami_action import AmiAction
from turnrec.asterisk.ami_errors import AmiInvalidFieldError


async def test_lines_are_in_order_and_end_with_an_empty_one() -> None:
    action = AmiAction("Setvar", {"Channel": "PJSIP/a-1", "Variable": ["x=1", "y=é"]})
    assert (
        action.wire
        == (
            f"Action: Setvar\r\nActionID: {action.id}\r\n"
            "Channel: PJSIP/a-1\r\nVariable: x=1\r\nVariable: y=é\r\n\r\n"
        ).encode()
    )


async def test_every_action_has_an_id_of_its_own() -> None:
    assert len({AmiAction("Ping", {}).id for _ in range(100)}) == 100


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\0b", "\r\n", "\ud800"])
async def test_value_that_breaks_the_lines_is_refused_and_not_repeated(bad: str) -> None:
    with pytest.raises(AmiInvalidFieldError, match="Channel") as caught:
        AmiAction("MixMonitor", {"Channel": bad})
    assert caught.value.action == "MixMonitor"
    assert bad not in str(caught.value)


@pytest.mark.parametrize("bad", ["a\nb", "a:b", "", "a b", "é", "a\0"])
async def test_name_that_breaks_the_lines_is_refused(bad: str) -> None:
    with pytest.raises(AmiInvalidFieldError, match="invalid field name"):
        AmiAction("Setvar", {bad: "x"})


@pytest.mark.parametrize("bad", ["Ping\r\n\r\nAction: Originate", "Ping\n"])
async def test_action_name_that_breaks_the_lines_is_refused(bad: str) -> None:
    with pytest.raises(AmiInvalidFieldError):
        AmiAction(bad, {})


@pytest.mark.parametrize("name", ["ActionID", "actionid", "Action"])
async def test_id_and_action_cannot_be_set_from_outside(name: str) -> None:
    with pytest.raises(AmiInvalidFieldError, match="set by turnrec itself"):
        AmiAction("Setvar", {name: "x"})


async def test_line_that_asterisk_would_throw_away_is_refused() -> None:
    room = 1024 - len("Value: \r\n")
    AmiAction("Setvar", {"Value": "x" * room})
    with pytest.raises(AmiInvalidFieldError, match="too long"):
        AmiAction("Setvar", {"Value": "x" * (room + 1)})


async def test_secret_is_not_shown() -> None:
    action = AmiAction("Login", {"Secret": "hunter2"})
    assert "hunter2" not in f"{action} {action!r}"
