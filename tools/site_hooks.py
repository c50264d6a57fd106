"""Lets the docs site hold what pages link to outside docs/ (samples, sources); see mkdocs.yml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT: Final = Path(__file__).parents[1]
_OUTSIDE: Final = re.compile(r"\]\(\.\./([^)#]+)")
_AS_TEXT: Final = frozenset(
    {".md", ".conf", ".toml", ".yaml", ".yml", ".py", ".sample", ".service"}
)
"""What a browser would save, run or draw is shown as the text that it is."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add each file that a page links to by `../`.

    Raises:
        FileNotFoundError: there is none: the link is broken.
    """
    named = {
        name
        for file in files.documentation_pages()
        for name in _OUTSIDE.findall(file.content_string)
    }
    for name in sorted(named):
        files.append(File.generated(config, _place(name), content=_content(name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Turn links to files outside docs/ into links to where the site has them."""
    up = "../" * page.file.src_uri.count("/")
    return _OUTSIDE.sub(lambda found: f"]({up}{_place(found[1])}", markdown)


def _content(name: str) -> str:
    path = _ROOT / name
    if path.is_dir():
        return "\n".join(sorted(one.name for one in path.iterdir())) + "\n"
    return path.read_text("utf-8")


def _place(name: str) -> str:
    path = Path(name.rstrip("/"))
    suffix = ".txt" if path.suffix in _AS_TEXT or not path.suffix else ""
    return f"files/{path.as_posix()}{suffix}"
