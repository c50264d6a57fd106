"""Asterisk's side of FastAGI in real bytes: channels, their variables, MixMonitors, part files.

    pbx = FakeAsterisk(spool_folder)
    pbx.port = server.port                               # turnrec's FastAGI port
    caller = pbx.channel()
    caller.on("StopMixMonitor", ignored)                 # a fault, planted for the next one
    status = await caller.gosub("turn", "ask_aadhaar")   # as asterisk-conf/turnrec.conf does
    caller.speak(b"4321")                                # whatever runs captures it
    assert b"4321" not in caller.captured

It believes what it is told as little as Asterisk does: `EXEC` answers success to anything, IDs
come again as soon as they are free, a live part's header says 0. Nothing in it needs a sleep.
"""

from __future__ import annotations

import asyncio
import enum
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.loopback.clock import leap
from tests.loopback.res_agi import MAX_COMMAND_BYTES, expand, parse_args

# Only for a test that would otherwise hang: no assertion depends on how long anything takes.
HANG_S = 120.0
ASTERISK_SPOOL = PurePosixPath("/var/spool/asterisk/turnrec")
DEAD = b"511 Command Not Permitted on a dead channel or intercept routine\n"


class Disk(enum.Enum):
    """What becomes of a part's file when its monitor starts."""

    WORKS = "header at once"
    FULL = "a file of 0 bytes"
    READ_ONLY = "no file"
    SLOW = "no file until catch_up()"


@dataclass
class FakeMonitor:
    """One MixMonitor. What it has heard reaches its file when it is stopped, as in Asterisk."""

    id: str
    file: str
    path: Path | None
    """None: its file can't be written, or isn't in the spool."""
    heard: bytearray = field(default_factory=bytearray)
    muted: bool = False

    def write(self, riff_bytes: int) -> None:
        if self.path is not None:
            header = b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVEfmt " + bytes(28)
            self.path.write_bytes(header + (self.heard if riff_bytes else b""))

    def close(self) -> None:
        self.write(36 + len(self.heard))


