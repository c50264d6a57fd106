"""The API's half of a running turnrec: its routes, what stands behind them, and its two doors.

It is a module of its own because FastAPI and the routes take as long to import as all the rest:
`turnrec.service` imports it when the dialplan is being served already. It decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from turnrec import __version__
from turnrec.archive import KeptArchive
from turnrec.desk import CallDesk
from turnrec.keeping import Keeper
from turnrec.ledger.store import Ledger
from turnrec.listening import AccessBook
from turnrec.ports import WatchedJournal
from turnrec.recordings.copies import Copies
from turnrec.recordings.transcript_file import TranscriptFiles
from turnrec.recordings_desk import RecordingDesk
from turnrec.settings import Settings
from turnrec.strangers import Strangers
from turnrec.telling import Telling
from turnrec.transcript_export import TranscriptExport
from turnrec.transcripts import Transcripts
from turnrec.verify.service import Verifier
from turnrec.web.app import create_app, guarded
from turnrec.web.archive import archive_routes
from turnrec.web.calls import call_routes
from turnrec.web.doors import ControlSocket, HttpServer
from turnrec.web.events import event_routes
from turnrec.web.gate import KeyAdmission, LocalAdmission
from turnrec.web.keys import KeyRing
from turnrec.web.ledger import LedgerBackend, ledger_routes
from turnrec.web.recordings import recording_routes
from turnrec.web.server import ServerBackend, server_routes
from turnrec.web.transcripts import transcript_routes
from turnrec.web.webhooks import webhook_routes


class Server(ServerBackend, LedgerBackend, Protocol):
    """What the routes ask of the service itself."""


class Front:
    """The API, and where it is reached."""

    def __init__(
        self,
        server: Server,
        settings: Settings,
        *,
        ledger: Ledger,
        journal: WatchedJournal,
        clock: Callable[[], int],
        keys: KeyRing,
        desk: CallDesk,
        keeper: Keeper,
        telling: Telling,
        transcripts: Transcripts,
        transcript_files: TranscriptFiles,
    ) -> None:
        """Put it together; it opens nothing."""
        self._api = settings.api
        self._keys = keys
        self._telling = telling
        folder = settings.recordings.dir
        book = AccessBook(journal, clock)
        exported = TranscriptExport(ledger, transcript_files, book)
        self._copies = Copies(folder / ".copies")
        recordings = RecordingDesk(ledger, folder, book, self._copies, exported, Verifier(settings))
        journal.watchers.append(recordings.entered)
        self.app = app = create_app(
            (
                server_routes(server),
                event_routes(telling),
                webhook_routes(telling),
                call_routes(desk),
                transcript_routes(transcripts, exported),
                recording_routes(recordings),
                archive_routes(KeptArchive(keeper)),
                ledger_routes(server),
            ),
            version=__version__,
        )
        strangers = Strangers(journal, clock)
        self._control = ControlSocket(
            guarded(app, LocalAdmission()), settings.server.control_socket
        )
        self._http = HttpServer(
            guarded(
                app,
                KeyAdmission(
                    keys, requests_per_s=self._api.requests_per_s, on_refused=strangers.came
                ),
            ),
            self._api.host,
            self._api.port,
        )

    @property
    def port(self) -> int:
        """Where the HTTP API listens; 0: nowhere."""
        return self._http.port

    async def open(self) -> None:
        """Open both doors.

        Raises:
            OSError, SocketTakenError, NoKeysError: one can't be opened.
        """
        await asyncio.to_thread(self._copies.clear)
        await self._control.start()
        if self._api.enabled:
            await self._http.start(has_keys=self._keys.has_any)

    async def close(self) -> None:
        """Let streams go, requests end, and close both doors."""
        await self._telling.close()
        await asyncio.gather(self._http.stop(), self._control.stop())
        await self._copies.close()
