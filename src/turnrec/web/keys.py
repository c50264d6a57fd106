"""API keys: made, revoked and recognised. Only their hashes are kept, in one file of the service's.

A key is `trk_ID_SECRET` with 256 random bits, so one SHA-256 is hash enough. The file is read
again when it has changed: a key that is revoked is refused at the next request.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from turnrec.core.entry import Origin
from turnrec.core.errors import InvalidNameError, RefusedError, TurnrecError
from turnrec.core.policy import check_name
from turnrec.web.access import Access, Right

logger = logging.getLogger(__name__)

_KEY: Final = re.compile(r"trk_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_VERSION: Final = 1
_ID_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


class KeysFileError(TurnrecError):
    """The file of API keys can't be read or written; no key is good until it can."""

    id = "api-keys-unreadable"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")


class KeyExistsError(RefusedError):
    """There is a key by this name already."""

    id = "api-key-exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is an API key {name!r} already: revoke it, or take another name")


class UnknownKeyError(RefusedError):
    """There is no key by this name."""

    id = "unknown-api-key"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no API key {name!r}; `turnrec api-key list` shows them")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, as it is kept."""

    id: str
    name: str
    rights: frozenset[Right]
    bots: frozenset[str] | None
    """The only bots it is good for; None: all."""
    sha256: str
    created_us: int
    revoked_us: int | None = None

    @property
    def access(self) -> Access:
        """What whoever has it may do."""
        return Access(self.name, self.rights, Origin.HTTP, self.bots)


class KeyRing:
    """The keys in a file."""

    def __init__(self, path: Path, *, on_change: Callable[[ApiKey, str], None] | None = None):
        """Read them at the first use.

        Args:
            path: the file. One that isn't there holds no key.
            on_change: told of each key that was `made` or `revoked` since the last look.
        """
        self.path = path
        self._on_change = on_change
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, ApiKey] = {}
        self._has_read = False

    def keys(self) -> tuple[ApiKey, ...]:
        """All keys, revoked ones too, oldest first.

        Raises:
            KeysFileError: the file can't be read.
        """
        self._refresh()
        return tuple(self._keys.values())

    @property
    def has_any(self) -> bool:
        """Whether there is a key that is good."""
        return any(one.revoked_us is None for one in self.keys())

    def recognise(self, presented: str) -> Access | None:
        """Whose key this is; None: no good key.

        Raises:
            KeysFileError: the file can't be read.
        """
        found = _KEY.fullmatch(presented)
        self._refresh()
        key = None if found is None else self._keys.get(found[1])
        if key is None or found is None:
            return None
        is_right = hmac.compare_digest(key.sha256, _hash(found[2]))
        return key.access if is_right and key.revoked_us is None else None

    def make(
        self, name: str, rights: frozenset[Right], bots: frozenset[str] | None, now_us: int
    ) -> str:
        """Make a key and return it: it can't be shown again.

        Raises:
            InvalidNameError: the name, or a bot's.
            KeyExistsError: the name is taken by a key that is good.
            KeysFileError: the file can't be read or written.
        """
        check_name(name, "key's name")
        for bot in bots or ():
            check_name(bot, "bot's name")
        with self._changing() as keys:
            if any(one.name == name and one.revoked_us is None for one in keys.values()):
                raise KeyExistsError(name)
            key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(12))
            secret = secrets.token_urlsafe(32)
            keys[key_id] = ApiKey(key_id, name, rights, bots, _hash(secret), now_us)
        return f"trk_{key_id}_{secret}"

    def revoke(self, name: str, now_us: int) -> None:
        """Revoke a key: it is refused from now on.

        Raises:
            UnknownKeyError: no good key has this name.
            KeysFileError: the file can't be read or written.
        """
        with self._changing() as keys:
            found = [one for one in keys.values() if one.name == name and one.revoked_us is None]
            if not found:
                raise UnknownKeyError(name[:64])
            for one in found:
                keys[one.id] = _revoked(one, now_us)

    # -------------------------------------------------------------- the file

    def _refresh(self) -> None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            seen = None
        except OSError as error:
            raise KeysFileError(self.path, error.strerror or "can't be read") from error
        else:
            seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if self._has_read and seen == self._seen:
            return
        fresh = {} if seen is None else _read(self.path)
        before, self._keys, self._seen = self._keys, fresh, seen
        if self._has_read and self._on_change is not None:
            for change, key in _changes(before, fresh):
                self._on_change(key, change)
        self._has_read = True

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, ApiKey]]:
        """Change the file as a whole, under a lock that every process keeps to."""
        try:
            self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            lock_path = self.path.with_name(self.path.name + ".lock")
            with lock_path.open("a") as lock:
                _give_to_owner(lock.fileno(), self.path)
                fcntl.flock(lock, fcntl.LOCK_EX)
                keys = _read(self.path) if self.path.exists() else {}
                yield keys
                _write(self.path, keys)
        except OSError as error:
            raise KeysFileError(self.path, error.strerror or "can't be written") from error


