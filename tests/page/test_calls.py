"""Calls now, and one call: what is shown, how actions go, and that a refusal is understood."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.page import mock_calls
from tests.page.browsing import Visitor
from tests.page.mock_state import MockState, now_us

REC, TURN, OPERATOR = ("01K0CALL" + name.rjust(18, "0") for name in ("REC", "TURN", "OPER"))


async def test_every_state_has_its_word_its_shape_and_who_holds(
    visitor: Visitor, state: MockState
) -> None:
    mock_calls.few_calls(state)
    await visitor.sign_in()
    told = {
        REC: ("Recording", "nobody"),
        TURN: ("Paused", "the bot’s turn ask_aadhaar"),
        OPERATOR: ("Paused", "an operator"),
        "01K0CALL" + "AGENT".rjust(18, "0"): ("Paused", "the agent policy"),
        "01K0CALL" + "FAULT".rjust(18, "0"): ("Fault", "a fault and the bot’s turn ask_otp"),
        "01K0CALL" + "OFF".rjust(18, "0"): ("Not recording", "nobody"),
        "01K0CALL" + "STOP".rjust(18, "0"): ("Stopped", "nobody"),
    }
    for call_id, (word, holder) in told.items():
        row = visitor.row(call_id)
        await expect(row.locator(".badge")).to_have_text(word)
        await expect(row.locator(".badge svg")).to_have_count(1)
        await expect(row.locator(".held")).to_contain_text(holder)
        offered = await row.locator("[data-action]:not(.locked)").evaluate_all(
            "all => all.map(one => one.dataset.action)"
        )
        assert offered == [
            one
            for one in ("start", "pause", "resume", "stop")
            if one in state.calls[call_id]["allowed"]
        ]
    ticking = visitor.row(REC).locator("[data-since]")
    first = await ticking.inner_text()
    assert re.fullmatch(r"\d+:\d\d", first)
    await expect(ticking).not_to_have_text(first)


async def test_an_action_asks_for_a_reason_and_shows_progress_until_it_is_confirmed(
    visitor: Visitor, state: MockState
) -> None:
    mock_calls.few_calls(state)
    await visitor.sign_in(person="anna")
    state.confirm.clear()
    row = visitor.row(REC)
    await visitor.act(row, "pause", reason="card number on the line")
    await expect(row.locator("[data-action=pause]")).to_have_text(re.compile("Pausing…"))
    await expect(row.locator("[data-action=pause]")).to_have_attribute("aria-busy", "true")
    await expect(row.locator(".badge")).to_have_text("Recording")
    state.confirm.set()
    await expect(row.locator(".badge")).to_have_text("Paused")
    await expect(row.locator(".held")).to_have_text("an operator")
    (asked,) = state.asked
    assert asked["action"] == "pause"
    assert asked["as"] == "operator"
    assert asked["reason"] == "card number on the line"
    assert asked["actor"] == "anna"
    assert asked["idempotency"]
    await expect(visitor.page.locator("#said")).to_contain_text("Paused")


async def test_a_stop_says_that_it_is_final_and_can_be_thought_better_of(
    visitor: Visitor, state: MockState
) -> None:
    mock_calls.few_calls(state)
    await visitor.sign_in()
    row = visitor.row(REC)
    await row.locator("[data-action=stop]").click()
    window = visitor.page.get_by_role("dialog")
    await expect(window).to_contain_text("final")
    await window.get_by_role("button", name="Cancel").click()
    await expect(window).to_be_hidden()
    await expect(row.locator("[data-action=stop]")).to_be_focused()
    assert state.asked == []
    await visitor.act(row, "stop")
    await expect(row.locator(".badge")).to_have_text("Stopped")


async def test_a_turn_that_is_held_refuses_an_operators_resume_with_a_sentence(
    visitor: Visitor, state: MockState
) -> None:
    mock_calls.few_calls(state)
    await visitor.sign_in()
    row = visitor.row(TURN)
    locked = row.get_by_role("button", name="Resume: locked, held by the bot’s turn ask_aadhaar")
    await locked.click()
    sentence = (
        "The bot is holding this recording for its turn ask_aadhaar. It resumes when the bot"
        " moves on."
    )
    await expect(row.locator(".notice")).to_have_text(sentence)
    await expect(visitor.page.locator("#said")).to_contain_text(sentence)
    await row.get_by_role("button", name="Dismiss this message").click()
    await expect(row.locator(".notice")).to_have_count(0)
    # The operator's own pause is lifted, and the bot's stays: that is told, too.
    state.change(OPERATOR, holds=["operator", "turn"])
    await expect(visitor.row(OPERATOR).locator(".held")).to_contain_text("the bot’s turn")
    await visitor.act(visitor.row(OPERATOR), "resume")
    await expect(visitor.row(OPERATOR).locator(".notice")).to_contain_text(
        "Your own pause is lifted. The bot is holding"
    )


async def test_calls_are_filtered_by_state_bot_and_words_and_empty_views_say_so(
    visitor: Visitor, state: MockState
) -> None:
    page = visitor.page
    await visitor.sign_in()
    await expect(page.get_by_role("heading", name="No call at the moment")).to_be_visible()
    mock_calls.few_calls(state)
    rows = page.locator("tr[data-call]")
    await expect(rows).to_have_count(8)
    await page.get_by_role("button", name="3 Paused").click()
    await expect(rows).to_have_count(3)
    await page.locator(".filters select").select_option("kyc")
    await expect(rows).to_have_count(1)
    await page.get_by_role("searchbox").fill("nothing like it")
    await expect(page.get_by_role("heading", name="No call is like this")).to_be_visible()
    await page.get_by_role("button", name="Show all calls").click()
    await expect(rows).to_have_count(8)
    await page.get_by_role("searchbox").fill("ORD-58213")
    await expect(rows).to_have_count(1)


async def test_a_call_that_ends_is_shown_a_little_longer_and_then_goes(
    visitor: Visitor, state: MockState
) -> None:
    mock_calls.few_calls(state)
    await visitor.sign_in()
    await visitor.row(REC).locator(".row-link").focus()
    state.end(REC)
    await expect(visitor.row(REC).locator(".badge")).to_have_text("Ended")
    await expect(visitor.row(REC).locator("[data-action]")).to_have_count(0)
    await expect(visitor.row(REC)).to_have_count(0)
    # Whoever was there by keyboard is at the next row.
    assert await visitor.page.evaluate("document.activeElement.className") == "row-link"


async def test_a_calls_timeline_grows_while_it_talks(visitor: Visitor, state: MockState) -> None:
    state.add_call(REC, "kyc", at_us=now_us() - 26_000_000, node="confirm")
    mock_calls.a_story(state, REC, now_us() - 26_000_000, None)
    await visitor.sign_in()
    await visitor.go(f"calls/{REC}")
    page = visitor.page
    events = page.locator(".events li")
    await expect(events).to_have_count(len(state.events))
    await expect(page.locator(".lane.record .block.paused")).to_have_count(1)
    await expect(page.locator(".lane.turns .block")).to_have_count(3)
    await expect(page.locator(".lane.agents")).to_have_count(0)
    state.change(REC, state="paused", holds=["agent"])
    parties = [{"channel": "PJSIP/agent-7", "party": "agent"}]
    state.event("agent.bridged", REC, state="paused", holds=["agent"], parties=parties)
    await expect(page.locator(".lane.agents .block")).to_have_count(1)
    await expect(events.first).to_contain_text("The caller hears agent PJSIP/agent-7")
    await expect(page.locator(".lane.record .block.paused")).to_have_count(2)
    state.end(REC)
    await expect(events.first).to_contain_text("the call ended")
    await expect(page.locator(".now")).to_have_count(0)


async def test_names_are_only_ever_text(visitor: Visitor, state: MockState) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    state.add_call(REC, nasty, node=nasty, channel=nasty, state="paused", holds=["turn"])
    state.event("turn.begun", REC, node=nasty, state="paused", holds=["turn"])
    await visitor.sign_in()
    await expect(visitor.row(REC).locator(".node")).to_have_text(nasty)
    await visitor.go(f"calls/{REC}")
    await expect(visitor.page.locator(".events li")).to_contain_text(nasty)
    await expect(visitor.page.locator("img")).to_have_count(0)
