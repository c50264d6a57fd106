"""What a backup holds and how it tells of it: a description, a list of hashes; it copies nothing.

    turnrec-backup.json     the description: the one file whose exchange makes a backup complete
    books-.../              as of one instant: ledger.db, files.sha256, checkpoints.jsonl,
                            flow.yaml, the public key; secrets, where they were asked for
    recordings/DAY/...      each closed recording: sound, manifest, two channels, map, transcript
    spool/...               parts that are kept
    backup.lock             held while one is made or restored

`files.sha256` is what `sha256sum --check` reads, from the backup's folder.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from turnrec.backup.errors import BackupDamagedError, BackupFolderError
from turnrec.backup.files import write_file
from turnrec.ledger.chain import Head
from turnrec.recordings.join import RECORDING_ID

NAME: Final = "turnrec-backup.json"
LOCK_NAME: Final = "backup.lock"
SUMS: Final = "files.sha256"
LEDGER: Final = "ledger.db"
CHECKPOINTS: Final = "checkpoints.jsonl"
FLOW: Final = "flow.yaml"
PUBLIC_KEY: Final = "signing.key.pub"
SECRETS: Final = "secrets"
FORMAT: Final = "turnrec-backup"
VERSION: Final = 1

_BOOKS: Final = re.compile(r"books-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")
_BOOK: Final = re.compile(rf"({SECRETS}/)?[A-Za-z0-9_-][A-Za-z0-9._-]*")
FILE: Final = re.compile(
    rf"(recordings/[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|spool)/(?P<id>{RECORDING_ID.pattern})"
    r"\.[A-Za-z0-9._-]+"
)
"""What a listed file is called, from the backup's folder: nothing leads out of it."""
_SUM: Final = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>.+)")
_LARGEST_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class Contents:
    """The description of a complete backup."""

    made_us: int
    made_by: str
    ledger_id: str
    head: Head
    """The newest entry that the backup knows."""
    database: str
    """Which kind the ledger's is; of another than sqlite there is no copy."""
    books: str
    """The folder with all that is as of one instant."""
    hashes: Mapping[str, str]
    """Of the books' files, by name in their folder."""


def write_contents(folder: Path, contents: Contents) -> None:
    """Exchange the description: from here on the backup is the new one.

    Raises:
        OSError: the disk or the rights say no.
    """
    document = {"format": FORMAT, "version": VERSION, **asdict(contents)}
    write_file(folder / NAME, json.dumps(document, indent=2, sort_keys=True).encode() + b"\n")


def read_contents(folder: Path) -> Contents:
    """Read the description.

    Raises:
        BackupFolderError: there is none.
        BackupDamagedError: it is none that this turnrec can read.
    """
    try:
        with (folder / NAME).open("rb") as file:
            data = file.read(_LARGEST_BYTES)
    except FileNotFoundError:
        raise BackupFolderError(folder, f"it holds no backup of turnrec's (no {NAME})") from None
    except OSError as error:
        raise BackupDamagedError(f"{folder / NAME} can't be read: {error.strerror}") from error
    try:
        return _from_document(json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BackupDamagedError(
            f"{folder / NAME} is no description of a backup that this turnrec can read: it is cut"
            " off, changed, or a newer turnrec's"
        ) from error


def _from_document(found: Any) -> Contents:
    if found["format"] != FORMAT or found["version"] != VERSION:
        raise ValueError("another format or version")
    hashes = {str(name): str(sha256) for name, sha256 in found["hashes"].items()}
    if not _BOOKS.fullmatch(found["books"]) or not all(_BOOK.fullmatch(one) for one in hashes):
        raise ValueError("a name that leads elsewhere")
    return Contents(
        made_us=int(found["made_us"]),
        made_by=str(found["made_by"]),
        ledger_id=str(found["ledger_id"]),
        head=Head(int(found["head"]["seq"]), str(found["head"]["hash"])),
        database=str(found["database"]),
        books=str(found["books"]),
        hashes=hashes,
    )


def write_sums(path: Path, sums: Mapping[str, str]) -> None:
    """Write the list of hashes.

    Raises:
        OSError: the disk or the rights say no.
    """
    write_file(path, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode())


def read_sums(path: Path) -> dict[str, str]:
    """Read the list: hash by name.

    Raises:
        BackupDamagedError: it can't be read, or a line of it is none of ours.
    """
    sums = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BackupDamagedError(f"{path} can't be read") from error
    for line in lines:
        found = _SUM.fullmatch(line)
        if found is None or FILE.fullmatch(found["name"]) is None:
            raise BackupDamagedError(f"{path}: a line of it is none of turnrec's")
        sums[found["name"]] = found["sha256"]
    return sums


def is_books(name: str) -> bool:
    """Whether a folder is called as books are."""
    return _BOOKS.fullmatch(name) is not None


@contextmanager
def locked(folder: Path, *, is_only_read: bool = False) -> Iterator[None]:
    """Hold a backup's folder for oneself; one that is only read may lie where nobody can write.

    Raises:
        BackupFolderError: somebody else has it.
        OSError: it can't be written.
    """
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        if is_only_read and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            yield  # who may not write there can't be in another's way
            return
        raise
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFolderError(folder, "another backup or restore works on it") from None
        yield
    finally:
        os.close(descriptor)
