"""What `turnrec simulate` prints is what a real Asterisk is sent for the same path, word for word.

Between turnrec and Asterisk stand relays that note each command as it crosses the sockets. Before
the two lists are compared, only what no two calls share is replaced, in both alike (`common`):

- the spool's folder,
- turnrec's ids (a ULID there, SIM1 here), numbered by first appearance,
- monitor ids (pointers of one Asterisk's memory, which come again),
- channel names, numbered by first appearance, and uniqueids,
- instants in microseconds (TURNREC_SINCE).

An action's ActionID isn't part of what is printed. A keep-alive of the AMI session, a Ping each
5 s, may stand anywhere in the real list, but no more of them than the time allows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.pbx.relay import AgiRelay, AmiRelay, Session
from tests.pbx.rig import WAIT_S, Rig, rig, until
from turnrec.asterisk.ami_settings import AmiSettings
from turnrec.cli import app
from turnrec.core.errors import RefusedError
from turnrec.core.policy import Action
from turnrec.pbx.packages import Installation, Release, ensure
from turnrec.pbx.phone import (
    IncomingCall,
    MediaClock,
    MediaOptions,
    OutgoingCall,
    Phone,
    Silence,
)
from turnrec.simulate.api_bot import ApiBot

pytestmark = pytest.mark.pbx

FLOW = """
version: 1
defaults: {guard_ms: 20, settle_ms: 40}
bots:
  segment:
    nodes:
      hello:
      ask: pause
      otp: {action: pause, scope: turn}
      open: resume
      anew: {action: start, new: true}
      bye: stop
  skip: {pause_behavior: skip, dual_channel: on, nodes: {hello: , ask: pause, open: resume}}
  mute: {pause_method: mute, nodes: {hello: , ask: pause, open: resume, bye: stop}}
  manual:
    default: off
    stop_is_final: false
    nodes: {hello: , begin: start, ask: pause, open: resume, bye: stop}
  kept: {agent_off: pause, nodes: {hello: , ask: pause, open: resume}}
  never: {agent: never, nodes: {hello: , ask: pause, open: resume}}
"""

PATHS = {
    "segment": "hello,ask,ask,open,otp,hello,@turn:unheard-of,hello,open",
    "skip": "hello,ask,open",
    "mute": "hello,ask,hello,open,bye",
    "manual": "hello,open,begin,ask,@start:new,@resume,@start:new,@pause,@stop,begin,bye",
    "segment-new": "hello,anew,ask,anew,open",
    "segment-final": "hello,bye,ask,open,anew,@start",
    "segment-on": "hello,@agent,open",
    "segment-ask-on": "ask,@agent:on,ask,open",
    "segment-off": "hello,@agent:off,open",
    "kept-off": "hello,@agent:off,hello,open",
    "never-on": "ask,@agent:on,@bot,open",
    "mute-on": "hello,@agent,open",
    "segment-twice": "hello,@agent,@agent:off,open",
    "segment-vain": "hello,@noanswer:off,ask,open",
    "segment-leaves": "hello,@agent,@hangup",
    "segment-operator": "hello,@operator:pause,@operator:resume,ask,@operator:resume,"
    "@operator:pause,open,@operator:resume,@agent,@operator:pause,@operator:stop,open",
    "mute-operator": "hello,@operator:pause,@operator:resume,@operator:start",
}
"""By the bot's name and a word of their own."""
OVER_HTTP = {
    "segment-http": "hello,ask,ask,open,otp,@turn:unheard-of,open,@pause,@resume,@start:new,bye",
    "mute-http": "hello,ask,@operator:pause,open,@operator:resume,bye",
    "kept-http": "hello,@agent:off,@bot,@noanswer:off,@bot,open",
    "segment-http-on": "ask,@agent,@operator:pause,@operator:resume,@bot,open",
}
WITHOUT_AMI = {"segment-alone": "hello,ask,open", "mute-alone": "hello,ask,open"}

