"""Clients of a FakeAmi for tests: ours, and panoramisk's as it comes; no test of its own.

Every time limit of `patient()` is one that is never reached, so a slow machine changes nothing; a
test of a time-out overrides that one limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from panoramisk import Manager

from tests.loopback.fake_ami import HANG_S, FakeAmi
from turnrec.asterisk.ami import AmiClient, AmiSettings

HANG_MS = int(HANG_S * 1000)
HOUR_MS = 3_600_000

T = TypeVar("T")


async def within(what: Awaitable[T]) -> T:
    """Waits for what has to come, and fails instead of hanging when it doesn't."""
    async with asyncio.timeout(HANG_S):
        return await what


def patient(peer: FakeAmi, **overrides: Any) -> AmiSettings:
    fields: dict[str, Any] = {
        "port": peer.port,
        "username": "turnrec",
        "secret": "right",
        "action_timeout_ms": HANG_MS,
        "connect_timeout_ms": HANG_MS,
        "fully_booted_timeout_ms": HANG_MS,
        "ping_interval_ms": HOUR_MS,
        "ping_timeout_ms": HANG_MS,
        "reconnect_min_ms": 1,
        "reconnect_max_ms": 1,
    }
    return AmiSettings(**fields | overrides)


@asynccontextmanager
async def ready_client(peer: FakeAmi, **overrides: Any) -> AsyncIterator[AmiClient]:
    client = AmiClient(patient(peer, **overrides))
    await client.start()
    try:
        await client.wait_ready(HANG_MS)
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def stock_manager(
    peer: FakeAmi, *, await_login: bool = True, **config: Any
) -> AsyncIterator[Any]:
    """panoramisk 1.4 unmended, to show that a mend is still needed."""
    logged_in = asyncio.Event()
    settings = {
        "host": "127.0.0.1",
        "port": peer.port,
        "username": "turnrec",
        "secret": "right",
        "ping_delay": 3600,
        "reconnect_timeout": 0,
        "loop": asyncio.get_running_loop(),
        "on_login": lambda _: logged_in.set(),
    }
    manager = Manager(**settings | config)
    manager.connect()
    try:
        if await_login:
            await within(logged_in.wait())
        yield manager
    finally:
        manager.connect = lambda: None  # its timers can't be cancelled: that is trap 8
        manager.close()
