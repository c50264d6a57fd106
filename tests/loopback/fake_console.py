"""A stand-in for `asterisk -rx`: a process of its own whose channels are a JSON file.

console = FakeConsole(tmp_path)
console.channel("PJSIP/a-00000001", "1.1", {"0xa1": "/spool/x-001.wav"})
await panic(None, spool, console.command)
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

_STUB = """
import json, pathlib, shlex, struct, sys
file = pathlib.Path(sys.argv[1])
state = json.loads(file.read_text())
rows, spool = state["channels"], pathlib.Path(state["spool"])
verb, what, *given = shlex.split(sys.argv[3])
if state["silent"]:
    sys.exit(0)
if (verb, what, given) == ("core", "show", ["channels", "concise"]):
    print(state["noise"])
    for row in rows:
        rest = "!ctx!s!1!Up!AGI!agi://x!" + row["number"] + "!!!3!0!!"
        if row["name"] not in state["unreadable"]:
            print(row["name"] + rest + row["uniqueid"])
elif (verb, what, given) == ("core", "show", ["channels", "count"]):
    print(f"{len(rows)} active channels\\n0 active calls")
else:
    found = [row for row in rows if row["name"].lower().startswith(given[0].lower())]
    if not found or given[0] in state["unlisted"]:
        print(f"No channel matching '{given[0]}' found.")
    elif what == "list":
        print("MixMonitor ID\\tFile\\tReceive File\\tTransmit File\\n" + "=" * 73)
        for id, path in found[0]["monitors"].items():
            print(f"{id}\\t{path.removesuffix('.wav')}\\t\\t")
    elif not state["stubborn"]:
        path = found[0]["monitors"].pop(given[1], None)
        part = path and spool / pathlib.Path(path).name
        if part and part.exists():
            part.write_bytes(b"RIFF" + struct.pack("<I", 36) + bytes(36))
        file.write_text(json.dumps(state))
"""


class FakeConsole:
    """What the command shall know of an Asterisk; `command` is how to call it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "console.json"
        stub = folder / "asterisk.py"
        stub.write_text(_STUB)
        self.command = shlex.join([sys.executable, "-S", "-E", str(stub), str(self._file)])
        self._set(
            channels=[],
            spool=str(folder),
            noise="",
            unlisted=[],
            unreadable=[],
            stubborn=False,
            silent=False,
        )

    def channel(
        self,
        name: str,
        uniqueid: str,
        monitors: dict[str, str] | None = None,
        number: str = "",
    ) -> None:
        """Let there be a channel with these monitors, ID to file, and a caller's number."""
        one = {"name": name, "uniqueid": uniqueid, "monitors": monitors or {}, "number": number}
        self._set(channels=[*self._state["channels"], one])

    def be(self, **state: object) -> None:
        """Be `silent` (status 0 without a word), `stubborn` (nothing stops), print `noise`, keep
        the monitors of channels `unlisted` to itself, or their rows `unreadable`."""
        self._set(**state)

    @property
    def monitors(self) -> list[str]:
        """The files that are still written."""
        return [file for one in self._state["channels"] for file in one["monitors"].values()]

    @property
    def _state(self) -> dict[str, list[dict[str, dict[str, str]]]]:
        state: dict[str, list[dict[str, dict[str, str]]]] = json.loads(self._file.read_text())
        return state

    def _set(self, **state: object) -> None:
        known = self._state if self._file.exists() else {}
        self._file.write_text(json.dumps(known | state))
