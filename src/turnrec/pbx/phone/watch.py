"""Watch: owns waiting for a condition over state that others change; never polls a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from turnrec.pbx.phone.errors import CallEndedError, CallTimeoutError


class Watch:
    """Conditions, looked at whenever whoever owns the state says that it changed."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], tuple[Callable[[], bool], str]] = {}
        self._closed = False

    async def until(self, condition: Callable[[], bool], awaited: str, timeout_s: float) -> None:
        """Return once `condition` holds; raise CallTimeoutError or CallEndedError otherwise."""
        if condition():
            return
        if self._closed:
            raise CallEndedError(awaited)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = (condition, awaited)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            raise CallTimeoutError(awaited, timeout_s) from None
        finally:
            self._waiting.pop(future, None)

    def changed(self) -> None:
        """Look at every awaited condition again."""
        if not self._waiting:
            return
        for future, (condition, _) in list(self._waiting.items()):
            if future.done():
                continue
            try:
                holds = condition()
            except Exception as error:  # noqa: BLE001 - a test's predicate: raise it where it waits
                future.set_exception(error)
            else:
                if holds:
                    future.set_result(None)

    def close(self) -> None:
        """Nothing will change any more: whoever still waits is told so."""
        self.changed()
        self._closed = True
        for future, (_, awaited) in list(self._waiting.items()):
            if not future.done():
                future.set_exception(CallEndedError(awaited))
