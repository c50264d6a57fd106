"""turnrec-agi between an Asterisk of real bytes and a turnrec that listens, dies or hangs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.unit.bots.peer import ENVIRONMENT, Peer
from turnrec.asterisk.agi import AgiServer, AgiSession
from turnrec.bots.agi_script import Request, carry_out, parse
from turnrec.bots.dialogue import Dialogue
from turnrec.bots.errors import HungUpError

MONITOR = "0x7f0000a0"
STOPPED = f'EXEC "StopMixMonitor" "{MONITOR}"'
WAIT_S = 30.0
Handler = Callable[[AgiSession], Awaitable[None]]


@asynccontextmanager
async def turnrec(script: str, handler: Handler) -> AsyncIterator[Peer]:
    """A turnrec with one script; the Asterisk that knows where it is, and records."""
    server = AgiServer({script: handler}, answer_timeout_ms=30_000)
    await server.listen("127.0.0.1", 0)
    try:
        yield recording(server.port)
    finally:
        await server.close(patience_s=0.1)


def recording(port: int) -> Peer:
    variables = {
        "TURNREC_AGI": f"agi://127.0.0.1:{port}",
        "TURNREC_STATE": "recording",
        "TURNREC_MIXMON_ID": MONITOR,
        "TURNREC_STATUS": "OK",
    }
    return Peer(variables=variables)


async def run(peer: Peer, *argv: str, answer_s: float = WAIT_S) -> bool:
    request = parse(["turnrec-agi", *argv])
    assert request is not None
    return await asyncio.to_thread(carry_out, Dialogue(peer, peer), request, answer_s=answer_s)


async def test_turnrec_drives_the_channel_through_the_script() -> None:
    async def turn(session: AgiSession) -> None:
        environment = session.environment
        assert (environment.argument(1), environment.argument(2)) == ("ask_otp", "7")
        assert (environment.uniqueid, environment.channel) == (
            "1700000000.1",
            "PJSIP/tester-00000001",
        )
        assert "agi_calleridname" not in environment.variables
        await session.execute("StopMixMonitor", MONITOR)
        assert await session.expand("${NOTE}") == "several\nlines"
        await session.set_variable("TURNREC_STATUS", "OK")

    async with turnrec("turn", turn) as peer:
        peer.variables["NOTE"] = "several\nlines"
        assert await run(peer, "turn", "ask_otp", "7")
    assert [one for one in peer.asked if not one.startswith(("SET", "GET"))] == [STOPPED]
    assert peer.variables["TURNREC_STATUS"] == "OK"


async def test_a_refusal_is_an_answer() -> None:
    async def turn(session: AgiSession) -> None:
        await session.set_variable("TURNREC_STATUS", "REFUSED")

    async with turnrec("turn", turn) as peer:
        assert await run(peer, "turn", "ask_otp")
    assert STOPPED not in peer.asked


async def dies(_session: AgiSession) -> None:
    """It ends before its last act."""


async def says_another_word(session: AgiSession) -> None:
    await session.set_variable("TURNREC_STATUS", "PROBABLY")


async def hangs(_session: AgiSession) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("handler", [dies, says_another_word, hangs])
@pytest.mark.parametrize(
    "request_words", [["turn", "ask_otp"], ["action", "pause"], ["agent-pre", "off"], ["bot"]]
)
async def test_a_turnrec_that_does_not_say_so_leaves_nothing_recording(
    handler: Handler, request_words: list[str]
) -> None:
    async with turnrec(request_words[0], handler) as peer:
        answer_s = 0.2 if handler is hangs else WAIT_S
        assert not await run(peer, *request_words, answer_s=answer_s)
    assert STOPPED in peer.asked
    assert peer.variables["TURNREC_STATUS"] == "FAILCLOSED"
    assert peer.variables["TURNREC_HOLDS"] == "turn:fault"
    assert peer.variables["TURNREC_MIXMON_ID"] == ""


@pytest.mark.parametrize(
    "address", ["agi://127.0.0.1:1", "agi://127.0.0.1:99999", "nonsense", "agi://a b/"]
)
async def test_a_turnrec_that_is_not_there_leaves_nothing_recording(address: str) -> None:
    peer = recording(0)
    peer.variables["TURNREC_AGI"] = address
    assert not await run(peer, "turn", "ask_otp")
    assert STOPPED in peer.asked


async def test_bytes_that_are_no_command_leave_nothing_recording() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\n\n")
        writer.write(b"EXEC StopMix")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        peer = recording(server.sockets[0].getsockname()[1])
        assert not await run(peer, "turn", "ask_otp")
    assert STOPPED in peer.asked


async def test_without_an_id_nobodys_monitor_is_stopped() -> None:
    async with turnrec("turn", dies) as peer:
        peer.variables["TURNREC_MIXMON_ID"] = ""
        assert not await run(peer, "turn", "ask_otp")
    assert "StopMixMonitor" not in " ".join(peer.asked)


async def test_a_start_names_the_callers_channel_for_agents() -> None:
    async def start(session: AgiSession) -> None:
        await session.set_variable("TURNREC_STATUS", "OK")

    async with turnrec("start", start) as peer:
        peer.variables |= {"CHANNEL": "PJSIP/a-1", "UNIQUEID": "1700.1"}
        assert await run(peer, "start", "kyc")
    assert peer.variables["__TURNREC_CALLER_UNIQUEID"] == "1700.1"
    assert peer.variables["__TURNREC_CALLER_CHANNEL"] == "PJSIP/a-1"
    assert peer.variables["TURNREC_ASKED_BOT"] == "kyc"


async def test_an_agent_whose_gate_is_shut_is_not_bridged() -> None:
    async with turnrec("agent", dies) as peer:
        assert not await run(peer, "agent", "1700.1", "off")
    assert peer.asked[-2:] == ['SET VARIABLE "GOSUB_RESULT" "CONTINUE"', "HANGUP"]
    assert STOPPED not in peer.asked


async def test_a_session_that_ends_anywhere_is_a_hang_up_and_never_an_ok() -> None:
    async def turn(session: AgiSession) -> None:
        await session.set_variable("TURNREC_STATUS", "OK")

    async with turnrec("turn", turn) as whole:
        assert await run(whole, "turn", "ask_otp")
        for cut in range(len(ENVIRONMENT), len(whole.said), 7):
            peer = recording(int(whole.variables["TURNREC_AGI"].rpartition(":")[2]))
            peer.cut_after = cut
            with pytest.raises(HungUpError):
                await run(peer, "turn", "ask_otp")


async def test_as_a_process_it_ends_quietly_when_asterisk_is_gone_and_says_what_it_lacks() -> None:
    def start(*argv: str, said: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "turnrec.bots.agi_script", *argv],
            input=said,
            capture_output=True,
            check=False,
        )

    gone = await asyncio.to_thread(start, "turn", "ask_otp", said=ENVIRONMENT)
    assert (gone.returncode, b"Traceback" in gone.stderr) == (1, False)
    assert b"closed the AGI session" in gone.stderr
    misspelt = await asyncio.to_thread(start, "trun", "ask_otp", said=ENVIRONMENT)
    assert b"give a request" in misspelt.stderr


def test_a_misspelt_request_is_one_that_turnrec_holds_at() -> None:
    # turnrec takes an unknown action for a pause that was misspelt (see turnrec-action).
    assert Request("action", ("(invalid)",)).query == "action?(invalid)"
