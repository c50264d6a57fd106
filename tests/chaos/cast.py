"""The calls of a chaos run: what the bots do, how callers speak, when they hang up.

A caller says 1300 Hz from the instant that the bot has begun a paused turn (whatever turnrec said
to it) until the bot is about to ask for the next open one, and 500 Hz the rest of the time. Prompts
are 400 Hz in open turns and 1000 Hz in paused ones; so is all that an agent says. Everything is
entered into the journal, which alone tells the auditor what must be in the files.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
import random
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import numpy as np

from tests.chaos.journal import Journal, now_us
from tests.chaos.voice import Habit, Voice
from tests.pbx.rig import OPEN_PROMPT, PAUSED_PROMPT, Rig
from turnrec.pbx.phone import Codec, MediaOptions, Network, OutgoingCall, Phone, PhoneError

OPEN_S, PAUSED_S, AGENT_S = 0.9, 0.5, 0.8
STUCK_S: Final = 180.0
"""How long a call of some seconds may take, with all that befalls it, before it counts as stuck."""
ANSWER_S: Final = 5.0
WEB_PATIENCE_S: Final = 30.0
"""How long a bot over HTTP goes on asking."""

FLOW = """
version: 1
defaults: {guard_ms: 80}
bots:
  segment: {nodes: {open: resume, ask: pause}}
  mute: {pause_method: mute, nodes: {open: resume, ask: pause}}
  skip: {pause_behavior: skip, nodes: {open: resume, ask: pause}}
  agent: {agent: off, nodes: {open: resume, ask: pause}}
  web: {nodes: {open: resume, ask: pause}}
"""

SAY = "${TURNREC_STATUS}:${TURNREC_ERROR}:${TURNREC_STATE}"

DIALPLAN = f"""
[globals](+)
TURNREC_AGI = agi://127.0.0.1:@AGI@
AGENT = @AGENT@

[chaos]
exten => open,1,AGI(${{MARK}}/mark?opening:${{UNIQUEID}}&${{WHO}})
 same => n,Set(TURN=$[${{TURN}} + 1])
 same => n,Gosub(turnrec-turn,s,1(open,${{TURN}}))
 same => n,AGI(${{MARK}}/mark?open:${{UNIQUEID}}:${{TURN}}:{SAY}&${{WHO}})
 same => n,Playback(${{SOUNDS}}/{OPEN_PROMPT})
 same => n,AGI(${{MARK}}/mark?opened:${{UNIQUEID}}&${{WHO}})
 same => n,Return()
exten => ask,1,Set(TURN=$[${{TURN}} + 1])
 same => n,Gosub(turnrec-turn,s,1(ask,${{TURN}}))
 same => n,AGI(${{MARK}}/mark?ask:${{UNIQUEID}}:${{TURN}}:{SAY}&${{WHO}})
 same => n,Playback(${{SOUNDS}}/{PAUSED_PROMPT})
 same => n,Return()
; A bot that asks over HTTP: the mark comes back when it has a 200, and not before.
exten => webopen,1,AGI(${{MARK}}/mark?opening:${{UNIQUEID}}&${{WHO}})
 same => n,Set(TURN=$[${{TURN}} + 1])
 same => n,AGI(${{MARK}}/mark?webopen:${{UNIQUEID}}:${{TURN}}&${{WHO}})
 same => n,Playback(${{SOUNDS}}/{OPEN_PROMPT})
 same => n,AGI(${{MARK}}/mark?opened:${{UNIQUEID}}&${{WHO}})
 same => n,Return()
exten => webask,1,Set(TURN=$[${{TURN}} + 1])
 same => n,AGI(${{MARK}}/mark?webask:${{UNIQUEID}}:${{TURN}}&${{WHO}})
 same => n,Playback(${{SOUNDS}}/{PAUSED_PROMPT})
 same => n,Return()
