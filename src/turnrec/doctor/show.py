"""Says what was found: calmly to people, as JSON to scripts; it judges nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from rich.text import Text

from turnrec import __version__
from turnrec.cli_show import clean
from turnrec.doctor.checks import CHECKS
from turnrec.doctor.finding import Status
from turnrec.doctor.run import Checked, worst

_SIGNS: Final = {
    Status.OK: ("✔", "green"),
    Status.WARNING: ("!", "bold yellow"),
    Status.PROBLEM: ("✘", "bold red"),
    Status.NOT_CHECKED: ("·", "dim"),
}
_TO_DO: Final = frozenset({Status.PROBLEM, Status.WARNING})
_IDS: Final = max(len(check.id) for check in CHECKS) + 2
_MARGIN: Final = " " * (4 + _IDS)
_WIDEST: Final = 110


def page(found: Sequence[Checked], width: int | None, *, verbose: bool) -> Iterator[Text]:
    """The lines for people: what is to be done, or all of it, and a last one that sums it up.

    Args:
        width: the terminal's; None in a pipe, where nothing is folded.
        verbose: what is in order and what wasn't checked, too.
    """
    shown = [one for one in found if verbose or one.finding.status in _TO_DO]
    for area, of in groupby(shown, key=lambda one: one.check.area):
        yield Text(area.value, style="bold")
        for one in of:
            yield from _lines(one, width)
        yield Text()
    yield _sum(found, verbose=verbose)


def _lines(one: Checked, width: int | None) -> Iterator[Text]:
    sign, style = _SIGNS[one.finding.status]
    is_aside = one.finding.status not in _TO_DO
    is_skipped = one.finding.status is Status.NOT_CHECKED
    sentence = f"not checked: {one.finding.sentence}" if is_skipped else one.finding.sentence
    first, *more = _folded(clean(sentence), width)
    yield Text.assemble(
        "  ",
        (sign, style),
        " ",
        (f"{one.check.id:<{_IDS}}", "dim" if is_aside else "bold"),
        (first, "dim" if is_aside else ""),
    )
    for line in more:
        yield Text(_MARGIN + line, style="dim" if is_aside else "")
    for line in one.finding.cure:
        # Not folded: it is there to be pasted.
        yield Text.assemble(_MARGIN, ("→ ", style), (clean(line), "cyan"))


def _folded(sentence: str, width: int | None) -> list[str]:
    if width is None:
        return [sentence]
    room = max(24, min(width, _WIDEST) - len(_MARGIN))
    folded = textwrap.wrap(sentence, room, break_long_words=False, break_on_hyphens=False)
    return folded or [""]


def _sum(found: Sequence[Checked], *, verbose: bool) -> Text:
    count = {status: sum(one.finding.status is status for one in found) for status in Status}
    aside = count[Status.NOT_CHECKED]
    told = f", {aside} not checked" if aside else ""
    more = " (--verbose says why)" if aside and not verbose else ""
    in_order = f"{count[Status.OK]} check{'s' * (count[Status.OK] != 1)} in order"
    if not count[Status.PROBLEM] and not count[Status.WARNING]:
        return Text(f"nothing to do: {in_order}{told}{more}", style="green")
    parts = [
        f"{number} {name}{'s' * (number != 1)}"
        for name, number in (
            ("problem", count[Status.PROBLEM]),
            ("warning", count[Status.WARNING]),
        )
        if number
    ]
    return Text(f"{', '.join(parts)}; {in_order}{told}{more}", style="bold")


def document(found: Sequence[Checked]) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "version": __version__,
        "status": worst(found).value,
        "checks": [
            {
                "id": one.check.id,
                "area": one.check.area.value,
                "status": one.finding.status.value,
                "sentence": one.finding.sentence,
                "cure": list(one.finding.cure),
            }
            for one in found
        ],
    }
