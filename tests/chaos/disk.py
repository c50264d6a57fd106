"""A disk of the run's own, that can be full, read-only or stand still; root alone can have one.

An ext4 in a file, mounted by loop. Spool, recordings and ledger lie on it, nothing else does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE_BYTES = 4 << 30
_ATTEMPTS = 50
FOLDERS = ("spool", "recordings", "ledger")


class Disk:
    """A mounted disk."""

    def __init__(self, mount: Path, folders: tuple[Path, ...]) -> None:
        self._mount = mount
        self._folders = folders
        self._filler = mount / "filler"
        self._covered: list[Path] = []

    def fill(self) -> None:
        """Leave not one free block."""
        with self._filler.open("wb") as file:
            found = os.statvfs(self._mount)
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize)
            size = file.seek(0, os.SEEK_END)
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), size, 4096)
                    size += 4096

    def empty(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """Let nothing new be written; what is open for writing stays so, as after a remount."""
        for folder in self._folders:
            for _ in range(_ATTEMPTS):
                _run("mount", "--bind", str(folder), str(folder))
                try:
                    _run("mount", "-o", "remount,ro,bind", str(folder))
                except subprocess.CalledProcessError:
                    # Somebody has opened a file for writing in between: it is busy.
                    _run("umount", "-l", str(folder))
                else:
                    self._covered.append(folder)
                    break

    def make_writable(self) -> None:
        """Undo `make_read_only`."""
        while self._covered:
            _run("umount", "-l", str(self._covered.pop()))

    def block(self) -> None:
        """Have every write wait."""
        _run("fsfreeze", "-f", str(self._mount))

    def unblock(self) -> None:
        """Let the writes go on."""
        _run("fsfreeze", "-u", str(self._mount))


@contextmanager
def own_disk(folder: Path) -> Iterator[Disk | None]:
    """Mount a disk below `folder`, for its spool, recordings and ledger; None if that can't be."""
    image, mount = folder / "disk.img", folder / "disk"
    mount.mkdir(parents=True, exist_ok=True)
    targets = tuple(folder / name for name in FOLDERS)
    for target in targets:
        target.mkdir(exist_ok=True)
    with contextlib.ExitStack() as undo:
        try:
            with image.open("wb") as file:
                file.truncate(SIZE_BYTES)
            _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1", str(image))
            _run("mount", "-o", "loop", str(image), str(mount))
            undo.callback(_run, "umount", "-l", str(mount))
            for target in targets:
                (mount / target.name).mkdir()
                _run("mount", "--bind", str(mount / target.name), str(target))
                undo.callback(_run, "umount", "-l", str(target))
        except (OSError, subprocess.CalledProcessError):
            undo.close()
            image.unlink(missing_ok=True)
            yield None
            return
        yield Disk(mount, targets)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
