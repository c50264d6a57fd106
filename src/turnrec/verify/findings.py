"""What a verification can find, each with a name that never changes; it looks at nothing itself."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


class Weight(enum.StrEnum):
    """What a finding means for the claim."""

    WRONG = "wrong"
    """Something has been changed, or contradicts itself."""
    UNPROVEN = "unproven"
    """Nothing contradicts the claim, and something that it needs is not there."""


FINDINGS: Final = MappingProxyType(
    {
        # the manifest
        "manifest-missing": "a recording has no manifest beside it",
        "manifest-unreadable": "the manifest is empty, cut off, or no JSON",
        "manifest-foreign": "a JSON file that is no manifest of turnrec's",
        "manifest-version": "the manifest is of a schema version that this turnrec doesn't know",
        "manifest-schema": "the manifest breaks the published schema",
        "manifest-not-canonical": "the manifest isn't spelt as turnrec spells it",
        "manifest-misplaced": "the manifest lies under another recording's name",
        "spans-broken": "the manifest's segments and gaps don't follow one another",
        # the sound
        "audio-missing": "the recording's file is not there",
        "audio-empty": "the recording's file is empty or ends in its header",
        "audio-foreign": "the recording's file is no WAV of 16 bits",
        "audio-unreadable": "the recording's file can't be read",
        "audio-truncated": "the recording's file is shorter than its own header says",
        "audio-hash": "the recording's file is not the one that was hashed",
        "audio-length": "the file's samples, rate or channels are not the manifest's",
        "gap-not-silent": "there is sound where nothing was recorded",
        "shortfall-not-silent": "there is sound where none had arrived",
        "redacted-not-silent": "there is sound where it was cut out",
        "padding-not-silent": "there is sound after a segment's last sample",
        "segment-audio": "a segment's sound is not the one that was hashed",
        "segment-swapped": "a segment's sound lies where another's belongs",
        "part-differs": "a segment's sound is not that of the part that Asterisk wrote",
        "part-too-long": "a part holds more sound than its monitor's time",
        "kept-part-differs": "a part that was kept is not the one that was joined",
        "segment-times": "a segment lies outside the time in which its monitor ran",
        "gap-times": "a gap's edges are not Asterisk's answers",
        # the two-channel file
        "stereo-missing": "the two-channel file is not there",
        "stereo-unreadable": "the two-channel file can't be read, or is no WAV of 16 bits",
        "stereo-unknown": "there is a two-channel file and the manifest names none",
        "stereo-hash": "the two-channel file is not the one that was hashed",
        "stereo-length": "the two-channel file is not laid out like the mix",
        "stereo-differs": "the two channels, added, are not the mix",
        "stereo-not-silent": "there is sound in a channel where nothing was recorded",
        # a redacted recording
        "redaction-missing": "no entry says who cut something out of which recording, and why",
        "redaction-differs": "a redaction's entry contradicts what it was made of, or what it made",
        "original-differs": "the recording that was redacted lies there, and is another file",
        "piece-differs": "outside of its cuts a redacted recording is not what it was made of",
        # an export
        "map-missing": "an export has no offset map beside it",
        "map-unreadable": "the offset map is no JSON, or no map",
        "map-version": "the offset map is of a version that this turnrec doesn't know",
        "map-differs": "the offset map says something else than the recording's manifest",
        "export-missing": "the exported file is not there",
        "export-unreadable": "the exported file can't be read as sound",
        "export-hash": "the exported file is not the one that its map names",
        "export-length": "the exported file's samples, rate or channels are not its map's",
        "export-segment": "a segment of the export is not the sound that was recorded",
        "export-not-silent": "there is sound in the export where nothing was recorded",
        "export-not-rebuilt": "turned back, the export is not the recording's file",
        "recording-not-given": "the manifest of the exported recording is not there",
        # the ledger
        "ledger-not-given": "without the ledger nothing proves the gaps",
        "ledger-missing": "there is no ledger at that place",
        "ledger-foreign": "the database is no ledger of turnrec's",
        "ledger-version": "a newer turnrec wrote the ledger",
        "ledger-damaged": "the ledger's database can't be read to its end",
        "ledger-error": "the ledger can't be reached or read",
        "ledger-empty": "the ledger has no entries",
        "ledger-other": "the manifest was made with another ledger",
        "chain-edited": "an entry is not what was hashed",
        "chain-missing": "entries are missing from the ledger",
        "chain-unlinked": "an entry doesn't follow the one before it",
        "entry-unreadable": "an entry holds what turnrec never writes",
        "entry-after-stop": "an entry follows the server's end without a start",
        "entries-lost": "the ledger says itself that it has lost entries",
        "head-missing": "the ledger ends before the entry that the manifest was made at",
        "head-differs": "the entry that the manifest was made at has another hash",
        "recording-unknown": "the ledger doesn't know the recording",
        "recording-not-closed": "the ledger has no entry that closes the recording",
        "manifest-not-entered": "the ledger names no manifest for the recording",
        "manifest-hash": "the manifest is not the one that the ledger names",
        "ledger-differs": "the manifest says something else than the ledger",
        # the order
        "order-overlap": "a monitor began before the one before had ended",
        "order-turn-before-stop": "a pause was confirmed while a monitor still ran",
        "order-after-close": "something was done to a recording after its close",
        "order-time": "times contradict the order of the entries",
        "order-guard": "a segment began before the guard was over",
        "order-unasked": "a segment began and nobody had asked for it",
        "gap-unproven": "a monitor's end was not confirmed, or the ledger has lost it",
        # the checkpoints
        "checkpoints-missing": "there are no checkpoints",
        "checkpoint-unreadable": "a line is no checkpoint",
        "checkpoint-foreign-key": "a checkpoint names another key than the one given",
        "checkpoint-signature": "a checkpoint's signature is not the key's",
        "checkpoint-other-ledger": "a checkpoint is of another ledger",
        "checkpoint-head-missing": "the ledger ends before a head that was signed",
        "checkpoint-head-differs": "an entry is not the one that was signed",
        "not-signed-yet": "no checkpoint covers the recording's entries",
        "key-file": "the public key can't be read",
    }
)
"""Every finding's name and what it says, for people."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that keeps a claim from being proven."""

    id: str
    sentence: str
    weight: Weight = Weight.WRONG

    def __post_init__(self) -> None:
        if self.id not in FINDINGS:
            raise ValueError(f"no finding is called {self.id}")


