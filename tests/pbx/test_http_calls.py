"""Calls that begin, meet agents and end over the API, without turnrec's dialplan."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.pbx.callers import leaks_of, monitored_files
from tests.pbx.http_bots import AUDIOSOCKET, ID, bots_over_http, call_bot, make_key
from tests.pbx.process import free_port
from tests.pbx.relay import ami_relay
from tests.pbx.rig import WAIT_S, Rig, rig, until, write_tones
from tests.pbx.test_leaks import FLOW, tones_in
from tests.pbx.tones import OPEN_BOT_HZ, PAUSED_CALLER_HZ, presence, read_wav
from turnrec.bots.audiosocket import Line, frames_of, listen
from turnrec.bots.http_client import FailedInTurnrecError, RefusedByTurnrecError, TurnrecClient
from turnrec.core.entry import EntryKind, Origin
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.configuration import templates_dir
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone, Tone
from turnrec.web.access import Right

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

AGENT_HZ, CALLER_TO_AGENT_HZ, CALLER_HZ = 1700, 1300, 500
TURNS = ("open", "ask", "open")
LOUD = 1000


async def only_channel(here: Rig) -> str:
    """The uniqueid of the one channel that there is, as its bot would know it."""
    said = await here.rx("core show channels concise")
    (line,) = [one for one in said.splitlines() if "!" in one]
    return line.split("!")[-1].strip()


async def refused(asking: object) -> str:
    """The id by which turnrec refuses something."""
    with pytest.raises(RefusedByTurnrecError) as caught:
        await asking  # type: ignore[misc]
    return caught.value.problem_id


@pytest.mark.parametrize("bot", ["segment", "mute"])
async def test_a_call_begun_over_the_api_is_recorded_turn_by_turn_and_ends_with_its_channel(
    asterisk_22: Installation, tmp_path: Path, bot: str
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, AUDIOSOCKET) as here,
        bots_over_http(here, here.service.api_port) as bots,
        Phone(clock=MediaClock()) as phone,
    ):
        tones_in(tmp_path / "sounds")
        talk = bots.talk(f"bare-{bot}-001", TURNS)
        talk.hold_at("asks:1")
        talking = asyncio.create_task(call_bot(here, phone, talk))
        await until(lambda: bool(talk.waiting_at), "the bot waits")
        assert bots.turnrec is not None
        assert await refused(bots.turnrec.turn(talk.call, "open")) == "unknown-call"
        assert await monitored_files(here) == []

        uniqueid = await only_channel(here)
        begun = await bots.turnrec.begin(uniqueid, bot, talk.call)
        assert (begun["state"], begun["external_id"]) == ("recording", talk.call)
        assert len(await monitored_files(here)) == 1
        assert (await bots.turnrec.begin(uniqueid, bot, talk.call))["id"] == begun["id"]
        assert await refused(bots.turnrec.begin(uniqueid, "skip")) == "call-exists"
        talk.let_on()
        await talking
        (recording,) = await here.recordings(1)

        assert (talk.begun, talk.refused) == (list(TURNS), [])
        assert recording.status == "done"
        assert leaks_of(here) == []
        heard = presence(read_wav(here.file(recording)).channels[0], tones_hz=(OPEN_BOT_HZ,))
        late_s = talk.voice.late_s(OPEN_BOT_HZ) + talk.caller.mouth.stalled_s
        assert heard[OPEN_BOT_HZ] >= 0.98 * talk.voice.said_s(OPEN_BOT_HZ) - 3 * late_s
        entries = [one.entry for one in await here.service.ledger.entries(limit=None)]
        (ended,) = [one for one in entries if one.kind is EntryKind.CALL_ENDED]
        assert ended.origin is Origin.AMI
        assert {one.actor for one in entries if one.kind is EntryKind.TURN_BEGUN} == {
            "key:bot-of-all"
        }
        assert await refused(bots.turnrec.turn(talk.call, "open")) == "call-ended"


async def test_what_a_key_may_not_see_can_neither_be_begun_nor_turned(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, AUDIOSOCKET) as here,
        bots_over_http(here, here.service.api_port) as bots,
        Phone(clock=MediaClock()) as phone,
    ):
        tones_in(tmp_path / "sounds")
        talk, twin = bots.talk("bare-segment-001", TURNS), bots.talk("bare-segment-002", TURNS)
        talk.hold_at("asks:1")
        talking = asyncio.create_task(call_bot(here, phone, talk))
        await until(lambda: bool(talk.waiting_at), "the bot waits")
        uniqueid = await only_channel(here)
        turnrec = bots.turnrec
        assert turnrec is not None
        assert await refused(turnrec.begin("1700000000.1", "segment")) == "unknown-channel"
        assert await refused(turnrec.begin(uniqueid, "nobody")) == "unknown-bot"
        url = f"http://127.0.0.1:{here.service.api_port}"
        limited = make_key(here, Right.BOT, bots=frozenset({"skip"}))
        reader = make_key(here, Right.READ)
        async with TurnrecClient(url, limited) as other, TurnrecClient(url, reader) as looker:
            assert await refused(other.begin(uniqueid, "segment")) == "unknown-bot"
            assert await refused(looker.begin(uniqueid, "segment")) == "not-allowed"
            assert await monitored_files(here) == []
            await turnrec.begin(uniqueid, "segment", talk.call)
            assert await refused(other.begin(uniqueid, "skip")) == "unknown-channel"
            assert await refused(other.turn(talk.call, "ask")) == "unknown-call"
            assert await refused(looker.turn(talk.call, "ask")) == "not-allowed"
            assert (await looker.show(talk.call))["state"] == "recording"

        # Two calls by one name: the wrong one must not be paused in the right one's place.
        twin.hold_at("asks:1")
        twins = asyncio.create_task(call_bot(here, phone, twin))
        await until(lambda: bool(twin.waiting_at), "the other bot waits")
        channels = (await here.rx("core show channels concise")).splitlines()
        (second,) = {one.split("!")[-1].strip() for one in channels if "!" in one} - {uniqueid}
        its_id = (await turnrec.begin(second, "segment", talk.call))["id"]
        assert await refused(turnrec.turn(talk.call, "ask")) == "ambiguous-call"
        assert (await turnrec.turn(its_id, "ask"))["state"] == "paused"
        await (await twin.caller.call).hang_up(WAIT_S)
        await twins
        await until(lambda: len(here.service.calls.live()) == 1, "the other call has ended")
        talk.let_on()
        await talking
        assert talk.refused == []
        assert leaks_of(here) == []


async def test_after_a_restart_a_call_is_still_known_by_its_bots_name_for_it(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    ports = {"api": {"port": str(free_port())}}
    async with (
        rig(asterisk_22, tmp_path, FLOW, AUDIOSOCKET, start=False, toml=ports) as here,
        ami_relay(here.pbx.ports.ami_tcp) as relay,
        Phone(clock=MediaClock()) as phone,
    ):
        tones_in(tmp_path / "sounds")
        here.configure({**ports, "asterisk": {"ami_port": str(relay.port)}})
        await here.start_service()
        async with bots_over_http(here, here.settings.api.port) as bots:
            talk = bots.talk("bare-segment-001", TURNS)
            talk.hold_at("asks:1")
            talk.hold_at("asks:2")
            talking = asyncio.create_task(call_bot(here, phone, talk))
            await until(lambda: talk.waiting_at == "asks:1", "the bot waits")
            turnrec = bots.turnrec
            assert turnrec is not None
            await turnrec.begin(await only_channel(here), "segment", talk.call)
            talk.let_on()
            await until(lambda: talk.waiting_at == "asks:2", "the bot waits again")
            await here.stop_service()
            await relay.cut()
            await here.start_service(wait_for_ami=False)
            with pytest.raises(FailedInTurnrecError, match="asterisk-unreachable"):
                await turnrec.turn(talk.call, "ask")
            relay.mend()
            talk.let_on()
            await talking
            (recording,) = await here.recordings(1)
        assert talk.begun == list(TURNS)
        assert set(talk.refused) <= {"asterisk-unreachable"}
        assert recording.status == "done"
        assert leaks_of(here) == []


# ------------------------------------------------------------------ agents

TRANSFERS = f"""
[turnrec-tests](+)
exten => _give-.,1,Answer()
 same => n,AudioSocket({ID}${{CUT(EXTEN,-,2)}},${{BOT_ADDRESS}})
 same => n,Dial(PJSIP/tester/sip:agent@127.0.0.1:${{CUT(EXTEN,-,3)}},30,gU(meets))
 same => n,AudioSocket({ID}${{CUT(EXTEN,-,2)}},${{BOT_ADDRESS}})
 same => n,Hangup()
