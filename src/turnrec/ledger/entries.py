"""The one stored form of an entry, to write, to hash and to read back; it touches no database."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from turnrec.core.entry import JSON, Entry, EntryKind, Origin
from turnrec.core.policy import Action
from turnrec.core.recorder import Source, State

Columns: TypeAlias = "dict[str, str | int | None]"
"""An entry as the database holds it, by column name."""

_Word = TypeVar("_Word", bound=enum.StrEnum)


@dataclass(frozen=True, slots=True)
class WrittenEntry:
    """An entry with its place in the chain (see `turnrec.ledger.chain`)."""

    seq: int
    entry: Entry
    prev_hash: str
    hash: str


def storable(text: str) -> str:
    r"""Return `text` with what no database can hold (NUL, lone surrogates) as `\x..` escapes."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def canonical_json(value: JSON) -> str:
    """Return the one spelling of `value`: sorted keys, no spaces, ASCII, no NaN.

    Raises:
        TypeError, ValueError: `value` is not JSON.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def join_holds(holds: tuple[Source, ...]) -> str:
    """Return the stored form of `holds`: sorted, so that one set of holds has one spelling."""
    return ",".join(sorted(set(holds)))


def split_holds(text: str) -> tuple[Source, ...]:
    """Read what `join_holds` made."""
    return tuple(Source(word) for word in text.split(",")) if text else ()


def to_columns(entry: Entry) -> Columns:
    """Return the stored form of `entry`: a copy that nobody can change any more.

    Raises:
        TypeError, ValueError: its detail is not JSON.
    """
    return {
        "at_us": entry.at_us,
        "kind": entry.kind.value,
        "call_id": _text(entry.call_id),
        "uniqueid": _text(entry.uniqueid),
        "recording_id": _text(entry.recording_id),
        "source": _word(entry.source),
        "actor": _text(entry.actor),
        "origin": _word(entry.origin),
        "action": _word(entry.action),
        "node": _text(entry.node),
        "turn": entry.turn,
        "state": _word(entry.state),
        "holds": join_holds(entry.holds),
        "result": storable(entry.result),
        "detail": canonical_json(entry.detail) if entry.detail else "{}",
    }


def from_columns(columns: Mapping[str, object]) -> Entry:
    """Read an entry from its stored form.

    Raises:
        ValueError: a word in it is none of turnrec's.
    """
    return Entry(
        kind=EntryKind(_str(columns["kind"])),
        at_us=_int(columns["at_us"]),
        call_id=_optional_str(columns["call_id"]),
        uniqueid=_optional_str(columns["uniqueid"]),
        recording_id=_optional_str(columns["recording_id"]),
        source=_optional(Source, columns["source"]),
        actor=_optional_str(columns["actor"]),
        origin=_optional(Origin, columns["origin"]),
        action=_optional(Action, columns["action"]),
        node=_optional_str(columns["node"]),
        turn=None if columns["turn"] is None else _int(columns["turn"]),
        state=_optional(State, columns["state"]),
        holds=split_holds(_str(columns["holds"])),
        result=_str(columns["result"]),
        detail=_object(_str(columns["detail"])),
    )


def _text(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _word(word: enum.StrEnum | None) -> str | None:
    return None if word is None else word.value


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"an entry has {type(value).__name__} where text belongs")  # noqa: TRY004
    return value


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise ValueError(f"an entry has {type(value).__name__} where a number belongs")  # noqa: TRY004
    return value


def _optional_str(value: object) -> str | None:
    return None if value is None else _str(value)


def _optional(words: type[_Word], value: object) -> _Word | None:
    return None if value is None else words(_str(value))


def _object(text: str) -> Mapping[str, JSON]:
    if text == "{}":
        return MappingProxyType({})
    detail = json.loads(text)
    if not isinstance(detail, dict):
        raise ValueError("an entry's detail is no JSON object")  # noqa: TRY004
    return MappingProxyType(detail)
