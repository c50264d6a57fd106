"""The sample bot in a test's hands: its voice counted, its callers' tones following its turns.

The bot is turnrec's own (`turnrec.bots.audiosocket_bot`), over AudioSocket and HTTP with an API
key; Asterisk 16 has no AudioSocket, and there the dialplan speaks and waits while the test asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.pbx.mouth import Mouth
from tests.pbx.rig import OPEN_PROMPT, PAUSED_PROMPT, WAIT_S, Rig
from tests.pbx.test_leaks import (
    CALL_S,
    OPEN_S,
    PAUSED_S,
    PROCESSING_S,
    TURNS_A_CALL,
    Caller,
    make_caller,
)
from tests.pbx.tones import BETWEEN_CALLER_HZ, OPEN_BOT_HZ, PAUSED_BOT_HZ
from turnrec.bots.audiosocket import frames_of, listen
from turnrec.bots.audiosocket_bot import SampleBot, Step
from turnrec.bots.http_client import NotConfirmedError, TurnrecClient
from turnrec.pbx.phone import MediaOptions, Phone
from turnrec.web.access import Right
from turnrec.web.keys import KeyRing

ID = "00000000-0000-4000-8000-000000000"
"""A call's own id, but for the last three digits, which are its extension's."""

AUDIOSOCKET = f"""
[turnrec-tests](+)
exten => _leak-.,1,Answer()
 same => n,Set(ID={ID}${{CUT(EXTEN,-,3)}})
 same => n,Gosub(turnrec-start,s,1(${{CUT(EXTEN,-,2)}},${{ID}}))
 same => n,AudioSocket(${{ID}},${{BOT_ADDRESS}})
 same => n,Hangup()
; A call that nobody has begun: its bot does, over the API.
exten => _bare-.,1,Answer()
 same => n,AudioSocket({ID}${{CUT(EXTEN,-,3)}},${{BOT_ADDRESS}})
 same => n,Hangup()
"""

WAITING = f"""
[turnrec-tests](+)
exten => _leak-.,1,Answer()
 same => n,Set(LEFT={TURNS_A_CALL})
 same => n,Gosub(turnrec-start,s,1(${{CUT(EXTEN,-,2)}},{ID}${{CUT(EXTEN,-,3)}}))
 same => n(open),AGI(${{MARK}}/mark,open)
 same => n,Playback(${{SOUNDS}}/{OPEN_PROMPT})
 same => n,GotoIf($[${{LEFT}} = 0]?end)
 same => n,AGI(${{MARK}}/mark,ask)
 same => n,Playback(${{SOUNDS}}/{PAUSED_PROMPT})
 same => n,Wait({PROCESSING_S})
 same => n,Set(LEFT=$[${{LEFT}} - 1])
 same => n,Goto(open)
 same => n(end),Hangup()
"""

TURNS = ("open", *("ask", "open") * TURNS_A_CALL)


@dataclass
class Voice:
    """What one bot says, counted as it goes out."""

    folder: Rig
    prompts: list[Mouth] = field(default_factory=list)

    def prompt(self, hz: int) -> Counted:
        """A prompt of this tone."""
        return Counted(self, hz, frames_of(self.folder.folder / "sounds" / f"bot{hz}.wav"))

    def said_s(self, hz: int) -> float:
        """For how long a tone went out."""
        return sum(one.said_s(hz) for one in self.prompts)

    def late_s(self, hz: int) -> float:
        """How much of that was late."""
        return sum(one.late_s(hz) for one in self.prompts)


@dataclass(frozen=True)
class Counted:
    """A prompt whose frames are counted."""

    voice: Voice
    hz: int
    frames: Sequence[bytes]

    def __iter__(self) -> Iterator[bytes]:
        mouth = Mouth()  # one a prompt: between two of them the bot is silent
        self.voice.prompts.append(mouth)
        for frame in self.frames:
            mouth.sent(self.hz)
            yield frame


@dataclass
class Talk:
    """One call: its caller, its bot, and what the bot was told."""

    extension: str
    caller: Caller
    voice: Voice
    turns: Sequence[str] = TURNS
    asked: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """The ids of the errors, in order."""
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    """`asks:2` holds the bot before its second request, counted from 1; `says:2` its 2nd turn,
    `refused:2` after it was told for the second time that it may not speak."""
    waiting_at: str = ""

    @property
    def call(self) -> str:
        """The bot's id of it."""
        return ID + self.extension.rpartition("-")[2]

    @property
    def bot(self) -> str:
        """The bot's name."""
        return self.extension.split("-")[1]

    def hold_at(self, where: str) -> None:
        """Have the bot wait there."""
        self.gates[where] = asyncio.Event()

    def let_on(self) -> None:
        """Let it go on."""
        self.gates.pop(self.waiting_at).set()

    async def at(self, where: str) -> None:
        """Wait here, if the test wants it."""
        gate = self.gates.get(where)
        if gate is not None:
            self.waiting_at = where
            await gate.wait()
            self.waiting_at = ""

    async def ask(self, node: str) -> None:
        """The caller is told: the bot asks."""
        await self.caller.on_mark("", "asking" if node == "ask" else "resuming")
        self.asked.append(node)
        await self.at(f"asks:{len(self.asked)}")

    async def speak(self, node: str) -> None:
        """The caller is told: the bot speaks."""
        self.begun.append(node)
        await self.caller.on_mark("", "paused:OK" if node == "ask" else "open:OK")
        await self.at(f"says:{len(self.begun)}")


