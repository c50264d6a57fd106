"""A restart of the server: the page says so, comes back by itself, and has lost no event."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.page import mock_calls
from tests.page.browsing import Visitor
from tests.page.mock_api import MockServer
from tests.page.mock_state import MockState, now_us

REC, TURN = ("01K0CALL" + name.rjust(18, "0") for name in ("REC", "TURN"))


async def test_the_calls_are_as_they_are_after_a_restart(
    visitor: Visitor, state: MockState, server: MockServer
) -> None:
    mock_calls.few_calls(state)
    await visitor.sign_in()
    link = visitor.page.locator("#link-state")
    await expect(link).to_have_text("Live")
    await server.stop()
    await expect(link).to_have_text(re.compile(r"Reconnecting since \d\d:\d\d:\d\d"))
    await expect(visitor.page.locator(".notice")).to_contain_text("this is how the calls stood")
    # What happens meanwhile is in the snapshot.
    state.change(REC, state="paused", holds=["operator"])
    state.end(TURN)
    state.add_call("01K0CALLNEW", "kyc", node="welcome")
    await server.start()
    await expect(link).to_have_text("Live")
    await expect(visitor.row(REC).locator(".badge")).to_have_text("Paused")
    await expect(visitor.row(TURN)).to_have_count(0)
    await expect(visitor.row("01K0CALLNEW").locator(".badge")).to_have_text("Recording")
    await expect(visitor.page.locator("#said")).to_contain_text("Connected again")


async def test_a_timeline_loses_and_repeats_nothing_over_restarts(
    visitor: Visitor, state: MockState, server: MockServer
) -> None:
    state.add_call(REC, "kyc", at_us=now_us() - 26_000_000)
    mock_calls.a_story(state, REC, now_us() - 26_000_000, None)
    await visitor.sign_in()
    await visitor.go(f"calls/{REC}")
    events = visitor.page.locator(".events li")
    await expect(events).to_have_count(len(state.events))
    for restart in range(2):
        await server.stop()
        await expect(visitor.page.locator("#link-state")).to_contain_text("Reconnecting")
        for turn in range(3):
            node = f"node_{restart}_{turn}"
            state.event("turn.begun", REC, node=node, state="recording", holds=[])
        await server.start()
        await expect(events).to_have_count(len(state.events))
        state.event("turn.begun", REC, node=f"live_{restart}", state="recording", holds=[])
        await expect(events.first).to_contain_text(f"live_{restart}")
        await expect(events).to_have_count(len(state.events))
    told = await events.locator("p").all_inner_texts()
    nodes = [re.sub(r"Turn (\S+) began\.", r"\1", text) for text in told if "node_" in text]
    assert nodes == [f"node_{restart}_{turn}" for restart in (1, 0) for turn in (2, 1, 0)]


async def test_an_action_while_the_server_is_away_says_that_nothing_is_known(
    visitor: Visitor, state: MockState, server: MockServer
) -> None:
    mock_calls.few_calls(state)
    await visitor.sign_in()
    await expect(visitor.row(REC)).to_be_visible()
    await server.stop()
    await visitor.act(visitor.row(REC), "pause")
    await expect(visitor.row(REC).locator(".notice")).to_contain_text("isn’t known whether")
    await server.start()
    await expect(visitor.page.locator("#link-state")).to_have_text("Live")


async def test_an_action_that_got_no_answer_is_asked_again_with_the_same_key(
    visitor: Visitor, state: MockState, server: MockServer
) -> None:
    mock_calls.few_calls(state)
    await visitor.sign_in()
    state.confirm.clear()
    await visitor.act(visitor.row(REC), "pause")
    await expect(visitor.row(REC).locator("[aria-busy=true]")).to_have_count(1)
    await server.stop()  # cuts the request off
    state.confirm.set()
    await server.start()
    await expect(visitor.row(REC).locator(".badge")).to_have_text("Paused")
    first, again = state.asked
    assert first["idempotency"] == again["idempotency"]
