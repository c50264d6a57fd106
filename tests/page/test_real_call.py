"""The page driven through a real call: seen, paused, resumed, refused, heard, proven.

With TURNREC_SCREENSHOTS=FOLDER the pictures of docs/page.md are written there.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.page.browsing import Visitor, visiting
from tests.page.test_recordings import reaches
from tests.pbx.process import free_port
from tests.pbx.rig import WAIT_S, Rig, rig, until
from turnrec.ledger.keys import make_key
from turnrec.pbx.beside import SOUNDS_DIR
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import Call, Clip, MediaClock, MediaOptions, Phone, Silence
from turnrec.web.access import Right

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

FLOW = """
version: 1
defaults: {guard_ms: 80}
bots:
  kyc:
    nodes: {welcome: resume, ask_aadhaar: pause, confirm: resume, handover: resume, goodbye: resume}
  payments:
    nodes: {menu: resume, card_number: pause}
  support:
    agent_off: pause
    nodes: {menu: resume, problem: resume}
  survey:
    default: off
    nodes: {consent: {}}
parties:
  - {class: agent, channel: PJSIP/tester-*}
"""
DIALPLAN = """
[turnrec-tests](+)
; visit-NUMBER-PORT: the sample bot, with a mark wherever a test wants to look; an agent at PORT.
exten => _visit-.,1,Answer()
 same => n,Gosub(turnrec-start,s,1(kyc,visit-${CUT(EXTEN,-,2)}))
 same => n,Gosub(turnrec-turn,s,1(welcome))
 same => n,AGI(${MARK}/mark,welcoming)
 same => n,Playback(${SOUNDS}/welcome)
 same => n,AGI(${MARK}/mark,welcomed)
 same => n,Gosub(turnrec-turn,s,1(ask_aadhaar))
 same => n,Playback(${SOUNDS}/ask_aadhaar)
 same => n,AGI(${MARK}/mark,asked)
 same => n,Gosub(turnrec-turn,s,1(confirm))
 same => n,AGI(${MARK}/mark,confirming)
 same => n,Playback(${SOUNDS}/confirmed)
 same => n,AGI(${MARK}/mark,confirmed)
 same => n,Gosub(turnrec-turn,s,1(handover))
 same => n,Gosub(turnrec-agent-pre,s,1(on))
 same => n,Dial(PJSIP/tester/sip:agent@127.0.0.1:${CUT(EXTEN,-,3)},30,gU(turnrec-agent))
 same => n,Gosub(turnrec-bot,s,1)
 same => n,Gosub(turnrec-turn,s,1(goodbye))
 same => n,AGI(${MARK}/mark,leaving)
 same => n,Playback(${SOUNDS}/goodbye)
 same => n,AGI(${MARK}/mark,left)
 same => n,Hangup()
; stays-BOT-NODE: a call that is only there.
exten => _stays-.,1,Answer()
 same => n,Gosub(turnrec-start,s,1(${CUT(EXTEN,-,2)}))
 same => n,Gosub(turnrec-turn,s,1(${CUT(EXTEN,-,3)}))
 same => n,Wait(600)
