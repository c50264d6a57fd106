"""Makes and renews a backup, beside a running server: what is closed is copied once, what the
ledger says is deleted goes. It changes nothing but the backup's folder.

The new books are written beside the old ones, and the description's exchange makes them count: an
end at any moment leaves the backup that was complete before. Only after it are deleted recordings
taken away, so that no complete backup ever misses what its own ledger names.
"""

from __future__ import annotations

import os
import re
import secrets as random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import Final

from turnrec import __version__
from turnrec.backup.books import Books, Known, read_books
from turnrec.backup.contents import (
    CHECKPOINTS,
    FILE,
    FLOW,
    LEDGER,
    LOCK_NAME,
    NAME,
    PUBLIC_KEY,
    SECRETS,
    SUMS,
    Contents,
    is_books,
    locked,
    read_contents,
    read_sums,
    write_contents,
    write_sums,
)
from turnrec.backup.errors import BackupError, BackupFolderError, BackupOtherLedgerError
from turnrec.backup.files import (
    PASSING,
    UnreadableError,
    copy_file,
    give_to_owner,
    hash_of,
    look,
    make_folder,
    passing_copy,
    write_file,
)
from turnrec.backup.places import Places
from turnrec.ledger.checkpoints import CheckpointError, read_lines
from turnrec.ledger.copying import copy_sqlite
from turnrec.recordings.disk import sync_folder

_ROUNDS: Final = 5
"""How often what came and went during a copy is looked at again, at most."""
_NOT_OURS: Final = frozenset({"lost+found", LOCK_NAME})
_SECRET_MODE: Final = 0o600
_PART: Final = re.compile(r"(?P<id>.+)-[0-9]{3,9}(-[rt])?")
Tell = Callable[[int, int | None], None]


@dataclass(slots=True)
class Report:
    """What a backup came to. The sentences are for people."""

    recordings: int = 0
    files: int = 0
    bytes: int = 0
    entries: int = 0
    new_files: int = 0
    new_bytes: int = 0
    pruned: list[str] = field(default_factory=list)
    """Recordings whose files went, because the ledger says that they are deleted."""
    unfinished: list[str] = field(default_factory=list)
    """Recordings that are still being made."""
    problems: list[str] = field(default_factory=list)
    """What is missing, or isn't what the ledger says."""
    notes: list[str] = field(default_factory=list)
    """What isn't in it by its nature."""


def backup(
    places: Places,
    folder: Path,
    now_us: int,
    *,
    with_secrets: bool = False,
    tell: Tell = lambda *_: None,
) -> Report:
    """Make a backup, or bring one up to date. It blocks.

    Args:
        places: what to back up.
        folder: where to; empty, or a backup of the same ledger.
        now_us: UTC microseconds.
        with_secrets: the signing key, API keys, webhooks, settings and AMI's secret, too.
        tell: told how many of how many recordings are done.

    Raises:
        BackupError: nothing came of it (a full disk, say); an older backup there is as it was.
        LedgerError: the ledger can't be read or copied; likewise.
        OSError: the folder can't be made or written at all.
    """
    _check_apart(places, folder)
    make_folder(folder)
    with locked(folder):
        making = _Making(places, folder, now_us, tell)
        try:
            return making.make(with_secrets=with_secrets)
        except OSError as error:
            where, reason = error.filename or folder, error.strerror or error
            raise BackupError(
                f"{where}: {reason}; the backup that was there is as it was"
            ) from error
        finally:
            making.clear()
            give_to_owner(folder, folder)


def _check_apart(places: Places, folder: Path) -> None:
    own = Path(os.path.realpath(folder))
    for data in (places.recordings, places.spool):
        other = Path(os.path.realpath(data))
        if own.is_relative_to(other) or other.is_relative_to(own):
            raise BackupFolderError(folder, f"it must lie outside of {data}, and not above it")


