"""The test phone's transfers, holds, refusals and early media, against a real Asterisk."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from turnrec.pbx import instance, packages
from turnrec.pbx.configuration import MOH_TONE_HZ, PbxSettings
from turnrec.pbx.instance import Pbx
from turnrec.pbx.packages import Release
from turnrec.pbx.phone import (
    Call,
    CallRejectedError,
    Direction,
    IncomingCall,
    MediaOptions,
    OutgoingCall,
    Phone,
    Tone,
)

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

CALLER_HZ, AGENT_HZ, SECOND_HZ = 500, 1700, 2100

# 7 and a port: the phone that listens there. 8: the same, and then what Dial made of it.
DIALPLAN = """
[turnrec-tests](+)
exten => _7XXX.,1,Dial(PJSIP/tester/sip:agent@127.0.0.1:${EXTEN:1},10,TtkK)
exten => _8XXX.,1,Answer()
 same => n,Dial(PJSIP/tester/sip:agent@127.0.0.1:${EXTEN:1},10)
 same => n,PlayTones(${IF($["${DIALSTATUS}" = "BUSY"]?1000:1300)})
 same => n,Wait(60)
exten => _9XXX.,1,Dial(PJSIP/tester/sip:agent@127.0.0.1:${EXTEN:1},10)
"""


@pytest.fixture(scope="module", params=list(Release), ids=lambda release: f"asterisk{release}")
def pbx(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pbx]:
    run = tmp_path_factory.mktemp("pbx")
    dialplan = run / "tests.conf"
    dialplan.write_text(DIALPLAN)
    settings = PbxSettings(run, run / "parts", extra_dialplan=(dialplan,))
    with instance.running(packages.ensure(request.param), settings) as running:
        yield running


def at(pbx: Pbx, extension: object) -> str:
    return f"sip:{extension}@127.0.0.1:{pbx.ports.sip_udp}"


async def hear_each_other(one: Call, one_hz: int, two: Call, two_hz: int) -> None:
    """Wait until each hears the other's tone."""
    await asyncio.gather(one.wait_heard(two_hz, timeout_s=10), two.wait_heard(one_hz, timeout_s=10))


async def talk(pbx: Pbx, caller: Phone, agent: Phone) -> tuple[OutgoingCall, IncomingCall]:
    """A caller who talks to an agent."""
    call = await caller.start_call(at(pbx, f"7{agent.port}"), MediaOptions(Tone(CALLER_HZ)))
    leg = await agent.incoming()
    await leg.answer(Tone(AGENT_HZ))
    await hear_each_other(call, CALLER_HZ, leg, AGENT_HZ)
    return call, leg


async def transferred(leg: Call, asking: Coroutine[Any, Any, None]) -> None:
    """Ask for a transfer and wait until it is said to have succeeded."""
    await asking
    await leg.wait_transferred()


async def test_a_blind_transfer_says_how_it_went(pbx: Pbx) -> None:
    async with Phone() as caller, Phone(user="agent") as agent, Phone(user="second") as second:
        call, leg = await talk(pbx, caller, agent)
        await leg.transfer(at(pbx, f"7{second.port}"))
        arrived = await second.incoming()
        await arrived.answer(Tone(SECOND_HZ))
        await hear_each_other(call, CALLER_HZ, arrived, SECOND_HZ)
        await leg.wait_transferred()
        assert leg.transfer_statuses[-1] == 200


async def test_a_blind_transfer_to_nowhere_is_refused(pbx: Pbx) -> None:
    async with Phone() as caller, Phone(user="agent") as agent:
        call, leg = await talk(pbx, caller, agent)
        with pytest.raises(CallRejectedError):
            await transferred(leg, leg.transfer(at(pbx, "nowhere")))
        await hear_each_other(call, CALLER_HZ, leg, AGENT_HZ)


async def test_an_attended_transfer_joins_the_two_others(pbx: Pbx) -> None:
    async with Phone() as caller, Phone(user="agent") as agent, Phone(user="second") as second:
        call, leg = await talk(pbx, caller, agent)
        await leg.hold()
        consulting, arrived = await talk(pbx, agent, second)
        arrived.source = Tone(SECOND_HZ)
        await leg.transfer_to(consulting)
        await hear_each_other(call, CALLER_HZ, arrived, SECOND_HZ)
        await leg.wait_transferred()
        # The channel is gone, but its dialog waits for the transferor's BYE (RFC 5589).
        await leg.hang_up()
        assert (await consulting.wait_ended()).by_us is False


async def test_an_attended_transfer_to_a_call_that_there_is_not_fails(pbx: Pbx) -> None:
    async with Phone() as caller, Phone(user="agent") as agent, Phone(user="second") as second:
        call, leg = await talk(pbx, caller, agent)
        consulting, _ = await talk(pbx, agent, second)
        consulting.dialog.remote_tag = "another"
        with pytest.raises(CallRejectedError):
            await transferred(leg, leg.transfer_to(consulting))
        await hear_each_other(call, CALLER_HZ, leg, AGENT_HZ)


@pytest.mark.parametrize("direction", [Direction.SENDONLY, Direction.INACTIVE])
async def test_who_is_held_hears_music_until_it_is_over(pbx: Pbx, direction: Direction) -> None:
    async with Phone() as caller, Phone(user="agent") as agent:
        call, leg = await talk(pbx, caller, agent)
        await leg.hold(direction)
        await call.wait_heard(MOH_TONE_HZ)
        await leg.unhold()
        await hear_each_other(call, CALLER_HZ, leg, AGENT_HZ)
        await call.wait_heard(predicate=lambda chunk: chunk.amplitude(MOH_TONE_HZ) < 100)


@pytest.mark.parametrize("status", [480, 486, 603])
async def test_a_refusal_reaches_the_caller(pbx: Pbx, status: int) -> None:
    async with Phone() as caller, Phone(user="agent") as agent:
        call = await caller.start_call(at(pbx, f"8{agent.port}"))
        leg = await agent.incoming()
        leg.ring()
        await leg.reject(status)
        await call.wait_heard(1000 if status == 486 else 1300)


async def test_early_media_is_heard_before_the_answer_and_after(pbx: Pbx) -> None:
    async with Phone() as caller, Phone(user="agent") as agent:
        call = await caller.start_call(at(pbx, f"9{agent.port}"), MediaOptions(Tone(CALLER_HZ)))
        leg = await agent.incoming()
        await leg.progress(Tone(SECOND_HZ))
        await call.wait_heard(SECOND_HZ)
        assert leg.state is not call.state.ANSWERED
        await leg.answer(Tone(AGENT_HZ))
        await call.wait_answered()
        await hear_each_other(call, CALLER_HZ, leg, AGENT_HZ)


async def test_feature_codes_of_an_agent_transfer_the_caller(pbx: Pbx) -> None:
    async with Phone() as caller, Phone(user="agent") as agent, Phone(user="second") as second:
        call, leg = await talk(pbx, caller, agent)
        await leg.send_digits(f"#17{second.port}")
        arrived = await second.incoming(10)
        await arrived.answer(Tone(SECOND_HZ))
        await hear_each_other(call, CALLER_HZ, arrived, SECOND_HZ)
        await leg.wait_ended()
