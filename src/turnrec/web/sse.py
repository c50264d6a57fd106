"""An answer that goes on as server-sent events: keeps it alive, and lets go of who doesn't read.

What is sent is made by others. A stream ends after a while, so that a key that was revoked hears
no more: whoever listens comes back by themselves, as they do when the server is started anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

from fastapi.responses import StreamingResponse
from starlette.types import Message, Send

from turnrec.core.errors import TurnrecError

logger = logging.getLogger(__name__)

ALIVE_EVERY_S: Final = 15.0
_SENT_WITHIN_S: Final = 30.0
"""How long the network may take for one piece before the listener counts as gone."""
_LONGEST_S: Final = 900.0


class EventStream(StreamingResponse):
    """Server-sent events, each of `frames` as it comes."""

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        *,
        alive_every_s: float = ALIVE_EVERY_S,
        longest_s: float = _LONGEST_S,
    ) -> None:
        super().__init__(
            _living(frames, alive_every_s, longest_s),
            # No proxy may gather what is to be heard at once.
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def stream_response(self, send: Send) -> None:
        """Send it, piece by piece, each within its time."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(_SENT_WITHIN_S):
                await send(message)

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            logger.warning("a listener does not read what is sent: let go")


async def _living(
    frames: AsyncIterator[bytes], alive_every_s: float, longest_s: float
) -> AsyncIterator[bytes]:
    async def following() -> bytes | None:
        return await anext(frames, None)

    loop = asyncio.get_running_loop()
    ends_at = loop.time() + longest_s
    yield b"retry: 1000\n\n"
    waiting = asyncio.create_task(following())
    try:
        while loop.time() < ends_at:
            await asyncio.wait({waiting}, timeout=alive_every_s)
            if not waiting.done():
                yield b": alive\n\n"
                continue
            frame = waiting.result()
            if frame is None:
                return
            waiting = asyncio.create_task(following())
            yield frame
    except TurnrecError as error:
        logger.warning("a listener is let go: %s", error)
    finally:
        waiting.cancel()
