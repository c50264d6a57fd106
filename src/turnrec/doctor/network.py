"""Checks which doors are open to whom; it looks at the sockets of this machine, and knocks nowhere.

What a firewall keeps out it can't see.
"""

from __future__ import annotations

from typing import Final

from turnrec.doctor.answers import is_true
from turnrec.doctor.finding import Finding, NotCheckedError, ok, warning
from turnrec.doctor.look import Look, is_everywhere, is_loopback

_HTTP_PORT: Final = 8088


async def manager(look: Look) -> Finding:
    """AMI is not open to whoever reaches the machine."""
    asterisk = look.settings.asterisk
    where = await _open(look, "manager.conf", asterisk.ami_port)
    if where is None:
        return ok("AMI listens where it is told to, and not everywhere")
    return warning(
        f"AMI is open to every network of its machine ({where}:{asterisk.ami_port})",
        "in manager.conf: [general] bindaddr = 127.0.0.1",
        "asterisk -rx 'manager reload'",
    )


async def http(look: Look) -> Finding:
    """Nor is Asterisk's HTTP server."""
    found = await look.config_file("http.conf", "general")
    general = next((section for section in found if section.name == "general"), None)
    if general is None or not is_true(general.get("enabled")):
        return ok("Asterisk's HTTP server is not enabled")
    port = int(general.get("bindport") or _HTTP_PORT)
    address = general.get("bindaddr") or "0.0.0.0"  # noqa: S104 - what Asterisk takes
    if look.is_asterisk_here:
        found_at = look.listening_on(port)
        address = next(filter(is_everywhere, found_at), address if not found_at else "")
        if not found_at:
            return ok(f"Asterisk's HTTP server is enabled, and nobody listens on port {port}")
    if not address or not is_everywhere(address):
        return ok("Asterisk's HTTP server listens where it is told to, and not everywhere")
    return warning(
        f"Asterisk's HTTP server (ARI) is open to every network of its machine ({address}:{port})",
        "in http.conf: [general] bindaddr = 127.0.0.1, or enabled = no",
        "asterisk -rx 'module reload http'",
    )


async def _open(look: Look, file: str, port: int) -> str | None:
    """The address at which a port is open to everybody; None: at none."""
    if look.is_asterisk_here:
        return next(filter(is_everywhere, look.listening_on(port)), None)
    found = await look.config_file(file, "general")
    general = next((section for section in found if section.name == "general"), None)
    if general is None:
        raise NotCheckedError(f"{file} has no section [general] that can be read")
    address = general.get("bindaddr") or "0.0.0.0"  # noqa: S104 - what Asterisk takes
    return address if is_everywhere(address) else None


async def api(look: Look) -> Finding:
    """turnrec's own HTTP doesn't go through a network in clear text."""
    settings = look.settings.api
    if not settings.enabled or is_loopback(settings.host):
        return ok("turnrec's API listens on this machine alone")
    return warning(
        f"turnrec's API listens on {settings.host}:{settings.port} in clear text: keys, numbers and"
        " recordings",
        'in turnrec.toml: [api] host = "127.0.0.1", and a proxy with TLS before it',
        "systemctl restart turnrec",
    )


async def agi(look: Look) -> Finding:
    """FastAGI, which has no password, is not open to everybody."""
    server = look.settings.server
    if not is_everywhere(server.agi_host):
        return ok(f"FastAGI listens on {server.agi_host} alone")
    cure = '"127.0.0.1"' if look.is_asterisk_here else "the address that Asterisk reaches"
    return warning(
        f"FastAGI is open to every network of this machine ({server.agi_host}:{server.agi_port}),"
        " and has no password: whoever reaches it may pause and end recordings",
        f"in turnrec.toml: [server] agi_host = {cure}",
        "systemctl restart turnrec",
    )
