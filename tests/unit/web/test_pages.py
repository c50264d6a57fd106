"""The page's static files: what is served, how, and that nothing else is."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from turnrec.web.pages import HEADERS, PAGE_DIR, WAVESURFER_STYLE, page_routes

FILES = sorted(path for path in PAGE_DIR.rglob("*") if path.is_file())
MODULES = [path for path in FILES if path.suffix == ".js" and "vendor" not in path.parts]


def client(folder: Path = PAGE_DIR) -> httpx.AsyncClient:
    app = FastAPI(openapi_url=None)
    app.include_router(page_routes(folder))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://turnrec")


async def test_every_file_is_served_with_its_type_and_a_strict_policy() -> None:
    async with client() as web:
        start = await web.get("/")
        assert start.text == (PAGE_DIR / "index.html").read_text("utf-8")
        types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
        for path in FILES:
            if path.suffix not in types:
                continue
            answer = await web.get(f"/{path.relative_to(PAGE_DIR).as_posix()}")
            assert answer.content == path.read_bytes()
            assert answer.headers["content-type"].startswith(types[path.suffix])
            assert answer.headers.items() >= {k.lower(): v for k, v in HEADERS.items()}.items()


def test_the_policy_lets_nothing_through_that_was_not_shipped() -> None:
    rules = dict(
        rule.partition(" ")[::2] for rule in HEADERS["Content-Security-Policy"].split("; ")
    )
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert rules["media-src"] == "'self' blob:"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_the_one_inline_style_is_the_one_that_wavesurfer_writes() -> None:
    source = (PAGE_DIR / "vendor/wavesurfer/wavesurfer.esm.js").read_text("utf-8")
    height = re.search(r"HEIGHT_PX = (\d+);", (PAGE_DIR / "js/player.js").read_text("utf-8"))
    (style,) = re.findall(r">(\\n        :host \{.*?)</style>", source)
    written = re.sub(r"\$\{this\.getHeight\(.*?\)\}", height[1] if height else "", style)
    text = written.replace("\\n", "\n")
    assert "$" not in text
    digest = hashlib.sha256(text.encode()).digest()
    assert f"sha256-{base64.b64encode(digest).decode()}" == WAVESURFER_STYLE


async def test_what_has_not_changed_is_not_sent_again() -> None:
    async with client() as web:
        first = await web.get("/js/main.js")
        tag = first.headers["etag"]
        again = await web.get("/js/main.js", headers={"If-None-Match": f'W/"x", {tag}'})
        other = await web.get("/js/main.js", headers={"If-None-Match": '"x"'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert other.status_code == 200
        assert first.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/../pages.py",
        "/js/../../pages.py",
        "/%2e%2e/pages.py",
        "/js/%2e%2e/%2e%2e/pages.py",
        "/js%2fmain.js%00",
        "//etc/passwd",
        "/vendor/README.md",
        "/js",
        "/js/",
        "/nothing.js",
    ],
)
async def test_no_path_leads_to_another_file(path: str) -> None:
    async with client() as web:
        answer = await web.get(httpx.URL("http://turnrec").copy_with(raw_path=path.encode()))
        assert answer.status_code == 404


async def test_a_link_out_of_the_folder_and_odd_files_are_not_served(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<p>hello</p>", "utf-8")
    (folder / "notes.py").write_text("secret", "utf-8")
    (tmp_path / "outside.js").write_text("secret", "utf-8")
    (folder / "link.js").symlink_to(tmp_path / "outside.js")
    async with client(folder) as web:
        assert (await web.get("/index.html")).text == (await web.get("/")).text == "<p>hello</p>"
        assert (await web.get("/notes.py")).status_code == 404
        assert (await web.get("/link.js")).status_code == 404
        assert (await web.post("/")).status_code == 405
        assert (await web.head("/")).content == b""


def test_the_page_makes_html_of_nothing_that_it_was_told() -> None:
    """Names come from dialplans and callers: they are only ever text."""
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|unsafe-?HTML|eval\(")
    assert [path.name for path in MODULES if ways.search(path.read_text("utf-8"))] == []


def test_the_page_names_no_other_host() -> None:
    own = [path for path in FILES if "vendor" not in path.parts]
    texts = {path.name: path.read_text("utf-8").replace("http://www.w3.org/", "") for path in own}
    assert [name for name, text in texts.items() if re.search(r"https?://", text)] == []


def test_modules_are_short_and_say_what_they_are_for() -> None:
    for path in MODULES:
        text = path.read_text("utf-8")
        assert text.startswith("/** "), path.name
        assert len(text.splitlines()) <= 300, path.name


def test_what_is_vendored_comes_with_its_licence_and_version() -> None:
    listed = (PAGE_DIR / "vendor/README.md").read_text("utf-8")
    for folder in (one for one in (PAGE_DIR / "vendor").iterdir() if one.is_dir()):
        assert (folder / "LICENSE").is_file()
        assert re.search(rf"`{folder.name}/` \| `[\w.-]+` \| [\d.]+ \|", listed)