[meets]
exten => s,1,Gosub(turnrec-agent,s,1)
 same => n,AGI(${{MARK}}/mark?${{TURNREC_STATUS}}&agent)
 same => n,Return()
"""


class Transferring:
    """A bot that begins its call, speaks, gives it to an agent, and takes it back."""

    def __init__(self, here: Rig, turnrec: TurnrecClient, policy: str) -> None:
        self._here = here
        self._turnrec = turnrec
        self._policy = policy
        self.states: list[str] = []
        self.said: list[str] = []
        """What the agent's leg was told."""

    async def answer(self, line: Line) -> None:
        """Talk: once before the agent, once after him."""
        turnrec = self._turnrec
        is_first = not self.states
        if is_first:
            begun = await turnrec.begin(await only_channel(self._here), "segment", line.call)
            self.states.append(begun["state"])
        else:
            self.states.append((await turnrec.agent_gone(line.call))["state"])
        self.states.append((await turnrec.turn(line.call, "open"))["state"])
        await line.say(frames_of(self._here.folder / "sounds" / "bot400.wav"))
        if is_first:
            self.states.append((await turnrec.announce_agent(line.call, self._policy))["state"])

    async def on_mark(self, _extension: str, word: str) -> None:
        self.said.append(word)


@asynccontextmanager
async def transferred(
    installation: Installation, folder: Path, policy: str, recordings: int
) -> AsyncIterator[tuple[Rig, Transferring, list[RecordingRecord]]]:
    """Have a caller put through to an agent and back."""
    async with rig(installation, folder, FLOW, TRANSFERS) as here:
        write_tones(folder / "sounds", {OPEN_BOT_HZ: 1.0})
        url = f"http://127.0.0.1:{here.service.api_port}"
        async with (
            TurnrecClient(url, make_key(here, Right.BOT)) as turnrec,
            Phone() as caller,
            Phone(user="agent") as agent,
        ):
            bot = Transferring(here, turnrec, policy)
            here.marks["agent"] = bot.on_mark
            server = await listen("127.0.0.1", 0, bot.answer)
            async with server:
                port = server.sockets[0].getsockname()[1]
                await here.rx(f"dialplan set global BOT_ADDRESS 127.0.0.1:{port}")
                call = await caller.dial(
                    f"sip:give-001-{agent.port}@{here.sip}", MediaOptions(source=Tone(CALLER_HZ))
                )
                leg = await agent.incoming(WAIT_S)
                call.source = Tone(CALLER_TO_AGENT_HZ)
                await leg.answer(Tone(AGENT_HZ))
                await leg.wait_heard(CALLER_TO_AGENT_HZ, timeout_s=WAIT_S)
                await call.wait_heard(AGENT_HZ, timeout_s=WAIT_S)
                await leg.wait_sent(100, timeout_s=WAIT_S)
                call.source = Tone(CALLER_HZ)
                await call.wait_sent(5, timeout_s=WAIT_S)
                await leg.hang_up()
                await call.wait_ended(timeout_s=WAIT_S)
        yield here, bot, await here.recordings(recordings)


