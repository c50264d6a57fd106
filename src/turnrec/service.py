"""Puts turnrec together from its settings, starts it, and ends it in order.

The one place that knows every part. It decides nothing of what is recorded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ulid import ULID

from turnrec import __version__
from turnrec.asterisk.agi import AgiServer
from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.ami_settings import AmiSettings
from turnrec.asterisk.paths import Ways
from turnrec.asterisk.spool import Spool
from turnrec.calls import Calls
from turnrec.clock import SteadyClock
from turnrec.core.entry import JSON, Entry, EntryKind, Origin
from turnrec.describe import describe_entry
from turnrec.desk import CallDesk
from turnrec.dialplan import Door
from turnrec.flow import FlowFile
from turnrec.keeping import Keeper
from turnrec.ledger.errors import LedgerError, LedgerStalledError
from turnrec.ledger.store import Ledger
from turnrec.limits import Limits
from turnrec.meddling import Meddling
from turnrec.memory import LedgerMemory
from turnrec.metrics import Metrics
from turnrec.net import Net
from turnrec.others import OtherRecorders
from turnrec.periodic import Periodic
from turnrec.proof import ProvingCloser, make_checkpointer
from turnrec.recognisers import Recognisers
from turnrec.recordings.closer import Closer
from turnrec.recordings.transcript_file import TranscriptFiles
from turnrec.retention import Retention
from turnrec.room import Room
from turnrec.settings import AsteriskSettings, Settings
from turnrec.strays import Strays
from turnrec.talks import Talks
from turnrec.telling import Telling
from turnrec.tidy import EVERY_S, give_back
from turnrec.transcripts import Books, Transcripts
from turnrec.watch import Watch
from turnrec.web.keys import ApiKey, KeyRing

if TYPE_CHECKING:
    from fastapi import FastAPI

    from turnrec.front import Front

logger = logging.getLogger(__name__)

_DURABLE_WITHIN_S = 30.0
_JOINS_WITHIN_S = 1.0
"""At the end: what isn't joined by then, its part is still open, say, is joined after the start."""


