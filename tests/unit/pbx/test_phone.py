"""Two phones on loopback: real SIP and RTP bytes, no PBX."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

from turnrec.pbx.phone import (
    TONE_AMPLITUDE,
    Call,
    CallEnd,
    CallEndedError,
    CallRejectedError,
    CallState,
    CallTimeoutError,
    Clip,
    Codec,
    MediaNotAgreedError,
    MediaOptions,
    Network,
    Phone,
    Silence,
    SipTimers,
    Stopped,
    Tone,
)
from turnrec.pbx.phone.clock import MAX_CATCH_UP_PACKETS, MediaClock

FAST = SipTimers(first_resend_s=0.02, longest_resend_s=0.1, give_up_s=60.0)
SOON = SipTimers(first_resend_s=0.02, longest_resend_s=0.1, give_up_s=0.5)


@pytest.fixture
async def caller() -> AsyncIterator[Phone]:
    async with Phone(user="caller", timers=FAST) as phone:
        yield phone


@pytest.fixture
async def callee() -> AsyncIterator[Phone]:
    async with Phone(user="callee", answers_by_itself=True, timers=FAST) as phone:
        yield phone


@pytest.fixture
async def manual() -> AsyncIterator[Phone]:
    async with Phone(user="manual", timers=FAST) as phone:
        yield phone


@pytest.fixture
def raw() -> Iterator[socket.socket]:
    """A bare socket, for datagrams that no phone would send."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bare:
        bare.bind(("127.0.0.1", 0))
        bare.setblocking(False)
        yield bare


async def connect(
    caller: Phone, callee: Phone, options: MediaOptions | None = None
) -> tuple[Call, Call]:
    outgoing = await caller.dial(callee.uri, options)
    return outgoing, await callee.incoming()


async def received(bare: socket.socket) -> tuple[bytes, tuple[str, int]]:
    async with asyncio.timeout(60):
        return await asyncio.get_running_loop().sock_recvfrom(bare, 4096)


async def test_both_sides_hear_each_others_tone(caller: Phone, callee: Phone) -> None:
    outgoing, incoming = await connect(caller, callee, MediaOptions(source=Tone(500)))
    incoming.source = Tone(400)
    await incoming.wait_heard(500)
    await outgoing.wait_heard(400)


@pytest.mark.parametrize("codecs", [(Codec.PCMU,), (Codec.PCMA,)])
async def test_a_tone_arrives_unbroken_in_either_codec(codecs: tuple[Codec, ...]) -> None:
    media = MediaOptions(codecs=(Codec.PCMU, Codec.PCMA))
    async with Phone() as caller, Phone(answers_by_itself=True, media=media) as callee:
        _, incoming = await connect(caller, callee, MediaOptions(Tone(437), codecs))
        assert incoming.media.codec is codecs[0]
        await incoming.wait_heard(predicate=lambda _: incoming.ear.packets >= 10)
        chunks = list(incoming.ear.chunks)
        amplitudes = [chunk.amplitude(437) for chunk in chunks]
        assert min(amplitudes) > 0.9 * max(amplitudes)
        # Phase that jumped between two packets would weaken the tone over them all. Each lies at
        # its timestamp: a machine that is busy elsewhere may leave some out.
        at = [(chunk.timestamp - chunks[0].timestamp) % (1 << 32) for chunk in chunks]
        whole = np.zeros(at[-1] + 160)
        for start, chunk in zip(at, chunks, strict=True):
            whole[start : start + 160] = chunk.samples
        turns = np.exp(-2j * np.pi * 437 / 8000 * np.arange(len(whole)))
        assert 2 * abs(whole @ turns) / (160 * len(chunks)) > 0.99 * TONE_AMPLITUDE
        assert {chunk.samples.size for chunk in chunks} == {160}
        assert set(np.diff([chunk.sequence for chunk in chunks]) % (1 << 16)) == {1}


async def test_a_source_is_switched_from_one_packet_to_the_next(
    caller: Phone, callee: Phone
) -> None:
    outgoing, incoming = await connect(caller, callee, MediaOptions(source=Tone(500)))
    await incoming.wait_heard(500)
    outgoing.source = Tone(1300)
    await incoming.wait_heard(1300)
    heard = [
        next(hz for hz in (500, 1300) if chunk.amplitude(hz) > 7000)
        for chunk in incoming.ear.chunks
    ]
    assert heard == sorted(heard)