exten => agent,1,Gosub(turnrec-agent-pre,s,1(off))
 same => n,AGI(${{MARK}}/mark?agent:${{UNIQUEID}}:0:{SAY}&${{WHO}})
 same => n,Dial(PJSIP/desk/sip:agent@127.0.0.1:${{AGENT}},10,gU(turnrec-agent^off))
 same => n,Return()

[turnrec-tests](+)
exten => _chaos-.,1,Answer()
 same => n,Set(__WHO=${{EXTEN}})
 same => n,Set(BOT=${{CUT(EXTEN,-,2)}})
 same => n,Set(LEFT=${{CUT(EXTEN,-,3)}})
 same => n,Set(TURN=0)
 same => n,Set(WEB=${{IF($["${{BOT}}" = "web"]?web:)}})
 same => n,AGI(${{MARK}}/mark?starting:${{UNIQUEID}}&${{WHO}})
 same => n,Gosub(turnrec-start,s,1(${{BOT}}))
 same => n,AGI(${{MARK}}/mark?start:${{UNIQUEID}}:0:{SAY}&${{WHO}})
 same => n(again),Gosub(chaos,${{WEB}}open,1)
 same => n,Gosub(chaos,${{WEB}}ask,1)
 same => n,ExecIf($["${{BOT}}" = "agent" & ${{LEFT}} = 2]?Gosub(chaos,agent,1))
 same => n,Set(LEFT=$[${{LEFT}} - 1])
 same => n,GotoIf($[${{LEFT}} > 0]?again)
 same => n,Gosub(chaos,${{WEB}}open,1)
 same => n,AGI(${{MARK}}/mark?end:${{UNIQUEID}}&${{WHO}})
 same => n,Hangup()
; The same over a leg of G.722 that Asterisk calls itself by: the recorded channel speaks that.
exten => _wide-chaos-.,1,Answer()
 same => n,Dial(PJSIP/wide/sip:${{EXTEN:5}}@${{CHANNEL(pjsip,local_addr)}},10)
 same => n,Hangup()
; Many of these at once, each over after 100 ms.
exten => _short-chaos-.,1,Set(__WHO=${{EXTEN}})
 same => n,AGI(${{MARK}}/mark?starting:${{UNIQUEID}}:0:::&${{WHO}})
 same => n,Answer()
 same => n,Gosub(turnrec-start,s,1(segment))
 same => n,AGI(${{MARK}}/mark?start:${{UNIQUEID}}:0:{SAY}&${{WHO}})
 same => n,Gosub(turnrec-turn,s,1(ask))
 same => n,Playback(${{SOUNDS}}/{PAUSED_PROMPT})
 same => n,Hangup()
"""

WIDE_ENDPOINT = """
[wide](local)
timers = no
disallow = all
allow = g722
"""

BOTS: Final = ("segment", "segment", "segment", "skip", "mute", "agent", "web")


class Codecs(enum.StrEnum):
    """What the recorded channel speaks."""

    ULAW = "u-law"
    ALAW = "A-law"
    G722 = "G.722"


@dataclass(frozen=True, slots=True)
class Role:
    """What one call is like; all of it comes from the seed."""

    number: int
    bot: str
    pairs: int
    codec: Codecs
    habit: Habit
    network: Network
    leaves_after: int | None
    """Hangs up after so many marks; None: stays to the end."""
    leaves_later_s: float

    @classmethod
    def draw(cls, number: int, rng: random.Random) -> Role:
        """Draw one call's."""
        bot = rng.choice(BOTS)
        network = rng.choice(
            [
                *[Network()] * 6,
                Network(loss=0.2, seed=number),
                Network(jitter_ms=40, seed=number),
                Network(jitter_ms=40, loss=0.2, seed=number),
            ]
        )
        habits = [*[Habit.STEADY] * 6, Habit.DTX, Habit.HOLES]
        codecs = [Codecs.ULAW] * 5 + [Codecs.ALAW] * 2 + [Codecs.G722]
        pairs = rng.randint(2, 4)
        leaves = rng.random() < 0.25
        return cls(
            number=number,
            bot=bot,
            pairs=pairs,
            codec=rng.choice(codecs),
            habit=rng.choice(habits),
            network=network,
            leaves_after=rng.randint(0, 3 * pairs + 1) if leaves else None,
            leaves_later_s=rng.uniform(0, 0.6),
        )

    @property
    def extension(self) -> str:
        """What the bot is reached by, and knows the call by."""
        return f"chaos-{self.bot}-{self.pairs}-{self.number}"

    @property
    def dialled(self) -> str:
        """What is dialled."""
        return f"wide-{self.extension}" if self.codec is Codecs.G722 else self.extension


