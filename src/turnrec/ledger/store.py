"""The ledger as the rest of turnrec uses it: open, append, flush, read, close; no SQL of its own.

Appending never waits for the database. A database that fails is retried by the writer's thread,
and told of by `healthy`, `last_error`, `on_error` and `flush()`; nothing is dropped silently. When
the backlog reaches `Limits.backlog_bytes`, `append` raises LedgerStalledError, and an `entry_lost`
entry later says what is missing (`turnrec.ledger.backlog`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Engine

from turnrec.core.entry import Entry
from turnrec.ledger import projections
from turnrec.ledger.backlog import Backlog
from turnrec.ledger.chain import Head
from turnrec.ledger.engine import (
    make_folder,
    parse_url,
    place,
    prepare_file,
    sqlite_file,
    writer_engine,
)
from turnrec.ledger.entries import to_columns
from turnrec.ledger.errors import LedgerClosedError, LedgerError, explain
from turnrec.ledger.lock import LockFile
from turnrec.ledger.queries import read_head
from turnrec.ledger.reader import LedgerReader
from turnrec.ledger.schema import SCHEMA_VERSION, migrate
from turnrec.ledger.upgrade import keep_copy
from turnrec.ledger.writer import Limits, Writer

LOCK_NAME: Final = "ledger.lock"
_DEFAULTS: Final = Limits()
_log = logging.getLogger(__name__)


class Ledger(LedgerReader):
    """An open ledger, of which this process is the one writer."""

    def __init__(
        self,
        url: URL,
        engine: Engine,
        head: Head,
        locks: contextlib.ExitStack,
        limits: Limits,
        on_error: Callable[[LedgerError], None] | None,
    ) -> None:
        """Use `open`, which takes the locks and brings the schema up to date."""
        super().__init__(url, busy_timeout_ms=limits.busy_timeout_ms)
        self._writing = engine
        self._locks = locks
        self._limits = limits
        self._backlog = Backlog(limits.backlog_bytes)
        self._writer = Writer(
            engine, self._backlog, head, where=place(url), limits=limits, on_error=on_error
        )
        self._pid = os.getpid()
        self._closed = False
        self._writer.start()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        lock_dir: Path | None = None,
        limits: Limits = _DEFAULTS,
        on_error: Callable[[LedgerError], None] | None = None,
    ) -> Ledger:
        """Open the ledger at a database URL for writing, and make it where there is none.

        The lock lies beside an SQLite file, or is PostgreSQL's own; `lock_dir` takes another one
        in that folder, for data that belong together. `on_error` is called in the writer's
        thread, once for each failure that differs from the one before.

        Raises:
            LedgerLockedError: another process has it.
            LedgerVersionError: a newer turnrec wrote it.
            LedgerNotUpgradedError: an older one wrote it, and it could not be copied first.
            LedgerForeignError: it is somebody else's database.
            LedgerDamagedError: it can't be read; it is left as it is.
            LedgerError: it can't be made or reached.
        """
        parsed = parse_url(url)
        with contextlib.ExitStack() as undo:
            try:
                for path in _lock_files(parsed, lock_dir):
                    undo.callback(LockFile(path).release)
                if (file := sqlite_file(parsed)) is not None:
                    # Not before it is locked: an empty file in the place of a ledger that was put
                    # away would have its writer delete the -wal, and what was committed there.
                    prepare_file(file)
                    keep_copy(file)
                engine = writer_engine(parsed, busy_timeout_ms=limits.busy_timeout_ms)
                with contextlib.ExitStack() as undo_engine:
                    undo_engine.callback(engine.dispose)
                    with engine.begin() as connection:
                        found = migrate(connection, place(parsed))
                        if found < SCHEMA_VERSION:
                            projections.rebuild(connection)
                            _log.warning("the ledger was upgraded from version %d", found)
                        head = read_head(connection)
                    ledger = cls(parsed, engine, head, undo.pop_all(), limits, on_error)
                    undo_engine.pop_all()
            except Exception as error:
                raise explain(error, place(parsed)) from error
        return ledger

    # -------------------------------------------------------------- writing

    def append(self, entry: Entry) -> None:
        """Queue an entry; from any thread. It waits for no database, disk or network.

        Raises:
            LedgerStalledError: no room is left; see there for what to do then.
            LedgerClosedError: after close(), or in a forked process.
            TypeError, ValueError: the entry's detail is not JSON.
        """
        if os.getpid() != self._pid:
            raise LedgerClosedError
        self._backlog.put(to_columns(entry))

    async def flush(self, *, timeout_s: float = 30.0) -> None:
        """Wait until all that was appended before this call is durable.

        Raises:
            LedgerError: it isn't yet after `timeout_s`. It stays queued.
        """
        loop = asyncio.get_running_loop()
        settled = asyncio.Event()

        def wake() -> None:
            # The loop may be gone by the time a stalled database moves again.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settled.set)

        self._backlog.call_when_settled(wake)
        try:
            async with asyncio.timeout(timeout_s):
                await settled.wait()
        except TimeoutError:
            raise LedgerError(
                f"{self.backlog} entries are not durable after {timeout_s:g} s:"
                f" {self.last_error or 'the database is slow'}"
            ) from self.last_error

    def on_written(self, callback: Callable[[], None] | None) -> None:
        """Have `callback` called after each commit, in the writer's thread; None: nobody.

        It must not raise and must not block.
        """
        self._writer.on_written = callback

    async def close(self, *, timeout_s: float = 10.0) -> None:
        """Write what is queued, end the writer, let go of the locks. A second call does nothing.

        Raises:
            LedgerError: the database failed until `timeout_s` were over: entries are lost.
        """
        if self._closed:
            return
        self._closed = True
        self._backlog.close()
        try:
            await self.flush(timeout_s=timeout_s)
        finally:
            self._writer.give_up()
            # One more try may be under way; a lock is kept if the disk never lets go of it.
            patience_s = 1 + 2 * self._limits.busy_timeout_ms / 1000
            ended = await asyncio.to_thread(self._writer.join, patience_s)
            await super().close()
            if ended:
                self._locks.close()

    async def rebuild(self) -> None:
        """Make the tables of calls and recordings anew from the entries.

        Raises:
            LedgerError: it failed; the tables are as before.
        """
        await self._in_thread(self._rebuild)

    def _rebuild(self, _reading: object) -> None:
        # The writer waits meanwhile: there is only one writing connection.
        with self._writing.begin() as connection:
            projections.rebuild(connection)

    # -------------------------------------------------------------- how it is

    @property
    def healthy(self) -> bool:
        """Whether entries become durable now."""
        return self._writer.alive and self.last_error is None and not self._backlog.full

    @property
    def last_error(self) -> LedgerError | None:
        """Why the database can't be written now; None while it can."""
        return self._writer.last_error

    @property
    def backlog(self) -> int:
        """How many entries are not known to be durable."""
        return self._backlog.depth


@contextlib.contextmanager
def locked_for_writing(url: URL) -> Iterator[None]:
    """Hold an SQLite ledger's lock as its writer does, be there a ledger already or not.

    Raises:
        LedgerLockedError: another process has it.
        OSError: the lock's file can't be made.
    """
    with contextlib.ExitStack() as undo:
        for path in _lock_files(url, None):
            undo.callback(LockFile(path).release)
        yield


def _lock_files(url: URL, lock_dir: Path | None) -> list[Path]:
    """Return where to lock, in order, after making the folders."""
    paths = []
    if lock_dir is not None:
        make_folder(lock_dir)
        paths.append(lock_dir.resolve() / LOCK_NAME)
    if (file := sqlite_file(url)) is not None:
        make_folder(file.parent)
        file = file.resolve()
        paths.append(file.with_name(file.name + ".lock"))
    return paths