async def test_stopped_sends_nothing_and_the_timestamps_run_on(
    caller: Phone, callee: Phone
) -> None:
    outgoing, incoming = await connect(caller, callee, MediaOptions(source=Tone(500)))
    await incoming.wait_heard(500)
    outgoing.source = Stopped()
    with pytest.raises(CallTimeoutError):
        await outgoing.wait_sent(1, timeout_s=0.1)
    outgoing.source = Tone(1300)
    after = await incoming.wait_heard(1300)
    before = [chunk for chunk in incoming.ear.chunks if chunk.amplitude(500) > 7000][-1]
    assert (after.timestamp - before.timestamp) % (1 << 32) >= 160 * 5
    assert (after.sequence - before.sequence) % (1 << 16) == 1


async def test_a_clip_is_heard_whole(caller: Phone, callee: Phone) -> None:
    outgoing, incoming = await connect(caller, callee)
    ramp = Codec.PCMU.decode(bytes(range(0x80, 0xFF)) * 5)
    await outgoing.play(Clip(ramp))
    await incoming.wait_heard(predicate=lambda chunk: not chunk.samples.any())
    heard = incoming.ear.samples()
    voiced = np.flatnonzero(heard)
    assert heard[voiced[0] : voiced[-1] + 1].tolist() == ramp.tolist()


async def test_digits_are_keyed_once_each_even_when_equal(caller: Phone, callee: Phone) -> None:
    outgoing, incoming = await connect(caller, callee, MediaOptions(source=Tone(500)))
    await outgoing.send_digits("1220*#", hold_ms=40, pause_ms=20)
    await incoming.wait_digits("1220*#")
    await incoming.wait_heard(500)


async def test_lost_packets_lose_no_digit(caller: Phone, callee: Phone) -> None:
    outgoing, incoming = await connect(caller, callee)
    outgoing.network = Network(loss=0.3, seed=1)
    await outgoing.send_digits("4711", hold_ms=100, pause_ms=20)
    await incoming.wait_digits("4711")


async def test_loss_and_jitter_are_the_networks(caller: Phone, callee: Phone) -> None:
    options = MediaOptions(Tone(500), network=Network(jitter_ms=60, keeps_order=False, loss=0.2))
    outgoing, incoming = await connect(caller, callee, options)
    await outgoing.wait_sent(50)
    await incoming.wait_heard(500)
    assert incoming.ear.packets < outgoing.media.sent_packets
    sequences = [(chunk.timestamp, chunk.arrived_s) for chunk in incoming.ear.chunks]
    assert [arrived for _, arrived in sequences] == sorted(arrived for _, arrived in sequences)
    assert sequences != sorted(sequences)


async def test_jitter_that_keeps_the_order_keeps_it(caller: Phone, callee: Phone) -> None:
    options = MediaOptions(Tone(500), network=Network(jitter_ms=60))
    outgoing, incoming = await connect(caller, callee, options)
    await outgoing.wait_sent(50)
    await incoming.wait_heard(500)
    first = incoming.ear.chunks[0].timestamp
    timestamps = [(c.timestamp - first) % (1 << 32) for c in incoming.ear.chunks]
    assert timestamps == sorted(timestamps)


async def test_the_first_sequence_number_can_be_chosen(caller: Phone, callee: Phone) -> None:
    _, incoming = await connect(caller, callee, MediaOptions(first_sequence=65534))
    await incoming.wait_heard(predicate=lambda chunk: chunk.sequence == 1)
    assert [chunk.sequence for chunk in incoming.ear.chunks][:4] == [65534, 65535, 0, 1]


async def test_an_ear_need_not_keep_what_it_hears() -> None:
    async with Phone() as caller, Phone(answers_by_itself=True) as callee:
        outgoing, incoming = await connect(caller, callee, MediaOptions(keep_chunks=2))
        incoming.source = Tone(400)
        for _ in range(5):
            await outgoing.wait_heard(400)
        assert outgoing.ear.samples().size == 320


