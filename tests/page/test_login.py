"""The way in: a good key, a wrong one, no server; what a key may not do isn’t offered."""

from __future__ import annotations

from playwright.async_api import Browser, expect

from tests.page import mock_calls
from tests.page.browsing import Visitor, visiting
from tests.page.mock_api import GOOD_KEY, MockServer
from tests.page.mock_state import MockState


async def test_a_wrong_key_is_told_from_a_server_that_is_away(
    visitor: Visitor, server: MockServer
) -> None:
    await visitor.sign_in("trk_wrong")
    alert = visitor.page.get_by_role("alert")
    await expect(alert).to_contain_text("doesn’t know this key")
    await server.stop()
    await visitor.page.get_by_role("button", name="Sign in").click()
    await expect(alert).to_contain_text("does not answer")
    await server.start()
    await visitor.page.get_by_label("API key").fill(GOOD_KEY)
    await visitor.page.get_by_role("button", name="Sign in").click()
    await expect(visitor.page.get_by_role("heading", name="Calls now")).to_be_visible()


async def test_a_key_is_forgotten_with_the_window_unless_it_is_to_be_remembered(
    visitor: Visitor,
) -> None:
    page = visitor.page
    await visitor.sign_in()
    await expect(page.get_by_role("heading", name="Calls now")).to_be_visible()
    assert await page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 1]
    await page.get_by_label("Signed in with the key desk").click()
    await page.get_by_role("button", name="Sign out").click()
    assert await page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    await visitor.sign_in(remember=True, person="anna")
    await expect(page.get_by_role("heading", name="Calls now")).to_be_visible()
    assert await page.evaluate("[localStorage.length, sessionStorage.length]") == [2, 0]
    await page.reload()
    await expect(page.get_by_role("heading", name="Calls now")).to_be_visible()


async def test_a_key_that_is_revoked_leads_back_to_the_login(
    visitor: Visitor, state: MockState
) -> None:
    await visitor.sign_in()
    await expect(visitor.page.get_by_role("heading", name="Calls now")).to_be_visible()
    state.keys.clear()
    await visitor.go("recordings")
    await expect(visitor.page.get_by_role("alert")).to_contain_text("doesn’t know this key")
    assert await visitor.page.evaluate("sessionStorage.length") == 0


async def test_what_a_key_may_not_do_is_not_offered(
    browser: Browser, state: MockState, server: MockServer
) -> None:
    mock_calls.few_calls(state)
    mock_calls.a_talk(state)
    for name, rights in (("watcher", ["read"]), ("auditor", ["audit"])):
        mock_calls.key(state, name, rights, f"trk_{name}")
    async with visiting(browser, server.url) as watcher:
        await watcher.sign_in("trk_watcher")
        await expect(watcher.page.locator("tr[data-call]")).to_have_count(8)
        await expect(watcher.page.locator("[data-action]")).to_have_count(0)
        await watcher.go(f"recordings/{mock_calls.TALK}")
        await expect(watcher.page.locator("[data-control=play]")).to_be_enabled()
        await expect(watcher.page.get_by_role("button", name="Delete")).to_have_count(0)
    async with visiting(browser, server.url) as auditor:
        await auditor.sign_in("trk_auditor")
        await expect(auditor.page.get_by_role("heading", name="Recordings")).to_be_visible()
        await expect(auditor.page.get_by_role("link", name="Calls now")).to_have_count(0)
        await auditor.go(f"recordings/{mock_calls.TALK}")
        await expect(auditor.page.get_by_text("Your key has no right to listen")).to_be_visible()
        await expect(auditor.page.get_by_text("Proven", exact=True)).to_be_visible()
