"""Asterisk itself, judged by what real ones answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.doctor.house import RELEASES, House, flow_of
from turnrec.doctor import asterisk
from turnrec.doctor.finding import NotCheckedError, Status

DEBIAN_22 = "22.10.1+dfsg+~cs6.17.60671434-1"
DEBIAN_16 = "16.28.0~dfsg-0+deb11u4"
OK = [("Response", "Success")]


@pytest.mark.parametrize("release", RELEASES)
async def test_a_real_asterisk_is_known(release: str, tmp_path: Path) -> None:
    found = await asterisk.version(House(tmp_path, release))
    assert found.status is Status.OK
    assert f"Asterisk {release}." in found.sentence


@pytest.mark.parametrize("version", ["13.38.3", "", "certified/none"])
async def test_an_asterisk_that_nobody_tried_is_a_problem(house: House, version: str) -> None:
    house.answers.set("CoreSettings", {}, [*OK, ("AsteriskVersion", version)])
    assert (await asterisk.version(house)).status is Status.PROBLEM


@pytest.mark.parametrize(
    ("version", "policies", "said"),
    [
        (DEBIAN_22, "", ""),
        (DEBIAN_22, "dual_channel: on", ""),
        (DEBIAN_22, "pause_method: mute", ""),
        (DEBIAN_16, "", "others: mute is a stop"),
        (DEBIAN_16, "others: stop", ""),
        ("18.17.0", "", "others: mute is a stop"),
        ("18.18.0", "", ""),
        (DEBIAN_16, "{others: stop, dual_channel: on}", "dual_channel"),
        (DEBIAN_16, "{others: stop, pause_method: mute}", "pause_method"),
    ],
)
def test_what_the_flow_asks_for_and_this_version_can_not_do_is_named(
    version: str, policies: str, said: str
) -> None:
    lines = policies.strip("{}").replace(", ", "\n    ")
    found = asterisk.judge_limits(version, flow_of(lines))
    assert (found.status is Status.WARNING) is bool(said)
    assert said in found.sentence


@pytest.mark.parametrize(
    ("version", "settle_ms", "expected"),
    [
        (DEBIAN_22, 150, Status.OK),
        (DEBIAN_22, 149, Status.WARNING),
        ("22.10.1", 0, Status.OK),
        (DEBIAN_16, 0, Status.OK),
        ("23.1.0~dfsg-1", 0, Status.WARNING),
    ],
)
def test_builds_that_lose_a_voice_need_the_settling_time(
    version: str, settle_ms: int, expected: Status
) -> None:
    found = asterisk.judge_one_sided(version, flow_of(f"settle_ms: {settle_ms}"))
    assert found.status is expected


async def test_each_module_that_is_missing_is_named_with_its_command(house: House) -> None:
    for name in asterisk.MODULES:
        house.answers.set("ModuleCheck", {"Module": name}, OK)
    assert (await asterisk.modules(house)).status is Status.OK
    house = House(house.settings.flow.path.parent)
    for name in asterisk.MODULES:
        if name == "func_logic":
            house.answers.refuse("ModuleCheck", {"Module": name}, "Module not loaded")
        else:
            house.answers.set("ModuleCheck", {"Module": name}, OK)
    found = await asterisk.modules(house)
    assert found.status is Status.PROBLEM
    assert "asterisk -rx 'module load func_logic.so'" in found.cure


async def test_a_module_that_may_not_be_asked_for_is_not_missing(house: House) -> None:
    house.answers.refuse("ModuleCheck", {"Module": "res_agi"}, "Permission denied")
    with pytest.raises(NotCheckedError):
        await house.has_module("res_agi")


@pytest.mark.parametrize("release", RELEASES)
async def test_live_dangerously_is_known_by_a_function_that_only_it_allows(
    release: str, tmp_path: Path
) -> None:
    house = House(tmp_path, release)
    house.answers.set("ModuleCheck", {"Module": "func_env"}, OK)
    assert (await asterisk.dangerously(house)).status is Status.OK
    house = House(tmp_path, release)
    house.answers.set("ModuleCheck", {"Module": "func_env"}, OK)
    house.answers.set("Getvar", {"Variable": "STAT(e,/)"}, [*OK, ("Value", "1")])
    assert (await asterisk.dangerously(house)).status is Status.WARNING


async def test_without_that_function_the_file_tells(house: House) -> None:
    house.answers.refuse("ModuleCheck", {"Module": "func_env"}, "Module not loaded")
    house.answers.set(
        "GetConfig",
        {"Filename": "asterisk.conf", "Category": "options"},
        [*OK, ("Category-000000", "options"), ("Line-000000-000000", "live_dangerously=yes")],
    )
    assert (await asterisk.dangerously(house)).status is Status.WARNING


@pytest.mark.parametrize(
    ("name", "levels", "expected"),
    [
        ("messages.log", "notice,warning,error", Status.OK),
        ("full.log", "notice,warning,error,verbose,dtmf", Status.WARNING),
        ("full.log", "[json]notice,verbose(3)", Status.WARNING),
        ("full.log", "*", Status.WARNING),
        ("console", "verbose", Status.OK),
    ],
)
async def test_a_log_file_that_keeps_digits_is_named(
    house: House, name: str, levels: str, expected: Status
) -> None:
    line = [("Category-000000", "logfiles"), ("Line-000000-000000", f"{name}={levels}")]
    house.answers.set("GetConfig", {"Filename": "logger.conf"}, [*OK, *line])
    found = await asterisk.digits(house)
    assert found.status is expected
    assert (name in found.sentence) is (expected is Status.WARNING)


async def test_a_command_that_nobody_named_and_is_not_there_is_not_checked(house: House) -> None:
    house.has_command = False
    with pytest.raises(NotCheckedError, match="--asterisk"):
        await asterisk.command(house)
    house.is_asterisk_named = True
    assert (await asterisk.command(house)).status is Status.WARNING
