"""The watchdog for a frozen turnrec where no systemd keeps one: a parent that asks and restarts.

AGI has no time-out: a frozen server holds its callers for ever, and killing it is what makes their
dialplans fail closed. It asks whether the loop turns (`/healthz`), nothing else. Under systemd, use
`Type=notify` and `WatchdogSec=` instead.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

logger = logging.getLogger(__name__)

_ASK_EVERY_S = 1.0
_RESTART_DELAY_S = 0.2
_START_PATIENCE_S = 30.0
_START_PATIENCE_MOST_S = 300.0
_STOP_PATIENCE_S = 30.0
_WRONG_CONFIGURATION = 2


async def supervise(arguments: Sequence[str], control: Path, watchdog_s: float) -> int:
    """Run `turnrec ARGUMENTS` and keep it running until this process is told to stop.

    Args:
        arguments: of the child.
        control: the child's control socket.
        watchdog_s: how long it may not answer before it is killed and started anew.

    Returns:
        The exit status of the last child, which ended because it was told to, or because of its
        configuration.
    """
    told = asyncio.Event()
    failed_starts = 0
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    while True:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "turnrec", *arguments, stdin=asyncio.subprocess.DEVNULL
        )
        ended = asyncio.create_task(child.wait())
        patience_s = max(watchdog_s, start_patience_s(failed_starts))
        watching = asyncio.create_task(_watch(control, watchdog_s, patience_s))
        stopping = asyncio.create_task(told.wait())
        await asyncio.wait({ended, watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        stopping.cancel()
        if told.is_set():
            return await _stop(child, ended)
        if ended.done():
            failed_starts = 0
        else:
            has_served = watching.result()
            failed_starts = 0 if has_served else failed_starts + 1
            patience_s = watchdog_s if has_served else patience_s
            logger.critical("turnrec has not answered for %g s: killed", patience_s)
            child.kill()
        status = await ended
        if status == _WRONG_CONFIGURATION:
            return status  # it has said why, and would say it again for ever
        logger.error("turnrec ended with %d; it is started anew", status)
        await asyncio.sleep(_RESTART_DELAY_S)


async def _stop(child: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> int:
    if not ended.done():
        child.terminate()
    try:
        return await asyncio.wait_for(asyncio.shield(ended), _STOP_PATIENCE_S)
    except TimeoutError:
        child.kill()
        return await ended


def start_patience_s(failed_starts: int) -> float:
    """How long a start may take, after so many in a row that were ended for taking too long.

    On a machine that is short of time, ending one start after the other would leave nobody serving
    for as long as it is.
    """
    return float(min(_START_PATIENCE_MOST_S, _START_PATIENCE_S * 2 ** min(failed_starts, 10)))


async def _watch(control: Path, watchdog_s: float, patience_s: float) -> bool:
    """Return when the child has not answered for `watchdog_s`, or `patience_s` while it starts.

    Returns:
        Whether it ever answered.
    """
    loop = asyncio.get_running_loop()
    last_answer = loop.time()
    has_served = False
    transport = httpx.AsyncHTTPTransport(uds=str(control))
    async with httpx.AsyncClient(transport=transport, base_url="http://turnrec") as client:
        while loop.time() - last_answer < patience_s:
            try:
                answer = await client.get("/healthz", timeout=_ASK_EVERY_S)
            except httpx.HTTPError:
                pass
            else:
                if answer.is_success:
                    last_answer, patience_s, has_served = loop.time(), watchdog_s, True
            await asyncio.sleep(_ASK_EVERY_S)
    return has_served
