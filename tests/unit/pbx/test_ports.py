"""Which ports a test PBX gets."""

import socket
from itertools import pairwise

from turnrec.pbx.ports import LOOPBACK, Ports, free_slots

OWN = Ports(sip_udp=9_001, ami_tcp=9_002, rtp_first=9_003, rtp_last=9_100)


def test_slots_never_overlap_and_have_room_for_calls() -> None:
    slots = sorted(free_slots(), key=lambda one: one.sip_udp)
    assert all(one.rtp_last < following.sip_udp for one, following in pairwise(slots))
    assert all(one.rtp_last - one.rtp_first > 900 for one in slots)


def test_the_ports_of_the_last_run_come_first_while_they_are_free() -> None:
    assert next(free_slots(OWN)) == OWN


def test_a_slot_whose_sip_or_ami_port_is_taken_is_passed_over() -> None:
    taken = next(free_slots())
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind((LOOPBACK, taken.sip_udp))
        assert taken not in list(free_slots(taken))
    with socket.create_server((LOOPBACK, taken.ami_tcp)):
        assert taken not in list(free_slots(taken))
    assert next(free_slots(taken)) == taken
