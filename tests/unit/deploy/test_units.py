"""The systemd units: systemd takes them, they lock the service in, and it works locked in."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.main import get_command

from tests.unit.deploy.units import FOLDER, TURNREC, Unit
from turnrec.cli import app
from turnrec.config import load_settings

SERVICES = ("turnrec.service", "turnrec-backup.service")
WORST_EXPOSURE = 2.0
"""Of systemd-analyze security, which counts from 0 (locked in) to 10."""
WAIT_S = 60.0
WITHOUT_WRITABLE_CODE = """
import ctypes, os, sys
# prctl(2): PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN; what MemoryDenyWriteExecute= comes to
ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0)  # Linux before 6.3 has none
os.execv(sys.executable, [sys.executable, "-m", "turnrec", *sys.argv[1:]])
"""


def analyzed(*words: str, folder: Path) -> str:
    """What systemd-analyze says of the units, each of their commands being there."""
    analyze = shutil.which("systemd-analyze")
    assert analyze is not None, "systemd-analyze is missing: Debian's package systemd has it"
    for unit in FOLDER.iterdir():
        text = unit.read_text("utf-8").replace(TURNREC, sys.executable)
        (folder / unit.name).write_text(text, "utf-8")
    done = subprocess.run([analyze, *words], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.mark.parametrize("name", [*SERVICES, "turnrec-backup.timer"])
def test_systemd_takes_the_unit_without_a_complaint(name: str, tmp_path: Path) -> None:
    # Of a service that isn't installed it complains; those that are only waited for may be missing.
    assert analyzed("verify", "--man=no", str(tmp_path / name), folder=tmp_path) == ""


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_finds_the_service_locked_in(name: str, tmp_path: Path) -> None:
    said = analyzed("security", "--offline=true", str(tmp_path / name), folder=tmp_path)
    exposure = float(said.rpartition("exposure level for ")[2].split(":")[1].split()[0])
    assert exposure <= WORST_EXPOSURE


@pytest.mark.parametrize("name", SERVICES)
def test_the_service_has_no_privilege_and_nothing_but_its_own_folders(name: str) -> None:
    unit = Unit(name)
    assert unit.one("User") == unit.one("Group") == "turnrec"
    assert unit.one("CapabilityBoundingSet") == ""
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "MemoryDenyWriteExecute"):
        assert unit.one(key) == "yes", key
    assert unit.one("ProtectSystem") == "strict"
    assert unit.one("UMask") == "0027"
    assert unit.all("SystemCallFilter") == ["@system-service", "~@privileged"]


def test_what_serve_needs_is_left_to_it() -> None:
    unit = Unit("turnrec.service")
    settings = load_settings(None, {"TURNREC_ASTERISK__AMI_ENABLED": "false"})
    state = Path("/var/lib") / unit.one("StateDirectory")
    assert settings.recordings.dir.is_relative_to(state)
    assert settings.api.keys_file.is_relative_to(state)
    assert str(state / "ledger.db") in settings.ledger.url.get_secret_value()
    assert settings.server.control_socket.parent == Path("/run") / unit.one("RuntimeDirectory")
    assert unit.one("ReadWritePaths") == f"-{settings.recordings.spool_dir}"
    # serve raises its own limit of open files, which is a call of @resources; the parts' clock and
    # the process's own numbers are read from /proc.
    assert "@resources" not in " ".join(unit.all("SystemCallFilter"))
    assert unit.all("ProcSubset") == []
    assert unit.one("RestrictAddressFamilies").split() == ["AF_UNIX", "AF_INET", "AF_INET6"]


def test_the_units_commands_are_commands_of_turnrec() -> None:
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    unit = Unit("turnrec.service")
    for key in ("ExecStart", "ExecReload", "ExecStopPost"):
        assert unit.command(key)[0] in commands
    assert Unit("turnrec-backup.service").command("ExecStart")[0] in commands


def test_the_users_and_folders_are_those_that_the_units_name() -> None:
    users = (FOLDER / "turnrec.sysusers.conf").read_text("utf-8")
    folders = (FOLDER / "turnrec.tmpfiles.conf").read_text("utf-8")
    assert "\nu turnrec " in users
    assert "\nm turnrec asterisk\n" in users
    settings = load_settings(None, {"TURNREC_ASTERISK__AMI_ENABLED": "false"})
    # setgid: whatever Asterisk writes there gets the group that may read and delete it.
    assert f"\nd {settings.recordings.spool_dir} 2770 asterisk turnrec -\n" in folders
    backups = Unit("turnrec-backup.service").command("ExecStart")[1]
    assert f"\nd {backups} 0750 turnrec turnrec -\n" in folders
    assert backups in Unit("turnrec-backup.service").one("ReadWritePaths").split()


# ------------------------------------------------------------------ run as systemd would


@dataclass
class Manager:
    """What systemd is to a service: it starts it, listens to it, and sends it signals."""

    unit: Unit
    ear: socket.socket
    environ: dict[str, str]
    server: asyncio.subprocess.Process

    async def hears(self, wanted: str) -> None:
        """Wait until the service has told that."""
        while await asyncio.to_thread(self.ear.recv, 4096) != wanted.encode():
            pass

    async def run(self, key: str) -> tuple[int, str]:
        """Run another command of the unit beside the service."""
        return await run(self.unit.command(key), self.environ)


async def run(words: list[str], environ: Mapping[str, str]) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "turnrec",
        *words,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(WAIT_S):
        out, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode()


def installed(folder: Path) -> Path:
    """An /etc/turnrec and a state folder, as docs/running.md makes them; the settings' file."""
    (folder / "ami-secret").write_text("a secret\n")
    (folder / "flow.yaml").write_text("version: 1\nbots: {kyc: {nodes: {hello: }}}\n")
    settings = folder / "turnrec.toml"
    settings.write_text(
        "[server]\nagi_port = 0\n"
        f'control_socket = "{folder}/run/control.sock"\n'
        f'[api]\nport = 0\nkeys_file = "{folder}/lib/api-keys.json"\n'
        # Nobody listens there: AMI is down, and turns would go on.
        "[asterisk]\nami_port = 1\n"
        f'ami_secret_file = "{folder}/only-root-may-read-it"\n'
        f'[recordings]\ndir = "{folder}/lib/recordings"\nspool_dir = "{folder}/spool"\n'
        f'[ledger]\nurl = "sqlite:///{folder}/lib/ledger.db"\n[flow]\npath = "flow.yaml"\n'
    )
    return settings


