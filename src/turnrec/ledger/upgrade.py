"""Keeps a copy of an SQLite ledger of an older version before it is upgraded; it upgrades nothing.

The copy lies beside the ledger, `ledger.db.v1-142.bak`: version 1, as it was when it ended with
entry 142. What an upgrade changes is `turnrec.ledger.schema.migrate`. A database server's ledger is
upgraded in one transaction, and copied by its own means (pg_dump).
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from turnrec.ledger.copying import copy_sqlite
from turnrec.ledger.errors import LedgerError, LedgerNotUpgradedError
from turnrec.ledger.schema import SCHEMA_VERSION


def keep_copy(ledger: Path) -> Path | None:
    """Copy a ledger of an older version; call it with the ledger's lock held.

    Returns:
        The copy; None where there is nothing to upgrade, or no ledger yet.

    Raises:
        LedgerNotUpgradedError: no copy could be made; nothing was changed.
    """
    found = _version_and_head(ledger)
    if found is None or found[0] >= SCHEMA_VERSION:
        return None
    version, head = found
    copy = ledger.with_name(f"{ledger.name}.v{version}-{head}.bak")
    # Entries are only ever appended: a copy of that name that is there is this one.
    if not copy.exists() or _version_and_head(copy) != found:
        try:
            copy_sqlite(ledger, copy)
        except LedgerError as error:
            reason = str(error.__cause__ or error)
            raise LedgerNotUpgradedError(str(ledger), version, str(copy), reason) from error
    return copy


def _version_and_head(path: Path) -> tuple[int, int] | None:
    """A ledger's version and how many entries it has; None where it is none that can be read.

    What is wrong with it is told when it is opened.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            connection.execute("PRAGMA query_only=ON")
            version = connection.execute("SELECT version FROM ledger_version").fetchone()
            head = connection.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()
    except sqlite3.Error:
        return None
    if version is None or not isinstance(version[0], int) or not isinstance(head[0], int):
        return None
    return version[0], head[0]
