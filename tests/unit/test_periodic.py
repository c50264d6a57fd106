"""A look at intervals: it comes again, also after one that failed, and ends when it is told to."""

from __future__ import annotations

import asyncio
import logging

import pytest

from turnrec.periodic import Periodic


async def test_a_look_that_failed_is_told_and_the_next_one_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    looks, again = [0], asyncio.Event()

    async def look() -> None:
        looks[0] += 1
        if looks[0] == 1:
            raise ValueError("a look went wrong")
        again.set()

    periodic = Periodic(look, 0.001, name="test", complaint="it could not look")
    with caplog.at_level(logging.ERROR):
        periodic.start()
        await asyncio.wait_for(again.wait(), 60)
        await periodic.close()
    assert "it could not look" in caplog.text
    ended_at = looks[0]
    await asyncio.sleep(0.01)
    assert looks[0] == ended_at


async def test_one_that_was_never_started_can_be_closed() -> None:
    async def look() -> None:
        pytest.fail("nobody started it")

    await Periodic(look, 0.001, name="test", complaint="").close()