@dataclass(slots=True)
class Report:
    """What was found out about one recording, or one ledger."""

    subject: str
    findings: list[Finding] = field(default_factory=list)
    proven: list[str] = field(default_factory=list)
    """Sentences, each of which holds."""
    not_proven: list[str] = field(default_factory=list)
    """Sentences: what this verification says nothing of, though nothing speaks against it."""

    def wrong(self, finding_id: str, sentence: str) -> None:
        """Something contradicts the claim."""
        self.findings.append(Finding(finding_id, sentence, Weight.WRONG))

    def unproven(self, finding_id: str, sentence: str) -> None:
        """Something that the claim needs is not there."""
        self.findings.append(Finding(finding_id, sentence, Weight.UNPROVEN))

    @property
    def status(self) -> Status:
        """The verdict."""
        weights = {finding.weight for finding in self.findings}
        if Weight.WRONG in weights:
            return Status.WRONG
        return Status.UNPROVEN if weights else Status.PROVEN

    def ids(self) -> set[str]:
        """The names of what was found."""
        return {finding.id for finding in self.findings}


class Status(enum.IntEnum):
    """A verdict, as an exit status."""

    PROVEN = 0
    WRONG = 1
    UNPROVEN = 3
    """It can't be checked, or not to the end."""

    @classmethod
    def of(cls, reports: list[Report]) -> Status:
        """The verdict on all of them; on nothing at all there is none."""
        found = {report.status for report in reports}
        if cls.WRONG in found:
            return cls.WRONG
        return cls.PROVEN if found == {cls.PROVEN} else cls.UNPROVEN
