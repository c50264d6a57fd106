"""One call of the matrix as it is played: owns its phones and what they say; judges nothing.

The bot is a dialplan that waits at each of its marks until the caller has changed his tone, so
no tone of a phase sounds before or after it. Where people talk, whoever hears the other goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from tests.pbx.matrix.cast import TONES, Phase, Speaker, hz
from tests.pbx.matrix.states import Entry, Known, Row
from tests.pbx.rig import Rig
from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.ami_message import AmiEvent
from turnrec.core.policy import Action
from turnrec.pbx.phone import (
    Call,
    Codec,
    IncomingCall,
    MediaClock,
    MediaOptions,
    Phone,
    Silence,
    Tone,
)

PATIENCE_S = 60.0
"""How long anything may take before the row has failed; nothing is ever slept for."""
KEPT_CHUNKS = 5

RINGS_PACKETS = 40
TALK_PACKETS = 75
SHORT_PACKETS = 40
QUIET_PACKETS = 5
PACKET_S = 0.02


@dataclass
class Ears:
    """What the phones have heard, for the report of a row that failed."""

    said: list[str] = field(default_factory=list)

    def note(self, word: str) -> None:
        """Remember a step."""
        self.said.append(word)


@dataclass
class Counted:
    """A tone that knows how many packets of it were sent: a slow machine sends fewer."""

    tone: Tone
    packets: int = 0

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:
        """20 ms of it."""
        self.packets += 1
        return self.tone.payload(clock, played, codec)

    def is_over(self, played: int) -> bool:
        """It never is."""
        return self.tone.is_over(played)


class Scene:
    """The caller, the agent, the second agent, and the bot's marks."""

    def __init__(
        self,
        here: Rig,
        program: AmiClient,
        row: Row,
        clock: MediaClock,
        first_sequence: int | None = None,
    ) -> None:
        """`program` is somebody's own AMI account, with all rights."""
        self.here = here
        self.program = program
        self.row = row
        self.log = Ears()
        self._clock = clock
        self._first_sequence = first_sequence
        self._stack = AsyncExitStack()
        self._caller: Call | None = None
        self._dialled = asyncio.Event()
        self._voices = {
            phase: Counted(tone(phase, Speaker.CALLER))
            for phase, tones in TONES.items()
            if Speaker.CALLER in tones
        }
        self._marks: dict[str, asyncio.Event] = {}
        self.is_gone = False
        """Whether the bot's channel is no longer the caller's, so its marks mean nothing."""
        self.channel = ""
        """The caller's channel, as the bot's first mark told it."""
        here.marks[row.id] = self._on_mark

    async def __aenter__(self) -> Scene:
        self.caller = await self._phone("caller")
        self.agent = await self._phone("agent")
        self.second = await self._phone("second")
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    # ------------------------------------------------------------------ the caller

    @property
    def extension(self) -> str:
        """What the caller dials: the row and where its agents are."""
        return f"m-{self.row.id}-{self.agent.port}-{self.second.port}"

    def uri(self, extension: str) -> str:
        """An extension of the PBX."""
        return f"sip:{extension}@{self.here.sip}"

    @property
    def call(self) -> Call:
        """The caller's call."""
        assert self._caller is not None
        return self._caller

    async def dial(self) -> None:
        """The caller calls the bot."""
        media = MediaOptions(keep_chunks=KEPT_CHUNKS, first_sequence=self._first_sequence)
        self.taken(await self.caller.dial(self.uri(self.extension), media, timeout_s=PATIENCE_S))

    def taken(self, call: Call) -> None:
        """This is the caller's call."""
        self._caller = call
        self._dialled.set()

    def say(self, phase: Phase) -> None:
        """The caller sounds a phase's tone from now on."""
        self.log.note(f"caller: {phase}")
        self.call.source = self._voices[phase]

    async def reached(self, mark: str) -> None:
        """Wait until the bot is past a mark."""
        async with asyncio.timeout(PATIENCE_S):
            await self._mark(mark).wait()

    async def waits(self) -> None:
        """The caller waits for a while."""
        await self.reached("wait")
        await self.call.wait_sent(SHORT_PACKETS, PATIENCE_S)

    async def hush(self) -> None:
        """The caller falls silent, and the last of what he said is through."""
        self.call.source = Silence()
        await self.call.wait_sent(QUIET_PACKETS, PATIENCE_S)

    # ------------------------------------------------------------------ people

    async def ringing(self, phone: Phone, packets: int = RINGS_PACKETS) -> IncomingCall:
        """A phone rings for a while."""
        leg = await phone.incoming(PATIENCE_S)
        leg.ring()
        await self.call.wait_sent(packets, PATIENCE_S)
        return leg

    async def answered(self, phone: Phone, phase: Phase, speaker: Speaker) -> IncomingCall:
        """A phone rings for a while and is answered; whoever has it talks at once.

        The caller falls silent before: when exactly his wait ends can't be known outside.
        """
        leg = await self.ringing(phone)
        await self.hush()
        await leg.answer(tone(phase, speaker), PATIENCE_S)
        self.log.note(f"{speaker} answered")
        return leg

    async def agent_answers(self) -> IncomingCall:
        """The agent's phone rings and is answered."""
        return await self.answered(self.agent, Phase.TALK, Speaker.AGENT)

    async def second_answers(self) -> IncomingCall:
        """The second agent's phone rings and is answered."""
        return await self.answered(self.second, Phase.TALK2, Speaker.SECOND)

    async def talk(
        self, leg: Call, phase: Phase = Phase.TALK, speaker: Speaker = Speaker.AGENT
    ) -> None:
        """The caller hears somebody, answers, and they talk for a while."""
        leg.source = tone(phase, speaker)
        await self.call.wait_heard(hz(phase, speaker), timeout_s=PATIENCE_S)
        self.say(phase)
        await self.meet(self.call, hz(phase, Speaker.CALLER), leg, hz(phase, speaker))
        await self.call.wait_sent(TALK_PACKETS, PATIENCE_S)
        await self.meet(self.call, hz(phase, Speaker.CALLER), leg, hz(phase, speaker))
        self.log.note(f"{phase}: over")

    async def meet(self, one: Call, one_hz: int, two: Call, two_hz: int) -> None:
        """Two hear each other."""
        await asyncio.gather(
            one.wait_heard(two_hz, timeout_s=PATIENCE_S),
            two.wait_heard(one_hz, timeout_s=PATIENCE_S),
        )

    async def held(self) -> None:
        """The caller says what he says on hold, and nobody is to hear it for a while."""
        self.say(Phase.HELD)
        await self.call.wait_sent(SHORT_PACKETS, PATIENCE_S)

    async def survey(self, *, heard: bool = True) -> None:
        """The bot goes on with the caller until the call ends."""
        await self.reached("survey")
        if heard:
            await self.call.wait_heard(hz(Phase.BACK, Speaker.BOT), timeout_s=PATIENCE_S)
        await self.ends()

    @property
    def said_s(self) -> dict[Phase, float]:
        """For how long the caller's phone really sent each phase's tone."""
        return {phase: voice.packets * PACKET_S for phase, voice in self._voices.items()}

    async def ends(self) -> None:
        """The caller's call ends."""
        await self.call.wait_ended(PATIENCE_S)

    def media(self, phase: Phase, speaker: Speaker) -> MediaOptions:
        """How somebody's own call begins."""
        return MediaOptions(
            tone(phase, speaker), keep_chunks=KEPT_CHUNKS, first_sequence=self._first_sequence
        )

    # ------------------------------------------------------------------ AMI

    async def ami(self, action: str, **fields: str) -> None:
        """Somebody else's program asks Asterisk for something."""
        self.log.note(f"AMI {action}")
        await self.program.action(action, fields)

    async def channels(self) -> list[AmiEvent]:
        """All channels of the PBX."""
        return await self.program.action_list(
            "CoreShowChannels", complete_event="CoreShowChannelsComplete"
        )

    async def beside_the_caller(self) -> str:
        """The channel with which the caller's is in a bridge."""
        channels = await self.channels()
        bridges = {one.get("Channel"): one.get("BridgeId") for one in channels}
        bridge = bridges[self.channel]
        assert bridge, f"{self.channel} is in no bridge"
        found = [name for name, other in bridges.items() if other == bridge]
        (name,) = [name for name in found if name and name != self.channel]
        return name

    async def channel_at(self, extension: str) -> str:
        """The channel that is at an extension."""
        channels = await self.channels()
        (name,) = [one.get("Channel") for one in channels if one.get("Exten") == extension]
        assert name is not None
        return name

    async def parking_space(self) -> str:
        """Where the caller is parked."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                parked = await self.program.action_list(
                    "ParkedCalls", complete_event="ParkedCallsComplete"
                )
                for one in parked:
                    if one.get("ParkeeChannel") == self.channel:
                        return one.get("ParkingSpace") or ""
                await asyncio.sleep(0.05)

    # ------------------------------------------------------------------ inside

    async def _phone(self, user: str) -> Phone:
        # Whom a rule classes calls from an endpoint of his own, too.
        if self.row.known is Known.CLASSED and user != "caller":
            user = "desk"
        media = MediaOptions(keep_chunks=KEPT_CHUNKS, first_sequence=self._first_sequence)
        phone = Phone(user=user, media=media, clock=self._clock)
        return await self._stack.enter_async_context(phone)

    def _mark(self, mark: str) -> asyncio.Event:
        return self._marks.setdefault(mark, asyncio.Event())

    async def _on_mark(self, _extension: str, word: str) -> None:
        mark, _, rest = word.partition(":")
        self.log.note(f"mark {word}")
        if self.is_gone:
            return
        await self._dialled.wait()
        if mark == "open":
            self.channel = rest
        if mark == "entry" and self.row.entry is Entry.OPERATOR:
            await self.here.operate(self.row.id, Action.PAUSE)
        phase = _PHASE_OF_MARK.get(mark)
        if phase is None:
            self.call.source = Silence()
        else:
            self.say(phase)
        self._mark(mark).set()


_PHASE_OF_MARK: Mapping[str, Phase] = {
    "open": Phase.OPEN,
    "entry": Phase.ENTRY,
    "wait": Phase.WAIT,
    "survey": Phase.BACK,
}
"""At any other mark the caller falls silent."""


def tone(phase: Phase, speaker: Speaker) -> Tone:
    """What a party says in a phase."""
    return Tone(hz(phase, speaker))
