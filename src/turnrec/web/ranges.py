"""An open file over HTTP, whole or in ranges (RFC 9110, sections 13 and 14); it opens none itself.

Not starlette's FileResponse: that opens by name whatever lies there then, follows links, answers a
HEAD with 206, and a unit that it doesn't know, or one range of many beyond the end, with an error.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, Final

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from turnrec.core.errors import RefusedError
from turnrec.web.problems import problem_of

_BLOCK: Final = 1 << 16
_MOST_RANGES: Final = 16
_UNIT: Final = re.compile(r"bytes[ \t]*=(.*)", re.IGNORECASE | re.ASCII)
_RANGE: Final = re.compile(r"([0-9]{0,19})-([0-9]{0,19})")
_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class RangeNotSatisfiableError(RefusedError):
    """Nothing of the file lies in the range that was asked for."""

    id = "range-not-satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes, and the range begins behind them")


class PreconditionFailedError(RefusedError):
    """The file isn't the one that the request is about."""

    id = "precondition-failed"

    def __init__(self) -> None:
        super().__init__("the file is not the one that If-Match names")


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file to be sent. Who gets it closes it."""

    file: BinaryIO
    size: int
    etag: str
    """What tells it from every other, without quotes."""
    media_type: str
    name: str
    """What it is saved as: letters, digits, `_`, `.` and `-` only."""


def answer(request: Request, sent: OpenFile) -> Response:
    """Answer with a file, a part of it, or with why not; the file is closed in any case."""
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{sent.etag}"',
        "Content-Disposition": f'attachment; filename="{sent.name}"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    given = request.headers
    if "if-match" in given and not _names(given["if-match"], sent.etag, is_strong=True):
        sent.file.close()
        return problem_of(PreconditionFailedError())
    if "if-none-match" in given and _names(given["if-none-match"], sent.etag, is_strong=False):
        sent.file.close()
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        # Ranges are GET's alone (14.2).
        sent.file.close()
        length = {"Content-Length": str(sent.size)}
        return Response(headers={**headers, **length}, media_type=sent.media_type)
    wanted = None
    if given.get("if-range", f'"{sent.etag}"') == f'"{sent.etag}"':
        wanted = ranges_of(given.get("range", ""), sent.size)
    if wanted is None:
        return _Sent(sent, [_Piece(b"", 0, sent.size)], 200, headers, sent.media_type)
    if not wanted:
        sent.file.close()
        refusal = problem_of(RangeNotSatisfiableError(sent.size))
        refusal.headers["Content-Range"] = f"bytes */{sent.size}"
        return refusal
    if len(wanted) == 1:
        first, last = wanted[0]
        headers["Content-Range"] = f"bytes {first}-{last}/{sent.size}"
        return _Sent(sent, [_Piece(b"", first, last - first + 1)], 206, headers, sent.media_type)
    boundary = secrets.token_hex(16)
    pieces = _parts(sent, wanted, boundary)
    return _Sent(sent, pieces, 206, headers, f"multipart/byteranges; boundary={boundary}")


def ranges_of(header: str, size: int) -> list[tuple[int, int]] | None:
    """The first and last bytes that a Range header asks of a file of `size`, in its order.

    Returns:
        None: the header isn't there, or is to be ignored (14.2: another unit, no ranges at all, or
        so many, or overlapping, that somebody means harm). Empty: none can be satisfied.
    """
    unit = _UNIT.fullmatch(header.strip())
    if unit is None:
        return None
    found: list[tuple[int, int]] = []
    words = [word.strip(" \t") for word in unit[1].split(",")]
    if not any(words) or len(words) > _MOST_RANGES:
        return None
    for word in filter(None, words):
        spec = _RANGE.fullmatch(word)
        if spec is None or word == "-" or (spec[1] and spec[2] and int(spec[1]) > int(spec[2])):
            return None
        if spec[1]:
            first, last = int(spec[1]), min(int(spec[2] or size), size - 1)
        else:
            first, last = max(0, size - int(spec[2])), size - 1
        if first <= last:
            found.append((first, last))
    in_order = sorted(found)
    overlaps = any(one[1] >= two[0] for one, two in pairwise(in_order))
    return None if overlaps else found


def _names(header: str, etag: str, *, is_strong: bool) -> bool:
    """Whether a list of entity tags has this one; a weak one counts only where it may (8.8.3.2)."""
    if header.strip() == "*":
        return True
    tags = _TAG.findall(header)
    return f'"{etag}"' in (tags if is_strong else [tag.removeprefix("W/") for tag in tags])


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some bytes before a stretch of the file."""

    before: bytes
    first: int
    length: int


def _parts(sent: OpenFile, wanted: Sequence[tuple[int, int]], boundary: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    for first, last in wanted:
        head = (
            f"--{boundary}\r\nContent-Type: {sent.media_type}\r\n"
            f"Content-Range: bytes {first}-{last}/{sent.size}\r\n\r\n"
        )
        if pieces:
            head = f"\r\n{head}"
        pieces.append(_Piece(head.encode("ascii"), first, last - first + 1))
    return [*pieces, _Piece(f"\r\n--{boundary}--\r\n".encode("ascii"), 0, 0)]


class _Sent(StreamingResponse):
    """A file on its way, block by block; closed when it is there, or when nobody waits for it."""

    def __init__(
        self,
        sent: OpenFile,
        pieces: Sequence[_Piece],
        status: int,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        length = sum(len(one.before) + one.length for one in pieces)
        super().__init__(
            _read(sent.file, pieces),
            status,
            {**headers, "Content-Length": str(length)},
            media_type,
        )
        self._file = sent.file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def _read(file: BinaryIO, pieces: Sequence[_Piece]) -> AsyncIterator[bytes]:
    for piece in pieces:
        if piece.before:
            yield piece.before
        at, end = piece.first, piece.first + piece.length
        while at < end:
            block = await asyncio.to_thread(os.pread, file.fileno(), min(_BLOCK, end - at), at)
            if not block:
                raise OSError("the file has become shorter while it was sent")
            at += len(block)
            yield block
