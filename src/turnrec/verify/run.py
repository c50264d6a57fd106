"""Goes through what was given (a file, a folder, a ledger) and has each thing checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from turnrec.ledger.checkpoints import FILE_NAME
from turnrec.ledger.errors import LedgerError
from turnrec.ledger.keys import PublicKey
from turnrec.ledger.offline import OfflineLedger
from turnrec.recordings.export import MAP_SUFFIX
from turnrec.recordings.join import RECORDING_ID
from turnrec.recordings.stereo import SUFFIX as STEREO
from turnrec.verify.exports import Export, check_export, check_own_map, is_export, load_export
from turnrec.verify.findings import Report, Status
from turnrec.verify.ledgers import CheckedLedger, Signatures, check_ledger
from turnrec.verify.recording import Loaded, check_ledger_only, check_recording, load

_URL: Final = re.compile(r"[a-z+0-9]+://.*", re.DOTALL)
_A_PART: Final = re.compile(r".+-[0-9]{3,9}(-[rt])?")
"""How parts are named, which have no manifest of their own."""
_SQLITE: Final = b"SQLite format 3\0"


class NothingToVerifyError(Exception):
    """What was named is no recording, no folder with recordings, and no ledger."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What to hold a recording against."""

    ledger: str | None = None
    """A database URL, or an SQLite file's path."""
    checkpoints: Path | None = None
    public_key: PublicKey | None = None
    parts_dir: Path | None = None
    recordings: Path | None = None
    """Where an export's recording may lie."""


@dataclass(slots=True)
class Outcome:
    """What was found out about everything."""

    ledger: Report | None = None
    recordings: list[Report] = field(default_factory=list)
    exports: list[Report] = field(default_factory=list)

    @property
    def reports(self) -> list[Report]:
        """All of it, the ledger first."""
        return [*([self.ledger] if self.ledger else []), *self.recordings, *self.exports]

    @property
    def status(self) -> Status:
        """The verdict on all of it."""
        return Status.of(self.reports)


def verify(
    given: str, evidence: Evidence, tell: Callable[[int, int | None], None] = lambda *_: None
) -> Outcome:
    """Check a recording, an export, a folder of them, or a ledger. It blocks, changes nothing.

    `tell` is told after each recording and export how many of how many are done.

    Raises:
        NothingToVerifyError: there is nothing at that place that could be checked.
    """
    if is_ledger(given):
        return _verify_ledger(given, evidence)
    path = Path(given)
    loaded: list[Loaded] = []
    exports: list[Export] = []
    if path.is_dir():
        loaded = [load(one) for one in _recordings_in(path)]
        places = (evidence.recordings, path)
        exports = [load_export(one, *places) for one in _exports_in(path)]
        if not loaded and not exports:
            raise NothingToVerifyError(f"{given} holds no recordings")
    elif is_export(path):
        exports = [load_export(path, evidence.recordings)]
    elif path.exists() or path.with_suffix(".json").exists():
        loaded = [load(_mix_of(path))]
    else:
        raise NothingToVerifyError(f"there is no {given}")
    outcome = Outcome()
    named = [*loaded, *(one.recording for one in exports if one.recording is not None)]
    heads = {one.manifest.ledger.head.seq for one in named if one.manifest is not None}
    checked: CheckedLedger | None = None
    if evidence.ledger is not None:
        outcome.ledger, checked = _check(evidence.ledger, heads, evidence, near=path)
    count = len(loaded) + len(exports)
    tell(0, count)
    for one in loaded:
        outcome.recordings.append(_check_one(one, checked, evidence))
        tell(len(outcome.recordings), count)
    for export in exports:
        outcome.exports.append(_check_export(export, checked))
        tell(len(loaded) + len(outcome.exports), count)
    if checked is not None:
        checked.ledger.close()
    return outcome


def is_ledger(given: str) -> bool:
    """Whether it names a ledger: a URL, or a file that isn't a recording's."""
    if _URL.fullmatch(given):
        return True
    path = Path(given)
    if not path.is_file() or path.suffix in {".wav", ".json"}:
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE or path.suffix in {".db", ".sqlite"}


def _verify_ledger(given: str, evidence: Evidence) -> Outcome:
    outcome = Outcome()
    outcome.ledger, checked = _check(given, set(), evidence)
    if checked is None:
        return outcome
    try:
        for recording_id in checked.ledger.recording_ids():
            report = check_ledger_only(recording_id, checked)
            outcome.recordings.append(report)
    except LedgerError as error:
        outcome.ledger.wrong("ledger-damaged", str(error))
    checked.ledger.close()
    return outcome


def _check(
    ledger: str, wanted: set[int], evidence: Evidence, near: Path | None = None
) -> tuple[Report, CheckedLedger | None]:
    try:
        opened = OfflineLedger(ledger)
    except LedgerError as error:
        report = Report("ledger")
        report.unproven("ledger-error", str(error))
        return report, None
    checkpoints = evidence.checkpoints or _checkpoints_near(opened.file, near)
    report, checked = check_ledger(opened, wanted, Signatures(checkpoints, evidence.public_key))
    if checked is None:
        opened.close()
    return report, checked


def _checkpoints_near(ledger: Path | None, recordings: Path | None) -> Path | None:
    """The checkpoints beside the ledger, or where the server puts them: above the days."""
    folders = [] if ledger is None else [ledger.parent]
    if recordings is not None:
        folders += [recordings, *recordings.absolute().parents[:2]]
    return next((one / FILE_NAME for one in folders if (one / FILE_NAME).is_file()), None)


def _mix_of(path: Path) -> Path:
    """The recording that a two-channel file lies beside; any other file is itself."""
    if not path.name.endswith(STEREO):
        return path
    return path.with_name(path.name.removesuffix(STEREO) + ".wav")


def _check_one(loaded: Loaded, ledger: CheckedLedger | None, evidence: Evidence) -> Report:
    try:
        if loaded.manifest is not None:
            check_own_map(loaded.report, loaded.manifest, loaded.path.parent)
        return check_recording(loaded, ledger, evidence.parts_dir)
    except LedgerError as error:
        loaded.report.wrong("ledger-damaged", str(error))
        return loaded.report


def _check_export(export: Export, ledger: CheckedLedger | None) -> Report:
    try:
        return check_export(export, ledger)
    except LedgerError as error:
        export.report.wrong("ledger-damaged", str(error))
        return export.report


def _exports_in(folder: Path) -> list[Path]:
    """The offset maps in a folder and below it, but for those of recordings."""
    return sorted(path for path in folder.rglob(f"*{MAP_SUFFIX}") if is_export(path))


def _recordings_in(folder: Path) -> list[Path]:
    """The manifests in a folder and below it, and the recordings that have none."""
    manifests = {path for path in folder.rglob("*.json") if RECORDING_ID.fullmatch(path.stem)}
    files = {
        path.with_suffix(".json")
        for path in folder.rglob("*.wav")
        if RECORDING_ID.fullmatch(path.stem) and _A_PART.fullmatch(path.stem) is None
    }
    return sorted(manifests | files)
