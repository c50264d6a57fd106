"""Checks a ledger's chain and its signed checkpoints; of recordings it knows nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from turnrec.ledger.chain import BreakKind, ChainReport
from turnrec.ledger.checkpoints import Checkpoint, CheckpointError, read_lines
from turnrec.ledger.errors import (
    LedgerDamagedError,
    LedgerError,
    LedgerForeignError,
    LedgerVersionError,
)
from turnrec.ledger.keys import PublicKey
from turnrec.ledger.offline import OfflineLedger
from turnrec.recordings.manifest import utc
from turnrec.verify.findings import Report

_MOST_NAMED: Final = 20
"""How many broken entries or checkpoints are named one by one."""
_BREAKS: Final = {
    BreakKind.EDITED: ("chain-edited", "entry {seq} is not what was hashed when it was written"),
    BreakKind.MISSING: ("chain-missing", "entries before entry {seq} are missing"),
    BreakKind.UNLINKED: ("chain-unlinked", "entry {seq} doesn't follow the entry before it"),
}


@dataclass(frozen=True, slots=True)
class Signatures:
    """The checkpoints that are given, and the key to check them with."""

    checkpoints: Path | None = None
    key: PublicKey | None = None


@dataclass(frozen=True, slots=True)
class CheckedLedger:
    """A ledger that could be read to its end, and what was found out about it."""

    ledger: OfflineLedger
    report: Report
    chain: ChainReport
    id: str
    hashes: Mapping[int, str]
    """Of the entries that manifests name, as far as the ledger has them."""
    signed_to: int
    """The newest entry that a checkpoint vouches for; 0: none."""
    wants_signatures: bool

    @property
    def head(self) -> int:
        """The newest entry."""
        return self.chain.head.seq


def check_ledger(
    ledger: OfflineLedger, wanted: Collection[int], signatures: Signatures
) -> tuple[Report, CheckedLedger | None]:
    """Walk a ledger once; with nothing to check further where it can't be read.

    Args:
        ledger: the ledger.
        wanted: the entries whose hashes somebody wants to know.
        signatures: the checkpoints and the key.
    """
    report = Report(f"ledger {ledger.where}")
    given = _read_checkpoints(report, signatures)
    try:
        if ledger.file is not None and not ledger.file.exists():
            report.unproven("ledger-missing", f"there is no {ledger.where}")
            return report, None
        ledger.check()
        walked = ledger.walk({*wanted, *(one.head.seq for one in given)})
    except LedgerForeignError as error:
        report.unproven("ledger-foreign", str(error))
    except LedgerVersionError as error:
        report.unproven("ledger-version", str(error))
    except LedgerDamagedError as error:
        report.wrong("ledger-damaged", str(error))
    except LedgerError as error:
        report.unproven("ledger-error", str(error))
    else:
        if walked.ledger_id is None:
            report.unproven("ledger-empty", f"{ledger.where} has no entries")
            return report, None
        chain = walked.report
        for broken in chain.breaks[:_MOST_NAMED]:
            finding, sentence = _BREAKS[broken.kind]
            report.wrong(finding, sentence.format(seq=broken.seq))
        for seq in walked.after_stop[:_MOST_NAMED]:
            report.wrong(
                "entry-after-stop", f"entry {seq} follows the server's end, and is not its start"
            )
        newest = _check_checkpoints(
            report, given, walked.ledger_id, chain, walked.hashes, signatures
        )
        checked = CheckedLedger(
            ledger=ledger,
            report=report,
            chain=chain,
            id=walked.ledger_id,
            hashes=walked.hashes,
            signed_to=0 if newest is None else newest.head.seq,
            wants_signatures=signatures.key is not None,
        )
        _conclude(report, checked, newest, signatures)
        return report, checked
    return report, None


def _read_checkpoints(report: Report, signatures: Signatures) -> list[Checkpoint]:
    """The checkpoints that are what they should be: signed, where there is a key."""
    path, key = signatures.checkpoints, signatures.key
    if path is None:
        if key is not None:
            report.unproven("checkpoints-missing", "a public key is given, but no checkpoints")
        return []
    found: list[Checkpoint] = []
    lines = 0
    try:
        for number, checkpoint in read_lines(path):
            lines += 1
            where = f"{path.name}, line {number}"
            if isinstance(checkpoint, CheckpointError):
                report.wrong("checkpoint-unreadable", f"{where}: {checkpoint}")
            elif key is not None and checkpoint.key_id != key.id:
                report.wrong(
                    "checkpoint-foreign-key",
                    f"{where}: it names key {checkpoint.key_id}, the one given is {key.id}",
                )
            elif key is not None and not checkpoint.is_signed_by(key):
                report.wrong("checkpoint-signature", f"{where}: the key has not signed this")
            else:
                found.append(checkpoint)
    except OSError as error:
        report.unproven("checkpoints-missing", f"{path.name} can't be read: {error.strerror}")
        return found
    if not lines:
        report.unproven("checkpoints-missing", f"{path.name} holds no checkpoint")
    return found


def _check_checkpoints(
    report: Report,
    given: list[Checkpoint],
    ledger_id: str,
    chain: ChainReport,
    hashes: Mapping[int, str],
    signatures: Signatures,
) -> Checkpoint | None:
    """The newest checkpoint that the ledger bears out."""
    newest: Checkpoint | None = None
    signed = "signed" if signatures.key is not None else "noted in a checkpoint"
    for one in given:
        made = f"the checkpoint of {utc(one.at_us)}"
        if one.ledger_id != ledger_id:
            report.wrong("checkpoint-other-ledger", f"{made} is of a ledger that begins otherwise")
        elif one.head.seq not in hashes:
            report.wrong(
                "checkpoint-head-missing",
                f"{made} vouches for entry {one.head.seq}; the ledger ends at {chain.head.seq}",
            )
        elif hashes[one.head.seq] != one.head.hash:
            report.wrong(
                "checkpoint-head-differs", f"entry {one.head.seq} is not the one that was {signed}"
            )
        elif newest is None or one.head.seq > newest.head.seq:
            newest = one
    return newest


def _conclude(
    report: Report, checked: CheckedLedger, newest: Checkpoint | None, signatures: Signatures
) -> None:
    if report.ids() & {"chain-edited", "chain-missing", "chain-unlinked"}:
        return
    head = checked.head
    report.proven.append(f"{checked.chain.entries} entries are chained without a break")
    if newest is not None and signatures.key is not None:
        report.proven.append(
            f"the order of the entries from 1 to {newest.head.seq} is proven by a checkpoint that"
            f" key {newest.key_id} signed on {utc(newest.at_us)}"
        )
        if newest.head.seq < head:
            report.not_proven.append(
                f"the entries from {newest.head.seq + 1} to {head} rest on the chain alone:"
                " whoever holds the ledger could still have written them anew, cut some off or"
                " appended others"
            )
        return
    if newest is not None:
        report.not_proven.append(
            f"a checkpoint names entry {newest.head.seq}, and nobody has checked its signature:"
            " no public key was given"
        )
    report.not_proven.append(
        f"the entries from 1 to {head} rest on the chain alone: whoever holds the ledger could"
        " have written all of it anew, cut its end off or appended to it"
    )
