"""Checks Asterisk itself: its version and what that can't do, its modules, its dangers."""

from __future__ import annotations

import re
from typing import Final

from turnrec.asterisk.paths import mutes_by_id
from turnrec.core.policy import DualChannel, Flow, Others, PauseMethod
from turnrec.doctor.answers import is_true
from turnrec.doctor.finding import Finding, NotCheckedError, listed, ok, problem, warning
from turnrec.doctor.look import Look

_VERSION: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_OLDEST: Final = 16
_SETTLE_MS: Final = 150
"""What brought the voice back five times of five; at once it came two times of three."""

MODULES: Final = {
    "res_agi": "AGI, by which every turn is asked",
    "app_mixmonitor": "MixMonitor, StopMixMonitor and the function MIXMONITOR",
    "app_stack": "Gosub and Return",
    "app_exec": "ExecIf",
    "app_verbose": "Log",
    "func_strings": "FILTER and LEN",
    "func_logic": "IF",
    "func_channel": "CHANNEL",
    "format_wav": "the parts' format",
}
"""What turnrec.conf and the drivers use; with `app_playback` for turnrec-operator's beep alone."""


async def command(look: Look) -> Finding:
    """Asterisk's own command can be run: `turnrec panic` needs it to be certain."""
    try:
        await look.rx("core show version")
    except NotCheckedError as error:
        if "No such file" in str(error) and not look.is_asterisk_named:
            raise NotCheckedError(
                f"there is no `{look.asterisk}` command here: name it by --asterisk"
            ) from None
        return warning(
            f"{error}: `turnrec panic` can't list the monitors, and not all is checked here",
            "in asterisk.conf, [files]: astctlgroup = turnrec and astctlpermissions = 0660;"
            " restart Asterisk",
            "or: turnrec doctor --asterisk 'sudo asterisk'",
        )
    if not await look.is_same_asterisk():
        return warning(
            f"`{look.asterisk}` leads to another Asterisk than AMI does:"
            " `turnrec panic` would ask the wrong one",
            "turnrec doctor --asterisk 'docker exec pbx asterisk', or whatever leads to the right",
        )
    return ok(f"`{look.asterisk} -rx` leads to the Asterisk of AMI")


async def version(look: Look) -> Finding:
    """It is one that turnrec knows."""
    text = await _version(look)
    found = _VERSION.match(text)
    if found is None or int(found[1]) < _OLDEST:
        return problem(
            f"Asterisk {text} is none that turnrec was tried on", "upgrade it to 22, or to 16.28"
        )
    return ok(f"Asterisk {text}" + ("" if mutes_by_id(text) else "; it mutes no monitor by its ID"))


async def _version(look: Look) -> str:
    return (await look.core()).get("AsteriskVersion", "")


async def limits(look: Look) -> Finding:
    """The flow asks for nothing that this version can't do."""
    return judge_limits(await _version(look), look.flow())


def judge_limits(text: str, flow: Flow) -> Finding:
    """What the flow asks for against what a version can do (docs/decisions.md)."""
    found = _VERSION.match(text)
    wrong, cures = [], []
    if not mutes_by_id(text):
        muting = sorted(bot.name for bot in flow.bots.values() if bot.others is Others.MUTE)
        if muting:
            wrong.append(f"others: mute is a stop ({listed(muting)})")
            cures.append("in the flow file: others: stop")
        methods = [b.name for b in flow.bots.values() if b.pause_method is PauseMethod.MUTE]
        if methods:
            wrong.append(f"pause_method: mute may mute another's monitor ({listed(methods)})")
            cures.append("in the flow file: pause_method: segment")
    if found is not None and int(found[1]) <= _OLDEST:
        dual = [b.name for b in flow.bots.values() if b.dual_channel is DualChannel.ON]
        if dual:
            wrong.append(f"dual_channel: on makes no stereo file ({listed(dual)})")
            cures.append("in the flow file: dual_channel: off")
    if wrong:
        return warning(f"on Asterisk {text}, {'; '.join(wrong)}", *cures, "turnrec reload")
    return ok(f"Asterisk {text} can do all that the flow asks for")


async def one_sided(look: Look) -> Finding:
    """A build that loses an agent's voice is worked around."""
    return judge_one_sided(await _version(look), look.flow())


def judge_one_sided(text: str, flow: Flow) -> Finding:
    """Debian's builds of 22 have the patch that loses the new party's voice; 16.28 doesn't."""
    found = _VERSION.match(text)
    is_suspect = found is not None and int(found[1]) >= 22 and "dfsg" in text
    if not is_suspect:
        return ok("no build that is known for one-sided recordings")
    short = sorted(bot.name for bot in flow.bots.values() if bot.settle_ms < _SETTLE_MS)
    if not short:
        return ok(
            f"Debian's {text} may lose a new party's voice; each segment after a transfer waits"
            f" {_SETTLE_MS} ms or more, which brings it back"
        )
    return warning(
        f"Debian's {text} may lose the voice of an agent after a transfer, and the wait that brings"
        f" it back is too short for {listed(short)}",
        f"in the flow file: settle_ms: {_SETTLE_MS}",
        "turnrec reload",
    )


async def modules(look: Look) -> Finding:
    """All that turnrec uses is loaded."""
    missing = [name for name in MODULES if not await look.has_module(name)]
    if missing:
        wanted = ", ".join(f"{name} ({MODULES[name]})" for name in missing)
        return problem(
            f"Asterisk has not loaded {wanted}",
            *(f"asterisk -rx 'module load {name}.so'" for name in missing),
            "and in modules.conf: " + ", ".join(f"load => {name}.so" for name in missing),
        )
    return ok(f"all {len(MODULES)} modules that turnrec uses are loaded")


async def dangerously(look: Look) -> Finding:
    """Nobody gets a shell through a function of the dialplan."""
    if await look.has_module("func_env"):
        # STAT is refused to who asks from outside, unless everything is allowed.
        is_on = await look.value("STAT(e,/)") == "1"
    else:
        found = await look.config_file("asterisk.conf", "options")
        is_on = any(is_true(section.get("live_dangerously")) for section in found)
    if is_on:
        return warning(
            "live_dangerously is on: who has an AMI account, or the right to set a variable, may"
            " read files and run commands as Asterisk, recordings included",
            "in asterisk.conf: [options] live_dangerously = no; then restart Asterisk:",
            "asterisk -rx 'core restart when convenient'",
        )
    return ok("live_dangerously is off")


async def digits(look: Look) -> Finding:
    """Asterisk's own logs don't keep what callers key."""
    found = await look.config_file("logger.conf")
    telling = [
        f"{name} ({', '.join(words)})"
        for section in found
        if section.name == "logfiles"
        for name, levels in section.lines
        if (words := _telling(levels)) and name != "console"
    ]
    if telling:
        return warning(
            f"Asterisk logs the digits that callers key, in paused turns too: {listed(telling)}",
            "in logger.conf, [logfiles]: without dtmf and verbose (and without *)",
            "asterisk -rx 'logger reload'",
        )
    return ok("Asterisk's log files keep no digits")


def _telling(levels: str) -> list[str]:
    words = re.split(r"[,\s]+", re.sub(r"^\s*\[[^]]*\]", "", levels).lower())
    return [word for word in words if re.fullmatch(r"dtmf|\*|verbose(\(\d*\))?", word)]
