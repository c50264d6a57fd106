"""Draws a flow as Mermaid text, which Git hosts and wikis show as a picture; it finds nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from turnrec.check.findings import Finding
from turnrec.check.looks import MEANINGS, Look, Shown, edges_in_doubt, numbered, shown
from turnrec.check.walk import Walk

# Colours that are read on light ground and on dark: filled, with their own ink.
_CLASSES: Final = {
    "recorded": "fill:#0e8f7b,stroke:#0a6557,color:#ffffff",
    "paused": "fill:#ffd27f,stroke:#b36b00,color:#4a2a00",
    "off": "fill:#cfd6e1,stroke:#7b869a,color:#243044",
    "mixed": "fill:#e4e8f8,stroke:#3152d9,color:#1f2c66,stroke-width:2px",
    "unknown": "fill:#e4e8f8,stroke:#7b869a,color:#1f2c66,stroke-dasharray:4 3",
    "unreached": "fill:#ffffff,stroke:#7b869a,color:#616b7f,stroke-dasharray:2 4",
}
_BAD: Final = "stroke:#d1274a,stroke-width:4px"
_BAD_LINE: Final = "stroke:#d1274a,stroke-width:3px"


def as_mermaid(walks: Sequence[Walk], findings: Sequence[Finding]) -> str:
    """One flowchart over all bots, each in a box of its own."""
    return "".join(f"{line}\n" for line in _lines(walks, findings))


def _lines(walks: Sequence[Walk], findings: Sequence[Finding]) -> Iterator[str]:
    yield "flowchart TD"
    used: set[Look] = set()
    bad_nodes: list[str] = []
    bad_edges: list[int] = []
    edges = 0
    for at, walk in enumerate(walks):
        own = numbered(findings, walk.bot.name)
        nodes = shown(walk, own)
        doubtful = edges_in_doubt(own)
        yield f'  subgraph b{at}["bot {walk.bot.name}"]'
        yield "    direction TB"
        for one in nodes:
            name = f"b{at}n{one.number}"
            yield f"    {name}{_shape(one)}:::{one.look}"
            used.add(one.look)
            if one.severity is not None:
                bad_nodes.append(name)
        for one in nodes:
            for to in walk.successors[one.number]:
                yield f"    b{at}n{one.number} --> b{at}n{to}"
                if (one.node.name, nodes[to].node.name) in doubtful:
                    bad_edges.append(edges)
                edges += 1
        yield "  end"
    if used:
        yield '  subgraph legend["what is recorded"]'
        yield "    direction TB"
        for look in Look:
            if look in used:
                yield f'    legend_{look}["{MEANINGS[look]}"]:::{look}'
        yield '    legend_sensitive{{"sensitive"}}'
        yield "  end"
    for look in Look:
        if look in used:
            yield f"  classDef {look} {_CLASSES[look]}"
    if bad_nodes:
        yield f"  classDef found {_BAD}"
        yield f"  class {','.join(bad_nodes)} found"
    if bad_edges:
        yield f"  linkStyle {','.join(map(str, bad_edges))} {_BAD_LINE}"


def _shape(one: Shown) -> str:
    label = one.node.name + (f"<br/><small>{one.says}</small>" if one.says else "")
    label += "".join(f"<br/><b>{finding.id}</b>" for _, finding in one.findings)
    if one.node.sensitive:
        return f'{{{{"{label}"}}}}'
    if one.is_entry:
        return f'(["{label}"])'
    return f'["{label}"]'
