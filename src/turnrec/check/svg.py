"""Draws a flow as SVG, coloured by what is recorded, on light ground and dark; it judges none."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from turnrec.check.findings import Finding, Severity
from turnrec.check.layout import Box, Layout, Line, lay_out
from turnrec.check.looks import MEANINGS, Look, Shown, edges_in_doubt, numbered, shown
from turnrec.check.walk import Walk
from turnrec.core.policy import UnknownNode

_MARGIN: Final = 28.0
_TITLE_HEIGHT: Final = 50.0
_LEGEND_HEIGHT: Final = 58.0
_LIST_LINE: Final = 19.0
_LISTED: Final = 12
"""More findings than this are not listed in the picture: the text format has them all."""
_KEY_CHARACTER: Final = 6.5
_KEY_GAP: Final = 48.0
_SENSITIVE: Final = "sensitive"
_DOUBTFUL: Final = "shows an error"
_MIN_WIDTH: Final = 560.0
_CHARACTER: Final = 8.8
_SMALL_CHARACTER: Final = 6.6

# The page's own colours (web/page/css/tokens.css).
_STYLE: Final = """
:root { color-scheme: light dark; }
svg { --ground:#f4f5f8; --panel:#ffffff; --ink:#141a26; --ink2:#465064; --line:#9aa5b8;
  --rec:#0e8f7b; --rec-t:#0a6557; --rec-s:#def4ef;
  --pau:#d98300; --pau-t:#804700; --pau-s:#fff0d4;
  --off:#7b869a; --off-t:#465064; --off-s:#e6e9ef; --bad:#d1274a;
  --warn:#b36b00; --mix:#3152d9; --mix-t:#2846c4; --mix-s:#e9edfd; }
@media (prefers-color-scheme: dark) {
  svg { --ground:#0d1016; --panel:#151a22; --ink:#e9edf4; --ink2:#b6bfce; --line:#5b677a;
    --rec:#2cc7aa; --rec-t:#7ff0da; --rec-s:#123a33;
    --pau:#f0a83a; --pau-t:#ffd08a; --pau-s:#3d2d10;
    --off:#8b97aa; --off-t:#c3cbd8; --off-s:#262d39; --bad:#ff5f80;
    --warn:#f0a83a; --mix:#8ba5ff; --mix-t:#b9c8ff; --mix-s:#1e2848; }
}
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans",
  sans-serif; fill: var(--ink); }
.ground { fill: var(--ground); }
.panel { fill: var(--panel); stroke: var(--line); stroke-opacity: .35; }
.title { font-size: 17px; font-weight: 650; }
.about, .key { font-size: 12px; fill: var(--ink2); }
.name { font-size: 13.5px; font-weight: 600; text-anchor: middle; }
.says { font-size: 11px; text-anchor: middle; }
.box { stroke-width: 1.6; }
.recorded .box, .s-recorded { fill: var(--rec-s); stroke: var(--rec); }
.recorded .name, .recorded .says { fill: var(--rec-t); }
.paused .box, .s-paused { fill: var(--pau-s); stroke: var(--pau); }
.paused .name, .paused .says { fill: var(--pau-t); }
.off .box, .s-off { fill: var(--off-s); stroke: var(--off); }
.off .name, .off .says { fill: var(--off-t); }
.mixed .box { fill: none; stroke: var(--mix); }
.mixed .name, .mixed .says { fill: var(--ink); }
.unknown .box { fill: var(--mix-s); stroke: var(--mix); stroke-dasharray: 5 4; }
.unknown .name, .unknown .says { fill: var(--mix-t); }
.unreached .box { fill: none; stroke: var(--off); stroke-dasharray: 2 5; stroke-linecap: round; }
.unreached .name, .unreached .says { fill: var(--off-t); }
.s-recorded, .s-paused, .s-off { stroke: none; }
.secret { fill: none; stroke-width: 1.6; }
.recorded .secret { stroke: var(--rec); } .paused .secret { stroke: var(--pau); }
.off .secret, .unreached .secret { stroke: var(--off); }
.mixed .secret, .unknown .secret { stroke: var(--mix); }
.lock { stroke: none; } .recorded .lock { fill: var(--rec); } .paused .lock { fill: var(--pau); }
.off .lock, .unreached .lock { fill: var(--off); }
.mixed .lock, .unknown .lock { fill: var(--mix); }
.shackle { fill: none; stroke-width: 1.7; }
.recorded .shackle { stroke: var(--rec); } .paused .shackle { stroke: var(--pau); }
.off .shackle, .unreached .shackle { stroke: var(--off); }
.mixed .shackle, .unknown .shackle { stroke: var(--mix); }
.edge { fill: none; stroke: var(--line); stroke-width: 1.5; }
.edge.back { stroke-dasharray: 6 4; }
.edge.doubt { stroke: var(--bad); stroke-width: 2.2; }
.tip { fill: var(--line); } .tip.doubt { fill: var(--bad); }
.start { fill: var(--ink2); }
.badge.error { fill: var(--bad); } .badge.warning { fill: var(--warn); }
.number { font-size: 11px; font-weight: 700; text-anchor: middle; fill: var(--panel); }
.finding { font-size: 12px; }
"""


def as_svg(walks: Sequence[Walk], findings: Sequence[Finding]) -> str:
    """One picture over all bots, one below the other."""
    panels = [_Panel(walk, numbered(findings, walk.bot.name)) for walk in walks]
    width = max([_MIN_WIDTH, *(panel.width for panel in panels)]) + 2 * _MARGIN
    parts: list[str] = []
    at = _MARGIN
    for panel in panels:
        parts += [f'<g transform="translate({_MARGIN} {at:.1f})">', *panel.drawn(width), "</g>"]
        at += panel.height + _MARGIN
    names = ", ".join(walk.bot.name for walk in walks)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {at:.0f}"'
            f' width="{width:.0f}" height="{at:.0f}" role="img" aria-labelledby="title">',
            f'<title id="title">What is recorded in the flow of {escape(names)}</title>',
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" width="{width:.0f}" height="{at:.0f}"/>',
            *parts,
            "</svg>\n",
        ]
    )


class _Panel:
    """One bot's part of the picture."""

    def __init__(self, walk: Walk, findings: list[tuple[int, Finding]]) -> None:
        self._walk = walk
        self._findings = findings
        self._nodes = shown(walk, findings)
        self._doubtful = edges_in_doubt(findings)
        apart = [one.number for one in self._nodes if one.look is Look.UNREACHED]
        sizes = [_size(one) for one in self._nodes]
        self._layout: Layout = lay_out(sizes, walk.successors, walk.entries, apart)
        self._looks = [look for look in Look if any(one.look is look for one in self._nodes)]
        keys = sum(len(word) * _KEY_CHARACTER + _KEY_GAP for word in self._keys)
        self.width = max(self._layout.width, keys) + 2 * _MARGIN

    @property
    def _keys(self) -> list[str]:
        words = [MEANINGS[look] for look in self._looks]
        if any(one.node.sensitive for one in self._nodes):
            words.append(_SENSITIVE)
        if self._doubtful:
            words.append(_DOUBTFUL)
        return words

    @property
    def _list(self) -> list[tuple[int, Finding, list[str]]]:
        width = max(48, int((max(self.width, _MIN_WIDTH) - 2 * _MARGIN - 30) / 6.4))
        return [
            (number, finding, textwrap.wrap(f"{finding.sentence} [{finding.id}]", width))
            for number, finding in self._findings[:_LISTED]
        ]

    @property
    def height(self) -> float:
        """Of everything."""
        if not self._nodes:
            return _TITLE_HEIGHT + 36
        lines = sum(len(lines) for _, _, lines in self._list)
        listed = lines * _LIST_LINE + 26 if lines else 0.0
        more = _LIST_LINE if len(self._findings) > _LISTED else 0.0
        return _TITLE_HEIGHT + 34 + self._layout.height + _LEGEND_HEIGHT + listed + more

    def drawn(self, picture_width: float) -> Iterator[str]:
        """The panel's elements, from 0, 0."""
        width = picture_width - 2 * _MARGIN
        bot = self._walk.bot
        yield f'<rect class="panel" width="{width:.1f}" height="{self.height:.1f}" rx="14"/>'
        yield f'<text class="title" x="{_MARGIN}" y="34">{escape(bot.name)}</text>'
        about = f"default: {bot.default} · agent: {bot.agent}"
        yield (
            f'<text class="about" x="{width - _MARGIN:.1f}" y="34" text-anchor="end">{about}</text>'
        )
        left = (width - self._layout.width) / 2
        if not self._nodes:
            yield (
                f'<text class="about" x="{_MARGIN}" y="62">no nodes: every turn is unknown, and'
                f" {'held' if bot.unknown_node is UnknownNode.PAUSE else 'kept as it is'}</text>"
            )
            return
        yield f'<g transform="translate({left:.1f} {_TITLE_HEIGHT + 22:.1f})">'
        for line in self._layout.lines:
            yield from self._edge(line)
        for one, box in zip(self._nodes, self._layout.boxes, strict=True):
            yield from _node(one, box, bot.name)
        yield "</g>"
        at = _TITLE_HEIGHT + 22 + self._layout.height + 40
        yield from _legend(_MARGIN, at, self._keys)
        yield from self._finding_list(at + 42)

    def _finding_list(self, at: float) -> Iterator[str]:
        for number, finding, lines in self._list:
            yield _badge(_MARGIN + 8, at - 4, str(number), finding.severity)
            for line in lines:
                yield (
                    f'<text class="finding" x="{_MARGIN + 26}" y="{at:.1f}">{escape(line)}</text>'
                )
                at += _LIST_LINE
        left_out = len(self._findings) - _LISTED
        if left_out > 0:
            yield f'<text class="key" x="{_MARGIN + 26}" y="{at:.1f}">and {left_out} more</text>'

    def _edge(self, line: Line) -> Iterator[str]:
        boxes = self._layout.boxes
        names = (self._nodes[line.source].node.name, self._nodes[line.target].node.name)
        doubt = " doubt" if names in self._doubtful else ""
        classes = "edge" + (" back" if line.leads_back else "") + doubt
        source, target = boxes[line.source], boxes[line.target]
        if line.source == line.target:
            x, y = source.x + source.width / 2, source.y
            path = f"M{x:.1f} {y - 9:.1f}c26 -12 26 30 4 18"
            end, direction = (x + 1, y + 9), (-1.0, 0.0)
        elif line.by_the_side:
            start, side = source.x + source.width / 2, line.points[0][0]
            x = target.x + target.width / 2
            path = (
                f"M{start:.1f} {source.y:.1f}C{side:.1f} {source.y:.1f} {side:.1f} {source.y:.1f}"
                f" {side:.1f} {(source.y + target.y) / 2:.1f}S{side:.1f} {target.y:.1f}"
                f" {x + 7:.1f} {target.y:.1f}"
            )
            end, direction = (x, target.y), (-1.0, 0.0)
        else:
            points = line.points
            down = 1.0 if points[-1][1] > points[0][1] else -1.0
            stop = (points[-1][0], points[-1][1] - 7 * down)
            path = _curve([*points[:-1], stop])
            end, direction = points[-1], (0.0, down)
        yield f'<path class="{classes}" d="{path}"/>'
        yield _tip(end, direction, doubt)


def _curve(points: Sequence[tuple[float, float]]) -> str:
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        half = (to_y - y) / 2
        path += f"C{x:.1f} {y + half:.1f} {to_x:.1f} {to_y - half:.1f} {to_x:.1f} {to_y:.1f}"
    return path


def _tip(end: tuple[float, float], direction: tuple[float, float], doubt: str) -> str:
    (x, y), (dx, dy) = end, direction
    back_x, back_y = x - 8 * dx, y - 8 * dy
    return (
        f'<path class="tip{doubt}" d="M{x:.1f} {y:.1f}L{back_x + 4.2 * dy:.1f}'
        f' {back_y + 4.2 * dx:.1f}L{back_x - 4.2 * dy:.1f} {back_y - 4.2 * dx:.1f}Z"/>'
    )


def _size(one: Shown) -> tuple[float, float]:
    lock = 26 if one.node.sensitive else 0
    text = max(len(one.node.name) * _CHARACTER, len(one.says) * _SMALL_CHARACTER) + lock
    return max(96.0, text + 34), 50.0 if one.says else 40.0


def _node(one: Shown, box: Box, bot: str) -> Iterator[str]:
    x, y = box.x - box.width / 2, box.y - box.height / 2
    rounding = box.height / 2 if one.is_entry else 9
    place = f'x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    yield f'<g class="{one.look}">'
    yield f"<title>{escape(_tooltip(one))}</title>"
    if one.look is Look.MIXED:
        yield from _halves(one, box, bot, rounding)
    yield f'<rect class="box" {place} rx="{rounding}"/>'
    if one.node.sensitive:
        yield (
            f'<rect class="secret" x="{x + 4:.1f}" y="{y + 4:.1f}" width="{box.width - 8:.1f}"'
            f' height="{box.height - 8:.1f}" rx="{max(rounding - 4, 3)}"/>'
        )
    name_y = box.y - 3 if one.says else box.y + 4.5
    middle = box.x + (10 if one.node.sensitive else 0)
    yield f'<text class="name" x="{middle:.1f}" y="{name_y:.1f}">{escape(one.node.name)}</text>'
    if one.node.sensitive:
        yield _lock(x + 14, box.y + 4.5)
    if one.says:
        yield f'<text class="says" x="{middle:.1f}" y="{box.y + 14:.1f}">{escape(one.says)}</text>'
    if one.is_entry:
        yield (
            f'<circle class="start" cx="{box.x:.1f}" cy="{y - 17:.1f}" r="4.5"/>'
            f'<path class="edge" d="M{box.x:.1f} {y - 14:.1f}v8"/>'
        )
        yield _tip((box.x, y - 1), (0.0, 1.0), "")
    for place_, (number, finding) in enumerate(one.findings):
        yield _badge(x + box.width - 4 - 20 * place_, y, str(number), finding.severity)
    yield "</g>"


def _halves(one: Shown, box: Box, bot: str, rounding: float) -> Iterator[str]:
    """The box in the colours of all that it can be."""
    name = f"clip-{bot}-{one.number}"
    x, y = box.x - box.width / 2, box.y - box.height / 2
    share = box.width / len(one.among)
    yield (
        f'<clipPath id="{name}"><rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}"'
        f' height="{box.height:.1f}" rx="{rounding}"/></clipPath><g clip-path="url(#{name})">'
    )
    for place, look in enumerate(one.among):
        yield (
            f'<rect class="s-{look}" x="{x + place * share:.1f}" y="{y:.1f}"'
            f' width="{share:.1f}" height="{box.height:.1f}"/>'
        )
    yield "</g>"


def _badge(x: float, y: float, number: str, severity: Severity) -> str:
    return (
        f'<circle class="badge {severity}" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
        f'<text class="number" x="{x:.1f}" y="{y + 4:.1f}">{number}</text>'
    )


def _tooltip(one: Shown) -> str:
    what = " or ".join(MEANINGS[look] for look in one.among) or MEANINGS[one.look]
    lines = [f"{one.node.name}: {what}"]
    if one.node.sensitive:
        lines.append("sensitive: its author's word that it must never be recorded")
    lines += [f"{number}. {finding.sentence}" for number, finding in one.findings]
    return "\n".join(lines)


def _legend(x: float, y: float, keys: Sequence[str]) -> Iterator[str]:
    looks = {meaning: look for look, meaning in MEANINGS.items()}
    for key in keys:
        look = looks.get(key)
        if look is not None:
            yield f'<g class="{look}">'
            if look is Look.MIXED:
                for share, half in ((0, Look.RECORDED), (11, Look.PAUSED)):
                    place = f'x="{x + share:.1f}" y="{y - 11:.1f}" width="11" height="14"'
                    yield f'<rect class="s-{half}" {place}/>'
            place = f'x="{x:.1f}" y="{y - 11:.1f}" width="22" height="14" rx="4"'
            yield f'<rect class="box" {place}/></g>'
        elif key == _SENSITIVE:
            yield f'<g class="off">{_lock(x + 7, y)}</g>'
        else:
            yield f'<path class="edge doubt" d="M{x:.1f} {y - 4:.1f}h22"/>'
        yield f'<text class="key" x="{x + 29:.1f}" y="{y:.1f}">{escape(key)}</text>'
        x += len(key) * _KEY_CHARACTER + _KEY_GAP


def _lock(x: float, y: float) -> str:
    """A padlock whose lower left corner is there."""
    return (
        f'<path class="shackle" d="M{x + 2.3:.1f} {y - 6:.1f}v-2.8a3.1 3.1 0 0 1 6.2 0v2.8"/>'
        f'<rect class="lock" x="{x:.1f}" y="{y - 6.6:.1f}" width="10.8" height="8.2" rx="1.7"/>'
    )
