"""Puts a backup back where nothing is, checks it before and afterwards, and says what is missing.

It overwrites nothing: where there is a ledger, a recording or a running server it refuses. The
ledger comes last, so that no server finds one without its recordings.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from turnrec.backup.books import Books, read_books
from turnrec.backup.contents import (
    CHECKPOINTS,
    FLOW,
    LEDGER,
    PUBLIC_KEY,
    SECRETS,
    SUMS,
    Contents,
    locked,
    read_contents,
    read_sums,
)
from turnrec.backup.errors import BackupDamagedError, BackupError, RestoreRefusedError
from turnrec.backup.files import (
    UnreadableError,
    copy_file,
    give_to_owner,
    hash_of,
    make_folder,
    passing_copy,
)
from turnrec.backup.places import Places
from turnrec.ledger.engine import parse_url, writer_engine
from turnrec.ledger.errors import LedgerLockedError, explain
from turnrec.ledger.keys import PublicKey
from turnrec.ledger.store import locked_for_writing
from turnrec.recordings.disk import sync_folder
from turnrec.verify.findings import Status, Weight
from turnrec.verify.run import Evidence, Outcome, verify

MARK: Final = ".turnrec-restoring"
"""In the recordings' folder while a restore works there: one that was cut short may be repeated."""
_SECRET_MODE: Final = 0o600
_MOST_NAMED: Final = 20
Tell = Callable[[int, int | None], None]


@dataclass(slots=True)
class Restored:
    """What a restore came to. The sentences are for people."""

    made_us: int
    entries: int
    last_entry: int
    recordings: int = 0
    files: int = 0
    bytes: int = 0
    damaged: list[str] = field(default_factory=list)
    """Files of the backup that were left out, because they aren't what they were."""
    missing: list[str] = field(default_factory=list)
    """Files that the ledger names and that are nowhere."""
    unfinished: list[str] = field(default_factory=list)
    """Recordings that were still being made: their sound is not in the backup."""
    wrong: list[str] = field(default_factory=list)
    """What `turnrec verify` says is wrong with what was restored."""
    unproven: list[str] = field(default_factory=list)
    verdict: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether everything is there that the backup's ledger names, and nothing is wrong."""
        return not (self.damaged or self.missing or self.wrong)


def restore(
    places: Places,
    folder: Path,
    *,
    incomplete: bool = False,
    with_secrets: bool = False,
    tell: Tell = lambda *_: None,
) -> Restored:
    """Restore a backup. It blocks.

    Args:
        places: where to.
        folder: the backup.
        incomplete: restore what is whole of a backup that is damaged.
        with_secrets: put the secrets back, too.
        tell: told how many of how many files are done.

    Raises:
        RestoreRefusedError: something is there already, or a server runs; nothing was changed.
        BackupDamagedError: the backup isn't what it was; nothing was changed.
        BackupError: there is no backup; or the disk is full, or the rights are missing: repeat it.
        LedgerError: the backup's ledger can't be read.
    """
    with ExitStack() as held:
        contents = read_contents(folder)
        held.enter_context(locked(folder, is_only_read=True))
        _check_nobody_answers(places.control_socket)
        held.enter_context(_ledger_held(places))
        _check_empty(places)
        if with_secrets:
            _check_no_secrets(places, contents)
        try:
            return _Restoring(places, folder, contents, tell).restore(
                incomplete=incomplete, with_secrets=with_secrets
            )
        except OSError as error:
            where, reason = error.filename or places.recordings, error.strerror or error
            raise BackupError(
                f"{where}: {reason}; the restore is not complete. Mend that, and repeat it"
            ) from error


# ------------------------------------------------------------------ may it be?


def _check_nobody_answers(control_socket: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(control_socket))
        except OSError:
            return
    raise RestoreRefusedError(
        f"a turnrec runs (it answers on {control_socket}): end it first, nothing was changed"
    )


