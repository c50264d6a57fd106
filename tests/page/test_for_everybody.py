"""The page for everybody: by keyboard alone, on a phone, in the dark, with many calls at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.page import mock_calls
from tests.page.browsing import WAIT_MS, Visitor, visiting
from tests.page.mock_api import GOOD_KEY, MockServer
from tests.page.mock_state import MockState, now_us

REC = "01K0CALL" + "REC".rjust(18, "0")
MANY = 240


async def focused(visitor: Visitor) -> str:
    """What has the focus, as its reader would say it."""
    told: str = await visitor.page.evaluate(
        "(document.activeElement.getAttribute('aria-label')"
        " ?? document.activeElement.labels?.[0]?.innerText"
        " ?? document.activeElement.innerText).trim().split('\\n')[0]"
    )
    return told


async def tab_to(visitor: Visitor, name: str, most: int = 40) -> list[str]:
    """Press Tab until something of this name has the focus; what was passed on the way."""
    passed: list[str] = []
    for _ in range(most):
        await visitor.page.keyboard.press("Tab")
        passed.append(await focused(visitor))
        if passed[-1] == name:
            return passed
    raise AssertionError(f"no way to {name!r}: {passed}")


async def test_everything_goes_by_keyboard_alone(visitor: Visitor, state: MockState) -> None:
    mock_calls.few_calls(state)
    mock_calls.a_talk(state)
    keyboard = visitor.page.keyboard
    await visitor.page.goto(visitor.url)
    await expect(visitor.page.get_by_label("API key")).to_be_focused()
    await keyboard.type(GOOD_KEY)
    await keyboard.press("Enter")
    await expect(visitor.row(REC)).to_be_visible()
    await expect(visitor.page.get_by_role("heading", level=1)).to_be_focused()
    await visitor.page.reload()
    await expect(visitor.row(REC)).to_be_visible()
    passed = await tab_to(visitor, "Pause")
    order = ["To the content", "turnrec, start", "Calls now", "Recordings"]
    assert [one for one in passed if one in order] == order
    row = await visitor.page.evaluate("document.activeElement.closest('tr').dataset.call")
    ring = "getComputedStyle(document.activeElement).outlineStyle"
    assert await visitor.page.evaluate(ring) == "solid"
    await keyboard.press("Enter")
    await expect(visitor.page.get_by_label("Reason")).to_be_focused()
    await keyboard.type("by keyboard")
    await keyboard.press("Enter")
    await expect(visitor.row(row).locator(".badge")).to_have_text("Paused")
    assert state.asked[0]["reason"] == "by keyboard"
    # The focus has stayed on the row, and Escape thinks better of it.
    assert await visitor.page.evaluate("document.activeElement.closest('tr').dataset.call") == row
    await keyboard.press("Enter")
    await expect(visitor.page.get_by_role("dialog")).to_be_visible()
    await keyboard.press("Escape")
    await expect(visitor.page.get_by_role("dialog")).to_be_hidden()
    assert len(state.asked) == 1
    await visitor.row(row).locator(".row-link").focus()
    await keyboard.press("Enter")
    await expect(visitor.page.get_by_role("heading", level=1)).to_be_focused()
    await visitor.go(f"recordings/{mock_calls.TALK}")
    await expect(visitor.page.locator("[data-control=play]")).to_be_enabled()
    await tab_to(visitor, "Position in the recording")
    await keyboard.press("End")
    stage = visitor.page.locator(".stage")
    longest = await stage.get_attribute("aria-valuemax") or ""
    await expect(stage).to_have_attribute("aria-valuenow", longest)
    await keyboard.press("p")
    await expect(visitor.page.locator("#said")).to_contain_text("Gap: ask_aadhaar")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (390, "dark"), (1360, "dark")])
async def test_no_view_is_wider_than_its_window_and_all_text_stands_out(
    browser: Browser, state: MockState, server: MockServer, tmp_path: Path, width: int, scheme: str
) -> None:
    mock_calls.few_calls(state)
    mock_calls.a_talk(state)
    mock_calls.many_recordings(state, 12)
    made = mock_calls.every_outcome(state)
    mock_calls.a_story(state, REC, now_us() - 26_000_000, None)
    places = [
        "calls",
        f"calls/{REC}",
        "recordings",
        f"recordings/{mock_calls.TALK}",
        *(f"recordings/{one}" for one in made.values()),
    ]
    dark = scheme == "dark"
    async with visiting(
        browser, server.url, width=width, height=800, scheme="dark" if dark else "light"
    ) as visitor:
        await visitor.page.goto(visitor.url)
        await expect(visitor.page.get_by_label("API key")).to_be_visible()
        assert await visitor.page.evaluate(FAINT) == []
        await visitor.sign_in()
        await expect(visitor.row(REC)).to_be_visible()
        for place in places:
            await visitor.go(place)
            await expect(visitor.page.locator("main .card").first).to_be_visible()
            await expect(visitor.page.locator(".loading")).to_have_count(0)
            assert await visitor.page.evaluate(
                "document.documentElement.scrollWidth <= innerWidth"
            ), place
            assert await visitor.page.evaluate(FAINT) == [], place
            picture = tmp_path / f"{place.replace('/', '-')}.png"
            await visitor.shoot(picture)
            assert picture.stat().st_size > 10_000


async def test_colours_are_never_alone(visitor: Visitor, state: MockState) -> None:
    """Each state has a word of its own, and an outline of its own."""
    mock_calls.few_calls(state)
    await visitor.sign_in()
    await expect(visitor.page.locator("tr[data-call]")).to_have_count(8)
    badges = await visitor.page.locator("td.state .badge").evaluate_all(
        "all => all.map(one => [one.innerText, one.querySelector('svg').innerHTML])"
    )
    words, shapes = {word for word, _ in badges}, {shape for _, shape in badges}
    assert len(words) == len(shapes) == 5
    assert len({(word, shape) for word, shape in badges}) == 5


async def test_nothing_moves_for_those_who_want_it_still(
    browser: Browser, state: MockState, server: MockServer
) -> None:
    mock_calls.few_calls(state)
    async with visiting(browser, server.url, reduced_motion="reduce") as visitor:
        await visitor.sign_in()
        await expect(visitor.row(REC)).to_be_visible()
        assert await visitor.page.evaluate("document.getAnimations().length") == 0


async def test_only_rows_that_changed_are_drawn_anew_among_many(
    visitor: Visitor, state: MockState
) -> None:
    for number in range(MANY):
        state.add_call(f"01K0CALLMANY{number:04}", "kyc", node="welcome", turn=1)
    await visitor.sign_in()
    page = visitor.page
    await expect(page.locator("tr[data-call]")).to_have_count(MANY)
    await page.evaluate(
        """() => {
            window.changed = new Set();
            new MutationObserver((all) => {
                for (const one of all) {
                    const node = one.target.nodeType === 1 ? one.target : one.target.parentElement;
                    if (!node?.closest("[data-since]"))
                        changed.add(node?.closest("tr")?.dataset.call);
                }
            }).observe(document.querySelector("tbody"),
                { subtree: true, childList: true, characterData: true, attributes: true });
        }"""
    )
    touched = [f"01K0CALLMANY{number:04}" for number in range(0, MANY, 60)]
    for one in touched:
        state.change(one, state="paused", holds=["turn"], node="ask_otp", turn=2)
    for one in touched:
        await expect(visitor.row(one).locator(".badge")).to_have_text("Paused")
    assert set(await page.evaluate("[...changed]")) == set(touched)


async def test_many_changes_at_once_are_drawn_together(visitor: Visitor, state: MockState) -> None:
    names = [f"01K0CALLMANY{number:04}" for number in range(MANY)]
    for name in names:
        state.add_call(name, "kyc", node="welcome", turn=1)
    await visitor.sign_in()
    page = visitor.page
    await expect(page.locator("tr[data-call]")).to_have_count(MANY)
    browser = await page.context.new_cdp_session(page)
    await browser.send("Performance.enable")

    async def layouts() -> float:
        told = await browser.send("Performance.getMetrics")
        return float(next(x["value"] for x in told["metrics"] if x["name"] == "LayoutCount"))

    before = await layouts()
    for turn in range(2, 6):
        for name in names:
            held = {"state": "paused", "holds": ["turn"]} if turn % 2 else {}
            state.change(
                name, **{"state": "recording", "holds": [], **held}, turn=turn, node=f"n{turn}"
            )
        last = visitor.row(names[0]).locator(".node")
        async with asyncio.timeout(WAIT_MS / 1000):
            await expect(last).to_have_text(f"n{turn}")
    # What comes together is drawn together: the ticking times alone make one layout a second.
    assert await layouts() - before < 4 * MANY / 8


FAINT = """() => {
    const parse = (text) => {
        const found = text.match(/rgba?\\(([^)]+)\\)/);
        if (!found) return null;
        const [r, g, b, a = 1] = found[1].split(/[ ,/]+/).map(Number);
        return { r, g, b, a };
    };
    const over = (top, below) => ({
        r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a),
        b: top.b * top.a + below.b * (1 - top.a), a: 1,
    });
    const light = ({ r, g, b }) => {
        const [x, y, z] = [r, g, b].map((one) => {
            const share = one / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const ground = (element) => {
        const layers = [];
        for (let one = element; one; one = one.parentElement) {
            const colour = parse(getComputedStyle(one).backgroundColor);
            if (colour && colour.a > 0) layers.push(colour);
            if (colour && colour.a === 1) break;
        }
        const paper = { r: 255, g: 255, b: 255, a: 1 };
        return layers.reduceRight((below, top) => over(top, below), paper);
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim();
        const element = walker.currentNode.parentElement;
        if (!text || !element || !element.checkVisibility()) continue;
        if (element.closest("svg, .unseen, noscript, option, script")) continue;
        if (element.closest(":disabled, [aria-disabled=true], .over")) continue;
        const style = getComputedStyle(element);
        const below = ground(element);
        const front = over(parse(style.color), below);
        const [a, b] = [light(front), light(below)].sort((x, y) => y - x);
        const contrast = (a + 0.05) / (b + 0.05);
        const isLarge = parseFloat(style.fontSize) >= 24;
        if (contrast < (isLarge ? 3 : 4.5))
            faint.push([text.slice(0, 40), element.className, contrast.toFixed(2)]);
    }
    return faint;
}"""
"""Finds text with less contrast on its ground than WCAG's AA asks for."""
