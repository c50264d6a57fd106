"""The process that sends webhooks: `python -m turnrec.courier`, started by the server alone.

Its first line of input is its settings, as JSON; every further line says that there is news. When
the input ends, so does it. What it writes are alarms, a line of JSON each.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from turnrec.clock import SteadyClock
from turnrec.ledger.reader import LedgerReader
from turnrec.logs import set_up
from turnrec.settings import LogSettings
from turnrec.webhooks.courier import Courier
from turnrec.webhooks.endpoint import Patience
from turnrec.webhooks.store import Store

_NICER_BY = 5
"""Calls come first."""


def main() -> None:
    """Run until the input ends."""
    # The server ends first and closes the input; what a terminal or systemd sends is for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(_NICER_BY)
    if find_spec("sniffio") is None:
        # httpcore looks for it several times with each request, and to look in vain takes longer
        # than the request: that it isn't there is said once and for all.
        sys.modules["sniffio"] = None  # type: ignore[assignment]
    asyncio.run(_run())


async def _run() -> None:
    loop = asyncio.get_running_loop()
    news = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(news), sys.stdin.buffer)
    line = await news.readline()
    if not line:
        return
    settings: dict[str, Any] = json.loads(line)
    set_up(LogSettings.model_validate(settings.get("log", {})))
    ledger = LedgerReader(settings["ledger"])
    store = await asyncio.to_thread(Store, Path(settings["store"]))
    trusted = ssl.create_default_context()  # whom the system trusts
    courier = Courier(
        store, ledger, trusted, SteadyClock(), _tell, patience=_patience(settings.get("patience"))
    )
    courier.start()
    try:
        while await news.readline():
            courier.wake()
    finally:
        await courier.close()
        await ledger.close()
        store.close()


def _tell(alarm_id: str, sentence: str) -> None:
    # The server may be gone already: then nobody can be woken by it.
    with suppress(OSError):
        print(json.dumps({"alarm": alarm_id, "sentence": sentence}), flush=True)  # noqa: T201


def _patience(settings: dict[str, Any] | None) -> Patience:
    if settings is None:
        return Patience()
    return Patience(**{**settings, "retry_after_s": tuple(settings["retry_after_s"])})


if __name__ == "__main__":
    main()
