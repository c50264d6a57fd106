"""Reads YAML as checked values, gathering mistakes with their places; it knows no policy.

Values are read as they are written, quoted or not, because YAML 1.1 would turn `on`, `off`, `1_0`
and `1:30` into something else. `true` and `yes` mean `on`, `false` and `no` mean `off`, in any
case, wherever either is asked for. Anchors and aliases work; tags and merge keys are refused.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

import yaml

from turnrec.core.errors import TurnrecError
from turnrec.flow_fast import compose_fast
from turnrec.spelling import did_you_mean

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_VALUES: Final = 200_000
"""Values a file may hold, those behind an alias counted as often as it is used (alias bombs)."""
MAX_DEPTH: Final = 16
"""A flow needs seven; PyYAML recurses once for each."""
MAX_COMPARISONS: Final = 100_000
"""Words compared in search of the nearest spelling, before a file gets no further hints."""

_BOOLEANS: Final = {
    "on": True,
    "true": True,
    "yes": True,
    "off": False,
    "false": False,
    "no": False,
}
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,8})")
_LINE_BREAK: Final = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # YAML 1.1's, as PyYAML counts
_TAG: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(
    _TAG + kind
    for kind in ("str", "int", "float", "bool", "null", "timestamp", "value", "map", "seq")
)

EnumT = TypeVar("EnumT", bound=enum.StrEnum)


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong with a file. Line and column count from 1, as editors do."""

    path: str
    line: int
    """0: it is about the file as a whole (it can't be read, say)."""
    column: int
    message: str

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.path}{place}: {self.message}"


class FlowError(TurnrecError):
    """A flow file with mistakes: all of them, in line order."""

    id: ClassVar[str] = "flow-invalid"

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        super().__init__("\n".join(map(str, self.mistakes)))


class _BoundError(yaml.MarkedYAMLError):
    """YAML, but more of it than a flow file may have."""


