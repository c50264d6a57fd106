"""Shows the calls as they are now to everybody who watches; it asks nobody and keeps no history.

What changes within a quarter of a second is sent together, and a call that has changed is
serialised once, however many watch it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Final

from turnrec.core.call import Call
from turnrec.core.entry import JSON

COALESCED_S: Final = 0.25
_MAX_BEHIND: Final = 40
"""How many frames a watcher may be behind, ten seconds of them, before it is let go."""

Scope = frozenset[str] | None
"""The bots whose calls a watcher may see; None: all."""


class LiveBoard:
    """The live calls, and who watches them. All of it in the event loop's thread."""

    def __init__(
        self,
        live: Callable[[], Iterable[Call]],
        describe: Callable[[Call], Mapping[str, JSON]],
        *,
        coalesced_s: float = COALESCED_S,
    ) -> None:
        """Make it.

        Args:
            live: the calls that have not ended.
            describe: the shape of a call.
            coalesced_s: for how long changes are gathered.
        """
        self._live = live
        self._describe = describe
        self._coalesced_s = coalesced_s
        self._texts: dict[str, tuple[str, str]] = {}
        """Each call's bot and its JSON, as last shown."""
        self._touched: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._watchers: dict[asyncio.Queue[bytes | None], Scope] = {}
        self._is_closed = False

    def touched(self, call_id: str | None) -> None:
        """Note that something of a call has been entered: it is shown anew, a little later."""
        if call_id is None or self._is_closed or not self._watchers:
            return
        self._touched.add(call_id)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._coalesced_s, self._show)

    def close(self) -> None:
        """Let every watcher go."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for queue in tuple(self._watchers):
            self._let_go(queue)

    async def watch(self, scope: Scope) -> AsyncIterator[bytes]:
        """Send all calls as they are, then what changes, as server-sent events.

        It ends with the board, or where the watcher is too slow: then it begins anew.
        """
        if self._is_closed:
            return
        if not self._watchers:
            self._texts = {call.id: self._text(call) for call in self._live()}
        calls = ",".join(self._seen(self._texts, scope))
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        queue.put_nowait(f'event: snapshot\ndata: {{"calls":[{calls}]}}\n\n'.encode("ascii"))
        self._watchers[queue] = scope
        try:
            while (frame := await queue.get()) is not None:
                yield frame
        finally:
            self._watchers.pop(queue, None)

    def _show(self) -> None:
        """Send what has been touched to everybody who may see it."""
        self._timer = None
        touched, self._touched = self._touched, set()
        live = {call.id: call for call in self._live()}
        changed = {one: self._text(live[one]) for one in touched if one in live}
        ended = {
            one: self._texts.pop(one) for one in touched if one in self._texts and one not in live
        }
        self._texts |= changed
        frames: dict[Scope, bytes | None] = {}
        for queue, scope in tuple(self._watchers.items()):
            if scope not in frames:
                frames[scope] = self._frame(changed, ended, scope)
            frame = frames[scope]
            if frame is None:
                continue
            if queue.qsize() >= _MAX_BEHIND:
                self._let_go(queue)
            else:
                queue.put_nowait(frame)

    def _frame(
        self,
        changed: Mapping[str, tuple[str, str]],
        ended: Mapping[str, tuple[str, str]],
        scope: Scope,
    ) -> bytes | None:
        texts = ",".join(self._seen(changed, scope))
        ids = json.dumps([one for one, (bot, _) in ended.items() if scope is None or bot in scope])
        if not texts and ids == "[]":
            return None
        return f'event: calls\ndata: {{"changed":[{texts}],"ended":{ids}}}\n\n'.encode("ascii")

    def _text(self, call: Call) -> tuple[str, str]:
        return call.bot.name, json.dumps(self._describe(call), separators=(",", ":"))

    @staticmethod
    def _seen(texts: Mapping[str, tuple[str, str]], scope: Scope) -> Iterable[str]:
        return (text for bot, text in texts.values() if scope is None or bot in scope)

    def _let_go(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._watchers.pop(queue, None)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