@dataclass(slots=True)
class Standing:
    """How a call stands, for those who ask turnrec about it from outside."""

    uniqueid: str = ""
    node: str = ""
    turn: int = 0
    is_known: bool = False
    """Whether turnrec has confirmed this turn: one that it never heard of makes none stale."""


class Player:
    """One caller."""

    def __init__(
        self, here: Rig, journal: Journal, role: Role, client: httpx.AsyncClient | None = None
    ) -> None:
        """`client` is the bot's own way to turnrec's API, for those that have one."""
        self.role = role
        self._client = client
        self.name = role.extension
        self.standing = Standing()
        self.voice = Voice(journal, self.name, role.habit)
        self._here = here
        self._journal = journal
        self._marks = 0
        self._last = ""
        self._wants_to_leave = asyncio.Event()
        self._cut = asyncio.Event()
        self._over = asyncio.Event()
        self.meets_a_restart = False
        """Asterisk is told to restart: that it ends the call is nobody's fault."""
        self._call: OutgoingCall | None = None

    def cut_off(self) -> None:
        """Asterisk has died: nobody will ever end this call."""
        self._cut.set()

    async def play(self, phone: Phone) -> bool:
        """Call, and see it through; False if nobody answered."""
        role = self.role
        codec = Codec.PCMA if role.codec is Codecs.ALAW else Codec.PCMU
        media = MediaOptions(
            source=self.voice, codecs=(codec,), network=role.network, keep_chunks=5
        )
        self._here.marks[self.name] = self._on_mark
        uri = f"sip:{role.dialled}@{self._here.sip}"
        try:
            call = await phone.dial(uri, media, timeout_s=ANSWER_S)
        except (PhoneError, OSError):
            if not self._marks:
                return False
            self._journal.write("dialled", call=self.name, bot=role.bot, at_us=now_us())
            self._journal.write("ended", call=self.name, at_us=now_us(), how="cut")
            return True
        self._call = call
        self._journal.write(
            "dialled",
            call=self.name,
            at_us=now_us(),
            bot=role.bot,
            codec=role.codec,
            habit=role.habit,
            loss=role.network.loss,
            jitter_ms=role.network.jitter_ms,
        )
        if role.leaves_after == 0:
            self._wants_to_leave.set()
        how = await self._see_through(call)
        self._over.set()
        self.voice.close()
        self._journal.write("ended", call=self.name, at_us=now_us(), how=how)
        with contextlib.suppress(PhoneError, OSError):
            if call.end is None:
                await (call.close() if how == "cut" else call.hang_up(ANSWER_S))
        return True

    async def _see_through(self, call: OutgoingCall) -> str:
        waits = {
            "ended": asyncio.create_task(call.wait_ended(STUCK_S)),
            "leaves": asyncio.create_task(self._leave()),
            "cut": asyncio.create_task(self._cut.wait()),
        }
        await asyncio.wait(waits.values(), return_when=asyncio.FIRST_COMPLETED)
        done = {name for name, task in waits.items() if task.done()}
        for task in waits.values():
            task.cancel()
        await asyncio.gather(*waits.values(), return_exceptions=True)
        if "cut" in done:
            return "cut"
        if "ended" in done:
            if call.end is None:
                return "stuck"
            if self._last == "end":
                return "end"
            return "cut" if self.meets_a_restart else "dropped"
        self.voice.close()
        return "hung_up"

    async def _ask_until_confirmed(self, node: str, uniqueid: str, number: int) -> str:
        """Ask over HTTP until there is a 200: before, the bot may not say a word.

        Returns:
            The recorder's state. A bot that is kept waiting for too long hangs up.
        """
        assert self._client is not None
        body = {"node": node, "sequence": number}
        url = f"/v1/calls/{uniqueid}/turns"
        loop = asyncio.get_running_loop()
        until_s = loop.time() + WEB_PATIENCE_S
        while loop.time() < until_s and not self._over.is_set():
            with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
                answer = await self._client.post(url, json=body)
                if answer.is_success:
                    state: str = answer.json()["call"]["state"]
                    return state
            await asyncio.sleep(0.1)
        self._wants_to_leave.set()
        await self._over.wait()
        return ""

    async def _leave(self) -> None:
        await self._wants_to_leave.wait()
        await asyncio.sleep(self.role.leaves_later_s)

    async def _on_mark(self, _extension: str, word: str) -> None:
        name, uniqueid, *told = word.split(":")
        number, status, error, state = (*told, "", "", "", "")[:4]
        if name in ("webopen", "webask"):
            name = name.removeprefix("web")
            state = await self._ask_until_confirmed(name, uniqueid, int(number))
            status = "OK" if state else "GAVE-UP"
        if name == "opening" or name == "end":
            self.voice.say(500)
        elif name in ("ask", "agent"):
            self.voice.say(1300)
        self._last = name
        self._marks += 1
        self.standing = Standing(
            uniqueid,
            name if name in ("open", "ask") else self.standing.node,
            int(number or self.standing.turn),
            is_known=status == "OK",
        )
        self._journal.write(
            "mark",
            call=self.name,
            uniqueid=uniqueid,
            at_us=now_us(),
            name=name,
            turn=int(number or 0),
            status=status,
            error=error,
            state=state,
        )
        if self.role.leaves_after is not None and self._marks >= self.role.leaves_after:
            self._wants_to_leave.set()