class _Composer(yaml.SafeLoader):
    """Builds YAML's nodes, with their places, within bounds; it never constructs a value."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        self._nodes += 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self._depth > MAX_DEPTH:
            raise _BoundError(None, None, "nested too deeply", mark)
        if self._nodes > MAX_VALUES:
            raise _BoundError(None, None, f"over {MAX_VALUES} values", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def compose(data: bytes, path: str, *, fast: bool = False) -> yaml.Node | None:
    """Return the root of the one document in `data`; None where there is none.

    Args:
        data: the file.
        path: for the messages only.
        fast: by libyaml. It places some mistakes elsewhere: a file with any is to be composed
            again without it.

    Raises:
        FlowError: it is no YAML, or too much of it.
        NotTakenError: libyaml isn't there, or doesn't take it; never without `fast`.
    """
    if len(data) > MAX_BYTES:
        raise FlowError([Mistake(path, 0, 0, f"refused: larger than {MAX_BYTES} bytes")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8")
        message = f"not UTF-8 text (byte 0x{error.object[error.start]:02x})"
        raise FlowError([Mistake(path, *_place(before), message)]) from None
    if fast:
        return compose_fast(text, max_values=MAX_VALUES, max_depth=MAX_DEPTH)
    try:
        composer = _Composer(text)
    except yaml.reader.ReaderError as error:
        message = f"not YAML: character U+{ord(text[error.position]):04X} is not allowed"
        raise FlowError([Mistake(path, *_place(text[: error.position]), message)]) from None
    try:
        return composer.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark or composer.get_mark()
        message = _syntax_message(error, text[mark.index : mark.index + 1])
    except (ValueError, OverflowError):  # PyYAML: "\UFFFFFFFF", or %YAML 1.<5000 digits>
        mark, message = composer.get_mark(), "not YAML: a number is out of range"
    raise FlowError([Mistake(path, mark.line + 1, mark.column + 1, message)])


def _syntax_message(error: yaml.MarkedYAMLError, character: str) -> str:
    if character == "\t":
        return "a tab: YAML is indented with spaces only"
    if isinstance(error, _BoundError):
        return str(error.problem)
    return "not YAML: " + ", ".join(part for part in (error.context, error.problem) if part)


def _place(before: str) -> tuple[int, int]:
    """Return the line and column, from 1, of what comes after `before`."""
    lines = _LINE_BREAK.split(before)
    return len(lines), len(lines[-1]) + 1


def is_empty(node: yaml.Node | None) -> bool:
    """Say whether nothing is written there (`key:`, or YAML's `~` and `null`)."""
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null")


def shown(node: yaml.Node) -> str:
    """Return what a message says stands at `node`."""
    if isinstance(node, yaml.ScalarNode):
        return quoted(node.value)
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def quoted(word: str) -> str:
    return repr(word if len(word) <= 64 else word[:60] + "...")


class Checker:
    """Reads the nodes of one file; what is wrong becomes a mistake and reads as None."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._mistakes: set[Mistake] = set()  # an alias shows the same one again
        self._values = 0
        self._comparisons = 0

    def raise_mistakes(self) -> None:
        if self._mistakes:
            raise FlowError(self._mistakes)

    def note(self, node: yaml.Node, message: str) -> None:
        """Note a mistake at the node's place."""
        mark = node.start_mark
        self._mistakes.add(Mistake(self._path, mark.line + 1, mark.column + 1, message))

    def hint(self, word: str, known: Collection[str]) -> str:
        """Return the nearest spelling, as the end of a message; empty where none is near."""
        self._comparisons += len(known)
        if self._comparisons > MAX_COMPARISONS or len(word) > 64:
            return ""
        return did_you_mean(word, known)

    def choice(self, node: yaml.Node | None, what: str, choices: type[EnumT]) -> EnumT | None:
        word = self.word(node, what)
        if node is None or word is None:
            return None
        words = [choice.value for choice in choices]
        boolean = _BOOLEANS.get(word.lower())
        if boolean is not None and "on" in words:
            word = "on" if boolean else "off"
        if word in words:
            return choices(word)
        self._note_unknown(node, f"unknown {what} {quoted(word)}", word, words)
        return None

    def boolean(self, node: yaml.Node | None, what: str) -> bool | None:
        word = self.word(node, what)
        if node is None or word is None:
            return None
        boolean = _BOOLEANS.get(word.lower())
        if boolean is None:
            hint = self.hint(word, ("true", "false"))
            self.note(node, f"{what} must be true or false, not {quoted(word)}{hint}")
        return boolean

    def number(self, node: yaml.Node | None, what: str, maximum: int) -> int | None:
        word = self.word(node, what)
        if node is None or word is None:
            return None
        if _NUMBER.fullmatch(word) is not None and 0 <= int(word) <= maximum:
            return int(word)
        message = f"{what} must be a whole number from 0 to {maximum}, not {quoted(word)}"
        self.note(node, message)
        return None

    def word(self, node: yaml.Node | None, what: str) -> str | None:
        if node is None or not self._is_untagged(node):
            return None
        if not isinstance(node, yaml.ScalarNode):
            self.note(node, f"{what} must be a single value, not {shown(node)}")
        elif node.value == "":
            self.note(node, f"{what} has no value")
        else:
            return str(node.value)
        return None

    def items(
        self, node: yaml.Node | None, what: str, like: str = "[one, two]"
    ) -> Iterator[yaml.Node]:
        """Yield the items of a list; `like` is how one is written."""
        if node is None or not self._is_untagged(node):
            return
        if not isinstance(node, yaml.SequenceNode):
            self.note(node, f"{what} must be a list like {like}, not {shown(node)}")
            return
        for item in node.value:
            self._count(item)
            yield item

    def entries(
        self, node: yaml.Node | None, what: str
    ) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """Yield the keys of a mapping, each once, with their values; nothing if it is empty."""
        if node is None or is_empty(node) or not self._is_untagged(node):
            return
        if not isinstance(node, yaml.MappingNode):
            self.note(node, f"{what} must be a mapping ('key: value' lines), not {shown(node)}")
            return
        first_lines: dict[str, int] = {}
        for key, value in node.value:
            self._count(key)
            if key.tag == f"{_TAG}merge":
                self.note(key, "merge keys (<<) are not supported: use an alias or 'defaults'")
            elif not isinstance(key, yaml.ScalarNode):
                self.note(key, f"a key must be a single word, not {shown(key)}")
            elif key.value in first_lines:
                line = first_lines[key.value]
                self.note(key, f"{quoted(key.value)} stands here twice: first in line {line}")
            elif self._is_untagged(key):
                first_lines[key.value] = key.start_mark.line + 1
                yield key, value

    def known(
        self, node: yaml.Node | None, what: str, names: Collection[str], kind: str
    ) -> dict[str, yaml.Node]:
        """Return a mapping whose keys may only be `names`, each of them a `kind`."""
        known: dict[str, yaml.Node] = {}
        for key, value in self.entries(node, what):
            if key.value in names:
                known[key.value] = value
            else:
                message = f"unknown {kind} {quoted(key.value)}"
                self._note_unknown(key, message, key.value, names)
        return known

    def _note_unknown(
        self, node: yaml.Node, message: str, word: str, known: Collection[str]
    ) -> None:
        *most, last = known
        choices = f" (use {', '.join(most)} or {last})"
        self.note(node, message + (self.hint(word, known) or choices))

    def _is_untagged(self, node: yaml.Node) -> bool:
        if node.tag in _TAGS:
            return True
        self.note(node, f"tags are not supported: {quoted(node.tag)}")
        return False

    def _count(self, node: yaml.Node) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            self.note(node, f"over {MAX_VALUES} values, with what the aliases repeat")
            self.raise_mistakes()
