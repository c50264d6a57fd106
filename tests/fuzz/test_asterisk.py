"""Whatever Asterisk, or who stands in for it, sends: no defect, nothing kept or uncovered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.nasty import TOKENS, fuzzed, mangled, replayed
from tests.loopback.house import House
from turnrec.asterisk.agi_protocol import MAX_MESSAGE_BYTES, AgiParser, AgiProtocolError
from turnrec.asterisk.ami_action import AmiAction
from turnrec.asterisk.ami_errors import AmiConnectionLostError
from turnrec.asterisk.ami_message import AmiEvent, parse
from turnrec.asterisk.ami_protocol import AmiProtocol
from turnrec.core.recorder import State
from turnrec.meddling import Meddling
from turnrec.net import Net

Run = Callable[[Coroutine[Any, Any, Any]], Any]
MAX_BYTES = 4096
GREETING = b"Asterisk Call Manager/11.0.0\r\n"
EVENT = (
    b"Event: BridgeEnter\r\nPrivilege: call,all\r\nBridgeUniqueid: b1\r\n"
    b"Channel: PJSIP/a-1\r\nCallerIDNum: 1\r\nUniqueid: 1.1\r\nLinkedid: 1.1\r\n\r\n"
)
STREAM = (
    GREETING + EVENT + b"Response: Success\r\nActionID: ID1\r\nEventList: start\r\n\r\n"
    b"Event: CoreShowChannel\r\nActionID: ID1\r\nChannel: PJSIP/a-1\r\nCallerIDNum: 1\r\n"
    b"Uniqueid: 1.1\r\n\r\nEvent: CoreShowChannelsComplete\r\nActionID: ID1\r\n\r\n"
    b"Response: Error\r\nActionID: ID2\r\nMessage: no\r\n\r\n" + EVENT
)
AMI_TOKENS = (
    *TOKENS,
    EVENT,
    b"ActionID: ID1\r\n",
    b"Event: ",
    b"Response: Success\r\n",
    b"x" * 500,
)


@pytest.fixture
def run() -> Iterator[Run]:
    """Run coroutines one after another in one loop, for examples that share a house."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop.run_until_complete
    asyncio.set_event_loop(None)
    loop.close()