class _Making:
    def __init__(self, places: Places, folder: Path, now_us: int, tell: Tell) -> None:
        self._places = places
        self._folder = folder
        self._now_us = now_us
        self._tell = tell
        self._report = Report()
        self._old: Contents | None = None
        self._old_sums: dict[str, str] = {}
        self._kept: str | None = None
        """The books that count."""
        self._books = folder / _name_of_books(now_us)

    def make(self, *, with_secrets: bool) -> Report:
        self._open()
        self._books.mkdir(mode=0o750)
        books, sums = self._copy_recordings()
        hashes = self._write_books(books, sums, with_secrets=with_secrets)
        contents = Contents(
            made_us=self._now_us,
            made_by=f"turnrec {__version__}",
            ledger_id=books.ledger_id or "",
            head=books.chain.head,
            database="sqlite" if self._places.ledger_file else "postgresql",
            books=self._books.name,
            hashes=hashes,
        )
        sync_folder(self._books)
        write_contents(self._folder, contents)
        self._kept = self._books.name
        self._prune(books)
        report = self._report
        report.entries = books.chain.entries
        report.recordings = sum(one.is_wanted for one in books.recordings.values())
        report.unfinished = [k for k, one in books.recordings.items() if not one.is_closed]
        report.files = len(sums)
        report.bytes = sum((self._folder / name).stat().st_size for name in sums)
        return report

    def _open(self) -> None:
        """Find out what is there already.

        Raises:
            BackupFolderError: it is no backup.
            BackupDamagedError: it is one that can't be read.
        """
        there = {one.name for one in self._folder.iterdir()} - _NOT_OURS
        if NAME in there:
            self._old = read_contents(self._folder)
            self._kept = self._old.books
            self._old_sums = read_sums(self._folder / self._old.books / SUMS)
        elif any(not is_books(one) and one not in ("recordings", "spool") for one in there):
            raise BackupFolderError(
                self._folder, "it isn't empty, and holds no backup of turnrec's"
            )

    def clear(self) -> None:
        """Leave no books but those that count, and no file half written."""
        for one in self._folder.iterdir():
            if is_books(one.name) and one.name != self._kept:
                rmtree(one, ignore_errors=True)
        for at, _, names in os.walk(self._folder):
            for name in names:
                if name.startswith(".") and name.endswith(PASSING):
                    with suppress(OSError):
                        (Path(at) / name).unlink()

    # -------------------------------------------------------------- the ledger

    def _read_ledger(self) -> Books:
        """The ledger as of now, copied where it can be, and read through."""
        wanted = () if self._old is None else (self._old.head.seq,)
        if self._places.ledger_file is None:
            books = read_books(self._places.ledger_url, wanted)
        else:
            copy_sqlite(self._places.ledger_file, self._books / LEDGER)
            books = read_books(str(self._books / LEDGER), wanted)
        if not books.chain.intact:
            raise BackupError(
                f"the ledger's chain is broken at entry {books.chain.breaks[0].seq}: nothing was"
                " changed in the backup; `turnrec verify` says more"
            )
        if books.ledger_id is None:
            raise BackupError("the ledger has no entries: there is nothing to back up")
        old = self._old
        if old is not None and (
            old.ledger_id != books.ledger_id or books.hashes.get(old.head.seq) != old.head.hash
        ):
            raise BackupOtherLedgerError(
                f"the backup in {self._folder} ends with entry {old.head.seq} of ledger"
                f" {old.ledger_id[:16]}, and the ledger doesn't have it: it is another one, or was"
                " written anew, or restored from an older backup. Nothing was changed in the"
                " backup; keep it, and name another folder"
            )
        return books

    # -------------------------------------------------------------- recordings

    def _copy_recordings(self) -> tuple[Books, dict[str, str]]:
        """Copy until nothing has come or gone meanwhile; the ledger as of then, and the hashes."""
        known_sums, problems = dict(self._old_sums), self._report.problems
        for _ in range(_ROUNDS):
            books = self._read_ledger()
            before, problems_before = self._report.new_files, problems.copy()
            problems.clear()
            wanted = [one for one in books.recordings.values() if one.is_wanted]
            sums: dict[str, str] = {}
            for number, one in enumerate(wanted):
                self._tell(number, len(wanted))
                sums |= self._copy_one(one, known_sums)
            known_sums |= sums
            # Whatever is missing may just have been deleted: the next look at the ledger tells.
            if self._report.new_files == before and problems in ([], problems_before):
                break
        for folder in {(self._folder / name).parent for name in sums}:
            sync_folder(folder)
        for one in wanted:
            if one.is_deleted:
                problems.append(
                    f"{one.id}: the ledger says that it is deleted and under a legal hold, which no"
                    " turnrec does; the backup keeps what it has"
                )
        return books, sums

    def _copy_one(self, one: Known, known_sums: Mapping[str, str]) -> dict[str, str]:
        sums = {}
        for name, entered, is_needed in one.files():
            source = self._places.recordings / one.day / name
            own = f"recordings/{one.day}/{name}"
            needed = is_needed and not one.is_deleted
            sums[own] = self._copy(source, own, entered, known_sums, is_needed=needed)
        if one.keeps_parts or self._places.keep_parts:
            for name, entered in one.parts():
                source = self._places.spool / name
                own = f"spool/{name}"
                sums[own] = self._copy(source, own, entered, known_sums, is_needed=False)
        return {name: sha256 for name, sha256 in sums.items() if sha256 is not None}

    def _copy(
        self,
        source: Path,
        own: str,
        entered: str | None,
        known_sums: Mapping[str, str],
        *,
        is_needed: bool,
    ) -> str | None:
        """Bring one file up to date; its hash in the backup, None where it is in neither place."""
        target, listed = self._folder / own, known_sums.get(own)
        if FILE.fullmatch(own) is None:
            return None
        try:
            there, here = look(source), look(target) if listed is not None else None
            if there is None:
                if is_needed:
                    kept = "" if here is None else "; the backup has it"
                    self._report.problems.append(f"{source} is missing{kept}")
                return listed if here is not None else None
            if (
                listed is not None
                and here is not None
                and here.is_like(there)
                and entered in (None, listed)
            ):
                return listed
            return self._take(source, own, entered, listed if here is not None else None)
        except UnreadableError as error:
            self._report.problems.append(f"{error.filename} can't be read: {error.strerror}")
            return listed if listed is not None and target.is_file() else None

    def _take(self, source: Path, own: str, entered: str | None, listed: str | None) -> str:
        target = self._folder / own
        make_folder(target.parent)
        with passing_copy(source, target) as (passing, sha256):
            if entered is not None and sha256 != entered:
                has_good = listed == entered and hash_of(target) == entered
                kept = "; the backup keeps the good one" if has_good else ""
                self._report.problems.append(f"{source} is not what the ledger says{kept}")
                if has_good:
                    return entered
            self._report.new_files += 1
            self._report.new_bytes += passing.stat().st_size
            passing.replace(target)
        return sha256

    def _prune(self, books: Books) -> None:
        """Take away what the ledger says is deleted."""
        gone: set[str] = set()
        changed = set()
        for top in ("recordings", "spool"):
            for at, _, names in os.walk(self._folder / top):
                for name in names:
                    path = Path(at) / name
                    found = FILE.fullmatch(str(path.relative_to(self._folder)))
                    one = _owner(found["id"], books) if found is not None else None
                    if one is not None and one.is_deleted and not one.is_wanted:
                        path.unlink()
                        gone.add(one.id)
                        changed.add(path.parent)
        for folder in changed:
            sync_folder(folder)
        self._report.pruned = sorted(gone)

    # -------------------------------------------------------------- the books

    def _write_books(
        self, books: Books, sums: Mapping[str, str], *, with_secrets: bool
    ) -> dict[str, str]:
        places, own = self._places, self._books
        write_sums(own / SUMS, sums)
        self._write_checkpoints(books.chain.head.seq)
        if places.flow.is_file():
            copy_file(places.flow, own / FLOW)
        if places.public_key is not None:
            if places.public_key.is_file():
                copy_file(places.public_key, own / PUBLIC_KEY)
            else:
                self._report.notes.append(f"there is no public key {places.public_key}")
        if places.ledger_file is None:
            self._report.notes.append(
                "the ledger is in PostgreSQL and not in this backup: take it by pg_dump, after this"
            )
        if with_secrets:
            (own / SECRETS).mkdir(mode=0o700)
            for name, path in places.secrets.items():
                if not path.is_file():
                    continue
                if path.suffix == ".db":
                    copy_sqlite(path, own / SECRETS / name, _SECRET_MODE)
                else:
                    copy_file(path, own / SECRETS / name, _SECRET_MODE)
            sync_folder(own / SECRETS)
        return {str(path.relative_to(own)): hash_of(path) for path in _files_below(own)}

    def _write_checkpoints(self, last_seq: int) -> None:
        """Those that this ledger bears out: a newer one would say that its end was cut off."""
        path = self._places.checkpoints
        if not path.is_file():
            return
        lines = []
        for number, one in read_lines(path):
            if isinstance(one, CheckpointError):
                self._report.problems.append(f"{path}, line {number}: {one}")
            elif one.head.seq <= last_seq:
                lines.append(one.line + "\n")
        write_file(self._books / CHECKPOINTS, "".join(lines).encode("ascii"))


def _files_below(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _owner(name: str, books: Books) -> Known | None:
    """The recording that a file is of: by its id, or by that of the part that it is."""
    part = _PART.fullmatch(name)
    return books.recordings.get(name) or (books.recordings.get(part["id"]) if part else None)


def _name_of_books(now_us: int) -> str:
    made = datetime.fromtimestamp(now_us / 1_000_000, UTC)
    return f"books-{made:%Y%m%dT%H%M%SZ}-{random.token_hex(2)}"
