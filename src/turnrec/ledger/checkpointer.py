"""Makes checkpoints while the ledger is written: from time to time, and when it is told to.

It works beside the calls, in a task and threads of its own. A failure is logged and tried again
with the next checkpoint: a chain's head stands for all before it, so none is lost by that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from turnrec.ledger.chain import Head
from turnrec.ledger.checkpoints import CheckpointFile, sign
from turnrec.ledger.errors import LedgerError
from turnrec.ledger.keys import SigningKey
from turnrec.ledger.reader import LedgerReader

logger = logging.getLogger(__name__)


class Checkpointer:
    """Signs what is durable in the ledger, and appends it to the file."""

    def __init__(
        self,
        ledger: LedgerReader,
        key: SigningKey,
        file: CheckpointFile,
        clock: Callable[[], int],
        *,
        every_s: float,
    ) -> None:
        self._ledger = ledger
        self._key = key
        self._file = file
        self._clock = clock
        self._every_s = every_s
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._last: Head | None = None

    def start(self) -> None:
        """Begin to make one every so often, if the head has moved."""
        self._task = asyncio.create_task(self._run())

    def soon(self) -> None:
        """Have one made now, beside the caller's path. Several requests become one."""
        self._wanted.set()

    async def close(self) -> None:
        """End it. What has been asked for and not been done is left to `checkpoint`."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def checkpoint(self) -> None:
        """Make one now, if the head has moved. Never raises: a failure is logged."""
        async with self._one_at_a_time:
            try:
                await self._make()
            except (LedgerError, OSError) as error:
                logger.error("no checkpoint could be made: %s", error)  # noqa: TRY400

    async def _make(self) -> None:
        head, ledger_id = await self._ledger.head(), await self._ledger.ledger_id()
        if ledger_id is None or head == self._last:
            return
        checkpoint = sign(self._key, ledger_id, head, self._clock())
        await asyncio.to_thread(self._file.append, checkpoint)
        self._last = head
        # The log is another place that it is published in.
        logger.info("checkpoint %s", checkpoint.line)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._wanted.wait()
            self._wanted.clear()
            await self.checkpoint()
