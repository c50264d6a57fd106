"""Finds the browser that drives the page: Debian's Chromium, installed if need be. Never a skip."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

NAMED = "TURNREC_CHROMIUM"
"""Names another Chromium's executable."""
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A player that is tested has nobody to touch it first, and a machine without a sound card.
    "--autoplay-policy=no-user-gesture-required",
)


class NoChromiumError(Exception):
    """There is no Chromium, and none could be installed. `str()` says what to do."""


def find() -> Path:
    """Give Chromium's executable.

    Raises:
        NoChromiumError: there is none, and it can't be had.
    """
    if named := os.environ.get(NAMED):
        return Path(named)
    return _installed() or _install()


def _installed() -> Path | None:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return None if found is None else Path(found)


def _install() -> Path:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        # Unlike Asterisk it can't run from a folder of unpacked packages: it starts itself again
        # by /proc/self/exe, which would be the loader.
        raise NoChromiumError(
            "the page's tests need Chromium: run `apt-get install chromium` as root, or name one"
            f" with {NAMED}=/path/to/chromium"
        )
    with (Path(tempfile.gettempdir()) / "turnrec-chromium.lock").open("w") as lock:
        # The tests run in several processes, and apt wants to be alone.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (("update",), ("install", "-y", "--no-install-recommends", "chromium")):
            if found := _installed():
                return found
            done = subprocess.run(
                ("apt-get", "-q", *command),
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True,
                text=True,
                timeout=900,
                stdin=subprocess.DEVNULL,
            )
            if done.returncode != 0:
                raise NoChromiumError(
                    f"apt-get {command[0]} failed, so there is no Chromium for the page's tests:"
                    f" {done.stderr.strip()[-500:]}"
                )
    found = _installed()
    if found is None:
        raise NoChromiumError("apt-get has installed chromium, and it isn't on the PATH")
    return found
