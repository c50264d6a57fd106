"""Which nodes every path to a node leads through: Cooper, Harvey and Kennedy's algorithm.

"A Simple, Fast Dominance Algorithm", Rice University, 2001.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def dominators(
    successors: Sequence[Sequence[int]], entries: Sequence[int]
) -> Callable[[int, int], bool]:
    """Return the question whether every path from an entry to the second leads through the first.

    A node leads through itself. Only nodes that some path reaches may be asked about.
    """
    root = len(successors)
    follows = [*successors, list(entries)]
    order = _postorder(follows, root)
    rank = {node: position for position, node in enumerate(order)}
    before: dict[int, list[int]] = {node: [] for node in order}
    for node in order:
        for to in follows[node]:
            before[to].append(node)
    nearest = {root: root}

    def common(one: int, other: int) -> int:
        while one != other:
            while rank[one] < rank[other]:
                one = nearest[one]
            while rank[other] < rank[one]:
                other = nearest[other]
        return one

    has_changed = True
    while has_changed:
        has_changed = False
        for node in reversed(order[:-1]):
            known = [one for one in before[node] if one in nearest]
            found = known[0]
            for one in known[1:]:
                found = common(one, found)
            if nearest.get(node) != found:
                nearest[node] = found
                has_changed = True

    depth = {root: 0}
    for node in reversed(order[:-1]):
        depth[node] = depth[nearest[node]] + 1

    def dominates(node: int, other: int) -> bool:
        while depth[other] > depth[node]:
            other = nearest[other]
        return other == node

    return dominates


def _postorder(follows: Sequence[Sequence[int]], root: int) -> list[int]:
    order: list[int] = []
    seen = {root}
    stack = [(root, iter(follows[root]))]
    while stack:
        node, rest = stack[-1]
        for to in rest:
            if to not in seen:
                seen.add(to)
                stack.append((to, iter(follows[to])))
                break
        else:
            stack.pop()
            order.append(node)
    return order
