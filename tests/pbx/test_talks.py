"""The talk with an agent: fifty bridges at once, the net under them, and who meddles with it.

The bot sounds 400 Hz, the agent 1700. The caller sounds 500 Hz with the bot and 1300 Hz from the
moment that an agent is announced (or hears him) until he is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.pbx.rig import WAIT_S, Rig, rig, until, write_tones
from tests.pbx.tones import NOMINAL_AMPLITUDE, Leak, analyse, leaks, presence, read_wav
from turnrec.core.call import Call as CoreCall
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.recorder import Source
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.g711 import Codec
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import Call, IncomingCall, MediaOptions, Phone, Silence, Tone

pytestmark = pytest.mark.pbx

AGENT_HZ, CALLER_HZ, CALLER_TO_AGENT_HZ, BOT_HZ = 1700, 500, 1300, 400
BRIDGES = 50
AT_ONCE = 25
TALK_PACKETS = 75
"""Packets of 20 ms that the agent says once both hear each other."""
JUDGED_FROM_S, JUDGED_FOR_S = 0.1, 1.0
"""Of a talk's segment: from the first 100 ms after the settling time on."""
HEARD_SHARE = 0.6

FLOW = """
version: 1
bots:
  kyc: {nodes: {open: resume, ask: pause, halt: stop}}
  private: {agent: never, nodes: {open: resume, ask: pause}}
  kept: {agent_off: pause, nodes: {open: resume, ask: pause}}
  muted: {pause_method: mute, nodes: {open: resume, ask: pause}}
  late: {max_pause_s: 1, nodes: {open: resume, ask: pause}}
  ends: {max_pause_s: 1, max_pause_action: stop, nodes: {open: resume, ask: pause}}
  goes: {max_pause_s: 1, max_pause_action: resume, nodes: {open: resume, ask: pause}}
"""

# meet-HOW-BOT-POLICY-NODE-N-PORT: the agent's phone listens on PORT. HOW is what the dialplan says
# of the agent, pre (turnrec-agent-pre), leg (Dial's U() too) or none, and d or q: Dial or Queue.
DIALPLAN = """
[turnrec-tests](+)
exten => _meet-.,1,Answer()
 same => n,Set(HOW=${CUT(EXTEN,-,2)})
 same => n,Set(SAID=${CUT(HOW,_,1)})
 same => n,Set(POLICY=${CUT(EXTEN,-,4)})
 same => n,Set(AGENT=PJSIP/tester/sip:agent@127.0.0.1:${CUT(EXTEN,-,7)})
 same => n,Set(__DYNAMIC_FEATURES=turnrec-pause#turnrec-resume#turnrec-lift)
 same => n,Gosub(turnrec-start,s,1(${CUT(EXTEN,-,3)}))
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,Playback(${SOUNDS}/bot400)
 same => n,Gosub(turnrec-turn,s,1(${CUT(EXTEN,-,5)}))
 same => n,GotoIf($["${SAID}" = "none"]?out)
 same => n,Gosub(turnrec-agent-pre,s,1(${POLICY}))
 same => n(out),AGI(${MARK}/mark,out)
 same => n,GotoIf($["${CUT(HOW,_,2)}" = "q"]?queue)
 same => n,Set(GATE=${IF($["${SAID}" = "leg"]?U(turnrec-agent))})
 same => n,Dial(${AGENT},30,gtkTxb(rights^s^1(${POLICY}))${GATE})
 same => n,Goto(back)
 same => n(queue),AddQueueMember(${CUT(EXTEN,-,1-6)},${AGENT},,,agent,PJSIP/tester)
 same => n,Queue(${CUT(EXTEN,-,1-6)},ct,,,20)
 same => n(back),AGI(${MARK}/mark,back)
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,Playback(${SOUNDS}/bot400)
 same => n,AGI(${MARK}/mark,end)
 same => n,Hangup()

; Who may press: in an operator's house, set_var in pjsip.conf.
[rights]
exten => s,1,ExecIf($["${ARG1}" != "never"]?Set(TURNREC_RIGHTS=pause:resume:lift))
 same => n,Return()
"""


@dataclass
class Talk:
    """One caller who was put through, and who he talked to."""

    extension: str
    call: Call
    leg: IncomingCall


