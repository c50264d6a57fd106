"""A turnrec's data folder with honest recordings, its backup, and a place to restore it to."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from pathlib import Path

from tests.unit.verify.house import Clock, House, build_now, redact
from turnrec.backup.make import Report, backup
from turnrec.backup.places import Places
from turnrec.backup.restore import Restored, restore
from turnrec.core.entry import Entry, EntryKind, Origin
from turnrec.keeping import Asked, Keeper
from turnrec.ledger import Ledger
from turnrec.notes import Notes
from turnrec.service import LedgerJournal
from turnrec.verify.run import Evidence, Outcome, verify

ASKED = Asked("kept for 30 days (bot kyc)", None, Origin.SERVER)
NOW_US = 1_700_000_900_000_000


def places_in(folder: Path) -> Places:
    """The places of a turnrec whose data lie in a folder, as the verify tests' house has them."""
    return Places(
        ledger_url=f"sqlite:///{folder / 'ledger.db'}",
        ledger_file=folder / "ledger.db",
        recordings=folder / "recordings",
        spool=folder / "spool",
        keep_parts=True,
        checkpoints=folder / "checkpoints.jsonl",
        flow=folder / "flow.yaml",
        public_key=folder / "signing.key.pub",
        control_socket=folder / "control.sock",
        secrets={"signing.key": folder / "signing.key", "api-keys.json": folder / "api-keys.json"},
    )


@dataclass(frozen=True)
class World:
    """Data, a backup's folder, and an empty machine."""

    folder: Path
    house: House

    @property
    def data(self) -> Places:
        """What is backed up."""
        return places_in(self.house.folder)

    @property
    def store(self) -> Path:
        """The backup."""
        return self.folder / "backup"

    @property
    def empty(self) -> Places:
        """Where it is restored to."""
        return places_in(self.folder / "new")

    def back_up(self, places: Places | None = None, *, with_secrets: bool = False) -> Report:
        """Make a backup, a second after the last."""
        return backup(places or self.data, self.store, NOW_US, with_secrets=with_secrets)

    def restore(self, *, incomplete: bool = False, with_secrets: bool = False) -> Restored:
        """Restore it to the empty machine."""
        return restore(self.empty, self.store, incomplete=incomplete, with_secrets=with_secrets)

    def verify_restored(self) -> Outcome:
        """What `turnrec verify` says of what was restored, with everything to hold it against."""
        empty = self.empty
        evidence = Evidence(
            ledger=empty.ledger_url,
            checkpoints=empty.checkpoints,
            public_key=self.house.public_key,
            parts_dir=empty.spool,
        )
        return verify(str(empty.recordings), evidence)

    def redact(self, *, delete_original: bool = False) -> World:
        """Have a redacted copy made by the server."""
        made = redact(self.house, "0.25", "0.5", delete_original=delete_original)
        return replace(self, house=asyncio.run(made))

    def keep(self, *what: str) -> None:
        """Have a server do something with the recording: `hold`, `release`, `delete`."""
        asyncio.run(self._keep(what))

    async def _keep(self, what: tuple[str, ...]) -> None:
        clock = Clock()
        clock.now_us += 7200 * 1_000_000
        ledger = Ledger.open(self.data.ledger_url)
        ledger.append(Entry(kind=EntryKind.SERVER_STARTED, at_us=clock(), origin=Origin.SERVER))
        journal = LedgerJournal(ledger)
        places = self.data
        keeper = Keeper(
            ledger,
            journal,
            Notes(journal, clock),
            places.recordings,
            places.spool,
            clock,
            lambda: "unused",
        )
        for word in what:
            await getattr(keeper, word)(self.house.recording, ASKED)
        await ledger.close()


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path, without locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def spoil(path: Path) -> None:
    """Change one byte of a file, and nothing else about it."""
    data, status = bytearray(path.read_bytes()), path.stat()
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def build_world(folder: Path) -> World:
    """One recording of three turns, closed, proven and signed."""
    house = build_now(folder / "data", dual_channel=True)
    (house.folder / "flow.yaml").write_text("version: 1\nbots: {kyc: {nodes: {hello: }}}\n")
    (house.folder / "api-keys.json").write_text("[]\n")
    return World(folder, house)
