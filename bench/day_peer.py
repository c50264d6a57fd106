"""The simulated day's Asterisk: `python -m bench.day_peer SPOOL`, a process of its own.

It speaks AGI's and AMI's real bytes and writes real part files, as `tests.loopback.fake_asterisk`
does for tests; here for speed: nobody talks, and of all waits there is only the guard's (`EXEC
Wait`), because `turnrec verify` holds the ledger against it. It prints its AMI port, reads what to
do as a line of JSON, and then prints a line of JSON a second, and a last one.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import json
import random
import re
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, TextIO

from tests.loopback.fake_ami import FakeAction, FakeAmi, success

from bench import day_plan
from bench.day_plan import Ending, PlannedCall

ASTERISK_SPOOL: Final = PurePosixPath("/var/spool/asterisk/turnrec")
AMI_SECRET: Final = "bench"  # noqa: S105 - of nothing
_WORD: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPED: Final = re.compile(rb"\\(.)")
_INNERMOST: Final = re.compile(r"\$\{([^{}]*)\}")
_FILENAME: Final = re.compile(r"MIXMONITOR\((.*),filename\)")
_VARIABLE_OF: Final = re.compile(r"i\((\w+)\)")
_STEP_S: Final = 0.02
_STEP_BYTES: Final = 320
_MOST_STEPS: Final = 100
_NOISE: Final = random.Random(1).randbytes(_STEP_BYTES * _MOST_STEPS)  # noqa: S311 - sound
_SAY_EVERY_S: Final = 1.0
_BUCKETS_MS: Final = [2 ** (n / 8) for n in range(-16, 136)]
_DONE: Final = b"200 result=0\n"
_GOOD: Final = {"OK", "REFUSED"}


@dataclass(slots=True)
class Monitor:
    """A MixMonitor that runs."""

    id: str
    file: str
    path: Path
    began_s: float


@dataclass(slots=True)
class Channel:
    """A channel: its variables, and what records it."""

    name: str
    uniqueid: str
    variables: dict[str, str] = field(default_factory=dict)
    monitors: dict[str, Monitor] = field(default_factory=dict)


class Manager:
    """AMI's side: who is there, and what becomes of MixMonitors."""

    def __init__(self, channels: dict[str, Channel]) -> None:
        self._channels = channels
        self.peer = FakeAmi(secret=AMI_SECRET)
        self.peer.on("CoreSettings", success(AsteriskVersion="22.10.1"))
        self.peer.on("CoreShowChannels", self._list)
        self.peer.on("Getvar", self._getvar)

    def tell(self, event: str, channel: Channel) -> None:
        """Send an event of a channel to whoever is logged in."""
        for session in self.peer.logged_in[-1:]:
            session.event(event, **_snapshot(channel))

    def _list(self, action: FakeAction) -> None:
        action_id = action.get("ActionID") or ""
        action.answer("Success", EventList="start", Message="Channels will follow")
        for channel in self._channels.values():
            action.session.event("CoreShowChannel", ActionID=action_id, **_snapshot(channel))
        end = {"EventList": "Complete", "ListItems": str(len(self._channels))}
        action.session.event("CoreShowChannelsComplete", ActionID=action_id, **end)

    def _getvar(self, action: FakeAction) -> None:
        asked, name = action.get("Channel") or "", action.get("Variable") or ""
        found = next(
            (one for one in self._channels.values() if asked in (one.uniqueid, one.name)), None
        )
        if found is None:
            action.answer("Error", Message="No such channel")
        else:
            action.answer("Success", Variable=name, Value=_value_of(found, name))


def _snapshot(channel: Channel) -> dict[str, str]:
    return {
        "Channel": channel.name,
        "ChannelStateDesc": "Up",
        "Uniqueid": channel.uniqueid,
        "Linkedid": channel.uniqueid,
        "Context": "bots",
        "Exten": "s",
    }


def _value_of(channel: Channel, name: str) -> str:
    function = _FILENAME.fullmatch(name)
    if function is not None:
        monitor = channel.monitors.get(function[1])
        return "" if monitor is None else monitor.file
    if name == "CHANNEL(name)":
        return channel.name
    if name == "CHANNEL(uniqueid)":
        return channel.uniqueid
    return channel.variables.get(name, "")