async def test_an_agent_announced_over_the_api_is_under_the_transfers_own_policy(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    tones = (OPEN_BOT_HZ, AGENT_HZ, PAUSED_CALLER_HZ)
    async with transferred(asterisk_22, tmp_path / "off", "off", 2) as (here, bot, recordings):
        assert bot.said == ["OK"]
        assert bot.states == ["recording", "recording", "inactive", "recording", "recording"]
        for one in recordings:
            heard = presence(read_wav(here.file(one)).channels[0], tones_hz=tones)
            assert heard[OPEN_BOT_HZ] > 0.9
            assert (heard[AGENT_HZ], heard[PAUSED_CALLER_HZ]) == (0, 0)
    async with transferred(asterisk_22, tmp_path / "on", "on", 1) as (here, bot, recordings):
        assert bot.said == ["OK"]
        assert bot.states == ["recording"] * 5
        heard = presence(read_wav(here.file(recordings[0])).channels[0], tones_hz=tones)
        assert heard[OPEN_BOT_HZ] > 1.8
        assert heard[AGENT_HZ] > 1.5


# ------------------------------------------------------------------ the sample bot as it is shipped

SAMPLE = """
[turnrec-tests](+)
exten => 2000,1,Answer()
 same => n,Set(CALL=${UUID()})
 same => n,Gosub(turnrec-start,s,1(kyc,${CALL}))
 same => n,AudioSocket(${CALL},${BOT_ADDRESS})
 same => n,Hangup()
"""


async def test_the_sample_bot_runs_from_its_command_line(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    flow = (templates_dir() / "flow.sample-bot.yaml").read_text("utf-8")
    async with rig(asterisk_22, tmp_path, flow, SAMPLE) as here, Phone() as phone:
        port = free_port()
        bot = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "turnrec.bots.audiosocket_bot"),
            *("--listen", f"127.0.0.1:{port}"),
            *("--url", f"http://127.0.0.1:{here.service.api_port}"),
            env={**os.environ, "TURNREC_KEY": make_key(here, Right.BOT, bots=frozenset({"kyc"}))},
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert bot.stderr is not None
            assert b"AudioSocket on 127.0.0.1" in await bot.stderr.readline()
            await here.rx(f"dialplan set global BOT_ADDRESS 127.0.0.1:{port}")
            call = await phone.dial(f"sip:2000@{here.sip}", MediaOptions(source=Tone(CALLER_HZ)))
            await call.wait_heard(
                predicate=lambda chunk: abs(chunk.samples).max() > LOUD, timeout_s=WAIT_S
            )

            def nodes() -> list[tuple[str, str]]:
                return [
                    (one.turn.node.name, str(one.recorder.state))
                    for one in here.service.calls.live()
                    if one.turn is not None
                ]

            assert nodes() == [("greeting", "recording")]
            await until(lambda: nodes() == [("ask_aadhaar", "paused")], "it asks for the number")
            await call.hang_up(WAIT_S)
            (recording,) = await here.recordings(1)
            assert [one.node for one in recording.gaps if one.node] == ["ask_aadhaar"]
        finally:
            bot.terminate()
            await bot.wait()
