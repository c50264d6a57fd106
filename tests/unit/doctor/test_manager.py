"""AMI's account, judged by what real Asterisks answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.doctor.house import RELEASES, House, folder_settings
from turnrec.doctor import manager
from turnrec.doctor.finding import NotCheckedError, Status
from turnrec.pbx.configuration import templates_dir

SHIPPED = (templates_dir() / "turnrec-manager.conf").read_text("utf-8")
USER = "manager show user turnrec"


@pytest.mark.parametrize("release", RELEASES)
async def test_the_shipped_account_is_in_order(release: str, tmp_path: Path) -> None:
    house = House(tmp_path, release)
    for check in (manager.rights, manager.excess, manager.events, manager.sessions):
        assert (await check(house)).status is Status.OK


@pytest.mark.parametrize("has_command", [True, False])
@pytest.mark.parametrize(
    ("kind", "classes", "missing"),
    [
        ("write", "system,call", "write = reporting"),
        ("write", "call,reporting", "write = system"),
        ("read", "system,call", "read = agent"),
        ("read", "", "read = system"),
    ],
)
async def test_a_missing_right_is_named_whoever_tells_of_it(
    house: House, kind: str, classes: str, missing: str, *, has_command: bool
) -> None:
    set_rights(house, has_command=has_command, **{kind: classes})
    found = await manager.rights(house)
    assert found.status is Status.PROBLEM
    assert missing in found.sentence
    assert manager.RELOAD in found.cure


@pytest.mark.parametrize(
    ("kind", "classes", "more"),
    [
        ("write", "system,call,reporting,command,originate", "write = command, write = originate"),
        ("read", "system,call,agent,dtmf", "read = dtmf"),
        ("write", "system,call,log,verbose,command,reporting,all", "write = all;"),
    ],
)
async def test_a_right_too_many_is_named(house: House, kind: str, classes: str, more: str) -> None:
    set_rights(house, has_command=True, **{kind: classes})
    found = await manager.excess(house)
    assert found.status is Status.WARNING
    assert more in found.sentence


async def test_all_rights_are_enough(house: House) -> None:
    set_rights(house, has_command=True, read="all", write="all")
    assert (await manager.rights(house)).status is Status.OK


async def test_without_the_right_to_read_files_system_is_missing(house: House) -> None:
    """An account without `system` may not read manager.conf: what it may do tells of it."""
    house.has_command = False
    house.answers.refuse(
        "GetConfig", {"Filename": "manager.conf", "Category": "turnrec"}, "Permission denied"
    )
    listed = [("Response", "Success"), ("Redirect", "Redirect a call.  (Priv: call,all)")]
    house.answers.set("ListCommands", {}, listed)
    found = await manager.rights(house)
    assert found.status is Status.PROBLEM
    assert "write = system" in found.sentence
    assert "write = reporting" not in found.sentence  # that isn't known


def set_rights(
    house: House,
    *,
    has_command: bool,
    read: str = "system,call,agent",
    write: str = "system,call,reporting",
) -> None:
    house.has_command = has_command
    house.answers.cli[USER] = (
        house.answers.cli[USER]
        .replace("read perm: system,call,agent", f"read perm: {read or '<none>'}")
        .replace("write perm: system,call,reporting", f"write perm: {write}")
    )
    house.answers.set(
        "GetConfig",
        {"Filename": "manager.conf", "Category": "turnrec"},
        [
            ("Response", "Success"),
            ("Category-000000", "turnrec"),
            ("Line-000000-000000", "secret=s3cret"),
            ("Line-000000-000001", f"read={read}"),
            ("Line-000000-000002", f"write={write}"),
        ],
    )


# ------------------------------------------------------------------ the event filter


NEEDED = manager.needed_events(SHIPPED)


def test_what_is_needed_is_what_the_shipped_filter_lets_through() -> None:
    assert {"Hangup", "BridgeEnter", "MixMonitorStart", "FullyBooted"} <= {*NEEDED}


@pytest.mark.parametrize(
    ("plain", "advanced", "missing", "has_any"),
    [
        ((), [], [], False),
        (("![[:cntrl:]]{4}.",), [], [], False),
        (("Event: .*",), [], [], True),
        (("Event: Hangup", "Event: Bridge"), [], ["FullyBooted"], True),
        (("!Event: Hangup",), [], ["Hangup"], False),
        (("Event: .*", "!Event: Mix"), [], ["MixMonitorStart"], True),
        ((), ["action(include),name(Hangup)"], ["BridgeEnter"], True),
        ((), ["action(include),header(Channel),method(starts_with)"], [], True),
        ((), ["action(exclude),name(VarSet)"], [], False),
        (("(",), [], ["Hangup"], True),
    ],
)
def test_filters_are_read_as_asterisk_reads_them(
    plain: tuple[str, ...], advanced: list[str], missing: list[str], *, has_any: bool
) -> None:
    found, any_found = manager.missing_events(plain, advanced, NEEDED)
    assert any_found is has_any
    assert bool(found) is bool(missing)
    assert {*missing} <= {*found}


async def test_an_account_that_manager_conf_does_not_have_is_not_checked(tmp_path: Path) -> None:
    house = House(
        tmp_path, toml=f"{folder_settings()}[asterisk]\nami_username = 'x'\nami_secret='y'"
    )
    asked = {"Filename": "manager.conf", "Category": "x"}
    house.answers.refuse("GetConfig", asked, "No categories found")
    with pytest.raises(NotCheckedError):
        await manager.events(house)


# ------------------------------------------------------------------ who else is there


@pytest.mark.parametrize(
    ("logged_in", "status", "expected"),
    [
        (1, None, Status.OK),
        (2, {"ami_ready": True}, Status.OK),
        (2, None, Status.WARNING),
        (2, {"ami_ready": False}, Status.WARNING),
        (3, {"ami_ready": True}, Status.WARNING),
    ],
)
async def test_only_this_turnrec_and_its_doctor_are_logged_in(
    house: House, logged_in: int, status: dict[str, bool] | None, expected: Status
) -> None:
    head, row, *_ = house.answers.cli["manager show connected"].splitlines()
    house.answers.cli["manager show connected"] = "\n".join([head, *[row] * logged_in])
    house.status = status
    assert (await manager.sessions(house)).status is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", Status.OK),
        ("::1", Status.OK),
        ("localhost", Status.OK),
        ("10.1.2.3", Status.WARNING),
        ("pbx.example", Status.WARNING),
    ],
)
async def test_ami_over_a_network_is_told_of(tmp_path: Path, host: str, expected: Status) -> None:
    toml = f'{folder_settings()}[asterisk]\nami_host = "{host}"\nami_secret = "s3cret"'
    assert (await manager.in_clear(House(tmp_path, toml=toml))).status is expected


async def test_a_secret_of_manager_conf_gets_nowhere(house: House) -> None:
    found = await house.config_file("manager.conf", "turnrec")
    assert found[0].get("read") == "system,call,agent"
    assert "s3cret" not in repr(found)
