"""How the command line shows things: tables, states, times, JSON. It asks nobody.

A terminal gets colour and a table that fits it. A pipe gets neither colour nor wrapping: a file
name that is cut is no use to anybody.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]

_STATES: Final[Mapping[str, tuple[str, str]]] = {
    # calls
    "recording": ("●", "bold red"),
    "paused": ("❚❚", "bold yellow"),
    "inactive": ("○", "dim"),
    "stopped": ("■", "dim"),
    "ended": ("■", "dim"),
    # recordings
    "done": ("✔", "green"),
    "failed": ("✘", "bold red"),
    "deleted": ("□", "dim"),
}
"""A sign and a style for each state: nobody has to tell colours apart."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    show: Callable[[Any], str | Text]
    key: str = ""
    """What of the row is shown; empty: the row itself."""
    from_width: int = 0
    """Left out on a terminal that is narrower than so many characters."""
    is_whole: bool = False
    """Never folded or cut: what is copied into the next command."""
    is_number: bool = False

    def cell(self, row: Row) -> Text:
        """What stands in it."""
        shown = self.show(row[self.key] if self.key else row)
        return shown if isinstance(shown, Text) else Text(shown)


def is_terminal() -> bool:
    """Whether somebody looks at it."""
    return sys.stdout.isatty()


def console() -> Console:
    """The terminal, with its width and colours; NO_COLOR is rich's to honour."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False)


def say(sentence: str = "") -> None:
    """Print a line."""
    typer.echo(clean(sentence))


def complain(sentence: str) -> None:
    """Print a line on standard error."""
    typer.echo(clean(sentence), err=True)


def say_json(value: object) -> None:
    """Print JSON for scripts."""
    typer.echo(json.dumps(value, indent=2))


def say_json_line(value: object) -> None:
    """Print one line of JSON lines."""
    typer.echo(json.dumps(value, separators=(",", ":")))


def say_rich(what: RenderableType) -> None:
    """Print something with colours, where there are any."""
    if is_terminal():
        console().print(what)
    else:
        typer.echo(what.plain if isinstance(what, Text) else str(what))


def clean(text: str) -> str:
    """A text of others without what would steer a terminal."""
    return "".join(one if one.isprintable() or one in "\n\t" else "�" for one in text)


# ------------------------------------------------------------------ tables


def show_table(rows: Sequence[Row], columns: Sequence[Column], *, none: str) -> None:
    """Print a table, or the sentence that there is nothing in it."""
    if not rows:
        say(none)
    elif is_terminal():
        screen = console()
        screen.print(table(rows, columns, screen.width))
    else:
        for line in _plain(rows, columns):
            typer.echo(line)


def table(rows: Sequence[Row], columns: Sequence[Column], width: int) -> Table:
    """A table for a terminal of this width."""
    shown = [one for one in columns if one.from_width <= width]
    made = Table(box=None, header_style="bold", pad_edge=False)
    cells = [[column.cell(row) for column in shown] for row in rows]
    for place, column in enumerate(shown):
        longest = max((line[place].cell_len for line in cells), default=0)
        made.add_column(
            column.title,
            overflow="fold",
            min_width=longest if column.is_whole else None,
            justify="right" if column.is_number else "left",
        )
    for line in cells:
        made.add_row(*line)
    return made


def _plain(rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[str]:
    cells = [
        [one.title for one in columns],
        *([column.cell(row).plain for column in columns] for row in rows),
    ]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    for line in cells:
        padded = (
            text.rjust(width) if column.is_number else text.ljust(width)
            for text, width, column in zip(line, widths, columns, strict=True)
        )
        yield "  ".join(padded).rstrip()


def show_facts(facts: Iterable[tuple[str, str | Text]]) -> None:
    """Print names and values, one pair a line."""
    pairs = list(facts)
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        shown = value if isinstance(value, Text) else Text(value)
        say_rich(Text.assemble(f"{name:<{width}}  ", shown))


# ------------------------------------------------------------------ cells


def text(value: object) -> str:
    """Any value as it stands in a cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list):
        return ", ".join(map(clean, map(str, value))) or "-"
    return clean(str(value)).replace("\n", " ").replace("\t", " ")


def state(word: object) -> Text:
    """A state, by word and, for a terminal, by sign and colour."""
    name = text(word)
    sign, style = _STATES.get(name, ("", ""))
    if not is_terminal() or not sign or not _can_show(sign):
        return Text(name, style=style)
    return Text(f"{sign} {name}", style=style)


def _can_show(sign: str) -> bool:
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def when(*, utc: bool) -> Callable[[object], str]:
    """How instants are shown: in local time, or in UTC."""

    def show(value: object) -> str:
        if not isinstance(value, str):
            return "-"
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return text(value)
        shown = at.astimezone(UTC if utc else None)
        return f"{shown:%Y-%m-%d %H:%M:%S}" + ("Z" if utc else "")

    return show


def clock_time(value: str, *, utc: bool) -> str:
    """An instant's time of day, to the millisecond."""
    at = datetime.fromisoformat(value).astimezone(UTC if utc else None)
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03}" + ("Z" if utc else "")


def length(value: object) -> str:
    """Seconds as people read them: 7.25 s, 2:05, 1:02:03."""
    if not isinstance(value, int | float):
        return "-"
    if value < 60:
        return f"{value:.2f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


# ------------------------------------------------------------------ what takes a while


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Say on a terminal that something is under way."""
    screen = Console(stderr=True, highlight=False, markup=False)
    if not screen.is_terminal:
        yield
        return
    with screen.status(what):
        yield


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show on a terminal how much of a whole is done; give the function that is told of it."""
    screen = Console(stderr=True, highlight=False)
    if not screen.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=screen, transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
