"""What the benchmark runs on: Asterisk, `turnrec serve` and the bare handler, a process each."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import dialplan
from bench.plan import GUARD_MS
from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.ami_settings import AmiSettings
from turnrec.pbx import instance
from turnrec.pbx.beside import write_settings
from turnrec.pbx.configuration import PbxSettings, templates_dir
from turnrec.pbx.instance import Pbx
from turnrec.pbx.packages import Installation
from turnrec.web.client import ControlClient, ServerUnreachableError

_RATE_HZ = 8000
_START_S = 20.0
_STOP_S = 15.0


@dataclass(frozen=True, slots=True)
class Stage:
    """The running parts."""

    folder: Path
    pbx: Pbx
    ami: AmiClient
    control: ControlClient
    turnrec_pid: int
    bare_pid: int

    @property
    def pids(self) -> dict[str, int]:
        """The processes whose CPU is told apart."""
        return {
            "asterisk": self.pbx.pid,
            "turnrec": self.turnrec_pid,
            "bare": self.bare_pid,
            "bench": os.getpid(),
        }

    @property
    def turnrec_log(self) -> Path:
        """What turnrec said."""
        return self.folder / "turnrec.log"


@asynccontextmanager
async def stage(
    installation: Installation, folder: Path, talks_s: Sequence[float]
) -> AsyncIterator[Stage]:
    """Start everything in `folder`, and end it again."""
    sounds, spool, bare_spool = folder / "sounds", folder / "spool", folder / "bare"
    for one in (sounds, bare_spool):
        one.mkdir()
    for talk_s in set(talks_s):
        write_tone(sounds / f"talk{round(talk_s * 1000)}.wav", 400, talk_s)
    write_tone(sounds / "caller.wav", 500, 30)
    (folder / "bench.conf").write_text(dialplan.text(), "utf-8")
    (folder / "flow.yaml").write_text(dialplan.FLOW.format(guard_ms=GUARD_MS), "utf-8")
    wanted = PbxSettings(
        run_dir=folder / "pbx",
        spool_dir=spool,
        agi_url="agi://127.0.0.1:9",  # nobody: its port is known once it listens
        dialplan_globals={"SOUNDS": str(sounds)},
        extra_dialplan=(templates_dir() / "turnrec.conf", folder / "bench.conf"),
        verbose=0,
    )
    pbx = await asyncio.to_thread(instance.start, installation, wanted)
    ended: list[subprocess.Popen[str]] = []
    ami = _driver(pbx)
    try:
        turnrec = _spawn(
            folder / "turnrec.log", "turnrec", "serve", "--config", _settings(folder, pbx, spool)
        )
        ended.append(turnrec)
        bare = _spawn(folder / "bare.log", "bench.bare", str(bare_spool), str(GUARD_MS))
        ended.append(bare)
        control = ControlClient(pbx.run_dir / "turnrec.sock")
        turnrec_port = await _port_of(control, turnrec)
        bare_port = (await asyncio.to_thread(_first_line, bare)).strip()
        for name, port in (("TURNREC_AGI", turnrec_port), ("BARE_AGI", bare_port)):
            command = f"dialplan set global {name} agi://127.0.0.1:{port}"
            await asyncio.to_thread(pbx.rx, command)
        await ami.start()
        await ami.wait_ready(10_000)
        yield Stage(folder, pbx, ami, control, turnrec.pid, bare.pid)
    finally:
        await ami.close()
        for process in ended:
            await asyncio.to_thread(_end, process)
        await asyncio.to_thread(pbx.stop)


def _settings(folder: Path, pbx: Pbx, spool: Path) -> str:
    """Write turnrec's settings: the defaults, and the log of a service."""
    path = write_settings(folder, pbx, spool, agi_port=0)
    text, _, _ = path.read_text("utf-8").partition("[log]")
    path.write_text(text, "utf-8")
    return str(path)


def _spawn(log: Path, module: str, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TURNREC_")}
    with log.open("w") as errors:
        return subprocess.Popen(  # noqa: S603 - this Python, our own modules
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=kept,
        )


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _first_line(process: subprocess.Popen[str]) -> str:
    return "" if process.stdout is None else process.stdout.readline()


async def _port_of(control: ControlClient, process: subprocess.Popen[str]) -> int:
    async with asyncio.timeout(_START_S):
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"turnrec ended with status {process.returncode}")
            try:
                status = await asyncio.to_thread(control.get, "/v1/status")
            except ServerUnreachableError:
                await asyncio.sleep(0.1)
                continue
            if status["ami_ready"]:
                return int(status["agi_port"])
            await asyncio.sleep(0.1)


def _driver(pbx: Pbx) -> AmiClient:
    """The AMI session that places the calls; of the events it reads the hang-ups alone."""
    return AmiClient(
        AmiSettings(
            port=pbx.ports.ami_tcp,
            username=pbx.test_user,
            secret=pbx.secrets.test,
            action_timeout_ms=10_000,
            event_classes=("system", "call"),
        )
    )


def write_tone(path: Path, hz: int, length_s: float) -> None:
    """Write a prompt that is one tone."""
    samples = 8000 * np.sin(2 * np.pi * hz * np.arange(round(_RATE_HZ * length_s)) / _RATE_HZ)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(samples.astype("<i2").tobytes())
