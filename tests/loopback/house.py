"""Turnrec's main path as `serve` builds it, over a FakeAsterisk; only its ports are plain lists.

async with House.open(tmp_path) as house:
    assert await house.caller.gosub("start", "kyc") == "OK"
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.loopback.fake_asterisk import ASTERISK_SPOOL, HANG_S, FakeAsterisk, FakeChannel
from turnrec.asterisk.agi import AgiServer
from turnrec.asterisk.ami import AmiClient, AmiSettings
from turnrec.asterisk.paths import AmiPath, Ways
from turnrec.asterisk.spool import WAV_HEADER_BYTES, Spool
from turnrec.calls import Calls
from turnrec.core.call import Call, ClosedRecording, FinishedRecording
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.policy import (
    Action,
    AgentOff,
    AgentPolicy,
    Bot,
    Default,
    Flow,
    Node,
    PauseMethod,
    Scope,
    UnknownNode,
)
from turnrec.core.recorder import Recorder
from turnrec.core.timeline_input import TimelineError, check
from turnrec.dialplan import Door
from turnrec.ports import Path as ChannelPath
from turnrec.ports import Recordings
from turnrec.talks import Talks

HANG_MS = int(HANG_S * 1000)
SOON_MS = 50
"""For tests of a time-out: it has to pass, and nothing depends on when."""

_NODES = {
    node.name: node
    for node in (
        Node("greeting"),
        Node("ask_aadhaar", Action.PAUSE),
        Node("ask_otp", Action.PAUSE, scope=Scope.TURN),
        Node("confirm", Action.RESUME),
        Node("small_talk"),
        Node("goodbye", Action.STOP),
        Node("next_topic", Action.START, new=True),
    )
}
BOTS = {
    bot.name: bot
    for bot in (
        Bot("kyc", _NODES),
        Bot("manual", _NODES, default=Default.OFF),
        Bot("restartable", _NODES, stop_is_final=False),
        Bot("lenient", _NODES, unknown_node=UnknownNode.KEEP),
        Bot("private", _NODES, agent=AgentPolicy.OFF, agent_off=AgentOff.PAUSE),
        Bot("muting", _NODES, pause_method=PauseMethod.MUTE),
    )
}


@dataclass
class ListJournal:
    """A journal that only remembers."""

    entries: list[Entry] = field(default_factory=list)
    is_open: bool = True
    """Whether it takes entries; the real one does until its memory is full."""

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)

    def vouches(self) -> bool:
        return self.is_open

    async def make_durable(self) -> bool:
        return True

    def kinds(self) -> list[EntryKind]:
        return [entry.kind for entry in self.entries]


@dataclass
class CheckedRecordings:
    """Takes finished recordings and sees to it that a timeline can be made of each."""

    spool: Spool
    finished: list[FinishedRecording] = field(default_factory=list)
    contradictions: list[TimelineError] = field(default_factory=list)

    async def close(self, recording: FinishedRecording) -> ClosedRecording:
        self.finished.append(recording)
        samples = {
            segment.part: max((self.spool.size_bytes(segment.part) or 0) - WAV_HEADER_BYTES, 0) // 2
            for segment in recording.segments
        }
        try:
            check(
                recording.opened_us,
                recording.closed_us,
                recording.segments,
                recording.gaps,
                samples,
                recording.method,
            )
        except TimelineError as error:
            self.contradictions.append(error)
        return ClosedRecording(True, {})

    async def discard(self, recording_id: str) -> None:
        pass


class NoMemory:
    """Knows of no call of an earlier process."""

    async def revive(self, path: ChannelPath) -> Call | None:
        return None


@dataclass
class OneFlow:
    flow: Flow


@dataclass
class House:
    """Everything between the dialplan's door and the spool."""

    pbx: FakeAsterisk
    caller: FakeChannel
    spool: Spool
    ways: Ways
    calls: Calls
    talks: Talks
    journal: ListJournal
    recordings: CheckedRecordings
    server: AgiServer

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        *,
        answer_timeout_ms: int = HANG_MS,
        deadline_ms: int = HANG_MS,
        ami: AmiClient | None = None,
        around: Callable[[Recordings], Recordings] = lambda recordings: recordings,
    ) -> AsyncIterator[House]:
        """Build it, let it listen, and see at the end that its books are in order.

        Without `ami` there is a client that was never started: AMI is down. `around` puts
        something around the recordings.
        """
        spool = Spool(folder, ASTERISK_SPOOL)
        ticks, ids = count(1_790_000_000_000_000, 1_000), count(1)
        journal, recordings = ListJournal(), CheckedRecordings(spool)
        down = AmiClient(AmiSettings(username="turnrec", secret="none"))
        ways = Ways(spool, ticks.__next__, ami or down)
        ways.asterisk_version = "22.10.1"
        calls = Calls(
            flow=OneFlow(Flow(BOTS)),
            journal=journal,
            recordings=around(recordings),
            memory=NoMemory(),
            clock=ticks.__next__,
            new_id=lambda: f"ID{next(ids):04d}",
            deadline_ms=deadline_ms,
        )
        talks = Talks(calls)
        door = Door(calls, talks, ways, lambda _: None)
        server = AgiServer(door.routes, answer_timeout_ms=answer_timeout_ms)
        await server.listen("127.0.0.1", 0)
        pbx = FakeAsterisk(folder)
        pbx.port = server.port
        try:
            yield cls(pbx, pbx.channel(), spool, ways, calls, talks, journal, recordings, server)
        finally:
            await server.close(patience_s=HANG_S)
            await calls.settle()
        assert recordings.contradictions == []

    @property
    def call(self) -> Call:
        call = self.calls.find(self.caller.uniqueid)
        assert call is not None
        return call

    @property
    def recorder(self) -> Recorder:
        return self.call.recorder

    @property
    def by_ami(self) -> AmiPath:
        """The way to the caller's channel by AMI."""
        return self.ways.by_ami(self.caller.name, self.caller.uniqueid)

    async def ask(self, *request: str) -> str:
        """Call a subroutine, and wait until turnrec has noticed how its session ended."""
        status = await self.caller.gosub(*request)
        await self.quiet()
        return status

    async def hang_up(self) -> None:
        """The caller hangs up, and everything of the call has been entered."""
        await self.caller.hang_up()
        await self.quiet()
        await self.calls.settle()

    async def quiet(self) -> None:
        """Wait until no session is open."""
        async with asyncio.timeout(HANG_S):
            while self.server.session_count:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)

    async def hear(self, *nodes: str, bot: str = "kyc") -> None:
        """Have the call begin and go through these turns, all well."""
        assert await self.caller.gosub("start", bot) == "OK"
        for node in nodes:
            assert await self.caller.gosub("turn", node) == "OK"
