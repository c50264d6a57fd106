"""A process is told apart from any other with its number."""

import dataclasses
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from turnrec.pbx import process
from turnrec.pbx.process import Listener, ProcessIdentity


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that lives until its input ends, and has said so."""
    argv = (sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        started.stdout.readline()
        yield started
        started.kill()


def test_a_living_process_is_alive_until_it_ends(child: "subprocess.Popen[bytes]") -> None:
    identity = process.identify(child.pid)
    assert process.is_alive(identity)
    assert process.send(identity, signal.SIGKILL)
    assert process.wait_gone(identity, timeout_s=60)
    assert not process.is_alive(identity)


def test_a_reused_number_is_never_signalled(child: "subprocess.Popen[bytes]") -> None:
    identity = process.identify(child.pid)
    earlier = dataclasses.replace(identity, start_ticks=identity.start_ticks - 1)
    before_boot = dataclasses.replace(identity, boot_id="another")
    for stranger in (earlier, before_boot):
        assert not process.send(stranger, signal.SIGKILL)
        assert process.wait_gone(stranger, timeout_s=0)
    assert process.is_alive(identity)


def test_waiting_for_one_that_lives_ends_with_its_time(child: "subprocess.Popen[bytes]") -> None:
    assert not process.wait_gone(process.identify(child.pid), timeout_s=0.01)


def test_a_frozen_process_is_alive(child: "subprocess.Popen[bytes]") -> None:
    identity = process.identify(child.pid)
    process.send(identity, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert process.is_frozen(identity)
    assert process.is_alive(identity)


def test_a_zombie_is_not_alive(child: "subprocess.Popen[bytes]") -> None:
    identity = process.identify(child.pid)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process.is_alive(identity)
    assert not process.send(identity, signal.SIGTERM)


def test_no_process_has_no_identity() -> None:
    assert not process.is_alive(ProcessIdentity(2**22 + 1, 0, ""))
    with pytest.raises(ProcessLookupError):
        process.identify(2**22 + 1)


def test_listeners_are_the_sockets_that_wait() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.create_connection(tcp.getsockname()) as talking,
    ):
        udp.bind(("127.0.0.1", 0))
        found = process.listeners(os.getpid())
        assert Listener("tcp", *tcp.getsockname()) in found
        assert Listener("udp", *udp.getsockname()) in found
        assert Listener("tcp", *talking.getsockname()) not in found


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0"),
        (socket.AF_INET6, "::1"),
        (socket.AF_INET6, "2001:db8::7"),
    ],
)
def test_addresses_of_proc_net_are_read(family: socket.AddressFamily, address: str) -> None:
    packed = socket.inet_pton(family, address)
    words = struct.unpack(f"={len(packed) // 4}I", packed)  # as the kernel prints them
    text = "".join(f"{word:08X}" for word in words) + ":1F90"
    assert process.parse_endpoint(text) == (address, 8080)


def test_a_name_with_brackets_does_not_shift_the_fields() -> None:
    fields = ["S", *(str(number) for number in range(4, 22)), "12345", "0"]
    assert process.parse_stat(f"7 (a) b (c) {' '.join(fields)}") == ("S", 12345)