@asynccontextmanager
async def talk(here: Rig, extension: str, *, first_sequence: int = 40_000) -> AsyncIterator[Talk]:
    """Be put through to an agent and hear each other; afterwards he hangs up, the bot ends it.

    An agent whose first sequence number is 32768 or more is the one whom Debian's 22.10.1 loses.
    """
    async with (
        Phone() as caller,
        Phone(user="agent", media=MediaOptions(first_sequence=first_sequence)) as agent,
    ):
        dialled = f"{extension}-{agent.port}"

        async def on_mark(_extension: str, word: str) -> None:
            call.source = Tone(CALLER_TO_AGENT_HZ if word == "out" else CALLER_HZ)

        here.marks[dialled] = on_mark
        media = MediaOptions(source=Tone(CALLER_HZ), keep_chunks=50)
        call = await caller.dial(f"sip:{dialled}@{here.sip}", media)
        leg = await agent.incoming(WAIT_S)
        await leg.answer(Tone(AGENT_HZ), WAIT_S)
        await leg.wait_heard(CALLER_TO_AGENT_HZ, timeout_s=WAIT_S)
        await call.wait_heard(AGENT_HZ, timeout_s=WAIT_S)
        yield Talk(dialled, call, leg)
        await leg.wait_sent(TALK_PACKETS, timeout_s=WAIT_S)
        await leg.hang_up(WAIT_S)
        await call.wait_ended(timeout_s=WAIT_S)


async def just_talk(here: Rig, extension: str) -> None:
    async with talk(here, extension):
        pass


def queues(extensions: list[str]) -> str:
    return "\n".join(
        f"[{extension}]\nstrategy = ringall\njoinempty = yes\nretry = 1\n"
        for extension in extensions
    )


@asynccontextmanager
async def house(
    installation: Installation, folder: Path, extensions: list[str]
) -> AsyncIterator[Rig]:
    async with rig(
        installation, folder, FLOW, DIALPLAN, queues=queues(extensions), features=FEATURES
    ) as here:
        write_tones(here.folder / "sounds", {BOT_HZ: 1.0})
        yield here