"""
OTHERS = ("payments-card_number", "support-menu", "survey-consent", "payments-menu")
SAID = {
    "welcome": "Welcome to Kaveri Bank. This call is recorded for your safety. Let us verify your"
    " identity.",
    "caller_hello": "Hello, I would like to activate my card.",
    "confirmed": "Thank you. Your number has been verified.",
    "caller_thanks": "Great, thank you very much.",
    "goodbye": "You are all set. Thank you for calling, goodbye.",
}
"""What the sample voices say (src/turnrec/bots/audio/README.md)."""


@dataclass
class Visit:
    """One caller of the sample bot, whom the test lets go on step by step."""

    here: Rig
    http: httpx.AsyncClient
    at: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    began_us: int = 0

    async def on_mark(self, _extension: str, word: str) -> None:
        """The bot waits here until it is let on; turnrec goes on meanwhile."""
        self.at = word
        self.gate.clear()
        await self.gate.wait()

    async def reached(self, mark: str) -> None:
        await until(lambda: self.at == mark, mark)

    async def on_to(self, mark: str) -> None:
        """Let the bot go on to its next mark."""
        self.gate.set()
        await self.reached(mark)

    async def heard(self, voice: str, speaker: str, began_us: int, ended_us: int) -> int:
        """Post what a recogniser would have understood; how much of it was kept."""
        one = {"speaker": speaker, "text": voice, "begin": began_us, "end": ended_us}
        (call,) = (one for one in self.here.service.calls.live() if one.bot.name == "kyc")
        answer = await self.http.post(f"/v1/calls/{call.id}/utterances", json={"utterances": [one]})
        kept: int = answer.raise_for_status().json()["kept"]
        return kept

    async def bot_says(self, voice: str, mark: str) -> None:
        began_us = now_us()
        await self.on_to(mark)
        await self.heard(SAID[voice], "bot", began_us, now_us())

    async def caller_says(self, call: Call, voice: str, text: str) -> int:
        began_us = now_us()
        await call.play(Clip.from_wav(SOUNDS_DIR / f"{voice}.wav"))
        return await self.heard(text, "caller", began_us, now_us())


def now_us() -> int:
    return time.time_ns() // 1000


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where the pictures go."""
    named = os.environ.get("TURNREC_SCREENSHOTS")
    return Path(named) if named else tmp_path / "pictures"


async def test_an_operator_follows_a_real_call_from_its_ring_to_its_proof(
    asterisk_22: Installation, browser: Browser, tmp_path: Path, pictures: Path
) -> None:
    make_key(tmp_path / "signing.key")
    toml = {
        "ledger": {
            "signing_key_file": f'"{tmp_path / "signing.key"}"',
            "checkpoint_every_s": "1",
        }
    }
    async with (
        rig(asterisk_22, tmp_path / "rig", FLOW, DIALPLAN, toml=toml) as here,
        Phone(user="caller", clock=MediaClock()) as phone,
        Phone(user="agent", clock=MediaClock()) as agent,
    ):
        for voice in SOUNDS_DIR.glob("*.wav"):
            shutil.copy(voice, here.folder / "sounds")
        url = f"http://127.0.0.1:{here.service.api_port}"
        desk, bot = (
            here.service.keys.make(name, frozenset(rights), None, now_us())
            for name, rights in (("desk", {Right.ADMIN}), ("recogniser", {Right.BOT}))
        )
        async with (
            visiting(browser, url, locale="en-GB", timezone_id="UTC") as visitor,
            httpx.AsyncClient(
                base_url=url, headers={"Authorization": f"Bearer {bot}"}, timeout=WAIT_S
            ) as http,
        ):
            await visitor.page.goto(url)
            await visitor.shoot(pictures / "login.png")
            await visitor.sign_in(desk, person="anna")
            await expect(visitor.page.get_by_text("No call at the moment").first).to_be_visible()
            others = [
                await phone.dial(f"sip:stays-{one}@{here.sip}", MediaOptions(source=Silence()))
                for one in OTHERS
            ]
            await expect(visitor.page.locator("tr[data-call]")).to_have_count(len(OTHERS))
            visit = Visit(here, http)
            await through_the_call(visitor, visit, phone, agent, pictures)
            recordings = await here.recordings(1)
            await look_at_the_recording(visitor, recordings[0].recording_id, pictures)
            for one in others:
                await one.hang_up(WAIT_S)
            await here.recordings(1 + 3)  # survey's call records nothing
            await visitor.page.get_by_role("link", name="Recordings").first.click()
            await expect(visitor.page.locator("table.recordings tbody tr")).to_have_count(4)
            await visitor.shoot(pictures / "recordings.png")