@asynccontextmanager
async def managed(folder: Path) -> AsyncIterator[Manager]:
    """Start turnrec.service's command as systemd does, without code in writable memory."""
    unit = Unit("turnrec.service")
    settings = installed(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(folder / "notify"))
        ear.settimeout(WAIT_S)
        environ = {
            "PATH": os.environ["PATH"],
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": "300000",
            **unit.environment(folder),
            "TURNREC_CONFIG": str(settings),
        }
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WITHOUT_WRITABLE_CODE, *unit.command("ExecStart"), env=environ
        )
        try:
            yield Manager(unit, ear, environ, server)
        finally:
            if server.returncode is None:
                server.kill()
                await server.wait()


async def test_the_unit_is_ready_stays_alive_reloads_and_ends_in_order(tmp_path: Path) -> None:
    async with managed(tmp_path) as systemd:
        unit, server = systemd.unit, systemd.server
        assert (unit.one("Type"), unit.one("NotifyAccess")) == ("notify", "main")
        await systemd.hears("READY=1")
        for _ in range(3):
            await systemd.hears("WATCHDOG=1")
        status, said = await systemd.run("ExecReload")
        assert (status, said) == (0, "the flow is in force for new calls\n")
        (tmp_path / "flow.yaml").write_text("version: 1\nbots: {kyc: {nodes: {hello: jump}}}\n")
        status, said = await systemd.run("ExecReload")
        assert status == 1
        assert "line 2" in said or "jump" in said
        server.terminate()
        await systemd.hears("STOPPING=1")
        async with asyncio.timeout(WAIT_S):
            assert await server.wait() == 0


def test_coded_copies_are_made_without_writable_code(tmp_path: Path) -> None:
    # libsndfile over Python's own file objects would need it: callbacks made at run time.
    makes = """
import sys
from pathlib import Path
import numpy as np
from turnrec.recordings.sound import SoundFormat, SoundReader, sound_writer
for form in SoundFormat:
    path = Path(sys.argv[1]) / form.value
    with sound_writer(path, 8000, 1, form) as file:
        file.write(np.zeros(8000, dtype=np.int16))
        file.seal()
        file.publish()
    with SoundReader(path) as sound:
        assert sound.samples == 8000
"""
    code = WITHOUT_WRITABLE_CODE.replace('"-m", "turnrec"', '"-c"')
    words = [sys.executable, "-c", code, makes, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_frozen_server_stops_telling_that_it_is_alive(tmp_path: Path) -> None:
    async with managed(tmp_path) as systemd:
        await systemd.hears("READY=1")
        await systemd.hears("WATCHDOG=1")
        systemd.server.send_signal(signal.SIGSTOP)
        # systemd's WatchdogSec= passes without a word, and it sends WatchdogSignal=.
        systemd.ear.settimeout(1)
        with pytest.raises(TimeoutError):
            await systemd.hears("a word that it never says")
        systemd.server.send_signal(getattr(signal, systemd.unit.one("WatchdogSignal")))
        async with asyncio.timeout(WAIT_S):
            assert await systemd.server.wait() == -signal.SIGKILL


async def test_wrong_settings_are_no_reason_to_start_again(tmp_path: Path) -> None:
    unit = Unit("turnrec.service")
    settings = installed(tmp_path)
    settings.write_text(settings.read_text() + "[log]\nlevel = 'loud'\n")
    environ = {"PATH": os.environ["PATH"], **unit.environment(tmp_path)}
    status, said = await run(unit.command("ExecStart"), environ | {"TURNREC_CONFIG": str(settings)})
    assert str(status) == unit.one("RestartPreventExitStatus")
    assert "level" in said
    assert unit.one("Restart") == "always"
    assert unit.one("StartLimitIntervalSec", "Unit") == "0"


async def test_however_it_ended_panic_looks_for_monitors_and_says_when_it_could_not(
    tmp_path: Path,
) -> None:
    unit = Unit("turnrec.service")
    environ = {"PATH": str(tmp_path), **unit.environment(tmp_path)}
    environ["TURNREC_CONFIG"] = str(installed(tmp_path))
    status, said = await run(unit.command("ExecStopPost"), environ)
    assert status == 3
    assert "Asterisk can't be reached" in said
