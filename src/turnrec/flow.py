"""Holds the flow that is in force, read from a YAML file; it never guesses what a mistake meant.

A file is sound as a whole or refused as a whole, with every mistake of it at its line and column.
Only a text that is not YAML at all is answered with one: its parser can't look past the first.
How values may be written is in `turnrec.flow_yaml`; what they mean, in `turnrec.core.policy`.
"""

from __future__ import annotations

import enum
import hashlib
import logging
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_type_hints

import yaml

from turnrec.core.errors import InvalidNameError
from turnrec.core.parties import PartyRule
from turnrec.core.policy import Action, Bot, Flow, Node, Scope, check_name
from turnrec.flow_fast import NotTakenError
from turnrec.flow_parties import party_rules
from turnrec.flow_places import Places
from turnrec.flow_yaml import (
    MAX_BYTES,
    Checker,
    FlowError,
    Mistake,
    compose,
    is_empty,
    quoted,
    shown,
)

__all__ = [
    "FlowError",
    "FlowFile",
    "Mistake",
    "ReloadResult",
    "parse_flow",
    "read_flow",
]

logger = logging.getLogger(__name__)

_VERSION: Final = "1"
_SECTIONS: Final = ("version", "defaults", "parties", "bots")
_NODE_KEYS: Final = ("action", "scope", "new", "sensitive", "next", "transfer", "entry")
# What a bot may be told is what policy.Bot holds: a policy added there is read here.
_POLICY_TYPES: Final[Mapping[str, Any]] = {
    name: kind for name, kind in get_type_hints(Bot).items() if name not in {"name", "nodes"}
}
# A guard below 40 ms is the operator's choice, though leaks were measured there.
_MAXIMA: Final = {"guard_ms": 2_000, "settle_ms": 5_000, "max_pause_s": 86_400, "keep_days": 36_500}


def parse_flow(data: bytes, path: str) -> Flow:
    """Return the flow that the file's bytes describe; `path` is for the messages only.

    Raises:
        FlowError: anything about it is wrong.
    """
    flow, _ = parse_flow_and_places(data, path)
    return flow


def read_flow(path: Path) -> tuple[Flow, Places]:
    """Return a file's flow, and where in the file everything stands.

    Raises:
        FlowError: it can't be read, or anything about it is wrong.
    """
    return parse_flow_and_places(_read(path), str(path))


def parse_flow_and_places(data: bytes, path: str) -> tuple[Flow, Places]:
    """Return what `parse_flow` returns, and where in the bytes everything stands.

    Raises:
        FlowError: anything about it is wrong.
    """
    with suppress(FlowError, NotTakenError):
        return read_composed(data, path, fast=True)
    # Every mistake is told as PyYAML's own parser places it, which takes its time.
    return read_composed(data, path, fast=False)


def read_composed(data: bytes, path: str, *, fast: bool) -> tuple[Flow, Places]:
    """`parse_flow_and_places` by one YAML parser; with `fast`, a mistake may lie elsewhere."""
    root = compose(data, path, fast=fast)
    if root is None or is_empty(root):
        raise FlowError([Mistake(path, 1, 1, "the file is empty: it needs version and bots")])
    bots, parties = _Reader(path, root).read()
    flow = Flow(MappingProxyType(bots), hashlib.sha256(data).hexdigest(), parties)
    return flow, Places(root)


