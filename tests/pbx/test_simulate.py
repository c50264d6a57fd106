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
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.pbx.rig import rig
from tests.pbx.simulated_calls import (
    PING,
    HttpCall,
    Json,
    RealCall,
    commands_of,
    dialplan_of,
    dialplan_over_http,
    tapped,
)
from turnrec.asterisk.ami_settings import AmiSettings
from turnrec.cli import app
from turnrec.pbx.packages import Installation, Release, ensure
from turnrec.pbx.phone import (
    MediaClock,
    Phone,
)

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

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

SIMULATED_SPOOL = "/var/spool/asterisk/turnrec"


# ------------------------------------------------------------------ what is simulated


def simulated(flow: Path, name: str, path: str, release: Release, *options: str) -> Json:
    """What the command prints."""
    bot = name.partition("-")[0]
    asked = ["--bot", bot, "--path", path, "--asterisk", release.value, "--each", "1s", "--json"]
    done = CliRunner().invoke(app, ["simulate", str(flow), *asked, *options])
    assert done.exit_code == 0, done.output
    found: Json = json.loads(done.stdout)
    return found


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
            began_s = time.monotonic()
            found: dict[str, list[str]] = {}
            for names, ami in (([*PATHS, *OVER_HTTP], True), (WITHOUT_AMI, False)):
                async with tapped(here, ami=ami) as wires:
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
