"""Writes docs/settings.md and docs/flow.md anew: types, ranges and defaults from the code.

What each means is the comment above it in the sample file (asterisk-conf), so it is said once. Run
it at the top of the repository: `.venv/bin/python -m tools.draw_reference`.
"""

from __future__ import annotations

import enum
import re
import types
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from turnrec.core.parties import PartyRule
from turnrec.core.policy import Bot, Node
from turnrec.flow import _MAXIMA
from turnrec.settings import Settings

_ROOT: Final = Path(__file__).parents[1]
SETTINGS_PAGE: Final = _ROOT / "docs" / "settings.md"
FLOW_PAGE: Final = _ROOT / "docs" / "flow.md"
_SETTINGS_SAMPLE: Final = _ROOT / "asterisk-conf" / "turnrec.example.toml"
_FLOW_SAMPLE: Final = _ROOT / "asterisk-conf" / "flow.example.yaml"
_MADE: Final = "<!-- made by tools/draw_reference.py: change the code, the samples or the tool -->"

_SETTINGS_INTRO: Final = f"""# Settings

{_MADE}

`turnrec serve` reads `/etc/turnrec/turnrec.toml`, or what `--config` or `TURNREC_CONFIG` names;
[the sample](../asterisk-conf/turnrec.example.toml) shows every setting with its default. An
environment variable beats the file: `TURNREC_`, the section, two underscores, the key. Relative
paths start at the file's folder. A mistake is named with its place, and nothing starts.
"""
_FLOW_INTRO: Final = f"""# The flow file

{_MADE}

A YAML file says, bot by bot and node by node, what is recorded;
[the sample](../asterisk-conf/flow.example.yaml) is commented from end to end. It is sound as a
whole or refused as a whole, each mistake named with line and column; `turnrec check` walks its
paths ([check.md](check.md)), and `turnrec reload` puts it in force without a restart.

`on`, `true` and `yes` mean the same, and so do `off`, `false` and `no`. Names have 1 to 64 of
`A-Z a-z 0-9 _ . -`. Anchors and aliases work, merge keys and tags are refused.
"""
_NODE_SAYS: Final = {
    "action": "what it does to the recording; none: it leaves things as they are",
    "scope": "`sticky`: until another node says otherwise. `turn`: a pause ends with its turn",
    "new": "with `start`: finish the open recording and begin another",
    "sensitive": "its author's word that it must never be recorded, for `turnrec check`",
    "next": "the nodes that may follow, for `turnrec check`",
    "transfer": "the call is put through to an agent here, for `turnrec check`",
    "entry": "a call may begin here, for `turnrec check`",
}
_NODE_KEYS: Final = {"successors": "next"}


def settings_page() -> str:
    """docs/settings.md, as it should be."""
    said = dict(_said(_SETTINGS_SAMPLE, r"#(\w+) = "))
    parts = [_SETTINGS_INTRO]
    for section, field in Settings.model_fields.items():
        model: Any = field.annotation
        parts.append(f"\n## [{section}]\n\n{model.__doc__}\n\n")
        parts.append("| setting | default | may be | what it is |\n|---|---|---|---|\n")
        for key, info in model.model_fields.items():
            default = "" if info.default_factory is not None else _toml(info.default)
            parts.append(f"| `{key}` | {default} | {_range(info)} | {said[section, key]} |\n")
    return "".join(parts)


def flow_page() -> str:
    """docs/flow.md, as it should be."""
    said = dict(_said(_FLOW_SAMPLE, r"  (\w+): "))
    kinds = get_type_hints(Bot)
    parts = [_FLOW_INTRO]
    parts.append(
        "\n## A bot's policies\n\nBelow `defaults:` for every bot, or below a bot's name.\n\n"
        "| policy | default | may be | what it is |\n|---|---|---|---|\n"
    )
    for field in fields(Bot):
        if field.name in {"name", "nodes"}:
            continue
        choice = _choices(kinds[field.name]) or f"0 to {_MAXIMA[field.name]}"
        what = said["defaults", field.name]
        parts.append(f"| `{field.name}` | {_shown(field.default)} | {choice} | {what} |\n")
    parts.append(
        "\n## A node\n\nBelow a bot's `nodes:`: its name, and then nothing, an action, or a "
        "mapping of these.\n\n| key | may be | what it is |\n|---|---|---|\n"
    )
    node_kinds = get_type_hints(Node)
    for field in fields(Node):
        if field.name == "name":
            continue
        key = _NODE_KEYS.get(field.name, field.name)
        parts.append(
            f"| `{key}` | {_choices(node_kinds[field.name]) or 'names'} | {_NODE_SAYS[key]} |\n"
        )
    parts.append(
        "\n## Parties\n\nWho comes where nobody announced it ([agents.md](agents.md)): a list "
        "below `parties:`. The first rule counts all of whose keys fit; `*`, `?` and `[...]` are "
        "wildcards. Keys: " + ", ".join(f"`{name}`" for name in _party_keys()) + ".\n"
    )
    return "".join(parts)


def _said(sample: Path, key: str) -> Iterator[tuple[tuple[str, str], str]]:
    """What a sample's comments say of each key: those right above it, as one text."""
    section, lines = "", list[str]()
    for line in sample.read_text("utf-8").splitlines():
        head = re.fullmatch(r"\[(\w+)\]|(\w+):", line)
        found = re.match(key, line)
        comment = re.fullmatch(r" *# (.*)", line)
        if head:
            section, lines = head[1] or head[2], []
        elif found:
            yield (section, found[1]), " ".join(lines)
            lines = []
        elif comment:
            lines.append(comment[1].replace("|", "\\|"))
        else:
            lines = []


def _party_keys() -> list[str]:
    return ["class" if field.name == "party" else field.name for field in fields(PartyRule)]


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == "":
        return ""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value}`"


def _toml(value: Any) -> str:
    return f"`{str(value).lower()}`" if isinstance(value, bool) else _shown(value)


def _choices(kind: Any) -> str:
    """The words that a value may be, or nothing where it isn't one of some words."""
    kinds = get_args(kind) if get_origin(kind) in {Union, types.UnionType} else (kind,)
    for one in kinds:
        if one is bool:
            return "on, off"
        if isinstance(one, type) and issubclass(one, enum.Enum):
            return ", ".join(f"`{member.value}`" for member in one)
    return ""


def _range(info: FieldInfo) -> str:
    bounds = {
        name: getattr(one, name)
        for one in info.metadata
        for name in ("ge", "le")
        if hasattr(one, name)
    }
    if bounds:
        return f"{bounds['ge']} to {bounds['le']}"
    kind = info.annotation
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return "`true`, `false`" if kind is bool else _choices(kind) or _kind(kind)


def _kind(kind: Any) -> str:
    named = {Path: "a path", SecretStr: "a text, never shown", str: "a text"}
    while get_args(kind):  # Annotated[...] | None
        kind = next(one for one in get_args(kind) if one is not type(None))
    return named[kind]


if __name__ == "__main__":
    SETTINGS_PAGE.write_text(settings_page(), "utf-8")
    FLOW_PAGE.write_text(flow_page(), "utf-8")
