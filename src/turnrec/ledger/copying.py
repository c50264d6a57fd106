"""Copies an SQLite ledger while somebody writes it; it never writes to the one that is copied.

SQLite's online backup: the copy is the ledger as of one commit, in one file without a -wal, and
nobody waits for it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from turnrec.ledger.errors import LedgerDamagedError, LedgerError, explain
from turnrec.ledger.lock import FILE_MODE

_BUSY_TIMEOUT_S: Final = 30.0


def copy_sqlite(source: Path, target: Path, mode: int = FILE_MODE) -> None:
    """Copy a ledger (or another SQLite file of turnrec's), whole or not at all.

    Args:
        source: the database; it may be in use.
        target: the new file, which takes the place of an old one.
        mode: the new file's rights.

    Raises:
        LedgerError: it can't be read, or the copy can't be written.
    """
    passing = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        os.close(os.open(passing, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode))
        # mode=rw, as all of turnrec's readers: SQLite keeps count of who reads a database in WAL
        # mode in a file beside it.
        with (
            contextlib.closing(_connect(source)) as reading,
            contextlib.closing(_connect(passing)) as writing,
        ):
            reading.execute("PRAGMA query_only=ON")
            reading.backup(writing)
            # A copy is one file: in WAL mode whoever looked at it would leave two beside it.
            writing.execute("PRAGMA journal_mode=DELETE")
        with passing.open("rb") as file:
            os.fsync(file.fileno())
        passing.replace(target)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            passing.unlink()
        found = explain(error, str(source))
        if isinstance(found, LedgerDamagedError):
            raise found from error
        raise LedgerError(f"{source} could not be copied to {target}: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise LedgerError(f"there is no ledger {path}")
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=rw",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
    )
