"""The docs site builds without a warning, and asks nothing of any other site."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parents[2]


class _Asked(HTMLParser):
    """What a browser fetches of itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        fetched = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
        if tag in fetched and given.get("rel") != "canonical":
            self.urls.append(given.get(fetched[tag]) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # strict: a page that nobody links to, a broken link or anchor ends the build.
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    return folder


def test_every_page_of_the_docs_is_on_the_site(site: Path) -> None:
    pages = {one.with_suffix(".html").name for one in (ROOT / "docs").glob("*.md")}
    assert pages <= {one.name for one in site.glob("*.html")}


def test_a_page_fetches_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        asked = _Asked()
        asked.feed(page.read_text("utf-8"))
        assert asked.urls
        assert [url for url in asked.urls if re.match(r"(\w+:)?//", url)] == [], page.name


def test_what_pages_link_to_outside_the_docs_is_there(site: Path) -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for name in re.findall(r"\]\(\.\./([^)#]+)", page.read_text("utf-8")):
            shown = (site / "files" / name.rstrip("/")).with_suffix("")
            assert list(shown.parent.glob(f"{shown.name}*")), f"{page.name}: {name}"


def test_dialplan_and_flow_of_the_guide_are_the_examples_that_are_run() -> None:
    page = (ROOT / "docs" / "dialplan.md").read_text("utf-8")
    blocks = re.findall(r"```(?:ini|yaml)\n(.*?)```", page, re.DOTALL)
    examples = [
        (ROOT / "examples" / name).read_text("utf-8")
        for name in ("dialplan/extensions.conf", "flow.yaml")
    ]
    assert len(blocks) == 2
    for block in blocks:
        assert any(block in example for example in examples), block
