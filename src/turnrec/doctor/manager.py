"""Checks Asterisk's manager interface: the login, the account's rights, what it is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from turnrec.asterisk.ami import AmiError, AmiLoginError
from turnrec.doctor.answers import Section, table
from turnrec.doctor.finding import Finding, NotCheckedError, listed, ok, problem, warning
from turnrec.doctor.look import Look, is_loopback

READ: Final = ("system", "call", "agent")
WRITE: Final = ("system", "call", "reporting")
RELOAD: Final = "asterisk -rx 'manager reload'"
_ADVANCED: Final = re.compile(r"eventfilter\((.*)\)")
_NAME: Final = re.compile(r"name\((\w+)\)")


@dataclass(frozen=True, slots=True)
class Rights:
    """What the account may."""

    read: frozenset[str] | None
    """None: not known."""
    write: frozenset[str]
    is_whole: bool
    """False: `write` holds only what is certain."""


async def login(look: Look) -> Finding:
    """turnrec can log in."""
    asterisk = look.settings.asterisk
    where = f"{asterisk.ami_host}:{asterisk.ami_port}"
    if not asterisk.ami_enabled:
        return ok("AMI is not used ([asterisk] ami_enabled = false)")
    try:
        await look.ami()
    except AmiLoginError as error:
        return problem(
            f"{error} (at {where})",
            f"give [{asterisk.ami_username}] in manager.conf and turnrec.toml"
            " ([asterisk] ami_secret_file) one secret, and permit this machine's address;"
            f" then: {RELOAD}",
        )
    except AmiError as error:
        return problem(
            str(error),
            "in manager.conf: [general] enabled = yes, bindaddr and port as in turnrec.toml"
            f" ([asterisk] ami_host, ami_port); then: {RELOAD}",
        )
    return ok(f"logged in at {where} as {asterisk.ami_username}")


async def rights(look: Look) -> Finding:
    """It has the rights that it needs."""
    account = look.settings.asterisk.ami_username
    found = await _rights(look)
    missing = []
    if found.read is not None and "all" not in found.read:
        missing += [f"read = {name}" for name in READ if name not in found.read]
    if "all" not in found.write:
        missing += [
            f"write = {name}"
            for name in WRITE
            if name not in found.write and (found.is_whole or name == "system")
        ]
    if missing:
        return problem(
            f"turnrec's AMI account has not {listed(missing, 6)}",
            *_least(account),
        )
    if found.read is None:
        raise NotCheckedError("which events the account may read isn't told to it")
    return ok("the account may read and write what turnrec needs")


async def excess(look: Look) -> Finding:
    """It has no other rights."""
    account = look.settings.asterisk.ami_username
    found = await _rights(look)
    more = [f"read = {name}" for name in sorted((found.read or frozenset()) - {*READ})]
    more += [f"write = {name}" for name in sorted(found.write - {*WRITE})]
    if any(one.endswith(" all") for one in more):
        more = [one for one in more if one.endswith(" all")]
    if not more:
        return ok("the account has no right that turnrec doesn't need")
    return warning(
        f"turnrec's AMI account has more rights than it needs: {listed(more, 6)};"
        " whoever gets its secret has them, too",
        *_least(account),
    )


def _least(account: str) -> tuple[str, ...]:
    """The rights that suffice, to paste."""
    rights = (f"read = {','.join(READ)}", f"write = {','.join(WRITE)}")
    return (f"in manager.conf, [{account}]:", *rights, RELOAD)


async def _rights(look: Look) -> Rights:
    """What the running Asterisk says, or else manager.conf, or else what it lets us do."""
    account = look.settings.asterisk.ami_username
    await look.ami()
    try:
        printed = table(await look.own_rx(f"manager show user {account}"))
    except NotCheckedError:
        printed = {}
    if "write perm" in printed:
        return Rights(_classes(printed["read perm"]), _classes(printed["write perm"]), True)
    try:
        written = await _account(look)
    except NotCheckedError:
        written = None
    if written is not None:
        return Rights(
            _classes(written.get("read") or ""), _classes(written.get("write") or ""), True
        )
    allowed = await look.actions()
    certain = frozenset(
        name for classes in allowed.values() for name in classes - {"all"} if len(classes) == 2
    )
    return Rights(None, certain, False)


def _classes(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip()) - {"<none>"}


async def _account(look: Look) -> Section | None:
    """The account's section of manager.conf."""
    account = look.settings.asterisk.ami_username
    found = await look.config_file("manager.conf", account)
    return next((section for section in found if section.name == account), None)