class Session(asyncio.Protocol):
    """One FastAGI connection: answers commands until turnrec closes it."""

    def __init__(self, asterisk: Asterisk, channel: Channel, script: str) -> None:
        self._asterisk = asterisk
        self._channel = channel
        self._script = script
        self._buffer = b""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        transport.write(
            f"agi_network: yes\nagi_network_script: {self._script}\n"
            f"agi_request: agi://127.0.0.1/{self._script}\nagi_channel: {self._channel.name}\n"
            f"agi_language: en\nagi_type: PJSIP\nagi_uniqueid: {self._channel.uniqueid}\n"
            "agi_version: 22.10.1\nagi_callerid: 491234\nagi_calleridname: A Caller\n"
            "agi_context: bots\nagi_extension: s\nagi_priority: 1\n\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            words = [
                _ESCAPED.sub(rb"\1", quoted).decode() if quoted else bare.decode()
                for quoted, bare in _WORD.findall(line)
            ]
            if words[:2] == ["EXEC", "Wait"]:
                asyncio.get_running_loop().call_later(float(words[2]), self._answer, _DONE)
            else:
                self._answer(self._asterisk.obey(self._channel, words))

    def _answer(self, reply: bytes) -> None:
        self._transport.write(reply)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if not self.over.done():
            self.over.set_result(None)


class Asterisk:
    """Channels and their MixMonitors, driven by AGI commands."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.agi_port = 0
        self.channels: dict[str, Channel] = {}
        self.manager = Manager(self.channels)
        self._monitors = 0

    def obey(self, channel: Channel, words: list[str]) -> bytes:
        """Do what an AGI command says; return the answer."""
        match words:
            case ["GET", "FULL", "VARIABLE", text]:
                while "${" in text:
                    text = _INNERMOST.sub(lambda found: _value_of(channel, found[1]), text)
                return f"200 result=1 ({text})\n".encode()
            case ["EXEC", "MSet", pairs]:
                for pair in pairs.split(","):
                    name, _, value = pair.partition("=")
                    channel.variables[name] = value
            case ["EXEC", "MixMonitor", arguments]:
                self._start(channel, *arguments.split(","))
            case ["EXEC", "StopMixMonitor", monitor_id]:
                self._stop(channel, monitor_id)
            case ["SET", "VARIABLE", name, value]:
                channel.variables[name] = value
                return b"200 result=1\n"
            case _:
                return b"510 Invalid or unknown command\n"
        return _DONE

    def _start(self, channel: Channel, file: str, options: str = "") -> None:
        self._monitors += 1
        # They come again, as a real one's pointers do.
        monitor_id = f"0x7f{self._monitors % 4096:010x}"
        path = self.spool / PurePosixPath(file).name
        path.write_bytes(_header(0, 0))
        channel.monitors[monitor_id] = Monitor(monitor_id, file, path, time.monotonic())
        found = _VARIABLE_OF.search(options)
        if found is not None:
            channel.variables[found[1]] = monitor_id
        self.manager.tell("MixMonitorStart", channel)

    def _stop(self, channel: Channel, monitor_id: str) -> None:
        monitor = channel.monitors.pop(monitor_id, None)
        if monitor is not None:
            _close(monitor)
            self.manager.tell("MixMonitorStop", channel)

    async def agi(self, channel: Channel, script: str) -> None:
        """Run AGI(agi://.../script)."""
        loop = asyncio.get_running_loop()
        _, session = await loop.create_connection(
            lambda: Session(self, channel, script), "127.0.0.1", self.agi_port
        )
        await session.over

    async def gosub(self, channel: Channel, script: str) -> str:
        """What the dialplan's subroutines do (turnrec.conf); return TURNREC_STATUS."""
        channel.variables["TURNREC_STATUS"] = ""
        await self.agi(channel, script)
        status = channel.variables["TURNREC_STATUS"]
        if status not in _GOOD:
            self._stop(channel, channel.variables.get("TURNREC_MIXMON_ID", ""))
            channel.variables |= {"TURNREC_MIXMON_ID": "", "TURNREC_HOLDS": "turn:fault"}
        return status

    def hang_up(self, channel: Channel) -> None:
        """The channel is gone, and what recorded it has ended."""
        for monitor in channel.monitors.values():
            _close(monitor)
        channel.monitors.clear()
        del self.channels[channel.uniqueid]
        self.manager.tell("Hangup", channel)


def _close(monitor: Monitor) -> None:
    """Write what it heard: as long as it ran, in MixMonitor's whole steps."""
    steps = min(_MOST_STEPS, int((time.monotonic() - monitor.began_s) / _STEP_S))
    sound = _NOISE[: steps * _STEP_BYTES]
    monitor.path.write_bytes(_header(36 + len(sound), len(sound)) + sound)


def _header(riff_bytes: int, sound_bytes: int) -> bytes:
    form = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", riff_bytes)
        + b"WAVEfmt "
        + form
        + b"data"
        + struct.pack("<I", sound_bytes)
    )


