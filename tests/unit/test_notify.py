"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnrec.notify import Notifier


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(10)
        yield ear


def test_a_state_reaches_the_service_manager(ear: socket.socket) -> None:
    Notifier({"NOTIFY_SOCKET": ear.getsockname()}).tell("READY=1")
    assert ear.recv(100) == b"READY=1"


def test_an_abstract_socket_is_reached(tmp_path: Path) -> None:
    name = f"turnrec-test-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0{name}")
        ear.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).tell("STOPPING=1")
        assert ear.recv(100) == b"STOPPING=1"


def test_without_a_service_manager_nothing_is_told() -> None:
    Notifier({}).tell("READY=1")


def test_a_service_manager_that_is_gone_is_no_error(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).tell("READY=1")


async def test_the_watchdog_is_told_that_the_loop_turns(ear: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": ear.getsockname(), "WATCHDOG_USEC": "30000"})
    alive = asyncio.create_task(notifier.keep_alive())
    told = [await asyncio.to_thread(ear.recv, 100) for _ in range(3)]
    alive.cancel()
    assert told == [b"WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "environ", [{}, {"WATCHDOG_USEC": "none"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}]
)
async def test_without_a_watchdog_of_ours_nothing_is_kept_alive(environ: dict[str, str]) -> None:
    await Notifier(environ).keep_alive()
