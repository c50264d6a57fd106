"""A call's media: owns its RTP socket and what goes out each 20 ms; never speaks SIP."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from dataclasses import dataclass, field

from turnrec.pbx.g711 import CODEC_BY_PAYLOAD_TYPE, Codec
from turnrec.pbx.phone.clock import MediaClock
from turnrec.pbx.phone.ear import Ear
from turnrec.pbx.phone.errors import MalformedError, MediaNotAgreedError, PhoneError
from turnrec.pbx.phone.keypad import Keypad
from turnrec.pbx.phone.rtp import DigitEvent, RtpPacket
from turnrec.pbx.phone.sdp import DIGITS_PAYLOAD_TYPE, Direction, MediaDescription, agree
from turnrec.pbx.phone.sources import PACKET_SAMPLES, Silence, Source
from turnrec.pbx.phone.udp import Address, UdpSocket
from turnrec.pbx.phone.watch import Watch


@dataclass(frozen=True, slots=True)
class Network:
    """What the network does to the packets sent."""

    jitter_ms: float = 0.0
    """Each packet is delayed by a random time up to this."""
    keeps_order: bool = True
    """Whether a late packet holds up those behind it."""
    loss: float = 0.0
    """The share of packets that are lost."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """How one call's audio begins."""

    source: Source = field(default_factory=Silence)
    codecs: tuple[Codec, ...] = (Codec.PCMU,)
    """In the order preferred."""
    network: Network = Network()
    first_sequence: int | None = None
    """RTP's first sequence number; random by default, as RFC 3550 wants."""
    keep_chunks: int | None = None
    """How many received packets' audio is kept: all by default."""


