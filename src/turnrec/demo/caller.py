"""The demo's caller: speaks when the bot has finished speaking, as a person does.

It takes its turns by ear alone; nothing tells it what the bot or turnrec is doing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from turnrec.pbx.beside import SOUNDS_DIR
from turnrec.pbx.phone import (
    Call,
    CallTimeoutError,
    Chunk,
    Clip,
    Credentials,
    MediaOptions,
    Phone,
    Silence,
)

LAST_DIGITS = "0123"

_SPEECH_RMS = 300.0
"""Prompts are at about 2700 (-21.5 dBFS), the line's silence is below 10."""
_QUIET_S = 1.0
"""The prompts' own pauses are shorter."""
_PROMPT_S = 30.0


def clip_path(name: str) -> Path:
    """Where a voice lies."""
    return SOUNDS_DIR / f"{name}.wav"


async def place_call(
    sip: str, *, user: str = "caller", credentials: Credentials | None = None
) -> None:
    """Call the sample bot at `sip` (host:port) and talk to it until it hangs up.

    Raises:
        PhoneError: the call failed, or the bot was not heard.
    """
    async with Phone(user=user, credentials=credentials) as phone:
        call = await phone.dial(f"sip:1000@{sip}", MediaOptions(source=Silence()))
        await _hear_out(call)
        await call.play(Clip.from_wav(clip_path("caller_hello")))
        await _hear_out(call)
        await call.play(Clip.from_wav(clip_path("caller_aadhaar")))
        await call.send_digits(LAST_DIGITS)
        await _hear_out(call)
        await call.play(Clip.from_wav(clip_path("caller_thanks")))
        await call.wait_ended(timeout_s=_PROMPT_S)


async def _hear_out(call: Call) -> None:
    """Wait until the other side has begun to speak, and has been quiet for a while after it.

    A bot that waits sends no packets at all: quiet is the lack of speech, not silence received.
    """
    await call.wait_heard(predicate=_is_speech, timeout_s=_PROMPT_S)
    while True:
        try:
            await call.wait_heard(predicate=_is_speech, timeout_s=_QUIET_S)
        except CallTimeoutError:
            return


def _is_speech(chunk: Chunk) -> bool:
    samples = chunk.samples.astype(np.float64)
    return len(samples) > 0 and float(np.sqrt(np.mean(samples**2))) > _SPEECH_RMS