async def events(look: Look) -> Finding:
    """It is sent what turnrec listens to, and little else."""
    account = await _account(look)
    name = look.settings.asterisk.ami_username
    if account is None:
        raise NotCheckedError(f"manager.conf has no section [{name}] that can be read")
    needed = needed_events(look.shipped("turnrec-manager.conf").read_text("utf-8"))
    advanced = [match[1] for key, _ in account.lines if (match := _ADVANCED.fullmatch(key))]
    missing, has_any = missing_events(account.get_all("eventfilter"), advanced, needed)
    source = look.shipped("turnrec-manager.conf")
    if missing:
        return problem(
            f"the event filter of turnrec's account keeps back {listed(missing)}",
            f"in manager.conf, [{name}]:",
            *(f"eventfilter = Event: {one}" for one in missing),
            RELOAD,
        )
    if not has_any:
        return warning(
            "turnrec's account has no event filter: Asterisk sends it much that it never reads",
            f"into manager.conf, [{name}]: the eventfilter lines of {source}",
            RELOAD,
        )
    return ok("the event filter lets through what turnrec listens to")


def needed_events(shipped: str) -> tuple[str, ...]:
    """The events that the shipped account lets through."""
    return tuple(re.findall(r"^eventfilter = Event: (\w+)$", shipped, re.MULTILINE))


def missing_events(
    plain: tuple[str, ...], advanced: list[str], needed: tuple[str, ...]
) -> tuple[list[str], bool]:
    """What the filters keep back of what is needed, and whether any lets something through."""
    lets = [one for one in plain if not one.startswith("!")]
    drops = [one[1:] for one in plain if one.startswith("!")]
    named = {name for one in advanced for name in _NAME.findall(one) if "exclude" not in one}
    is_open = any("exclude" not in one and not _NAME.search(one) for one in advanced)
    has_any = bool(lets or named or is_open)
    missing = []
    for event in needed:
        line = f"Event: {event}\r\n"
        passes = not has_any or is_open or event in named or _matches(lets, line)
        if not passes or _matches(drops, line):
            missing.append(event)
    return missing, has_any


def _matches(patterns: list[str], line: str) -> bool:
    """As Asterisk does it, but for POSIX classes, which no event's name is in."""
    for pattern in patterns:
        if "[:" in pattern:
            continue
        try:
            if re.search(pattern, line):
                return True
        except re.error:
            continue
    return False


async def in_clear(look: Look) -> Finding:
    """The secret goes over no network as it is."""
    host = look.settings.asterisk.ami_host
    if not look.settings.asterisk.ami_enabled or is_loopback(host):
        return ok("AMI stays on this machine")
    return warning(
        f"AMI goes to {host} in clear text: its secret, and who calls whom",
        f"take a tunnel (ssh -N -L 5038:127.0.0.1:5038 {host}, WireGuard, stunnel)"
        ' and [asterisk] ami_host = "127.0.0.1"',
    )


async def sessions(look: Look) -> Finding:
    """Nobody else is logged in with turnrec's account."""
    account = look.settings.asterisk.ami_username
    await look.ami()
    printed = await look.own_rx("manager show connected")
    count = sum(line.split()[:1] == [account] for line in printed.splitlines())
    try:
        expected = 1 + bool((await look.server())["ami_ready"])
    except NotCheckedError:
        expected = 1
    if count > expected:
        return warning(
            f"{count - expected} more logged in to AMI as {account} than this turnrec and its"
            " doctor: another turnrec that begins and ends monitors, or somebody with its secret",
            "asterisk -rx 'manager show connected'",
            "end what is no longer meant, or give each its own account",
        )
    return ok("nobody else is logged in with turnrec's account")
