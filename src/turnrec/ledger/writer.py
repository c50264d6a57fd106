"""The one thread that writes the ledger; it takes from the backlog and never gives an entry up.

Everything that has queued while one commit ran, and for a few milliseconds on, goes into the next.
Whatever fails is tried again, with growing pauses, until it works or the ledger is closed: the
order stays, and nothing is written twice, because a commit whose outcome is unknown is looked up
before it is repeated.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, insert

from turnrec.ledger.backlog import Backlog
from turnrec.ledger.chain import Head, link
from turnrec.ledger.entries import Columns
from turnrec.ledger.errors import LedgerDivergedError, LedgerError, explain
from turnrec.ledger.projections import apply
from turnrec.ledger.queries import read_head
from turnrec.ledger.schema import entries

_log = logging.getLogger(__name__)

_INSERT: Final = insert(entries)
_HEAD: Final = "turnrec_head"
"""What a connection has last written or read as the chain's head; unset while in doubt."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the writer takes at once, waits and keeps."""

    batch_entries: int = 500
    """In one commit. Not more: their hashing competes with the event loop for the interpreter."""
    gather_ms: int = 50
    """How long an entry may wait for others to share its commit. flush() waits for nothing."""
    backlog_bytes: int = 64 * 2**20
    """Waiting in memory; about 30,000 entries, three minutes of 200 calls."""
    busy_timeout_ms: int = 1000
    """How long SQLite waits for somebody else's lock before that counts as a failure."""
    retry_first_ms: int = 20
    retry_most_ms: int = 2000

    def pauses_s(self) -> Iterator[float]:
        """Yield the pause after each failure in a row, without end."""
        for power in itertools.count():
            yield min(self.retry_first_ms * 2 ** min(power, 20), self.retry_most_ms) / 1000


class Writer:
    """Writes a backlog to a database, in a thread of its own that also closes the connection."""

    def __init__(
        self,
        engine: Engine,
        backlog: Backlog,
        head: Head,
        *,
        where: str,
        limits: Limits,
        on_error: Callable[[LedgerError], None] | None,
    ) -> None:
        self._engine = engine
        self._backlog = backlog
        self._head = head
        self._where = where
        self._limits = limits
        self._on_error = on_error
        self.on_written: Callable[[], None] | None = None
        """Called in this thread after each commit; it must not raise and must not block."""
        self._last_error: LedgerError | None = None
        self._given_up = threading.Event()
        # A daemon, because a disk that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)

    @property
    def last_error(self) -> LedgerError | None:
        """Why it can't write now; None while it can."""
        return self._last_error

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def give_up(self) -> None:
        """Have the thread end at its next failure, and when the closed backlog is empty."""
        self._given_up.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; False if the database holds it up for longer."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        limits = self._limits
        try:
            while batch := self._backlog.take(limits.batch_entries, limits.gather_ms / 1000):
                if not self._write(batch):
                    break
                self._backlog.settle(batch)
                if self.on_written is not None:
                    self.on_written()
        finally:
            self._engine.dispose()

    def _write(self, batch: Sequence[Columns]) -> bool:
        """Write `batch`, however often it takes; False if given up."""
        rows = link(self._head, batch)
        after = Head(int(str(rows[-1]["seq"])), str(rows[-1]["hash"]))
        for pause_s in self._limits.pauses_s():
            try:
                with self._engine.connect() as connection, _undone_on_failure(connection):
                    self._commit(connection, rows, after)
            except Exception as error:  # noqa: BLE001 - whatever it is, the entries stay
                self._report(explain(error, self._where))
            else:
                self._head = after
                self._recover()
                return True
            if self._given_up.wait(pause_s):
                return False
        raise AssertionError("pauses_s() has no end")

    def _commit(self, connection: Connection, rows: Sequence[Columns], after: Head) -> None:
        if connection.info.get(_HEAD) != self._head:
            found = read_head(connection)
            if found == after:
                connection.info[_HEAD] = after
                return
            if found != self._head:
                raise LedgerDivergedError(self._where, self._head.seq, found.seq)
        connection.info.pop(_HEAD, None)
        connection.execute(_INSERT, rows)
        apply(connection, rows)
        connection.commit()
        connection.info[_HEAD] = after

    def _report(self, error: LedgerError) -> None:
        """Tell of a failure, once for each that differs from the one before."""
        if str(error) == str(self._last_error):
            return
        self._last_error = error
        _log.error("%s; %d entries wait in memory", error, self._backlog.depth)
        if self._on_error is None:
            return
        try:
            self._on_error(error)
        except Exception:  # noqa: BLE001 - not ours, and no reason to stop writing
            _log.exception("the ledger's on_error callback failed")

    def _recover(self) -> None:
        if self._last_error is not None:
            self._last_error = None
            _log.warning("the ledger %s is written again", self._where)


@contextlib.contextmanager
def _undone_on_failure(connection: Connection) -> Iterator[None]:
    """Leave no transaction open on a connection that goes back to the pool.

    SQLAlchemy takes a transaction for over once its commit has failed; SQLite keeps it open.
    """
    try:
        yield
    except BaseException:
        try:
            connection.connection.rollback()
        except Exception:  # noqa: BLE001 - then the connection itself is what fails
            connection.invalidate()
        raise