@pytest.mark.parametrize("who", ["caller", "callee"])
async def test_either_side_can_hang_up(caller: Phone, callee: Phone, who: str) -> None:
    outgoing, incoming = await connect(caller, callee)
    leaver, other = (outgoing, incoming) if who == "caller" else (incoming, outgoing)
    await leaver.hang_up()
    assert await leaver.wait_ended() == CallEnd(by_us=True, status=200, reason="BYE")
    assert (await other.wait_ended()).by_us is False
    assert caller.calls == callee.calls == ()


async def test_leaving_the_block_hangs_up(caller: Phone, callee: Phone) -> None:
    async with await caller.dial(callee.uri) as outgoing:
        incoming = await callee.incoming()
        assert outgoing.state is CallState.ANSWERED
    assert (await incoming.wait_ended()).by_us is False


async def test_a_closed_phone_has_hung_up(callee: Phone) -> None:
    async with Phone() as caller:
        _, incoming = await connect(caller, callee)
    assert (await incoming.wait_ended()).by_us is False


async def test_a_call_rings_until_it_is_answered(caller: Phone, manual: Phone) -> None:
    outgoing = await caller.start_call(manual.uri, caller_name="Asha")
    incoming = await manual.incoming()
    assert incoming.caller_uri == caller.uri
    assert '"Asha"' in incoming.request.get("From")
    incoming.ring()
    await outgoing.wait_ringing()
    assert outgoing.state is CallState.RINGING
    await incoming.answer(Tone(400))
    await outgoing.wait_answered()
    await outgoing.wait_heard(400)


async def test_a_refused_call_says_why(caller: Phone, manual: Phone) -> None:
    outgoing = await caller.start_call(manual.uri)
    await (await manual.incoming()).reject(486)
    with pytest.raises(CallRejectedError) as caught:
        await outgoing.wait_answered()
    assert (caught.value.status, caught.value.reason) == (486, "Busy Here")
    assert outgoing.state is CallState.ENDED


async def test_a_caller_can_give_up_while_it_rings(caller: Phone, manual: Phone) -> None:
    outgoing = await caller.start_call(manual.uri)
    incoming = await manual.incoming()
    incoming.ring()
    await outgoing.wait_ringing()
    await outgoing.hang_up()
    assert await outgoing.wait_ended() == CallEnd(True, 487, "Request Terminated")
    assert (await incoming.wait_ended()).by_us is False
    with pytest.raises(CallEndedError):
        await incoming.answer()


async def test_a_dial_that_takes_too_long_is_cancelled(caller: Phone, manual: Phone) -> None:
    with pytest.raises(CallTimeoutError):
        await caller.dial(manual.uri, timeout_s=0.1)
    assert (await (await manual.incoming()).wait_ended()).status == 487


async def test_nobody_there_ends_the_call_with_a_timeout_status(raw: socket.socket) -> None:
    async with Phone(timers=SOON) as caller:
        with pytest.raises(CallRejectedError) as caught:
            await caller.dial(f"sip:x@127.0.0.1:{raw.getsockname()[1]}", timeout_s=60)
    assert caught.value.status == 408


async def test_phones_without_a_common_codec_do_not_talk(caller: Phone, callee: Phone) -> None:
    with pytest.raises(CallRejectedError) as caught:
        await caller.dial(callee.uri, MediaOptions(codecs=(Codec.PCMA,)))
    assert caught.value.status == 488


async def test_a_wait_ends_with_the_call(caller: Phone, callee: Phone) -> None:
    outgoing, incoming = await connect(caller, callee)
    waiting = asyncio.create_task(outgoing.wait_heard(1000))
    await incoming.hang_up()
    with pytest.raises(CallEndedError):
        await waiting


async def test_garbage_is_counted_and_ignored(
    caller: Phone, callee: Phone, raw: socket.socket
) -> None:
    outgoing, incoming = await connect(caller, callee, MediaOptions(source=Tone(500)))
    for garbage in (b"\x00\xffgarbage", b"INVITE\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n", b"\r\n\r\n"):
        raw.sendto(garbage, (callee.host, callee.port))
        raw.sendto(garbage, incoming.media.local_address)
    await outgoing.send_digits("1")
    await incoming.wait_digits("1")
    await outgoing.hang_up()
    assert callee.malformed_datagrams == 3