class LedgerJournal:
    """The ledger as the main path sees it: it takes everything and never raises."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._is_stalled = False
        self.watchers: list[Callable[[Entry], None]] = []
        """Told of each entry as it is made, durable or not."""

    def append(self, entry: Entry) -> None:
        """Queue an entry. One that finds no room is counted by the ledger and said aloud here."""
        for watcher in self.watchers:
            try:
                watcher(entry)
            except Exception:
                logger.exception("a defect in what is told of entries; calls go on")
        try:
            self._ledger.append(entry)
            self._is_stalled = False
        except LedgerStalledError as error:
            if not self._is_stalled:
                logger.critical("nothing more is recorded: %s", error)
            self._is_stalled = True
        except (LedgerError, TypeError, ValueError) as error:
            logger.critical("the ledger could not take an entry (%s): %s", entry.kind, error)

    def vouches(self) -> bool:
        """Whether the ledger takes entries: its memory of what it couldn't write isn't full."""
        return not self._is_stalled

    async def make_durable(self) -> bool:
        """Wait until everything taken so far is on disk."""
        try:
            await self._ledger.flush(timeout_s=_DURABLE_WITHIN_S)
        except LedgerError as error:
            logger.critical("the ledger is behind: %s", error)
            return False
        return True


class Service:
    """A running turnrec."""

    def __init__(self, settings: Settings, *, make_ways: type[Ways] = Ways) -> None:
        """Put it together. `make_ways` is the one seam: how channels are reached."""
        self._settings = settings
        self.clock = SteadyClock()
        recordings = settings.recordings
        self.spool = Spool(recordings.spool_dir, PurePosixPath(str(recordings.asterisk_spool_dir)))
        self.flow = FlowFile.load(settings.flow.path)
        self.ledger = Ledger.open(settings.ledger.url.get_secret_value())
        self.ami = AmiClient(ami_settings(settings.asterisk))
        self.ways = make_ways(self.spool, self.clock, self.ami)
        self._memory = LedgerMemory(self.ledger, self.flow, recordings.spool_dir)
        self._closer = Closer(
            recordings.spool_dir,
            recordings.dir,
            self.spool.wait_closed,
            keep_parts=recordings.keep_parts,
        )
        self._checkpointer = make_checkpointer(settings, self.ledger, self.clock)
        self._journal = LedgerJournal(self.ledger)
        self._transcript_files = TranscriptFiles(recordings.dir)
        self._books = Books(
            self._transcript_files,
            ProvingCloser(
                self._closer,
                self.ledger,
                self.clock,
                lambda: self.ways.asterisk_version,
                self._checkpointer,
            ),
        )
        self.calls = Calls(
            flow=self.flow,
            journal=self._journal,
            recordings=self._books,
            memory=self._memory,
            clock=self.clock,
            new_id=lambda: str(ULID()),
            deadline_ms=settings.server.recorder_deadline_ms,
        )
        self.calls.others = OtherRecorders(self.calls, self.ways)
        self._recognisers = Recognisers(
            self.calls.notes,
            self.clock,
            lambda: str(ULID()),
            halt_timeout_ms=settings.transcripts.halt_timeout_ms,
        )
        transcripts = Transcripts(
            self.calls,
            self._books,
            self._recognisers,
            self.clock,
            keep_late=settings.transcripts.keep_late,
        )
        self.calls.listeners = transcripts
        talks = Talks(self.calls)
        self._net = Net(
            self.calls,
            talks,
            Meddling(self.calls, self.ways),
            self.ways,
            self.ami,
            self.flow,
            self.clock,
        )
        self._limits = Limits(self.calls, self.ways, self.clock)
        self._agi = AgiServer(
            Door(self.calls, talks, self.ways, self._net.recorded_beside).routes,
            answer_timeout_ms=settings.server.agi_timeout_ms,
        )
        self._watch = Watch(
            self.calls,
            self.ways,
            self.ami,
            self._memory,
            self._net,
            interval_s=settings.sweep.interval_s,
        )
        self._room = Room(
            (recordings.dir, recordings.spool_dir),
            recordings.min_free_mb,
            lambda alarm_id, sentence: self.calls.notes.alarm(None, alarm_id, sentence),
        )
        self.calls.notes.room = self._room
        keeper = Keeper(
            self.ledger,
            self._journal,
            self.calls.notes,
            recordings.dir,
            recordings.spool_dir,
            self.clock,
            lambda: str(ULID()),
        )
        self._retention = Retention(
            keeper, self.flow, self.clock, interval_s=settings.retention.interval_s
        )
        self._strays = Strays(self.ledger, self._journal, self.calls.notes, recordings.dir)
        self.keys = KeyRing(settings.api.keys_file, on_change=self._note_key)
        self._metrics = Metrics(
            self.calls,
            self._measured,
            {"recordings": recordings.dir, "spool": recordings.spool_dir},
        )
        self._journal.watchers.append(self._metrics.entered)
        self.desk = CallDesk(self.calls, talks, self.ways, self.ledger)
        self._telling = Telling(
            self.ledger,
            self.calls,
            self.clock,
            settings.ledger.url.get_secret_value(),
            settings.api.keys_file.parent,
            told_to_courier={"log": settings.log.model_dump(mode="json")},
        )
        self._journal.watchers.append(self._telling.entered)
        self._keeper = keeper
        self._transcripts = transcripts
        self._front: Front | None = None
        self._tidying = Periodic(
            give_back, EVERY_S, name="tidy", complaint="free memory was not given back"
        )

    @property
    def agi_port(self) -> int:
        """Where it listens for FastAGI."""
        return self._agi.port

    @property
    def api_port(self) -> int:
        """Where the HTTP API listens; 0: nowhere."""
        return 0 if self._front is None else self._front.port

    @property
    def app(self) -> FastAPI:
        """The API as one application, without the gate before it."""
        return self._make_front().app

    @property
    def recordings_dir(self) -> Path:
        """Where the joined files lie."""
        return self._settings.recordings.dir

    async def start(self) -> None:
        """Open everything; ready when it returns. AMI may come later: turns don't need it.

        Raises:
            OSError: a port, a socket or a folder can't be had.
        """
        recordings = self._settings.recordings
        # Asterisk writes the spool, turnrec alone the joined files.
        if not recordings.spool_dir.exists():
            recordings.spool_dir.mkdir(parents=True)
            recordings.spool_dir.chmod(0o770)  # whatever the umask took away from Asterisk's group
        recordings.dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._note(EntryKind.SERVER_STARTED)
        # Before a call can be taken up again, and end: then its recording would be joined twice.
        for finished, uniqueid in await self._memory.unfinished():
            self.calls.finish_later(finished, uniqueid)
        await self._room.start()
        server = self._settings.server
        await self._agi.listen(server.agi_host, server.agi_port)
        logger.info("FastAGI on %s:%d", server.agi_host, self.agi_port)
        # From here on bots are served. What others need may take its time, beside the calls.
        self._net.start()
        self._watch.start()
        self._limits.start()
        if self._settings.asterisk.ami_enabled:
            await self.ami.start()
        await self._telling.start()
        front = await asyncio.to_thread(self._make_front)
        # While nobody can ask for what makes files before it enters them.
        await self._strays.clear()
        await front.open()
        self._retention.start()
        self._tidying.start()
        if self._checkpointer is not None:
            self._checkpointer.start()
        if self.api_port:
            logger.info("API and page on http://%s:%d", self._settings.api.host, self.api_port)

    def _make_front(self) -> Front:
        """Import and build the API's half, once; it blocks for as long as all the rest took."""
        from turnrec.front import Front

        if self._front is None:
            self._front = Front(
                self,
                self._settings,
                ledger=self.ledger,
                journal=self._journal,
                clock=self.clock,
                keys=self.keys,
                desk=self.desk,
                keeper=self._keeper,
                telling=self._telling,
                transcripts=self._transcripts,
                transcript_files=self._transcript_files,
            )
        return self._front

    async def stop(self) -> None:
        """End in order. Running calls keep their state, and are taken up at the next start.

        So are finished recordings that can't be joined within a second.
        """
        # Requests under way end by themselves, all at the same time; some of them need AMI.
        await asyncio.gather(self._agi.close(), self._close_front())
        await self._tidying.close()
        await self._retention.close()
        await self._room.close()
        await self._limits.close()
        await self._watch.close()
        await self._net.close()
        await self.ami.close()
        self._recognisers.close()
        await self.calls.settle(joins_within_s=_JOINS_WITHIN_S)
        self._note(EntryKind.SERVER_STOPPED)
        self._closer.shut_down()
        self._transcript_files.shut_down()
        if self._checkpointer is not None:
            await self._checkpointer.close()
            if await self._journal.make_durable():
                await self._checkpointer.checkpoint()
        await self.ledger.close()

    async def _close_front(self) -> None:
        if self._front is None:
            await self._telling.close()
        else:
            await self._front.close()

    # -------------------------------------------------------------- what the socket asks

    def readiness(self) -> dict[str, bool]:
        """Whether each part is as it should be."""
        return {
            "ami": self.ami.ready or not self._settings.asterisk.ami_enabled,
            "ledger": self.ledger.healthy and self._journal.vouches(),
            "room": self._room.lack() is None,
        }

    def metrics(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return self._metrics.text()

    def _measured(self) -> dict[str, float]:
        return {
            "ami_up": self.ami.ready,
            "ledger_healthy": self.ledger.healthy,
            "ledger_backlog_entries": self.ledger.backlog,
            "room": self._room.lack() is None,
            "agi_sessions": self._agi.session_count,
            "tasks": len(asyncio.all_tasks()),
        }

    def status(self) -> dict[str, JSON]:
        """How the parts are."""
        return {
            "version": __version__,
            "agi_port": self.agi_port,
            "api_port": self.api_port,
            "agi_sessions": self._agi.session_count,
            "ami_ready": self.ami.ready,
            "asterisk_version": self.ways.asterisk_version,
            "ledger_healthy": self.ledger.healthy,
            "ledger_backlog": self.ledger.backlog,
            "flow_sha256": self.flow.flow.sha256,
            "live_calls": len(self.calls.live()),
            "room": self._room.lack() or "enough",
        }

    async def read_ledger(self, after_seq: int, limit: int) -> list[dict[str, JSON]]:
        """Entries after one, in order."""
        await self.ledger.flush()
        found = await self.ledger.entries(after_seq=after_seq, limit=limit)
        return [describe_entry(one) for one in found]

    async def reload_flow(self) -> list[str]:
        """Read the flow file anew; return its mistakes. With any, the old flow stays in force."""
        result = await asyncio.to_thread(self.flow.reload)
        return [str(mistake) for mistake in result.mistakes]

    def _note_key(self, key: ApiKey, change: str) -> None:
        logger.warning("API key %s %s", key.name, change)
        detail: dict[str, JSON] = {
            "name": key.name,
            "change": change,
            "rights": sorted(key.rights),
            "bots": None if key.bots is None else sorted(key.bots),
        }
        self._journal.append(
            Entry(
                kind=EntryKind.KEY_CHANGED,
                at_us=self.clock(),
                origin=Origin.SERVER,
                detail=detail,
            )
        )

    def _note(self, kind: EntryKind) -> None:
        self._journal.append(Entry(kind=kind, at_us=self.clock(), origin=Origin.SERVER))


def ami_settings(asterisk: AsteriskSettings) -> AmiSettings:
    """The AMI client's settings. Without AMI they name an account that is never tried."""
    secret = asterisk.ami_secret
    return AmiSettings(
        host=asterisk.ami_host,
        port=asterisk.ami_port,
        username=asterisk.ami_username,
        secret="-" if secret is None else secret.get_secret_value(),
        action_timeout_ms=asterisk.ami_timeout_ms,
        event_classes=("system", "call", "agent"),
    )
