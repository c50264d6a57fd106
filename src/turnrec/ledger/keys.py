"""The keys that checkpoints are signed with: making, reading, naming; it signs and checks nothing
but what it is given.

Ed25519 (RFC 8032). The private key is PKCS #8 in PEM, readable by its owner alone; the public key,
for whoever is to check, is SubjectPublicKeyInfo in PEM, as `openssl pkey -pubin` reads it.

    KeyFileError              a key file that can't be used; the message says why
    ├── KeyExistsError            key-exists
    └── KeyNotPrivateError        key-not-private
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from turnrec.core.errors import TurnrecError

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
_KEY_ID_HEX: Final = 16
_LARGEST_BYTES: Final = 65_536


class KeyFileError(TurnrecError):
    """A key file that can't be read, or holds no Ed25519 key. Its content is never repeated."""

    id = "key-file"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"key file {path}: {reason}")


class KeyExistsError(KeyFileError):
    """Something lies there already; a key is never overwritten."""

    id = "key-exists"


class KeyNotPrivateError(KeyFileError):
    """Others than its owner may read or change the private key."""

    id = "key-not-private"


class PublicKey:
    """What checks a signature."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.id = hashlib.sha256(raw).hexdigest()[:_KEY_ID_HEX]
        """Names the key: the first 16 hex digits of the SHA-256 of its 32 bytes."""

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Read a public key file.

        Raises:
            KeyFileError: it can't be read, or holds no Ed25519 public key.
        """
        try:
            key = serialization.load_pem_public_key(_read(path))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyFileError(path, "it is no public key in PEM") from error
        if not isinstance(key, Ed25519PublicKey):
            raise KeyFileError(path, "it is a public key, but not of Ed25519")
        return cls(key)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key's owner signed exactly that message."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """What signs."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """Read a private key file.

        Raises:
            KeyNotPrivateError: others may read or change it.
            KeyFileError: it can't be read, or holds no unencrypted Ed25519 private key.
        """
        data = _read(path, private=True)
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyFileError(path, "it is no unencrypted private key in PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(path, "it is a private key, but not of Ed25519")
        return cls(key)

    def sign(self, message: bytes) -> bytes:
        """Sign."""
        return self._key.sign(message)


def make_key(path: Path) -> tuple[Path, PublicKey]:
    """Make a key pair: the private key at `path` (0600), the public one beside it (`.pub`).

    Raises:
        KeyExistsError: one of the two is there already.
        KeyFileError: they can't be written.
    """
    key = Ed25519PrivateKey.generate()
    public = path.with_name(path.name + ".pub")
    private_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _create(path, private_pem, PRIVATE_MODE)
    try:
        _create(public, public_pem, PUBLIC_MODE)
    except KeyFileError:
        with suppress(OSError):
            path.unlink()
        raise
    return public, PublicKey(key.public_key())


def _create(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise KeyExistsError(path, "it is there already, and never overwritten") from error
    except OSError as error:
        raise KeyFileError(path, str(error.strerror)) from error


def _read(path: Path, *, private: bool = False) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if private and stat.S_IMODE(mode) & 0o177:
                raise KeyNotPrivateError(
                    path,
                    f"its rights are {stat.S_IMODE(mode):04o}; only its owner may read it"
                    f" (chmod 600)",
                )
            return file.read(_LARGEST_BYTES)
    except OSError as error:
        raise KeyFileError(path, str(error.strerror)) from error
