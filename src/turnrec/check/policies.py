"""Which of a bot's policies contradict each other, or its nodes; it walks no path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from turnrec.core.policy import Bot, MaxPauseAction, Others, UnknownNode

MIN_GUARD_MS: Final = 40
"""Below it, sound of a paused turn was measured in the recording (flow.example.yaml)."""

_HURT_SENSITIVE: Final[tuple[tuple[str, str, Callable[[Bot], bool], str], ...]] = (
    (
        "max-pause-records-sensitive",
        "max_pause_action",
        lambda bot: bot.max_pause_s > 0 and bot.max_pause_action is MaxPauseAction.RESUME,
        "a pause of more than {bot.max_pause_s} s is resumed",
    ),
    (
        "typo-records-sensitive",
        "unknown_node",
        lambda bot: bot.unknown_node is UnknownNode.KEEP,
        "a node whose name is misspelt is not held (unknown_node: keep)",
    ),
    (
        "others-record-sensitive",
        "others",
        lambda bot: bot.others is Others.IGNORE,
        "other recorders on the call go on in a pause (others: ignore)",
    ),
    (
        "guard-too-short",
        "guard_ms",
        lambda bot: bot.guard_ms < MIN_GUARD_MS,
        "the guard is {bot.guard_ms} ms, and below 40 a paused turn was heard in the recording",
    ),
)
"""The finding, the policy, whether it is so, and what to say."""


def contradictions(
    bot: Bot, writes: Callable[[str], bool], anybody_limits: bool
) -> Iterator[tuple[str, str, str]]:
    """Yield the finding's id, the policy at which it shows, and a sentence.

    Args:
        bot: the policies and nodes.
        writes: whether the bot's own part of the file says a policy, rather than the defaults.
        anybody_limits: whether some bot has a `max_pause_s`, so that a default action is of use.
    """
    sensitive = [node.name for node in bot.nodes.values() if node.sensitive]
    if sensitive:
        count = f" and {len(sensitive) - 1} more" if len(sensitive) > 1 else ""
        for id_, policy, is_so, why in _HURT_SENSITIVE:
            if is_so(bot):
                yield id_, policy, f"{why.format(bot=bot)}, and {sensitive[0]}{count} is sensitive"
    is_unused = not bot.max_pause_s and bot.max_pause_action is not MaxPauseAction.ALERT
    if is_unused and (writes("max_pause_action") or not anybody_limits):
        action = bot.max_pause_action
        sentence = f"max_pause_action: {action} never comes, for max_pause_s is 0 (no limit)"
        yield "max-pause-action-unused", "max_pause_action", sentence