class Bots:
    """The bots of a test. It observes the sample bot, and gives it its script."""

    def __init__(self, here: Rig) -> None:
        self._here = here
        self.talks: dict[str, Talk] = {}
        self.turnrec: TurnrecClient | None = None

    def talk(self, extension: str, turns: Sequence[str] = TURNS) -> Talk:
        """Prepare one call."""
        talk = Talk(extension, make_caller(), Voice(self._here), turns)
        self.talks[talk.call] = talk
        return talk

    def script(self, call: str) -> Sequence[Step]:
        """The sample bot's turns in this call."""
        voice, turns = self.talks[call].voice, self.talks[call].turns
        hz = {"open": OPEN_BOT_HZ, "ask": PAUSED_BOT_HZ}
        return [
            Step(node, voice.prompt(hz[node]), PROCESSING_S if node == "ask" else 0.0)
            for node in turns
        ]

    async def asks(self, call: str, node: str) -> None:
        """See `Observer`."""
        await self.talks[call].ask(node)

    async def may_speak(self, call: str, node: str) -> None:
        """See `Observer`."""
        await self.talks[call].speak(node)

    async def may_not(self, call: str, node: str, error: NotConfirmedError) -> None:
        """See `Observer`."""
        del node
        talk = self.talks[call]
        talk.refused.append(getattr(error, "problem_id", error.id))
        await talk.at(f"refused:{len(talk.refused)}")

    async def ask_for(self, extension: str, node: str) -> None:
        """Ask in the bot's place, while its dialplan waits (Asterisk 16)."""
        talk = next(one for one in self.talks.values() if one.extension == extension)
        assert self.turnrec is not None
        await talk.ask(node)
        await self.turnrec.turn(talk.call, node)
        await talk.speak(node)
        # The dialplan says the prompt; it plays whole or not at all.
        hz, seconds = (PAUSED_BOT_HZ, PAUSED_S) if node == "ask" else (OPEN_BOT_HZ, OPEN_S)
        mouth = Mouth()
        mouth.said[hz] = mouth.in_time[hz] = round(seconds * 50)
        talk.voice.prompts.append(mouth)


async def call_bot(here: Rig, phone: Phone, talk: Talk) -> None:
    """Call the bot, and talk to it without a pause until it hangs up."""
    media = MediaOptions(source=talk.caller.mouth.tone(BETWEEN_CALLER_HZ), keep_chunks=10)
    call = await phone.dial(f"sip:{talk.extension}@{here.sip}", media, timeout_s=WAIT_S)
    talk.caller.call.set_result(call)
    await call.wait_ended(timeout_s=CALL_S)


def make_key(here: Rig, *rights: Right, bots: frozenset[str] | None = None) -> str:
    """Make an API key, as `turnrec api-key new` does."""
    name = "-".join((*rights, "of", *(bots or ("all",))))
    return KeyRing(here.settings.api.keys_file).make(name, frozenset(rights), bots, 0)


@asynccontextmanager
async def bots_over_http(
    here: Rig, api_port: int, *, patience_s: float = 60.0
) -> AsyncIterator[Bots]:
    """Have the sample bot listen for AudioSocket, with a key of its own."""
    bots = Bots(here)
    url = f"http://127.0.0.1:{api_port}"
    async with TurnrecClient(url, make_key(here, Right.BOT), timeout_s=60) as bots.turnrec:
        bot = SampleBot(bots.turnrec, bots.script, observer=bots, patience_s=patience_s)
        server = await listen("127.0.0.1", 0, bot.answer)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await here.rx(f"dialplan set global BOT_ADDRESS 127.0.0.1:{port}")
            yield bots