@dataclass(slots=True)
class Score:
    """What has been asked, and how it went."""

    calls: int = 0
    turns: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    buckets: Counter[int] = field(default_factory=Counter)

    def took(self, ms: float) -> None:
        """Count a turn's time."""
        self.buckets[bisect.bisect_left(_BUCKETS_MS, ms)] += 1

    def quantile_ms(self, share: float) -> float:
        """A turn's time that this share of them stays below, to 9 %."""
        wanted, seen = share * sum(self.buckets.values()), 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return round(_BUCKETS_MS[min(bucket, len(_BUCKETS_MS) - 1)], 2)
        return 0.0

    def line(self, live: int, *, is_last: bool) -> str:
        """How it stands, as JSON."""
        return json.dumps(
            {
                "calls": self.calls,
                "turns": self.turns,
                "live": live,
                "statuses": dict(self.statuses),
                "p50_ms": self.quantile_ms(0.5),
                "p99_ms": self.quantile_ms(0.99),
                "max_ms": self.quantile_ms(1.0),
                "is_last": is_last,
            }
        )


async def run(asterisk: Asterisk, order: dict[str, Any], journal: TextIO) -> Score:
    """Make all the calls, so many side by side."""
    asterisk.agi_port = order["agi_port"]
    planned: Iterator[tuple[int, PlannedCall]] = enumerate(
        day_plan.calls(order["seed"], order["turns"], by_events=order["ami"]), order["first"]
    )
    until_s = time.monotonic() + order["most_s"]
    planned = itertools.takewhile(lambda _: time.monotonic() < until_s, planned)
    score = Score()
    callers = [
        asyncio.create_task(_callers(asterisk, planned, score, journal))
        for _ in range(order["at_once"])
    ]
    waiting = asyncio.gather(*callers)
    while not waiting.done():
        await asyncio.wait({waiting}, timeout=_SAY_EVERY_S)
        print(score.line(len(asterisk.channels), is_last=False), flush=True)  # noqa: T201
    await waiting
    return score


async def _callers(
    asterisk: Asterisk,
    planned: Iterator[tuple[int, PlannedCall]],
    score: Score,
    journal: TextIO,
) -> None:
    for number, call in planned:
        channel = Channel(f"PJSIP/caller-{number:08x}", f"{1_790_000_000 + number // 10}.{number}")
        channel.variables["CHANNEL(audionativeformat)"] = "(ulaw)"
        asterisk.channels[channel.uniqueid] = channel
        score.statuses[await asterisk.gosub(channel, f"start?{call.bot}&")] += 1
        for node in call.turns:
            began_s = time.perf_counter()
            status = await asterisk.gosub(channel, f"turn?{node}&")
            score.took((time.perf_counter() - began_s) * 1000)
            score.statuses[status] += 1
            score.turns += 1
        if call.ending is Ending.HANDLER:
            await asterisk.agi(channel, "hangup")
        asterisk.hang_up(channel)
        score.calls += 1
        journal.write(
            json.dumps([channel.uniqueid, call.turns_begun, day_plan.recordings(call)]) + "\n"
        )


async def _main(spool: Path) -> None:
    asterisk = Asterisk(spool)
    loop = asyncio.get_running_loop()
    async with asterisk.manager.peer as peer:
        print(peer.port, flush=True)  # noqa: T201
        order = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
        with Path(order["journal"]).open("w", encoding="utf-8") as journal:  # noqa: ASYNC230
            score = await run(asterisk, order, journal)
        print(score.line(len(asterisk.channels), is_last=True), flush=True)  # noqa: T201
        await loop.run_in_executor(None, sys.stdin.read)  # until it is told to go


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