class Defects(logging.Handler):
    """Notes what is logged with an exception. What fuzzing logs is kept out of pytest's report."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.messages.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


@pytest.fixture
def defects() -> Iterator[list[str]]:
    handler = Defects()
    loggers = [logging.getLogger(name) for name in ("turnrec", "asyncio", "uvicorn")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    yield handler.messages
    for logger in loggers:
        logger.propagate = True
        logger.removeHandler(handler)


# ------------------------------------------------------------------ AMI's stream


class Transport:
    def __init__(self) -> None:
        self.is_aborted = False

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_aborted


class Owner:
    """A session that only notes what it is told."""

    protocol: AmiProtocol | None = None

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.events: list[AmiEvent] = []

    def greeted(self, version: str) -> None: ...

    def wants(self, name: bytes) -> bool:
        return name == b"BridgeEnter"

    def dispatch(self, event: AmiEvent) -> None:
        self.events.append(event)

    def connection_lost(self, exc: AmiConnectionLostError) -> None: ...


async def read(data: bytes, cuts: list[int]) -> tuple[list[tuple[str, ...]], list[str], bool]:
    """Feed a protocol that waits for a list and for one answer; what came of it."""
    owner, transport = Owner(), Transport()
    protocol = AmiProtocol(owner, MAX_BYTES)
    protocol.connection_made(transport)  # type: ignore[arg-type]
    listing = AmiAction("CoreShowChannels", {}, complete_event="CoreShowChannelsComplete")
    single = AmiAction("Getvar", {})
    for number, action in enumerate((listing, single), 1):
        protocol.send(action)
        protocol.responses[f"ID{number}"] = protocol.responses.pop(action.id)
        action["ActionID"] = f"ID{number}"
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        protocol.data_received(data[start:end])
        assert len(protocol._splitter._buffer) <= MAX_BYTES + end - start
    events = [tuple(map(str, event.fields)) for event in owner.events]
    for event in (*owner.events, *listing.events):
        assert isinstance(event.get("Uniqueid"), str | None)
        str(event.fields).encode()
    protocol.drop("the end")
    outcomes = []
    for action in (listing, single):
        error = action.future.exception()
        assert error is None or isinstance(error, AmiConnectionLostError)
        outcomes.append("" if error else action.future.result().status)
    assert protocol.responses == {}
    return events, outcomes, transport.is_aborted


def test_any_manager_stream_is_taken_however_it_is_cut(run: Run) -> None:
    @replayed("ami", mangled([STREAM], AMI_TOKENS), 150)
    def whole(data: bytes) -> None:
        run(read(data, []))

    @fuzzed(100)
    @given(mangled([STREAM], AMI_TOKENS), st.lists(st.integers(0, 2000), max_size=20))
    def cut(data: bytes, cuts: list[int]) -> None:
        events, outcomes, _ = run(read(data, cuts))
        others, same, _ = run(read(data, list(range(len(data)))))
        if len(data) < MAX_BYTES:
            assert (events, outcomes) == (others, same)

    whole()
    cut()


# ------------------------------------------------------------------ AMI's events

NAMES = (
    "BridgeEnter",
    "BridgeLeave",
    "BridgeDestroy",
    "LocalBridge",
    "Rename",
    "AgentCalled",
    "DialBegin",
    "QueueCallerJoin",
    "MixMonitorStart",
    "MixMonitorStop",
    "MixMonitorMute",
    "Hangup",
)
FIELDS = (
    "Uniqueid",
    "Channel",
    "BridgeUniqueid",
    "BridgeTechnology",
    "SwapUniqueid",
    "Newname",
    "DestUniqueid",
    "Queue",
    "State",
    "LocalOneUniqueid",
    "LocalOneChannel",
    "Linkedid",
    "LocalTwoUniqueid",
    "LocalTwoChannel",
    "Context",
    "Exten",
    "LocalOneLinkedid",
)


@st.composite
def told(draw: st.DrawFn, own: tuple[str, ...]) -> bytes:
    """An event, with what it may say in any order and as often as it likes."""
    words = st.sampled_from((*own, "", "0", "1", "b1", "b2", "x" * 300, "Local/x@y-1;1", "\xff"))
    lines = [f"Event: {draw(st.sampled_from(NAMES))}"]
    named = draw(st.lists(st.tuples(st.sampled_from(FIELDS), words), max_size=8))
    lines += [f"{name}: {word}" for name, word in named]
    return "\r\n".join(lines).encode()


def test_no_events_uncover_a_paused_turn_and_none_is_a_defect(
    run: Run, tmp_path: Path, defects: list[str]
) -> None:
    opening = House.open(tmp_path)
    house: House = run(opening.__aenter__())
    try:
        run(house.hear("ask_aadhaar"))
        meddling = Meddling(house.calls, house.ways)
        flow: Any = house.calls.flow if hasattr(house.calls, "flow") else house.calls._flow
        net = Net(house.calls, house.talks, meddling, house.ways, house.ways.ami, flow, lambda: 1)
        own = (house.caller.uniqueid, house.caller.name)

        async def hear(events: list[bytes]) -> None:
            for raw in events:
                event = parse(raw)
                if isinstance(event, AmiEvent):
                    net._on_event(event)
            for _ in range(20):
                await asyncio.sleep(0)

        @fuzzed(80)
        @given(st.lists(told(own), min_size=1, max_size=6))
        def fuzz(events: list[bytes]) -> None:
            run(hear(events))
            assert house.recorder.state is not State.RECORDING
            assert house.caller.running == []

        fuzz()
        run(net.close())
        assert defects == []
    finally:
        run(house.hang_up())
        with suppress(AssertionError):
            run(opening.__aexit__(None, None, None))


# ------------------------------------------------------------------ AGI sessions

ENVIRONMENT = (
    b"agi_network: yes\nagi_network_script: turn?ask_aadhaar\n"
    b"agi_request: agi://h/turn?ask_aadhaar\nagi_channel: PJSIP/z-1\nagi_language: en\n"
    b"agi_type: PJSIP\nagi_uniqueid: 9.9\nagi_version: 22\nagi_callerid: 1\n"
    b"agi_calleridname: x\nagi_arg_1: y\n\n"
)
REPLIES = b"".join(
    (
        b"200 result=1 (0x7f0000000001|/var/spool/asterisk/turnrec/ID1-001.wav)\n",
        b"HANGUP\n",
        b"200 result=0\n",
        b"100 result=0 Trying...\n200 result=0 Gosub complete\n",
        b"520-Invalid command syntax.  Proper usage follows:\nx\n520 End of proper usage.\n",
        b"511 Command Not Permitted on a dead channel\n",
        b"200 result=1 (a\nb) endpos=7\n",
    )
)
SESSIONS = [
    ENVIRONMENT.replace(b"turn?ask_aadhaar", script) + replies
    for script in (
        b"start?kyc&ext-1",
        b"turn?confirm&7",
        b"action?resume",
        b"agent-pre?off",
        b"agent",
        b"bot",
        b"operator?pause",
        b"hangup",
        b"none",
    )
    for replies in (b"", REPLIES, b"200 result=1 ()\n" * 30)
]


def test_any_agi_session_ends_and_is_no_defect(
    run: Run, tmp_path: Path, defects: list[str]
) -> None:
    opening = House.open(tmp_path, answer_timeout_ms=2_000, deadline_ms=50)
    house: House = run(opening.__aenter__())

    async def say(data: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
        with suppress(ConnectionError):
            writer.write(data)
            writer.write_eof()
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        await house.quiet()

    @replayed("agi", mangled(SESSIONS), 100)
    def fuzz(data: bytes) -> None:
        run(say(data))
        assert defects == []
        assert house.caller.running == []

    try:
        fuzz()
    finally:
        with suppress(AssertionError):
            run(opening.__aexit__(None, None, None))


def taken(start: bytes, line: bytes) -> int:
    """How many bytes of one message are taken in before it is refused."""
    parser = AgiParser()
    parser.feed(start)
    for number in range(10_000):
        try:
            parser.feed(line)
        except AgiProtocolError:
            return number * len(line)
    raise AssertionError("it is never refused")


def test_no_session_holds_more_than_its_measure() -> None:
    """Lines that each are short enough, of an environment or an answer that never ends."""
    assert taken(b"agi_network: yes\n", b"agi_x: " + b"y" * 16_000 + b"\n") <= MAX_MESSAGE_BYTES
    assert taken(ENVIRONMENT, b"200 result=1 (" + b"y" * 16_000 + b"\n") <= MAX_MESSAGE_BYTES
