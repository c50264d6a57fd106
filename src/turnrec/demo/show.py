"""What the demo prints: the call while it runs, its timeline, and what was checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from turnrec.core.call import Call
from turnrec.core.recorder import Recorder, State
from turnrec.demo.check import Found

_STYLE = {
    State.RECORDING: "bold red",
    State.PAUSED: "bold yellow",
    State.INACTIVE: "dim",
    State.STOPPED: "dim",
    State.ENDED: "dim",
}
_WORD = {
    State.RECORDING: "● recording",
    State.PAUSED: "❚❚ paused",
    State.INACTIVE: "○ not recording",
    State.STOPPED: "■ stopped",
    State.ENDED: "■ ended",
}


class Screen:
    """Prints the demo, one line for each thing that happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: tuple[str | None, Recorder] | None = None

    def say(self, sentence: str = "") -> None:
        """Print a sentence."""
        self._console.print(sentence, highlight=False)

    def show(self, call: Call, now_us: int) -> None:
        """Print a call's turn and state, if they have changed."""
        node = None if call.turn is None else call.turn.node.name
        if self._shown == (node, call.recorder):
            return
        self._shown = (node, call.recorder)
        after_s = (now_us - call.started_us) / 1e6
        self.line(after_s, node, call.recorder.state, sorted(call.recorder.holds))

    def line(self, after_s: float, node: str | None, state: State, holds: Sequence[str]) -> None:
        """Print where a call stands, so many seconds after its beginning."""
        why = f"  held by: {', '.join(holds)}" if holds else ""
        self._console.print(
            f"  {after_s:6.2f} s  {node or 'call begins':<14}"
            f" [{_STYLE[state]}]{_WORD[state]}[/]{why}",
            highlight=False,
        )

    def timeline(
        self, closed: dict[str, Any], opened_us: int, turns: Sequence[tuple[int, str]]
    ) -> None:
        """Print the finished file's spans, and where in them each turn began.

        `turns` are instants (UTC microseconds) and nodes. The file's clock is the call's.
        """
        table = Table(box=None, pad_edge=True, header_style="bold")
        for column in ("in the file", "", "samples", "part"):
            table.add_column(column, justify="right" if column == "samples" else "left")
        rate_hz = closed["rate_hz"]
        rows: list[tuple[float, tuple[str, str, str, str]]] = []
        for span in closed["spans"]:
            if not span["samples"]:
                continue
            start_s = span["start_sample"] / rate_hz
            end_s = start_s + span["samples"] / rate_hz
            what, style = _span_words(span)
            part = (span["part"] or "").rpartition("-")[2]
            when = f"{start_s:6.2f} - {end_s:6.2f} s"
            rows.append((start_s, (when, f"[{style}]{what}[/]", str(span["samples"]), part)))
        for at_us, node in turns:
            at_s = max(0.0, (at_us - opened_us) / 1e6)
            rows.append((at_s, (f"{at_s:6.2f} s", f"  turn [italic]{node}[/] begins", "", "")))
        for _, row in sorted(rows, key=lambda one: one[0]):
            table.add_row(*row)
        self._console.print(table)

    def checks(self, facts: Sequence[tuple[str, bool]], found: Sequence[Found]) -> None:
        """Print what was looked at, and whether it is as it should be."""
        for sentence, holds in facts:
            self._check(sentence, holds=holds)
        for one in found:
            should = "in the recording" if one.wanted else "not in the recording"
            self._check(
                f"voice [italic]{one.clip}[/] is {should} (likeness {one.likeness:.2f})",
                holds=one.as_wanted,
            )

    def _check(self, sentence: str, *, holds: bool) -> None:
        mark = "[green]✔[/]" if holds else "[bold red]✘ NOT TRUE:[/]"
        self._console.print(f"  {mark} {sentence}", highlight=False)


def _span_words(span: dict[str, Any]) -> tuple[str, str]:
    if span["kind"] == "segment":
        return "recorded", "red"
    if span["kind"] == "shortfall":
        return "no audio arrived", "magenta"
    sources = span["sources"]
    return (f"gap: {', '.join(sources)}", "yellow") if sources else ("not begun yet", "dim")
