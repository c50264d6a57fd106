"""Makes nasty input out of good input: bytes cut, doubled and spliced, JSON with wrong members."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

CORPUS: Final = Path(__file__).parent / "corpus"
TOKENS: Final = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\r\n\r\n",
    b":",
    b": ",
    b",",
    b"(",
    b")",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"'",
    b"\\",
    b"../",
    b"/",
    b"\xff",
    b"\xc3",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"9" * 30,
    b"true",
    b"null",
    b"HANGUP\n",
    b"200 result=0\n",
    b"520-\n",
    b"100 ",
    b"&a",
    b"*a",
    b"!!python/object",
    b"<<: *a",
    b"\x1b[2J",
)
"""Words that mean something to one of the readers."""
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53,
    2**63 - 1,
    2**63,
    10**30,
    0.5,
    -1e300,
    float("inf"),
    float("nan"),
    "",
    "x",
    "\0",
    "\ud800",
    "\x1b[2J",
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    {"a": []},
    [{}],
    {"kind": []},
)
"""JSON, and what Python takes for it, that stands where something else belongs."""


def fuzzed(examples: int) -> settings:
    """How many examples: a few each time, and as many as somebody asks for."""
    return settings(
        max_examples=int(os.environ.get("TURNREC_FUZZ_EXAMPLES", examples)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def kept(name: str) -> list[bytes]:
    """What is kept of a reader's hard cases."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def replayed(
    name: str, strategy: st.SearchStrategy[bytes], examples: int
) -> Callable[[Callable[[bytes], None]], Callable[[], None]]:
    """Give a test bytes: first those that are kept, then made ones."""

    def around(function: Callable[[bytes], None]) -> Callable[[], None]:
        found: Any = function
        for data in kept(name):
            found = example(data)(found)
        made: Callable[[], None] = fuzzed(examples)(given(strategy)(found))
        return made

    return around


@st.composite
def mangled(draw: st.DrawFn, good: Sequence[bytes], tokens: Sequence[bytes] = TOKENS) -> bytes:
    """One of the good ones after some edits."""
    data = bytearray(draw(st.sampled_from(list(good))))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.sampled_from((0, 1, 2, 4, 8, 40, 400))))
        match draw(st.integers(0, 4)):
            case 0:
                data[at:to] = draw(st.sampled_from(list(tokens)))
            case 1:
                data[at:to] = draw(st.binary(max_size=8))
            case 2:
                data[at:at] = data[at:to] * draw(st.sampled_from((1, 2, 50)))
            case 3:
                del data[at:to]
            case 4:
                del data[at:]
    return bytes(data)


@st.composite
def misfit(draw: st.DrawFn, good: Any) -> Any:
    """A JSON document with one to three members that are missing, doubled or something else."""
    document = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.integers(0, 5)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case 2:
                other, name = draw(st.sampled_from(places))
                try:
                    holder[key] = copy.deepcopy(other[name])
                except (KeyError, IndexError):  # its place has just been taken away
                    holder[key] = None
            case _:
                holder[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    return document


def spelt(document: Any) -> bytes:
    """A document as JSON's bytes, NaN and lone surrogates as they come."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for key, one in list(inside):
        yield value, key
        yield from _places(one)
