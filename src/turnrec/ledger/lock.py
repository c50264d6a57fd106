"""The lock file that makes turnrec the only writer; it never waits for it and never removes it.

A removed lock file could be locked by one process while another makes and locks a new one. The
kernel lets go of the lock when its process ends, however it ends. Not for network file systems
without flock(2): the ledger belongs on a local disk, as SQLite's WAL does.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from turnrec.ledger.errors import LedgerLockedError

FILE_MODE: Final = 0o640


class LockFile:
    """One lock file, held from construction to `release()`."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            LedgerLockedError: somebody has it.
            OSError: the file can't be made.
        """
        # Closed on exec by default (PEP 446), so no child process inherits the lock.
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            pid = os.pread(self._fd, 32, 0).decode(errors="replace").strip()
            os.close(self._fd)
            holder = f"process {pid}" if pid.isdecimal() else "another process"
            raise LedgerLockedError(str(path), holder) from None
        except BaseException:
            os.close(self._fd)
            raise

    def release(self) -> None:
        """Let go of the lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
