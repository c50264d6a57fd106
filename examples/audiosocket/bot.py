#!/usr/bin/env python3
"""A bank's bot on asyncio: AudioSocket for its voice, HTTP for its turns.

$ TURNREC_KEY=trk_... python bot.py 127.0.0.1:9092 http://127.0.0.1:8077 /path/of/prompts
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from turnrec.bots.audiosocket import Line, frames_of, listen
from turnrec.bots.errors import NotConfirmedError
from turnrec.bots.http_call import HttpCall
from turnrec.bots.http_client import TurnrecClient

logger = logging.getLogger(__name__)

PATIENCE_S = 20.0


async def talk(line: Line, call: HttpCall, sounds: Path) -> None:
    """Talk to one caller. No word of a turn is said before turnrec has said 200 to it."""
    async with call.turn("welcome"):
        await ask(line, sounds / "welcome.wav", 1)

    async with call.turn("ask_otp"):  # entered when nothing records any more
        await ask(line, sounds / "ask-otp.wav", 4)  # and your check of it

    async with call.turn("thank_you"):  # entered when it records again
        await line.say(frames_of(sounds / "thank-you.wav"))


async def ask(line: Line, prompt: Path, count: int) -> str:
    """Say a prompt until the caller keys something; return what he has keyed."""
    line.digits = ""
    for frame in frames_of(prompt):
        if line.digits:
            break
        await line.say([frame])
    loop = asyncio.get_running_loop()
    until_s = loop.time() + PATIENCE_S
    while len(line.digits) < count and loop.time() < until_s:
        await line.wait(0.02)
    return line.digits


async def main(address: str, url: str, sounds: str) -> None:
    """Take calls until it is ended."""
    async with TurnrecClient(url, os.environ["TURNREC_KEY"]) as turnrec:

        async def answer(line: Line) -> None:
            try:
                await talk(line, HttpCall(turnrec, line.call), Path(sounds))
            except NotConfirmedError as error:
                logger.warning("call %s: %s", line.call, error)  # and the call is hung up

        host, _, port = address.rpartition(":")
        server = await listen(host, int(port), answer)
        async with server:
            logger.info("AudioSocket on %s", address)
            await server.serve_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(main(*sys.argv[1:]))
