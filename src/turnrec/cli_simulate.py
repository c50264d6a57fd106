"""`turnrec simulate`: reads the flow and the path, has the call played, shows what came of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from turnrec.cli_base import CommandGroup, JsonOption
from turnrec.cli_show import Column, complain, length, say, say_json, show_table, state
from turnrec.cli_show import text as cell
from turnrec.core.policy import Bot, Flow
from turnrec.flow import FlowFile
from turnrec.spelling import did_you_mean

if TYPE_CHECKING:
    from turnrec.core.event import Event
    from turnrec.simulate.play import World
    from turnrec.simulate.result import Moment, Simulation

GROUP: Final = CommandGroup("Flows")

_REFUSED: Final = 1
_USAGE: Final = 2
_VERSION: Final = re.compile(r"(?P<major>[0-9]{2})(?P<rest>(\.[0-9]{1,3}){0,2})")
_MEASURED: Final = {"16": "16.28.0", "22": "22.10.1"}
"""Those that turnrec is tested with."""
_OLDEST: Final = 16
_CODEC: Final = re.compile(r"[a-z0-9]{1,20}")


class _UsageError(Exception):
    """An option or an argument is wrong."""


@GROUP.command(
    "simulate",
    "turnrec simulate flow.yaml --path greeting,ask_aadhaar=8s,confirm",
    "turnrec simulate flow.yaml --bot kyc --path greeting,@agent:off=20s,survey --asterisk 16",
    "turnrec simulate flow.yaml --path ask_otp,@operator:resume,confirm --strict --json",
)
def simulate_command(
    flow: Annotated[Path, typer.Argument(help="The flow file.", show_default=False)],
    *,
    path: Annotated[
        str,
        typer.Option(
            "--path",
            help="The call's steps, in order: nodes, or @turn:NAME, @start[:new], @pause, @resume,"
            " @stop, @agent[:POLICY], @noanswer[:POLICY], @bot, @operator:ACTION, @hangup;"
            " =4.5s after one says how long it lasts.",
            show_default=False,
        ),
    ],
    bot: Annotated[
        str | None, typer.Option("--bot", help="The bot [default: the flow's only one].")
    ] = None,
    each: Annotated[
        str, typer.Option("--each", help="How long a step lasts that doesn't say: 3s, 300ms, 1m.")
    ] = "3s",
    asterisk: Annotated[
        str, typer.Option("--asterisk", help="Asterisk's version: 16, 18.9, 22.")
    ] = "22",
    codec: Annotated[str, typer.Option("--codec", help="The caller's codec.")] = "ulaw",
    ami: Annotated[
        bool, typer.Option("--ami/--no-ami", help="Whether turnrec reaches Asterisk's manager.")
    ] = True,
    http: Annotated[
        bool, typer.Option("--http", help="The bot asks over the HTTP API, not in its dialplan.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit status 1 where a step is refused or fails closed."),
    ] = False,
    brief: Annotated[
        bool, typer.Option("--brief", help="The steps alone, without commands and events.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a call would be, without Asterisk: each command, each answer, what is recorded.

    turnrec's own code decides and commands; only Asterisk's side is played, in no time. Exit
    status 2: the flow or the path is wrong.
    """
    from turnrec.simulate.machine import NotSimulatedError
    from turnrec.simulate.path import PathError, parse_duration, parse_path
    from turnrec.simulate.play import simulate

    found = FlowFile.load(flow).flow
    try:
        chosen = _bot(found, bot)
        steps = parse_path(path, chosen, each_ms=parse_duration(each))
        world = _world(asterisk, codec, ami=ami, http=http)
    except (PathError, _UsageError) as error:
        complain(f"turnrec: {error}")
        raise typer.Exit(_USAGE) from None
    try:
        with _unheard():
            played = simulate(found, chosen, steps, world)
    except NotSimulatedError as error:
        complain(f"turnrec: the simulation can't go on: it doesn't know {error}")
        raise typer.Exit(_REFUSED) from None
    if as_json:
        from turnrec.simulate.result import to_json

        say_json(to_json(played))
    else:
        _show(played, brief=brief)
    if strict and played.refused:
        raise typer.Exit(_REFUSED)


def _bot(flow: Flow, name: str | None) -> Bot:
    if name is None:
        if len(flow.bots) > 1:
            raise _UsageError(f"the flow has several bots, name one: --bot {', '.join(flow.bots)}")
        return next(iter(flow.bots.values()))
    if name not in flow.bots:
        hint = did_you_mean(name, flow.bots)
        raise _UsageError(f"--bot: the flow has no bot {name[:64]!r}{hint}")
    return flow.bots[name]


