"""A whole turnrec beside a real Asterisk, for one test: PBX, service, and the bot's marks.

Nothing of turnrec is replaced. The bot is a dialplan; where a test has to know what it does at
this very moment, the dialplan calls `AGI(${MARK}/mark,word)`, which waits for the test's handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.pbx.tones import OPEN_BOT_HZ, PAUSED_BOT_HZ
from turnrec.asterisk.agi import AgiServer, AgiSession
from turnrec.asterisk.paths import Ways
from turnrec.config import load_settings
from turnrec.core.entry import Entry, EntryKind, Origin
from turnrec.core.policy import Action
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx import instance
from turnrec.pbx.configuration import PbxSettings, templates_dir
from turnrec.pbx.instance import Pbx
from turnrec.pbx.packages import Installation
from turnrec.recordings.wav_writer import WavWriter
from turnrec.service import Service
from turnrec.settings import Settings
from turnrec.web.access import Access, Right

WAIT_S = 60.0
"""How long a condition may take before the test fails; never how long anything is slept for."""

MarkHandler = Callable[[str, str], Awaitable[None]]
"""Called with the dialled extension and the mark's word; the dialplan waits for it."""


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition that nobody announces."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - what it looks at is another process's
            await asyncio.sleep(0.01)
    assert condition(), what


@dataclass
class Rig:
    """What a test has in its hands."""

    folder: Path
    pbx: Pbx
    settings: Settings
    start_pbx: Callable[[], Pbx]
    marks: dict[str, MarkHandler] = field(default_factory=dict)
    """Handlers by extension."""
    _service: Service | None = None

    @property
    def service(self) -> Service:
        """The running turnrec."""
        assert self._service is not None
        return self._service

    @property
    def sip(self) -> str:
        """Host and port for SIP."""
        return f"127.0.0.1:{self.pbx.ports.sip_udp}"

    def configure(self, toml: Mapping[str, Mapping[str, str]]) -> None:
        """Write turnrec.toml anew, with these settings beside the usual ones."""
        self.settings = _settings(self.folder, self.pbx, toml)

    async def start_service(
        self, make_ways: type[Ways] = Ways, *, wait_for_ami: bool = True
    ) -> Service:
        """Start turnrec (again) and point the dialplan at it."""
        service = Service(self.settings, make_ways=make_ways)
        await service.start()
        if wait_for_ami and self.settings.asterisk.ami_enabled:
            await service.ami.wait_ready(10_000)
        self._service = service
        await self.point_at(service.agi_port)
        return service

    async def restart_pbx(self) -> None:
        """Start Asterisk anew, after a test has ended it: same ports, same dialplan."""
        self.pbx = await asyncio.to_thread(self.start_pbx)

    async def stop_service(self) -> None:
        """End turnrec in order."""
        if self._service is not None:
            service, self._service = self._service, None
            await service.stop()

    async def point_at(self, port: int) -> None:
        """Tell the dialplan where turnrec is."""
        await self.rx(f"dialplan set global TURNREC_AGI agi://127.0.0.1:{port}")

    async def rx(self, command: str) -> str:
        """Run a command of the Asterisk CLI."""
        return await asyncio.to_thread(self.pbx.rx, command)

    async def operate(self, call: str, action: Action, *, new: bool = False) -> Any:
        """Have an operator, `cli:tester`, act on a live call; the call as it stands then."""
        access = Access("tester", frozenset({Right.ADMIN}), Origin.CLI)
        outcome = await self.service.desk.act(
            access, call, action, new=new, as_bot=False, reason=None, person=None
        )
        return outcome["call"]

    async def recordings(self, count: int) -> list[RecordingRecord]:
        """Wait until so many recordings are closed; return them, oldest first."""
        async with asyncio.timeout(WAIT_S):
            while True:
                await self.service.calls.settle()
                await self.service.ledger.flush(timeout_s=WAIT_S)
                found = await self.service.ledger.recordings(limit=1000)
                closed = [one for one in found if one.status.closed]
                if len(closed) >= count:
                    return list(reversed(closed))
                await asyncio.sleep(0.02)

    async def entries(self, *kinds: EntryKind) -> list[Entry]:
        """What the ledger holds of these kinds, oldest first."""
        await self.service.ledger.flush(timeout_s=WAIT_S)
        written = await self.service.ledger.entries(limit=None)
        return [one.entry for one in written if one.entry.kind in kinds]

    async def alarms(self) -> list[str]:
        """The alarms so far, by their ids."""
        return [one.result for one in await self.entries(EntryKind.ALARM)]

    def file(self, recording: RecordingRecord) -> Path:
        """Where a joined file lies."""
        assert recording.file is not None, recording
        return self.settings.recordings.dir / recording.file

    def parts(self, recording: RecordingRecord) -> list[Path]:
        """The parts of a recording that are still in the spool."""
        return sorted(self.settings.recordings.spool_dir.glob(f"{recording.recording_id}-*.wav"))

    async def _on_mark(self, session: AgiSession) -> None:
        environment = session.environment
        extension = environment.variables.get("agi_extension", "")
        # In the URL the words come before all that a caller can choose, and can't be forged.
        _, asked, query = environment.variables["agi_network_script"].partition("?")
        given = [environment.variables.get(f"agi_arg_{n}", "") for n in (1, 2)]
        words = query.split("&") if asked else given
        word, *who = words
        await self.marks["".join(who) or extension](extension, word)