@contextmanager
def _ledger_held(places: Places) -> Iterator[None]:
    """Be the ledger's one writer, as a server would."""
    url = parse_url(places.ledger_url)
    try:
        with ExitStack() as held:
            if places.ledger_file is None:
                engine = writer_engine(url, busy_timeout_ms=1000)
                held.callback(engine.dispose)
                try:
                    held.enter_context(engine.connect())
                except Exception as error:
                    raise explain(error, "database") from error
            else:
                held.enter_context(locked_for_writing(url))
                file = places.ledger_file.resolve()
                # Root's lock would keep the service out.
                give_to_owner(file.with_name(f"{file.name}.lock"), file.parent)
            yield
    except LedgerLockedError as error:
        raise RestoreRefusedError(f"{error}; nothing was changed") from error


def _check_empty(places: Places) -> None:
    ledger = places.ledger_file
    if ledger is not None:
        for path in (ledger, ledger.with_name(ledger.name + "-wal")):
            if path.exists() or path.is_symlink():
                raise RestoreRefusedError(
                    f"there is a ledger already: {path}. Nothing was changed; move it aside (with"
                    " its -wal and -shm) if the backup's is to take its place"
                )
    if (places.recordings / MARK).exists():
        return  # what lies there is of a restore that was cut short
    others = [one for one in _listed(places.recordings) if one.name != "lost+found"]
    if others:
        raise RestoreRefusedError(
            f"{places.recordings} isn't empty ({others[0].name} is there). Nothing was changed;"
            " move what is there aside, or name another folder in the settings"
        )
    if places.checkpoints.exists():
        raise RestoreRefusedError(
            f"there are checkpoints already: {places.checkpoints}. Nothing was changed; move them"
            " aside, and keep them: they may vouch for entries that the backup doesn't have"
        )


def _check_no_secrets(places: Places, contents: Contents) -> None:
    for name, path in places.secrets.items():
        if f"{SECRETS}/{name}" in contents.hashes and name != "turnrec.toml" and path.exists():
            raise RestoreRefusedError(f"there is {path} already; nothing was changed")


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


# ------------------------------------------------------------------ doing it


