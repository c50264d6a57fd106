"""What the simulated day's calls do: which bots and turns, and what the ledger must say of them.

It runs nothing and reads nothing.
"""

from __future__ import annotations

import enum
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

FLOW: Final = """\
version: 1
defaults:
  guard_ms: 80
bots:
  kyc:
    nodes: &nodes
      greeting:
      small_talk:
      ask_aadhaar: {action: pause, sensitive: true}
      ask_card: pause
      ask_otp: {action: pause, scope: turn}
      confirm: resume
      next_topic: {action: start, new: true}
      goodbye: stop
  skipping:
    pause_behavior: skip
    nodes: *nodes
  manual:
    default: off
    nodes: *nodes
"""
_BOTS: Final = ("kyc", "skipping", "manual")
_BOT_WEIGHTS: Final = (90, 8, 2)
_NODES: Final = (
    "small_talk",
    "ask_aadhaar",
    "ask_card",
    "ask_otp",
    "confirm",
    "next_topic",
    "goodbye",
)
_NODE_WEIGHTS: Final = (20, 20, 10, 12, 34, 2, 2)
_ASKED_AGAIN: Final = 0.05
"""How many turns are a second try at the same node: no turn of their own."""
_UNHEARD: Final = 0.02
"""How many calls end without the hang-up handler: AMI alone tells of it."""
_FEWEST, _MOST = 5, 11
_STOP, _START = "goodbye", "next_topic"


class Ending(enum.StrEnum):
    """How turnrec hears of a call's end."""

    HANDLER = "handler"
    """By the dialplan's hang-up handler, and by AMI's event after it."""
    EVENT = "event"
    """By AMI's event alone."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call."""

    bot: str
    turns: tuple[str, ...]
    ending: Ending

    @property
    def turns_begun(self) -> list[str]:
        """The turns as the ledger must have them: asked again, it is the same turn."""
        return [node for node, _ in itertools.groupby(self.turns)]


def calls(seed: int, turns: int, *, by_events: bool = True) -> Iterator[PlannedCall]:
    """Plan calls, the same ones for the same seed, until they have so many turns.

    Args:
        seed: of the mix.
        turns: how many turns are asked in all.
        by_events: whether there is AMI, so that some calls may end by its event alone.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret
    left = turns
    while left > 0:
        bot = dice.choices(_BOTS, _BOT_WEIGHTS)[0]
        nodes = _walk(dice, min(left, dice.randint(_FEWEST, _MOST)), manual=bot == "manual")
        ending = Ending.EVENT if by_events and dice.random() < _UNHEARD else Ending.HANDLER
        left -= len(nodes)
        yield PlannedCall(bot, tuple(nodes), ending)


def _walk(dice: random.Random, length: int, *, manual: bool) -> list[str]:
    """Turns that no rule refuses: nothing comes after a final stop."""
    nodes = [_START if manual else "greeting"]
    while len(nodes) < length:
        if dice.random() < _ASKED_AGAIN and nodes[-1] != _START:
            nodes.append(nodes[-1])
            continue
        node = dice.choices(_NODES, _NODE_WEIGHTS)[0]
        if node == nodes[-1] or (node == _STOP and len(nodes) < length - 1):
            continue
        nodes.append(node)
    return nodes[:length]


def recordings(planned: PlannedCall) -> int:
    """How many recordings a call comes to."""
    starts: Sequence[str] = planned.turns_begun
    return starts.count(_START) + (0 if planned.bot == "manual" else 1)
