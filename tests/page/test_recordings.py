"""Recordings, and one recording: found, heard, its gaps jumped to, its proof read."""

from __future__ import annotations

import asyncio
import re

from playwright.async_api import Page, expect

from tests.page import mock_calls
from tests.page.browsing import WAIT_MS, Visitor
from tests.page.mock_state import MockState

AT = "Math.round(10 * Number(document.querySelector('.stage').getAttribute('aria-valuenow')))"


async def reaches(page: Page, tenths: int) -> None:
    """Wait until the player has come so far. The page's policy forbids Playwright's own waiting."""
    async with asyncio.timeout(WAIT_MS / 1000):
        while await page.evaluate(AT) <= tenths:  # noqa: ASYNC110 - it is another process's
            await asyncio.sleep(0.05)


async def test_recordings_are_searched_and_paged(visitor: Visitor, state: MockState) -> None:
    mock_calls.many_recordings(state, 60)
    page = visitor.page
    await visitor.sign_in()
    await visitor.go("recordings")
    rows = page.locator("table.recordings tbody tr")
    await expect(rows).to_have_count(25)
    newest = await rows.first.inner_text()
    await page.get_by_role("link", name="Older").click()
    await page.get_by_role("link", name="Older").click()
    await expect(page.get_by_text("Page 3")).to_be_visible()
    await expect(rows).to_have_count(10)
    await page.get_by_role("link", name="Newer").click()
    await page.get_by_role("link", name="Newer").click()
    await expect(page.get_by_text("Page 1")).to_be_visible()
    assert await rows.first.inner_text() == newest
    await page.get_by_label("Bot").fill("support")
    await page.locator("select[name=status]").select_option("Failed")
    wanted = [
        one
        for one in state.recordings.values()
        if (one["bot"], one["status"]) == ("support", "failed")
    ]
    await expect(rows).to_have_count(len(wanted))
    assert "bot=support&status=failed" in page.url
    await page.get_by_label("From").fill("2001-01-01")
    await page.get_by_label("To").fill("2001-01-02")
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_role("heading", name="No recording is like this")).to_be_visible()
    await page.get_by_role("link", name="Show all recordings").click()
    await expect(rows).to_have_count(25)
    gaps = [len(one["gaps"]) for one in sorted(state.recordings.values(), key=lambda o: o["id"])]
    shown = await page.locator("td[data-label=Gaps]").all_inner_texts()
    assert [0 if text == "none" else int(text) for text in shown] == gaps[::-1][:25]


async def test_a_recording_is_drawn_played_and_its_gap_is_jumped_to(
    visitor: Visitor, state: MockState
) -> None:
    mock_calls.a_talk(state)
    page = visitor.page
    await visitor.sign_in()
    await visitor.go(f"recordings/{mock_calls.TALK}")
    await expect(page.locator("[data-control=play]")).to_be_enabled()
    await expect(page.locator(".wave-canvas canvas").first).to_be_visible()
    gap = page.locator(".gaps .gap")
    await expect(gap).to_have_count(1)
    await expect(gap.locator("text")).to_have_text("ask_aadhaar")
    assert await page.locator(".lane.turns title").all_text_contents() == [
        "Turn welcome",
        "Turn ask_aadhaar",
        "Turn confirm",
        "Turn goodbye",
    ]
    # No sound is fetched before somebody wants to hear it: the ledger notes who does.
    span = state.recordings[mock_calls.TALK]["spans"][1]
    begins = round(10 * span["start_sample"] / 8000)
    await page.keyboard.press("n")
    assert await page.evaluate(AT) == begins
    await expect(page.locator(".stage")).to_have_attribute(
        "aria-valuetext", re.compile("not recorded: ask_aadhaar")
    )
    await page.keyboard.press("ArrowLeft")
    assert await page.evaluate(AT) == begins - 50
    async with page.expect_response("**/audio?format=wav"):
        await page.keyboard.press(" ")
    await expect(page.get_by_role("button", name="Pause the player")).to_be_visible()
    await reaches(page, begins - 40)
    # The transcript moves with it, and says where nothing was recorded.
    await reaches(page, begins + 2)
    await expect(page.locator(".entry.current")).to_contain_text("Not recorded")
    await page.keyboard.press(" ")
    await expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    await page.get_by_text("Great, thank you").click()
    after = (span["start_sample"] + span["samples"]) / 8000
    assert await page.evaluate(AT) == round(10 * after + 35)
    await page.locator(".gap-list button").click()
    assert await page.evaluate(AT) == begins
    await page.get_by_role("button", name="Larger").click()
    width = "document.querySelector('.stage-inner').clientWidth"
    assert await page.evaluate(f"{width} / document.querySelector('.stage').clientWidth") == 2


