"""The recordings' routes behind the gate, on a real ledger and real files, for the tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx

from tests.unit.test_keeping import NOW_US, House, opened
from turnrec.config import load_settings
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.transcript import Speaker, make_utterance
from turnrec.listening import AccessBook
from turnrec.recordings.copies import Copies
from turnrec.recordings.transcript_file import TranscriptFiles
from turnrec.recordings_desk import RecordingDesk
from turnrec.transcript_export import TranscriptExport
from turnrec.verify.service import Verifier
from turnrec.web.access import Right
from turnrec.web.app import create_app, guarded
from turnrec.web.gate import Gate, KeyAdmission, LocalAdmission
from turnrec.web.keys import KeyRing
from turnrec.web.recordings import recording_routes

SETTINGS = """
[asterisk]
ami_enabled = false
[recordings]
dir = "recordings"
spool_dir = "spool"
[ledger]
url = "sqlite:///ledger.db"
"""


class SlowJournal:
    """The house's journal; a test may keep it from having anything on the disk."""

    def __init__(self, house: House) -> None:
        self._journal = house.journal
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.is_durable = True

    def append(self, entry: Entry) -> None:
        self._journal.append(entry)

    def vouches(self) -> bool:
        return self._journal.vouches()

    async def make_durable(self) -> bool:
        await self.may_write.wait()
        return self.is_durable and await self._journal.make_durable()


@dataclass
class Api:
    """The recordings' routes behind the gate, and the house that they are about."""

    house: House
    journal: SlowJournal
    keys: KeyRing
    copies: Copies
    transcripts: TranscriptFiles
    gate: Gate
    local: Gate
    now_us: int = NOW_US

    def key(self, *rights: Right, bots: set[str] | None = None, name: str = "desk") -> str:
        return self.keys.make(name, frozenset(rights), None if bots is None else frozenset(bots), 1)

    async def ask(
        self,
        path: str,
        key: str | None,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        **query: str | int,
    ) -> httpx.Response:
        """Ask with a key; without one at the control socket."""
        gate = self.local if key is None else self.gate
        transport = httpx.ASGITransport(app=gate)
        sent = {"Authorization": f"Bearer {key}", **(headers or {})}
        async with httpx.AsyncClient(transport=transport, base_url="http://turnrec") as client:
            return await client.request(
                method, f"/v1/recordings{path}", headers=sent, params=query or None
            )

    async def listed(self, key: str | None, **query: str | int) -> list[str]:
        asked = urlencode({name.rstrip("_"): value for name, value in query.items()})
        answer = await self.ask(f"?{asked}", key)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["items"]]

    async def accesses(self, name: str) -> list[tuple[str | None, object]]:
        entered = await self.house.of(name, EntryKind.ACCESSED)
        return [(one.actor, one.detail["what"]) for one in entered]

    async def enter(
        self, name: str, bot: str, status: str | None = "done", at_us: int = NOW_US
    ) -> None:
        """A recording that is in the ledger alone."""
        for kind, detail in (
            (EntryKind.CALL_STARTED, {"bot": bot, "external_id": f"ext-{name}"}),
            (EntryKind.RECORDING_OPENED, {"bot": bot}),
            (EntryKind.RECORDING_CLOSED, {"status": status}),
        ):
            if status is not None or kind is not EntryKind.RECORDING_CLOSED:
                self.house.ledger.append(
                    Entry(
                        kind=kind,
                        at_us=at_us,
                        call_id=f"C-{name}",
                        recording_id=None if kind is EntryKind.CALL_STARTED else name,
                        detail=detail,
                    )
                )
        await self.house.ledger.flush()


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened(tmp_path) as house:
        (tmp_path / "turnrec.toml").write_text(SETTINGS)
        settings = load_settings(tmp_path / "turnrec.toml", {})
        journal = SlowJournal(house)
        copies = Copies(house.folder / ".copies", most=2)
        transcripts = TranscriptFiles(house.folder)
        book = AccessBook(journal, lambda: made.now_us)
        desk = RecordingDesk(
            house.ledger,
            house.folder,
            book,
            copies,
            TranscriptExport(house.ledger, transcripts, book),
            Verifier(settings),
        )
        house.journal.watchers.append(desk.entered)
        app = create_app([recording_routes(desk)])
        keys = KeyRing(tmp_path / "keys.json")
        admission = KeyAdmission(keys, requests_per_s=10_000, on_refused=lambda _: None)
        gates = guarded(app, admission), guarded(app, LocalAdmission())
        made = Api(house, journal, keys, copies, transcripts, *gates)
        yield made
        await copies.close()
        transcripts.shut_down()


UTTERANCE = make_utterance(Speaker.CALLER, "hello", (NOW_US + 100_000, NOW_US + 400_000), ())
