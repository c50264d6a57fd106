"""Checks the dialplan that Asterisk has loaded: turnrec's part of it, and who else records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from turnrec.core.policy import Flow, Others
from turnrec.doctor.answers import CONTEXTS, STAMP_CONTEXT, Section, Step, by_context, stamp_of
from turnrec.doctor.finding import Finding, NotCheckedError, listed, ok, problem, warning
from turnrec.doctor.look import Look, is_everywhere, is_loopback
from turnrec.spelling import did_you_mean

RELOAD: Final = "asterisk -rx 'dialplan reload'"
_ADDRESS: Final = re.compile(r"agi://(\[[0-9A-Fa-f:.]+\]|[^:/\[\]]+)(?::(\d{1,5}))?")
_AGI_PORT: Final = 4573
_NAMED: Final = re.compile(r"turnrec-(start|turn),s,1\(([^(){}$,]+)")
_APPLICATION: Final = re.compile(r"\b(MixMonitor|Monitor|Record)\(")
_RECORDERS: Final = frozenset({"MixMonitor", "Monitor", "Record"})
_CONFERENCE: Final = re.compile(r"CONFBRIDGE\(bridge,record_conference\)\s*=\s*yes", re.IGNORECASE)
_EXPRESSION: Final = re.compile(r"\$\{[^{}]*\}|\([^()]*\)")
_ONE_TOUCH: Final = {"automixmon": "xX", "automon": "wW"}
_DIALLERS: Final = {"Dial": 2, "RetryDial": 4, "Queue": 1, "Bridge": 1}
"""The applications that take the letters for one-touch recording, and where their options are."""


async def included(look: Look) -> Finding:
    """turnrec.conf is there, all of it."""
    loaded = by_context(await look.steps())
    wanted = by_context(look.shipped_plan())
    missing = [name for name in wanted if name not in loaded and name != STAMP_CONTEXT]
    if missing:
        what = "turnrec.conf" if len(missing) == len(wanted) - 1 else listed(missing, 12)
        return problem(
            f"Asterisk's dialplan has not {what}: calls to it fail, and nothing is paused",
            *_cure(look),
        )
    return ok(f"the dialplan has all {len(wanted) - 1} subroutines of turnrec.conf")


async def current(look: Look) -> Finding:
    """What is loaded is what this turnrec was made with."""
    return judge_current(await look.steps(), look.shipped_plan(), _cure(look))


def judge_current(
    loaded: Iterable[Step], shipped: tuple[Step, ...], cure: tuple[str, ...]
) -> Finding:
    """The loaded steps against the shipped file's."""
    loaded = tuple(loaded)
    there, wanted = by_context(loaded), by_context(shipped)
    if not any(name in there for name in wanted):
        raise NotCheckedError("turnrec.conf is not in the dialplan (see dialplan-included)")
    stamp, ours = stamp_of(loaded), stamp_of(shipped)
    if stamp != ours:
        found = "an older one, without a version" if stamp is None else f"version {stamp}"
        return problem(
            f"the turnrec.conf that Asterisk has loaded is {found}; this turnrec's is {ours}", *cure
        )
    changed = [
        name for name, steps in wanted.items() if name in there and not _same(there[name], steps)
    ]
    if changed:
        return warning(
            f"turnrec.conf was edited: {listed(changed)}"
            f" {'is' if len(changed) == 1 else 'are'} not as shipped; whether it still fails closed"
            " is yours to know",
            *cure,
        )
    return ok(f"the dialplan is this turnrec's (turnrec.conf {ours})")


def _same(loaded: tuple[Step, ...], shipped: tuple[Step, ...]) -> bool:
    return [_told(step) for step in loaded] == [_told(step) for step in shipped]


def _told(step: Step) -> tuple[str, str, str, str]:
    return step.exten, step.priority, step.application.lower(), step.data


def _cure(look: Look) -> tuple[str, ...]:
    return (
        f"cp {look.shipped('turnrec.conf')} /etc/asterisk/turnrec.conf",
        'in extensions.conf, outside of any context: #include "turnrec.conf"',
        RELOAD,
    )


async def address(look: Look) -> Finding:
    """TURNREC_AGI leads to where turnrec listens."""
    server = look.settings.server
    port = server.agi_port
    try:
        port = int((await look.server())["agi_port"])
    except NotCheckedError:
        if port == 0:
            raise NotCheckedError(
                "[server] agi_port = 0 is any free port, and no turnrec runs"
            ) from None
    text = await look.value("TURNREC_AGI")
    return judge_address(text, server.agi_host, port, is_here=look.is_asterisk_here)


def judge_address(text: str, host: str, port: int, *, is_here: bool) -> Finding:
    """The dialplan's address against the one that turnrec listens on.

    `is_here`: Asterisk runs on this machine, as far as AMI tells.
    """
    shown = "127.0.0.1" if is_everywhere(host) and is_here else host
    cure = (
        f"in extensions.conf: [globals] TURNREC_AGI = agi://{shown}:{port}",
        RELOAD,
    )
    if not text:
        return problem("the dialplan's global variable TURNREC_AGI is not set", *cure)
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return problem(
            f"TURNREC_AGI is {text!r}, and should be agi://host:port, with nothing after it", *cure
        )
    asked, asked_port = found[1].strip("[]"), int(found[2] or _AGI_PORT)
    if asked_port != port:
        return problem(f"TURNREC_AGI is {text}, and turnrec listens on port {port}", *cure)
    if is_loopback(asked) and not is_here:
        return problem(
            f"TURNREC_AGI is {text}: that is Asterisk's own machine, and AMI says it is another",
            f"in extensions.conf: [globals] TURNREC_AGI = agi://ADDRESS-OF-THIS-MACHINE:{port}",
            RELOAD,
        )
    if is_loopback(host) and not is_loopback(asked):
        return problem(
            f"TURNREC_AGI is {text}, and turnrec listens on {host} alone",
            *(cure if is_here else ('in turnrec.toml: [server] agi_host = "ADDRESS"',)),
        )
    return ok(f"TURNREC_AGI is {text}, where turnrec listens")