class FakeAsterisk:
    """The machine: a spool folder, a port to connect to, channels."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.port = 0
        self.disk = Disk.WORKS
        self.bytewise = False
        """Send every byte in a write of its own."""
        self.channels: list[FakeChannel] = []
        self._late: list[FakeMonitor] = []

    def channel(
        self, name: str = "PJSIP/caller-00000001", uniqueid: str = "1790000000.1"
    ) -> FakeChannel:
        self.channels.append(FakeChannel(self, name, uniqueid))
        return self.channels[-1]

    def monitor(self, file: str) -> FakeMonitor:
        taken = {monitor.id for channel in self.channels for monitor in channel.running}
        monitor_id = next(one for n in range(1, 99) if (one := f"0x7f{n:010x}") not in taken)
        path = PurePosixPath(file)
        in_spool = path.parent == ASTERISK_SPOOL and path.suffix == ".wav"
        monitor = FakeMonitor(monitor_id, file, self.spool / path.name if in_spool else None)
        if self.disk is Disk.WORKS:
            monitor.write(0)
        elif self.disk is Disk.SLOW:
            self._late.append(monitor)
        else:
            if self.disk is Disk.FULL and monitor.path is not None:
                monitor.path.touch()
            monitor.path = None
        return monitor

    def catch_up(self) -> None:
        """The slow disk has written what was started."""
        for monitor in self._late:
            monitor.write(0)
        self._late.clear()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        transport_socket = writer.get_extra_info("socket")
        transport_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return reader, writer

    async def round_trip(self) -> None:
        """A session of its own from start to end: turnrec has had time for anything it wanted."""
        other = FakeChannel(self, "Local/round-trip", "0.0")
        await other.agi("no-such-script")


class FakeChannel:
    """One channel: what AGI, the dialplan and the parties do to it."""

    def __init__(self, pbx: FakeAsterisk, name: str, uniqueid: str) -> None:
        self.pbx = pbx
        self.name = name
        self.uniqueid = uniqueid
        self.variables: dict[str, str] = {"CHANNEL(audionativeformat)": "(ulaw)"}
        self.running: list[FakeMonitor] = []
        self.monitors: list[FakeMonitor] = []
        """Every one that was ever started."""
        self.wire: list[str] = []
        """In order of arrival: `> command` of turnrec's, `< reply` of Asterisk's."""
        self.waited_ms = 0.0
        self.tones = ""
        """What PlayTones plays now."""
        self.settles = True
        """Whether the dialplan fails closed as turnrec.conf does."""
        self._reactions: list[_Planted] = []
        self._changed = asyncio.Event()

    # -- what a test says and asks ---------------------------------------------------------------

    def on(self, what: str | int | None, reaction: Reaction, *, times: int = 1) -> None:
        """React otherwise to an application or verb, to the n-th command from now, or to all."""
        self._reactions.append(_Planted(what, reaction, times, len(self.commands)))

    def heal(self) -> None:
        """Forget the reactions that were planted."""
        self._reactions.clear()

    @property
    def commands(self) -> list[str]:
        """What turnrec has sent: `EXEC StopMixMonitor 0x7f0000000001`."""
        return [line.removeprefix("> ") for line in self.wire if line.startswith("> ")]

    @property
    def verbs(self) -> list[str]:
        """The commands without their arguments: `StopMixMonitor`, `GET FULL VARIABLE`."""
        return [_verb(command.split(" ")) for command in self.commands]

    @property
    def status(self) -> str:
        return self.variables.get("TURNREC_STATUS", "")

    @property
    def error(self) -> str:
        return self.variables.get("TURNREC_ERROR", "")

    def speak(self, audio: bytes) -> None:
        """Somebody is heard; every monitor that runs unmuted takes it."""
        for monitor in self.running:
            if not monitor.muted:
                monitor.heard += audio

    @property
    def captured(self) -> bytes:
        """All that any monitor ever took."""
        return b"".join(bytes(monitor.heard) for monitor in self.monitors)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANG_S):
            while not condition():
                await self._changed.wait()

    async def received(self, verb: str, count: int = 1) -> None:
        """Wait until turnrec has sent this command for the count-th time."""
        await self.until(lambda: self.verbs.count(verb) >= count)

    # -- the dialplan ----------------------------------------------------------------------------

    async def gosub(self, script: str, *arguments: str) -> str:
        """Call a subroutine as turnrec.conf has it, and return its TURNREC_STATUS."""
        self.variables["TURNREC_STATUS"] = ""
        await self.agi(script, *arguments)
        if self.settles and self.status not in {"OK", "REFUSED"}:
            self.settle()
        return self.status

    def settle(self) -> None:
        """What turnrec-settle does when no OK came back."""
        monitor_id = self.variables.get("TURNREC_MIXMON_ID", "")
        if monitor_id:
            self.run("StopMixMonitor", monitor_id)
        holds = self.variables.get("TURNREC_HOLDS", "")
        self.variables |= {
            "TURNREC_MIXMON_ID": "",
            "TURNREC_HOLDS": f"{holds}:turn:fault" if holds else "turn:fault",
            "TURNREC_STATUS": "FAILCLOSED",
        }
        if self.variables.get("TURNREC_STATE") == "recording":
            self.variables["TURNREC_STATE"] = "paused"

    async def hang_up(self) -> None:
        """The hang-up handler runs, then Asterisk ends what runs on the channel."""
        await self.agi("hangup")
        self.destroy()

    def destroy(self) -> None:
        """The channel is gone, and its monitors with it."""
        for monitor in self.running:
            monitor.close()
        self.running.clear()

    async def agi(self, script: str, *arguments: str, environment: bytes | None = None) -> str:
        """Run AGI(agi://.../script,arguments) and return AGISTATUS."""
        try:
            reader, writer = await self.pbx.connect()
        except OSError:
            return "FAILURE"
        session = _Session(self, reader, writer)
        try:
            async with asyncio.timeout(HANG_S):
                await session.run(environment or self.environment(script, *arguments))
        finally:
            await session.close()
        return "SUCCESS"

    def environment(self, script: str, *arguments: str) -> bytes:
        """What res_agi says first. It escapes nothing, whatever an argument holds."""
        target = "?".join([script, "&".join(arguments)] if arguments else [script])
        lines = [
            "agi_network: yes",
            f"agi_network_script: {target}",
            f"agi_request: agi://127.0.0.1:{self.pbx.port}/{target}",
            f"agi_channel: {self.name}",
            "agi_language: en",
            f"agi_uniqueid: {self.uniqueid}",
            "agi_version: 22.10.1",
            "agi_callerid: 491234",
            "agi_calleridname: Andr\udce9",
        ]
        return "".join(f"{line}\n" for line in [*lines, ""]).encode("utf-8", "surrogateescape")

    # -- applications and functions --------------------------------------------------------------

    def run(self, application: str, arguments: str) -> int:
        """Run a dialplan application; -2 is Asterisk's answer to one that it doesn't know."""
        match application.lower():
            case "mixmonitor":
                self._start_monitor(*arguments.split(","))
            case "stopmixmonitor":
                self._stop_monitor(arguments)
            case "playtones" | "stopplaytones":
                self.tones = arguments
            case "wait":
                self.waited_ms += float(arguments) * 1000
            case "mset":
                pairs = (pair.partition("=") for pair in arguments.split(","))
                self.variables |= {name.lstrip("_"): value for name, _, value in pairs}
            case _:
                return -2
        return 0

    def start_foreign_monitor(self, file: str = "/var/spool/asterisk/monitor/q.wav") -> FakeMonitor:
        """A recorder that isn't turnrec's: a queue's, FreePBX's."""
        self._start_monitor(file)
        return self.running[-1]

    def _start_monitor(self, file: str, options: str = "", command: str = "") -> None:
        assert not command, "MixMonitor's third argument is run by a shell"
        monitor = self.pbx.monitor(file)
        self.running.append(monitor)
        self.monitors.append(monitor)
        variable = re.search(r"i\((\w+)\)", options)
        if variable is not None:
            self.variables[variable[1]] = monitor.id

    def _stop_monitor(self, monitor_id: str) -> None:
        """Without an ID, the first one found is stopped, whosever it is."""
        for monitor in self.running:
            if monitor_id in {"", monitor.id}:
                self.running.remove(monitor)
                monitor.close()
                return

    def value_of(self, name: str) -> str:
        """A channel variable, CHANNEL(name), or MIXMONITOR(id,filename)."""
        if name == "CHANNEL(name)":
            return self.name
        function = re.fullmatch(r"MIXMONITOR\((.*),filename\)", name)
        if function is None:
            return self.variables.get(name, "")
        return next((one.file for one in self.running if one.id == function[1]), "")

    def note(self, line: str) -> None:
        """Enter what was seen on the wire, and wake who waits for it."""
        self.wire.append(line)
        self._changed.set()
        self._changed = asyncio.Event()

    def reaction_to(self, words: list[str]) -> Reaction:
        """What was planted for this command, which is the last one on the wire."""
        for planted in self._reactions:
            if planted.times > 0 and planted.fits(_verb(words), len(self.commands)):
                planted.times -= 1
                return planted.reaction
        return obeyed


@dataclass
class Exchange:
    """One command that has been read, and what can be done about it."""

    channel: FakeChannel
    words: list[str]
    session: _Session

    def perform(self) -> bytes:
        """Do as told; return the reply that is due."""
        channel = self.channel
        match self.words:
            case ["EXEC", application, *arguments]:
                return b"200 result=%d\n" % channel.run(application, "".join(arguments[:1]))
            case ["SET", "VARIABLE", name, value]:
                channel.variables[name] = value
                return b"200 result=1\n"
            case ["GET", "FULL", "VARIABLE", expression]:
                value = expand(expression, channel.value_of)
                return f"200 result=1 ({value})\n".encode()
            case ["NOOP", *_]:
                return b"200 result=0\n"
            case ["EXEC" | "SET" | "GET", *_]:
                return b"520-Invalid command syntax.  Usage:\n Usage: ...\n520 End of usage.\n"
        return b"510 Invalid or unknown command\n"

    async def answer(self, reply: bytes) -> None:
        self.channel.note("< " + reply.decode().strip())
        await self.session.send(reply)


Reaction = Callable[[Exchange], Awaitable[None]]


async def obeyed(exchange: Exchange) -> None:
    """As it should be."""
    await exchange.answer(exchange.perform())


async def ignored(exchange: Exchange) -> None:
    """Success is answered and nothing is done, as to a stale ID."""
    await exchange.answer(b"200 result=0\n")


async def cut_before(exchange: Exchange) -> None:
    """The connection breaks; nothing is done."""
    exchange.session.cut()


async def cut_after(exchange: Exchange) -> None:
    """It is done; the connection breaks before the answer."""
    exchange.perform()
    exchange.session.cut()


async def never_answered(exchange: Exchange) -> None:
    """It is done, and no answer ever comes: the time in which it had to has passed."""
    exchange.perform()
    leap()
    await exchange.session.left.wait()


async def with_progress(exchange: Exchange) -> None:
    """A provisional answer comes first, as from GOSUB."""
    await exchange.answer(b"100 result=0 Trying...\n")
    await obeyed(exchange)


async def amid_hangup(exchange: Exchange) -> None:
    """The caller hangs up before the answer and after it; the session goes on."""
    await exchange.answer(b"HANGUP\n")
    await obeyed(exchange)
    await exchange.answer(b"HANGUP\n")


def answered_with(reply: bytes) -> Reaction:
    """Nothing is done; this is sent."""
    return lambda exchange: exchange.answer(reply)


def done_but_answered_with(reply: bytes) -> Reaction:
    """It is done, and this is sent instead of its answer."""

    async def react(exchange: Exchange) -> None:
        exchange.perform()
        await exchange.answer(reply)

    return react


def held_back(release: asyncio.Event, *, done_at_once: bool = True) -> Reaction:
    """Asterisk hangs: the answer, or the deed as well, comes when released."""

    async def react(exchange: Exchange) -> None:
        reply = exchange.perform() if done_at_once else b""
        await release.wait()
        await exchange.answer(reply or exchange.perform())

    return react


@dataclass
class _Planted:
    what: str | int | None
    reaction: Reaction
    times: int
    commands_before: int

    def fits(self, verb: str, commands: int) -> bool:
        if isinstance(self.what, int):
            return commands - self.commands_before == self.what
        return self.what is None or self.what.lower() == verb.lower()


def _verb(words: list[str]) -> str:
    if words[0] == "EXEC" and len(words) > 1:
        return words[1]
    return " ".join(word for word in words[:3] if word.isupper() and word.isalpha())


class _Session:
    """One FastAGI connection. A second task notes what arrives, even while no answer is due."""

    def __init__(
        self, channel: FakeChannel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._channel = channel
        self._reader = reader
        self._writer = writer
        self._lines: asyncio.Queue[list[str] | None] = asyncio.Queue()
        self._listener = asyncio.create_task(self._listen())
        self.left = asyncio.Event()
        """Turnrec has closed its end."""

    async def run(self, environment: bytes) -> None:
        await self.send(environment)
        while not self._writer.is_closing():
            words = await self._lines.get()
            if words is None:
                return
            react = self._channel.reaction_to(words)
            await react(Exchange(self._channel, words, self))

    async def send(self, data: bytes) -> None:
        for piece in [bytes([byte]) for byte in data] if self._channel.pbx.bytewise else [data]:
            self._writer.write(piece)
            await asyncio.sleep(0)

    def cut(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._listener.cancel()
        self._writer.transport.abort()
        await asyncio.wait([self._listener])

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                assert len(line) <= MAX_COMMAND_BYTES
                words = parse_args(line.decode("utf-8", "surrogateescape").removesuffix("\n"))
                self._channel.note("> " + " ".join(words))
                self._lines.put_nowait(words)
        except ConnectionError:
            pass
        finally:
            self.left.set()
            self._lines.put_nowait(None)