class _Restoring:
    def __init__(self, places: Places, folder: Path, contents: Contents, tell: Tell) -> None:
        self._places = places
        self._folder = folder
        self._own = folder / contents.books
        self._contents = contents
        self._tell = tell
        head = contents.head.seq
        self._report = Restored(contents.made_us, entries=0, last_entry=head)

    def restore(self, *, incomplete: bool, with_secrets: bool) -> Restored:
        self._check_books()
        sums = read_sums(self._own / SUMS)
        books = self._read_ledger()
        self._check_files(sums)
        damaged = self._report.damaged
        if damaged and not incomplete:
            named = "; ".join(damaged[:_MOST_NAMED])
            more = f"; and {len(damaged) - _MOST_NAMED} more" if len(damaged) > _MOST_NAMED else ""
            raise BackupDamagedError(
                f"{len(damaged)} files of the backup are not what they were ({named}{more})."
                " Nothing was changed; --incomplete restores the others"
            )
        self._put_recordings({name: one for name, one in sums.items() if name not in self._bad})
        self._put_books(with_secrets=with_secrets)
        self._find_missing(books)
        self._verify()
        return self._report

    def _check_books(self) -> None:
        for name, sha256 in self._contents.hashes.items():
            try:
                found = hash_of(self._own / name)
            except UnreadableError as error:
                raise BackupDamagedError(
                    f"{error.filename} can't be read: {error.strerror}; nothing was changed"
                ) from error
            if found != sha256:
                raise BackupDamagedError(
                    f"{self._own / name} is not what it was when the backup was made; nothing was"
                    " changed"
                )

    def _read_ledger(self) -> Books:
        """The backup's ledger; in PostgreSQL, the one that was put back before."""
        if self._places.ledger_file is None:
            books = read_books(self._places.ledger_url)
            self._report.last_entry = books.chain.head.seq
        elif LEDGER in self._contents.hashes:
            books = read_books(str(self._own / LEDGER))
            if books.chain.head != self._contents.head:
                raise BackupDamagedError("the backup's ledger doesn't end where it should")
        else:
            raise RestoreRefusedError(
                "the backup holds no ledger, which was in PostgreSQL: put that back first, and name"
                " it in [ledger] url; nothing was changed"
            )
        if not books.chain.intact:
            raise BackupDamagedError("the ledger's chain is broken; nothing was changed")
        if books.ledger_id != self._contents.ledger_id:
            raise RestoreRefusedError(
                "the ledger is not the one that the backup's recordings are of; nothing was changed"
            )
        self._report.entries = books.chain.entries
        self._report.unfinished = [k for k, one in books.recordings.items() if not one.is_closed]
        return books

    @property
    def _bad(self) -> set[str]:
        return {one.partition(": ")[0] for one in self._report.damaged}

    def _check_files(self, sums: Mapping[str, str]) -> None:
        for number, (name, sha256) in enumerate(sums.items()):
            self._tell(number, 2 * len(sums))
            try:
                reason = "" if hash_of(self._folder / name) == sha256 else "not what it was"
            except UnreadableError as error:
                reason = str(error.strerror)
            if reason:
                self._report.damaged.append(f"{name}: {reason}")

    def _put_recordings(self, sums: Mapping[str, str]) -> None:
        places, report = self._places, self._report
        make_folder(places.recordings)
        (places.recordings / MARK).touch()
        changed = {places.recordings}
        for number, (name, sha256) in enumerate(sums.items()):
            self._tell(len(sums) + number, 2 * len(sums))
            top, _, rest = name.partition("/")
            target = (places.recordings if top == "recordings" else places.spool) / rest
            make_folder(target.parent)
            with passing_copy(self._folder / name, target) as (passing, found):
                if found != sha256:
                    raise BackupDamagedError(f"{name} has changed while it was restored")
                report.bytes += passing.stat().st_size
                passing.replace(target)
            if top == "spool":
                give_to_owner(target, places.spool)
            changed |= {target.parent, target.parent.parent}
            report.files += 1
        for each in changed:
            sync_folder(each)
        report.recordings = len({Path(name).name.partition(".")[0] for name in sums
                                 if name.startswith("recordings/")})  # fmt: skip

    def _put_books(self, *, with_secrets: bool) -> None:
        places, hashes = self._places, self._contents.hashes
        if CHECKPOINTS in hashes:
            make_folder(places.checkpoints.parent)
            copy_file(self._own / CHECKPOINTS, places.checkpoints)
        if FLOW in hashes and not places.flow.exists():
            make_folder(places.flow.parent)
            copy_file(self._own / FLOW, places.flow)
            give_to_owner(places.flow, places.flow.parent)
        if with_secrets:
            for name, path in places.secrets.items():
                if f"{SECRETS}/{name}" in hashes and not path.exists():
                    make_folder(path.parent)
                    copy_file(self._own / SECRETS / name, path, _SECRET_MODE)
                    give_to_owner(path, path.parent)
        home = places.recordings.parent
        give_to_owner(places.recordings, home)
        with suppress(FileNotFoundError):
            give_to_owner(places.checkpoints, places.checkpoints.parent)
        if places.ledger_file is not None:
            make_folder(places.ledger_file.parent)
            copy_file(self._own / LEDGER, places.ledger_file)
            give_to_owner(places.ledger_file, places.ledger_file.parent)
            sync_folder(places.ledger_file.parent)
        (places.recordings / MARK).unlink()
        sync_folder(places.recordings)

    def _find_missing(self, books: Books) -> None:
        places = self._places
        for one in books.recordings.values():
            if not one.is_wanted or one.is_deleted:
                continue
            for name, _, is_needed in one.files():
                path = places.recordings / one.day / name
                if is_needed and not path.exists():
                    self._report.missing.append(os.path.join(one.day, name))  # noqa: PTH118

    def _verify(self) -> None:
        places, report = self._places, self._report
        key = self._own / PUBLIC_KEY
        evidence = Evidence(
            ledger=places.ledger_url,
            checkpoints=places.checkpoints if places.checkpoints.exists() else None,
            public_key=PublicKey.read(key) if PUBLIC_KEY in self._contents.hashes else None,
            parts_dir=places.spool if places.spool.is_dir() else None,
        )
        given = str(places.recordings) if report.recordings else places.ledger_url
        outcome: Outcome = verify(given, evidence)
        for one in outcome.reports:
            for finding in one.findings:
                told = report.wrong if finding.weight is Weight.WRONG else report.unproven
                told.append(f"{one.subject}: [{finding.id}] {finding.sentence}")
        report.verdict = Status(outcome.status).name.lower()
