"""Writes down what was sent, told and broken, as JSON lines, as it happens; it judges nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import TextIO


def now_us() -> int:
    """UTC in microseconds, by the wall clock of the tests' own process."""
    return time.time_ns() // 1000


class Journal:
    """The one file of a run that the auditor reads beside turnrec's own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.marks = 0
        """How many marks were reached so far, by all calls: the clock of the schedule."""
        self._file: TextIO = path.open("a", encoding="utf-8")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, kind: str, **fields: object) -> None:
        """Write one line."""
        if kind == "mark":
            self.marks += 1
        self._file.write(json.dumps({"kind": kind, **fields}) + "\n")
        # What is written must be there even if the run is ended by force.
        self._file.flush()
