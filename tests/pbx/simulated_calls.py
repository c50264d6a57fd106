"""Calls on a real Asterisk that follow a simulated path, and taps that note what turnrec sends.

The dialplan of such a call is made of the very lines that the simulation shows. The taps stand
between turnrec and Asterisk on both sockets, pass every byte on, and keep commands in their order.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.pbx.relay import AgiRelay, AmiRelay, Session
from tests.pbx.rig import WAIT_S, Rig, until
from turnrec.core.errors import RefusedError
from turnrec.core.policy import Action
from turnrec.pbx.phone import IncomingCall, MediaOptions, OutgoingCall, Phone, Silence
from turnrec.simulate.api_bot import ApiBot

_STOPPED = b"Event: MixMonitorStop\r\n"
_READ_BYTES = 65_536
PING = "Action: Ping"
GONE = "gone"

Json = dict[str, Any]


def commands_of(step: Json) -> list[str]:
    """What the simulation of a step shows to be sent."""
    return [command["sent"] for moment in step["moments"] for command in moment["commands"]]


# ------------------------------------------------------------------ what is sent


@dataclass
class Wires:
    """Every command, in the order in which they crossed either socket."""

    sent: list[str] = field(default_factory=list)
    stops_told: int | None = None
    """How many monitors turnrec has been told of as stopped; None without AMI."""
    _tail: bytes = b""

    def told(self, data: bytes) -> None:
        """Count what Asterisk tells, however it is cut."""
        data = self._tail + data
        self.stops_told = (self.stops_told or 0) + data.count(_STOPPED)
        self._tail = data[1 - len(_STOPPED) :]

    @property
    def is_told(self) -> bool:
        """Whether AMI has told of every stop that was sent: turnrec looks at each once."""
        asked = sum("StopMixMonitor" in command for command in self.sent)
        return self.stops_told is None or self.stops_told >= asked


class _Commands(list[str]):
    """The commands of one AGI session; each is noted among all others, too."""

    def __init__(self, wires: Wires) -> None:
        super().__init__()
        self._wires = wires

    def append(self, command: str) -> None:
        super().append(command)
        self._wires.sent.append(command)


class AgiTap(AgiRelay):
    """Notes what turnrec sends over AGI."""

    def __init__(self, upstream_port: int, wires: Wires) -> None:
        super().__init__(upstream_port)
        self._wires = wires

    def _begin(self, environment: str) -> Session:
        session = super()._begin(environment)
        session.commands = _Commands(self._wires)
        return session


class AmiTap(AmiRelay):
    """Notes what turnrec sends over AMI, without the ActionID."""

    def __init__(self, upstream_port: int, wires: Wires) -> None:
        super().__init__(upstream_port)
        self._wires = wires

    async def _answer(self, pbx: asyncio.StreamReader, to_turnrec: asyncio.StreamWriter) -> None:
        while data := await pbx.read(_READ_BYTES):
            self._wires.told(data)
            to_turnrec.write(data)
        raise ConnectionResetError

    async def _ask(self, turnrec: asyncio.StreamReader, to_pbx: asyncio.StreamWriter) -> None:
        while True:
            message = await turnrec.readuntil(b"\r\n\r\n")
            lines = message.decode().removesuffix("\r\n\r\n").split("\r\n")
            kept = [line for line in lines if not line.startswith("ActionID: ")]
            self._wires.sent.append("\r\n".join(kept))
            to_pbx.write(message)


@asynccontextmanager
async def tapped(here: Rig, *, ami: bool) -> AsyncIterator[Wires]:
    """Have turnrec run between two taps."""
    wires = Wires()
    ami_tap = AmiTap(here.pbx.ports.ami_tcp, wires)
    ami_tap._server = await asyncio.start_server(ami_tap._serve, "127.0.0.1", 0)
    asterisk = {"ami_port": str(ami_tap.port), "ami_enabled": str(ami).lower()}
    here.configure({"asterisk": asterisk, "sweep": {"interval_s": "3600"}})
    service = await here.start_service()
    agi_tap = AgiTap(service.agi_port, wires)
    agi_tap._server = await asyncio.start_server(agi_tap._serve, "127.0.0.1", 0)
    await here.point_at(agi_tap.port)
    try:
        yield wires
    finally:
        await here.stop_service()
        for tap in (agi_tap, ami_tap):
            assert tap._server is not None
            tap._server.close()
        await ami_tap.cut()


# ------------------------------------------------------------------ the real call


def dialplan_of(name: str, simulation: Json, agent_port: int) -> str:
    """The call as a dialplan: the very lines that the simulation shows, and a mark after each step.

    After a Dial the mark comes when the talk is over.
    """
    agent = f"PJSIP/tester/sip:agent@127.0.0.1:{agent_port}"
    lines = ["Answer()"]
    for step in simulation["steps"]:
        own = [moment["what"].partition(": ")[0] for moment in step["moments"]]
        own = [line for line in own if line.startswith(("Gosub(", "Dial("))]
        if own:
            lines += [line.replace("PJSIP/agent", agent) for line in own]
            lines.append(f"AGI(${{MARK}}/mark?{step['number']}&{name})")
        if step["number"] == 0:
            # Of two handlers the later one runs first: turnrec's comes when AMI has told of the
            # talk's end, as on a PBX that isn't starved.
            lines.append(f"Set(CHANNEL(hangup_handler_push)=gone-{name},s,1)")
    gone = f"[gone-{name}]\nexten => s,1,AGI(${{MARK}}/mark?{GONE}&{name})\n same => n,Return()\n"
    return extension_of(name, [*lines, "Wait(600)"]) + gone


def dialplan_over_http(name: str, simulation: Json, agent_port: int) -> str:
    """The call of a bot that asks over HTTP: its channel waits, and dials whom it is to meet."""
    agent = f"PJSIP/tester/sip:agent@127.0.0.1:{agent_port}"
    lines = ["Answer()", f"AGI(${{MARK}}/mark?0&{name})"]
    for step in simulation["steps"]:
        if step["step"].startswith(("@agent", "@noanswer")):
            lines += [f"Dial({agent},30,g)", f"AGI(${{MARK}}/mark?{step['number']}&{name})"]
    return extension_of(name, [*lines, "Wait(600)"])


def extension_of(name: str, lines: list[str]) -> str:
    first, *others = lines
    rest = [f" same => n,{line}" for line in others]
    return "\n".join(["[turnrec-tests](+)", f"exten => {name},1,{first}", *rest, ""])


class RealCall:
    """One call that goes through a simulated path's steps, each when the one before is through."""

    def __init__(self, here: Rig, wires: Wires, caller: Phone, agent: Phone) -> None:
        self._here = here
        self._wires = wires
        self._caller = caller
        self._agent = agent
        self._talk: IncomingCall | None = None
        self._marks: dict[int, asyncio.Event] = {}
        self._reached = -1
        """The last mark that the bot has come to."""

    async def through(self, name: str, simulation: Json) -> list[str]:
        """Make the call; what was sent because of it."""
        first = len(self._wires.sent)
        steps = simulation["steps"]
        self._marks = {step["number"]: asyncio.Event() for step in steps}
        self._here.marks[name] = self._on_mark
        call = await self._caller.dial(
            f"sip:{name}@{self._here.sip}", MediaOptions(source=Silence()), timeout_s=WAIT_S
        )
        expected = self._count()
        for step in steps:
            if step is steps[-1]:
                await self._leave(call)
            else:
                await self._play(step)
            expected += sum(one != PING for one in commands_of(step))
            if not await self._are_sent(expected):
                await self._leave(call)
                break  # what is missing is shown by the comparison
        service = self._here.service
        await until(lambda: not service.calls.live(), "the call has ended")
        await until(lambda: service.status()["agi_sessions"] == 0, "no session is open")
        await service.calls.settle()
        return self._wires.sent[first:]

    def _count(self) -> int:
        """How many commands have been sent; a Ping may be a keep-alive, and is none of them."""
        return sum(one != PING for one in self._wires.sent)

    async def _leave(self, call: OutgoingCall) -> None:
        """The caller hangs up, wherever the bot is."""
        await call.hang_up(WAIT_S)
        for mark in self._marks.values():
            mark.set()

    async def _play(self, step: Json) -> None:
        number, text = step["number"], step["step"]
        if text.startswith("@operator:"):
            await self._operate(Action(text.partition(":")[2]))
            return
        await self._finish_talk()
        if number:
            self._marks[self._reached].set()
        if text.startswith("@agent"):
            self._talk = await self._agent.incoming(WAIT_S)
            await self._talk.answer(Silence(), WAIT_S)
            return
        if text.startswith("@noanswer"):
            await (await self._agent.incoming(WAIT_S)).reject(480)
        await until(lambda: self._reached == number, f"the bot comes to mark {number}")

    async def _finish_talk(self) -> None:
        """The agent hangs up, and AMI has told of it."""
        if self._talk is None:
            return
        before = self._reached
        talk, self._talk = self._talk, None
        await talk.hang_up(WAIT_S)
        await until(lambda: self._reached > before, "the bot goes on after the talk")
        await self._hears_nobody()

    async def _hears_nobody(self) -> None:
        (call,) = self._here.service.calls.live()
        await until(lambda: not call.company, "the caller hears nobody")

    async def _operate(self, action: Action) -> None:
        (call,) = self._here.service.calls.live()
        with contextlib.suppress(RefusedError):  # what comes of it is compared by what is sent
            await self._here.operate(call.id, action)

    async def _are_sent(self, count: int) -> bool:
        """Wait until so many commands have been sent."""
        try:
            await until(
                lambda: self._count() >= count and self._wires.is_told,
                "what was simulated is sent",
            )
        except TimeoutError:
            return False
        return True

    async def _on_mark(self, _extension: str, word: str) -> None:
        if word == GONE:
            await self._hears_nobody()
            return
        self._reached = int(word)
        await self._marks[self._reached].wait()