@asynccontextmanager
async def rig(
    installation: Installation,
    folder: Path,
    flow: str,
    dialplan: str,
    *,
    toml: Mapping[str, Mapping[str, str]] | None = None,
    start: bool = True,
    make_ways: type[Ways] = Ways,
    manager: str = "",
    verbose: int = 0,
    queues: str = "",
    features: str = "",
    pjsip: str = "",
) -> AsyncIterator[Rig]:
    """Start a PBX with turnrec.conf and `dialplan`, and turnrec with `flow`; end both.

    `manager` is added to manager.conf: an AMI account with fewer rights than turnrec's own.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - a test's own temp folder
    (folder / "flow.yaml").write_text(flow, "utf-8")
    (folder / "tests.conf").write_text(dialplan, "utf-8")
    (folder / "queues.conf").write_text(queues, "utf-8")
    (folder / "features.conf").write_text(features, "utf-8")
    (folder / "pjsip.conf").write_text(pjsip, "utf-8")
    (folder / "manager.conf").write_text(manager, "utf-8")
    sounds = folder / "sounds"
    sounds.mkdir(exist_ok=True)
    made: list[Rig] = []

    async def on_mark(session: AgiSession) -> None:
        await made[0]._on_mark(session)

    marks = AgiServer({"mark": on_mark}, answer_timeout_ms=60_000)
    await marks.listen("127.0.0.1", 0)
    pbx_settings = PbxSettings(
        run_dir=folder / "pbx",
        spool_dir=folder / "spool",
        # Nobody listens on the discard port: turnrec isn't there yet.
        agi_url="agi://127.0.0.1:9",
        dialplan_globals={
            "MARK": f"agi://127.0.0.1:{marks.port}",
            "SOUNDS": str(sounds),
        },
        extra_dialplan=(templates_dir() / "turnrec.conf", folder / "tests.conf"),
        extra_conf={
            "manager.conf": (folder / "manager.conf",),
            "queues.conf": (folder / "queues.conf",),
            "features.conf": (folder / "features.conf",),
            "pjsip.conf": (folder / "pjsip.conf",),
        },
        verbose=verbose,
    )

    def start_pbx() -> Pbx:
        return instance.start(installation, pbx_settings)

    pbx = await asyncio.to_thread(start_pbx)
    try:
        here = Rig(folder, pbx, _settings(folder, pbx, toml or {}), start_pbx)
        made.append(here)
        if start:
            await here.start_service(make_ways)
        try:
            yield here
        finally:
            await here.stop_service()
    finally:
        await asyncio.to_thread(made[0].pbx.stop if made else pbx.stop)
        await marks.close()


def _settings(folder: Path, pbx: Pbx, extra: Mapping[str, Mapping[str, str]]) -> Settings:
    sections: dict[str, dict[str, str]] = {
        "server": {"agi_port": "0", "control_socket": '"control.sock"'},
        "api": {"port": "0", "keys_file": '"api-keys.json"'},
        "asterisk": {
            "ami_port": str(pbx.ports.ami_tcp),
            "ami_username": f'"{pbx.ami_user}"',
            "ami_secret": f'"{pbx.secrets.ami}"',
            "ami_timeout_ms": "5000",
        },
        "recordings": {"dir": '"recordings"', "spool_dir": '"spool"', "keep_parts": "true"},
        "ledger": {"url": '"sqlite:///ledger.db"'},
        "flow": {"path": '"flow.yaml"'},
        "sweep": {"interval_s": "1"},
    }
    for name, values in extra.items():
        sections.setdefault(name, {}).update(values)
    lines = []
    for name, pairs in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in pairs.items())]
    path = folder / "turnrec.toml"
    path.write_text("\n".join(lines), "utf-8")
    return load_settings(path, {})


def write_tones(folder: Path, seconds: Mapping[int, float], amplitude: int = 8000) -> None:
    """Write one prompt a frequency as `bot{hz}.wav`."""
    for hz, length_s in seconds.items():
        n = np.arange(round(8000 * length_s))
        samples = np.rint(amplitude * np.sin(2 * np.pi * hz * n / 8000)).astype(np.int16)
        path = folder / f"bot{hz}.wav"
        path.unlink(missing_ok=True)
        with WavWriter(path, 8000) as writer:
            writer.write(samples)
            writer.seal()
            writer.publish()


OPEN_PROMPT, PAUSED_PROMPT = f"bot{OPEN_BOT_HZ}", f"bot{PAUSED_BOT_HZ}"
