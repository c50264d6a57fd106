"""Asterisk's side of one AGI session: tells who the channel is, then does as it is told."""

from __future__ import annotations

import asyncio
import shlex
from typing import Final

from turnrec.simulate.machine import (
    ANSWER_S,
    NotSimulatedError,
    SimulatedAsterisk,
    SimulatedChannel,
)
from turnrec.simulate.wire import Over, Tap

ADDRESS: Final = ("127.0.0.1", 4573)
"""Where turnrec listens for FastAGI, within the simulation."""


async def run_agi(
    asterisk: SimulatedAsterisk, tap: Tap, channel: SimulatedChannel, script: str, *words: str
) -> None:
    """Run `AGI(agi://.../script?words)` on a channel, to the end of its session.

    Raises:
        NotSimulatedError: turnrec has sent what the simulation can't play.
    """
    reader, writer = await asyncio.open_connection(*ADDRESS)
    try:
        writer.write(_environment(asterisk, channel, "?".join([script, "&".join(words)])))
        while line := await reader.readline():
            sent = line.decode().removesuffix("\n")
            command = tap.note(Over.AGI, channel.name, sent)
            answer = await _obey(asterisk, channel, _words(sent))
            await asyncio.sleep(ANSWER_S)
            tap.answered(command, answer)
            writer.write(f"{answer}\n".encode())
    finally:
        writer.close()
        await writer.wait_closed()


async def _obey(asterisk: SimulatedAsterisk, channel: SimulatedChannel, words: list[str]) -> str:
    match words:
        case ["EXEC", application, *arguments]:
            await asterisk.run(channel, application, "".join(arguments))
            return "200 result=0"
        case ["SET", "VARIABLE", name, value]:
            channel.variables[name] = value
            return "200 result=1"
        case ["GET", "FULL", "VARIABLE", expression]:
            return f"200 result=1 ({asterisk.expand(channel, expression)})"
    raise NotSimulatedError(f"the AGI command {' '.join(words)}")


def _words(line: str) -> list[str]:
    """A command's words, quoted and escaped as res_agi.c reads them."""
    words = shlex.shlex(line, posix=True)
    words.quotes, words.commenters, words.whitespace_split = '"', "", True
    return list(words)


def _environment(asterisk: SimulatedAsterisk, channel: SimulatedChannel, target: str) -> bytes:
    lines = (
        "agi_network: yes",
        f"agi_network_script: {target}",
        f"agi_request: agi://{ADDRESS[0]}:{ADDRESS[1]}/{target}",
        f"agi_channel: {channel.name}",
        "agi_language: en",
        f"agi_uniqueid: {channel.uniqueid}",
        f"agi_version: {asterisk.version}",
        "agi_callerid: unknown",
    )
    return "".join(f"{line}\n" for line in (*lines, "")).encode()
