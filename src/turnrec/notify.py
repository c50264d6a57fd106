"""Tells systemd that the service is ready, alive or stopping (sd_notify); nothing without systemd.

The protocol is one datagram to the socket in NOTIFY_SOCKET (sd_notify(3)). What is told is that
the event loop turns, and nothing else: AMI being down is no reason to be restarted.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping


class Notifier:
    """The service manager's ear."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ is an abstract socket, which begins with a NUL.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        pid = environ.get("WATCHDOG_PID", "")
        ours = not pid or pid == str(os.getpid())
        self._watchdog_s = int(watchdog_us) / 1e6 if watchdog_us.isdecimal() and ours else 0.0

    def tell(self, state: str) -> None:
        """Send one state, such as `READY=1`. A manager that doesn't listen is no error."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as ear:
            try:
                ear.sendto(state.encode(), self._address)
            except OSError:
                return

    async def keep_alive(self) -> None:
        """Say that the loop turns, thrice in each watchdog interval, for ever."""
        if self._watchdog_s <= 0:
            return
        while True:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / 3)
