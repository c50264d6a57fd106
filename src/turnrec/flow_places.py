"""Where in a flow file everything stands: looked up when somebody asks, it costs reading nothing.

It knows nothing of what the file means.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import yaml

_Entries: TypeAlias = "dict[str, tuple[yaml.ScalarNode, yaml.Node]]"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line and a column. Both count from 1, as editors do."""

    line: int
    column: int


class Places:
    """The keys of one file, by the keys above them."""

    def __init__(self, root: yaml.Node) -> None:
        self._root = root
        # A mapping may hold thousands of keys, and each of them be asked for.
        self._entries = lru_cache(maxsize=None)(_entries)

    def of(self, *keys: str) -> Place:
        """The place of the last of these keys; of the nearest one above it that is written.

        What stands behind an alias (`*name`) stands where its anchor does.
        """
        found, node = self._root, self._root
        for key in keys:
            entry = self._entries(node).get(key)
            if entry is None:
                break
            found, node = entry
        return Place(found.start_mark.line + 1, found.start_mark.column + 1)

    def has(self, *keys: str) -> bool:
        """Whether all of these keys are written, each below the one before."""
        node = self._root
        for key in keys:
            entry = self._entries(node).get(key)
            if entry is None:
                return False
            _, node = entry
        return True


def _entries(node: yaml.Node) -> _Entries:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: (key, value) for key, value in node.value}
