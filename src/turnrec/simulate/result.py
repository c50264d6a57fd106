"""What came of a simulated call, as values and as JSON (docs/simulate.md); it plays nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from turnrec.answer import Status
from turnrec.core.entry import JSON, Entry, EntryKind
from turnrec.core.event import Event, project
from turnrec.describe import describe_unchained, instant
from turnrec.simulate.wire import Command

FORMAT: Final = 1
"""Of the JSON: grows when a reader of the one before would misread it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened in a step, and what turnrec sent because of it."""

    what: str
    """The dialplan's own line, or what happened."""
    at_us: int
    until_us: int
    """When turnrec had answered; where nobody asked, when the step was over."""
    seqs: range
    """The ledger's entries of it, by number."""
    commands: tuple[Command, ...]
    state: str
    holds: tuple[str, ...]
    recorded: str
    """What is being recorded then: `segment 2`, `gap turn`; empty: no recording is open."""
    status: Status | None = None
    """Turnrec's answer; None where nobody asked."""
    error: str = ""
    """Why not, or what the asker was told: a stable id."""


@dataclass(frozen=True, slots=True)
class PlayedStep:
    """One element of the path, or the call's beginning (number 0)."""

    number: int
    text: str
    at_us: int
    until_us: int
    moments: tuple[Moment, ...]

    @property
    def is_refused(self) -> bool:
        """Whether something of it was refused, or failed closed."""
        return any(one.status not in (None, Status.OK) for one in self.moments)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A call from its start to its end."""

    bot: str
    flow_sha256: str
    asterisk_version: str
    started_us: int
    steps: tuple[PlayedStep, ...]
    entries: tuple[Entry, ...]

    @property
    def refused(self) -> tuple[PlayedStep, ...]:
        """The steps of which something was refused, or failed closed."""
        return tuple(step for step in self.steps if step.is_refused)

    @property
    def events(self) -> tuple[Event, ...]:
        """What listeners would be told."""
        found = (project(seq, entry, self.bot) for seq, entry in enumerate(self.entries, start=1))
        return tuple(event for event in found if event is not None)

    @property
    def closed(self) -> tuple[Entry, ...]:
        """The entries of the recordings that were made, in their order."""
        closed = [one for one in self.entries if one.kind is EntryKind.RECORDING_CLOSED]
        opened = [
            one.recording_id for one in self.entries if one.kind is EntryKind.RECORDING_OPENED
        ]
        return tuple(sorted(closed, key=lambda one: opened.index(one.recording_id)))

    def since_start_s(self, at_us: int) -> float:
        """An instant as seconds since the call's start."""
        return round((at_us - self.started_us) / 1_000_000, 6)


def to_json(simulation: Simulation) -> dict[str, JSON]:
    """The whole of it."""
    return {
        "format": FORMAT,
        "bot": simulation.bot,
        "flow_sha256": simulation.flow_sha256,
        "asterisk": simulation.asterisk_version,
        "started": instant(simulation.started_us),
        "refused": len(simulation.refused),
        "steps": [_step(simulation, step) for step in simulation.steps],
        "events": [_event(simulation, event) for event in simulation.events],
        "recordings": [_recording(simulation, entry) for entry in simulation.closed],
        "ledger": [
            describe_unchained(seq, entry) for seq, entry in enumerate(simulation.entries, start=1)
        ],
    }


def _step(simulation: Simulation, step: PlayedStep) -> dict[str, JSON]:
    return {
        "number": step.number,
        "step": step.text,
        "at_s": simulation.since_start_s(step.at_us),
        "until_s": simulation.since_start_s(step.until_us),
        "refused": step.is_refused,
        "moments": [
            {
                "what": moment.what,
                "at_s": simulation.since_start_s(moment.at_us),
                "until_s": simulation.since_start_s(moment.until_us),
                "status": moment.status,
                "error": moment.error or None,
                "state": moment.state,
                "holds": list(moment.holds),
                "recorded": moment.recorded or None,
                "ledger": list(moment.seqs),
                "commands": [
                    {
                        "over": command.over,
                        "channel": command.channel or None,
                        "at_s": simulation.since_start_s(command.asked_us),
                        "sent": command.sent,
                        "answer": command.answer,
                        "answered_s": simulation.since_start_s(command.answered_us),
                    }
                    for command in moment.commands
                ],
            }
            for moment in step.moments
        ],
    }


def _event(simulation: Simulation, event: Event) -> dict[str, JSON]:
    return {
        "type": event.type,
        "seq": event.seq,
        "at_s": simulation.since_start_s(event.at_us),
        "recording": event.recording,
        "data": event.data,
    }


def _recording(simulation: Simulation, entry: Entry) -> dict[str, JSON]:
    detail = entry.detail
    return {
        "id": entry.recording_id,
        **{
            name: detail.get(name)
            for name in ("status", "file", "samples", "rate_hz", "behavior", "method", "problems")
        },
        "timeline": [
            {
                "kind": span["kind"],
                "begin_s": simulation.since_start_s(span["begin_us"]),
                "end_s": simulation.since_start_s(span["end_us"]),
                "start_sample": span["start_sample"],
                "samples": span["samples"],
                "segment": span["segment"],
                "part": span["part"],
                "sources": span["sources"],
                "node": span["node"],
            }
            for span in spans_of(entry)
        ],
    }


def spans_of(closed: Entry) -> list[dict[str, Any]]:
    """The spans of a closed recording, as the joining has entered them."""
    spans = closed.detail.get("spans")
    return [dict(one) for one in spans if isinstance(one, dict)] if isinstance(spans, list) else []
