"""A visitor of the page: opens it, signs in, and notes whatever the browser complains of."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

from tests.page.mock_api import GOOD_KEY

WAIT_MS = 30_000
"""How long a condition may take before a test fails; never how long anything is slept for."""
expect.set_options(timeout=WAIT_MS)
_REFUSED = re.compile(r"Failed to load resource")
"""What Chromium itself says of every answer that is no success."""


class Visitor:
    """One window."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def own_complaints(self) -> list[str]:
        """What the browser complained of, but for answers that were refusals."""
        return [text for text in self.complaints if not _REFUSED.match(text)]

    async def sign_in(
        self, key: str = GOOD_KEY, *, person: str = "", remember: bool = False
    ) -> None:
        """Come in by a key."""
        await self.page.goto(self.url)
        await self.page.get_by_label("API key").fill(key)
        if person:
            await self.page.get_by_label("Your name").fill(person)
        if remember:
            await self.page.get_by_label("Remember on this device").check()
        await self.page.get_by_role("button", name="Sign in").click()

    async def go(self, place: str) -> None:
        """Go to another view."""
        await self.page.goto(f"{self.url}/#/{place}")

    def row(self, call_id: str) -> Locator:
        """A call's row."""
        return self.page.locator(f"tr[data-call='{call_id}']")

    async def act(self, where: Locator, action: str, *, reason: str = "") -> None:
        """Press a button, and say yes to what it asks."""
        await where.locator(f"[data-action={action}]").click()
        window = self.page.get_by_role("dialog")
        if reason:
            await window.get_by_label("Reason").fill(reason)
        await window.locator("button[type=submit]").click()

    async def shoot(self, path: Path) -> None:
        """Take a picture of the whole view."""
        path.parent.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=path, full_page=True, animations="disabled")


@asynccontextmanager
async def visiting(
    browser: Browser,
    url: str,
    *,
    width: int = 1360,
    height: int = 860,
    scheme: Literal["light", "dark"] = "light",
    **more: Any,
) -> AsyncIterator[Visitor]:
    """A window, on which nothing may be complained of when it is closed."""
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, **more
    )
    try:
        visitor = Visitor(await context.new_page(), url)
        yield visitor
        assert visitor.own_complaints() == []
    finally:
        await context.close()
