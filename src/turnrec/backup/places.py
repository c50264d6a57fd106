"""Where the things lie that a backup holds, as the settings say; it opens none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turnrec.ledger.engine import parse_url, sqlite_file
from turnrec.proof import default_checkpoints_file
from turnrec.settings import Settings
from turnrec.webhooks.store import FILE_NAME as WEBHOOKS


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one turnrec."""

    ledger_url: str
    ledger_file: Path | None
    """None: it is in a server's database."""
    recordings: Path
    spool: Path
    keep_parts: bool
    checkpoints: Path
    flow: Path
    public_key: Path | None
    """None: nothing is signed."""
    control_socket: Path
    secrets: Mapping[str, Path]
    """What is backed up only when asked for, by the name that it has there."""


def places_of(settings: Settings, config: Path | None = None) -> Places:
    """The places that the settings name.

    Raises:
        LedgerError: the ledger's URL names no ledger.
    """
    url = settings.ledger.url.get_secret_value()
    file = sqlite_file(parse_url(url))
    key, keys = settings.ledger.signing_key_file, settings.api.keys_file
    secrets = {
        "api-keys.json": keys,
        WEBHOOKS: (keys.parent if file is None else file.parent) / WEBHOOKS,
        "signing.key": key,
        "ami-secret": settings.asterisk.ami_secret_file,
        "turnrec.toml": config,
    }
    return Places(
        ledger_url=url,
        ledger_file=file,
        recordings=settings.recordings.dir,
        spool=settings.recordings.spool_dir,
        keep_parts=settings.recordings.keep_parts,
        checkpoints=settings.ledger.checkpoints_file or default_checkpoints_file(settings),
        flow=settings.flow.path,
        public_key=None if key is None else key.with_name(key.name + ".pub"),
        control_socket=settings.server.control_socket,
        secrets={name: path for name, path in secrets.items() if path is not None},
    )
