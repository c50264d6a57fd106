"""A look at an Asterisk that answers as real ones did (captured/), and otherwise as a test says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from turnrec.asterisk.ami import AmiClient, AmiEvent, AmiRefusedError, AmiResponse
from turnrec.config import load_settings
from turnrec.core.policy import Flow
from turnrec.doctor.finding import NotCheckedError
from turnrec.doctor.look import Look
from turnrec.flow import parse_flow

CAPTURED = Path(__file__).parent / "captured"
RELEASES = ("22", "16")
Fields = list[tuple[str, str]]


def _raw(fields: Fields) -> bytes:
    return "".join(f"\r\n{name}: {text}" for name, text in fields).encode()


class Answers:
    """A session with a captured Asterisk."""

    def __init__(self, release: str) -> None:
        found = json.loads((CAPTURED / f"{release}.json").read_text("utf-8"))
        self.answers: list[tuple[str, dict[str, str], Fields]] = [
            (name, asked, [(key, text) for key, text in fields])
            for name, asked, fields in found["ami"]
        ]
        self.plan: list[Fields] = [[(key, text) for key, text in row] for row in found["plan"]]
        self.cli: dict[str, str] = found["cli"]

    def set(self, name: str, asked: Mapping[str, str], fields: Fields) -> None:
        """Answer otherwise."""
        self.answers.insert(0, (name, dict(asked), fields))

    def refuse(self, name: str, asked: Mapping[str, str], message: str) -> None:
        """Refuse it."""
        self.set(name, asked, [("Response", "Error"), ("Message", message)])

    async def action(self, name: str, fields: Any = None, /, **more: str) -> AmiResponse:
        """As AmiClient's."""
        asked = {**(fields or {}), **more}
        found = next((one for key, of, one in self.answers if key == name and of == asked), None)
        if found is None:
            raise AssertionError(f"nobody has captured {name} {asked}")
        raw = _raw(found)
        response = AmiResponse(raw, raw.lower(), dict(found)["Response"])
        if not response.success:
            raise AmiRefusedError(f"Asterisk refused {name}", action=name, response=response)
        return response

    async def action_list(self, name: str, **_: Any) -> list[AmiEvent]:
        """As AmiClient's."""
        assert name == "ShowDialPlan"
        rows = [(_raw(row), row) for row in self.plan]
        return [AmiEvent(raw, raw.lower(), "ListDialplan") for raw, _row in rows]


class House(Look):
    """An installation in a folder, with a captured Asterisk; nobody listens anywhere."""

    def __init__(self, folder: Path, release: str = "22", toml: str = "", flow: str = "") -> None:
        self.answers = Answers(release)
        self.status: Mapping[str, Any] | None = None
        self.listening: dict[int, frozenset[str]] = {}
        self.has_command = True
        self.time_s: float | None = None
        config = folder / "turnrec.toml"
        text = toml or f'[asterisk]\nami_secret = "s3cret"\n{folder_settings()}'
        config.write_text(text, "utf-8")
        if flow:
            (folder / "flow.yaml").write_text(flow, "utf-8")
        super().__init__(lambda: load_settings(config, {}), config)

    async def _session(self) -> AmiClient:
        return cast("AmiClient", self.answers)

    async def ami(self) -> AmiClient:
        return cast("AmiClient", self.answers)

    async def rx(self, command: str) -> str:
        if not self.has_command:
            raise NotCheckedError("`asterisk -rx` can't be run: No such file or directory")
        return self.answers.cli[command]

    async def is_same_asterisk(self) -> bool:
        return True

    async def server(self) -> Mapping[str, Any]:
        if self.status is None:
            raise NotCheckedError("no turnrec answers (see server)")
        return self.status

    def listening_on(self, port: int) -> frozenset[str]:
        return self.listening.get(port, frozenset())

    def now_s(self) -> float:
        return super().now_s() if self.time_s is None else self.time_s


def folder_settings() -> str:
    """Settings whose files all lie beside the settings."""
    return (
        '[server]\ncontrol_socket = "s"\n[api]\nkeys_file = "keys.json"\n'
        '[recordings]\ndir = "r"\nspool_dir = "p"\n[ledger]\nurl = "sqlite:///l.db"\n'
        '[flow]\npath = "flow.yaml"\n'
    )


def flow_of(policies: str = "", nodes: str = "ask:") -> Flow:
    """A flow with one bot, `kyc`, and one policy of its own."""
    text = f"version: 1\nbots:\n  kyc:\n    {policies}\n    nodes:\n      {nodes}\n"
    return parse_flow(text.encode(), "flow.yaml")


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An installation beside Asterisk 22."""
    return House(tmp_path)
