"""Turnrec as `serve` builds it, without what outlives a call: ledger, web, retention, transcripts.

Nothing of the product is replaced but its ports: entries go into a list, nothing is remembered from
an earlier process, time and ids are the simulation's. Commands, guards, looks, joining are its own.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, cast

from turnrec.asterisk.agi import AgiServer
from turnrec.asterisk.ami import AmiClient, AmiSettings
from turnrec.asterisk.paths import Ways
from turnrec.asterisk.spool import Spool
from turnrec.calls import Calls
from turnrec.core.call import Call
from turnrec.core.entry import Entry
from turnrec.core.policy import Flow
from turnrec.desk import CallDesk
from turnrec.dialplan import Door
from turnrec.ledger.store import Ledger
from turnrec.limits import Limits
from turnrec.meddling import Meddling
from turnrec.memory import LedgerMemory, carried
from turnrec.net import Net
from turnrec.others import OtherRecorders
from turnrec.ports import Path as ChannelPath
from turnrec.recordings.closer import Closer
from turnrec.simulate import agi, manager
from turnrec.talks import Talks
from turnrec.watch import Watch

ASTERISK_SPOOL: Final = PurePosixPath("/var/spool/asterisk/turnrec")
"""The parts' folder as commands name it: the default of `turnrec.settings`."""
_NEVER_MS: Final = 10**12
"""A session's keep-alive is no call's: none is sent in a simulation."""
_SWEEP_S: Final = 30
_DEADLINE_MS: Final = 3_000
_ANSWER_TIMEOUT_MS: Final = 5_000
_READY_WITHIN_MS: Final = 10_000


@dataclass
class ListJournal:
    """The ledger: it takes everything, in order."""

    entries: list[Entry] = field(default_factory=list)

    def append(self, entry: Entry) -> None:
        """Take an entry."""
        self.entries.append(entry)

    def vouches(self) -> bool:
        """It always has room."""
        return True

    async def make_durable(self) -> bool:
        """As durable as the simulation."""
        return True


class _NoMemory(LedgerMemory):
    """Knows of no call of an earlier process: there is no ledger that could."""

    def __init__(self) -> None:
        """What it inherits and doesn't answer itself would ask a ledger, and fail."""

    async def revive(self, path: ChannelPath) -> Call | None:
        """Ask the channel, as is done for every call that isn't known; it carries none."""
        await carried(path)
        return None

    async def orphans(self, live: Container[str]) -> list[Call]:  # noqa: ARG002 - inherited
        """There are none."""
        return []

    async def stray_parts(self) -> list[str]:
        """Nor these."""
        return []


@dataclass(frozen=True, slots=True)
class _OneFlow:
    flow: Flow


@dataclass(frozen=True, slots=True)
class House:
    """What a simulation asks of turnrec."""

    calls: Calls
    desk: CallDesk
    journal: ListJournal

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        flow: Flow,
        spool: Spool,
        recordings: Path,
        clock: Callable[[], int],
        asterisk_version: str,
        *,
        has_ami: bool,
    ) -> AsyncIterator[House]:
        """Build it and let it listen; at the end every recording is joined.

        Args:
            flow: the flow in force.
            spool: where the parts will lie; made here.
            recordings: where the joined files go.
            clock: now, in UTC microseconds.
            asterisk_version: as AMI's CoreSettings would say.
            has_ami: whether there is a manager to log in to.
        """
        spool.folder.mkdir()
        host, port = manager.ADDRESS
        ami = AmiClient(
            AmiSettings(
                host=host,
                port=port,
                username="turnrec",
                secret="simulated",  # noqa: S106 - nobody asks for it
                ping_interval_ms=_NEVER_MS,
            )
        )
        ids = itertools.count(1)
        journal = ListJournal()
        closer = Closer(spool.folder, recordings, spool.wait_closed)
        ways = Ways(spool, clock, ami)
        ways.asterisk_version = asterisk_version
        source = _OneFlow(flow)
        memory = _NoMemory()
        calls = Calls(
            flow=source,
            journal=journal,
            recordings=closer,
            memory=memory,
            clock=clock,
            new_id=lambda: f"SIM{next(ids)}",
            deadline_ms=_DEADLINE_MS,
        )
        calls.others = OtherRecorders(calls, ways)
        talks = Talks(calls)
        net = Net(calls, talks, Meddling(calls, ways), ways, ami, source, clock)
        limits = Limits(calls, ways, clock)
        watch = Watch(calls, ways, ami, memory, net, interval_s=_SWEEP_S)
        # Of a call that is over the ledger is asked; nobody asks for one here.
        desk = CallDesk(calls, talks, ways, cast("Ledger", None))
        server = AgiServer(
            Door(calls, talks, ways, net.recorded_beside).routes,
            answer_timeout_ms=_ANSWER_TIMEOUT_MS,
        )
        await server.listen(*agi.ADDRESS)
        net.start()
        watch.start()
        limits.start()
        if has_ami:
            await ami.start()
            await ami.wait_ready(_READY_WITHIN_MS)
        try:
            yield cls(calls, desk, journal)
        finally:
            await server.close()
            await limits.close()
            await watch.close()
            await net.close()
            await ami.close()
            await calls.settle()
            closer.shut_down()
