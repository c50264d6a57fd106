"""The test phone against a real Asterisk, both ways: calling, called, registered, transferred."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.pbx.tones import leaks, presence
from turnrec.pbx import instance, packages
from turnrec.pbx.configuration import PbxSettings
from turnrec.pbx.instance import Pbx
from turnrec.pbx.packages import Release
from turnrec.pbx.phone import (
    CallRejectedError,
    Codec,
    Credentials,
    MediaOptions,
    Network,
    Phone,
    RegistrationFailedError,
    Silence,
    Stopped,
    Tone,
)

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

# 7 and a port: a phone dialled at its contact, as an agent's is.
DIALPLAN = """
[turnrec-tests](+)
exten => tones,1,Answer()
 same => n,PlayTones(1000)
 same => n,Wait(60)
exten => digits,1,Answer()
 same => n,Read(KEYED,,4,,1,60)
 same => n,PlayTones(${IF($["${KEYED}" = "4711"]?1000:1300)})
 same => n,Wait(60)
exten => leave,1,Answer()
 same => n,Wait(0.1)
 same => n,Hangup()
exten => busy,1,Busy(5)
exten => registered,1,Dial(PJSIP/phone,60)
exten => _7XXX.,1,Dial(PJSIP/tester/sip:agent@127.0.0.1:${EXTEN:1},60)
"""


@pytest.fixture(scope="module", params=list(Release), ids=lambda release: f"asterisk{release}")
def pbx(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pbx]:
    run = tmp_path_factory.mktemp("pbx")
    dialplan = run / "tests.conf"
    dialplan.write_text(DIALPLAN)
    settings = PbxSettings(run, run / "parts", extra_dialplan=(dialplan,))
    with instance.running(packages.ensure(request.param), settings) as running:
        yield running


def at(pbx: Pbx, extension: str) -> str:
    return f"sip:{extension}@127.0.0.1:{pbx.ports.sip_udp}"


@pytest.mark.parametrize("codec", list(Codec))
async def test_the_phone_hears_its_own_tone_back(pbx: Pbx, codec: Codec) -> None:
    async with Phone() as phone:
        call = await phone.dial(at(pbx, "echo"), MediaOptions(Tone(500), codecs=(codec,)))
        await call.wait_heard(500)
        call.source = Tone(1300)
        await call.wait_heard(1300)
        call.source = Silence()
        await call.wait_heard(predicate=lambda chunk: chunk.amplitude(1300) < 100)
        await call.hang_up()


async def test_what_comes_back_is_free_of_what_was_not_said(pbx: Pbx) -> None:
    async with Phone() as phone:
        call = await phone.dial(at(pbx, "echo"), MediaOptions(Tone(400) + Tone(500)))
        await call.wait_heard(400)
        await call.wait_heard(predicate=lambda _: call.ear.packets >= 50, timeout_s=60)
        heard = call.ear.samples()
        assert leaks(heard) == []
        assert min(presence(heard).values()) > 0.5
        call.source = Tone(1000)
        await call.wait_heard(1000)
        await call.wait_heard(1000)
        assert {leak.hz for leak in leaks(call.ear.samples())} == {1000}


async def test_jitter_and_silence_on_the_wire_do_not_end_a_call(pbx: Pbx) -> None:
    async with Phone() as phone:
        call = await phone.dial(at(pbx, "tones"))
        call.network = Network(jitter_ms=40, keeps_order=False, loss=0.1)
        call.source = Tone(500)
        await call.wait_sent(25)
        call.source = Stopped()
        await call.wait_heard(1000, amplitude=4000)
        await call.hang_up()


async def test_asterisk_takes_the_digits(pbx: Pbx) -> None:
    async with Phone() as phone:
        call = await phone.dial(at(pbx, "digits"), MediaOptions(Tone(500)))
        await call.send_digits("4711")
        heard = await call.wait_heard(
            predicate=lambda chunk: max(chunk.amplitude(1000), chunk.amplitude(1300)) > 1000
        )
        assert heard.amplitude(1000) > 1000


async def test_asterisk_hangs_up(pbx: Pbx) -> None:
    async with Phone() as phone:
        call = await phone.dial(at(pbx, "leave"))
        assert (await call.wait_ended()).by_us is False


@pytest.mark.parametrize(("extension", "status"), [("busy", 486), ("nowhere", 404)])
async def test_asterisk_refuses(pbx: Pbx, extension: str, status: int) -> None:
    async with Phone() as phone:
        with pytest.raises(CallRejectedError) as caught:
            await phone.dial(at(pbx, extension))
        assert caught.value.status == status


async def test_a_phone_is_dialled_at_its_contact_and_both_hear_each_other(pbx: Pbx) -> None:
    async with Phone() as caller, Phone(user="agent") as agent:
        outgoing = await caller.start_call(at(pbx, f"7{agent.port}"), MediaOptions(Tone(500)))
        incoming = await agent.incoming()
        incoming.ring()
        await outgoing.wait_ringing()
        await incoming.answer(Tone(400))
        await outgoing.wait_answered()
        await outgoing.wait_heard(400)
        await incoming.wait_heard(500)
        await incoming.hang_up()
        assert (await outgoing.wait_ended()).by_us is False


async def test_a_caller_who_gives_up_stops_the_ringing(pbx: Pbx) -> None:
    async with Phone() as caller, Phone(user="agent") as agent:
        outgoing = await caller.start_call(at(pbx, f"7{agent.port}"))
        incoming = await agent.incoming()
        incoming.ring()
        await outgoing.wait_ringing()
        await outgoing.hang_up()
        assert (await outgoing.wait_ended()).status == 487
        assert (await incoming.wait_ended()).by_us is False


async def test_a_registered_phone_is_called(pbx: Pbx) -> None:
    credentials = Credentials(pbx.phone_user, pbx.secrets.phone)
    agent = Phone(user=pbx.phone_user, credentials=credentials, answers_by_itself=True)
    async with Phone() as caller, agent:
        await agent.register(at(pbx, pbx.phone_user))
        outgoing = await caller.dial(at(pbx, "registered"), MediaOptions(Tone(500)))
        incoming = await agent.incoming()
        await incoming.wait_heard(500)
        await outgoing.hang_up()
        called = await agent.dial(at(pbx, "echo"), MediaOptions(Tone(500)))
        await called.wait_heard(500)


async def test_a_wrong_password_is_an_error(pbx: Pbx) -> None:
    async with Phone(user=pbx.phone_user, credentials=Credentials("phone", "wrong")) as phone:
        with pytest.raises(RegistrationFailedError):
            await phone.register(at(pbx, pbx.phone_user))


async def test_an_agent_transfers_the_caller(pbx: Pbx) -> None:
    async with Phone() as caller, Phone(user="agent", answers_by_itself=True) as agent:
        outgoing = await caller.dial(at(pbx, f"7{agent.port}"), MediaOptions(Tone(500)))
        incoming = await agent.incoming()
        await incoming.wait_heard(500)
        await incoming.transfer(at(pbx, "echo"))
        await outgoing.wait_heard(500)


async def test_twenty_calls_at_once_lose_no_packet(pbx: Pbx) -> None:
    async with Phone() as phone:
        calls = [
            await phone.dial(at(pbx, "echo"), MediaOptions(Tone(300 + 100 * number)))
            for number in range(20)
        ]
        for number, call in enumerate(calls):
            heard = await call.wait_heard(300 + 100 * number)
            assert np.abs(heard.samples).max() < 8300
        await calls[0].wait_sent(50)
        for call in calls:
            steps = np.diff([chunk.sequence for chunk in call.ear.chunks]) % 65536
            assert np.count_nonzero(steps != 1) == 0
