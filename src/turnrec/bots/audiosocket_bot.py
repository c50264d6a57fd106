"""A KYC bot that doesn't live in the dialplan: AudioSocket for its voice, HTTP for its turns.

The dialplan says whose call it is, and hands it over:

    exten => 2000,1,Answer()
     same => n,Set(CALL=${UUID()})
     same => n,Gosub(turnrec-start,s,1(kyc,${CALL}))
     same => n,AudioSocket(${CALL},127.0.0.1:9092)
     same => n,Hangup()

One rule makes it safe: **no turn is spoken without its 200.** Where there is none, whatever the
reason, this bot says nothing, tries again for a while, and hangs up.

    $ turnrec api-key new sample-bot --right bot --bot kyc      # prints the key once
    $ TURNREC_KEY=trk_... python -m turnrec.bots.audiosocket_bot --listen 127.0.0.1:9092
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from turnrec.bots.audiosocket import Line, frames_of, listen
from turnrec.bots.http_client import NotConfirmedError, RefusedByTurnrecError, TurnrecClient

logger = logging.getLogger(__name__)

_AUDIO: Final = Path(__file__).parent / "audio"
_AGAIN_S: Final = 0.5
_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One turn: what the bot says, and how long it then listens and thinks."""

    node: str
    prompt: Iterable[bytes]
    listens_s: float


Script = Callable[[str], Sequence[Step]]
"""Gives the turns of a call, by its UUID."""


class Observer(Protocol):
    """Who wants to know what the bot does, while it does it; the bot waits for it."""

    async def asks(self, call: str, node: str) -> None:
        """The bot is about to ask for a turn."""

    async def may_speak(self, call: str, node: str) -> None:
        """The 200 has come; the bot speaks when this returns."""

    async def may_not(self, call: str, node: str, error: NotConfirmedError) -> None:
        """No 200 has come; the bot stays silent."""


class _Nobody:
    async def asks(self, call: str, node: str) -> None: ...

    async def may_speak(self, call: str, node: str) -> None: ...

    async def may_not(self, call: str, node: str, error: NotConfirmedError) -> None:
        logger.warning("call %s: turn %s is not spoken: %s", call, node, error)


class SampleBot:
    """Talks to callers, turn by turn."""

    def __init__(
        self,
        turnrec: TurnrecClient,
        script: Script,
        *,
        observer: Observer | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._turnrec = turnrec
        self._script = script
        self._observer = _Nobody() if observer is None else observer
        self._patience_s = patience_s

    async def answer(self, line: Line) -> None:
        """Talk to one caller. The call is hung up when this returns.

        Raises:
            HungUpError: the caller has gone.
        """
        for step in self._script(line.call):
            if not await self._begins(line, step.node):
                return
            await line.say(step.prompt)
            await line.wait(step.listens_s)

    async def _begins(self, line: Line, node: str) -> bool:
        """Whether the turn may be spoken."""
        clock = asyncio.get_running_loop().time
        until_s = clock() + self._patience_s
        await self._observer.asks(line.call, node)
        while True:
            try:
                await self._turnrec.turn(line.call, node)
            except NotConfirmedError as error:
                await self._observer.may_not(line.call, node, error)
                if isinstance(error, RefusedByTurnrecError) or clock() > until_s:
                    return False
            else:
                await self._observer.may_speak(line.call, node)
                return True
            await line.wait(_AGAIN_S)


def kyc_script(_call: str) -> Sequence[Step]:
    """The turns of the sample flow (asterisk-conf/flow.sample-bot.yaml)."""
    said = {name: frames_of(_AUDIO / f"{name}.wav") for name in _PROMPTS}
    return [Step(node, said[prompt], listens_s) for node, prompt, listens_s in _TURNS]


_TURNS: Final = (
    ("greeting", "welcome", 5.0),
    ("ask_aadhaar", "ask_aadhaar", 10.0),
    ("confirm", "confirmed", 4.0),
    ("goodbye", "goodbye", 0.5),
)
_PROMPTS: Final = tuple(prompt for _, prompt, _ in _TURNS)


async def _serve(url: str, key: str, host: str, port: int) -> None:
    async with TurnrecClient(url, key) as turnrec:
        server = await listen(host, port, SampleBot(turnrec, kyc_script).answer)
        async with server:
            logger.info("AudioSocket on %s:%d", host, port)
            await server.serve_forever()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description="a KYC bot for AudioSocket")
    parser.add_argument("--listen", default="127.0.0.1:9092", metavar="HOST:PORT")
    parser.add_argument("--url", default="http://127.0.0.1:8077", help="turnrec's HTTP API")
    given = parser.parse_args()
    key = os.environ.get("TURNREC_KEY")
    if not key:
        parser.error("set TURNREC_KEY to an API key with the right `bot`")
    host, _, port = given.listen.rpartition(":")
    if not port.isdigit():
        parser.error("--listen: give HOST:PORT")
    logging.basicConfig(level=logging.INFO)
    asyncio.run(_serve(given.url, key, host, int(port)))


if __name__ == "__main__":
    main()