async def test_audio_of_strangers_is_not_heard(
    caller: Phone, callee: Phone, raw: socket.socket
) -> None:
    _, incoming = await connect(caller, callee, MediaOptions(source=Silence()))
    for _ in range(3):
        raw.sendto(b"\x80\x00" + bytes(10) + bytes(160), incoming.media.local_address)
    for _ in range(3):
        await incoming.wait_heard()
    assert not incoming.ear.samples().any()


async def test_an_invite_is_sent_again_until_it_is_answered(
    caller: Phone, raw: socket.socket
) -> None:
    outgoing = await caller.start_call(f"sip:x@127.0.0.1:{raw.getsockname()[1]}")
    first, sender = await received(raw)
    assert (await received(raw))[0] == first
    fields = first.decode().split("\r\n")
    copied = [line for line in fields if line.split(":")[0] in {"Via", "From", "Call-ID", "CSeq"}]
    refusal = ["SIP/2.0 603 Decline", *copied, "To: <sip:x@127.0.0.1>;tag=t", "", ""]
    raw.sendto("\r\n".join(refusal).encode(), sender)
    assert (await outgoing.wait_ended()).status == 603
    datagram = first
    while datagram.startswith(b"INVITE"):
        datagram, _ = await received(raw)
    assert datagram.startswith(b"ACK")
    raw.sendto("\r\n".join(refusal).encode(), sender)
    assert (await received(raw))[0] == datagram


async def test_a_repeated_request_gets_the_same_answer_and_makes_no_second_call(
    manual: Phone, raw: socket.socket
) -> None:
    invite = (
        f"INVITE {manual.uri} SIP/2.0\r\n"
        "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
        "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:b@127.0.0.1>\r\n"
        "Call-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
    ).encode()
    raw.sendto(invite, (manual.host, manual.port))
    first, _ = await received(raw)
    assert first.startswith(b"SIP/2.0 100")
    incoming = await manual.incoming()
    raw.sendto(invite, (manual.host, manual.port))
    assert (await received(raw))[0] == first
    assert manual.calls == (incoming,)
    await incoming.reject(486)
    busy, _ = await received(raw)
    assert busy.startswith(b"SIP/2.0 486")
    assert (await received(raw))[0] == busy  # Until the ACK comes.
    raw.sendto(invite.replace(b"INVITE", b"ACK"), (manual.host, manual.port))


async def test_options_are_answered(manual: Phone, raw: socket.socket) -> None:
    options = (
        f"OPTIONS {manual.uri} SIP/2.0\r\nv: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK2\r\n"
        "f: <sip:a@127.0.0.1>;tag=1\r\nt: <sip:b@127.0.0.1>\r\ni: 2\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    raw.sendto(options.encode(), (manual.host, manual.port))
    assert (await received(raw))[0].startswith(b"SIP/2.0 200 OK\r\n")


async def test_a_frozen_loop_catches_up_without_a_burst() -> None:
    ticks: list[int] = []

    class Ticked:
        def tick(self, number: int) -> None:
            ticks.append(number)
            if len(ticks) == 3:
                time.sleep(0.3)
            if len(ticks) == 12:
                done.set()

    done = asyncio.Event()
    clock, stream = MediaClock(), Ticked()
    clock.add(stream)
    async with asyncio.timeout(60):
        await done.wait()
    clock.remove(stream)
    assert ticks[0] == 0
    assert ticks[3] > ticks[2] + 15 - MAX_CATCH_UP_PACKETS
    assert ticks == sorted(set(ticks))


async def test_digits_need_a_side_that_takes_them(caller: Phone, raw: socket.socket) -> None:
    outgoing = await caller.start_call(f"sip:x@127.0.0.1:{raw.getsockname()[1]}")
    invite, sender = await received(raw)
    lines = invite.decode().split("\r\n")
    copied = [line for line in lines if line.split(":")[0] in {"Via", "From", "Call-ID", "CSeq"}]
    body = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 0\r\n"
    answer = ["SIP/2.0 200 OK", *copied, "To: <sip:x@127.0.0.1>;tag=t", "", body]
    raw.sendto("\r\n".join(answer).encode(), sender)
    await outgoing.wait_answered()
    with pytest.raises(MediaNotAgreedError):
        await outgoing.send_digits("1")
