"""AmiClient against a manager that speaks real bytes: answers, lists, events, and every break."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.loopback.ami_helpers import HANG_MS, HOUR_MS, patient, ready_client, within
from tests.loopback.fake_ami import (
    GREETING,
    FakeAction,
    FakeAmi,
    error,
    listing,
    silence,
    success,
)
from turnrec.asterisk.ami import (
    AmiClient,
    AmiConnectionLostError,
    AmiError,
    AmiEvent,
    AmiNotConnectedError,
    AmiRefusedError,
    AmiTimeoutError,
)

# -- answers -------------------------------------------------------------------------------------


async def test_action_gives_the_fields_of_its_answer() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("Getvar", success(Variable="TURNREC_PART", Value=""))
        answer = await client.action("Getvar", Channel="PJSIP/a-1", Variable="TURNREC_PART")
        assert answer.get("value") == ""
        assert answer.get("Missing") is None
        sent = await peer.received("Getvar")
        assert sent.get("Channel") == "PJSIP/a-1"


async def test_field_given_as_a_list_is_sent_as_several_lines() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        await client.action("Originate", {"Variable": ["a=1", "b=2"]}, Channel="Local/1")
        sent = await peer.received("Originate")
        assert sent.get_all("Variable") == ["a=1", "b=2"]
        assert sent.get("Channel") == "Local/1"


async def test_refused_action_says_which_and_why() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("MixMonitorMute", error("No such channel"))
        with pytest.raises(
            AmiRefusedError, match="refused MixMonitorMute: No such channel"
        ) as caught:
            await client.action("MixMonitorMute", Channel="PJSIP/a-1")
        assert caught.value.action == "MixMonitorMute"
        assert caught.value.response.message == "No such channel"
        assert not caught.value.outcome_unknown


async def test_answers_in_any_order_find_their_actions() -> None:
    waiting: list[FakeAction] = []
    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("Getvar", waiting.append)
        tasks = [asyncio.create_task(client.action("Getvar", Variable=f"v{n}")) for n in range(5)]
        await peer.received("Getvar", 5)
        for action in reversed(waiting):
            action.answer(Value=action.get("Variable") or "")
        answers = await within(asyncio.gather(*tasks))
        assert [answer.get("Value") for answer in answers] == ["v0", "v1", "v2", "v3", "v4"]


async def test_second_answer_to_one_action_is_ignored() -> None:
    def twice(action: FakeAction) -> None:
        action.answer(Value="first")
        action.answer("Error", Message="second")

    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("Getvar", twice)
        assert (await client.action("Getvar")).get("Value") == "first"
        peer.on("Getvar", success(Value="third"))
        assert (await client.action("Getvar")).get("Value") == "third"


async def test_answer_in_single_bytes_is_whole() -> None:
    async def dribble(action: FakeAction) -> None:
        action_id = action.get("ActionID")
        for byte in f"Response: Success\r\nActionID: {action_id}\r\nValue: Jürgen\r\n\r\n".encode():
            action.session.raw(bytes([byte]))
            await asyncio.sleep(0)

    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("Getvar", dribble)
        assert (await client.action("Getvar")).get("Value") == "Jürgen"


async def test_garbage_between_messages_is_ignored() -> None:
    def noisy(action: FakeAction) -> None:
        action.session.raw(
            b"\x00\xff\xfe: \r\n\r\n\r\n\r\nno colon\r\n\r\nResponse: \r\n\r\nEvent: \r\n\r\n"
        )
        action.answer(Value="found")

    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("Getvar", noisy)
        assert (await client.action("Getvar")).get("Value") == "found"


async def test_command_gives_its_output_with_its_columns() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:

        def output(action: FakeAction) -> None:
            head = f"Response: Success\r\nActionID: {action.get('ActionID')}\r\n"
            text = "Output: ID   File\r\nOutput: \r\nOutput:   0x1\r\n"
            action.session.raw(f"{head}Message: Command output follows\r\n{text}\r\n".encode())

        peer.on("Command", output)
        assert await client.command("mixmonitor list PJSIP/a-1") == "ID   File\n\n  0x1"
        assert (await peer.received("Command")).get("Command") == "mixmonitor list PJSIP/a-1"


# -- lists ---------------------------------------------------------------------------------------

CHANNELS = [{"Channel": f"PJSIP/a-{n}", "Uniqueid": f"1700000000.{n}"} for n in range(3)]


async def channels(client: AmiClient) -> list[str | None]:
    rows = await client.action_list("CoreShowChannels", complete_event="CoreShowChannelsComplete")
    return [row.get("Uniqueid") for row in rows]


async def test_list_gives_its_rows_though_nobody_subscribed_to_them() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        end = "CoreShowChannelsComplete"
        peer.on("CoreShowChannels", listing("CoreShowChannel", CHANNELS, end=end))
        assert await channels(client) == ["1700000000.0", "1700000000.1", "1700000000.2"]
        peer.on("CoreShowChannels", listing("CoreShowChannel", [], end=end))
        assert await channels(client) == []


async def test_rows_of_two_lists_at_once_are_not_mixed() -> None:
    waiting: list[FakeAction] = []
    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("CoreShowChannels", waiting.append)
        tasks = [asyncio.create_task(channels(client)) for _ in range(2)]
        await peer.received("CoreShowChannels", 2)
        for action in waiting:
            action.answer(EventList="start")
        for name in ("CoreShowChannel", "CoreShowChannelsComplete"):
            for number, action in enumerate(waiting):
                action_id = action.get("ActionID") or ""
                action.session.event(name, ActionID=action_id, Uniqueid=str(number))
        assert await within(asyncio.gather(*tasks)) == [["0"], ["1"]]


async def test_refused_list_is_an_error_at_once() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("CoreShowChannels", error("Permission denied"))
        with pytest.raises(AmiRefusedError, match="Permission denied"):
            await channels(client)


async def test_list_without_its_end_times_out_and_gives_nothing() -> None:
    def endless(action: FakeAction) -> None:
        action.answer(EventList="start")
        action.session.event("CoreShowChannel", ActionID=action.get("ActionID") or "")

    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("CoreShowChannels", endless)
        with pytest.raises(AmiTimeoutError):
            await client.action_list(
                "CoreShowChannels", complete_event="CoreShowChannelsComplete", timeout_ms=20
            )
        assert client.actions_in_flight == 0


# -- events --------------------------------------------------------------------------------------


async def test_events_of_one_subscription_are_handled_in_order_one_at_a_time() -> None:
    seen: list[str | None] = []
    running = 0
    done = asyncio.Event()

    async def handler(event: AmiEvent) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        seen.append(event.get("N"))
        running -= 1
        if len(seen) == 20:
            done.set()

    async with FakeAmi() as peer, ready_client(peer) as client:
        client.subscribe("BridgeEnter", "BridgeLeave", handler=handler)
        session = await peer.session()
        for n in range(20):
            session.event("BridgeEnter" if n % 2 else "BridgeLeave", N=str(n))
        await within(done.wait())
    assert seen == [str(n) for n in range(20)]


async def test_slow_handler_holds_up_neither_actions_nor_other_handlers() -> None:
    never = asyncio.Event()
    seen: asyncio.Queue[AmiEvent] = asyncio.Queue()

    async def stuck(_: AmiEvent) -> None:
        await never.wait()

    async with FakeAmi() as peer, ready_client(peer) as client:
        client.subscribe("Hangup", handler=stuck)
        client.subscribe("Hangup", handler=seen.put_nowait)
        session = await peer.session()
        session.event("Hangup", N="1")
        session.event("Hangup", N="2")
        assert [(await within(seen.get())).get("N") for _ in range(2)] == ["1", "2"]
        assert (await client.action("CoreStatus")).success


async def test_unsubscribed_handler_hears_nothing_more() -> None:
    first: list[AmiEvent] = []
    second: asyncio.Queue[AmiEvent] = asyncio.Queue()
    async with FakeAmi() as peer, ready_client(peer) as client:
        unsubscribe = client.subscribe("Hangup", handler=first.append)
        client.subscribe("Hangup", handler=second.put_nowait)
        unsubscribe()
        unsubscribe()
        (await peer.session()).event("Hangup")
        assert (await within(second.get())).name == "Hangup"
    assert first == []


async def test_subscription_lives_through_a_reconnect() -> None:
    seen: asyncio.Queue[AmiEvent] = asyncio.Queue()
    async with FakeAmi() as peer, ready_client(peer) as client:
        client.subscribe("Hangup", handler=seen.put_nowait)
        (await peer.session(1)).abort()
        (await peer.believed(2)).event("Hangup", Uniqueid="1700000000.7")
        assert (await within(seen.get())).get("Uniqueid") == "1700000000.7"


async def test_login_asks_for_the_classes_of_the_settings_and_not_for_digits() -> None:
    async with FakeAmi() as peer, ready_client(peer):
        login = await peer.received("Login")
        assert login.get("Events") == "system,call,agent,user"


# -- what a caller forges --------------------------------------------------------------------------

FORGED = b"Event: Hangup\r\nUniqueid: 1700000000.1"


async def test_no_event_is_believed_before_asterisk_filters_forged_ones() -> None:
    seen: list[AmiEvent] = []

    def forged(action: FakeAction) -> None:
        action.session.event("Hangup", Uniqueid="1700000000.1")
        action.answer("Success")

    async with FakeAmi() as peer:
        peer.on("Filter", forged)
        client = AmiClient(patient(peer))
        client.subscribe("Hangup", handler=seen.append)
        await client.start()
        await client.wait_ready(HANG_MS)
        (asked,) = peer.filters
        await client.close()
    assert (asked.get("Operation"), asked.get("Filter")) == ("Add", "![[:cntrl:]]{4}.")
    assert seen == []


async def test_an_asterisk_that_refuses_the_filter_is_used_and_said_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeAmi() as peer:
        peer.on("Filter", error("Permission denied"))
        async with ready_client(peer) as client:
            await client.action("Ping")
    assert "a caller may forge events" in caplog.text


async def test_an_event_forged_within_a_list_is_none_and_its_row_says_less() -> None:
    seen: list[AmiEvent] = []

    def cut(action: FakeAction) -> None:
        own = f"ActionID: {action.get('ActionID')}\r\n".encode()
        action.answer(EventList="start")
        action.session.raw(
            b"Event: CoreShowChannel\r\n" + own + b"Channel: PJSIP/evil-1\r\n"
            b"CallerIDNum: x\r\nUniqueid: 1700000000.9\r\n\r\n" + FORGED + b"\r\n\r\n"
            b"\r\nCallerIDName: x\r\nUniqueid: 1700000000.8\r\n\r\n"
            b"Event: CoreShowChannel\r\n" + own + b"Channel: PJSIP/good-1\r\n"
            b"CallerIDNum: 1\r\nUniqueid: 1700000000.1\r\n\r\n"
            b"Event: CoreShowChannelsComplete\r\n" + own + b"\r\n"
        )

    async with FakeAmi() as peer, ready_client(peer) as client:
        client.subscribe("Hangup", handler=seen.append)
        peer.on("CoreShowChannels", cut)
        rows = await client.action_list(
            "CoreShowChannels", complete_event="CoreShowChannelsComplete"
        )
        assert [(row.get("Channel"), row.get("Uniqueid")) for row in rows] == [
            ("PJSIP/evil-1", None),
            ("PJSIP/good-1", "1700000000.1"),
        ]
        assert seen == []
        (await peer.session()).event("Hangup", Uniqueid="1700000000.7")
        await client.action("Ping")
    assert [event.get("Uniqueid") for event in seen] == ["1700000000.7"]


# -- being connected -----------------------------------------------------------------------------


async def test_start_returns_at_once_and_connects_when_asterisk_comes_up() -> None:
    async with FakeAmi() as peer:
        await peer.stop_listening()
        client = AmiClient(patient(peer))
        await client.start()
        await client.start()
        with pytest.raises(AmiNotConnectedError, match="not ready within 1 ms"):
            await client.wait_ready(1)
        await peer.listen()
        await client.wait_ready(HANG_MS)
        assert client.ready
        assert client.last_error is None
        assert client.retry_delay_ms == 0
        assert len(peer.connections) == 1
        await client.close()
        assert not client.ready


async def test_ready_and_lost_are_told_in_turn_every_time() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    async with FakeAmi() as peer:
        client = AmiClient(patient(peer))
        client.on_ready(lambda: told.put_nowait("ready"))
        client.on_lost(lambda _: told.put_nowait("lost"))
        await client.start()
        for number in (1, 2):
            assert await within(told.get()) == "ready"
            (await peer.session(number)).close()
            assert await within(told.get()) == "lost"
        assert await within(told.get()) == "ready"
        await client.close()
        assert told.empty()  # closing is no loss


async def test_on_ready_can_use_the_session() -> None:
    rows: asyncio.Queue[list[str | None]] = asyncio.Queue()
    async with FakeAmi() as peer:
        end = "CoreShowChannelsComplete"
        peer.on("CoreShowChannels", listing("CoreShowChannel", CHANNELS[:1], end=end))
        client = AmiClient(patient(peer))

        async def reconcile() -> None:
            rows.put_nowait(await channels(client))

        client.on_ready(reconcile)
        await client.start()
        assert await within(rows.get()) == ["1700000000.0"]
        await client.close()


async def test_all_actions_in_flight_fail_at_once_when_the_connection_is_reset() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        peer.on("Getvar", silence)
        tasks = [asyncio.create_task(client.action("Getvar")) for _ in range(3)]
        (await peer.received("Getvar", 3)).session.abort()
        results = await within(asyncio.gather(*tasks, return_exceptions=True))
        assert [type(result) for result in results] == [AmiConnectionLostError] * 3


async def test_frozen_peer_is_a_time_out_and_does_not_hold_up_close() -> None:
    async with FakeAmi() as peer, ready_client(peer) as client:
        (await peer.session()).freeze()
        with pytest.raises(AmiTimeoutError):
            await client.action("CoreStatus", timeout_ms=1)
        # More than the sockets hold, so that something is still to be written when it closes.
        value = "x" * 900
        writes = [asyncio.create_task(client.action("Setvar", Value=value)) for _ in range(10_000)]
        await asyncio.sleep(0)
        await within(client.close())
        results = await within(asyncio.gather(*writes, return_exceptions=True))
        assert {type(result) for result in results} == {AmiConnectionLostError}


async def test_close_while_connecting_logging_in_or_booting_ends_all() -> None:
    for peer in (FakeAmi(greeting=None), FakeAmi(), FakeAmi(fully_booted=False)):
        async with peer:
            if peer.greeting and peer.fully_booted:
                peer.on("Login", silence)
            client = AmiClient(patient(peer))
            await client.start()
            connection = await peer.connection()
            if peer.greeting:
                await peer.received("Login")
            await within(client.close())
            await within(connection.closed.wait())
            assert len(peer.connections) == 1
            with pytest.raises(AmiNotConnectedError, match="closed"):
                await client.wait_ready(HANG_MS)


@pytest.mark.parametrize("step", ["no greeting", "no answer to Login"])
async def test_peer_that_stays_mute_is_given_up_and_tried_again(step: str) -> None:
    async with FakeAmi(greeting=None if step == "no greeting" else GREETING) as peer:
        peer.on("Login", silence)
        client = AmiClient(patient(peer, connect_timeout_ms=10))
        await client.start()
        await peer.connection(2)
        with pytest.raises(AmiNotConnectedError):
            await client.action("CoreStatus")
        await client.close()


async def test_secret_is_not_sent_to_what_is_no_asterisk_manager() -> None:
    async with FakeAmi(greeting=b"SSH-2.0-OpenSSH_9.2\r\n") as peer:
        client = AmiClient(patient(peer, reconnect_min_ms=HOUR_MS, reconnect_max_ms=HOUR_MS))
        await client.start()
        connection = await peer.connection()
        await within(connection.closed.wait())
        assert peer.actions == []
        await client.close()


async def test_message_without_end_drops_the_connection_and_says_so() -> None:
    reasons: asyncio.Queue[AmiError] = asyncio.Queue()
    async with FakeAmi() as peer, ready_client(peer, max_message_bytes=2_000) as client:
        client.on_lost(reasons.put_nowait)
        (await peer.session()).raw(b"Event: Endless\r\nX: " + b"x" * 3_000)
        reason = await within(reasons.get())
        assert "more than 2000 bytes" in str(reason)
        await peer.session(2)


async def test_lost_peer_after_login_counts_as_no_readiness() -> None:
    def hang_up(action: FakeAction) -> None:
        action.answer(Message="Authentication accepted")
        action.session.close()

    async with FakeAmi() as peer:
        peer.on("Login", hang_up)
        client = AmiClient(patient(peer))
        told: list[str] = []
        client.on_ready(lambda: told.append("ready"))
        client.on_lost(lambda _: told.append("lost"))
        await client.start()
        await peer.received("Login", 3)
        assert not client.ready
        assert told == []
        await client.close()


async def test_back_off_starts_anew_after_every_session_that_was_ready() -> None:
    delays_ms: asyncio.Queue[int] = asyncio.Queue()
    async with FakeAmi() as peer, ready_client(peer, reconnect_max_ms=HOUR_MS) as client:
        client.on_lost(lambda _: delays_ms.put_nowait(client.retry_delay_ms))
        for number in range(1, 6):
            (await peer.session(number)).close()
            assert await within(delays_ms.get()) <= 1
            await client.wait_ready(HANG_MS)


# -- what must not be seen -----------------------------------------------------------------------


async def test_neither_secret_nor_field_values_reach_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: asyncio.Queue[AmiEvent] = asyncio.Queue()
    async with FakeAmi(secret="hunter2") as peer:
        client = AmiClient(patient(peer, secret="hunter2"))
        client.subscribe("UserEvent", handler=seen.put_nowait)
        await client.start()
        await client.wait_ready(HANG_MS)
        peer.on("Setvar", silence)
        with pytest.raises(AmiTimeoutError) as caught:
            await client.action("Setvar", Value="271828182845", timeout_ms=1)
        (await peer.received("Setvar")).answer(Value="271828182845")
        (await peer.session()).event("UserEvent", Digits="271828182845")
        event = await within(seen.get())
        shown = f"{client!r} {event!r} {caught.value!r} {caplog.text}"
        await client.close()
    assert "hunter2" not in shown
    assert "271828182845" not in shown