PING = "Action: Ping"
GONE = "gone"
SIMULATED_SPOOL = "/var/spool/asterisk/turnrec"

Json = dict[str, Any]


# ------------------------------------------------------------------ what is simulated


def simulated(flow: Path, name: str, path: str, release: Release, *options: str) -> Json:
    """What the command prints."""
    bot = name.partition("-")[0]
    asked = ["--bot", bot, "--path", path, "--asterisk", release.value, "--each", "1s", "--json"]
    done = CliRunner().invoke(app, ["simulate", str(flow), *asked, *options])
    assert done.exit_code == 0, done.output
    found: Json = json.loads(done.stdout)
    return found


def commands_of(step: Json) -> list[str]:
    return [command["sent"] for moment in step["moments"] for command in moment["commands"]]


# ------------------------------------------------------------------ what is sent


@dataclass
class Wires:
    """Every command, in the order in which they crossed either socket."""

    sent: list[str] = field(default_factory=list)


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

    async def _ask(self, turnrec: asyncio.StreamReader, to_pbx: asyncio.StreamWriter) -> None:
        while True:
            message = await turnrec.readuntil(b"\r\n\r\n")
            lines = message.decode().removesuffix("\r\n\r\n").split("\r\n")
            kept = [line for line in lines if not line.startswith("ActionID: ")]
            self._wires.sent.append("\r\n".join(kept))
            to_pbx.write(message)


@asynccontextmanager
async def tapped(here: Rig, wires: Wires, *, ami: bool = True) -> AsyncIterator[None]:
    """Have turnrec run between two taps."""
    ami_tap = AmiTap(here.pbx.ports.ami_tcp, wires)
    ami_tap._server = await asyncio.start_server(ami_tap._serve, "127.0.0.1", 0)
    asterisk = {"ami_port": str(ami_tap.port), "ami_enabled": str(ami).lower()}
    here.configure({"asterisk": asterisk, "sweep": {"interval_s": "3600"}})
    service = await here.start_service()
    agi_tap = AgiTap(service.agi_port, wires)
    agi_tap._server = await asyncio.start_server(agi_tap._serve, "127.0.0.1", 0)
    await here.point_at(agi_tap.port)
    try:
        yield
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
            await until(lambda: self._count() >= count, "what was simulated is sent")
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


# ------------------------------------------------------------------ the comparison


def common(commands: list[str], spool: str) -> list[str]:
    """The commands with what no two calls share replaced, as the module's docstring lists it."""
    names: dict[str, str] = {}

    def named(kind: str) -> Callable[[re.Match[str]], str]:
        def name(found: re.Match[str]) -> str:
            count = sum(one.startswith(f"<{kind}") for one in names.values())
            return names.setdefault(found[0], f"<{kind} {count + 1}>")

        return name

    replaced = []
    for command in commands:
        text = command.replace(spool, "<spool>")
        text = re.sub(r"PJSIP/[\w.-]+-[0-9a-f]{8}", named("channel"), text)
        text = re.sub(r"\b(SIM[0-9]+|[0-9A-HJKMNP-TV-Z]{26})\b", named("id"), text)
        text = re.sub(r"\b[0-9]{10}\.[0-9]+\b", named("uniqueid"), text)
        text = re.sub(r"0x[0-9a-f]+", "<monitor>", text)
        replaced.append(re.sub(r"\b[0-9]{16}(:[0-9]{16}:[0-9]+)?\b", _instants, text))
    return replaced


def _instants(found: re.Match[str]) -> str:
    """An offset of 0 is a monitor of its own, and stays."""
    if found[1] is None:
        return "<us>"
    return "<us>:<us>:0" if found[1].endswith(":0") else "<us>:<us>:<us>"