async def test_no_event_is_lost_over_a_restart_of_turnrec(
    asterisk_22: Installation, browser: Browser, tmp_path: Path
) -> None:
    toml = {"api": {"port": str(free_port())}}
    async with (
        rig(asterisk_22, tmp_path, FLOW, DIALPLAN, toml=toml) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        url = f"http://127.0.0.1:{here.service.api_port}"
        key = here.service.keys.make("desk", frozenset({Right.ADMIN}), None, now_us())
        media = MediaOptions(source=Silence())
        talk = await phone.dial(f"sip:stays-support-menu@{here.sip}", media, timeout_s=WAIT_S)
        await until(lambda: len(here.service.calls.live()) == 1, "a call")
        (call,) = here.service.calls.live()
        async with visiting(browser, url) as visitor:
            await visitor.sign_in(key)
            await expect(visitor.row(call.id).locator(".badge")).to_have_text("Recording")
            await visitor.go(f"calls/{call.id}")
            events = visitor.page.locator(".events li")
            link = visitor.page.locator("#link-state")
            await expect(events.filter(has_text="Turn menu began")).to_have_count(1)
            await here.stop_service()
            await expect(link).to_contain_text("Reconnecting")
            await here.start_service()
            await expect(link).to_have_text("Live")
            await visitor.act(visitor.page.locator(".head"), "pause")
            await expect(visitor.page.locator(".now .badge")).to_have_text("Paused")
            await talk.hang_up(WAIT_S)
            await expect(events.filter(has_text="the call ended")).to_have_count(1)
            await expect(events.filter(has_text="file is complete")).to_have_count(1)
            async with httpx.AsyncClient(
                base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=WAIT_S
            ) as http:
                timeline = await http.get(f"/v1/calls/{call.id}/timeline?limit=1000")
            told = timeline.raise_for_status().json()["items"]
            await expect(events).to_have_count(len(told))


async def through_the_call(
    visitor: Visitor, visit: Visit, phone: Phone, agent: Phone, pictures: Path
) -> None:
    """Ring, and act from the page at each of the bot's turns."""
    here, page = visit.here, visitor.page
    extension = f"visit-20418-{agent.port}"
    here.marks[extension] = visit.on_mark
    media = MediaOptions(source=Silence(), keep_chunks=50)
    call = await phone.dial(f"sip:{extension}@{here.sip}", media, timeout_s=WAIT_S)
    # It appears by itself, recorded.
    row = page.locator("tr[data-call]", has_text="visit-20418")
    badge = row.locator(".badge")
    await expect(badge).to_have_text("Recording")
    await visit.reached("welcoming")
    await expect(row.locator(".node")).to_have_text("welcome")
    await visit.bot_says("welcome", "welcomed")
    assert await visit.caller_says(call, "caller_hello", SAID["caller_hello"]) == 1
    # An operator pauses and resumes it: Asterisk has done both when the page says so.
    await visitor.act(row, "pause", reason="card number on the line")
    await expect(badge).to_have_text("Paused")
    await expect(row.locator(".held")).to_contain_text("an operator")
    (live,) = (one for one in here.service.calls.live() if one.external_id == "visit-20418")
    assert live.recorder.is_paused
    assert "0x" not in await here.rx(f"mixmonitor list {live.channel}")
    await visitor.act(row, "resume")
    await expect(badge).to_have_text("Recording")
    assert "0x" in await here.rx(f"mixmonitor list {live.channel}")
    # The bot's own turn holds it: an operator's resume is refused, in a sentence.
    await visit.on_to("asked")
    await expect(row.locator(".held")).to_contain_text("the bot’s turn ask_aadhaar")
    assert await visit.caller_says(call, "caller_aadhaar", "This is never kept.") == 0
    await row.get_by_role("button", name=re.compile("Resume: locked")).click()
    await expect(row.locator(".notice")).to_have_text(
        "The bot is holding this recording for its turn ask_aadhaar. It resumes when the bot"
        " moves on."
    )
    assert live.recorder.is_paused
    await visitor.shoot(pictures / "calls.png")
    await row.get_by_role("button", name="Dismiss this message").click()
    await row.locator(".row-link").click()
    await expect(page.get_by_role("heading", name="Call of kyc")).to_be_visible()
    await expect(page.locator(".lane.record .block.paused")).to_have_count(2)
    await expect(page.locator(".events")).to_contain_text(
        "Resume, asked by anna (key desk), was refused"
    )
    # The timeline grows while the call goes on, to an agent and back.
    await visit.on_to("confirming")
    await expect(page.locator(".now .badge")).to_have_text("Recording")
    await visit.bot_says("confirmed", "confirmed")
    visit.gate.set()
    leg = await agent.incoming(WAIT_S)
    await leg.answer(Clip.from_wav(SOUNDS_DIR / "caller_hello.wav"), WAIT_S)
    await expect(page.locator(".lane.agents .block")).to_have_count(1)
    await expect(page.locator(".now")).to_contain_text("Agent")
    await expect(page.locator(".now .badge")).to_have_text("Recording")
    await visit.caller_says(call, "caller_thanks", SAID["caller_thanks"])
    await visitor.shoot(pictures / "call.png")
    await leg.hang_up(WAIT_S)
    await visit.reached("leaving")
    await visit.bot_says("goodbye", "left")
    visit.gate.set()
    await call.wait_ended(timeout_s=WAIT_S)
    await expect(page.locator(".events li", has_text="the call ended")).to_have_count(1)
    await expect(page.locator(".events li", has_text="file is complete")).to_have_count(1)


async def look_at_the_recording(visitor: Visitor, recording_id: str, pictures: Path) -> None:
    """Hear it, jump to its gaps, read what is proven."""
    page = visitor.page
    await page.locator(".links a").first.click()
    await expect(page).to_have_url(re.compile(recording_id))
    await expect(page.locator("[data-control=play]")).to_be_enabled()
    gaps = page.locator(".gap-list li")
    await expect(gaps.filter(has_text="ask_aadhaar")).to_have_count(1)
    await expect(
        gaps.filter(has_text="held by an operator").or_(gaps.filter(has_text="an operator"))
    ).to_have_count(1)
    await expect(page.locator(".lane.agents .block")).to_have_count(1)
    await expect(page.locator(".transcript")).to_contain_text(SAID["welcome"])
    await expect(page.locator(".transcript")).not_to_contain_text("never kept")
    await page.get_by_role("button", name="Play", exact=True).click()
    await reaches(page, 10)
    await page.get_by_role("button", name="Pause the player").click()
    await gaps.filter(has_text="ask_aadhaar").get_by_role("button").click()
    await expect(page.locator(".stage")).to_have_attribute(
        "aria-valuetext", re.compile("not recorded: ask_aadhaar")
    )
    await expect(page.locator(".entry.current")).to_contain_text("Not recorded")
    verdict = page.locator(".verdict")
    await expect(verdict).to_be_visible()
    async with asyncio.timeout(5 * WAIT_S):
        # The next checkpoint signs what was just entered.
        while "Proven" not in await verdict.inner_text():
            await page.reload()
            await expect(verdict).to_be_visible()
    await expect(page.locator("[data-control=play]")).to_be_enabled()
    await page.keyboard.press("n")
    await page.keyboard.press("n")
    await visitor.shoot(pictures / "recording.png")
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.locator("h1").scroll_into_view_if_needed()
    await page.screenshot(path=pictures / "recording-phone.png")
    await page.emulate_media(color_scheme="dark")
    await page.set_viewport_size({"width": 1360, "height": 860})
    await visitor.shoot(pictures / "recording-dark.png")
    await page.emulate_media(color_scheme="light")
