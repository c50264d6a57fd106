"""Calls to simulate in tests, and what is looked at in what came of them."""

from __future__ import annotations

from typing import Any

from turnrec.core.policy import Bot, Flow
from turnrec.flow import parse_flow
from turnrec.simulate.path import parse_path
from turnrec.simulate.play import World, simulate
from turnrec.simulate.result import Simulation, spans_of

TEXT = b"""
version: 1
bots:
  kyc:
    nodes:
      hello:
      ask: pause
      otp: {action: pause, scope: turn}
      open: resume
      anew: {action: start, new: true}
      bye: stop
  skip: {pause_behavior: skip, nodes: {hello: , ask: pause, open: resume}}
  mute: {pause_method: mute, nodes: {hello: , ask: pause, open: resume, bye: stop}}
  manual:
    default: off
    stop_is_final: false
    nodes: {hello: , begin: start, ask: pause, open: resume, bye: stop}
  kept: {agent_off: pause, nodes: {hello: , ask: pause, open: resume}}
  never: {agent: never, nodes: {hello: , ask: pause, open: resume}}
  late: {max_pause_s: 2, max_pause_action: stop, nodes: {hello: , ask: pause, open: resume}}
  wide: {dual_channel: on, nodes: {hello: , ask: pause, open: resume}}
"""
FLOW: Flow = parse_flow(TEXT, "flow.yaml")


def played(bot: str, path: str, world: World | None = None, *, each_ms: int = 1_000) -> Simulation:
    """Play a path of a bot's."""
    chosen: Bot = FLOW.bots[bot]
    steps = parse_path(path, chosen, each_ms=each_ms)
    return simulate(FLOW, chosen, steps, world or World())


def states(simulation: Simulation) -> list[str]:
    """How the recorder stands after each step, with who holds it."""
    last = [step.moments[-1] for step in simulation.steps]
    return [" ".join([one.state, *one.holds]) for one in last]


def answers(simulation: Simulation) -> list[str]:
    """What turnrec answered to each request, with the id of what it said beside."""
    return [
        f"{moment.status} {moment.error}".strip()
        for step in simulation.steps
        for moment in step.moments
        if moment.status is not None
    ]


def sent(simulation: Simulation, step: int) -> list[str]:
    """The first words of each command of a step."""
    return [
        " ".join(command.sent.replace('"', "").replace("\r\n", " ").split()[:2])
        for moment in simulation.steps[step].moments
        for command in moment.commands
    ]


def spans(simulation: Simulation, recording: int = 0) -> list[tuple[str, float, float]]:
    """The kind of each span of a recording's file, from and to in seconds since the call's start.

    To a tenth: the guard and Asterisk's answers are no matter here.
    """
    return [
        (
            span["kind"],
            round(simulation.since_start_s(span["begin_us"]), 1),
            round(simulation.since_start_s(span["end_us"]), 1),
        )
        for span in spans_of(simulation.closed[recording])
    ]


def samples(simulation: Simulation, recording: int = 0) -> int:
    """How long a recording's file is."""
    found: Any = simulation.closed[recording].detail["samples"]
    return int(found)
