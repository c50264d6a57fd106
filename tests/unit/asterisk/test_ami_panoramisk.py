"""The traps of panoramisk 1.4 that need no socket: 10, 11, 12, 14, 15 (asterisk-facts.md).

As in tests/loopback/test_ami_panoramisk.py, a `stock` test that fails tells that panoramisk has
mended the fault.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
from panoramisk import CallManager, Manager, Message, testing, utils
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol

import turnrec
from turnrec.asterisk.ami_action import AmiAction
from turnrec.asterisk.ami_handlers import HandlerQueue
from turnrec.asterisk.ami_message import AmiMessage, parse
from turnrec.asterisk.ami_protocol import AmiProtocol

NAME = "Jürgen परीक्षा"
GREETING = b"Asterisk Call Manager/11.0.0\r\n"
EVENT = f"Event: BridgeEnter\r\nCallerIDName: {NAME}\r\n\r\n".encode()


class Owner:
    """Stands where the session does; keeps what it is told."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.protocol: AmiProtocol | None = None
        self.events: list[Any] = []

    def greeted(self, version: str) -> None: ...
    def connection_lost(self, exc: Exception) -> None: ...

    def wants(self, name: bytes) -> bool:
        return name == b"BridgeEnter"

    def dispatch(self, event: Any) -> None:
        self.events.append(event)


def message(text: str) -> Any:
    parsed = parse(text.encode())
    assert parsed is not None
    return parsed


# -- 10: guessing whether a list follows ---------------------------------------------------------

FOLLOWS = "Response: Success\r\nMessage: Result will follow"


async def test_10_single_answer_is_complete_with_its_response() -> None:
    action = AmiAction("Originate", {})
    assert not action.add_message(message("Event: OriginateResponse"))
    assert action.add_message(message(FOLLOWS))


async def test_10_list_is_complete_with_its_end_and_not_before() -> None:
    action = AmiAction("Status", {}, complete_event="StatusComplete")
    assert not action.add_message(message(FOLLOWS))
    assert not action.add_message(message("Event: SomeComplete"))
    assert action.add_message(message("Event: StatusComplete"))
    assert [event.name for event in action.events] == ["SomeComplete"]


async def test_10_stock_takes_any_event_that_ends_in_complete_for_the_end() -> None:
    action = Action({"Action": "Status"}, as_list=True)
    action.add_message(Message({"Response": "Success", "Message": "Result will follow"}))
    assert action.add_message(Message({"Event": "SomeComplete"}))


# -- 11: a character that TCP tore in two --------------------------------------------------------


async def test_11_character_torn_by_tcp_is_whole() -> None:
    owner = Owner()
    protocol = AmiProtocol(owner, 10_000)
    protocol.connection_made(asyncio.Transport())
    for byte in GREETING + EVENT:
        protocol.data_received(bytes([byte]))
    assert [event.get("CallerIDName") for event in owner.events] == [NAME]


async def test_11_stock_loses_the_character() -> None:
    owner = Owner()
    protocol = AMIProtocol()
    protocol.connection_made(asyncio.Transport())
    protocol.factory = owner
    protocol.encoding = "utf8"
    for byte in GREETING + EVENT:
        protocol.data_received(bytes([byte]))
    assert [event["CallerIDName"] for event in owner.events] == ["Jrgen"]


async def test_unwanted_events_are_not_parsed_and_responses_always_are() -> None:
    owner = Owner()
    protocol = AmiProtocol(owner, 10_000)
    protocol.connection_made(asyncio.Transport())
    protocol.data_received(GREETING + b"Event: RTCPSent\r\nX: y\r\n\r\n" + EVENT)
    assert [event.name for event in owner.events] == ["BridgeEnter"]


# -- 12: coroutines that nothing refers to -------------------------------------------------------


class Handler:
    """Waits, in mid-flight, for a future that only its own frame refers to."""

    def __init__(self) -> None:
        self.waits_for: weakref.ref[asyncio.Future[None]] | None = None
        self.started = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, *_: object) -> None:
        future = asyncio.get_running_loop().create_future()
        self.waits_for = weakref.ref(future)
        self.started.set()
        await future
        self.ended.set()

    async def collected(self) -> bool:
        await asyncio.wait_for(self.started.wait(), 30)
        gc.collect()
        assert self.waits_for is not None
        return self.waits_for() is None


async def test_12_handler_survives_the_garbage_collector_in_mid_flight() -> None:
    handler = Handler()
    queue: HandlerQueue[int] = HandlerQueue(handler, label="x", max_queued=10)
    queue.put(1)
    assert not await handler.collected()
    assert handler.waits_for is not None
    future = handler.waits_for()
    assert future is not None
    future.set_result(None)
    await asyncio.wait_for(handler.ended.wait(), 30)


async def test_12_stock_handler_is_collected_in_mid_flight() -> None:
    handler = Handler()
    manager = Manager(loop=asyncio.get_running_loop())
    manager.register_event("X", lambda *_: handler())
    manager.dispatch(Message({"Event": "X"}))
    assert await handler.collected()


# -- 14: what is missing, and what is repeated ---------------------------------------------------


def test_14_missing_field_is_none_and_unknown_attribute_an_error() -> None:
    event = message("Event: X")
    assert event.get("Channel") is None
    with pytest.raises(AttributeError):
        _ = event.channel


def test_14_a_repeated_value_is_never_a_list_and_in_an_event_no_value_at_all() -> None:
    once: AmiMessage = message("Event: X\r\nChanVariable: a=1")
    twice: AmiMessage = message("Event: X\r\nChanVariable: a=1\r\nChanVariable: b=2")
    # One of two that say different things may be a caller's (docs/security.md).
    assert (once.get("ChanVariable"), twice.get("ChanVariable")) == ("a=1", None)
    assert twice.first("ChanVariable") == "a=1"


def test_14_stock_answers_anything_and_changes_the_type() -> None:
    stock = Message.from_line("Event: X\r\nChanVariable: a=1\r\nChanVariable: b=2")
    assert stock.no_such_thing == ""
    assert stock.chanvariable == ["a=1", "b=2"]


# -- 15: CallManager, testing, fast_agi ----------------------------------------------------------


def test_15_only_the_three_mended_modules_are_imported() -> None:
    source = Path(turnrec.__file__).parent
    imported = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
    used = {name for name in imported if name.split(".")[0] == "panoramisk"}
    assert used == {"panoramisk.actions", "panoramisk.ami_protocol", "panoramisk.manager"}


async def test_15_line_ending_is_ours_whatever_panoramisk_testing_does_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(utils, "EOL", "\n")
    action = AmiAction("Ping", {})
    assert action.wire == f"Action: Ping\r\nActionID: {action.id}\r\n\r\n".encode()


async def test_15_stock_testing_manager_changes_the_line_ending_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(utils, "EOL", "\r\n")  # so that it is put back
    testing.Manager(loop=asyncio.get_running_loop()).close()
    assert str(Action({"Action": "Ping"})).startswith("Action: Ping\nActionID")


async def test_15_stock_call_manager_takes_two_calls_of_one_second_for_one() -> None:
    manager = CallManager(loop=asyncio.get_running_loop())
    for uniqueid in ("1700000000.1", "1700000000.2"):
        manager.dispatch(Message({"Event": "Hangup", "Uniqueid": uniqueid}))
    assert list(manager.calls_queues) == ["1700000000"]