def _world(asterisk: str, codec: str, *, ami: bool, http: bool) -> World:
    from turnrec.simulate.play import World

    found = _VERSION.fullmatch(asterisk)
    if found is None or int(found["major"]) < _OLDEST:
        shown = repr(asterisk[:20])
        raise _UsageError(f"--asterisk: {shown} is no version from 16 on, such as 22 or 18.9")
    if _CODEC.fullmatch(codec) is None:
        raise _UsageError(f"--codec: {codec[:20]!r} is no codec as Asterisk names it (ulaw, opus)")
    if http and not ami:
        raise _UsageError("--http and --no-ami: what the API asks for takes the manager")
    version = asterisk if found["rest"] else _MEASURED.get(asterisk, f"{asterisk}.0")
    return World(version, codec, has_ami=ami, over_http=http)


@contextmanager
def _unheard() -> Iterator[None]:
    """What turnrec would log of the call stands in what is shown."""
    logger = logging.getLogger("turnrec")
    propagates = logger.propagate
    silent = logging.NullHandler()
    logger.addHandler(silent)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(silent)
        logger.propagate = propagates


# ------------------------------------------------------------------ showing

_Row = dict[str, Any]


def _show(played: Simulation, *, brief: bool) -> None:
    show_table(list(_rows(played, brief=brief)), _COLUMNS, none="")
    for number, entry in enumerate(played.closed, start=1):
        say()
        _show_recording(played, number, entry)
    say()
    turned_away = ", ".join(f"{step.number} {step.text}".strip() for step in played.refused)
    say(f"refused or failed closed: {turned_away or 'nothing'}")


def _rows(played: Simulation, *, brief: bool) -> Iterator[_Row]:
    told = {event.seq: event for event in played.events}
    for step in played.steps:
        for number, moment in enumerate(step.moments):
            title = f"{step.number} {step.text or 'start'}" if number == 0 else ""
            yield _moment_row(played, moment, title)
            if not brief:
                events = [told[seq] for seq in moment.seqs if seq in told]
                yield from _rows_of(played, moment, events)


def _moment_row(played: Simulation, moment: Moment, title: str) -> _Row:
    said = "" if moment.status is None else f"{moment.status} {moment.error}".strip()
    return {
        "at": played.since_start_s(moment.at_us),
        "step": title,
        "what": moment.what,
        "answer": said,
        "state": moment.state,
        "holds": moment.holds,
        "recorded": moment.recorded,
    }


def _rows_of(played: Simulation, moment: Moment, events: Sequence[Event]) -> Iterator[_Row]:
    """What turnrec sent and what it told, by the clock."""
    told = [(event.at_us, 0, f"  * {event.type}{_why(event.data)}") for event in events]
    sent = [
        (one.asked_us, 1, f"  {one.over.upper()} {_line(one.sent)}  ->  {one.answer}")
        for one in moment.commands
    ]
    for at_us, _, what in sorted(told + sent, key=lambda one: one[:2]):
        yield {
            "at": played.since_start_s(at_us),
            "step": "",
            "answer": "",
            "state": "",
            "holds": (),
            "recorded": "",
            "what": what,
        }


def _line(sent: str) -> str:
    """A command in one line: an action has several."""
    return " | ".join(sent.splitlines())


def _why(data: Any) -> str:
    """What an event says beyond its name."""
    result, sentence = data.get("result"), data.get("sentence")
    said = [] if result in (None, "ok") else [str(result)]
    return f" ({': '.join([*said, *([str(sentence)] if sentence else [])])})" if said else ""


def _state(row: Any) -> Text:
    if not row["state"]:
        return Text()
    held = f" ({', '.join(row['holds'])})" if row["holds"] else ""
    return Text.assemble(state(row["state"]), held)


def _seconds(value: Any) -> str:
    return f"{value:.3f}"


_COLUMNS: Final = (
    Column("TIME", _seconds, "at", is_number=True),
    Column("STEP", cell, "step"),
    Column("ANSWER", cell, "answer"),
    Column("STATE", _state),
    Column("RECORDED", cell, "recorded"),
    Column("WHAT", cell, "what"),
)
_TIMELINE: Final = (
    Column("FROM", _seconds, "begin", is_number=True),
    Column("TO", _seconds, "end", is_number=True),
    Column("IN THE FILE", length, "length", is_number=True),
    Column("", cell, "what"),
)


def _show_recording(played: Simulation, number: int, entry: Any) -> None:
    from turnrec.simulate.result import spans_of

    detail = entry.detail
    rate_hz = detail.get("rate_hz") or 1
    seconds = length((detail.get("samples") or 0) / rate_hz)
    behavior = detail.get("behavior", "")
    say(f"recording {number}, {entry.recording_id}: {detail['status']}, {seconds} ({behavior})")
    for problem in detail.get("problems") or ():
        say(f"  {problem}")
    rows = [
        {
            "begin": played.since_start_s(span["begin_us"]),
            "end": played.since_start_s(span["end_us"]),
            "length": span["samples"] / rate_hz,
            "what": _named(span),
        }
        for span in spans_of(entry)
    ]
    show_table(rows, _TIMELINE, none="  nothing in it")


def _named(span: Any) -> str:
    if span["segment"] is not None:
        return f"{span['kind']} {span['segment']}, {span['part']}"
    why = "+".join(span["sources"])
    return " ".join(filter(None, [span["kind"], why, span["node"] and f"at {span['node']}"]))
