"""Where the nodes and edges of a flow stand in a picture, in ranks downwards; it draws nothing.

After Sugiyama: edges that lead back are turned round for the ranks, long ones pass through unseen
nodes, the order within a rank follows the neighbours' (Gansner and others, "A Technique for Drawing
Directed Graphs", 1993), and places are the nearest to the neighbours' that don't overlap.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

NODE_GAP: Final = 34.0
RANK_GAP: Final = 62.0
_LONGEST: Final = 12
"""Edges over more ranks than this go by the side: nobody could follow them through."""
_ABREAST: Final = 5
"""So many nodes without any edge stand side by side."""
_SWEEPS: Final = 12
_PULLS: Final = 20_000
_UNSEEN_WIDTH: Final = 16.0


@dataclass(frozen=True, slots=True)
class Box:
    """A node's place: its middle, and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """An edge: the points that it passes, from its source to its target."""

    source: int
    target: int
    points: tuple[tuple[float, float], ...]
    leads_back: bool
    by_the_side: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole picture's places, from 0, 0."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    width: float
    height: float


@dataclass(slots=True)
class _Point:
    """A node, or what a long edge passes through."""

    rank: int
    width: float
    node: int | None
    x: float = 0.0


def lay_out(
    sizes: Sequence[tuple[float, float]],
    successors: Sequence[Sequence[int]],
    entries: Iterable[int],
    apart: Iterable[int],
) -> Layout:
    """Find a place for every node and edge.

    Args:
        sizes: each node's width and height.
        successors: each node's, by number.
        entries: where paths begin.
        apart: nodes that no path reaches: they stand below all others.
    """
    if not sizes:
        return Layout((), (), 0.0, 0.0)
    edges = [(one, to) for one, tos in enumerate(successors) for to in dict.fromkeys(tos)]
    back = _leading_back(successors, [*entries, *range(len(sizes))])
    ranks = _ranks(len(sizes), edges, back, set(apart))
    points = [_Point(ranks[node], sizes[node][0], node) for node in range(len(sizes))]
    chains: dict[tuple[int, int], list[int]] = {}
    for one, to in edges:
        if one != to:
            upper, lower = (to, one) if (one, to) in back else (one, to)
            chains[one, to] = _chain(points, upper, lower)
    layers = _ordered(points, chains.values())
    _place(points, layers, chains.values())
    return _drawn(points, layers, sizes, edges, back, chains)


def _leading_back(
    successors: Sequence[Sequence[int]], starts: Iterable[int]
) -> set[tuple[int, int]]:
    """The edges that close a circle, by a search into the depth."""
    back: set[tuple[int, int]] = set()
    done: set[int] = set()
    open_: set[int] = set()
    for start in starts:
        if start in done or start in open_:
            continue
        open_.add(start)
        stack = [(start, iter(successors[start]))]
        while stack:
            node, rest = stack[-1]
            for to in rest:
                if to in open_:
                    back.add((node, to))
                elif to not in done:
                    open_.add(to)
                    stack.append((to, iter(successors[to])))
                    break
            else:
                stack.pop()
                open_.discard(node)
                done.add(node)
    return back


