"""The ledger: the append-only, chained record of what was asked, acknowledged and verified."""

from turnrec.ledger.chain import BreakKind, ChainBreak, ChainReport, Head
from turnrec.ledger.entries import WrittenEntry
from turnrec.ledger.errors import (
    LedgerClosedError,
    LedgerDamagedError,
    LedgerDivergedError,
    LedgerError,
    LedgerForeignError,
    LedgerLockedError,
    LedgerStalledError,
    LedgerVersionError,
)
from turnrec.ledger.reader import LedgerReader
from turnrec.ledger.store import Ledger
from turnrec.ledger.views import CallRecord, Gap, RecordingRecord, RecordingStatus, Segment
from turnrec.ledger.writer import Limits

__all__ = [
    "BreakKind",
    "CallRecord",
    "ChainBreak",
    "ChainReport",
    "Gap",
    "Head",
    "Ledger",
    "LedgerClosedError",
    "LedgerDamagedError",
    "LedgerDivergedError",
    "LedgerError",
    "LedgerForeignError",
    "LedgerLockedError",
    "LedgerReader",
    "LedgerStalledError",
    "LedgerVersionError",
    "Limits",
    "RecordingRecord",
    "RecordingStatus",
    "Segment",
    "WrittenEntry",
]