async def names(look: Look) -> Finding:
    """The bots and nodes that the dialplan names are in the flow."""
    return judge_names(await look.steps(), look.flow())


def judge_names(steps: Iterable[Step], flow: Flow) -> Finding:
    """Names written out in the dialplan; those in variables can't be known."""
    nodes = {node for bot in flow.bots.values() for node in bot.nodes}
    unknown: dict[str, str] = {}
    count = 0
    for step in steps:
        for kind, name in _NAMED.findall(step.data):
            count += 1
            known = flow.bots if kind == "start" else nodes
            if name.strip() not in known:
                what = "bot" if kind == "start" else "node"
                hint = did_you_mean(name.strip(), known)
                unknown[f"{what} {name.strip()!r} in {step.place}{hint}"] = ""
    if unknown:
        return warning(
            f"the flow doesn't know {listed([*unknown])}:"
            " an unknown bot is refused, an unknown node held",
            f"mend the name there, then: {RELOAD}",
            "or add it to the flow file, then: turnrec reload",
        )
    return ok(f"all {count} names of bots and nodes in the dialplan are in the flow")


async def others(look: Look) -> Finding:
    """Nothing else in the dialplan records."""
    return judge_others(await look.steps(), look.flow(), has_ami=look.settings.asterisk.ami_enabled)


def judge_others(steps: Iterable[Step], flow: Flow, *, has_ami: bool) -> Finding:
    """Recorders of others: MixMonitors are hushed in pauses, others can't be."""
    found: dict[str, list[str]] = {}
    for step in steps:
        if CONTEXTS.fullmatch(step.context) and step.application in ("AGI", "StopMixMonitor"):
            continue
        for what in _recorders(step):
            found.setdefault(what, []).append(step.place)
    if not found:
        return ok("nothing else in the dialplan records")
    ignoring = sorted(bot.name for bot in flow.bots.values() if bot.others is Others.IGNORE)
    parts, cures = [], []
    if mixed := found.pop("MixMonitor", []):
        if not has_ami:
            parts.append(f"MixMonitor at {listed(mixed, 3)}, which records pauses without AMI")
        elif ignoring:
            parts.append(
                f"MixMonitor at {listed(mixed, 3)}, which records the pauses of {listed(ignoring)}"
                " (others: ignore)"
            )
            cures.append("in the flow file: others: mute")
        else:
            parts.append(f"MixMonitor at {listed(mixed, 3)}, hushed in pauses by AMI's events")
    parts += [
        f"{what} at {listed(places, 3)}, which turnrec can't hush" for what, places in found.items()
    ]
    return warning(
        f"others record, too: {'; '.join(parts)}",
        *cures,
        f"take these steps out of the calls that turnrec records, then: {RELOAD}",
        "or, where they are meant: turnrec doctor --skip other-recorders",
    )


def _recorders(step: Step) -> list[str]:
    found = [step.application] if step.application in _RECORDERS else []
    found += _APPLICATION.findall(step.data)
    if _CONFERENCE.search(step.data):
        found.append("ConfBridge")
    return list(dict.fromkeys(found))


async def queues(look: Look) -> Finding:
    """No queue records by itself."""
    return judge_queues(await look.config_file("queues.conf"))


def judge_queues(found: Iterable[Section]) -> Finding:
    """The queues' own recording."""
    recording = [
        section.name
        for section in found
        if section.name != "general" and section.get("monitor-format")
    ]
    if recording:
        return warning(
            f"queues record their calls by themselves: {listed(recording)};"
            " that is hushed in pauses, and no file of turnrec's",
            "in queues.conf: take monitor-format out of these queues",
            "asterisk -rx 'queue reload all'",
        )
    return ok("no queue of queues.conf records by itself")


async def one_touch(look: Look) -> Finding:
    """Nobody can end turnrec's monitor by a key."""
    return judge_one_touch(await look.config_file("features.conf"), await look.steps())


def judge_one_touch(found: Iterable[Section], steps: Iterable[Step]) -> Finding:
    """One-touch recording that is bound to keys and allowed by a Dial or a Queue."""
    keys: Mapping[str, str] = {
        name: section.get(name) or ""
        for section in found
        if section.name == "featuremap"
        for name in _ONE_TOUCH
    }
    places = {
        name: [step.place for step in steps if _options(step) & set(letters)]
        for name, letters in _ONE_TOUCH.items()
        if keys.get(name)
    }
    bound = {name: where for name, where in places.items() if where}
    if bound:
        return warning(
            "; ".join(
                f"{keys[name]} ({name}) stops turnrec's monitor in calls by {listed(where, 3)}"
                for name, where in bound.items()
            ),
            *(f"in features.conf, [featuremap]: {name} =" for name in bound),
            "asterisk -rx 'module reload features'",
        )
    return ok("no key of a telephone ends turnrec's monitor")


def _options(step: Step) -> set[str]:
    """The letters of a Dial's options."""
    place = _DIALLERS.get(step.application)
    if place is None:
        return set()
    data, before = step.data, ""
    while data != before:
        data, before = _EXPRESSION.sub("", data), data
    parts = data.split(",")
    return set(parts[place]) if len(parts) > place else set()
