"""What can go wrong with the ledger, each error with an id that never changes; it handles none.

    LedgerError                 ledger-error: the database failed, or not everything is durable yet
    ├── LedgerLockedError       ledger-locked: another writer has it
    ├── LedgerForeignError      ledger-foreign: the database is somebody else's
    ├── LedgerVersionError      ledger-version: a newer turnrec wrote it
    ├── LedgerNotUpgradedError  ledger-not-upgraded: an older one, and no copy could be made of it
    ├── LedgerDamagedError      ledger-damaged: the file is no readable database any more
    ├── LedgerDivergedError     ledger-diverged: it was exchanged or written to behind our back
    ├── LedgerStalledError      ledger-stalled: the database has failed for so long that memory ends
    └── LedgerClosedError       ledger-closed: appended to after close(), or by a forked process

`explain` maps what SQLAlchemy, the database driver and the operating system raise to one of these.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from turnrec.core.errors import TurnrecError


class LedgerError(TurnrecError):
    """The ledger's database failed. Nothing that was appended is dropped because of it."""

    id = "ledger-error"


class LedgerLockedError(LedgerError):
    """Another process is the ledger's one writer."""

    id = "ledger-locked"

    def __init__(self, what: str, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"the ledger is in use: {what} is held by {holder};"
            " only one turnrec may write to a ledger, stop that one first"
        )


class LedgerForeignError(LedgerError):
    """The database holds tables that are not turnrec's."""

    id = "ledger-foreign"

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} has tables but is no turnrec ledger; nothing was changed in it."
            " Name another file or database"
        )


class LedgerVersionError(LedgerError):
    """The ledger was written by a newer turnrec."""

    id = "ledger-version"

    def __init__(self, where: str, found: int, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(
            f"the ledger {where} has version {found}, this turnrec knows versions up to {known};"
            " upgrade turnrec, or restore a backup that is older"
        )


class LedgerNotUpgradedError(LedgerError):
    """A ledger of an older version is upgraded only once a copy of it is there."""

    id = "ledger-not-upgraded"

    def __init__(self, where: str, found: int, copy: str, reason: str) -> None:
        super().__init__(
            f"the ledger {where} has version {found} and was left as it is: before it is upgraded,"
            f" it is copied to {copy}, and that failed ({reason}). Make room there, or give turnrec"
            " the right to write there, and start it again"
        )


class LedgerDamagedError(LedgerError):
    """The database cannot be read. turnrec never repairs, deletes or overwrites it."""

    id = "ledger-damaged"

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            f"the ledger {where} is damaged ({reason}); turnrec has left it as it is."
            " Restore a backup, or move the file aside together with its -wal and -shm files to"
            " begin a new ledger; `sqlite3 FILE .recover` saves what can still be read"
        )


class LedgerDivergedError(LedgerError):
    """The newest entry in the database is not the one that this writer wrote last."""

    id = "ledger-diverged"

    def __init__(self, where: str, ours: int, found: int) -> None:
        super().__init__(
            f"the ledger {where} ends with entry {found} and not with the entry {ours} that was"
            " written last: it was exchanged or written to by somebody else;"
            " put the right one back, or restart turnrec to go on with this one"
        )


class LedgerStalledError(LedgerError):
    """The backlog is full: this entry is counted as lost, and the ledger will say so.

    What protects the caller (a pause, a stop) goes on without its entry. What would record must
    not: a recording that the ledger can't vouch for is none of ours.
    """

    id = "ledger-stalled"

    def __init__(self, backlog: int) -> None:
        super().__init__(
            f"the ledger's database has failed for so long that {backlog} entries wait in memory;"
            " no more are taken until half of them are written"
        )


class LedgerClosedError(LedgerError):
    """An entry came after close(), or from a forked process."""

    id = "ledger-closed"

    def __init__(self) -> None:
        super().__init__("the ledger is closed, or was opened by another process than this")


_DAMAGE = ("file is not a database", "disk image is malformed", "malformed database schema")


def explain(error: BaseException, where: str) -> LedgerError:
    """Put any error that came out of the database into ours, without SQL or values in it."""
    if isinstance(error, LedgerError):
        return error
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    reason = " ".join(str(cause).split()) or type(cause).__name__
    if any(sign in reason for sign in _DAMAGE):
        return LedgerDamagedError(where, reason)
    return LedgerError(f"the ledger {where} cannot be used: {reason}")
