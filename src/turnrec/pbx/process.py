"""Knows one process for certain: who it is, whether it lives, where it listens.

It never signals a process that merely got the number of the one meant.
"""

import contextlib
import os
import select
import signal as signals
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TCP_LISTEN = "0A"
_UDP_UNCONNECTED = "07"


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told apart from any later one with its number."""

    pid: int
    start_ticks: int  # since boot; `core restart now` keeps it, a reused number has another
    boot_id: str


@dataclass(frozen=True, order=True)
class Listener:
    """A socket that takes what comes: TCP in LISTEN, or UDP without a peer."""

    protocol: str  # tcp, tcp6, udp, udp6
    address: str
    port: int


def identify(pid: int) -> ProcessIdentity:
    """Give a living process's identity; ProcessLookupError if there is none."""
    state, start_ticks = _stat(pid)
    if state in {"Z", "X"}:
        raise ProcessLookupError(pid)
    return ProcessIdentity(pid, start_ticks, _BOOT_ID.read_text("ascii").strip())


def is_alive(identity: ProcessIdentity) -> bool:
    """Tell whether exactly this process lives; a zombie does not."""
    try:
        return identify(identity.pid) == identity
    except ProcessLookupError:
        return False


def is_frozen(identity: ProcessIdentity) -> bool:
    """Tell whether it has been stopped by SIGSTOP."""
    return is_alive(identity) and _stat(identity.pid)[0] in {"T", "t"}


def send(identity: ProcessIdentity, signal: signals.Signals) -> bool:
    """Signal exactly this process; False if it lives no more."""
    try:
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    # From here on the descriptor means one process, so that the look and the signal agree.
    try:
        if not is_alive(identity):
            return False
        signals.pidfd_send_signal(pidfd, signal)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def wait_gone(identity: ProcessIdentity, timeout_s: float) -> bool:
    """Wait until it has ended, and reap it if it is our child; False if it still lives."""
    try:
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        if is_alive(identity):
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(timeout_s * 1000)
    finally:
        os.close(pidfd)
    if is_alive(identity):
        return False
    with contextlib.suppress(ChildProcessError):  # another process started it, or it is reaped
        os.waitpid(identity.pid, os.WNOHANG)
    return True


def listeners(pid: int) -> frozenset[Listener]:
    """Give every socket on which the process waits for whoever comes."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # a descriptor may close while it is looked at
            inodes.add(str(link.readlink()))
    found = set()
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        table = Path(f"/proc/{pid}/net/{protocol}")
        wanted = _TCP_LISTEN if protocol.startswith("tcp") else _UDP_UNCONNECTED
        for line in table.read_text("ascii").splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == wanted and f"socket:[{fields[9]}]" in inodes:
                found.add(Listener(protocol, *parse_endpoint(fields[1])))
    return frozenset(found)


def parse_endpoint(text: str) -> tuple[str, int]:
    """Read /proc/net's `0100007F:1F90`: words in the machine's byte order, port in hex."""
    address, _, port = text.partition(":")
    words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, packed), int(port, 16)


def parse_stat(text: str) -> tuple[str, int]:
    """Read /proc/PID/stat: state and start time. The name before them may hold anything."""
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _stat(pid: int) -> tuple[str, int]:
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace"))
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