async def test_the_proof_is_told_in_plain_words_with_how_to_check_it(
    visitor: Visitor, state: MockState
) -> None:
    mock_calls.a_talk(state)
    page = visitor.page
    await visitor.sign_in()
    await visitor.go(f"recordings/{mock_calls.TALK}")
    proof = page.locator(".proof")
    await expect(proof.locator(".verdict")).to_contain_text("Proven")
    await expect(proof).to_contain_text("What is proven")
    await expect(proof).to_contain_text("What this doesn’t say")
    await proof.get_by_text("Check it yourself").click()
    await expect(proof).to_contain_text(f"turnrec verify {mock_calls.TALK}.wav --ledger")
    await expect(proof).to_contain_text(state.recordings[mock_calls.TALK]["sha256"])
    for button, name in (
        ("Audio", f"{mock_calls.TALK}.wav"),
        ("Manifest", f"{mock_calls.TALK}.json"),
    ):
        async with page.expect_download() as saved:
            await proof.get_by_role("button", name=button).click()
        assert (await saved.value).suggested_filename == name
    state.verifications[mock_calls.TALK] = {
        **mock_calls.PROVEN,
        "status": "wrong",
        "recordings": [
            {
                **mock_calls.PROVEN["recordings"][0],
                "findings": [
                    {"id": "audio-hash", "weight": "wrong", "sentence": "the file was changed"}
                ],
            }
        ],
    }
    await page.reload()
    await expect(proof.locator(".verdict")).to_contain_text("Something is wrong")
    await expect(proof).to_contain_text("The file was changed.")


async def test_a_failed_a_silent_a_deleted_and_an_open_recording_each_have_their_view(
    visitor: Visitor, state: MockState
) -> None:
    mock_calls.a_talk(state)
    made = mock_calls.every_outcome(state)
    page = visitor.page
    await visitor.sign_in()
    told = {
        "failed": ("This recording failed", "the disk was full"),
        "silent": ("Nothing was recorded", "paused throughout"),
        "deleted": ("This recording was deleted", "caller asked for erasure, case 1188"),
        "recording": ("Being recorded now", "Watch the call"),
    }
    for kind, (title, words) in told.items():
        await visitor.go(f"recordings/{made[kind]}")
        await expect(page.get_by_role("heading", name=title)).to_be_visible()
        await expect(page.locator("main")).to_contain_text(words)
    await visitor.go("recordings/nonsense")
    await expect(page.locator(".notice")).to_contain_text("There is no such recording")


async def test_an_admin_holds_releases_and_deletes_with_a_reason(
    visitor: Visitor, state: MockState
) -> None:
    mock_calls.a_talk(state)
    page = visitor.page
    await visitor.sign_in(person="anna")
    await visitor.go(f"recordings/{mock_calls.TALK}")
    window = page.get_by_role("dialog")
    await page.get_by_role("button", name="Legal hold").click()
    await window.get_by_role("button", name="Hold").click()
    await expect(window).to_be_visible()  # not without a reason
    await window.get_by_label("Reason").fill("case 7")
    await window.get_by_role("button", name="Hold").click()
    await expect(page.locator("main").get_by_text("It is under a legal hold now")).to_be_visible()
    await expect(page.get_by_role("button", name="Delete")).to_be_disabled()
    await page.get_by_role("button", name="Release hold").click()
    await window.get_by_label("Reason").fill("case closed")
    await window.get_by_role("button", name="Release").click()
    await page.get_by_role("button", name="Delete").click()
    await window.get_by_label("Reason").fill("asked for erasure")
    await window.get_by_role("button", name="Delete for good").click()
    await expect(page.get_by_role("heading", name="This recording was deleted")).to_be_visible()
    assert [one["reason"] for one in state.asked] == ["case 7", "case closed", "asked for erasure"]
    assert {one["actor"] for one in state.asked} == {"anna"}
