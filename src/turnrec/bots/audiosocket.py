"""AudioSocket's server side: one TCP connection a call, sound both ways, the call's UUID first.

It owns frames and their pace. It knows nothing of recording: see `turnrec.bots.audiosocket_bot`.

A frame is a kind (one byte), a length (two bytes, big-endian) and the payload. Sound is 16-bit
linear at 8 kHz, little-endian. Source: Asterisk's res_audiosocket.c, and app_audiosocket.c for what
happens to it: each frame is written to the channel as it comes, so the pace is the sender's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import uuid
import wave
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from turnrec.bots.errors import HungUpError

__all__ = ["FRAME_BYTES", "FRAME_MS", "HungUpError", "Line", "frames_of", "listen"]

logger = logging.getLogger(__name__)

FRAME_MS: Final = 20
FRAME_BYTES: Final = 320
_RATE_HZ: Final = 8000
_HANG_UP, _ID, _DIGIT, _AUDIO, _ERROR = 0x00, 0x01, 0x03, 0x10, 0xFF
_HEADER: Final = struct.Struct(">BH")
_LATE_FRAMES: Final = 3
"""A sender that is later than this starts its clock anew: a burst would only be heard late."""
_FIRST_FRAME_S: Final = 5.0


class Line:
    """One call's sound and keys."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.call = ""
        """The UUID that the dialplan gave, as the API knows it (external id)."""
        self.on_audio: Callable[[bytes], None] | None = None
        """Told of each frame that the caller says."""
        self.digits = ""
        """What the caller has keyed so far."""
        self._reader = reader
        self._writer = writer
        self._is_over = asyncio.Event()

    async def say(self, frames: Iterable[bytes]) -> None:
        """Say frames of 20 ms, each in its time; return when the last one's time is over.

        Raises:
            HungUpError: the call has ended.
        """
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        for frame in frames:
            await self._send(_AUDIO, frame)
            due_s += FRAME_MS / 1000
            if loop.time() - due_s > _LATE_FRAMES * FRAME_MS / 1000:
                due_s = loop.time()
            await self.wait(due_s - loop.time())

    async def wait(self, seconds: float) -> None:
        """Be silent for a while.

        Raises:
            HungUpError: the call has ended.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_over.wait(), max(seconds, 0))
        if self._is_over.is_set():
            raise HungUpError

    async def hang_up(self) -> None:
        """End the call; the dialplan goes on after AudioSocket()."""
        with contextlib.suppress(HungUpError):
            await self._send(_HANG_UP, b"")

    async def _send(self, kind: int, payload: bytes) -> None:
        if self._is_over.is_set():
            raise HungUpError
        try:
            self._writer.write(_HEADER.pack(kind, len(payload)) + payload)
            await self._writer.drain()
        except OSError as error:
            raise HungUpError from error

    async def identify(self) -> None:
        """Read the first frame, which says whose call this is.

        Raises:
            HungUpError: there was none.
        """
        try:
            async with asyncio.timeout(_FIRST_FRAME_S):
                kind, payload = await self._receive()
            if kind == _ID:
                self.call = str(uuid.UUID(bytes=payload))
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            raise HungUpError from error
        if not self.call:
            raise HungUpError

    async def listen(self) -> None:
        """Take in what comes, to the call's end. Nobody else reads."""
        try:
            while True:
                kind, payload = await self._receive()
                if kind == _AUDIO and self.on_audio is not None:
                    self.on_audio(payload)
                elif kind == _DIGIT:
                    self.digits += payload.decode("ascii", "replace")
                elif kind in (_HANG_UP, _ERROR):
                    return
        except (OSError, EOFError):
            return
        finally:
            self._is_over.set()

    async def _receive(self) -> tuple[int, bytes]:
        kind, length = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
        return kind, await self._reader.readexactly(length)


async def listen(host: str, port: int, answer: Callable[[Line], Awaitable[None]]) -> asyncio.Server:
    """Take calls; `answer` talks to each, and the call is hung up when it returns.

    Raises:
        OSError: the port can't be had.
    """

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        listening = None
        try:
            await line.identify()
            listening = asyncio.create_task(line.listen())
            await answer(line)
            await line.hang_up()
            await listening
        except (HungUpError, asyncio.CancelledError):
            pass  # the latter as the server ends; asyncio complains of handlers that were cancelled
        except Exception:
            logger.exception("a call's bot failed; the call is hung up")
        finally:
            if listening is not None:
                listening.cancel()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    return await asyncio.start_server(take, host, port)


def frames_of(wav: Path) -> tuple[bytes, ...]:
    """Cut a WAV file of 8 kHz, 16 bit, mono into frames; the last one is filled with silence.

    Raises:
        ValueError: it is of another kind.
        OSError, wave.Error: it can't be read.
    """
    with wave.open(str(wav), "rb") as file:
        if (file.getframerate(), file.getsampwidth(), file.getnchannels()) != (_RATE_HZ, 2, 1):
            raise ValueError(f"{wav} is not 8 kHz, 16 bit, mono")
        sound = file.readframes(file.getnframes())
    starts = range(0, len(sound), FRAME_BYTES)
    return tuple(sound[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for at in starts)
