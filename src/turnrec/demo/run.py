"""Runs the demo: a test PBX, turnrec and a caller, all in one folder, and ends them again."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from turnrec.config import load_settings
from turnrec.core.entry import EntryKind
from turnrec.core.errors import TurnrecError
from turnrec.demo.caller import clip_path, place_call
from turnrec.demo.check import Found, look_for, read
from turnrec.demo.show import Screen
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx import instance, packages
from turnrec.pbx.beside import pbx_settings, write_settings
from turnrec.pbx.instance import Pbx
from turnrec.service import Service
from turnrec.web.access import Right
from turnrec.web.keys import UnknownKeyError

_AMI_READY_MS = 10_000
_CLOSED_WITHIN_S = 30.0
_LOOK_S = 0.02
_SENSITIVE = ("ask_aadhaar", "caller_aadhaar")
"""The bot's question and the caller's answer."""
_OPEN = ("welcome", "caller_hello", "confirmed", "caller_thanks", "goodbye")


class DemoFailedError(TurnrecError):
    """The demo's call or one of its checks is not as it should be."""

    id = "demo-failed"


async def demo(folder: Path, screen: Screen, *, stay: bool = False) -> None:
    """Run the demo in `folder`; with `stay`, wait for softphones instead of placing a call.

    Raises:
        DemoFailedError: the recording isn't what it should be.
        TurnrecError, PbxError, PhoneError: a part of it could not be started or reached.
    """
    installation = await asyncio.to_thread(
        packages.ensure, packages.Release.V22, say=lambda line: screen.say(f"  {line}")
    )
    with tempfile.TemporaryDirectory(prefix="turnrec-demo-") as run_dir:
        spool = Path(run_dir) / "spool" / "turnrec"
        # A PBX of its own: turnrec's port is only known once it listens.
        wanted = pbx_settings(Path(run_dir), spool, "agi://127.0.0.1:9")
        pbx = await asyncio.to_thread(instance.start, installation, wanted)
        try:
            screen.say(f"Asterisk {installation.version} runs (process {pbx.pid}, on loopback)")
            async with _turnrec(folder, pbx, spool) as service:
                screen.say(f"turnrec runs, FastAGI on 127.0.0.1:{service.agi_port}\n")
                if stay:
                    await _wait_for_softphones(service, pbx, screen)
                else:
                    await _one_call(service, pbx, screen)
        finally:
            await asyncio.to_thread(pbx.stop)
    if not stay:
        screen.say(
            "Nothing is left running. To call the bot with your own softphone:"
            " [bold]make demo-stay[/] (turnrec demo --stay)"
        )


@asynccontextmanager
async def _turnrec(folder: Path, pbx: Pbx, spool: Path) -> AsyncIterator[Service]:
    config = write_settings(folder, pbx, spool, agi_port=0)
    service = Service(load_settings(config, {}))
    await service.start()
    try:
        await service.ami.wait_ready(_AMI_READY_MS)
        url = f"agi://127.0.0.1:{service.agi_port}"
        await asyncio.to_thread(pbx.rx, f"dialplan set global TURNREC_AGI {url}")
        yield service
    finally:
        await service.stop()


# ------------------------------------------------------------------ one call


async def _one_call(service: Service, pbx: Pbx, screen: Screen) -> None:
    screen.say("A caller dials the KYC bot over SIP:")
    call = asyncio.create_task(place_call(f"127.0.0.1:{pbx.ports.sip_udp}"))
    try:
        await _follow(service, screen, call)
        await call
    finally:
        call.cancel()
    recording = await _closed(service)
    closed = await _closing_detail(service, recording)
    path = service.recordings_dir / (recording.file or "")
    screen.say(f"\nThe recording: [bold]{path}[/]\n")
    screen.timeline(closed, recording.opened_us, await _turns(service, recording))
    screen.say("\nWhat was checked:")
    facts, found = await asyncio.to_thread(examine, path, closed)
    report = await service.ledger.verify_chain()
    facts.append((f"the ledger's chain is whole ({report.entries} entries)", report.intact))
    screen.checks(facts, found)
    screen.say()
    if not all(holds for _, holds in facts) or not all(one.as_wanted for one in found):
        raise DemoFailedError("the recording is not what it should be; see above")


