"""Open doors, clocks, the ledger and the running server."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.doctor.house import RELEASES, House, folder_settings
from turnrec import __version__
from turnrec.core.entry import Entry, EntryKind, Origin
from turnrec.doctor import configuration, network, server, times
from turnrec.doctor.answers import is_true, table
from turnrec.doctor.finding import NotCheckedError, Status
from turnrec.doctor.look import Look, is_everywhere, is_loopback
from turnrec.ledger.store import Ledger

STATUS = {
    "version": __version__,
    "live_calls": 0,
    "ledger_healthy": True,
    "ami_ready": True,
    "room": "enough",
}
OK = [("Response", "Success")]
GENERAL = ("Category-000000", "general")


def with_settings(folder: Path, section: str, line: str) -> House:
    toml = folder_settings().replace(f"[{section}]", f"[{section}]\n{line}")
    return House(folder, toml=f'[asterisk]\nami_secret = "s3cret"\n{toml}')


# ------------------------------------------------------------------ network


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", Status.OK),
        ("10.0.0.5", Status.OK),
        ("0.0.0.0", Status.WARNING),
        ("::", Status.WARNING),
    ],
)
async def test_ami_is_open_where_its_socket_is(
    house: House, address: str, expected: Status
) -> None:
    house.listening = {5038: frozenset({address})}
    assert (await network.manager(house)).status is expected


@pytest.mark.parametrize(("line", "expected"), [("bindaddr=10.0.0.5", Status.OK),
                                                ("port=5038", Status.WARNING)])  # fmt: skip
async def test_on_another_machine_its_file_tells(
    tmp_path: Path, line: str, expected: Status
) -> None:
    toml = f'{folder_settings()}[asterisk]\nami_host = "pbx"\nami_secret = "s3cret"'
    house = House(tmp_path, toml=toml)
    asked = {"Filename": "manager.conf", "Category": "general"}
    house.answers.set("GetConfig", asked, [*OK, GENERAL, ("Line-000000-000000", line)])
    assert (await network.manager(house)).status is expected


@pytest.mark.parametrize(
    ("lines", "listening", "expected"),
    [
        (["enabled=no", "bindaddr=0.0.0.0"], "0.0.0.0", Status.OK),
        (["enabled=yes", "bindaddr=127.0.0.1"], "127.0.0.1", Status.OK),
        (["enabled=yes", "bindaddr=0.0.0.0"], "0.0.0.0", Status.WARNING),
        (["enabled=yes", "bindaddr=0.0.0.0"], "", Status.OK),
        (["enabled=yes"], "::", Status.WARNING),
    ],
)
async def test_asterisks_http_is_open_where_it_is_enabled_and_listens(
    house: House, lines: list[str], listening: str, expected: Status
) -> None:
    house.listening = {8088: frozenset({listening} - {""})}
    told = [(f"Line-000000-{n:06}", line) for n, line in enumerate(lines)]
    asked = {"Filename": "http.conf", "Category": "general"}
    house.answers.set("GetConfig", asked, [*OK, GENERAL, *told])
    assert (await network.http(house)).status is expected


async def test_turnrecs_own_doors(tmp_path: Path) -> None:
    house = with_settings(tmp_path, "api", 'host = "10.0.0.5"')
    assert (await network.api(house)).status is Status.WARNING
    assert (await network.agi(house)).status is Status.OK
    house = with_settings(tmp_path, "server", 'agi_host = "0.0.0.0"')
    assert (await network.api(house)).status is Status.OK
    assert (await network.agi(house)).status is Status.WARNING
    house = with_settings(tmp_path, "server", 'agi_host = "10.0.0.5"')
    assert (await network.agi(house)).status is Status.OK


def test_who_listens_is_read_from_the_kernel(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        assert Look.listening_on(house, door.getsockname()[1]) == {"127.0.0.1"}


def test_hosts_are_told_apart() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.3.2.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "localhost.example", "")))
    assert all(map(is_everywhere, ("0.0.0.0", "::", "", "*")))
    assert not any(map(is_everywhere, ("127.0.0.1", "::1", "pbx")))


# ------------------------------------------------------------------ clock and ledger


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("ahead_s", "expected"), [(0, Status.OK), (1.5, Status.OK), (3, Status.PROBLEM)]
)
async def test_clocks_that_differ_are_told_of(
    tmp_path: Path, release: str, ahead_s: float, expected: Status
) -> None:
    for sign in (1, -1):
        house = House(tmp_path, release)
        stamp = float((await house.answers.action("Ping")).get("Timestamp") or "")
        house.time_s = stamp + sign * ahead_s
        found = await times.clock(house)
        assert found.status is expected
        assert expected is Status.OK or ("ahead of" if sign > 0 else "behind") in found.sentence


def make_ledger(folder: Path, at_us: int) -> Path:
    async def make() -> None:
        ledger = Ledger.open(f"sqlite:///{folder / 'l.db'}")
        ledger.append(Entry(kind=EntryKind.SERVER_STARTED, at_us=at_us, origin=Origin.SERVER))
        await ledger.close()

    asyncio.run(make())
    return folder / "l.db"


def test_a_ledger_that_is_in_order(house: House, tmp_path: Path) -> None:
    make_ledger(tmp_path, int(time.time() * 1e6))
    assert asyncio.run(times.ledger(house)).status is Status.OK
    assert asyncio.run(times.ledger_clock(house)).status is Status.OK
    assert sorted(one.name for one in tmp_path.iterdir()) == ["l.db", "l.db.lock", "turnrec.toml"]


def test_a_ledger_from_the_future(house: House, tmp_path: Path) -> None:
    make_ledger(tmp_path, int((time.time() + 100) * 1e6))
    assert asyncio.run(times.ledger_clock(house)).status is Status.PROBLEM


def test_no_ledger_yet(house: House) -> None:
    assert asyncio.run(times.ledger(house)).status is Status.OK
    assert asyncio.run(times.ledger_clock(house)).status is Status.OK


@pytest.mark.parametrize(("version", "expected"), [(1, Status.WARNING), (99, Status.PROBLEM)])
def test_a_ledger_of_another_version(
    house: House, tmp_path: Path, version: int, expected: Status
) -> None:
    path = make_ledger(tmp_path, int(time.time() * 1e6))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE ledger_version SET version = ?", (version,))
    database.close()
    assert asyncio.run(times.ledger(house)).status is expected


def test_a_ledger_that_is_none_or_open_to_all(house: House, tmp_path: Path) -> None:
    path = make_ledger(tmp_path, int(time.time() * 1e6))
    path.chmod(0o644)
    found = asyncio.run(times.ledger(house))
    assert (found.status, found.cure) == (Status.PROBLEM, (f"chmod 0640 {path}",))
    path.write_text("no database at all" * 100)
    assert asyncio.run(times.ledger(house)).status is Status.PROBLEM
    with pytest.raises(NotCheckedError):
        asyncio.run(times.ledger_clock(house))


# ------------------------------------------------------------------ the server


async def test_no_server_is_a_warning(house: House) -> None:
    found = await server.running(house)
    assert found.status is Status.WARNING
    assert found.cure == ("systemctl start turnrec",)


async def test_a_server_that_does_not_answer_is_a_problem(house: House, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "s"))
        door.listen()
        assert (await server.running(house)).status is Status.PROBLEM


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, Status.OK),
        ({"ledger_healthy": False}, Status.PROBLEM),
        ({"ami_ready": False}, Status.PROBLEM),
        ({"room": "3 MB are free in /x"}, Status.PROBLEM),
    ],
)
async def test_a_server_that_lacks_something(
    house: House, change: Mapping[str, Any], expected: Status
) -> None:
    house.status = {**STATUS, **change}
    assert (await server.parts(house)).status is expected


def test_a_server_from_before_the_upgrade() -> None:
    assert server.judge_version("0.1.0", "0.1.0").status is Status.OK
    assert server.judge_version("0.1.0", "0.2.0").status is Status.PROBLEM


async def test_a_flow_that_was_changed_since(tmp_path: Path) -> None:
    house = House(tmp_path, flow="version: 1\nbots:\n  kyc:\n")
    house.status = {**STATUS, "flow_sha256": house.flow().sha256}
    assert (await server.flow(house)).status is Status.OK
    house.status = {**STATUS, "flow_sha256": "0" * 64}
    assert (await server.flow(house)).status is Status.WARNING


@pytest.mark.parametrize(
    ("environment", "arguments", "watched"),
    [
        ({}, (), None),
        ({"WATCHDOG_USEC": "0"}, (), None),
        ({"WATCHDOG_USEC": "5000000"}, (), "systemd"),
    ],
)
def test_who_watches_is_read_from_the_process(
    environment: dict[str, str], arguments: tuple[str, ...], watched: str | None
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "input()", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.PIPE,
    )
    try:
        while not Path(f"/proc/{child.pid}/environ").read_bytes() and not environment:
            if b"-c" in Path(f"/proc/{child.pid}/cmdline").read_bytes():
                break
        assert server._watched_by(child.pid) == watched
    finally:
        child.communicate(b"\n")


# ------------------------------------------------------------------ settings and flow


async def test_every_mistake_of_the_settings_is_told_without_its_value(tmp_path: Path) -> None:
    toml = '[asterisk]\nami_secret = "s3cret\\nx"\nami_prot = 5038\n'
    house = House(tmp_path, toml=toml)
    found = await configuration.settings(house)
    assert found.status is Status.PROBLEM
    assert "ami_prot" in found.sentence
    assert "s3cret" not in repr(found)
    with pytest.raises(NotCheckedError):
        await configuration.flow(house)


async def test_a_mistake_of_the_flow_is_told_with_its_place(tmp_path: Path) -> None:
    house = House(tmp_path, flow="version: 1\nbots:\n  kyc:\n    nodes:\n      ask: paus\n")
    found = await configuration.flow(house)
    assert found.status is Status.PROBLEM
    assert "flow.yaml:5:12" in found.sentence.replace(" ", "")


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("{ask: {action: pause, sensitive: true}, on: resume}", Status.OK),
        ("{ask: {sensitive: true}}", Status.PROBLEM),
    ],
)
async def test_what_a_flow_records_against_its_own_words_is_told(
    tmp_path: Path, nodes: str, expected: Status
) -> None:
    house = House(tmp_path, flow=f"version: 1\nbots:\n  kyc:\n    nodes: {nodes}\n")
    found = await configuration.flow_paths(house)
    assert found.status is expected
    assert not found.cure or found.cure[0] == f"turnrec check {tmp_path / 'flow.yaml'}"


async def test_another_user_is_told_to_become_turnrecs(house: House, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    assert (await configuration.user(house)).status is Status.OK
    house.user = lambda: os.geteuid() + 1  # type: ignore[method-assign]
    found = await configuration.user(house)
    assert found.status is Status.WARNING
    assert found.cure[0].startswith("sudo -u ")


def test_asterisks_words() -> None:
    assert all(map(is_true, ("yes", "True", "1", "on", "y")))
    assert not any(map(is_true, ("no", "", None, "0", "enabled")))
    assert table("  A b:  c: d \nnothing\n") == {"a b": "c: d"}
