"""Verification as the server offers it: of one recording, on request, beside the calls.

It uses what the server itself has: its ledger, its checkpoints, its key's public half. Whoever
doesn't trust the server runs `turnrec verify` elsewhere, with a public key that was given to them.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from turnrec.ledger.keys import KeyFileError, PublicKey
from turnrec.proof import default_checkpoints_file
from turnrec.settings import Settings
from turnrec.verify.cli import as_document
from turnrec.verify.findings import Report, Status
from turnrec.verify.run import Evidence, NothingToVerifyError, Outcome, verify

_VERDICTS: Final = {
    Status.PROVEN: "This recording is what was recorded: its file, its manifest and the ledger"
    " bear each other out.",
    Status.WRONG: "Something is wrong with this recording or with the ledger. Don't rely on it"
    " before somebody has looked.",
    Status.UNPROVEN: "Nothing speaks against this recording, but something that the proof needs is"
    " missing.",
}


class Verifier:
    """Verifies recordings one after the other: each walks the whole ledger."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._running: dict[Path, asyncio.Task[dict[str, Any]]] = {}

    async def verify(self, manifest: Path) -> dict[str, Any]:
        """What `turnrec verify --json` says of a recording, and under `sentences` the verdict.

        Who asks for the same while it is looked at gets the same answer.
        """
        running = self._running.get(manifest)
        if running is None:
            running = asyncio.create_task(self._verify(manifest), name="verification")
            self._running[manifest] = running
            running.add_done_callback(lambda _: self._running.pop(manifest))
        return await asyncio.shield(running)

    async def _verify(self, manifest: Path) -> dict[str, Any]:
        async with self._lock:
            return await asyncio.to_thread(self._found_out, manifest)

    def _found_out(self, manifest: Path) -> dict[str, Any]:
        given = self._settings
        checkpoints = given.ledger.checkpoints_file or default_checkpoints_file(given)
        spool = given.recordings.spool_dir
        evidence = Evidence(
            ledger=given.ledger.url.get_secret_value(),
            checkpoints=checkpoints if checkpoints.exists() else None,
            public_key=_public_key(given.ledger.signing_key_file),
            parts_dir=spool if spool.is_dir() else None,
        )
        try:
            outcome = verify(str(manifest), evidence)
        except NothingToVerifyError:
            report = Report(manifest.stem)
            report.unproven("manifest-missing", "neither its file nor its manifest is there")
            outcome = Outcome(recordings=[report])
        document: dict[str, Any] = json.loads(as_document(outcome))
        return document | {"sentences": sentences(outcome)}


def sentences(outcome: Outcome) -> list[str]:
    """The verdict in short, for people."""
    said = [_VERDICTS[outcome.status]]
    findings = [one.sentence for report in outcome.reports for one in report.findings]
    if findings:
        more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
        said.append(f"{findings[0]}{more}")
    return said


def _public_key(signing_key: Path | None) -> PublicKey | None:
    """The public half that `turnrec key new` has put beside the private one."""
    if signing_key is None:
        return None
    try:
        return PublicKey.read(signing_key.with_name(signing_key.name + ".pub"))
    except KeyFileError:
        return None
