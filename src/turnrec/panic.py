"""`turnrec panic`: stops every monitor of ours on this Asterisk, without the server's help.

For the worst day. It knows ours by the spool folder and touches nobody else's. It asks twice:

1. AMI is quick, but knows a monitor only by the ID in its channel's variable; an empty or stale one
   hides it.
2. Asterisk's own command lists the monitors themselves: what it says counts.

Where the second can't be had, the parts in the spool are the witness: one that Asterisk hasn't
closed may still be written. What nobody can tell is reported as not known, never as done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.ami_errors import AmiNotConnectedError
from turnrec.asterisk.ami_settings import AmiSettings
from turnrec.asterisk.channel import ID_VARIABLE, AmiChannel
from turnrec.asterisk.console import Console, ConsoleChannels, ConsoleMonitor
from turnrec.asterisk.spool import Spool
from turnrec.core.errors import TurnrecError

_LOOK_AGAIN_S: Final = 0.01
_ACTION_MS: Final = 5_000
"""A busy Asterisk is the likelier one today: a channel not looked at is one not known."""
_LIST_MS: Final = 10_000
_ROUNDS: Final = 3
"""A server that still runs begins new segments meanwhile."""
_AT_ONCE: Final = 4
"""Commands of Asterisk's at a time; each is a process of 6 to 8 ms."""
_CLOSED_MS: Final = 1_000
_FRESH_S: Final = 60.0
"""Written so lately, an open part belongs to a monitor even where Asterisk's command, perhaps that
of another Asterisk, lists none. An older one was left by an Asterisk that died."""


class PanicFailedError(TurnrecError):
    """Asterisk can't be reached either way: nothing is known of what it records."""

    id = "panic-failed"


@dataclass(frozen=True, slots=True)
class PanicReport:
    """What was found and what became of it. Files are named without their folder."""

    ways: tuple[str, ...]
    """Those that led to Asterisk."""
    channels: int
    stopped: tuple[str, ...]
    still_running: tuple[str, ...]
    """Each with its channel: hanging that up ends it."""
    unknown: tuple[str, ...]
    """What nobody could tell, as sentences."""
    failures: tuple[str, ...]
    """Why a way didn't lead to Asterisk, as sentences."""

    @property
    def is_clear(self) -> bool:
        """Whether it is known that nothing of ours runs."""
        return not (self.still_running or self.unknown)


@dataclass(slots=True)
class _Sweep:
    """What one way came to."""

    uniqueids: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)
    unsure: list[str] = field(default_factory=list)
    channel_of: dict[str, str] = field(default_factory=dict)
    """The part that each channel claims to write."""


async def panic(settings: AmiSettings | None, spool: Spool, asterisk: str) -> PanicReport:
    """Stop every monitor that writes into the spool.

    Args:
        settings: AMI's; None where it isn't used.
        spool: the parts' folder.
        asterisk: the `asterisk` command.

    Raises:
        PanicFailedError: neither way led to Asterisk.
    """
    by_ami = by_console = None
    failures = []
    if settings is not None:
        try:
            by_ami = await _by_ami(settings, spool)
        except TurnrecError as error:
            failures.append(f"AMI: {error}")
    try:
        by_console = await _by_console(Console(asterisk), spool)
    except TurnrecError as error:
        failures.append(f"`{asterisk}`: {error}")
    sweeps = {"AMI": by_ami, f"`{asterisk}`": by_console}
    done = {way: sweep for way, sweep in sweeps.items() if sweep is not None}
    if by_ami is not None and by_console is not None and not _is_same(by_ami, by_console):
        failures.append(f"`{asterisk}`: it lists none of AMI's channels, as another Asterisk would")
        by_console = None
    doubts = await _doubts(spool, by_ami, by_console)
    if not done:
        raise PanicFailedError(". ".join(["Asterisk can't be reached", *failures, *doubts]))
    counting = done.values() if by_console is None else [by_console]
    running = {part for sweep in counting for part in sweep.running}
    stopped = {part for sweep in done.values() for part in sweep.stopped}
    return PanicReport(
        ways=tuple(done),
        channels=max(len(sweep.uniqueids) for sweep in done.values()),
        stopped=tuple(sorted(stopped)),
        still_running=tuple(sorted(running)),
        unknown=tuple(doubts),
        failures=tuple(failures),
    )


def _is_same(by_ami: _Sweep, by_console: _Sweep) -> bool:
    """Whether both ways led to one Asterisk, as far as its channels tell."""
    return not by_ami.uniqueids or bool(by_ami.uniqueids & by_console.uniqueids)


# ------------------------------------------------------------------ by AMI


async def _by_ami(settings: AmiSettings, spool: Spool) -> _Sweep:
    # No class of events but the one that says when Asterisk is ready.
    client = AmiClient(replace(settings, event_classes=("system",), action_timeout_ms=_ACTION_MS))
    await client.start()
    try:
        await _connected(client)
        channels = await client.action_list(
            "CoreShowChannels", complete_event="CoreShowChannelsComplete", timeout_ms=_LIST_MS
        )
        sweep = _Sweep()
        for event in channels:
            # A caller may have forged more of either; Asterisk writes the name first.
            name, uniqueid = event.first("Channel") or "", event.get("Uniqueid") or ""
            if not name:
                continue  # AMI would answer with a global variable
            sweep.uniqueids.add(uniqueid)
            try:
                await _stop_on(AmiChannel(client, name, uniqueid), spool, sweep)
            except TurnrecError as error:
                sweep.unsure.append(f"channel {name} was not looked at ({error})")
        return sweep
    finally:
        await client.close()


