"""Reads the path of a simulated call, `greeting,ask_otp=4.5s,@agent:off`; it plays nothing.

| element | what happens |
|---|---|
| `NODE` | the bot's next turn, at a node of the flow |
| `@turn:NAME` | a turn by any name, also one that the flow doesn't know |
| `@start`, `@start:new`, `@pause`, `@resume`, `@stop` | the bot's recording action without a turn |
| `@agent`, `@agent:on\\|off\\|never` | an announced transfer, answered; the talk lasts until the bot's next step |
| `@noanswer`, `@noanswer:...` | an announced transfer that nobody answers |
| `@bot` | the caller is back: `turnrec-bot` |
| `@operator:start\\|pause\\|resume\\|stop` | an operator, by API, page or command line |
| `@hangup` | the caller hangs up; where it isn't written, it comes last |

`=2.5s`, `=300ms`, `=1m` or `=7` (seconds) after an element says how long it lasts once turnrec has
answered. No node can be called `@...`: names have none but letters, digits, `_`, `.` and `-`.
"""  # noqa: E501 - a table

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from turnrec.core.policy import NAME, Action, AgentPolicy, Bot
from turnrec.spelling import did_you_mean

MAX_STEPS: Final = 1_000
MAX_STEP_MS: Final = 3_600_000
MAX_CALL_MS: Final = 4 * MAX_STEP_MS
"""Parts and files are really written: an hour of them is 115 MB, for a second."""

_DURATION: Final = re.compile(r"(?P<number>[0-9]{1,9}(\.[0-9]{1,6})?)(?P<unit>ms|s|m|)")
_UNITS_MS: Final[Mapping[str, int]] = MappingProxyType(
    {"ms": 1, "s": 1_000, "": 1_000, "m": 60_000}
)
_SHOWN: Final = 80


class PathError(ValueError):
    """The path can't be played; the message names the element."""


class StepKind(enum.StrEnum):
    """What a step is."""

    TURN = "turn"
    ACTION = "action"
    AGENT = "agent"
    NO_ANSWER = "noanswer"
    BOT = "bot"
    OPERATOR = "operator"
    HANGUP = "hangup"


@dataclass(frozen=True, slots=True)
class Step:
    """One element of the path."""

    kind: StepKind
    text: str
    """As it was written, without its duration."""
    lasts_ms: int
    """How long it goes on once turnrec has answered."""
    word: str = ""
    """The node, the action or the policy."""
    new: bool = False
    """With the action `start`: finish the open recording and begin another."""


def parse_path(text: str, bot: Bot, *, each_ms: int) -> tuple[Step, ...]:
    """Read a path for a bot's call; `each_ms` is how long a step lasts that doesn't say.

    Raises:
        PathError: an element isn't understood, or names no node of the bot's.
    """
    elements = [element.strip() for element in text.split(",")]
    if elements == [""]:
        raise PathError("the path is empty: name at least one node")
    if len(elements) > MAX_STEPS:
        raise PathError(f"the path has more than {MAX_STEPS} elements")
    steps = [
        _read(number, element, bot, each_ms) for number, element in enumerate(elements, start=1)
    ]
    for number, step in enumerate(steps[:-1], start=1):
        if step.kind is StepKind.HANGUP:
            raise PathError(f"{_place(number, step.text)}: nothing can follow it")
    if steps[-1].kind is not StepKind.HANGUP:
        steps.append(Step(StepKind.HANGUP, "@hangup", 0))
    if sum(step.lasts_ms for step in steps) > MAX_CALL_MS:
        raise PathError(f"the call lasts more than {MAX_CALL_MS // 3_600_000} hours")
    return tuple(steps)


