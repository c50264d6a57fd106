"""Serves the page's own static files at `/`; they hold no data, and nothing else is ever served.

All files are read once, at the start: a request is looked up in a table and never reaches the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from starlette.responses import Response

from turnrec.web.problems import problem

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

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


class Page:
    """The page as an ASGI application, to be mounted at `/` behind all routes of the API."""

    def __init__(self, folder: Path = PAGE_DIR) -> None:
        """Read the files.

        Raises:
            OSError: they can't be read.
        """
        self._files: Mapping[str, _File] = {
            f"/{path.relative_to(folder).as_posix()}": _read(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in _MEDIA_TYPES
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        path = path.removeprefix(root) if root else path
        found = self._files.get(f"/{INDEX}" if path in ("", "/") else path)
        if found is None:
            return problem(404, "not-found", "there is no such address", HEADERS)
        if scope["method"] not in ("GET", "HEAD"):
            allowed = {**HEADERS, "Allow": "GET, HEAD"}
            return problem(405, "method-not-allowed", "this address has other methods", allowed)
        headers = {**HEADERS, "ETag": found.etag}
        known = dict(scope["headers"]).get(b"if-none-match", b"").decode("latin-1")
        if found.etag in known or known.strip() == "*":
            return Response(status_code=304, headers=headers)
        return Response(found.content, headers=headers, media_type=found.media_type)


def _read(path: Path) -> _File:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content, _MEDIA_TYPES[path.suffix], etag)
