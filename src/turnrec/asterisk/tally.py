"""Counts what we ourselves told MixMonitor, so that what others told it can be known from events.

AMI's MixMonitor events carry no ID (asterisk-facts.md): one more start on a channel than we sent is
somebody else's recorder, one more mute somebody else's hand. A command is counted before it is
sent, so that its event can never come first. Stops aren't counted: whether ours was stopped is
looked at, and somebody else's that has ended may be hushed in vain.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Container


class Deed(enum.StrEnum):
    """What can be done to the MixMonitors of a channel, by AMI's event for it."""

    START = "MixMonitorStart"
    MUTE = "MixMonitorMute"


class Tally:
    """Deeds by channel, ours and all that Asterisk told of."""

    def __init__(self) -> None:
        self._is_counting = True
        self._ours: dict[str, Counter[Deed]] = {}
        self._seen: dict[str, Counter[Deed]] = {}

    def ours(self, uniqueid: str, deed: Deed) -> None:
        """Count a command of ours, right before it is sent, where its event will be heard."""
        if self._is_counting:
            self._ours.setdefault(uniqueid, Counter())[deed] += 1

    def undone(self, uniqueid: str, deed: Deed) -> None:
        """Take back a command that Asterisk refused: it has no event."""
        if self._is_counting:
            self._ours.setdefault(uniqueid, Counter())[deed] -= 1

    def rest(self) -> None:
        """AMI is lost: nobody tells of our commands any more. Who is a stranger stays known."""
        self._is_counting = False
        for uniqueid in tuple(self._seen):
            strangers = Counter({deed: self.foreign(uniqueid, deed) for deed in Deed})
            self._seen[uniqueid] = strangers
        self._ours.clear()

    def begin(self) -> None:
        """AMI tells again."""
        self._is_counting = True

    def seen(self, uniqueid: str, deed: Deed) -> bool:
        """Count an event; return whether it, or one before it, was somebody else's."""
        self._seen.setdefault(uniqueid, Counter())[deed] += 1
        return self.foreign(uniqueid, deed) > 0

    def foreign(self, uniqueid: str, deed: Deed) -> int:
        """How many more events there were than commands of ours."""
        seen = self._seen.get(uniqueid, Counter())[deed]
        return max(0, seen - self._ours.get(uniqueid, Counter())[deed])

    def acknowledge(self, uniqueid: str, deed: Deed) -> None:
        """Count what has been seen as ours from now on: it has been dealt with."""
        self._ours.setdefault(uniqueid, Counter())[deed] += self.foreign(uniqueid, deed)

    def forget(self, uniqueid: str) -> None:
        """Forget a channel that is gone."""
        self._ours.pop(uniqueid, None)
        self._seen.pop(uniqueid, None)

    def forget_all_but(self, uniqueids: Container[str]) -> None:
        """Forget the channels that are not among these: AMI was lost when they hung up."""
        for uniqueid in self._ours.keys() | self._seen.keys():
            if uniqueid not in uniqueids:
                self.forget(uniqueid)

    def __len__(self) -> int:
        """How many channels it knows of."""
        return len(self._ours.keys() | self._seen.keys())
