"""Owns one running test PBX: its start, its CLI, its faults and its end; never another process.

The run folder is the whole of it: `pbx.json` there names the process, so that a PBX outlives
its launcher and is found again.
"""

import contextlib
import json
import os
import signal as signals
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from turnrec.pbx import configuration, process
from turnrec.pbx.configuration import AMI_USER, PHONE_USER, TEST_USER, PbxSettings, Secrets
from turnrec.pbx.errors import PbxCommandError, PbxNotRunningError, PbxStartError
from turnrec.pbx.packages import Installation, Release, version_numbers
from turnrec.pbx.ports import LOOPBACK, Ports, free_slots
from turnrec.pbx.process import Listener, ProcessIdentity

BOOT_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0

_START_ATTEMPTS = 8
_STATE_FILE = "pbx.json"
_POLL_S = 0.01


@dataclass(frozen=True)
class _State:
    """What is kept about a PBX in its run folder."""

    process: ProcessIdentity
    ports: Ports
    secrets: Secrets
    release: Release
    version: str
    executable: str

    def write(self, run_dir: Path) -> None:
        path = run_dir / _STATE_FILE
        fresh = path.with_suffix(".new")
        fresh.touch(0o600)
        fresh.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")
        fresh.replace(path)

    @classmethod
    def read(cls, run_dir: Path) -> "_State | None":
        try:
            kept = json.loads((run_dir / _STATE_FILE).read_text("utf-8"))
            return cls(
                process=ProcessIdentity(**kept["process"]),
                ports=Ports(**kept["ports"]),
                secrets=Secrets(**kept["secrets"]),
                release=Release(kept["release"]),
                version=kept["version"],
                executable=kept["executable"],
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # absent, or of another version of turnrec: a new one is written


class Pbx:
    """A PBX that has been started; get one from `start`, `running` or `find`."""

    def __init__(self, run_dir: Path, state: _State) -> None:
        self.run_dir = run_dir
        self._state = state

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._state.process.pid

    @property
    def ports(self) -> Ports:
        """Where it listens, all on 127.0.0.1."""
        return self._state.ports

    @property
    def secrets(self) -> Secrets:
        """Its passwords: for AMI (turnrec and test drivers) and for the softphone."""
        return self._state.secrets

    @property
    def ami_user(self) -> str:
        """The AMI account with an operator's rights, which turnrec uses."""
        return AMI_USER

    @property
    def test_user(self) -> str:
        """The AMI account with all rights, for test drivers."""
        return TEST_USER

    @property
    def phone_user(self) -> str:
        """The softphone's SIP account."""
        return PHONE_USER

    @property
    def release(self) -> Release:
        """The release it is one of."""
        return self._state.release

    @property
    def version(self) -> tuple[int, ...]:
        """Its version, to be compared: (22, 10, 1)."""
        return version_numbers(self._state.version)

    @property
    def log_path(self) -> Path:
        """Asterisk's log: notices, warnings, errors and the dialplan's steps."""
        return self.run_dir / "log" / "asterisk.log"

    def is_alive(self) -> bool:
        """Tell whether its process lives (frozen is alive)."""
        return process.is_alive(self._state.process)

    def listeners(self) -> frozenset[Listener]:
        """Give every socket on which it takes what comes."""
        if not self.is_alive():
            raise PbxNotRunningError(self.run_dir)
        return process.listeners(self.pid)

    def rx(self, command: str, *, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run a command of the Asterisk CLI and give its output."""
        conf = str(self.run_dir / "etc" / "asterisk.conf")
        argv = (self._state.executable, "-C", conf, "-rx", command)
        try:
            done = subprocess.run(  # noqa: S603
                argv,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                env=_environment(self.run_dir),
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise PbxCommandError(command, f"no answer in {timeout_s} s: is it frozen?") from None
        # The command line says 0, too, where Asterisk ends before it has answered.
        if not self.is_alive():
            raise PbxNotRunningError(self.run_dir)
        if done.returncode != 0:
            raise PbxCommandError(command, (done.stderr or done.stdout).strip())
        return done.stdout

    def wait_booted(self, timeout_s: float = BOOT_TIMEOUT_S) -> None:
        """Wait until everything is loaded."""
        deadline = time.monotonic() + timeout_s
        while not self._is_booted(deadline - time.monotonic()):
            if not self.is_alive():
                raise PbxStartError(f"Asterisk ended while it booted:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise PbxStartError(f"not booted within {timeout_s} s:\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End it: by its own command, then by SIGTERM, then by SIGKILL. Twice is no error."""
        self.thaw()
        with contextlib.suppress(PbxCommandError, PbxNotRunningError):
            self.rx("core stop now", timeout_s=timeout_s)
        if process.wait_gone(self._state.process, timeout_s):
            return
        for signal in (signals.SIGTERM, signals.SIGKILL):
            self.kill(signal)
            if process.wait_gone(self._state.process, timeout_s):
                return
        raise PbxStartError(f"process {self.pid} survives SIGKILL: is its disk blocked?")

    def kill(self, signal: signals.Signals = signals.SIGKILL) -> None:
        """Signal it, as a fault does; `wait_gone` tells when it has ended."""
        process.send(self._state.process, signal)

    def wait_gone(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Wait until its process has ended; False if it still lives."""
        return process.wait_gone(self._state.process, timeout_s)

    def freeze(self) -> None:
        """Let nothing of it run until `thaw`: its connections stay open and give no answer."""
        self.kill(signals.SIGSTOP)
        # The signal is only sent so far: each thread stops when it next leaves the kernel.
        while self.is_alive() and not process.is_frozen(self._state.process):
            time.sleep(_POLL_S)

    def thaw(self) -> None:
        """Let it run on."""
        self.kill(signals.SIGCONT)

    def log_tail(self, lines: int = 20) -> str:
        """Give the end of what it complained about, for a message to people."""
        texts = (_tail(self.run_dir / "log" / name, lines) for name in ("console", "warnings.log"))
        return "\n".join(text for text in texts if text)

    def _is_booted(self, timeout_s: float) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(str(self.run_dir / "run" / "asterisk.ctl")) != 0:
                return False
        # It listens before it knows the command, and closes without an answer when it gives up.
        with contextlib.suppress(PbxCommandError, PbxNotRunningError):
            return "fully booted" in self.rx("core waitfullybooted", timeout_s=max(1.0, timeout_s))
        return False


def start(installation: Installation, settings: PbxSettings) -> Pbx:
    """Start a PBX and wait until it has booted; it runs on when this process ends.

    A run folder keeps its passwords and, if they are still free, its ports.
    """
    run_dir = settings.run_dir.absolute()
    kept = _State.read(run_dir)
    if kept is not None and process.is_alive(kept.process):
        raise PbxStartError(f"a PBX runs from {run_dir} already (process {kept.process.pid})")
    passwords = kept.secrets if kept else Secrets.random()
    for ports in islice(free_slots(kept.ports if kept else None), _START_ATTEMPTS):
        conf = configuration.write(installation, settings, ports, passwords)
        identity = _spawn(installation, run_dir, conf)
        version, executable = installation.version, str(installation.executable)
        state = _State(identity, ports, passwords, installation.release, version, executable)
        state.write(run_dir)
        pbx = Pbx(run_dir, state)
        try:
            pbx.wait_booted()
        except BaseException:
            pbx.stop()
            raise
        if _has_its_ports(pbx):
            return pbx
        pbx.stop()  # another process took the slot between the look and the start
    raise PbxStartError(
        f"Asterisk got no ports on {LOOPBACK}: stop a PBX that isn't needed, or read why in "
        f"{run_dir / 'log' / 'warnings.log'}"
    )


@contextlib.contextmanager
def running(installation: Installation, settings: PbxSettings) -> Iterator[Pbx]:
    """Have a PBX for the length of a `with` block."""
    pbx = start(installation, settings)
    try:
        yield pbx
    finally:
        pbx.stop()


def find(run_dir: Path) -> Pbx:
    """Find the PBX that runs from a folder, whoever started it; PbxNotRunningError if none."""
    run_dir = run_dir.absolute()
    state = _State.read(run_dir)
    if state is None or not process.is_alive(state.process):
        raise PbxNotRunningError(run_dir)
    return Pbx(run_dir, state)


def _spawn(installation: Installation, run_dir: Path, conf: Path) -> ProcessIdentity:
    """Start Asterisk in the foreground of a session of its own, with its output in a file."""
    # posix_spawn can't change the folder, and Asterisk shall not keep its launcher's.
    entered = ("/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(run_dir))
    argv = (*entered, *installation.argv(conf), "-f")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    # No Popen: its process may outlive us, and Popen warns about that when it is collected.
    pid = os.posix_spawn(
        argv[0],
        argv,
        _environment(run_dir),
        file_actions=(
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(run_dir / "log" / "console"), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ),
        setsid=True,
    )
    return process.identify(pid)


def _environment(run_dir: Path) -> dict[str, str]:
    """Keep Asterisk's history file in the run folder, and the caller's libraries out."""
    dropped = {"LD_LIBRARY_PATH", "LD_PRELOAD"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "HOME": str(run_dir)}


def _has_its_ports(pbx: Pbx) -> bool:
    wanted = {
        Listener("udp", LOOPBACK, pbx.ports.sip_udp),
        Listener("tcp", LOOPBACK, pbx.ports.ami_tcp),
    }
    return pbx.is_alive() and wanted <= pbx.listeners()


def _tail(path: Path, lines: int) -> str:
    try:
        return "\n".join(path.read_text("utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
