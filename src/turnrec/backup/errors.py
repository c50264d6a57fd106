"""What can go wrong with a backup, each error with an id that never changes; it handles none.

BackupError                   backup-failed: it could not be made; the last one stays as it was
├── BackupFolderError             backup-folder: the folder is not one for a backup
├── BackupOtherLedgerError        backup-other-ledger: the backup is not of this ledger
├── BackupDamagedError            backup-damaged: it is not what it was when it was made
└── RestoreRefusedError           restore-refused: something is there already, or runs
"""

from __future__ import annotations

from pathlib import Path

from turnrec.core.errors import TurnrecError


class BackupError(TurnrecError):
    """A backup could not be made or restored."""

    id = "backup-failed"


class BackupFolderError(BackupError):
    """The folder can't hold a backup: it holds something else, lies amid the data, or is in use."""

    id = "backup-folder"

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"{folder}: {reason}")


class BackupOtherLedgerError(BackupError):
    """The ledger doesn't go on where the backup's ends: that may be all that is left of it."""

    id = "backup-other-ledger"


class BackupDamagedError(BackupError):
    """A file of the backup is missing, or is not what it was."""

    id = "backup-damaged"


class RestoreRefusedError(BackupError):
    """There is something that a restore would overwrite, or a server runs."""

    id = "restore-refused"
