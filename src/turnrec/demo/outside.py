"""The demo's call to a turnrec that runs already: shown live and checked, by what its API says."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

from turnrec.core.recorder import State
from turnrec.demo.caller import place_call
from turnrec.demo.run import DemoFailedError, examine
from turnrec.demo.show import Screen
from turnrec.pbx.phone import Credentials
from turnrec.web.client import Client

_LOOK_S: Final = 0.05
_CLOSED_WITHIN_S: Final = 60.0
_OPEN: Final = ("recording", "paused")


async def one_call(client: Client, sip: str, credentials: Credentials, screen: Screen) -> None:
    """Call the sample bot at `sip` (host:port), and look for each voice in the recording.

    Args:
        client: asks the turnrec that the bot's Asterisk uses; its recordings are on this machine.
        sip: the PBX.
        credentials: of a SIP account that may call extension 1000.
        screen: where it is shown.

    Raises:
        DemoFailedError: the recording isn't what it should be.
        PhoneError, TurnrecError: the call failed, or turnrec can't be asked.
    """
    screen.say("A caller dials the KYC bot over SIP:")
    before = {one["id"] for one in await _live(client)}
    call = asyncio.create_task(place_call(sip, user=credentials.username, credentials=credentials))
    try:
        call_id = await _follow(client, f"PJSIP/{credentials.username}-", before, screen, call)
        await call
    finally:
        call.cancel()
    if call_id is None:
        raise DemoFailedError("turnrec has not seen the call: does the dialplan reach it?")
    recording = await _closed(client, call_id)
    closed, path = recording["closed_detail"], recording["path"]
    if path is None:
        raise DemoFailedError(f"recording {recording['id']} has no file: {recording['status']}")
    screen.say(f"\nThe recording: [bold]{path}[/]\n")
    screen.timeline(closed, recording["opened_us"], ())
    screen.say("\nWhat was checked:")
    facts, found = await asyncio.to_thread(examine, Path(path), closed)
    asked = f"/v1/recordings/{recording['id']}/verification"
    verified = await asyncio.to_thread(client.get, asked)
    is_proven = verified["status"] == "proven"
    facts.append(("turnrec verify: proven, by file, manifest and ledger", is_proven))
    screen.checks(facts, found)
    screen.say()
    if not all(holds for _, holds in facts) or not all(one.as_wanted for one in found):
        raise DemoFailedError("the recording is not what it should be; see above")


async def _live(client: Client) -> list[dict[str, Any]]:
    found = await asyncio.to_thread(client.get, "/v1/calls")
    return list(found["items"])


async def _follow(
    client: Client, channel: str, before: set[str], screen: Screen, call: asyncio.Task[None]
) -> str | None:
    """Show the call's turns until it ends; its id, once turnrec has it."""
    ours: str | None = None
    shown: tuple[Any, ...] = ()
    began_s = time.monotonic()
    while not call.done():
        for one in await _live(client):
            if one["id"] in before or not str(one["channel"]).startswith(channel):
                continue
            ours = one["id"]
            now = (one["node"], one["state"], tuple(one["holds"]))
            if now != shown:
                shown = now
                screen.line(time.monotonic() - began_s, one["node"], State(one["state"]), now[2])
        await asyncio.sleep(_LOOK_S)
    return ours


async def _closed(client: Client, call_id: str) -> dict[str, Any]:
    """The call's recording, once it is closed."""
    try:
        async with asyncio.timeout(_CLOSED_WITHIN_S):
            while True:
                page = await asyncio.to_thread(client.get, "/v1/recordings", call=call_id)
                done = [one for one in page["items"] if one["status"] not in _OPEN]
                if done:
                    asked = f"/v1/recordings/{done[0]['id']}"
                    detail: dict[str, Any] = await asyncio.to_thread(client.get, asked)
                    return detail
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise DemoFailedError(f"the recording of call {call_id} was not closed") from None