def write_prompts(folder: Path) -> None:
    """Give the bots their voices. What may be recorded swells and fades, in 30 ms.

    A tone that begins at once smears over the spectrum; through G.722, which has to adapt to it, up
    to 0.49 of 1000 Hz were measured for 10 ms.
    """
    for hz, seconds, swell_s in ((400, OPEN_S, 0.03), (1000, PAUSED_S, 0.0)):
        n = np.arange(round(8000 * seconds))
        edge = np.minimum(n, n[::-1]) / max(1, 8000 * swell_s)
        tone = 8000 * np.minimum(1, edge + (swell_s == 0)) * np.sin(2 * np.pi * hz * n / 8000)
        path = folder / f"bot{hz}.wav"
        path.unlink(missing_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(np.rint(tone).astype("<i2").tobytes())


_short_calls = itertools.count(1)


async def short_call(here: Rig, journal: Journal, phone: Phone) -> None:
    """A call that is over after 100 ms."""
    name = f"short-chaos-{next(_short_calls)}"

    async def on_mark(_extension: str, word: str) -> None:
        mark, uniqueid, _, status, error, state = word.split(":")
        journal.write(
            "mark",
            call=name,
            uniqueid=uniqueid,
            at_us=now_us(),
            name=mark,
            status=status,
            error=error,
            state=state,
        )

    here.marks[name] = on_mark
    try:
        call = await phone.dial(f"sip:{name}@{here.sip}", timeout_s=ANSWER_S)
    except (PhoneError, OSError):
        # An Asterisk that was started meanwhile may have got the INVITE all the same.
        journal.write("ended", call=name, at_us=now_us(), how="not_answered")
        return
    journal.write("dialled", call=name, at_us=now_us(), bot="segment")
    await asyncio.sleep(0.1)
    with contextlib.suppress(PhoneError, OSError):
        await call.hang_up(ANSWER_S)
    journal.write("ended", call=name, at_us=now_us(), how="hung_up")
