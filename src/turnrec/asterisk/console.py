"""Asterisk's own command (`asterisk -rx`): lists what MixMonitors there are and stops one.

It needs no AMI and no channel variable, and sees the monitors themselves. It decides nothing. Its
exit status and an empty answer prove nothing: the command says 0, too, where Asterisk ends before
it has answered. So every answer is known by its own words, the same in 16.28 and 22.10.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from dataclasses import dataclass
from typing import Final

from turnrec.core.errors import TurnrecError

_ANSWER_S: Final = 10.0
_TRIES: Final = 3
_ROW: Final = re.compile(
    r"^([^!\n]+)![^\n]*?!-?\d+!(?:Down|Rsrvd|OffHook|Dialing|Ring|Ringing|Up|Busy|Dialing Offhook"
    r"|Pre-ring|Mute|Unknown)!",
    re.MULTILINE,
)
"""How a row of `core show channels concise` begins: name!context!exten!priority!state! The caller's
number comes later, and what else may hold a line end: a row isn't a line."""
_COUNT: Final = re.compile(r"^(\d+) active channels?$", re.MULTILINE)
_MONITORS_HEAD: Final = "MixMonitor ID"
_MONITOR: Final = re.compile(r"^(0x[0-9a-fA-F]+)\t([^\t]*)\t", re.MULTILINE)
_PLAIN: Final = re.compile(r'[^\s"\\]+')


class ConsoleError(TurnrecError):
    """The command can't be run, or what it printed is no answer."""

    id = "asterisk-command-failed"


@dataclass(frozen=True, slots=True)
class ConsoleChannel:
    """A channel as Asterisk lists it."""

    name: str
    uniqueid: str


@dataclass(frozen=True, slots=True)
class ConsoleMonitor:
    """A MixMonitor as Asterisk lists it, whosever it is."""

    channel: str
    id: str
    file: str


@dataclass(frozen=True, slots=True)
class ConsoleChannels:
    """All channels that there are, as far as they can be read."""

    rows: tuple[ConsoleChannel, ...]
    """A caller's number can hold whatever a row can: one may be forged, or a uniqueid wrong."""
    count: int
    """How many there really are."""


class Console:
    """The command line of the Asterisk on this machine."""

    def __init__(self, command: str) -> None:
        """`command` is as typed in a shell: `asterisk`, or `docker exec pbx asterisk`."""
        self._command = shlex.split(command)

    async def channels(self) -> ConsoleChannels:
        """All channels.

        Raises:
            ConsoleError: Asterisk doesn't say.
        """
        found: ConsoleChannels | None = None
        for _ in range(_TRIES):
            rows = _rows(await self._rx("core show channels concise"))
            counted = _COUNT.search(await self._rx("core show channels count"))
            if counted is None:
                continue
            found = ConsoleChannels(rows, int(counted[1]))
            if len(rows) >= found.count:  # else one may have come in between
                return found
        if found is None:
            raise ConsoleError("it doesn't say which channels there are")
        return found

    async def monitors(self, channel: str) -> list[ConsoleMonitor] | None:
        """All monitors on a channel; None where Asterisk doesn't list it (it has hung up, say)."""
        listing = await self._rx(f"mixmonitor list {_quoted(channel)}")
        if _MONITORS_HEAD not in listing:
            return None
        return [ConsoleMonitor(channel, *found) for found in _MONITOR.findall(listing)]

    async def stop(self, monitor: ConsoleMonitor) -> None:
        """Stop a monitor, and nobody else's: by its ID. The answer says nothing."""
        await self._rx(f"mixmonitor stop {_quoted(monitor.channel)} {monitor.id}")

    async def run(self, command: str) -> str:
        """What Asterisk prints for any command of its CLI.

        Raises:
            ConsoleError: it can't be run, failed, or didn't answer.
        """
        return await self._rx(command)

    async def _rx(self, command: str) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                "-rx",
                command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except (OSError, ValueError) as error:
            raise ConsoleError(str(error)) from error
        try:
            async with asyncio.timeout(_ANSWER_S):
                output, complaint = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ConsoleError(f"no answer to {command!r} in {_ANSWER_S:g} s") from None
        if process.returncode != 0:
            raise ConsoleError(complaint.decode(errors="replace").strip() or "it failed")
        return output.decode(errors="replace")


def _rows(listing: str) -> tuple[ConsoleChannel, ...]:
    """Read `core show channels concise`. A row goes on to where the next one begins."""
    starts = [row.start() for row in _ROW.finditer(listing)]
    texts = [listing[one:end] for one, end in zip(starts, [*starts[1:], None], strict=False)]
    return tuple(
        ConsoleChannel(text.partition("!")[0], text.rstrip("\n").rpartition("!")[2])
        for text in texts
    )


def _quoted(channel: str) -> str:
    """A channel's name as one word: a Local channel's holds what was dialled, blanks and all."""
    if _PLAIN.fullmatch(channel):
        return channel
    return '"' + channel.replace("\\", "\\\\").replace('"', '\\"') + '"'