async def _follow(service: Service, screen: Screen, call: asyncio.Task[None]) -> None:
    while not call.done():
        for live in service.calls.live():
            screen.show(live, service.clock())
        await asyncio.sleep(_LOOK_S)


async def _closed(service: Service) -> RecordingRecord:
    async with asyncio.timeout(_CLOSED_WITHIN_S):
        while service.calls.live():  # noqa: ASYNC110 - the demo looks on like anybody else
            await asyncio.sleep(_LOOK_S)
    await service.calls.settle()
    await service.ledger.flush()
    (latest,) = await service.ledger.recordings(limit=1)
    if latest.file is None:
        raise DemoFailedError(f"recording {latest.recording_id} has no file: {latest.status}")
    return latest


async def _closing_detail(service: Service, recording: RecordingRecord) -> dict[str, Any]:
    entries = await service.ledger.entries(recording_id=recording.recording_id)
    closing = [one.entry for one in entries if one.entry.kind is EntryKind.RECORDING_CLOSED]
    return dict(closing[-1].detail)


async def _turns(service: Service, recording: RecordingRecord) -> list[tuple[int, str]]:
    entries = await service.ledger.entries(call_id=recording.call_id)
    return [
        (one.entry.at_us, one.entry.node or "")
        for one in entries
        if one.entry.kind is EntryKind.TURN_BEGUN
    ]


def examine(path: Path, closed: dict[str, Any]) -> tuple[list[tuple[str, bool]], list[Found]]:
    """Look at a closed recording of the sample bot: facts that should hold, and voices."""
    samples, rate_hz = read(path), closed["rate_hz"]
    gaps = [span for span in closed["spans"] if span["kind"] == "gap" and span["sources"]]
    silent = all(
        not np.any(samples[gap["start_sample"] : gap["start_sample"] + gap["samples"]])
        for gap in gaps
    )
    gap_s = sum(gap["samples"] for gap in gaps) / rate_hz
    facts = [
        (
            f"one recording of {len(samples) / rate_hz:.2f} s, {closed['status']}",
            bool(len(samples)),
        ),
        (f"its gap of {gap_s:.2f} s is digital silence, to the sample", silent and gap_s > 0),
    ]
    found = [look_for(clip_path(name), samples, rate_hz, wanted=True) for name in _OPEN]
    found += [look_for(clip_path(name), samples, rate_hz, wanted=False) for name in _SENSITIVE]
    return facts, found


# ------------------------------------------------------------------ staying


def _key_for_the_page(service: Service) -> str:
    """Make a key that may everything; the one of an earlier demo can't be shown again."""
    name, now_us = "demo", service.clock()
    with suppress(UnknownKeyError):
        service.keys.revoke(name, now_us)
    return service.keys.make(name, frozenset(Right), None, now_us)


async def _wait_for_softphones(service: Service, pbx: Pbx, screen: Screen) -> None:
    screen.say("Register a softphone (SIP over UDP), and dial [bold]1000[/] for the bot:")
    screen.say(f"  server 127.0.0.1:{pbx.ports.sip_udp}  user {pbx.phone_user}")
    screen.say(f"  password {pbx.secrets.phone}  codec G.711")
    screen.say(f"The page: [bold]http://127.0.0.1:{service.api_port}/[/]  with the API key")
    screen.say(f"  {_key_for_the_page(service)}")
    screen.say(f"Recordings come to {service.recordings_dir}. Ctrl-C ends it.\n")
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    while not told.is_set():
        for live in service.calls.live():
            screen.show(live, service.clock())
        await asyncio.sleep(_LOOK_S)
