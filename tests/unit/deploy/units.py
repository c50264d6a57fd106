"""Reads the systemd units as systemd does, as far as the tests need it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "deploy" / "systemd"
TURNREC = "/opt/turnrec/bin/turnrec"


class Unit:
    """One unit file: each setting's values, in order."""

    def __init__(self, name: str) -> None:
        self.path = FOLDER / name
        self._values: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        section = ""
        for line in self.path.read_text("utf-8").splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line and line[0] not in "#;":
                key, _, value = line.partition("=")
                self._values[section, key].append(value)

    def all(self, key: str, section: str = "Service") -> list[str]:
        """A setting's values."""
        return list(self._values[section, key])

    def one(self, key: str, section: str = "Service") -> str:
        """A setting that stands there once."""
        (value,) = self.all(key, section)
        return value

    def command(self, key: str) -> list[str]:
        """The words after `turnrec` of a command line."""
        program, *words = self.one(key).split()
        assert program == TURNREC
        return words

    def environment(self, credentials: Path) -> dict[str, str]:
        """Its environment, with the folder of its credentials in the place of %d."""
        pairs = (value.partition("=") for value in self.all("Environment"))
        return {name: value.replace("%d", str(credentials)) for name, _, value in pairs}
