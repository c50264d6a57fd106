"""docs/api.md says what the application answers: it is made from it."""

from __future__ import annotations

from tools.draw_api import DOCS, drawn


def test_the_page_of_the_api_is_as_its_routes_are() -> None:
    assert DOCS.read_text("utf-8") == drawn(), "run `.venv/bin/python -m tools.draw_api`"
