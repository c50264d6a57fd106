"""Chooses the ports of a test PBX so that several run side by side; it binds none for long."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"

# Below the usual ephemeral ports. A slot has room for about 500 RTP sessions, and its first port
# is SIP's and AMI's: whoever holds that one has the slot, so two PBXes never share an RTP range.
_SLOT_SIZE = 1_000
_SLOTS = tuple(range(10_000, 32_000, _SLOT_SIZE))


@dataclass(frozen=True)
class Ports:
    """The ports of one PBX, all on 127.0.0.1."""

    sip_udp: int
    ami_tcp: int
    rtp_first: int
    rtp_last: int


def free_slots(preferred: Ports | None = None) -> Iterator[Ports]:
    """Give the slots that are free when they are given, the preferred one first."""
    # From a place of our own, so that processes that start PBXes at once seldom meet.
    turn = os.getpid() % len(_SLOTS)
    slots = [_slot(first) for first in (*_SLOTS[turn:], *_SLOTS[:turn])]
    order = [preferred, *(one for one in slots if one != preferred)] if preferred else slots
    return (one for one in order if _is_free(one))


def _slot(first: int) -> Ports:
    return Ports(first, first, first + 2, first + _SLOT_SIZE - 1)


def _is_free(ports: Ports) -> bool:
    with (
        socket.socket(type=socket.SOCK_STREAM) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        # As Asterisk does, or a connection that has just ended would bar the port.
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind((LOOPBACK, ports.ami_tcp))
            udp.bind((LOOPBACK, ports.sip_udp))
        except OSError:
            return False
    return True