def parse_duration(text: str) -> int:
    """Read `4.5s`, `300ms`, `1m` or `7` (seconds), in milliseconds.

    Raises:
        PathError: it is none of these, or longer than an hour.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise PathError(f"{text[:_SHOWN]!r} is no duration: write 4.5s, 300ms, 1m or 7 (seconds)")
    duration_ms = round(float(found["number"]) * _UNITS_MS[found["unit"]])
    if duration_ms > MAX_STEP_MS:
        raise PathError(f"{text!r} is more than an hour")
    return duration_ms


def _read(number: int, element: str, bot: Bot, each_ms: int) -> Step:
    text, has_duration, duration = element.partition("=")
    try:
        lasts_ms = parse_duration(duration) if has_duration else each_ms
    except PathError as error:
        raise PathError(f"{_place(number, element)}: {error}") from None
    word, colon, option = text.removeprefix("@").partition(":")
    if not text.startswith("@"):
        return _node(number, text, bot, lasts_ms)
    read = _FORMS.get(word)
    step = None if read is None else read(text, option if colon else None, lasts_ms)
    if step is not None:
        return step
    if read is not None:
        raise PathError(f"{_place(number, text)}: write {_USAGE[word]}")
    hint = did_you_mean(f"@{word}", [f"@{form}" for form in _FORMS])
    raise PathError(f"{_place(number, text)}: there is no step @{word[:_SHOWN]}{hint}")


def _place(number: int, element: str) -> str:
    return f"path element {number}, {element[:_SHOWN]!r}"


def _node(number: int, name: str, bot: Bot, lasts_ms: int) -> Step:
    if name in bot.nodes:
        return Step(StepKind.TURN, name, lasts_ms, name)
    if NAME.fullmatch(name) is None:
        why = "a node's name has 1 to 64 of A-Z a-z 0-9 _ . -, any other step begins with @"
        raise PathError(f"{_place(number, name)}: {why}")
    hint = did_you_mean(name, bot.nodes) or (
        f" (it is a step, with @: @{name})" if name in _FORMS else ""
    )
    raise PathError(
        f"{_place(number, name)}: bot {bot.name!r} has no node of this name{hint};"
        f" @turn:{name} asks for it all the same"
    )


# ------------------------------------------------------------------ the forms

_Form = Callable[[str, "str | None", int], "Step | None"]
"""Reads a step from its text and what stands after the colon; None: not so."""


def _turn(text: str, option: str | None, lasts_ms: int) -> Step | None:
    if option is None or NAME.fullmatch(option) is None:
        return None
    return Step(StepKind.TURN, text, lasts_ms, option)


def _action(action: Action) -> _Form:
    def read(text: str, option: str | None, lasts_ms: int) -> Step | None:
        is_new = (action, option) == (Action.START, "new")
        if option is not None and not is_new:
            return None
        return Step(StepKind.ACTION, text, lasts_ms, action.value, is_new)

    return read


def _transfer(kind: StepKind) -> _Form:
    def read(text: str, option: str | None, lasts_ms: int) -> Step | None:
        if option is not None and option not in set(AgentPolicy):
            return None
        return Step(kind, text, lasts_ms, option or "")

    return read


def _plain(kind: StepKind) -> _Form:
    def read(text: str, option: str | None, lasts_ms: int) -> Step | None:
        return Step(kind, text, lasts_ms) if option is None else None

    return read


def _operator(text: str, option: str | None, lasts_ms: int) -> Step | None:
    if option not in set(Action):
        return None
    return Step(StepKind.OPERATOR, text, lasts_ms, option or "")


_FORMS: Final[Mapping[str, _Form]] = MappingProxyType(
    {
        "turn": _turn,
        **{action.value: _action(action) for action in Action},
        "agent": _transfer(StepKind.AGENT),
        "noanswer": _transfer(StepKind.NO_ANSWER),
        "bot": _plain(StepKind.BOT),
        "operator": _operator,
        "hangup": _plain(StepKind.HANGUP),
    }
)
_USAGE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "turn": "@turn:NAME",
        "start": "@start or @start:new",
        "pause": "@pause",
        "resume": "@resume",
        "stop": "@stop",
        "agent": "@agent, @agent:on, @agent:off or @agent:never",
        "noanswer": "@noanswer, @noanswer:on, @noanswer:off or @noanswer:never",
        "bot": "@bot",
        "operator": "@operator:start, @operator:pause, @operator:resume or @operator:stop",
        "hangup": "@hangup",
    }
)