def _ranks(
    count: int, edges: Sequence[tuple[int, int]], back: set[tuple[int, int]], apart: set[int]
) -> list[int]:
    """Each node's rank: one below the lowest of those before it."""
    if not edges:
        return [node // _ABREAST for node in range(count)]
    follows: list[list[int]] = [[] for _ in range(count)]
    waits = [0] * count
    for one, to in edges:
        if one != to and ((one in apart) == (to in apart)):
            upper, lower = (to, one) if (one, to) in back else (one, to)
            follows[upper].append(lower)
            waits[lower] += 1
    ranks = [0] * count
    ready = [node for node in range(count) if not waits[node]]
    for node in ready:
        for to in follows[node]:
            ranks[to] = max(ranks[to], ranks[node] + 1)
            waits[to] -= 1
            if not waits[to]:
                ready.append(to)
    below = max((ranks[node] for node in range(count) if node not in apart), default=-1) + 1
    return [rank + below if node in apart else rank for node, rank in enumerate(ranks)]


def _chain(points: list[_Point], upper: int, lower: int) -> list[int]:
    """The points that an edge passes; empty where it goes by the side."""
    top, bottom = points[upper].rank, points[lower].rank
    if not 0 < bottom - top <= _LONGEST:
        return []
    chain = [upper]
    for rank in range(top + 1, bottom):
        chain.append(len(points))
        points.append(_Point(rank, _UNSEEN_WIDTH, None))
    return [*chain, lower]


def _neighbours(
    count: int, chains: Iterable[Sequence[int]]
) -> tuple[list[list[int]], list[list[int]]]:
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for chain in chains:
        for upper, lower in itertools.pairwise(chain):
            above[lower].append(upper)
            below[upper].append(lower)
    return above, below


def _ordered(points: Sequence[_Point], chains: Iterable[Sequence[int]]) -> list[list[int]]:
    """The points of each rank, from left to right."""
    layers: list[list[int]] = [[] for _ in range(1 + max(point.rank for point in points))]
    for number, point in enumerate(points):
        layers[point.rank].append(number)
    above, below = _neighbours(len(points), chains)
    position = {number: float(at) for layer in layers for at, number in enumerate(layer)}
    best, fewest = [list(layer) for layer in layers], _crossings(layers, below, position)
    for sweep in range(_SWEEPS):
        is_down = sweep % 2 == 0
        near = above if is_down else below
        for layer in layers[1:] if is_down else layers[-2::-1]:
            wanted = {
                number: sum(position[one] for one in near[number]) / len(near[number])
                if near[number]
                else position[number]
                for number in layer
            }
            layer.sort(key=wanted.__getitem__)
            position.update((number, float(at)) for at, number in enumerate(layer))
        crossings = _crossings(layers, below, position)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _crossings(
    layers: Sequence[Sequence[int]], below: Sequence[Sequence[int]], position: dict[int, float]
) -> int:
    """How often edges cross between neighbouring ranks, counted with a binary indexed tree."""
    crossings = 0
    for layer, lower in itertools.pairwise(layers):
        ends = [
            int(position[to])
            for number in layer
            for to in sorted(below[number], key=position.__getitem__)
        ]
        size = len(lower) + 1
        tree = [0] * (size + 1)
        for seen, end in enumerate(ends):
            at, before = end + 1, 0
            while at > 0:
                before += tree[at]
                at -= at & -at
            crossings += seen - before
            at = end + 1
            while at <= size:
                tree[at] += 1
                at += at & -at
    return crossings


def _place(
    points: Sequence[_Point], layers: Sequence[Sequence[int]], chains: Iterable[Sequence[int]]
) -> None:
    """Give each point the place nearest to its neighbours' middle that overlaps nothing."""
    above, below = _neighbours(len(points), chains)
    for layer in layers:
        at = 0.0
        for number in layer:
            points[number].x = at + points[number].width / 2
            at += points[number].width + NODE_GAP
    # A long edge is pulled straight bit by bit; where there are thousands, nobody looks so closely.
    for sweep in range(_SWEEPS + min(80, _PULLS // len(points))):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for number in layer:
                near = [*above[number], *below[number]]
                middle = sum(points[one].x for one in near) / len(near) if near else None
                wanted.append(points[number].x if middle is None else middle)
            for number, x in zip(layer, _apart(points, layer, wanted), strict=True):
                points[number].x = x


def _apart(points: Sequence[_Point], layer: Sequence[int], wanted: list[float]) -> list[float]:
    """The nearest places to those wanted, in the same order and far enough from each other.

    Without the least distances it is isotonic regression: pool adjacent violators.
    """
    offsets = [0.0]
    for one, other in itertools.pairwise(layer):
        gap = NODE_GAP + (points[one].width + points[other].width) / 2
        offsets.append(offsets[-1] + gap)
    pools: list[tuple[float, int]] = []
    for x, offset in zip(wanted, offsets, strict=True):
        mean, size = x - offset, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (mean * size + before * count) / (size + count), size + count
        pools.append((mean, size))
    means = [mean for mean, size in pools for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _drawn(
    points: Sequence[_Point],
    layers: Sequence[Sequence[int]],
    sizes: Sequence[tuple[float, float]],
    edges: Sequence[tuple[int, int]],
    back: set[tuple[int, int]],
    chains: dict[tuple[int, int], list[int]],
) -> Layout:
    left = min(point.x - point.width / 2 for point in points)
    right = max(point.x + point.width / 2 for point in points) - left
    tops, at = [], 0.0
    heights = [
        max((sizes[number][1] for number in layer if number < len(sizes)), default=0.0)
        for layer in layers
    ]
    for height in heights:
        tops.append(at)
        at += height + RANK_GAP
    boxes = [
        Box(points[node].x - left, tops[points[node].rank] + heights[points[node].rank] / 2, *size)
        for node, size in enumerate(sizes)
    ]
    sides = sum(1 for one, to in edges if one != to and not chains[one, to])
    lines = []
    side = 0
    ports = _ports(points, sizes, chains, back)
    for one, to in edges:
        leads_back = (one, to) in back
        if one == to:
            lines.append(Line(one, to, (), leads_back=True))
            continue
        chain = chains[one, to]
        if not chain:
            side += 1
            x = right + 24 + 10 * (side % 40)
            lines.append(
                Line(one, to, ((x, boxes[one].y), (x, boxes[to].y)), leads_back, by_the_side=True)
            )
            continue
        upper, lower = chain[0], chain[-1]
        first = (boxes[upper].x + ports[one, to, True], boxes[upper].y + boxes[upper].height / 2)
        last = (boxes[lower].x + ports[one, to, False], boxes[lower].y - boxes[lower].height / 2)
        between = [
            (points[number].x - left, tops[points[number].rank] + heights[points[number].rank] / 2)
            for number in chain[1:-1]
        ]
        way = [first, *between, last]
        lines.append(Line(one, to, tuple(way[::-1] if leads_back else way), leads_back))
    loops = any(one == to for one, to in edges)
    width = right + (24 + 10 * min(sides, 40) if sides else 0) + (30 if loops else 0)
    return Layout(boxes, lines, width, at - RANK_GAP)


def _ports(
    points: Sequence[_Point],
    sizes: Sequence[tuple[float, float]],
    chains: dict[tuple[int, int], list[int]],
    back: set[tuple[int, int]],
) -> dict[tuple[int, int, bool], float]:
    """Where along a node's upper and lower edge each line ends, from its middle.

    They stand in the order of where they go, so that they don't cross at the node.
    """
    ends: dict[tuple[int, bool], list[tuple[float, bool, int, int]]] = {}
    for (one, to), chain in chains.items():
        if chain:
            leads_back = (one, to) in back
            ends.setdefault((chain[0], True), []).append((points[chain[1]].x, leads_back, one, to))
            ends.setdefault((chain[-1], False), []).append(
                (points[chain[-2]].x, leads_back, one, to)
            )
    ports = {}
    for (node, is_below), found in ends.items():
        room = min(sizes[node][0] - 28, 26.0 * (len(found) - 1))
        for place, (_, _, one, to) in enumerate(sorted(found)):
            share = place / (len(found) - 1) - 0.5 if len(found) > 1 else 0.0
            ports[one, to, is_below] = share * room
    return ports
