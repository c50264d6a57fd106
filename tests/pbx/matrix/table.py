"""The table of docs/agents.md, from the data that the tests run on; it measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.pbx.matrix.cast import Phase
from tests.pbx.matrix.expected import Heard, expected
from tests.pbx.matrix.states import Entry, Known, Policy, Row
from tests.pbx.matrix.way import Way

BEGIN, END = "<!-- the table: tools/draw_matrix.py -->", "<!-- end of the table -->"
DOCS = Path(__file__).parents[3] / "docs" / "agents.md"

_WORDS = {
    Phase.ENTRY: "bot",
    Phase.WAIT: "wait",
    Phase.TALK: "**agent**",
    Phase.TALK2: "**second agent**",
    Phase.BACK: "back",
}


def table(ways: Iterable[Way]) -> str:
    """A line for each way, policy and kind of announcement; a column for each state at entry."""
    lines = [
        f"| way | the agent is | policy | {' | '.join(Entry)} |",
        "|" + "---|" * (3 + len(Entry)),
    ]
    notes: dict[str, None] = {}  # in their order
    for way in ways:
        notes |= dict.fromkeys(way.unsure.values())
        says = way.says
        for known in way.known:
            for policies, cells in _cells(way, known, tuple(notes)).items():
                words = ", ".join(policies)
                lines.append(f"| {says} | {known} | {words} | {' | '.join(cells)} |")
                says = ""  # once is enough
    lines += ["", *(f"{number}. Perhaps: {note}." for number, note in enumerate(notes, 1))]
    return "\n".join(lines)


def drawn(text: str, ways: Iterable[Way]) -> str:
    """The page with its table drawn anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(ways)}\n\n{END}{after}"


def _cells(way: Way, known: Known, notes: Sequence[str]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """The cells of each policy, those that are alike together."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for policy in Policy:
        rows = (Row(way.name, known, policy, entry) for entry in Entry)
        cells = tuple(_cell(way, row, notes) for row in rows)
        alike.setdefault(cells, []).append(policy.value)
    return {tuple(policies): cells for cells, policies in alike.items()}


def _cell(way: Way, row: Row, notes: Sequence[str]) -> str:
    words = []
    for phase in way.phases:
        heard = expected(row, phase)
        if phase in _WORDS and heard is Heard.YES:
            note = way.unsure.get(phase)
            mark = "" if note is None else f" ({notes.index(note) + 1})"
            words.append(_WORDS[phase] + mark)
        elif heard is Heard.WINDOW:
            words.append("a window")
    return ", ".join(words) or "–"
