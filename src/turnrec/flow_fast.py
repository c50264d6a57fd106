"""Builds YAML's nodes by libyaml, eight times as fast as PyYAML's own parser; it judges no file.

Whatever libyaml doesn't take, PyYAML's parser is asked about: its messages and places are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]
except ImportError:  # a PyYAML built without libyaml
    CParser = None  # type: ignore[assignment, misc]

_TAG: Final = "tag:yaml.org,2002:"
_STRING: Final = f"{_TAG}str"
# The plain scalars that are more than words to whoever reads a flow file; numbers and truths are
# read as they are written (turnrec.flow_yaml).
_PLAIN: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), f"{_TAG}null"),
    "<<": f"{_TAG}merge",
}
# Tabs and byte order marks between words, which libyaml takes and PyYAML doesn't; odd line breaks.
_DISPUTED: Final = frozenset("\t\ufeff\x85\u2028\u2029")
_COLLECTIONS: Final[Mapping[type[yaml.Node], str]] = {
    yaml.SequenceNode: f"{_TAG}seq",
    yaml.MappingNode: f"{_TAG}map",
}


class NotTakenError(Exception):
    """libyaml isn't there, or takes offence at something, or the bounds were reached."""


def compose_fast(text: str, *, max_values: int, max_depth: int) -> yaml.Node | None:
    """Return the root of the one document in `text`; None where there is none.

    Raises:
        NotTakenError: ask PyYAML's own parser.
    """
    if CParser is None or not _DISPUTED.isdisjoint(text):
        raise NotTakenError
    try:
        root: yaml.Node | None = _Composer(text, max_values, max_depth).get_single_node()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise NotTakenError from error
    return root


if CParser is not None:

    class _Composer(CParser):
        """libyaml's composer calls these for each value, and once more when it is done with it."""

        def __init__(self, text: str, max_values: int, max_depth: int) -> None:
            super().__init__(text)
            self._values_left = max_values
            self._depth_left = max_depth

        def descend_resolver(self, *_: Any) -> None:
            self._values_left -= 1
            self._depth_left -= 1
            if self._values_left < 0 or self._depth_left < 0:
                raise NotTakenError

        def ascend_resolver(self) -> None:
            self._depth_left += 1

        def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
            if kind is yaml.ScalarNode:
                return _PLAIN.get(value or "", _STRING) if implicit[0] else _STRING
            return _COLLECTIONS[kind]
