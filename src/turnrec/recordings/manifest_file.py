"""A manifest's one spelling and its file: read, checked, and written whole or not at all.

ManifestError                 a manifest that can't be used; the message says why
├── ManifestMissingError          manifest-missing
├── ManifestUnreadableError       manifest-unreadable    empty, cut, no JSON, or no rights
├── ManifestForeignError          manifest-foreign       JSON, but no manifest of turnrec's
├── ManifestVersionError          manifest-version       older or newer than this turnrec knows
├── ManifestSchemaError           manifest-schema        it breaks the published schema
├── ManifestNotCanonicalError     manifest-not-canonical spelt otherwise than turnrec does
└── ManifestNotWrittenError       manifest-not-written
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from turnrec.core.errors import TurnrecError
from turnrec.recordings.disk import sync_folder
from turnrec.recordings.manifest import FORMAT, SCHEMA_VERSION, Manifest

MODE: Final = 0o640
_LARGEST_BYTES: Final = 64 * 2**20


class ManifestError(TurnrecError):
    """A manifest that can't be used."""

    id = "manifest-error"

    def __init__(self, path: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{path.name}: {reason}")


class ManifestMissingError(ManifestError):
    """There is no such file."""

    id = "manifest-missing"


class ManifestUnreadableError(ManifestError):
    """It is empty, cut off, no JSON in UTF-8, too large, or the system refuses to read it."""

    id = "manifest-unreadable"


class ManifestForeignError(ManifestError):
    """It is JSON, but doesn't call itself a manifest of turnrec's."""

    id = "manifest-foreign"


class ManifestVersionError(ManifestError):
    """It has a schema version that this turnrec doesn't know."""

    id = "manifest-version"


class ManifestSchemaError(ManifestError):
    """It breaks the published schema."""

    id = "manifest-schema"


class ManifestNotCanonicalError(ManifestError):
    """It says something in another spelling than turnrec's own: somebody else wrote it."""

    id = "manifest-not-canonical"


class ManifestNotWrittenError(ManifestError):
    """The disk is full, the folder is gone, the rights are missing, or it reads back otherwise."""

    id = "manifest-not-written"


# ------------------------------------------------------------------ the one spelling


def canonical(value: object) -> bytes:
    """The one spelling of a JSON value: RFC 8785 for what has no fractions, and a line break."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "backslashreplace") + b"\n"


def to_bytes(manifest: Manifest) -> bytes:
    """A manifest as its file holds it."""
    return canonical(manifest.model_dump(mode="json"))


def from_bytes(data: bytes, path: Path) -> Manifest:
    """Read a manifest; `path` is for the error's message only.

    Raises:
        ManifestError: it is none, or none that this turnrec knows; its subclass and id say why.
    """
    if not data.strip():
        raise ManifestUnreadableError(path, "it is empty")
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ManifestUnreadableError(path, "it is no JSON: cut off, or something else") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ManifestForeignError(path, "it is not a manifest of turnrec's")
    version = found.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        advice = "upgrade turnrec to check it" if newer else "no such version was ever published"
        raise ManifestVersionError(
            path,
            f"it has schema version {str(version)[:20]}, this turnrec knows {SCHEMA_VERSION};"
            f" {advice}",
        )
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ManifestSchemaError(path, f"{where or 'it'}: {first['msg']}") from error
    if to_bytes(manifest) != data:
        raise ManifestNotCanonicalError(
            path, "it isn't spelt as turnrec spells it: something else has written it"
        )
    return manifest


# ------------------------------------------------------------------ the file


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """Read a manifest's file; return it and the file's SHA-256. Symbolic links are not followed.

    Raises:
        ManifestError: it is none, or none that this turnrec knows; its subclass and id say why.
    """
    data = _read(path)
    return from_bytes(data, path), hashlib.sha256(data).hexdigest()


def write_manifest(path: Path, manifest: Manifest) -> str:
    """Write a manifest's file, whole or not at all; return its SHA-256. It blocks on the disk.

    Raises:
        ManifestNotWrittenError: it could not be written, or doesn't read back as it was.
    """
    data = to_bytes(manifest)
    passing = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    try:
        descriptor = os.open(passing, flags, MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, MODE)  # whatever the umask took away
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            passing.replace(path)
        except BaseException:
            with suppress(OSError):
                passing.unlink()
            raise
        sync_folder(path.parent)
        if _read(path) != data:
            raise ManifestNotWrittenError(path, "it reads back otherwise than it was written")
    except OSError as error:
        raise ManifestNotWrittenError(path, str(error.strerror)) from error
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> bytes:
    # Without O_NONBLOCK a pipe of that name would be waited for, for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        raise ManifestMissingError(path, "it is missing") from error
    except OSError as error:
        raise ManifestUnreadableError(path, str(error.strerror)) from error
    if data is None or len(data) > _LARGEST_BYTES:
        raise ManifestUnreadableError(path, "it is no regular file, or far too large")
    return data
