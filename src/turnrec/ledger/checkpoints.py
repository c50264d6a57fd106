"""What a checkpoint is: a chain's head, signed; its line, and the file that the lines go to.

A hash chain shows that nothing in it was changed after the fact; it can't show that all of it was
written anew, or that its end was cut off. A signed head can, once somebody else has it: one line
of JSON each, to be copied anywhere as it is made (docs/manifest.md).

The signature is over one line of ASCII and the canonical JSON of everything else in the line:
``turnrec checkpoint 1\n{"at_us":...,"hash":"...","key":"...","ledger":"...","seq":...,"v":1}``.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from turnrec.core.errors import TurnrecError
from turnrec.ledger.chain import Head
from turnrec.ledger.entries import canonical_json
from turnrec.ledger.keys import PublicKey, SigningKey
from turnrec.ledger.lock import FILE_MODE

VERSION: Final = 1
FILE_NAME: Final = "checkpoints.jsonl"
_PREFIX: Final = b"turnrec checkpoint 1\n"
_HASH_HEX: Final = 64
_LONGEST_LINE_BYTES: Final = 4096
_LAST_US: Final = 253_402_300_799_999_999
"""The end of the year 9999, after which no date can be written; no ledger has as many entries."""
_KEYS: Final = frozenset({"v", "ledger", "seq", "hash", "at_us", "key", "signature"})


class CheckpointError(TurnrecError):
    """A line that is no checkpoint; the message says why."""

    id = "checkpoint-unreadable"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A chain's head at an instant, and who says so."""

    ledger_id: str
    """The hash of the ledger's first entry: no two ledgers begin alike."""
    head: Head
    at_us: int
    """UTC, microseconds since 1970, by the signer's clock."""
    key_id: str
    signature: bytes

    @property
    def message(self) -> bytes:
        """What is signed."""
        return _PREFIX + canonical_json(self._signed()).encode("ascii")

    @property
    def line(self) -> str:
        """The checkpoint as it is stored and published, without the line break."""
        signature = base64.b64encode(self.signature).decode("ascii")
        return canonical_json({**self._signed(), "signature": signature})

    def is_signed_by(self, key: PublicKey) -> bool:
        """Whether this key's owner has signed it."""
        return self.key_id == key.id and key.verifies(self.signature, self.message)

    def _signed(self) -> dict[str, str | int]:
        return {
            "v": VERSION,
            "ledger": self.ledger_id,
            "seq": self.head.seq,
            "hash": self.head.hash,
            "at_us": self.at_us,
            "key": self.key_id,
        }


def sign(key: SigningKey, ledger_id: str, head: Head, at_us: int) -> Checkpoint:
    """Sign a chain's head."""
    unsigned = Checkpoint(ledger_id, head, at_us, key.public.id, b"")
    return Checkpoint(ledger_id, head, at_us, key.public.id, key.sign(unsigned.message))


def read_line(line: str) -> Checkpoint:
    """Read a checkpoint's line. Its signature is not checked here.

    Raises:
        CheckpointError: it is none, or one of another version.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CheckpointError("it is no JSON: cut off, or something else") from error
    if not isinstance(found, dict) or set(found) != _KEYS:
        raise CheckpointError("it doesn't have a checkpoint's members")
    if found["v"] != VERSION:
        raise CheckpointError(f"it is of a version other than {VERSION}")
    texts = [found[name] for name in ("ledger", "hash", "key", "signature")]
    numbers = [found[name] for name in ("seq", "at_us")]
    if not all(isinstance(text, str) for text in texts) or not all(
        isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _LAST_US
        for number in numbers
    ):
        raise CheckpointError("its members are of the wrong types")
    if len(found["ledger"]) != _HASH_HEX or len(found["hash"]) != _HASH_HEX:
        raise CheckpointError("its hashes are no SHA-256")
    try:
        signature = base64.b64decode(found["signature"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointError("its signature is not base64") from error
    head = Head(found["seq"], found["hash"])
    return Checkpoint(found["ledger"], head, found["at_us"], found["key"], signature)


def read_lines(path: Path) -> Iterator[tuple[int, Checkpoint | CheckpointError]]:
    """Read a file of checkpoints, line by line, each with its number; empty lines are passed over.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE_BYTES):
            number += 1
            if not line.strip():
                continue
            try:
                yield number, read_line(line.decode("utf-8"))
            except UnicodeDecodeError:
                yield number, CheckpointError("it is no UTF-8 text")
            except CheckpointError as error:
                yield number, error


class CheckpointFile:
    """The file that checkpoints are appended to, one line each. It blocks on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, checkpoint: Checkpoint) -> None:
        """Append a line, on the disk when this returns.

        A line that a crash cut off was never a checkpoint: it is taken away first.

        Raises:
            OSError: the disk or the rights say no.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, FILE_MODE)
        try:
            end, is_whole = _end_of_lines(descriptor)
            if end < os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, end)
            data = (b"" if is_whole else b"\n") + checkpoint.line.encode("ascii") + b"\n"
            written = os.pwrite(descriptor, data, end)
            if written < len(data):
                raise OSError(f"only {written} bytes of a checkpoint could be written")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _end_of_lines(descriptor: int) -> tuple[int, bool]:
    """Where to go on writing, and whether a line ends there."""
    size = os.fstat(descriptor).st_size
    begin = max(0, size - _LONGEST_LINE_BYTES)
    tail = os.pread(descriptor, size - begin, begin)
    if not tail or tail.endswith(b"\n"):
        return size, True
    last = tail.rfind(b"\n")
    if last < 0 and begin > 0:
        return size, False  # longer than any line of ours, so not ours to cut
    return begin + last + 1, True