async def _connected(client: AmiClient) -> None:
    """Wait for the first attempt to connect, which has its own time-out: a second is time lost."""
    while not client.ready:
        if client.last_error is not None:
            raise AmiNotConnectedError(str(client.last_error))
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _stop_on(channel: AmiChannel, spool: Spool, sweep: _Sweep) -> None:
    part = (await channel.read("TURNREC_PART"))["TURNREC_PART"]
    if part:
        sweep.channel_of[part] = channel.name
    monitor_id, file = await channel.own_monitor()
    path = PurePosixPath(file)
    if not file or path.parent != spool.asterisk_folder:
        return
    sweep.channel_of[path.name] = channel.name
    await channel.stop_monitor(monitor_id)
    (still,) = await channel.monitor_files(monitor_id)
    if still == file:
        sweep.running.add(f"{path.name} on {channel.name}")
        return
    sweep.stopped.add(path.name)
    await channel.publish({ID_VARIABLE: ""})


# ------------------------------------------------------------------ by Asterisk's command


async def _by_console(console: Console, spool: Spool) -> _Sweep:
    sweep = _Sweep()
    ours = await _ours(console, spool, sweep)
    for _ in range(_ROUNDS):
        if not ours:
            break
        for monitor in ours:
            await console.stop(monitor)
        left = await _ours(console, spool, sweep)
        sweep.stopped |= {_part(one) for one in ours - left}
        ours = left
    sweep.running = {f"{_part(one)} on {one.channel}" for one in ours}
    return sweep


def _part(monitor: ConsoleMonitor) -> str:
    """The part that it writes: Asterisk's command lists files without their extension."""
    return PurePosixPath(monitor.file).name.removesuffix(".wav") + ".wav"


async def _ours(console: Console, spool: Spool, sweep: _Sweep) -> set[ConsoleMonitor]:
    """All monitors of ours, now; the sweep's doubts are those of the last look."""
    listing = await console.channels()
    names = list(dict.fromkeys(row.name for row in listing.rows))
    sweep.uniqueids |= {row.uniqueid for row in listing.rows}
    limit = asyncio.Semaphore(_AT_ONCE)

    async def listed(name: str) -> list[ConsoleMonitor] | None:
        async with limit:
            return await console.monitors(name)

    lists = await asyncio.gather(*(listed(name) for name in names))
    looked_at = {name for name, found in zip(names, lists, strict=True) if found is not None}
    unsure = [f"channel {name} was not looked at" for name in sorted(_ambiguous(names))]
    sweep.unsure = unsure + await _overlooked(console, listing, looked_at)
    return {
        monitor
        for found in lists
        for monitor in found or ()
        if PurePosixPath(monitor.file).parent == spool.asterisk_folder
    }


async def _overlooked(console: Console, listing: ConsoleChannels, looked_at: set[str]) -> list[str]:
    """What of the channels that are still there was not looked at, as sentences.

    A caller's number can look like a row of its own, so not every name is a channel's: where as
    many have been looked at as there are, the others are none.
    """
    if len(looked_at) >= listing.count:
        return []
    names = {row.name for row in listing.rows}
    now = await console.channels()  # some may have hung up, others have come
    there = {row.name for row in now.rows}
    overlooked = now.count - len(looked_at & there) - len(there - names)
    if overlooked <= 0:
        return []
    missed = sorted((names - looked_at) & there)
    sentences = [f"channel {name} was not looked at" for name in missed]
    if overlooked > len(missed):
        sentences.append(f"{overlooked - len(missed)} channels can't be read from its list")
    return sentences


def _ambiguous(names: Iterable[str]) -> set[str]:
    """The names that begin another's: Asterisk's command takes the first channel that fits."""
    ordered = sorted(names, key=str.lower)
    return {one for one, after in pairwise(ordered) if after.lower().startswith(one.lower())}


# ------------------------------------------------------------------ the spool as a witness


async def _doubts(spool: Spool, by_ami: _Sweep | None, by_console: _Sweep | None) -> list[str]:
    """What keeps us from saying that nothing of ours runs, beside what is known to run."""
    by_ids = by_ami or _Sweep()
    is_known = by_console is not None and not by_console.unsure
    unsure = by_ids.unsure if by_console is None else by_console.unsure
    try:
        open_parts = await _open_parts(spool)
    except OSError as error:
        reason = f"the spool {spool.folder} can't be read ({error.strerror})"
        return [] if is_known else [*unsure, reason]
    doubts = [] if is_known else list(unsure)
    for part, age_s in sorted(open_parts.items()):
        if not is_known or age_s < _FRESH_S:
            channel = by_ids.channel_of.get(part)
            where = f" on {channel}" if channel else ""
            doubts.append(f"{part}{where} is not closed, last written {age_s:.0f} s ago")
    if not is_known:
        claimed = by_ids.channel_of.items()
        doubts += [
            f"{part} on {channel} is not in the spool {spool.folder}"
            for part, channel in sorted(claimed)
            if spool.size_bytes(part) is None
        ]
    return doubts


async def _open_parts(spool: Spool) -> dict[str, float]:
    """The parts that Asterisk hasn't closed, and how many seconds ago each was last written.

    Raises:
        OSError: the spool can't be read.
    """
    parts = [path.name for path in spool.folder.iterdir() if path.suffix == ".wav"]
    is_closed = await asyncio.gather(*(spool.wait_closed(part, _CLOSED_MS) for part in parts))
    ages_s = {}
    for part, closed in zip(parts, is_closed, strict=True):
        try:
            written_s = spool.path(part).stat().st_mtime
        except OSError:
            continue  # deleted meanwhile: it was joined
        if not closed:
            ages_s[part] = max(0.0, time.time() - written_s)
    return ages_s