class HttpCall(RealCall):
    """The same for a bot that asks over HTTP, put to what stands behind the routes."""

    _bot: ApiBot

    async def _play(self, step: Json) -> None:
        number, text = step["number"], step["step"]
        if number == 0:
            await until(lambda: self._reached == 0, "the channel waits")
            rows = (await self._here.rx("core show channels concise")).splitlines()
            (uniqueid,) = [row.rpartition("!")[2] for row in rows if "!" in row]
            self._bot = ApiBot(self._here.service.desk, uniqueid)
            (request,) = [moment["what"] for moment in step["moments"]]
            await self._bot.ask("start", json.loads(request.partition("/calls ")[2])["bot"])
        elif text.startswith("@operator:"):
            await self._operate(Action(text.partition(":")[2]))
        else:
            await self._finish_talk()
            await self._bot.ask(*asked_by(text))
            if text.startswith(("@agent", "@noanswer")):
                await self._meet(number, answers=text.startswith("@agent"))

    async def _meet(self, number: int, *, answers: bool) -> None:
        self._marks[self._reached].set()
        leg = await self._agent.incoming(WAIT_S)
        if answers:
            self._talk = leg
            await leg.answer(Silence(), WAIT_S)
            return
        await leg.reject(480)
        await until(lambda: self._reached == number, "the channel waits again")


def asked_by(step: str) -> list[str]:
    """A step as the subroutine that it is, and its words."""
    word, _, option = step.removeprefix("@").partition(":")
    if not step.startswith("@"):
        return ["turn", step]
    return {
        "turn": ["turn", option],
        "bot": ["bot"],
        "agent": ["agent-pre", option],
        "noanswer": ["agent-pre", option],
    }.get(word, ["action", word, *([option] if option else [])])
