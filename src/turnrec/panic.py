"""`turnrec panic`: stops every monitor of ours on this Asterisk, without the server's help.

For the worst day: it asks Asterisk which channels there are, which monitors write into our spool,
ends those and looks that they are gone. Over AMI, or by the `asterisk` command where AMI fails. It
knows ours by the spool folder and touches nobody else's.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.ami_errors import AmiError
from turnrec.asterisk.ami_settings import AmiSettings
from turnrec.asterisk.channel import ID_VARIABLE, AmiChannel
from turnrec.core.errors import TurnrecError

_READY_MS = 5_000
_LIST_MS = 10_000
_CLI_TIMEOUT_S = 10.0
_MONITOR = re.compile(r"(?P<id>0x[0-9a-f]+)\t(?P<file>[^\t]*)\t")
_CHANNEL = re.compile(r"[^\s!]+")


class PanicFailedError(TurnrecError):
    """Asterisk can't be reached either way: nothing is known of what it records."""

    id = "panic-failed"


@dataclass(frozen=True, slots=True)
class PanicReport:
    """What was found and what became of it. Files are named without their folder."""

    way: str
    channels: int
    stopped: tuple[str, ...]
    still_running: tuple[str, ...]


async def panic(settings: AmiSettings | None, spool: PurePosixPath, asterisk: str) -> PanicReport:
    """Stop every monitor that writes into `spool`.

    Args:
        settings: AMI's; None where it isn't used.
        spool: the parts' folder as Asterisk sees it.
        asterisk: the `asterisk` command, for when AMI can't be had.

    Raises:
        PanicFailedError: neither way led to Asterisk.
    """
    reasons = []
    if settings is not None:
        try:
            return await _by_ami(settings, spool)
        except TurnrecError as error:
            reasons.append(f"AMI: {error}")
    try:
        return await _by_cli(spool, asterisk)
    except (OSError, TimeoutError, TurnrecError) as error:
        reasons.append(f"{asterisk}: {error}")
    raise PanicFailedError("Asterisk can't be reached. " + "; ".join(reasons))


async def _by_ami(settings: AmiSettings, spool: PurePosixPath) -> PanicReport:
    client = AmiClient(settings)
    await client.start()
    try:
        await client.wait_ready(_READY_MS)
        channels = await client.action_list(
            "CoreShowChannels", complete_event="CoreShowChannelsComplete", timeout_ms=_LIST_MS
        )
        stopped: list[str] = []
        running: list[str] = []
        for event in channels:
            name = event.get("Channel")
            if not name:
                continue
            try:
                part = await _stop_on(AmiChannel(client, name, event.get("Uniqueid") or ""), spool)
            except AmiError:
                continue  # it has hung up since
            if part is not None:
                (stopped if part[1] else running).append(part[0])
        return PanicReport("ami", len(channels), tuple(stopped), tuple(running))
    finally:
        await client.close()


async def _stop_on(channel: AmiChannel, spool: PurePosixPath) -> tuple[str, bool] | None:
    """Stop our monitor on a channel: the part's name, and whether it is gone."""
    monitor_id, file = await channel.own_monitor()
    path = PurePosixPath(file)
    if not file or path.parent != spool:
        return None
    await channel.stop_monitor(monitor_id)
    (still,) = await channel.monitor_files(monitor_id)
    gone = still != file
    if gone:
        await channel.publish({ID_VARIABLE: ""})
    return path.name, gone


async def _by_cli(spool: PurePosixPath, asterisk: str) -> PanicReport:
    listing = await _rx(asterisk, "core show channels concise")
    names = [line.partition("!")[0] for line in listing.splitlines() if "!" in line]
    stopped: list[str] = []
    running: list[str] = []
    for name in filter(_CHANNEL.fullmatch, names):
        for monitor_id, file in await _monitors(asterisk, name, spool):
            await _rx(asterisk, f"mixmonitor stop {name} {monitor_id}")
            left = await _monitors(asterisk, name, spool)
            gone = (monitor_id, file) not in left
            (stopped if gone else running).append(PurePosixPath(file).name)
    return PanicReport("asterisk -rx", len(names), tuple(stopped), tuple(running))


async def _monitors(asterisk: str, channel: str, spool: PurePosixPath) -> list[tuple[str, str]]:
    listing = await _rx(asterisk, f"mixmonitor list {channel}")
    return [
        (found["id"], found["file"])
        for found in _MONITOR.finditer(listing)
        if PurePosixPath(found["file"]).parent == spool
    ]


async def _rx(asterisk: str, command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *asterisk.split(),
        "-rx",
        command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_CLI_TIMEOUT_S):
            output, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise PanicFailedError(f"no answer to {command!r} in {_CLI_TIMEOUT_S:g} s") from None
    if process.returncode != 0:
        raise PanicFailedError(complaint.decode(errors="replace").strip() or "it failed")
    return output.decode(errors="replace")
