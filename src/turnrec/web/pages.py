"""Serves the page's own static files at `/`; they hold no data, and nothing else is ever served.

All files are read once, at the start: no request ever reaches the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, Request, Response

PAGE_DIR: Final = Path(__file__).parent / "page"
INDEX: Final = "index.html"

_MEDIA_TYPES: Final = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        "": "text/plain; charset=utf-8",  # LICENSE
    }
)
"""What is served, by suffix; a file with another one is not."""

WAVESURFER_STYLE: Final = "sha256-4hGoO+X6KXe8Gw08N/aBKwvHEYryxn/8CNSB0dTq+m0="
"""The one inline style: wavesurfer.js writes it into its shadow root, at the page's height."""

_CSP: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' '{WAVESURFER_STYLE}'",
        "img-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = MappingProxyType(
    {
        "Content-Security-Policy": _CSP,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        # Asked for again each time, answered with 304: after an upgrade no old module meets a new.
        "Cache-Control": "no-cache",
    }
)


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


def page_routes(folder: Path = PAGE_DIR) -> APIRouter:
    """Read the files, and build a route for each: no other path is known.

    Raises:
        OSError: they can't be read.
    """
    router = APIRouter(include_in_schema=False)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix in _MEDIA_TYPES:
            name = path.relative_to(folder).as_posix()
            endpoint = _endpoint(_read(path))
            for address in ("/", f"/{name}") if name == INDEX else (f"/{name}",):
                router.add_route(address, endpoint, methods=["GET"])
    return router


def _endpoint(file: _File) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        headers = {**HEADERS, "ETag": file.etag}
        known = request.headers.get("if-none-match", "")
        if file.etag in known or known.strip() == "*":
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)

    return answer


def _read(path: Path) -> _File:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content, _MEDIA_TYPES[path.suffix], etag)