class _Reader:
    """Turns one file's YAML nodes into bots and rules."""

    def __init__(self, path: str, root: yaml.Node) -> None:
        self._root = root
        self._check = Checker(path)

    def read(self) -> tuple[dict[str, Bot], tuple[PartyRule, ...]]:
        written = self._check.known(self._root, "the file", _SECTIONS, "section")
        if not isinstance(self._root, yaml.MappingNode):
            self._check.raise_mistakes()
        self._check_version(written.get("version"))
        defaults = self._policies(
            self._check.known(written.get("defaults"), "defaults", _POLICY_TYPES, "policy")
        )
        parties = party_rules(self._check, written.get("parties"))
        bots = {
            name: self._bot(name, node, defaults)
            for name, node in self._named(written.get("bots"), "bots", "bot's name")
        }
        self._check_some_bot(written.get("bots"))
        self._check.raise_mistakes()
        return bots, parties

    def _check_version(self, node: yaml.Node | None) -> None:
        if node is None:
            self._check.note(self._root, "version is missing: begin the file with 'version: 1'")
        elif not isinstance(node, yaml.ScalarNode) or node.value != _VERSION:
            self._check.note(node, f"version must be {_VERSION}, not {shown(node)}")

    def _check_some_bot(self, node: yaml.Node | None) -> None:
        if node is None:
            self._check.note(self._root, "bots is missing: name at least one bot below 'bots:'")
        elif is_empty(node) or (isinstance(node, yaml.MappingNode) and not node.value):
            self._check.note(node, "bots is empty: name at least one bot")

    def _bot(self, name: str, node: yaml.Node, defaults: Mapping[str, Any]) -> Bot:
        keys = (*_POLICY_TYPES, "nodes")
        written = self._check.known(node, f"bot {quoted(name)}", keys, "policy")
        nodes = self._nodes(written.pop("nodes", None))
        return Bot(name, MappingProxyType(nodes), **{**defaults, **self._policies(written)})

    def _policies(self, written: Mapping[str, yaml.Node]) -> dict[str, Any]:
        return {name: self._policy(name, node) for name, node in written.items()}

    def _policy(self, name: str, node: yaml.Node) -> enum.StrEnum | bool | int | None:
        kind = _POLICY_TYPES[name]
        if kind is bool:
            return self._check.boolean(node, name)
        if kind is int:
            return self._check.number(node, name, _MAXIMA[name])
        return self._check.choice(node, name, kind)

    def _nodes(self, node: yaml.Node | None) -> dict[str, Node]:
        entries = dict(self._named(node, "nodes", "node's name"))
        return {name: self._node(name, value, entries.keys()) for name, value in entries.items()}

    def _node(self, name: str, node: yaml.Node, names: Collection[str]) -> Node:
        if is_empty(node):
            return Node(name)
        if isinstance(node, yaml.ScalarNode):
            return Node(name, self._check.choice(node, "action", Action))
        written = self._check.known(node, f"node {quoted(name)}", _NODE_KEYS, "node setting")
        action = self._check.choice(written.get("action"), "action", Action)
        scope = self._check.choice(written.get("scope"), "scope", Scope) or Scope.STICKY
        new = bool(self._check.boolean(written.get("new"), "new"))
        if action is not None or "action" not in written:  # else it has its own mistake already
            if scope is Scope.TURN and action is not Action.PAUSE:
                self._check.note(written["scope"], "'scope: turn' goes with 'action: pause' only")
            if new and action is not Action.START:
                self._check.note(written["new"], "'new: true' goes with 'action: start' only")
        sensitive = bool(self._check.boolean(written.get("sensitive"), "sensitive"))
        transfer = bool(self._check.boolean(written.get("transfer"), "transfer"))
        entry = bool(self._check.boolean(written.get("entry"), "entry"))
        successors = self._next(written.get("next"), names)
        return Node(name, action, scope, new, sensitive, successors, transfer, entry)

    def _next(self, node: yaml.Node | None, names: Collection[str]) -> tuple[str, ...]:
        successors: dict[str, None] = {}  # in their order
        for item in self._check.items(node, "next"):
            name = self._check.word(item, "next")
            if name is None:
                continue
            if name not in names:
                hint = self._check.hint(name, names)
                self._check.note(item, f"next names unknown node {shown(item)}{hint}")
            elif name in successors:
                self._check.note(item, f"next names node {quoted(name)} twice")
            successors[name] = None
        return tuple(successors)

    def _named(
        self, node: yaml.Node | None, what: str, name: str
    ) -> Iterator[tuple[str, yaml.Node]]:
        for key, value in self._check.entries(node, what):
            try:
                check_name(key.value, name)
            except InvalidNameError as error:
                self._check.note(key, str(error))
            yield key.value, value  # its own mistakes are to be found all the same


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """What a reload did: with mistakes, the flow that was in force stays in force."""

    changed: bool
    mistakes: tuple[Mistake, ...] = ()


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What shows cheaply that a file was written to, or replaced."""

    mtime_ns: int
    size_bytes: int
    inode: int


class FlowFile:
    """The flow in force and its file, which is read again on request and never watched."""

    def __init__(self, path: Path, flow: Flow, stamp: _Stamp | None) -> None:
        self._path = path
        self._flow = flow
        self._stamp = stamp

    @classmethod
    def load(cls, path: Path) -> FlowFile:
        """Read the file for the first time.

        Raises:
            FlowError: it can't be read, or has mistakes.
        """
        stamp = _stamp(path)  # before reading: a write in between shows as a change
        return cls(path, parse_flow(_read(path), str(path)), stamp)

    @property
    def path(self) -> Path:
        return self._path

    @property
    def flow(self) -> Flow:
        return self._flow

    def changed_on_disk(self) -> bool:
        """Say whether the file differs from the one read last, sound or not (one stat call)."""
        return _stamp(self._path) != self._stamp

    def reload(self) -> ReloadResult:
        """Put the file's flow in force, unless it has mistakes: those are logged and returned."""
        self._stamp = _stamp(self._path)
        try:
            flow = parse_flow(_read(self._path), str(self._path))
        except FlowError as error:
            logger.warning("flow not reloaded, the one before stays in force:\n%s", error)
            return ReloadResult(changed=False, mistakes=error.mistakes)
        if flow.sha256 == self._flow.sha256:
            return ReloadResult(changed=False)
        self._flow = flow
        logger.info("flow reloaded from %s, sha256 %s", self._path, flow.sha256)
        return ReloadResult(changed=True)


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return _Stamp(status.st_mtime_ns, status.st_size, status.st_ino)


def _read(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a named pipe would block for ever
            raise FlowError([Mistake(str(path), 0, 0, "not a regular file")])
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FlowError([Mistake(str(path), 0, 0, f"can't be read: {error.strerror}")]) from None