async def all_talk(here: Rig, extensions: list[str]) -> None:
    """Have these talks, AT_ONCE at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(extension: str) -> None:
        async with room:
            await just_talk(here, extension)

    await asyncio.gather(*(one(extension) for extension in extensions))


@contextmanager
def busy_cpu() -> Iterator[None]:
    """Keep every core busy with something else."""
    burners = [
        multiprocessing.get_context("spawn").Process(target=_burn, daemon=True)
        for _ in range(multiprocessing.cpu_count())
    ]
    for one in burners:
        one.start()
    try:
        yield
    finally:
        for one in burners:
            one.kill()
            one.join()


def _burn() -> None:
    while True:
        pass


def windows_of_the_talk(here: Rig, recordings: list[RecordingRecord]) -> list[Leak]:
    """Every window of the agent, and of the caller talking to him, in any file or part."""
    files = [here.file(one) for one in recordings if one.file]
    files += [part for one in recordings for part in here.parts(one)]
    tones = (AGENT_HZ, CALLER_TO_AGENT_HZ)
    return [leak for file in files for leak in leaks(read_wav(file).channels[0], tones_hz=tones)]


FEATURES = """
[applicationmap]
turnrec-pause => *91,self,Gosub,"turnrec-operator,s,1(pause)"
turnrec-resume => *92,self,Gosub,"turnrec-operator,s,1(resume)"
turnrec-lift => *93,self,Gosub,"turnrec-operator,s,1(lift)"
"""


# ------------------------------------------------------------------ announced, fifty at once


@pytest.mark.parametrize("way", ["pre_d", "pre_q"])
@pytest.mark.parametrize("bot", ["kyc-off", "private-on"])
async def test_no_window_of_an_announced_agent_is_in_any_file_also_with_the_cpu_busy(
    asterisk_22: Installation, tmp_path: Path, way: str, bot: str
) -> None:
    count = BRIDGES // 2  # half with each bot: fifty a way
    extensions = [f"meet-{way}-{bot}-{'open' if n % 2 else 'ask'}-{n:02d}" for n in range(count)]
    async with house(asterisk_22, tmp_path, extensions) as here:
        with busy_cpu():
            await all_talk(here, extensions)
        recordings = await here.recordings(2 * count)
        assert windows_of_the_talk(here, recordings) == []
        assert {one.status for one in recordings} == {"done"}
        assert len(recordings) == 2 * count
        assert here.service.calls.live() == []


@pytest.mark.parametrize("node", ["ask", "open"])
async def test_both_are_recorded_from_the_settling_time_on(
    asterisk_22: Installation, tmp_path: Path, node: str
) -> None:
    extensions = [
        f"meet-{'leg_d' if n % 2 else 'pre_d'}-kyc-on-{node}-{n:02d}" for n in range(BRIDGES)
    ]
    async with house(asterisk_22, tmp_path, extensions) as here:
        # A u-law prompt and an agent whose sequence numbers are high: what Debian's build loses.
        prompt = here.folder / "sounds" / f"bot{BOT_HZ}"
        audio = read_wav(prompt.with_suffix(".wav")).channels[0]
        prompt.with_suffix(".ulaw").write_bytes(Codec.PCMU.encode(audio))
        prompt.with_suffix(".wav").unlink()
        await all_talk(here, extensions)
        recordings = await here.recordings(BRIDGES)
        assert len(recordings) == BRIDGES
        flagged = [one for one in await here.entries(EntryKind.ALARM) if one.result == "one-sided"]
        missing = [one.recording_id for one in recordings if not both_are_heard(here, one)]
        assert len(missing) <= len(flagged), "a side is missing and nobody was told"
        print(f"{BRIDGES - len(missing)} of {BRIDGES} with both sides, {len(flagged)} flagged")
        assert missing == []


def both_are_heard(here: Rig, recording: RecordingRecord) -> bool:
    """Whether the segment of the talk holds both, from its first 100 ms on.

    A side that Asterisk lost is not there at all; one of a phone that a busy machine held up for a
    moment is there for most of it.
    """
    first = round(JUDGED_FROM_S * 8000)
    for part in here.parts(recording):
        if part.stem.endswith(("-r", "-t")):
            continue
        audio = read_wav(part).channels[0][first : first + round(JUDGED_FOR_S * 8000)]
        shares = analyse(audio, 8000, (AGENT_HZ, CALLER_TO_AGENT_HZ)) / NOMINAL_AMPLITUDE
        if len(shares) >= 50 and bool(np.all(np.mean(shares > 0.5, axis=0) > HEARD_SHARE)):
            return True
    return False


# ------------------------------------------------------------------ nobody announced it


@pytest.mark.parametrize("way", ["none_d", "none_q"])
async def test_an_unannounced_agent_is_recorded_for_the_measured_window_only(
    asterisk: Installation, tmp_path: Path, way: str
) -> None:
    extensions = [f"meet-{way}-private-on-open-{n:02d}" for n in range(10)]
    async with house(asterisk, tmp_path, extensions) as here:
        await all_talk(here, extensions)
        recordings = await here.recordings(2 * len(extensions))
        measured = await here.entries(EntryKind.WINDOW_MEASURED)
        assert len(measured) == len(extensions)
        lasted_s = {one.call_id: _window_s(one) for one in measured}
        for one in recordings:
            for leak in windows_of_the_talk(here, [one]):
                # The event itself is 1 to 20 ms old; a frame of 20 ms at each end is audible.
                length_s = leak.end_s - leak.start_s
                assert length_s <= lasted_s[one.call_id] + 0.1, (one.call_id, leak)
        assert "unclassed-party" in await here.alarms()
        print("windows:", sorted(round(s * 1000, 1) for s in lasted_s.values()), "ms")


def _window_s(entry: Entry) -> float:
    to_us, from_us = entry.detail["to_us"], entry.detail["from_us"]
    assert isinstance(to_us, int)
    assert isinstance(from_us, int)
    return (to_us - from_us) / 1_000_000


async def test_an_unannounced_stranger_lifts_no_hold_of_the_bots_turn(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    extensions = [f"meet-none_d-kyc-on-ask-{n}" for n in range(3)]
    async with house(asterisk_22, tmp_path, extensions) as here:
        await all_talk(here, extensions)
        assert windows_of_the_talk(here, await here.recordings(3)) == []


# ------------------------------------------------------------------ what an agent presses


PRESSES, LISTENS_S = 6, 10.0


async def press(one: Talk, code: str, done: Callable[[], bool | Awaitable[bool]]) -> None:
    """Press a feature code, again where it wasn't heard: while the beep of the last one sounds,
    or on a PBX that is too busy, Asterisk takes the keys for speech.
    """
    for _ in range(PRESSES):
        await one.leg.send_digits(code)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTENS_S):
                while not await is_so(done()):  # noqa: ASYNC110 - nobody announces it
                    await asyncio.sleep(0.02)
                return
    pytest.fail(f"{code} was pressed {PRESSES} times, and nothing came of it")


async def is_so(answer: bool | Awaitable[bool]) -> bool:
    return answer if isinstance(answer, bool) else await answer


async def was_refused(here: Rig) -> bool:
    """Whether the ledger holds the refusal of a right."""
    refused = await here.entries(EntryKind.ACTION_REFUSED)
    return "not-allowed" in [one.result for one in refused]


def the_call(here: Rig) -> CoreCall:
    (call,) = here.service.calls.live()
    return call


async def test_an_agents_feature_codes_pause_and_resume_with_the_right_to_do_so(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with house(asterisk, tmp_path, []) as here:
        async with talk(here, "meet-leg_d-kyc-on-ask-1") as one:
            call = the_call(here)
            await press(one, "*91", lambda: call.recorder.is_paused)
            assert call.recorder.holds == {Source.OPERATOR}
            one.leg.source = Tone(2100)
            await one.leg.wait_sent(50, timeout_s=WAIT_S)
            one.leg.source = Tone(AGENT_HZ)
            await one.leg.wait_sent(5, timeout_s=WAIT_S)
            await press(one, "*92", lambda: call.recorder.is_recording)
        (recording,) = await here.recordings(1)
        found = leaks(read_wav(here.file(recording)).channels[0], tones_hz=(2100,))
        assert found == []
        actors = {one.actor for one in await here.entries(EntryKind.ACTION_DONE)}
        assert any(str(actor).startswith("agent:PJSIP/") for actor in actors)


async def test_without_the_right_a_feature_code_does_nothing(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with house(asterisk_22, tmp_path, []) as here:
        async with talk(here, "meet-leg_d-kyc-never-ask-1") as one:
            before = the_call(here).recorder
            await press(one, "*92", lambda: was_refused(here))
            assert the_call(here).recorder == before
        assert windows_of_the_talk(here, await here.recordings(2)) == []


async def test_an_agent_with_the_right_lifts_off_and_nobody_lifts_never(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with house(asterisk_22, tmp_path, []) as here:
        async with talk(here, "meet-leg_d-kyc-off-open-1") as one:
            call = the_call(here)
            assert Source.AGENT in call.recorder.holds
            await press(one, "*93", lambda: call.recorder.is_recording)
        async with talk(here, "meet-leg_d-private-off-open-2") as one:
            call = the_call(here)
            await press(one, "*93", lambda: was_refused(here))
            assert Source.AGENT in call.recorder.holds


async def test_one_touch_recording_by_an_agent_does_not_end_ours(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with house(asterisk, tmp_path, []) as here:
        async with talk(here, "meet-leg_d-kyc-on-open-1") as one:
            (call,) = here.service.calls.live()
            await one.leg.send_digits("*3")
            await one.leg.wait_sent(TALK_PACKETS, timeout_s=WAIT_S)
            await until(lambda: call.recorder.is_recording, "it records, again or still")
            one.leg.source = Tone(2100)
        (recording,) = await here.recordings(1)
        audio = read_wav(here.file(recording)).channels[0]
        assert presence(audio, tones_hz=(2100,))[2100] > 0.5


# ------------------------------------------------------------------ one side is missing


async def test_a_talk_in_which_one_side_is_never_heard_is_flagged(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with house(asterisk_22, tmp_path, []) as here:
        async with talk(here, "meet-leg_d-kyc-on-open-1") as one:
            # He said something until now: only the next segment is without him.
            one.leg.source = Silence()
            await one.leg.wait_sent(10, timeout_s=WAIT_S)
            call = the_call(here)
            await press(one, "*91", lambda: call.recorder.is_paused)
            await press(one, "*92", lambda: call.recorder.is_recording)
        await here.recordings(1)
        flagged = [one for one in await here.entries(EntryKind.ALARM) if one.result == "one-sided"]
        assert len(flagged) >= 1
