"""The browser, and a mock of the API with the made-up calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.page import chromium, mock_calls
from tests.page.browsing import Visitor, visiting
from tests.page.mock_api import MockServer, serving
from tests.page.mock_state import MockState
from tests.pbx.conftest import asterisk_22

__all__ = ["asterisk_22"]


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """Chromium's executable; an error that says its cure where there is none."""
    return chromium.find()


@pytest.fixture
async def browser(chromium_path: Path) -> AsyncIterator[Browser]:
    """A Chromium without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path, args=list(chromium.ARGUMENTS)
        )
        yield browser
        await browser.close()


@pytest.fixture
async def state() -> MockState:
    """What the mock tells of: a key for everything, and no call yet."""
    state = MockState()
    mock_calls.key(state)
    return state


@pytest.fixture
async def server(state: MockState) -> AsyncIterator[MockServer]:
    """The mock."""
    async with serving(state) as server:
        yield server


@pytest.fixture
async def visitor(browser: Browser, server: MockServer) -> AsyncIterator[Visitor]:
    """Somebody at the page, not signed in yet."""
    async with visiting(browser, server.url) as visitor:
        yield visitor