def _changes(before: dict[str, ApiKey], after: dict[str, ApiKey]) -> Iterator[tuple[str, ApiKey]]:
    for key_id, key in after.items():
        old = before.get(key_id)
        if old is None:
            yield "made", key
        if key.revoked_us is not None and (old is None or old.revoked_us is None):
            yield "revoked", key
    for key_id, key in before.items():
        if key_id not in after and key.revoked_us is None:
            yield "revoked", key


def _revoked(key: ApiKey, now_us: int) -> ApiKey:
    return ApiKey(key.id, key.name, key.rights, key.bots, key.sha256, key.created_us, now_us)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


_NOT_KEYS: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    InvalidNameError,
)
"""What garbage in the file comes to."""


def _read(path: Path) -> dict[str, ApiKey]:
    try:
        text = path.read_text("utf-8")
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise KeysFileError(path, why) from error
    if mode & 0o022:
        raise KeysFileError(path, "others may write it: chmod 600 it")
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            raise KeysFileError(path, "is of another version of turnrec")
        keys = [_parse(one) for one in document["keys"]]
    except _NOT_KEYS as error:
        raise KeysFileError(path, f"is no file of API keys ({type(error).__name__})") from error
    return {key.id: key for key in keys}


def _parse(one: Any) -> ApiKey:
    rights, bots, sha256 = one["rights"], one["bots"], one["sha256"]
    # A word instead of a list would be taken letter by letter.
    if not isinstance(rights, list) or not isinstance(bots, list | None):
        raise TypeError("no list")
    if _SHA256.fullmatch(sha256) is None:
        raise ValueError("no hash")
    return ApiKey(
        id=str(one["id"]),
        name=check_name(str(one["name"]), "key's name"),
        rights=frozenset(Right(word) for word in rights),
        bots=None if bots is None else frozenset(check_name(bot, "bot's name") for bot in bots),
        sha256=sha256,
        created_us=int(one["created_us"]),
        revoked_us=None if one["revoked_us"] is None else int(one["revoked_us"]),
    )


def _give_to_owner(descriptor: int, path: Path) -> None:
    """Where root makes a key, the service's user must be able to read it, and to make the next."""
    if os.geteuid() == 0:
        owner = (path if path.exists() else path.parent).stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _write(path: Path, keys: dict[str, ApiKey]) -> None:
    document = {
        "version": _VERSION,
        "keys": [
            {
                "id": key.id,
                "name": key.name,
                "rights": sorted(key.rights),
                "bots": None if key.bots is None else sorted(key.bots),
                "sha256": key.sha256,
                "created_us": key.created_us,
                "revoked_us": key.revoked_us,
            }
            for key in keys.values()
        ],
    }
    # mkstemp's file is its owner's alone.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            _give_to_owner(descriptor, path)
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
