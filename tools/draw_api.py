"""Writes docs/api.md anew: tools/api.prose.md, and the routes as the application itself has them.

Run it at the top of the repository: `.venv/bin/python -m tools.draw_api`.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fastapi.routing import APIRoute

from turnrec.config import load_settings
from turnrec.service import Service
from turnrec.web.access import Right
from turnrec.web.asking import RIGHTS

DOCS: Final = Path(__file__).parents[1] / "docs" / "api.md"
PROSE: Final = Path(__file__).with_name("api.prose.md")
_PLACE: Final = "<!-- the routes -->\n"
_API: Final = ("/v1", "/metrics", "/healthz", "/readyz")
_SETTINGS: Final = """
asterisk = {ami_enabled = false}
server = {control_socket = "s"}
api = {keys_file = "keys.json"}
recordings = {dir = "r", spool_dir = "p", asterisk_spool_dir = "/p"}
ledger = {url = "sqlite:///l.db"}
flow = {path = "flow.yaml"}
"""


def drawn() -> str:
    """The page, as it should be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "flow.yaml").write_text("version: 1\nbots: {kyc: }\n", "utf-8")
        (folder / "turnrec.toml").write_text(_SETTINGS, "utf-8")
        service = Service(load_settings(folder / "turnrec.toml", {}))
        try:
            rows = sorted(_rows(service.app))
        finally:
            asyncio.run(service.ledger.close())
    lines = ["| route | what | right |", "|---|---|---|"]
    lines += [f"| `{method} {path}` | {what} | {rights} |" for path, method, what, rights in rows]
    return PROSE.read_text("utf-8").replace(_PLACE, "\n".join(lines) + "\n")


def _rows(router: Any) -> Iterator[tuple[str, str, str, str]]:
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _rows(inner)
        elif isinstance(route, APIRoute) and route.path.startswith(_API):
            what = (route.endpoint.__doc__ or "").strip().splitlines()
            if not what:
                raise ValueError(f"{route.path} has no docstring")
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield route.path, method, what[0].rstrip("."), _rights(route)


def _rights(route: APIRoute) -> str:
    found = [getattr(one.call, RIGHTS, None) for one in route.dependant.dependencies]
    needed = [one for one in found if one is not None]
    if not needed:
        return "none"
    return " or ".join(one.value for one in Right if one in needed[0]) or "any key"


if __name__ == "__main__":
    DOCS.write_text(drawn(), "utf-8")
