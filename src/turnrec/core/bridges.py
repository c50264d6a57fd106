"""Who hears whom: channels, their bridges and Local pairs, as events tell; it asks nobody."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leg:
    """A channel as an event showed it."""

    uniqueid: str
    name: str
    context: str = ""
    exten: str = ""
    linkedid: str = ""
    queue: str = ""
    """The queue that called it, if any."""