def without_keep_alives(sent: list[str], expected: list[str]) -> tuple[list[str], int]:
    """What was sent but for Pings where none is expected, and how many these were."""
    kept: list[str] = []
    for command in sent:
        is_due = len(kept) < len(expected) and expected[len(kept)] == command
        if command != PING or is_due:
            kept.append(command)
    return kept, len(sent) - len(kept)


# ------------------------------------------------------------------ the tests


@dataclass(frozen=True, slots=True)
class Compared:
    """One path: what was simulated and what was sent, comparable."""

    simulated: list[str]
    sent: list[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All paths on one release."""

    paths: dict[str, Compared]
    keep_alives: int
    lasted_s: float


@pytest.fixture(scope="module", params=list(Release), ids=lambda release: f"asterisk{release}")
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Every path, simulated and called, one call after the other: a Ping names no call."""
    folder = tmp_path_factory.mktemp("simulate")
    return asyncio.run(call_every_path(ensure(request.param), request.param, folder))


async def call_every_path(installation: Installation, release: Release, folder: Path) -> Outcome:
    flow = folder / "simulated.yaml"
    flow.write_text(FLOW, "utf-8")
    groups = ((PATHS, ()), (OVER_HTTP, ("--http",)), (WITHOUT_AMI, ("--no-ami",)))
    simulations = {
        name: await simulated_beside(flow, name, path, release, *options)
        for paths, options in groups
        for name, path in paths.items()
    }
    clock = MediaClock()
    async with Phone(clock=clock) as caller, Phone(user="agent", clock=clock) as agent:
        dialplan = "".join(
            (dialplan_over_http if name in OVER_HTTP else dialplan_of)(name, one, agent.port)
            for name, one in simulations.items()
        )
        async with rig(installation, folder, FLOW, dialplan, start=False) as here:
            wires, began_s = Wires(), time.monotonic()
            found: dict[str, list[str]] = {}
            for names, ami in (([*PATHS, *OVER_HTTP], True), (WITHOUT_AMI, False)):
                async with tapped(here, wires, ami=ami):
                    for name in names:
                        kind = HttpCall if name in OVER_HTTP else RealCall
                        call = kind(here, wires, caller, agent)
                        found[name] = await call.through(name, simulations[name])
            lasted_s = time.monotonic() - began_s
            spool = str(here.settings.recordings.spool_dir)
    paths, keep_alives = {}, 0
    for name, sent in found.items():
        expected = [one for step in simulations[name]["steps"] for one in commands_of(step)]
        expected = common(expected, SIMULATED_SPOOL)
        kept, pings = without_keep_alives(common(sent, spool), expected)
        paths[name] = Compared(expected, kept)
        keep_alives += pings
    return Outcome(paths, keep_alives, lasted_s)


async def simulated_beside(
    flow: Path, name: str, path: str, release: Release, *options: str
) -> Json:
    """It has a loop of its own, and so needs a thread of its own here."""
    return await asyncio.to_thread(simulated, flow, name, path, release, *options)


@pytest.mark.parametrize("name", [*PATHS, *OVER_HTTP, *WITHOUT_AMI])
def test_what_is_simulated_is_what_a_real_asterisk_is_sent(outcome: Outcome, name: str) -> None:
    compared = outcome.paths[name]
    assert compared.sent == compared.simulated
    assert compared.simulated


def test_no_ping_is_left_out_but_the_keep_alives(outcome: Outcome) -> None:
    interval_s = AmiSettings(username="-", secret="-").ping_interval_ms / 1000
    assert outcome.keep_alives <= outcome.lasted_s / interval_s + 1


def test_all_that_a_path_can_ask_for_is_compared(outcome: Outcome) -> None:
    sent = " ".join(command for one in outcome.paths.values() for command in one.sent)
    for word in ("MixMonitorMute", "PlayTones", "r(<spool>", "Action: MixMonitor\r\n", "Wait"):
        assert word in sent, word
    assert '"StopMixMonitor" "<monitor>"' in sent