class MediaStream:
    """One call's audio, both ways."""

    def __init__(self, clock: MediaClock, options: MediaOptions) -> None:
        self.ear = Ear(options.keep_chunks)
        self.sent_packets = 0
        self._clock = clock
        self._first_tick: int | None = None
        self._codecs = options.codecs
        self._codec = options.codecs[0]
        self._digits_payload_type: int | None = None
        self._source = options.source
        self._played = 0
        self._was_talking = False
        self._keypad = Keypad()
        self._sent = Watch()
        first = options.first_sequence
        self._sequence = secrets.randbelow(1 << 16) if first is None else first
        self._ssrc = secrets.randbits(32)
        self._timestamp_offset = secrets.randbits(32)
        self.network = options.network
        self._held_up_until_s = 0.0
        self._remote: Address | None = None
        self._sends = False
        self._is_stopped = False
        self._socket = UdpSocket(self._receive)
        self._local: Address | None = None

    async def open(self, host: str) -> None:
        """Bind a free port."""
        self._local = await self._socket.open(host)

    def offer(self, direction: Direction = Direction.SENDRECV) -> MediaDescription:
        """This side, with all it speaks."""
        host, port = self.local_address
        return MediaDescription(host, port, self._codecs, direction=direction)

    def answer(self, offer: MediaDescription) -> MediaDescription:
        """This side, with what it took of the offer; applies it."""
        self.connect(offer)
        host, port = self.local_address
        digits = offer.digits_payload_type
        return MediaDescription(host, port, (self._codec,), digits, offer.direction.answer)

    def connect(self, remote: MediaDescription) -> None:
        """Send to the other side as it described itself, from the next tick on."""
        self._codec = agree(remote, self._codecs)
        self._digits_payload_type = remote.digits_payload_type
        self._remote = (remote.host, remote.port)
        self._sends = remote.wants_audio
        if self._first_tick is None and not self._is_stopped:
            self._first_tick = self._clock.next_tick
            self._clock.add(self)

    @property
    def local_address(self) -> Address:
        """The socket's own address."""
        if self._local is None:
            raise PhoneError("the media stream is not open")
        return self._local

    @property
    def codec(self) -> Codec:
        """What is sent."""
        return self._codec

    @property
    def source(self) -> Source:
        """What is being said; assigning changes it from the very next packet on."""
        return self._source

    @source.setter
    def source(self, source: Source) -> None:
        self._source = source
        self._played = 0
        self._sent.changed()

    @property
    def network(self) -> Network:
        """What happens to the packets sent; assigning starts its random numbers afresh."""
        return self._network

    @network.setter
    def network(self, network: Network) -> None:
        self._network = network
        # Repeatable on purpose: no secret depends on it.
        self._random = random.Random(network.seed)  # noqa: S311

    async def play(self, source: Source, timeout_s: float) -> None:
        """Say it, and return when it is over or something else is said."""
        self.source = source
        await self._sent.until(
            lambda: self._source is not source or source.is_over(self._played),
            "end of the clip",
            timeout_s,
        )

    async def wait_sent(self, packets: int, timeout_s: float) -> None:
        """Return once this many further packets have gone out."""
        goal = self.sent_packets + packets
        await self._sent.until(
            lambda: self.sent_packets >= goal, f"{packets} packets sent", timeout_s
        )

    async def send_digits(self, digits: str, hold_ms: int, pause_ms: int, timeout_s: float) -> None:
        """Press keys (RFC 4733), and return when the last one was released."""
        if self._digits_payload_type is None:
            raise MediaNotAgreedError("the other side takes no telephone-event")
        self._keypad.press(digits, hold_ms, pause_ms)
        await self._sent.until(lambda: self._keypad.is_idle, f"digits {digits!r}", timeout_s)

    def tick(self, number: int) -> None:
        """Send what is due now (called by the clock)."""
        if not self._sends or self._first_tick is None:
            return
        clock = number - self._first_tick
        # The timestamp is the clock's, so a stretch without packets is a gap in it too.
        timestamp = (self._timestamp_offset + clock * PACKET_SAMPLES) & 0xFFFFFFFF
        keys = self._keypad.tick(timestamp)
        if keys:
            digits_payload_type = self._digits_payload_type or DIGITS_PAYLOAD_TYPE
            for key in keys:
                self._send(digits_payload_type, key.started_at, key.event.pack(), key.is_first)
            self._was_talking = False
        else:
            payload = self._source.payload(clock, self._played, self._codec)
            self._played += 1
            if payload is not None:
                marker = not self._was_talking
                self._send(self._codec.payload_type, timestamp, payload, marker)
            self._was_talking = payload is not None
        self._sent.changed()

    def stop(self) -> None:
        """Send and hear nothing more; the port is released soon after."""
        self._is_stopped = True
        self._clock.remove(self)
        self._sends = False
        self._sent.close()
        self.ear.close()
        self._socket.close_soon()

    async def close(self) -> None:
        """Stop, and return once the port is released."""
        self.stop()
        await self._socket.close()

    def _receive(self, datagram: bytes, sender: Address) -> None:
        # Only the party agreed on: a port used anew may still get its last owner's packets,
        # and a neighbour's RTCP comes to the port above.
        if sender[:2] != self._remote:
            return
        with contextlib.suppress(MalformedError):
            packet = RtpPacket.parse(datagram)
            codec = CODEC_BY_PAYLOAD_TYPE.get(packet.payload_type)
            if codec is not None:
                self.ear.hear(packet, codec, asyncio.get_running_loop().time())
            elif packet.payload_type == self._digits_payload_type:
                self.ear.press(packet, DigitEvent.parse(packet.payload))

    def _send(self, payload_type: int, timestamp: int, payload: bytes, marker: bool) -> None:
        remote = self._remote
        if remote is None:
            return
        sequence = self._sequence
        self._sequence = (sequence + 1) & 0xFFFF
        self.sent_packets += 1
        network = self._network
        if network.loss and self._random.random() < network.loss:
            return
        datagram = RtpPacket(payload_type, sequence, timestamp, self._ssrc, payload, marker).pack()
        if not network.jitter_ms:
            self._socket.send(datagram, remote)
            return
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._random.uniform(0, network.jitter_ms) / 1000
        if network.keeps_order:
            # A little later than the one before: the loop's timers keep no order among equals.
            due_s = self._held_up_until_s = max(due_s, self._held_up_until_s + 1e-6)
        loop.call_at(due_s, self._socket.send, datagram, remote)
