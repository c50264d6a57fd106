"""Database connections, and the only place that knows one database from another; no queries.

SQLite runs in WAL mode, so that readers and the writer don't wait for each other, and with
`synchronous=FULL`: an entry that `flush()` has vouched for survives a power cut, and the price
(one fsync for all entries that have queued meanwhile) is paid in the writer's thread.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from turnrec.ledger.errors import LedgerError, LedgerLockedError
from turnrec.ledger.lock import FILE_MODE

FOLDER_MODE: Final = 0o750
READERS: Final = 2
"""How many reads run side by side."""

_ADVISORY_LOCK: Final = 0x7475726E_72656320
"""PostgreSQL's lock for the one writer, one per database: "turnrec " in ASCII."""


def parse_url(url: str | URL) -> URL:
    """Read a database URL.

    Raises:
        LedgerError: it is none, or one of a database that turnrec doesn't work with.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The URL itself may hold a password.
        raise LedgerError(
            "the ledger's URL can't be read;"
            " write sqlite:////absolute/path/ledger.sqlite or postgresql://user@host/database"
        ) from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise LedgerError(f"the ledger can be in sqlite or postgresql, not in {backend}")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise LedgerError("a ledger in memory proves nothing: name a file in the ledger's URL")
    return parsed


def place(url: URL) -> str:
    """How messages name the database at `url`: never with its password."""
    path = sqlite_file(url)
    return url.render_as_string(hide_password=True) if path is None else str(path)


def sqlite_file(url: URL) -> Path | None:
    """The file that `url` names; None for a server's database."""
    if url.get_backend_name() != "sqlite":
        return None
    return Path(str(url.database)).absolute()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing, readable by the group only.

    Raises:
        OSError: it can't be made.
    """
    for each in (*reversed(folder.absolute().parents), folder):
        if not each.exists():
            each.mkdir(FOLDER_MODE, exist_ok=True)


def prepare_file(path: Path) -> None:
    """Make the ledger's file and its folder where they are missing.

    Raises:
        OSError: they can't be made, read or written.
    """
    make_folder(path.parent)
    # SQLite gives its -wal and -shm files the rights of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))


def writer_engine(url: URL, *, busy_timeout_ms: int) -> Engine:
    """Return the engine of the one writer: one connection, which holds the lock if it can."""
    path = sqlite_file(url)
    if path is None:
        engine = _create(url, pool_size=1)
        _on_connect(engine, _take_advisory_lock)
        return engine
    engine = _sqlite_engine(path, busy_timeout_ms, pool_size=1, begin="BEGIN IMMEDIATE")
    _on_connect(engine, _run("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"))
    return engine


def reader_engine(url: URL, *, busy_timeout_ms: int) -> Engine:
    """Return an engine that can't write."""
    path = sqlite_file(url)
    if path is None:
        engine = _create(url, pool_size=READERS, pool_pre_ping=True)
        _on_connect(engine, _run("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
        return engine
    engine = _sqlite_engine(path, busy_timeout_ms, pool_size=READERS, begin="BEGIN")
    _on_connect(engine, _run("PRAGMA query_only=ON"))
    return engine


def _create(url: URL | str, *, pool_size: int, **options: Any) -> Engine:
    try:
        return create_engine(
            url,
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,
            **options,
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise LedgerError(
            f"the ledger's database needs a driver that is not installed: {error}"
        ) from None


def _on_connect(engine: Engine, prepare: Callable[[Any], None]) -> None:
    """Have `prepare` run on each new driver connection, which is closed again if that fails."""

    def on_connect(connection: Any, _entry: ConnectionPoolEntry) -> None:
        try:
            prepare(connection)
            connection.commit()
        except BaseException:
            connection.close()
            raise

    event.listen(engine, "connect", on_connect)


def _run(*statements: str) -> Callable[[Any], None]:
    """Return a preparation that runs `statements`."""

    def prepare(connection: Any) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()

    return prepare


# ------------------------------------------------------------------ SQLite


def _sqlite_engine(path: Path, busy_timeout_ms: int, *, pool_size: int, begin: str) -> Engine:
    def connect() -> sqlite3.Connection:
        # mode=rw: a ledger that has gone missing must not be replaced by an empty one. The pool
        # hands a connection to one thread at a time, but not always to the same.
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=busy_timeout_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
        )

    def remember_file(_connection: Any, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = _identity(path)

    def check_file(
        _connection: Any, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        # SQLite would go on writing into a file that has been deleted.
        if entry.info["file"] != _identity(path):
            raise DisconnectionError(f"{path} has been exchanged")

    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    engine = _create("sqlite://", pool_size=pool_size, creator=connect)
    event.listen(engine, "connect", remember_file)
    event.listen(engine, "checkout", check_file)
    event.listen(engine, "begin", begin_transaction)
    return engine


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


# ------------------------------------------------------------------ PostgreSQL


_WHO_HOLDS_IT: Final = f"""
    SELECT a.application_name, coalesce(host(a.client_addr), 'this machine')
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid = {_ADVISORY_LOCK >> 32} AND l.objid = {_ADVISORY_LOCK & 0xFFFFFFFF}
"""  # noqa: S608 - nothing but our own constant goes in  # nosec B608


def _take_advisory_lock(connection: Any) -> None:
    """Take the lock on the very connection that writes: who loses it can't write any more."""
    cursor = connection.cursor()
    cursor.execute(f"SET application_name = 'turnrec {os.getpid()}'")
    cursor.execute(f"SELECT pg_try_advisory_lock({_ADVISORY_LOCK})")
    if not cursor.fetchone()[0]:
        cursor.execute(_WHO_HOLDS_IT)
        holder = cursor.fetchone()
        name = "another process" if holder is None else f"{holder[0]} on {holder[1]}"
        raise LedgerLockedError("the database's lock", name)
    cursor.close()
