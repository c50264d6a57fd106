"""The traps of panoramisk 1.4 (asterisk-facts.md), by number: mended in ours, there in stock.

Each rule has a test of AmiClient and one that shows the fault in the unmended class. When a
`stock` test fails, panoramisk has mended that fault and our mend may be taken out. Traps 10, 11,
12, 14 and 15 need no socket: tests/unit/asterisk/test_ami_panoramisk.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from panoramisk import Manager
from panoramisk.actions import Action

from tests.loopback.ami_helpers import (
    HANG_MS,
    HOUR_MS,
    patient,
    ready_client,
    stock_manager,
    within,
)
from tests.loopback.fake_ami import FakeAction, FakeAmi, silence, success
from turnrec.asterisk.ami import (
    AmiClient,
    AmiConnectionLostError,
    AmiError,
    AmiEvent,
    AmiInvalidFieldError,
    AmiLoginError,
    AmiNotConnectedError,
    AmiTimeoutError,
)
from turnrec.asterisk.ami_action import AmiAction
from turnrec.asterisk.ami_session import AmiSession

INJECTION = ["x\r\n\r\nAction: Originate", "x\n\nAction: Originate", "x\rAction: Originate", "x\0"]

# -- 1: a line end in a value is a second action -------------------------------------------------


@pytest.mark.parametrize("value", INJECTION)
async def test_1_line_end_in_a_value_is_refused_and_nothing_is_sent(value: str) -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        with pytest.raises(AmiInvalidFieldError):
            await client.action("Setvar", Variable="a", Value=value)
        await client.action("CoreStatus")
        assert [action.name for action in peer.actions] == ["Login", "CoreStatus"]


async def test_1_line_end_in_a_command_is_refused_too() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        with pytest.raises(AmiInvalidFieldError):
            await client.command("core show channels\r\n\r\nAction: Originate")


@pytest.mark.parametrize("value", INJECTION[:2])
async def test_1_stock_runs_the_second_action(value: str) -> None:
    async with FakeAmi() as peer, stock_manager(peer) as manager:
        manager.send_action({"Action": "Setvar", "Value": value})
        await peer.received("Originate")


# -- 2: an unanswered action is sent again after a reconnect -------------------------------------


async def test_2_lost_action_fails_and_is_never_sent_again() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("MixMonitor", silence)
        recording = asyncio.create_task(client.action("MixMonitor", Channel="PJSIP/a-1"))
        (await peer.received("MixMonitor")).session.close()
        with pytest.raises(AmiConnectionLostError) as caught:
            await within(recording)
        assert caught.value.outcome_unknown
        assert caught.value.action == "MixMonitor"
        await client.wait_ready(HANG_MS)
        await client.action("CoreStatus")
        assert len(peer.logged_in) == 2
        assert peer.count("MixMonitor") == 1


async def test_2_stock_sends_it_again() -> None:
    async with FakeAmi() as peer, stock_manager(peer) as manager:
        peer.on("MixMonitor", silence)
        manager.send_action({"Action": "MixMonitor", "Channel": "PJSIP/a-1"})
        (await peer.received("MixMonitor")).session.close()
        again = await peer.received("MixMonitor", 2)
        assert again.session is await peer.session(2)


# -- 3: an action without a connection -----------------------------------------------------------


async def test_3_action_before_connect_is_refused() -> None:
    async with FakeAmi() as peer:
        client = AmiClient(patient(peer))
        with pytest.raises(AmiNotConnectedError) as caught:
            await client.action("CoreStatus")
        assert not caught.value.outcome_unknown
        assert not peer.connections


async def test_3_action_after_a_loss_is_refused_and_not_kept_for_later() -> None:
    lost = asyncio.Event()
    async with FakeAmi() as peer, ready_client(peer) as client:
        client.on_lost(lambda _: lost.set())
        await peer.stop_listening()
        (await peer.session()).abort()
        await within(lost.wait())
        with pytest.raises(AmiNotConnectedError, match="MixMonitor was not sent"):
            await client.action("MixMonitor")
        await peer.listen()
        await client.wait_ready(HANG_MS)
        await client.action("CoreStatus")
        assert peer.count("MixMonitor") == 0


async def test_3_session_itself_sends_nothing_before_it_is_open_or_after_it_is_lost() -> None:
    async with FakeAmi() as peer:
        session = AmiSession(patient(peer), wants=lambda _: False, on_event=lambda _: None)
        with pytest.raises(AmiNotConnectedError):
            await session.request(AmiAction("CoreStatus", {}), HANG_MS)
        await session.open()
        await session.request(AmiAction("CoreStatus", {}), HANG_MS)
        await session.aclose()
        with pytest.raises(AmiNotConnectedError):
            await session.request(AmiAction("CoreStatus", {}), HANG_MS)
        assert peer.count("CoreStatus") == 1


async def test_3_stock_raises_attribute_error_before_connect() -> None:
    with pytest.raises(AttributeError):
        Manager().send_action({"Action": "CoreStatus"})


async def test_3_stock_never_answers_after_a_loss() -> None:
    lost = asyncio.Event()
    config: dict[str, Any] = {"reconnect_timeout": 3600, "on_disconnect": lambda *_: lost.set()}
    async with FakeAmi() as peer, stock_manager(peer, **config) as manager:
        (await peer.session()).close()
        await within(lost.wait())
        future = manager.send_action({"Action": "CoreStatus"})
        assert manager.protocol.closed  # nothing will come over it ...
        assert not future.done()  # ... and yet it is waited for
        assert manager.protocol.responses


# -- 4: a frozen Asterisk ------------------------------------------------------------------------


async def test_4_unanswered_ping_ends_the_session_and_a_new_one_begins() -> None:
    reasons: asyncio.Queue[AmiError] = asyncio.Queue()
    async with (
        FakeAmi() as peer,
        ready_client(peer, ping_interval_ms=1, ping_timeout_ms=1) as client,
    ):
        client.on_lost(reasons.put_nowait)
        (await peer.session()).freeze()
        assert "no answer to Ping within 1 ms" in str(await within(reasons.get()))
        await peer.session(2)


async def test_4_action_in_flight_fails_when_the_peer_is_found_frozen() -> None:
    async with (
        FakeAmi() as peer,
        ready_client(peer, ping_interval_ms=20, ping_timeout_ms=1) as client,
    ):
        peer.on("Ping", silence)
        peer.on("MixMonitor", silence)
        with pytest.raises((AmiConnectionLostError, AmiNotConnectedError)):
            await client.action("MixMonitor")


async def test_4_answered_pings_keep_the_session() -> None:
    async with FakeAmi() as peer, ready_client(peer, ping_interval_ms=1) as client:
        await peer.received("Ping", 5)
        await client.action("CoreStatus")
        assert len(peer.connections) == 1


async def test_4_stock_pings_for_ever_without_an_answer() -> None:
    async with FakeAmi() as peer:
        peer.on("Ping", silence)
        async with stock_manager(peer, ping_delay=0, ping_interval=0) as manager:
            await peer.received("Ping", 20)
            assert not manager.protocol.closed
            assert len(peer.connections) == 1


# -- 5: a wrong password -------------------------------------------------------------------------


async def test_5_refused_login_is_an_error_and_waits_long_before_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeAmi(secret="another") as peer:
        client = AmiClient(patient(peer, login_retry_ms=HOUR_MS))
        await client.start()
        with pytest.raises(AmiLoginError, match="Authentication failed"):
            await client.wait_ready(HANG_MS)
        assert not client.ready
        assert client.retry_delay_ms >= HOUR_MS / 2
        assert peer.count("Login") == 1
        with pytest.raises(AmiNotConnectedError, match="Authentication failed"):
            await client.action("CoreStatus")
        await client.close()
    assert "Asterisk refused the AMI login of 'turnrec'" in caplog.text
    assert "right" not in caplog.text


async def test_5_mended_password_is_found_by_the_next_attempt() -> None:
    async with FakeAmi(secret="another") as peer:
        client = AmiClient(patient(peer, login_retry_ms=1))
        ready = asyncio.Event()
        client.on_ready(ready.set)
        await client.start()
        await peer.received("Login", 2)
        peer.secret = "right"
        await within(ready.wait())
        assert client.last_error is None
        await client.close()


async def test_5_stock_logs_in_for_ever_and_says_nothing() -> None:
    async with (
        FakeAmi(secret="another") as peer,
        stock_manager(peer, await_login=False) as manager,
    ):
        await peer.received("Login", 3)
        assert not manager.authenticated


# -- 6: an exception in a handler ----------------------------------------------------------------


async def test_6_exception_in_a_handler_is_logged_and_drops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: asyncio.Queue[str | None] = asyncio.Queue()

    def fragile(event: AmiEvent) -> None:
        if event.get("N") == "1":
            raise LookupError("a bug in a handler")
        seen.put_nowait(event.get("N"))

    async with FakeAmi() as peer, ready_client(peer) as client:
        client.subscribe("BridgeEnter", handler=fragile)
        session = await peer.session()
        session.event("BridgeEnter", N="1")
        session.event("BridgeEnter", N="2")
        assert await within(seen.get()) == "2"
        await client.action("CoreStatus")
        assert len(peer.connections) == 1
    assert "a bug in a handler" in caplog.text


async def test_6_stock_drops_the_connection() -> None:
    def fragile(*_: object) -> None:
        raise LookupError("a bug in a handler")

    async with FakeAmi() as peer, stock_manager(peer) as manager:
        manager.register_event("BridgeEnter", fragile)
        session = await peer.session()
        session.event("BridgeEnter")
        await within(session.closed.wait())


# -- 7: a timed-out action -----------------------------------------------------------------------


async def test_7_timed_out_action_is_forgotten_and_its_late_answer_ignored() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("MixMonitor", silence)
        with pytest.raises(AmiTimeoutError, match="outcome is unknown") as caught:
            await client.action("MixMonitor", timeout_ms=1)
        assert caught.value.outcome_unknown
        assert client.actions_in_flight == 0
        (await peer.received("MixMonitor")).answer("Error", Message="far too late")
        assert (await client.action("CoreStatus")).success
        assert client.actions_in_flight == 0


async def test_7_cancelled_action_is_forgotten_too() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("MixMonitor", silence)
        task = asyncio.create_task(client.action("MixMonitor"))
        await peer.received("MixMonitor")
        task.cancel()
        await asyncio.wait({task})
        assert client.actions_in_flight == 0


async def test_7_stock_keeps_it_for_ever() -> None:
    async with FakeAmi() as peer, stock_manager(peer) as manager:
        peer.on("MixMonitor", silence)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(manager.send_action({"Action": "MixMonitor"}), 0.001)
        (await peer.received("MixMonitor")).answer()
        await manager.send_action({"Action": "CoreStatus"})
        assert len(manager.protocol.responses) == 1


# -- 8: close() leaves a timer that logs in again ------------------------------------------------


async def test_8_close_leaves_nothing_running_and_never_logs_in_again() -> None:
    lost = asyncio.Event()
    async with FakeAmi() as peer, ready_client(peer) as client:
        client.on_lost(lambda _: lost.set())
        await peer.stop_listening()
        (await peer.session()).close()
        await within(lost.wait())
        await client.close()
        await client.close()
        await peer.listen()
        # A second client's work is the measure of time: had the first one a timer of 1 ms left,
        # it would be among these connections.
        async with ready_client(peer) as other:
            for _ in range(50):
                await other.action("CoreStatus")
        assert peer.count("Login") == 2
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("ami")]


async def test_8_close_from_within_a_handler_ends_everything() -> None:
    closed = asyncio.Event()
    async with FakeAmi() as peer:
        client = AmiClient(patient(peer))

        async def close(_: AmiError) -> None:
            await client.close()
            closed.set()

        client.on_lost(close)
        await client.start()
        await client.wait_ready(HANG_MS)
        (await peer.session()).close()
        await within(closed.wait())
        assert not client.ready
        with pytest.raises(RuntimeError, match="closed"):
            await client.start()


async def test_8_stock_logs_in_after_close() -> None:
    async with (
        FakeAmi() as peer,
        stock_manager(peer, on_disconnect=lambda manager, _: manager.close()),
    ):
        (await peer.session()).close()
        await peer.received("Login", 2)


# -- 9: an event that shares a pending ActionID --------------------------------------------------


def event_before_answer(action: FakeAction) -> None:
    """UserEvent copies all of its headers into its event, the ActionID too."""
    action_id = action.get("ActionID") or ""
    action.session.event("UserEvent", UserEvent="turn", ActionID=action_id)
    action.answer(Message="Event Sent")
    action.session.event("UserEvent", UserEvent="marker")


async def test_9_event_with_a_pending_action_id_is_no_answer_and_reaches_its_handler() -> None:
    seen: asyncio.Queue[str | None] = asyncio.Queue()
    async with FakeAmi() as peer, ready_client(peer) as client:
        client.subscribe("UserEvent", handler=lambda event: seen.put_nowait(event.get("UserEvent")))
        peer.on("UserEvent", event_before_answer)
        answer = await client.action("UserEvent", UserEvent="turn")
        assert answer.message == "Event Sent"
        assert [await within(seen.get()), await within(seen.get())] == ["turn", "marker"]


async def test_9_stock_takes_the_event_as_the_answer_and_tells_no_handler() -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()
    async with FakeAmi() as peer, stock_manager(peer) as manager:
        manager.register_event("UserEvent", lambda _, event: seen.put_nowait(event.userevent))
        peer.on("UserEvent", event_before_answer)
        answer = await manager.send_action({"Action": "UserEvent", "UserEvent": "turn"})
        assert answer.event == "UserEvent"
        assert await within(seen.get()) == "marker"


# -- 10: guessing whether a list follows ---------------------------------------------------------

QUEUED = {
    "Originate": "Originate successfully queued",
    "QueueAdd": "Added interface to queue",
    "Status": "Channel status will follow",
}


@pytest.mark.parametrize(("name", "message"), QUEUED.items())
async def test_10_action_ends_with_its_response_whatever_it_says(name: str, message: str) -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on(name, success(Message=message))
        assert (await client.action(name)).message == message


@pytest.mark.parametrize(("name", "message"), QUEUED.items())
async def test_10_stock_waits_for_events_that_it_guesses(name: str, message: str) -> None:
    async with FakeAmi() as peer, stock_manager(peer) as manager:
        peer.on(name, success(Message=message))
        future = manager.send_action({"Action": name})
        await manager.send_action({"Action": "CoreStatus"})
        assert not future.done()


# -- 13: FullyBooted comes only with read = system -----------------------------------------------


async def test_13_session_without_fully_booted_is_ready_all_the_same() -> None:
    async with (
        FakeAmi(fully_booted=False) as peer,
        ready_client(peer, fully_booted_timeout_ms=1) as client,
    ):
        assert (await client.action("CoreStatus")).success


async def test_13_fully_booted_is_waited_for_where_it_comes() -> None:
    seen: asyncio.Queue[AmiEvent] = asyncio.Queue()
    async with FakeAmi(fully_booted=False) as peer:
        client = AmiClient(patient(peer))
        client.subscribe("AfterLogin", handler=seen.put_nowait)
        await client.start()
        session = await peer.believed()
        session.event("AfterLogin")
        await within(seen.get())
        assert not client.ready
        session.event("FullyBooted")
        await client.wait_ready(HANG_MS)
        await client.close()


async def test_13_stock_never_flushes_its_queue_without_fully_booted() -> None:
    async with FakeAmi(fully_booted=False) as peer, stock_manager(peer) as manager:
        peer.on("Getvar", silence)
        future = manager.send_action({"Action": "Getvar"})
        (await peer.received("Getvar")).session.close()
        await peer.session(2)
        await manager.send_action({"Action": "CoreStatus"})
        assert len(manager.awaiting_actions) == 1
        assert not future.done()


# -- 16: needs a running loop --------------------------------------------------------------------


async def test_16_client_can_be_made_without_a_loop_and_started_in_one() -> None:
    async with FakeAmi() as peer:
        client = await asyncio.to_thread(AmiClient, patient(peer))
        await client.start()
        await client.wait_ready(HANG_MS)
        await client.close()


async def test_16_stock_action_cannot_be_made_without_a_loop() -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        await asyncio.to_thread(Action, {"Action": "Ping"})
